//! Pulls of images: a host pulls the image of a container before it loads the file, and stops nothing meanwhile. The load
//! has begun then, and the host is asked again until the pull has ended.
//!
//! A container that moves goes on running on the machine that it leaves until its new machine has the image.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Reconciler;
use super::draining::has_process;
use super::outbox::moved_unit;
use crate::core::model::Action;
use crate::core::model::DesiredState;
use crate::core::model::MachineId;
use crate::core::model::Outcome;
use crate::core::model::PULL_LIMIT;
use crate::core::model::Placement;
use crate::core::model::Pull;
use crate::core::model::Reason;
use crate::core::model::Report;
use crate::core::model::Step;
use crate::core::model::Timestamp;
use crate::core::model::Write;
use crate::core::unit::Hash;
use crate::core::unit::ImagePull;
use crate::core::unit::UnitName;

/// How long a host that pulls an image is left alone before it is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// How much later than its limit a pull counts as failed, if the host still reports it.
const MARGIN: Duration = Duration::from_mins(2);

/// The error of a pull that a host reports although it must have ended.
const OVERDUE: &str = "its image was not pulled within 30 min";

/// The pulls of one machine, by the unit whose load waits for the pull.
#[derive(Debug, Clone, Default)]
pub(super) struct Pulls {
    under_way: BTreeMap<UnitName, UnderWay>,
    /// When pulls have ended, or loads have last failed.
    ended: BTreeMap<UnitName, Timestamp>,
}

/// A pull that is under way.
#[derive(Debug, Clone, Copy)]
struct UnderWay {
    /// The hash of the file that is to be loaded.
    hash: Hash,
    /// When this leader first heard of the pull.
    since: Timestamp,
    /// When the host is asked again.
    again: Timestamp,
}

impl Pulls {
    /// Reports whether the machine pulls no image.
    pub(super) fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Reports whether the load of a unit waits.
    pub(super) fn has(&self, unit: &UnitName) -> bool {
        self.under_way.contains_key(unit)
    }

    /// Returns the units whose loads wait.
    pub(super) fn units(&self) -> impl Iterator<Item = &UnitName> {
        self.under_way.keys()
    }

    /// Returns when the host is asked again about each pull.
    pub(super) fn due(&self) -> impl Iterator<Item = Timestamp> {
        self.under_way.values().map(|pull| pull.again)
    }

    /// Reports whether a unit waits for its image, so that the host is not asked now.
    pub(super) fn is_waiting(&self, unit: &UnitName, now: Timestamp) -> bool {
        self.under_way.get(unit).is_some_and(|pull| now < pull.again)
    }

    /// Forgets all pulls: a boot has ended them.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Returns when the last pull for a unit ended, or its load last failed. The unit did not run here with its file before.
    pub(super) fn ended_at(&self, unit: &UnitName) -> Option<Timestamp> {
        self.ended.get(unit).copied()
    }

    /// Records that the load of a unit has ended.
    fn end(&mut self, unit: &UnitName, outcome: &Outcome, now: Timestamp) {
        if self.under_way.remove(unit).is_some() || matches!(outcome, Outcome::Failed(_)) {
            self.ended.insert(unit.clone(), now);
        }
    }

    /// Drops the pulls that no load needs any more. If the load of a pull is needed and not sent now, it is sent later.
    pub(super) fn update(&mut self, needed: &[Step], sent: &[Step], now: Timestamp) {
        let loads = |steps: &[Step], unit: &UnitName, of: Hash| {
            steps
                .iter()
                .any(|step| step.unit == *unit && matches!(step.action, Action::Load { hash, .. } if hash == of))
        };
        self.under_way.retain(|unit, it| loads(needed, unit, it.hash));
        for (unit, it) in &mut self.under_way {
            if it.again <= now && !loads(sent, unit, it.hash) {
                it.again = now + ASK_AGAIN;
            }
        }
    }

    /// Records that a host pulls the image of a unit. Returns the outcome of the load if it is news.
    fn go_on(&mut self, unit: &UnitName, hash: Hash, now: Timestamp) -> Option<Outcome> {
        let again = now + ASK_AGAIN;
        let known = self.under_way.get(unit).filter(|it| it.hash == hash).map(|it| it.since);
        if known.is_some_and(|since| now >= since + PULL_LIMIT + MARGIN) {
            self.under_way.remove(unit);
            return Some(Outcome::Failed(OVERDUE.to_owned()));
        }
        self.under_way.insert(unit.clone(), UnderWay { hash, since: known.unwrap_or(now), again });
        known.is_none().then_some(Outcome::Begun)
    }
}

