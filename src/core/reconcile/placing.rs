//! Placing: takes units off machines where they cannot stay and places them on machines that fit.
//! [`crate::core::schedule`] filters and ranks the machines; this module adds health, hold-downs, drains and leases.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use super::Reconciler;
use super::outbox::moved_unit;
use crate::core::model::DesiredState;
use crate::core::model::EventKind;
use crate::core::model::FilterReason;
use crate::core::model::Health;
use crate::core::model::MachineId;
use crate::core::model::Placement;
use crate::core::model::PlacementError;
use crate::core::model::PlacementReason;
use crate::core::model::RemovalReason;
use crate::core::model::Timestamp;
use crate::core::model::Write;
use crate::core::reconcile::assignments::Assignments;
use crate::core::reconcile::assignments::Globals;
use crate::core::reconcile::assignments::Scope;
use crate::core::reconcile::machine_view::MachineView;
use crate::core::schedule::ProposedPlacement;
use crate::core::schedule::Schedulability;
use crate::core::schedule::Scheduler;
use crate::core::schedule::dependencies_first;
use crate::core::schedule::full_machines;
use crate::core::unit::UnitName;

/// How long a command waits for each machine before it places units of a store that was restored.
const RESTORED_WAIT: Duration = Duration::from_secs(5);

/// The placements that a unit needs: its own and those of the units that it displaces.
type Placed = Result<Vec<ProposedPlacement>, PlacementError>;

impl Reconciler {
    /// Brings placements and assignments up to date, unless a commit is in flight.
    pub(super) fn place(&mut self, now: Timestamp) {
        self.first_visits_until = self.first_visits(now);
        if !self.stale.placements || self.outbox.is_committing() || self.first_visits_until.is_some() {
            // Before units are placed for the first time, no global unit has a machine that may have changed.
            if self.globals.is_none() && std::mem::take(&mut self.stale.assignments) {
                self.rebuild_assignments();
            }
            return;
        }
        self.stale.placements = false;
        self.place_units(now);
        if std::mem::take(&mut self.stale.assignments) {
            self.rebuild_assignments();
        }
        // A step may have waited for another machine that no longer holds the unit.
        self.views.replan_waiting();
    }

    /// Returns when scheduling stops waiting for the first visit to each machine, because the units there are not known
    /// yet. It waits no longer than the detection of a silent machine takes. A command waits only if the store was restored: a
    /// new unit may then run already.
    fn first_visits(&self, now: Timestamp) -> Option<Timestamp> {
        let is_command = self.scope != Scope::All;
        let unseen = self.views.unseen().filter(|_| !is_command || self.spares_unknown());
        let wait = if is_command { RESTORED_WAIT } else { self.timing.detection.down_after };
        let last = unseen.map(|view| view.evidence.watched_since + wait).max();
        last.filter(|until| now < *until)
    }

    /// Computes the assignments again.
    fn rebuild_assignments(&mut self) {
        let none = Globals::new();
        let assignments = Assignments::new(&self.snapshot, &self.scope, self.globals.as_ref().unwrap_or(&none));
        for (machine, view) in self.views.touch_all() {
            // A backoff ends when the assignment of its unit changes: the refused step may no longer be needed.
            let same = |unit: &UnitName| assignments.of(*machine, unit) == self.assignments.of(*machine, unit);
            view.backoffs.retain(|unit, _| same(unit));
            view.unplanned = true;
        }
        self.assignments = assignments;
        self.stale.leases = true;
        for machine in self.views.machines() {
            self.renew_need(machine);
        }
        self.stale.views |= self.scope != Scope::All;
    }

    /// Applies placements that the store has accepted.
    pub(super) fn moved(&mut self, placements: Vec<Write>) {
        let mut machines = BTreeSet::new();
        for write in placements {
            self.moved_one(write, &mut machines);
        }
        for machine in machines {
            self.renew_need(machine);
        }
    }

    /// Applies a placement, and adds the machines whose units have changed.
    fn moved_one(&mut self, write: Write, machines: &mut BTreeSet<MachineId>) {
        let Some(unit) = moved_unit(&write).cloned() else { return };
        let before = self.snapshot.placements.get(&unit).map(|placement| placement.machine);
        let after = if let Write::Place(_, placement) = &write { Some(placement.machine) } else { None };
        self.snapshot.apply(write);
        if self.requirements.is_global(&unit) {
            self.stale.assignments = true;
            self.stale.placements = true;
            return;
        }
        // The unit may be placed elsewhere because its load has failed.
        self.stale.placements |= before == after;
        self.assignments.shift(&self.snapshot, &self.scope, &unit, before, after);
        self.stale.leases = true;
        for machine in before.into_iter().chain(after) {
            let Some(view) = self.views.touch(machine) else { continue };
            if before != after {
                view.backoffs.remove(&unit);
            }
            view.unplanned = true;
            machines.insert(machine);
        }
        for machine in self.snapshot.states.get(&unit).into_iter().flat_map(BTreeMap::keys) {
            self.views.touch(*machine).into_iter().for_each(|view| view.unplanned = true);
        }
    }

