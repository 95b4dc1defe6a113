//! Dispatch: which steps a machine needs, which of them may be sent now, and the visits that carry them. [`plan`]
//! computes the steps; this module does not choose placements.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::Mode;
use super::Output;
use super::Reconciler;
use crate::core::model::Action;
use crate::core::model::Health;
use crate::core::model::LeaseAction;
use crate::core::model::Machine;
use crate::core::model::MachineId;
use crate::core::model::Ownership;
use crate::core::model::Reason;
use crate::core::model::SecretValues;
use crate::core::model::Step;
use crate::core::model::Timestamp;
use crate::core::model::UnitState;
use crate::core::model::Visit;
use crate::core::plan;
use crate::core::reconcile::assignments;
use crate::core::reconcile::machine_view::InFlightVisit;
use crate::core::reconcile::machine_view::MachineView;
use crate::core::unit::UnitName;

/// The first systemd version that finds new unit files without a daemon-reload (according to its NEWS).
const FINDS_NEW_FILES: u32 = 247;

/// The most units of which one visit to a machine with a lease has steps. If the host refuses each of them, the visit
/// takes a few seconds.
const UNITS_BESIDE_LEASE: usize = 50;

impl Reconciler {
    /// Sends every idle machine the steps that it needs, or observes it if that is due.
    pub(super) fn send_visits(&mut self, now: Timestamp, outputs: &mut Vec<Output>) {
        for machine in self.views.dirty() {
            if self.views.get(&machine).is_some_and(|view| view.in_flight.is_none() && view.is_due(now)) {
                let steps = self.plan_steps(machine, now);
                outputs.extend(self.send_visit(machine, steps, now));
            }
        }
    }

    /// Computes the steps that a machine needs, and returns those that may be sent now.
    fn plan_steps(&mut self, machine: MachineId, now: Timestamp) -> Vec<Step> {
        let is_settled = self.views.get(&machine).is_some_and(MachineView::is_settled);
        let needed = if is_settled { Vec::new() } else { self.needed_by(machine, now) };
        let waits = needed.iter().any(|step| self.waits_for_another(machine, step, now));
        let steps = if needed.is_empty() { Vec::new() } else { self.sendable(machine, needed.clone(), now) };
        if let Some(view) = self.views.touch(machine).filter(|view| view.is_ready()) {
            (view.unplanned, view.settled) = (false, needed.is_empty());
            view.update_backoffs(&needed, &steps, now);
            self.views.set_waits(machine, waits);
        }
        steps
    }

    /// Sends a visit with these steps; without steps only if an observation is due.
    fn send_visit(&mut self, machine: MachineId, steps: Vec<Step>, now: Timestamp) -> Option<Output> {
        let view = self.views.get(&machine).filter(|view| !steps.is_empty() || now >= view.next_visit)?;
        let barrier = view.uncertain_until.is_some_and(|until| now >= until);
        let through = Self::way_to(view, now, !steps.is_empty());
        // A quick observation compares with the last one over the same connection. After a relay was used, that is not
        // what the leader knows.
        let tries = through.is_none() && view.evidence.relay.is_some();
        let is_due = !view.may_be_glanced_at() || now >= view.next_full_observation;
        let quick = steps.is_empty() && !is_due && !barrier && !tries;
        let visit = self.make_visit(machine, steps, barrier, now);
        let holds = matches!(visit.lease, Some(LeaseAction::Hold { .. }));
        let lease = if holds { self.lease_lasts(machine, now) } else { None };
        let unloads_unknown = visit.steps.iter().any(|step| self.unloads_unknown(step, machine));
        let view = self.views.touch(machine)?;
        if unloads_unknown {
            view.unknown_units.sent();
        }
        view.in_flight = Some(InFlightVisit { steps: visit.steps.clone(), barrier, lease, since: now, through });
        if let Some(end) = lease {
            self.lease_sent(machine, end);
        }
        Some(Output::Visit { machine, visit: Box::new(visit), quick, through })
    }

