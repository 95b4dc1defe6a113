//! The reconciler's draining: units leave a machine by starting elsewhere first, unless they must never run twice, and at the
//! deadline whatever comes of it. What is everywhere may serve the others, so it stops there last.

use super::Reconciler;
use crate::core::model::DesiredState;
use crate::core::model::MachineId;
use crate::core::model::Reason;
use crate::core::model::Step;
use crate::core::model::Timestamp;
use crate::core::model::UnitState;
use crate::core::reconcile::machine_view::MachineView;
use crate::core::unit::Class;
use crate::core::unit::UnitName;

impl Reconciler {
    /// Takes note of drains whose time is over, and of when the next one's is.
    pub(super) fn watch_deadlines(&mut self, now: Timestamp) {
        let over = self.deadline.is_some_and(|at| now >= at);
        if over || self.stale.views {
            let ends = self.snapshot.machines.values().filter(|machine| machine.draining);
            self.deadline = ends.filter_map(|machine| machine.drain_by).filter(|at| now < *at).min();
        }
        self.stale.placements |= over;
        self.stale.assignments |= over;
    }

    /// Says whether everything has to be off a machine now.
    pub(super) fn is_overdue(&self, machine: MachineId, now: Timestamp) -> bool {
        let machine = self.snapshot.machines.get(&machine).filter(|machine| machine.draining);
        machine.and_then(|machine| machine.drain_by).is_some_and(|at| now >= at)
    }

    /// Says whether some of the reconciler's units are still on a machine, as far as it answers.
    pub fn is_occupied(&self, machine: MachineId) -> bool {
        let view = self.views.get(&machine).filter(|view| view.answers());
        view.and_then(|view| view.units.as_ref()).is_some_and(|units| units.keys().any(|unit| self.scope.has(unit)))
    }

    /// Says whether a unit may run on a machine until it runs elsewhere, and there as long as it is still on this one.
    pub(super) fn hands_over(&self, unit: &UnitName, machine: MachineId) -> bool {
        let class = || self.snapshot.file(unit).map(|file| Class::of(file));
        self.is_draining(machine) && matches!(class(), Some(Ok(Class::Available)))
    }

    /// Says whether a unit that leaves a machine goes on there for now: until it runs where it goes, or, if it is
    /// everywhere, until the others have left.
    pub(super) fn goes_on(&self, machine: MachineId, step: &Step, now: Timestamp) -> bool {
        let state = self.snapshot.states.get(&step.unit).and_then(|states| states.get(&machine));
        if !state.is_some_and(UnitState::runs) || self.is_overdue(machine, now) {
            return false;
        }
        match step.reason {
            Reason::PlacedElsewhere(to) => self.hands_over(&step.unit, machine) && !self.is_up(&step.unit, to),
            Reason::NotForThisMachine => self.is_draining(machine) && self.has_others(machine),
            _ => false,
        }
    }

    fn is_draining(&self, machine: MachineId) -> bool {
        self.snapshot.machines.get(&machine).is_some_and(|machine| machine.draining)
    }

    /// Says whether units are on a machine that are not everywhere.
    fn has_others(&self, machine: MachineId) -> bool {
        let units = self.views.get(&machine).and_then(|view| view.units.as_ref()).into_iter().flatten();
        units.into_iter().any(|(unit, _)| !self.requirements.is_global(unit))
    }

    /// Says whether a unit is on a machine as it should be, and nothing under way there can change that; one that is to be
    /// launched has started.
    fn is_up(&self, name: &UnitName, machine: MachineId) -> bool {
        let Some(unit) = self.snapshot.units.get(name) else { return true };
        let certain = self.views.get(&machine).is_some_and(MachineView::is_certain);
        let state = self.snapshot.states.get(name).and_then(|states| states.get(&machine)).filter(|_| certain);
        let oneshot = self.snapshot.file(name).is_some_and(|file| file.is_oneshot());
        let started = state.is_some_and(|state| {
            state.launched && state.hash == unit.hash && !state.is_changing() && state.is_well(oneshot)
        });
        unit.desired != DesiredState::Launched || started
    }
}