    /// Reports whether a machine may take new units, as far as its visits tell.
    fn is_eligible(&self, machine: MachineId) -> bool {
        match self.views.get(&machine).filter(|view| !view.evidence.is_empty()) {
            // Machines that are reached only through a relay take no new units.
            Some(view) => view.evidence.answers_directly(),
            None => self.scope != Scope::All && matches!(self.health(machine), None | Some(Health::Alive)),
        }
    }

    /// Returns that a machine may take units, or why it may not.
    fn schedulability(
        &self,
        machine: MachineId,
        full: &BTreeMap<MachineId, Timestamp>,
        now: Timestamp,
    ) -> Schedulability {
        if self.is_eligible(machine) {
            if full.contains_key(&machine) {
                return Schedulability::Full;
            }
            let hold =
                self.snapshot.health.get(&machine).and_then(|health| self.failover_policy.hold_down(health, now));
            return hold.map_or(Schedulability::Health(Health::Alive), |hold| Schedulability::Flapping(hold.outages));
        }
        self.health(machine).filter(|health| *health != Health::Alive).unwrap_or(Health::Suspect).into()
    }

    /// Takes units off machines where they cannot or should not stay, and places every unit that needs a machine.
    fn place_units(&mut self, now: Timestamp) {
        let refused_before = std::mem::take(&mut self.refused);
        let placements = &self.snapshot.placements;
        let moved = placements.iter().filter_map(|(unit, at)| Some((unit.clone(), self.misplaced(unit, at)?)));
        let mut moved: BTreeMap<UnitName, RemovalReason> = moved.collect();
        let wanting = self.snapshot.units.iter().filter(|(name, unit)| {
            let unplaced = moved.contains_key(*name) || !placements.contains_key(*name);
            unit.desired != DesiredState::Inactive
                && unplaced
                && self.scope.has(name)
                && self.snapshot.is_readable(name)
                && !self.requirements.is_global(name)
        });
        let wanting: Vec<UnitName> = wanting.map(|(name, _)| name.clone()).collect();
        let full = full_machines(&self.snapshot, now);
        self.exclusion_ends = full.values().copied().chain(self.next_hold_down_end(now)).min();
        let schedulability = |machine| self.schedulability(machine, &full, now);
        let mut scheduler = Scheduler::new(&self.snapshot, schedulability, &self.requirements);
        for unit in moved.keys() {
            scheduler.remove(unit);
        }
        let mut placed = self.rehouse(&mut scheduler, &mut moved);
        placed.extend(scheduler.schedule_all(&wanting).into_iter().map(|(unit, choices)| (unit.clone(), choices)));
        let on = |machine: &MachineId| scheduler.globals_on(*machine).cloned().collect::<BTreeSet<_>>();
        let globals = self.snapshot.machines.keys().map(|machine| (*machine, on(machine)));
        let globals: Globals = globals.filter(|(_, units)| !units.is_empty()).collect();
        for (unit, choices) in placed {
            match choices {
                Ok(choices) => self.accept(choices, &mut moved, now),
                Err(refusal) => {
                    // Numbers in the reason change whenever a machine joins or leaves. Only a new kind of reason is
                    // logged.
                    let kind = std::mem::discriminant(&refusal);
                    if refused_before.get(&unit).map(std::mem::discriminant) != Some(kind) {
                        self.log(now, None, Some(&unit), EventKind::UnitUnschedulable(refusal.clone()));
                    }
                    self.refused.insert(unit, refusal);
                }
            }
        }
        let have_changed = self.globals.as_ref() != Some(&globals);
        self.stale.assignments |= have_changed;
        self.globals = Some(globals);
        if have_changed {
            self.adopt_all(now);
        }
        // A unit that fits on no other machine keeps its placement: its machine may come back.
        let wanted = |unit: &UnitName| {
            let machine = self.snapshot.placements.get(unit).map(|placement| placement.machine);
            let leaves = |machine| {
                self.is_overdue(machine, now) || self.refused.contains_key(unit) && self.has_only_idle_units(machine)
            };
            let joined =
                machine.is_some_and(|machine| self.snapshot.machines.contains_key(&machine) && !leaves(machine));
            let global = self.requirements.is_global(unit);
            let wanted = self.snapshot.units.get(unit).is_some_and(|unit| unit.desired != DesiredState::Inactive);
            joined && wanted && !global
        };
        moved.retain(|unit, _| !wanted(unit));
        for (unit, why) in moved {
            let machine = self.snapshot.placements.get(&unit).map(|placement| placement.machine);
            self.log(now, machine, Some(&unit), EventKind::UnitRemoved(why));
            self.outbox.push(Write::Unplace(unit));
        }
    }