    /// Makes the visit with these steps, and counts it if it may change something on the host.
    fn make_visit(&mut self, machine: MachineId, steps: Vec<Step>, barrier: bool, now: Timestamp) -> Visit {
        let lease = self.lease_order(machine, !steps.is_empty(), now);
        let acts = lease.is_some() || !steps.is_empty();
        self.numbered += u64::from(acts || barrier);
        let files = steps.iter().filter_map(|step| match step.action {
            Action::Load { hash, .. } => Some((hash, self.snapshot.files.get(&hash)?.clone())),
            _ => None,
        });
        let files: BTreeMap<_, _> = files.collect();
        let named = files.values().flat_map(|file| file.companions()).map(|companion| companion.hash);
        let contents = named.filter_map(|hash| Some((hash, self.snapshot.contents.get(&hash)?.clone()))).collect();
        let expiry = || self.views.get(&machine)?.expiry(now, self.timing.start_deadline);
        let known = self.snapshot.machines.get(&machine).filter(|_| !steps.is_empty());
        Visit {
            machine: Some(machine),
            cluster: self.snapshot.cluster.clone(),
            ownership: Ownership::Check,
            epoch: self.epoch,
            serial: self.snapshot.serial,
            number: if acts || barrier { self.numbered } else { 0 },
            read_only: false,
            expires: if acts { expiry() } else { None },
            lease,
            barrier,
            reload: acts && self.snapshot.machines.get(&machine).is_none_or(|it| it.systemd < FINDS_NEW_FILES),
            asks_for_room: self.full.contains(&machine),
            machine_variables: known.map(Machine::variables).unwrap_or_default(),
            files,
            contents,
            secrets: SecretValues::default(),
            steps,
        }
    }

    /// Returns the steps that a machine needs and that may be sent now.
    pub fn steps_for(&self, machine: MachineId, now: Timestamp) -> Vec<Step> {
        self.sendable(machine, self.needed_by(machine, now), now)
    }

    /// Returns the steps that a machine needs; none while its units are unknown or a visit is in flight.
    fn needed_by(&self, machine: MachineId, now: Timestamp) -> Vec<Step> {
        let Some(view) = self.views.get(&machine).filter(|view| view.is_ready()) else { return Vec::new() };
        let Some(observed) = &view.units else { return Vec::new() };
        let none = BTreeMap::new();
        let wanted = self.assignments.wanted(machine).unwrap_or(&none);
        let overdue = self.is_overdue(machine, now).then_some(Reason::Drained);
        let idle = self.has_only_idle_units(machine).then_some(Reason::Drained);
        let removal_reason = |unit: &UnitName| {
            if !self.scope.has(unit) || !self.snapshot.is_readable(unit) {
                return None;
            }
            let global = self.requirements.is_global(unit);
            let overdue = overdue.filter(|_| !global);
            let refused = || self.is_refused_remnant(unit, observed).then_some(Reason::NoMachine);
            let assigned = assignments::removal_reason(&self.snapshot, unit, machine, self.globals.is_some() && global);
            let idle = idle.filter(|_| self.is_refused(unit));
            assigned.or(overdue).or(idle).or_else(refused)
        };
        let is_foreign = |unit: &UnitName| view.foreign.contains_key(unit);
        let mut steps = plan::steps(wanted, observed, is_foreign, removal_reason);
        // The assignments may still name a file that another file has replaced since.
        let has_file = |action| match action {
            Action::Load { hash, .. } => self.snapshot.files.contains_key(&hash),
            _ => true,
        };
        steps.retain(|step| self.snapshot.is_readable(&step.unit) && has_file(step.action));
        steps
    }

