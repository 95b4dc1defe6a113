//! Foreign units: unit files on a host that muster did not write. They are reported and get no step. This module sends
//! nothing.

use super::Reconciler;
use crate::core::model::DesiredState;
use crate::core::model::EventKind;
use crate::core::model::ForeignUnits;
use crate::core::model::MachineId;
use crate::core::model::Timestamp;
use crate::core::model::UnitState;
use crate::core::model::Write;
use crate::core::unit::UnitName;

impl Reconciler {
    /// Counts the foreign units of a machine as its units if it has the submitted files, and adopts them or is their place, as
    /// every machine that fits is for a global unit: the mark of a unit that belongs there is gone, as after another cluster has
    /// taken the host over and left it, or after a user has removed the marks.
    pub(super) fn take_adoptable(&mut self, machine: MachineId) {
        let Some(record) = self.snapshot.machines.get(&machine) else { return };
        let Some(view) = self.views.get(&machine) else { return };
        let is_submitted = |unit: &UnitName, state: &UnitState| {
            let record = self.snapshot.units.get(unit);
            record.is_some_and(|record| record.hash == state.hash && record.desired != DesiredState::Inactive)
        };
        let is_placed = |unit| self.snapshot.placements.get(unit).is_some_and(|placement| placement.machine == machine);
        let globals = self.globals.as_ref().and_then(|globals| globals.get(&machine));
        let is_global = |unit| globals.is_some_and(|globals| globals.contains(unit));
        let is_expected = |unit| record.adopts.contains(unit) || is_placed(unit) || is_global(unit);
        let adopted = view.foreign.iter().filter(|(unit, state)| is_expected(*unit) && is_submitted(unit, state));
        let adopted: Vec<_> = adopted.map(|(unit, state)| (unit.clone(), state.clone())).collect();
        let Some(view) = self.views.touch(machine).filter(|_| !adopted.is_empty()) else { return };
        (view.unplanned, view.is_recorded) = (true, false);
        view.units.iter_mut().for_each(|units| units.extend(adopted.iter().cloned()));
    }

    /// Adopts what has become adoptable with a change of the records, or because global units belong on more machines.
    pub(super) fn adopt_all(&mut self, now: Timestamp) {
        let machines = self.snapshot.machines.values();
        let has_foreign = |machine: &MachineId| self.views.get(machine).is_some_and(|view| !view.foreign.is_empty());
        let adopting = machines.map(|machine| machine.id).filter(has_foreign);
        for machine in adopting.collect::<Vec<_>>() {
            self.take_adoptable(machine);
            self.note_states(machine, now);
            self.renew_need(machine);
        }
    }

    /// Records the foreign units of a machine if they have changed. An event names them when there are new ones.
    pub(super) fn note_foreign(&mut self, machine: MachineId, now: Timestamp) {
        let Some(view) = self.views.get(&machine) else { return };
        let is_adopted = |unit: &&UnitName| view.units.as_ref().is_some_and(|units| units.contains_key(*unit));
        let left: Vec<&UnitName> = view.foreign.keys().filter(|unit| !is_adopted(unit)).collect();
        let seen = ForeignUnits::new(left.into_iter());
        let none = ForeignUnits::default();
        let known = self.snapshot.foreign.get(&machine).unwrap_or(&none);
        if seen == *known || !view.unknown_units.may_note(now) {
            return;
        }
        let is_new = seen.count > known.count || !seen.names.is_subset(&known.names);
        self.note(Write::Foreign(machine, seen.clone()));
        if is_new {
            self.log(now, Some(machine), None, EventKind::ForeignUnitsFound(seen));
        }
        self.views.touch(machine).into_iter().for_each(|view| view.unknown_units.noted());
        self.stale.placements = true;
    }
}
