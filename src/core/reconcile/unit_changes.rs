//! Failures, restarts and recoveries of launched units: which changes of unit states become events. Nothing else follows
//! from them here.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Reconciler;
use crate::core::model::ActiveState;
use crate::core::model::DesiredState;
use crate::core::model::EventKind;
use crate::core::model::MachineId;
use crate::core::model::Timestamp;
use crate::core::model::UnitState;
use crate::core::unit::UnitName;

/// How many changes of one unit on one machine are logged within this time. A unit that fails and recovers again and
/// again must not fill the event log.
const CHANGES: (u32, Duration) = (6, Duration::from_mins(10));

/// For how long a unit that was in trouble must run before that is logged: as long as a command observes a unit that it has
/// started.
const STEADY: Duration = Duration::from_secs(2);

/// The trouble that a launched unit has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// It ended, and systemd starts it again.
    Restarts,
    /// It does not run.
    Failed,
}

impl Trouble {
    fn of(state: &UnitState, oneshot: bool) -> Option<Self> {
        match state.is_well(oneshot) {
            true => None,
            false if state.is_restarting() => Some(Self::Restarts),
            false => Some(Self::Failed),
        }
    }
}

/// The troubles of the units of one machine, and how many changes were logged.
#[derive(Debug, Clone, Default)]
pub(super) struct UnitChanges {
    troubles: BTreeMap<UnitName, Trouble>,
    /// The units that had a trouble and have run since this time.
    recovering: BTreeMap<UnitName, Timestamp>,
    /// Set once the units of the machine have been observed. A trouble of before has ended at an unknown time.
    is_watched: bool,
    /// How many changes of a unit were logged, and since when they are counted.
    logged: BTreeMap<UnitName, (u32, Timestamp)>,
}

impl UnitChanges {
    /// Records the trouble of a unit. `before` counts if no trouble is known. Reports whether the trouble is a change to log.
    fn change(&mut self, unit: &UnitName, before: Option<Trouble>, trouble: Option<Trouble>, now: Timestamp) -> bool {
        let known = self.troubles.get(unit).copied().or(before);
        let Some(trouble) = trouble else {
            self.troubles.remove(unit);
            if known.is_some() {
                self.recovering.entry(unit.clone()).or_insert(now);
            }
            return false;
        };
        // A unit that has run in between is in trouble again.
        let before = if self.recovering.remove(unit).is_some() { None } else { known };
        self.troubles.insert(unit.clone(), trouble);
        // A unit that has failed and that systemd restarts has not recovered yet.
        let goes_on = (before, trouble) == (Some(Trouble::Failed), Trouble::Restarts);
        before != Some(trouble) && !goes_on && self.may_log(unit, now)
    }

    /// Returns the units that were in trouble and have run for long enough, and forgets them.
    fn recovered(&mut self, now: Timestamp) -> Vec<UnitName> {
        let steady = if std::mem::replace(&mut self.is_watched, true) { STEADY } else { Duration::ZERO };
        let recovered = self.recovering.extract_if(.., |_, since| now >= *since + steady).map(|(unit, _)| unit);
        let recovered: Vec<UnitName> = recovered.collect();
        recovered.into_iter().filter(|unit| self.may_log(unit, now)).collect()
    }

    fn may_log(&mut self, unit: &UnitName, now: Timestamp) -> bool {
        let (most, window) = CHANGES;
        self.logged.retain(|_, (_, since)| now < *since + window);
        let (count, _) = self.logged.entry(unit.clone()).or_insert((0, now));
        *count = count.saturating_add(1);
        *count <= most
    }
}

impl Reconciler {
    /// Logs that a unit has failed or is restarted by systemd, before its new state is recorded. A unit that runs again is
    /// logged when it has done so for a while.
    pub(super) fn log_unit_change(&mut self, machine: MachineId, unit: &UnitName, state: &UnitState, now: Timestamp) {
        let is_launched = self.snapshot.units.get(unit).is_some_and(|it| it.desired == DesiredState::Launched);
        let belongs_here = is_launched && self.scope.has(unit) && self.assignments.of(machine, unit).is_some();
        if !belongs_here || !state.launched || state.is_changing() {
            return;
        }
        let oneshot = self.snapshot.file(unit).is_some_and(|file| file.is_oneshot());
        let known = self.snapshot.states.get(unit).and_then(|states| states.get(&machine));
        let known = known.filter(|state| state.launched && !state.is_changing());
        let before = known.and_then(|state| Trouble::of(state, oneshot));
        let trouble = Trouble::of(state, oneshot);
        let Some(view) = self.views.touch(machine) else { return };
        let is_news = view.unit_changes.change(unit, before, trouble, now);
        // A unit that has failed has a cause of its own.
        let may_have_to_stop = self.is_strict(unit) && state.active != ActiveState::Failed;
        if let Some(trouble) = trouble.filter(|_| is_news) {
            let kind = match trouble {
                Trouble::Restarts => EventKind::UnitRestarted,
                Trouble::Failed => EventKind::UnitFailed {
                    active: state.active,
                    sub: state.sub.clone(),
                    lease_ended: may_have_to_stop && self.has_lease_ended(machine, now),
                },
            };
            self.log(now, Some(machine), Some(unit), kind);
        }
    }

    /// Logs the units of a machine that were in trouble and have run since for as long as a unit must to count as started.
    pub(super) fn log_recoveries(&mut self, machine: MachineId, now: Timestamp) {
        let Some(view) = self.views.touch(machine).filter(|view| view.units.is_some()) else { return };
        for unit in view.unit_changes.recovered(now) {
            let wanted = self.snapshot.units.get(&unit).is_some_and(|it| it.desired == DesiredState::Launched);
            let oneshot = self.snapshot.file(&unit).is_some_and(|file| file.is_oneshot());
            let state = self.snapshot.states.get(&unit).and_then(|states| states.get(&machine));
            let is_well = state.is_some_and(|state| state.launched && state.is_well(oneshot));
            if wanted && is_well && self.assignments.of(machine, &unit).is_some() {
                self.log(now, Some(machine), Some(&unit), EventKind::UnitRecovered);
            }
        }
    }
}