impl Reconciler {
    /// Takes the steps of units whose images are being pulled out of a report, because none of them was carried out. The first
    /// report of a pull leaves the load, which has begun. A host that reports a pull for too long has failed to load the file.
    pub(super) fn take_pulls(
        &mut self,
        machine: MachineId,
        (steps, outcomes): (Vec<Step>, Vec<Outcome>),
        now: Timestamp,
    ) -> (Vec<Step>, Vec<Outcome>) {
        let mut loads: BTreeMap<UnitName, Option<Outcome>> = BTreeMap::new();
        for (step, outcome) in steps.iter().zip(&outcomes) {
            let Action::Load { hash, .. } = step.action else { continue };
            let Some(view) = self.views.touch(machine) else { continue };
            if *outcome == Outcome::Begun {
                loads.insert(step.unit.clone(), view.pulls.go_on(&step.unit, hash, now));
            } else {
                view.pulls.end(&step.unit, outcome, now);
            }
        }
        let left = steps.into_iter().zip(outcomes).filter_map(|(step, outcome)| match loads.get(&step.unit) {
            None => Some((step, outcome)),
            Some(load) if matches!(step.action, Action::Load { .. }) => Some((step, load.clone()?)),
            Some(_) => None,
        });
        left.unzip()
    }

    /// Records with the placements of units that their images are being pulled, or that no pull is under way any more. The
    /// record of a failed load says that too.
    pub(super) fn record_pulls(&mut self, machine: MachineId, steps: &[Step], outcomes: &[Outcome], now: Timestamp) {
        for (step, outcome) in steps.iter().zip(outcomes) {
            let pull = match (step.action, outcome) {
                (Action::Load { hash, .. }, Outcome::Begun) => Some(Pull { hash, since: now }),
                (Action::Load { .. }, Outcome::Done | Outcome::Failed(_)) => None,
                _ => continue,
            };
            let here = self.snapshot.placements.get(&step.unit).filter(|placement| placement.machine == machine);
            let is_same = |known: Option<Pull>| match (known, pull) {
                (Some(known), Some(pull)) => known.hash == pull.hash && now < known.since + PULL_LIMIT,
                (known, pull) => known == pull,
            };
            let changed = here.filter(|placement| !is_same(placement.pull));
            let Some(placement) = changed.cloned() else { continue };
            if !self.outbox.holds(|write| moved_unit(write) == Some(&step.unit)) {
                self.outbox.push(Write::Place(step.unit.clone(), Placement { pull, ..placement }));
            }
        }
    }

    /// Records with which images the containers ran that a visit has unloaded. The host had the files that it reported before. A
    /// unit that was destroyed has no way back.
    pub(super) fn record_images(&mut self, machine: MachineId, report: &Report) {
        let units = self.views.get(&machine).and_then(|view| view.units.as_ref());
        for (unit, digest) in report.observation.iter().flat_map(|seen| &seen.images) {
            let state = units.and_then(|units| units.get(unit)).filter(|state| state.has_file());
            if let Some(state) = state.filter(|_| self.snapshot.units.contains_key(unit)) {
                self.outbox.push(Write::Image(unit.clone(), state.hash, digest.clone()));
            }
        }
    }

    /// Reports whether a machine that answers pulls the image of a unit in scope. A pull that is tried again after a failure does
    /// not count.
    pub fn is_pulling(&self) -> bool {
        let mut answering = self.views.values().filter(|view| view.answers());
        answering.any(|view| view.pulls.units().any(|unit| self.scope.has(unit) && !view.backoffs.contains_key(unit)))
    }

    /// Returns the image that a machine pulls for a unit, if it pulls one.
    pub fn pulled_image(&self, unit: &UnitName, machine: MachineId) -> Option<String> {
        self.views.get(&machine).filter(|view| view.pulls.has(unit))?;
        Some(ImagePull::of(unit, self.snapshot.file(unit)?)?.image)
    }

    /// Reports whether a unit goes on running on the machine that it leaves, because its new machine has yet to pull its image:
    /// otherwise the pull would be downtime. The wait ends when the new machine has loaded the file, and in any case when a pull
    /// must have ended.
    pub(super) fn awaits_image(&self, machine: MachineId, step: &Step, now: Timestamp) -> bool {
        let (Action::Unload, Reason::PlacedElsewhere(to)) = (step.action, step.reason) else { return false };
        if !step.unit.is_quadlet() || self.is_overdue(machine, now) {
            return false;
        }
        let units = self.views.get(&machine).and_then(|view| view.units.as_ref());
        let runs = units.and_then(|units| units.get(&step.unit)).is_some_and(has_process);
        let unit = self.snapshot.units.get(&step.unit).filter(|unit| unit.desired == DesiredState::Launched);
        let placement = self.snapshot.placements.get(&step.unit).filter(|placement| placement.machine == to);
        let (Some(unit), Some(placement), true) = (unit, placement, runs) else { return false };
        let has_image = || self.snapshot.file(&step.unit).is_some_and(|file| ImagePull::of(&step.unit, file).is_some());
        let there = self.views.get(&to).and_then(|view| view.units.as_ref()).and_then(|units| units.get(&step.unit));
        let is_loaded = there.is_some_and(|state| state.has_loaded(unit.hash));
        !is_loaded && now < placement.since + PULL_LIMIT + MARGIN && has_image()
    }
}
