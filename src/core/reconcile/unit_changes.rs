//! Failures, restarts and recoveries of launched units: which changes of unit states become events. Nothing else follows
//! from them here.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Reconciler;
use crate::core::model::DesiredState;
use crate::core::model::EventKind;
use crate::core::model::MachineId;
use crate::core::model::Timestamp;
use crate::core::model::UnitState;
use crate::core::unit::UnitName;

/// How many changes of one unit on one machine are logged within this time. A unit that fails and recovers again and
/// again must not fill the event log.
const CHANGES: (u32, Duration) = (6, Duration::from_mins(10));

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
    /// How many changes of a unit were logged, and since when they are counted.
    logged: BTreeMap<UnitName, (u32, Timestamp)>,
}

impl UnitChanges {
    /// Records the trouble of a unit. `before` counts if no trouble is known. Reports whether that is a change to log.
    fn change(&mut self, unit: &UnitName, before: Option<Trouble>, trouble: Option<Trouble>, now: Timestamp) -> bool {
        let before = self.troubles.get(unit).copied().or(before);
        match trouble {
            Some(trouble) => self.troubles.insert(unit.clone(), trouble),
            None => self.troubles.remove(unit),
        };
        // A unit that has failed and that systemd restarts has not recovered yet.
        let goes_on = (before, trouble) == (Some(Trouble::Failed), Some(Trouble::Restarts));
        before != trouble && !goes_on && self.may_log(unit, now)
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
    /// Logs that a unit has failed, is restarted by systemd or has recovered, before its new state is recorded.
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
        if view.unit_changes.change(unit, before, trouble, now) {
            let kind = match trouble {
                None => EventKind::UnitRecovered,
                Some(Trouble::Restarts) => EventKind::UnitRestarted,
                Some(Trouble::Failed) => EventKind::UnitFailed { active: state.active, sub: state.sub.clone() },
            };
            self.log(now, Some(machine), Some(unit), kind);
        }
    }
}