    /// Returns those of the steps that may be sent now.
    fn sendable(&self, machine: MachineId, mut steps: Vec<Step>, now: Timestamp) -> Vec<Step> {
        // Assignments that the records have overtaken would undo what was ordered since.
        let is_overtaken = self.stale.assignments && self.globals.is_some();
        if self.mode == Mode::LeaseOnly || is_overtaken {
            return Vec::new();
        }
        let Some(view) = self.views.get(&machine) else { return Vec::new() };
        steps.retain(|step| !view.is_backing_off(&step.unit, now) && !self.outbox.moves(&step.unit));
        steps.retain(|step| !view.pulls.is_waiting(&step.unit, now));
        steps.retain(|step| !self.waits_for_another(machine, step, now));
        let stopping: BTreeSet<UnitName> =
            steps.iter().filter(|step| view.still_stops(step)).map(|step| step.unit.clone()).collect();
        steps.retain(|step| !stopping.contains(&step.unit));
        // A visit that does not renew the lease, or that takes long, must not delay one that renews it.
        if self.must_lease_first(machine) || !view.may_take_steps(now) {
            steps.clear();
        }
        self.keep_portion(machine, &mut steps, now);
        if self.snapshot.leases.contains_key(&machine) {
            keep_units(&mut steps, UNITS_BESIDE_LEASE);
        }
        self.keep_complete(machine, &mut steps);
        steps
    }

    /// Reports whether no machine takes a unit, and this one has it still and does not run it. A unit that runs goes on.
    fn is_refused_remnant(&self, unit: &UnitName, observed: &BTreeMap<UnitName, UnitState>) -> bool {
        self.is_refused(unit) && observed.get(unit).is_some_and(|state| !state.runs() && !state.is_changing())
    }

    /// Reports whether a unit is on no machine, because none takes it.
    fn is_refused(&self, unit: &UnitName) -> bool {
        self.refused.contains_key(unit) && !self.snapshot.placements.contains_key(unit)
    }

    /// Reports whether a step waits for another machine.
    fn waits_for_another(&self, machine: MachineId, step: &Step, now: Timestamp) -> bool {
        // A strict unit is adopted only under a lease, with which it stops.
        let adopts_strict = matches!(step.action, Action::Adopt { strict: true, .. });
        if !step.action.starts() && !adopts_strict {
            return self.goes_on(machine, step, now) || self.awaits_image(machine, step, now);
        }
        // A unit that runs here already becomes no second copy.
        let state = self.views.get(&machine).and_then(|view| view.units.as_ref()?.get(&step.unit));
        let is_copy = self.is_strict(&step.unit) || !state.is_some_and(UnitState::is_up);
        is_copy && self.runs_elsewhere(&step.unit, machine, now) || self.strict_hold(&step.unit, machine).is_some()
    }

    /// Reports whether a unit still runs on another machine and can be stopped there first. A machine that is suspected
    /// or not assessed yet counts, because it may answer. An available unit waits only while it can be expected to leave
    /// the other machine.
    fn runs_elsewhere(&self, unit: &UnitName, machine: MachineId, now: Timestamp) -> bool {
        let Some(states) = self.snapshot.states.get(unit) else { return false };
        let mut others = states.iter().filter(|(other, state)| **other != machine && state.runs());
        others.any(|(other, _)| {
            let unwanted = self.assignments.of(*other, unit).is_none();
            let leaves = |view: &MachineView| self.is_strict(unit) || view.may_leave(unit, now);
            let waits = |view: &MachineView| {
                (view.answers() || matches!(view.health, None | Some(Health::Suspect))) && leaves(view)
            };
            unwanted && self.views.get(other).is_some_and(waits) && !self.hands_over(unit, *other)
        })
    }
}

/// Drops the steps of all units after the first `count`.
fn keep_units(steps: &mut Vec<Step>, count: usize) {
    let units: BTreeSet<UnitName> = steps.iter().map(|step| step.unit.clone()).collect();
    if let Some(first) = units.iter().nth(count) {
        steps.retain(|step| step.unit < *first);
    }
}
