//! Loads that fail on a host: the unit is placed elsewhere, on a bounded number of machines, and a machine without room
//! takes no new units for a while.

use std::time::Duration;

use super::Reconciler;
use super::outbox::moved_unit;
use crate::core::model::Action;
use crate::core::model::FAILED_LOADS;
use crate::core::model::FailedLoad;
use crate::core::model::FilterReason;
use crate::core::model::MachineId;
use crate::core::model::Outcome;
use crate::core::model::Placement;
use crate::core::model::Step;
use crate::core::model::Timestamp;
use crate::core::model::Write;
use crate::core::sanitize::MESSAGE_LIMIT;
use crate::core::sanitize::truncate;
use crate::core::schedule::Scheduler;
use crate::core::unit::Hash;
use crate::core::unit::UnitName;

/// How old the record of a failed load is before the next failure on the same machine replaces it.
const RENEW: Duration = Duration::from_mins(2);

impl Reconciler {
    /// Records the failed loads of a visit with the placements of their units.
    pub(super) fn record_failed_loads(
        &mut self,
        machine: MachineId,
        steps: &[Step],
        outcomes: &[Outcome],
        now: Timestamp,
    ) {
        for (step, outcome) in steps.iter().zip(outcomes) {
            let (Action::Load { hash, .. }, Outcome::Failed(said)) = (step.action, outcome) else { continue };
            let said = truncate(said, MESSAGE_LIMIT);
            let here = self.snapshot.placements.get(&step.unit).filter(|placement| placement.machine == machine);
            let known =
                |it: &FailedLoad| (it.machine, it.hash, &it.said) == (machine, hash, &said) && now < it.at + RENEW;
            let Some(placement) = here else { continue };
            if placement.failed_loads.iter().any(known) {
                // An earlier leader has recorded it. A machine may take the unit that did not take it then.
                self.stale.placements = true;
                continue;
            }
            if self.outbox.holds(|write| moved_unit(write) == Some(&step.unit)) {
                continue;
            }
            let mut placement = placement.clone();
            placement.pull = None;
            let load = FailedLoad { machine, hash, said, at: now };
            self.full.extend(load.is_for_lack_of_room().then_some(machine));
            let loads = &mut placement.failed_loads;
            loads.retain(|it| it.hash == hash && it.machine != machine);
            loads.push(load);
            loads.drain(..loads.len().saturating_sub(FAILED_LOADS));
            self.outbox.push(Write::Place(step.unit.clone(), placement));
        }
    }

    /// Removes the failed loads for which a machine had no room: it has room again, and so takes units.
    pub(super) fn forget_lack_of_room(&mut self, machine: MachineId) {
        let lacked = |load: &FailedLoad| load.machine == machine && load.is_for_lack_of_room();
        let placements = self.snapshot.placements.iter();
        let marked = placements.filter(|(_, placement)| placement.failed_loads.iter().any(lacked));
        let (moving, marked): (Vec<_>, Vec<_>) =
            marked.partition(|(unit, _)| self.outbox.holds(|write| moved_unit(write) == Some(unit)));
        let forgotten: Vec<Write> = marked
            .into_iter()
            .map(|(unit, placement)| {
                let mut placement = placement.clone();
                placement.failed_loads.retain(|load| !lacked(load));
                Write::Place(unit.clone(), placement)
            })
            .collect();
        if moving.is_empty() && forgotten.is_empty() {
            self.full.remove(&machine);
        }
        for write in forgotten {
            self.outbox.push(write);
        }
    }

    /// Returns the failed loads of a unit's present file.
    pub(super) fn failed_loads(&self, unit: &UnitName) -> Vec<FailedLoad> {
        let loads = self.snapshot.placements.get(unit).into_iter().flat_map(|placement| &placement.failed_loads);
        loads.filter(|it| self.is_of_file(unit, it.hash)).cloned().collect()
    }

    /// Reports whether a unit's present file has this hash.
    fn is_of_file(&self, unit: &UnitName, hash: Hash) -> bool {
        self.snapshot.units.get(unit).is_some_and(|record| record.hash == hash)
    }

    /// Returns why a unit is to leave its machine because it could not be loaded there, and rules out all machines where
    /// it could not. A unit that could be loaded on none of several machines stays: its file is at fault. So does a unit
    /// of which an earlier file runs here, and one for which the leader lacks something.
    pub(super) fn load_failure(
        &self,
        scheduler: &mut Scheduler<'_>,
        unit: &UnitName,
        at: &Placement,
    ) -> Option<FilterReason> {
        let view = self.views.get(&at.machine)?;
        view.backoffs.get(unit).filter(|it| matches!(it.step.action, Action::Load { .. }))?;
        // It would be stopped here before it could start elsewhere, where the file may be refused too.
        let there = view.units.as_ref().and_then(|units| units.get(unit));
        if there.is_some_and(|state| state.runs() && !self.is_of_file(unit, state.hash)) {
            return None;
        }
        let loads = self.failed_loads(unit);
        let here = loads.iter().find(|it| it.machine == at.machine).filter(|it| !it.is_of_leader())?.said.clone();
        if loads.len() >= FAILED_LOADS {
            return None;
        }
        for FailedLoad { machine, said, .. } in loads {
            scheduler.exclude(unit, machine, FilterReason::LoadFailed(said));
        }
        Some(FilterReason::LoadFailed(here))
    }
}
