//! Loads and starts that a host refused, and the images that it pulls for global units. No record of a unit says so, only the
//! events.

use super::NotRunning;
use crate::core::model::Action;
use crate::core::model::Event;
use crate::core::model::EventKind;
use crate::core::model::LoadState;
use crate::core::model::MachineId;
use crate::core::model::Outcome;
use crate::core::model::Snapshot;
use crate::core::model::UnitState;
use crate::core::unit::ImagePull;
use crate::core::unit::UnitName;

impl NotRunning {
    /// Returns the reason with what the events add to it: what a host said when it refused to load or to start the unit. The
    /// events are in order, the oldest first.
    #[must_use]
    pub fn with_events(self, snapshot: &Snapshot, unit: &UnitName, events: &[Event]) -> Self {
        let Some(hash) = snapshot.units.get(unit).map(|unit| unit.hash) else { return self };
        let id = |name: &str| snapshot.machines.values().find(|machine| machine.name == name).map(|machine| machine.id);
        let outcome = |name: &str, is_step: &dyn Fn(Action) -> bool| latest(events, unit, id(name)?, is_step);
        let said = |name: &str, is_step: &dyn Fn(Action) -> bool| match outcome(name, is_step)? {
            Outcome::Failed(said) => Some(said.clone()),
            _ => None,
        };
        let image = || Some(ImagePull::of(unit, snapshot.file(unit)?)?.image);
        let is_load = |action| matches!(action, Action::Load { hash: loaded, .. } if loaded == hash);
        match self {
            Self::NotActive { name, state } if is_not_started(&state) => match said(&name, &Action::starts) {
                Some(said) => Self::StartRefused { name, said },
                None => Self::NotActive { name, state },
            },
            Self::GlobalNotThere(name) => match (outcome(&name, &is_load), image()) {
                (Some(Outcome::Failed(said)), _) => Self::LoadFailed { name, said: said.clone(), runs_earlier: false },
                (Some(Outcome::Begun), Some(image)) => Self::Pulling { name, image, time: None, runs: None },
                _ => Self::GlobalNotThere(name),
            },
            reason => reason,
        }
    }

    /// Reports whether events may add something.
    pub fn asks_for_events(&self) -> bool {
        match self {
            Self::NotActive { state, .. } => is_not_started(state),
            Self::GlobalNotThere(_) => true,
            _ => false,
        }
    }
}

fn is_not_started(state: &UnitState) -> bool {
    !state.launched && !state.is_changing() && state.load == LoadState::Loaded
}

/// Returns how the latest step of this kind for a unit on a machine ended.
fn latest<'a>(
    events: &'a [Event],
    unit: &UnitName,
    machine: MachineId,
    is_step: &dyn Fn(Action) -> bool,
) -> Option<&'a Outcome> {
    let is_there = |event: &&Event| event.subject.unit.as_ref() == Some(unit) && event.subject.machine == Some(machine);
    let ends = events.iter().rev().filter(is_there).filter_map(|event| match &event.kind {
        EventKind::StepEnded(end) => Some(end),
        _ => None,
    });
    Some(&ends.into_iter().find(|end| is_step(end.action))?.outcome)
}
