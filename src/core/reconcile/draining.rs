//! Draining: an available unit leaves a machine after it runs elsewhere, a strict unit stops first, and global units
//! stop last because the other units may use them. At the deadline every unit stops. This module only says which steps
//! wait: [`super::dispatch`] sends them.

use super::Reconciler;
use crate::core::model::DesiredState;
use crate::core::model::MachineId;
use crate::core::model::Reason;
use crate::core::model::RemovalReason;
use crate::core::model::Step;
use crate::core::model::Timestamp;
use crate::core::model::UnitState;
use crate::core::unit::Class;
use crate::core::unit::UnitName;

impl Reconciler {
    /// Makes placements and assignments stale when a drain reaches its deadline, and finds the next deadline.
    pub(super) fn watch_deadlines(&mut self, now: Timestamp) {
        let over = self.deadline.is_some_and(|at| now >= at);
        if over || self.stale.views {
            let ends = self.snapshot.machines.values().filter(|machine| machine.draining);
            self.deadline = ends.filter_map(|machine| machine.drain_by).filter(|at| now < *at).min();
        }
        self.stale.placements |= over;
        self.stale.assignments |= over;
    }

    /// Reports whether the drain of a machine has reached its deadline.
    pub(super) fn is_overdue(&self, machine: MachineId, now: Timestamp) -> bool {
        let machine = self.snapshot.machines.get(&machine).filter(|machine| machine.draining);
        machine.and_then(|machine| machine.drain_by).is_some_and(|at| now >= at)
    }

    /// Reports whether units in scope are still on a machine; `false` if the machine does not answer.
    pub fn is_occupied(&self, machine: MachineId) -> bool {
        let view = self.views.get(&machine).filter(|view| view.answers());
        view.and_then(|view| view.units.as_ref()).is_some_and(|units| units.keys().any(|unit| self.scope.has(unit)))
    }

    /// Reports whether a unit may run on a machine that is drained until it runs on another machine. Two copies may run
    /// for a moment. The same holds after the drain has been cancelled: the unit leaves because of it.
    pub(super) fn hands_over(&self, unit: &UnitName, machine: MachineId) -> bool {
        let class = || self.snapshot.file(unit).map(|file| Class::of(file));
        let moved = || self.snapshot.placements.get(unit)?.reason.moved.as_ref();
        let leaves = self.is_draining(machine) || moved() == Some(&RemovalReason::Drained(machine));
        leaves && matches!(class(), Some(Ok(Class::Available)))
    }

    /// Reports whether a unit that leaves a machine keeps running there for now: until it runs on its new machine, or,
    /// for a global unit, until all other units have left.
    pub(super) fn goes_on(&self, machine: MachineId, step: &Step, now: Timestamp) -> bool {
        // The machine's own word is enough, because it delays nothing elsewhere. The store may not have the state yet.
        let view = self.views.get(&machine);
        let state = view.and_then(|view| view.units.as_ref()).and_then(|units| units.get(&step.unit));
        let Some(state) = state.filter(|state| has_process(state)) else { return false };
        if self.is_overdue(machine, now) {
            return false;
        }
        match step.reason {
            Reason::PlacedElsewhere(to) => {
                let fails_here_too = || state.is_restarting() && self.fails_on(&step.unit, to);
                self.hands_over(&step.unit, machine) && !self.is_up(&step.unit, to) && !fails_here_too()
            }
            Reason::NotForThisMachine => self.is_draining(machine) && self.has_others(machine),
            _ => false,
        }
    }

    /// Reports whether no unit but global ones runs any more on a machine that is drained. The others lose nothing if they
    /// leave the machine although they fit on no other.
    pub(super) fn has_only_idle_units(&self, machine: MachineId) -> bool {
        let view = self.views.get(&machine).filter(|view| self.is_draining(machine) && view.answers());
        let Some(units) = view.and_then(|view| view.units.as_ref()) else { return false };
        !units.iter().any(|(unit, state)| has_process(state) && !self.requirements.is_global(unit))
    }

    fn is_draining(&self, machine: MachineId) -> bool {
        self.snapshot.machines.get(&machine).is_some_and(|machine| machine.draining)
    }

    /// Reports whether units that are not global are on a machine.
    fn has_others(&self, machine: MachineId) -> bool {
        let units = self.views.get(&machine).and_then(|view| view.units.as_ref()).into_iter().flatten();
        units.into_iter().any(|(unit, _)| !self.requirements.is_global(unit))
    }

    /// Reports whether a unit is on a machine as desired and nothing in flight can change that. A unit that is to be
    /// launched must have started.
    fn is_up(&self, name: &UnitName, machine: MachineId) -> bool {
        let Some(unit) = self.snapshot.units.get(name) else { return true };
        unit.desired != DesiredState::Launched || self.is_well_on(name, machine) == Some(true)
    }

    /// Reports whether a unit was started on a machine and does not run there.
    fn fails_on(&self, name: &UnitName, machine: MachineId) -> bool {
        self.is_well_on(name, machine) == Some(false)
    }

    /// Reports whether a unit that was started on a machine with its present file runs there; `None` if it was not, if systemd
    /// is still changing its state, or if a visit in flight may change it.
    fn is_well_on(&self, name: &UnitName, machine: MachineId) -> Option<bool> {
        let unit = self.snapshot.units.get(name)?;
        self.views.get(&machine).filter(|view| view.is_certain())?;
        let state = self.snapshot.states.get(name)?.get(&machine)?;
        let oneshot = self.snapshot.file(name).is_some_and(|file| file.is_oneshot());
        let has_started = state.launched && state.hash == unit.hash && !state.is_changing();
        has_started.then(|| state.is_well(oneshot))
    }
}

/// Reports whether a unit has processes that would be missed: not if it has ended and only waits for its next start.
pub(super) fn has_process(state: &UnitState) -> bool {
    state.runs() && !state.waits_for_restart()
}
