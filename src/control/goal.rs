//! The goal of an operation, and whether a unit has reached it.

use crate::core::command::Verb;
use crate::core::model::DesiredState;
use crate::core::model::MachineId;
use crate::core::model::Snapshot;
use crate::core::model::Unit;
use crate::core::schedule::RequirementsIndex;
use crate::core::unit::UnitName;

/// Where an operation wants its units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// In the state that a verb asks for.
    Verb(Verb),
    /// Away from a machine, in the state that each unit is desired to have.
    AwayFrom(MachineId),
}

impl Goal {
    /// Returns the state in which a unit has reached the goal; `None` if the goal is that the unit is gone.
    pub(super) fn state(self, snapshot: &Snapshot, name: &UnitName) -> Option<DesiredState> {
        match self {
            Self::Verb(verb) => verb.goal(),
            Self::AwayFrom(_) => snapshot.units.get(name).map(|unit| unit.desired),
        }
    }

    /// Returns the text with which fleet names the goal when it gives up.
    pub(super) fn label(self) -> String {
        match self {
            Self::Verb(verb) => verb.goal().map_or_else(|| "destroyed".to_owned(), |state| state.to_string()),
            Self::AwayFrom(machine) => format!("away from {}...", machine.short()),
        }
    }

    /// Reports whether a unit has reached the goal.
    pub(super) fn is_reached(self, snapshot: &Snapshot, requirements: &RequirementsIndex, name: &UnitName) -> bool {
        if let Self::AwayFrom(machine) = self
            && is_on(snapshot, name, machine)
        {
            return false;
        }
        let nowhere = !snapshot.placements.contains_key(name) && !snapshot.states.contains_key(name);
        match (self.state(snapshot, name), snapshot.units.get(name)) {
            (None, unit) => unit.is_none() && nowhere,
            (Some(_), None) => false,
            (Some(DesiredState::Inactive), Some(_)) => nowhere,
            (Some(state), Some(unit)) if requirements.is_global(name) => unit.desired == state,
            (Some(state), Some(unit)) => has_reported(snapshot, name, unit, state),
        }
    }
}

/// Reports whether a unit is placed on a machine or was last reported by it.
fn is_on(snapshot: &Snapshot, name: &UnitName, machine: MachineId) -> bool {
    let placed = snapshot.placements.get(name).is_some_and(|placement| placement.machine == machine);
    placed || snapshot.states.get(name).is_some_and(|states| states.contains_key(&machine))
}

/// Reports whether the machine on which a unit is placed has reported it in this state, with its current file.
fn has_reported(snapshot: &Snapshot, name: &UnitName, unit: &Unit, state: DesiredState) -> bool {
    let placement = snapshot.placements.get(name);
    let reported = placement.and_then(|placement| snapshot.states.get(name)?.get(&placement.machine));
    reported.is_some_and(|reported| {
        let same = reported.hash == unit.hash && reported.reached() == state;
        same && if state == DesiredState::Loaded { !reported.runs() } else { reported.restarts >= unit.restarts }
    })
}