    /// Finds other machines for units that no longer fit on their machines, as fleet did. A running unit is not stopped
    /// if it fits nowhere else. A machine that does not answer keeps its units, because they could not be stopped
    /// there.
    fn rehouse(
        &self,
        scheduler: &mut Scheduler<'_>,
        moved: &mut BTreeMap<UnitName, RemovalReason>,
    ) -> Vec<(UnitName, Placed)> {
        let settled = self.snapshot.placements.iter().filter(|(unit, at)| {
            let answers = self.views.get(&at.machine).is_some_and(MachineView::answers);
            let alive = answers && self.health(at.machine) == Some(Health::Alive);
            alive && !moved.contains_key(*unit) && self.scope.has(unit) && self.snapshot.is_readable(unit)
        });
        let settled = dependencies_first(settled.map(|(unit, _)| unit), &self.requirements);
        let mut placed = Vec::new();
        for unit in settled {
            let Some(at) = self.snapshot.placements.get(unit) else { continue };
            // Another unit may have displaced it meanwhile.
            let machine = scheduler.machine_of(unit).filter(|machine| *machine == at.machine);
            let Some(here) = machine.and_then(|machine| self.snapshot.machines.get(&machine)) else { continue };
            let misfit = scheduler.filter_reason(unit, here.id);
            let misfit = misfit.or_else(|| self.load_failure(scheduler, unit, at));
            let Some(filter_reason) = misfit else { continue };
            let choices = scheduler.schedule(unit);
            // The failed load itself is reported as long as it lasts.
            if choices.is_err() && matches!(filter_reason, FilterReason::LoadFailed(_)) {
                continue;
            }
            if choices.is_ok() {
                let filter_reason = filter_reason.clone();
                moved.insert(unit.clone(), RemovalReason::Misfit { machine: here.id, filter_reason });
            }
            let stays = |why| PlacementError::Stays { machine: here.name.clone(), filter_reason, why: Box::new(why) };
            placed.push((unit.clone(), choices.map_err(stays)));
        }
        placed
    }

    /// Accepts placements, or visits the chosen machines first if they were not visited yet.
    fn accept(
        &mut self,
        choices: Vec<ProposedPlacement>,
        moved: &mut BTreeMap<UnitName, RemovalReason>,
        now: Timestamp,
    ) {
        let answers = |machine: &MachineId| self.views.get(machine).is_some_and(MachineView::answers);
        let unseen: Vec<MachineId> = choices.iter().map(|choice| choice.machine).filter(|id| !answers(id)).collect();
        if !unseen.is_empty() {
            for machine in unseen {
                self.probe_candidates.insert(machine);
                self.views.add(machine, now);
            }
            return;
        }
        for ProposedPlacement { unit, machine, reason: choice } in choices {
            let reason = PlacementReason { choice, moved: moved.remove(&unit) };
            self.log(now, Some(machine), Some(&unit), EventKind::UnitPlaced(reason.clone()));
            // A unit that is displaced by a unit in scope comes into scope too.
            if let Scope::Units(units) = &mut self.scope {
                self.stale.views |= units.insert(unit.clone());
            }
            let failed_loads = self.failed_loads(&unit);
            let placement = Placement { machine, epoch: self.epoch, reason, since: now, failed_loads, pull: None };
            self.outbox.push(Write::Place(unit, placement));
        }
    }

    /// Returns why a unit cannot stay on its machine; `None` if it can.
    fn misplaced(&self, unit: &UnitName, placement: &Placement) -> Option<RemovalReason> {
        if !self.scope.has(unit) || !self.snapshot.is_readable(unit) {
            return None;
        }
        match self.snapshot.units.get(unit) {
            None => return Some(RemovalReason::NotSubmitted),
            Some(unit) if unit.desired == DesiredState::Inactive => return Some(RemovalReason::WantedInactive),
            Some(_) if self.requirements.is_global(unit) => return Some(RemovalReason::Global),
            Some(_) => {}
        }
        let Some(machine) = self.snapshot.machines.get(&placement.machine) else {
            return Some(RemovalReason::MachineLeft(placement.machine));
        };
        if machine.draining {
            return Some(RemovalReason::Drained(machine.id));
        }
        // A strict unit is not moved before it has certainly stopped.
        let may_run = self.is_strict(unit) && self.snapshot.leases.contains_key(&placement.machine);
        let health = self.health(placement.machine).filter(|_| !may_run)?;
        // If only the sshd of a machine fails, its strict units have stopped, because their lease has ended.
        let stopped = self.is_strict(unit) && matches!(health, Health::SshdDown | Health::Throttled);
        (health == Health::Down || stopped).then(|| self.unhealthy(machine.id, health))
    }

    /// Returns the reason of a failover. An operator may have ordered it for a machine that is not down.
    fn unhealthy(&self, machine: MachineId, health: Health) -> RemovalReason {
        let recorded = self.snapshot.health.get(&machine).filter(|record| record.health == health);
        let reason = recorded.map(|record| &record.reason);
        let health = reason.and_then(|reason| reason.assessed).unwrap_or(health);
        let forced_by = reason.and_then(|reason| reason.forced_by.clone());
        RemovalReason::Unhealthy { machine, health, forced_by }
    }
}
