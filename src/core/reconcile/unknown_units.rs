//! Unknown units: unit files on a host that muster wrote and that the cluster has no record of. They are unloaded a portion
//! at a time, and the store gets one event for each portion. A host that names ever new ones is not believed. This module
//! sends nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Reconciler;
use crate::core::model::Action;
use crate::core::model::Event;
use crate::core::model::EventKind;
use crate::core::model::Failure;
use crate::core::model::FailureKind;
use crate::core::model::MachineId;
use crate::core::model::Outcome;
use crate::core::model::Phase;
use crate::core::model::Report;
use crate::core::model::Step;
use crate::core::model::Timestamp;
use crate::core::model::Unloaded;
use crate::core::model::Write;
use crate::core::unit::UnitName;

/// How many unknown units one visit unloads.
pub(super) const PORTION: usize = 256;

/// How many portions of one machine are unloaded within [`WINDOW`]. They suffice for every unit that one host can have.
const PORTIONS: u32 = 16;

/// How many new unknown units a machine may name within [`WINDOW`]: as many as one report may have.
const NEW: usize = 4096;

/// The time in which the portions and the new names of one machine are counted.
const WINDOW: Duration = Duration::from_mins(10);

/// The unknown units of one machine.
#[derive(Debug, Clone, Default)]
pub struct UnknownUnits {
    /// Those of the last report.
    names: BTreeSet<UnitName>,
    /// When the window began.
    since: Timestamp,
    /// How many names were new within the window.
    new: usize,
    /// How many portions were sent within the window.
    portions: u32,
    /// How often foreign units were recorded within the window.
    notes: u32,
}

impl UnknownUnits {
    /// Records the names of a report. Returns how many were new within the window, if that is more than one host can
    /// have.
    fn name(&mut self, names: BTreeSet<UnitName>, now: Timestamp) -> Option<usize> {
        if names.is_empty() && self.names.is_empty() {
            return None;
        }
        if self.is_over(now) {
            (self.since, self.new, self.portions, self.notes) = (now, 0, 0, 0);
        }
        self.new += names.difference(&self.names).count();
        self.names = names;
        (self.new > NEW).then_some(self.new)
    }

    /// Reports whether another portion may be sent.
    fn may_unload(&self, now: Timestamp) -> bool {
        self.portions < PORTIONS || self.is_over(now)
    }

    /// Records that a portion was sent.
    pub(super) const fn sent(&mut self) {
        self.portions = self.portions.saturating_add(1);
    }

    /// Reports whether a change of the machine's foreign units may be recorded.
    pub(super) fn may_note(&self, now: Timestamp) -> bool {
        self.notes < PORTIONS || self.is_over(now)
    }

    /// Records that a change of the machine's foreign units was recorded.
    pub(super) const fn noted(&mut self) {
        self.notes = self.notes.saturating_add(1);
    }

    fn is_over(&self, now: Timestamp) -> bool {
        now >= self.since + WINDOW
    }
}

impl Reconciler {
    /// Reports whether the cluster has a record of a unit, or had one when the machine reported the unit.
    pub(super) fn is_known(&self, unit: &UnitName, machine: MachineId) -> bool {
        let noted = || self.noted.get(&machine).is_some_and(|units| units.contains(unit));
        self.snapshot.units.contains_key(unit) || noted() || !self.snapshot.is_readable(unit)
    }

    /// Reports whether a step unloads an unknown unit.
    pub(super) fn unloads_unknown(&self, step: &Step, machine: MachineId) -> bool {
        step.action == Action::Unload && !self.is_known(&step.unit, machine)
    }

    /// Records which unknown units a report names. Returns a failure if the machine names too many new ones.
    pub(super) fn name_unknown(&mut self, machine: MachineId, report: &Report, now: Timestamp) -> Option<Failure> {
        let seen = report.observation.as_ref()?;
        let units = seen.units.as_ref()?;
        // Nearly always every unit was recorded before, and one machine has few of them.
        let noted = self.noted.get(&machine);
        let new = units.keys().filter(|unit| noted.is_none_or(|noted| !noted.contains(*unit)));
        let unknown = new.filter(|unit| !self.is_known(unit, machine));
        let names = unknown.chain(seen.foreign.keys()).cloned().collect();
        let count = self.views.touch(machine)?.unknown_units.name(names, now)?;
        let host = self.snapshot.machines.get(&machine).map(|machine| machine.name.clone()).unwrap_or_default();
        let minutes = WINDOW.as_secs() / 60;
        let detail =
            format!("it names ever new units that the cluster does not know: {count} within {minutes} minutes");
        Some(Failure { host, phase: Phase::Run, kind: FailureKind::Sick, detail, hint: None })
    }

    /// Drops the steps for unknown units after the first portion, or all of them if the machine had its share or the units
    /// are spared.
    pub(super) fn keep_portion(&self, machine: MachineId, steps: &mut Vec<Step>, now: Timestamp) {
        let may = self.views.get(&machine).is_some_and(|view| view.unknown_units.may_unload(now));
        let mut left = if may && !self.spares_unknown() { PORTION } else { 0 };
        steps.retain(|step| {
            let unknown = self.unloads_unknown(step, machine);
            let kept = !unknown || left > 0;
            left -= usize::from(unknown && kept);
            kept
        });
    }

    /// Adds the outcomes of a visit's steps to the event log: one event for each step on a unit that the cluster knows,
    /// and one for all others. That a unit is still being stopped is no news, and neither is another step that failed
    /// because the load has failed.
    pub(super) fn log_outcomes<'a>(
        &mut self,
        at: Timestamp,
        machine: MachineId,
        outcomes: impl Iterator<Item = (&'a Step, &'a Outcome)>,
    ) {
        let mut unloaded = Unloaded::default();
        let leaves =
            |unit: &UnitName| self.views.get(&machine).is_some_and(|view| view.is_leaving_since_before(unit, at));
        let outcomes: Vec<_> = outcomes.collect();
        let failed = outcomes.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Failed(_)));
        let unloadable =
            failed.filter(|(step, _)| matches!(step.action, Action::Load { .. })).map(|(step, _)| &step.unit);
        let unloadable: BTreeSet<&UnitName> = unloadable.collect();
        let is_news = |(step, outcome): &(&Step, &Outcome)| match outcome {
            Outcome::Begun => !leaves(&step.unit),
            // A unit whose new file is refused is neither unloaded nor started.
            Outcome::Failed(_) => matches!(step.action, Action::Load { .. }) || !unloadable.contains(&step.unit),
            _ => true,
        };
        let news: Vec<_> = outcomes.into_iter().filter(is_news).collect();
        for (step, outcome) in news {
            if self.is_known(&step.unit, machine) {
                self.log_outcome(at, machine, step, outcome);
            } else {
                unloaded.add(&step.unit, outcome);
            }
        }
        if unloaded.count > 0 {
            let event = Event::new(at, Some(machine), None, EventKind::UnknownUnitsUnloaded(unloaded));
            self.outbox.push(Write::Log(event));
        }
    }
}
