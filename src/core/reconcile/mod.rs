//! The reconciler: a state machine that takes [`Input`]s and returns [`Output`]s. It observes, assesses, schedules,
//! plans and applies.
//!
//! Each operation, sweep, controller and simulation runs this one state machine. They differ only in the [`Scope`] and
//! in when they stop. The reconciler must not wait, do I/O or read a clock: the runner carries out the outputs and
//! feeds their results back as inputs.
//!
//! Three rules keep it safe. The store accepts a placement before any step that follows from it is sent. A machine that
//! failed to answer is observed again before it gets steps. A machine has at most one visit in flight, so that no visit
//! overtakes another.

pub mod assignments;
mod dispatch;
mod draining;
mod failed_loads;
mod fencing;
mod foreign_units;
mod health;
mod leases;
pub mod machine_view;
mod needed_units;
mod outbox;
mod placing;
mod probing;
mod pulls;
mod recording;
pub mod restored;
#[cfg(test)]
mod tests;
mod unit_changes;
mod unknown_units;
mod views;
mod visit_results;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use crate::core::health::DetectionConfig;
use crate::core::health::failover::FailoverCounts;
use crate::core::health::failover::FailoverPolicy;
use crate::core::lease::LeasePolicy;
use crate::core::model::Failure;
use crate::core::model::Health;
use crate::core::model::MachineId;
use crate::core::model::Phase;
use crate::core::model::PlacementError;
use crate::core::model::Report;
use crate::core::model::RestorationWitness;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;
use crate::core::model::UnitState;
use crate::core::model::Visit;
use crate::core::model::Write;
use crate::core::reconcile::assignments::Assignments;
use crate::core::reconcile::assignments::Globals;
use crate::core::reconcile::assignments::Scope;
use crate::core::reconcile::machine_view::Backoff;
use crate::core::reconcile::machine_view::InFlightVisit;
use crate::core::reconcile::machine_view::MachineView;
use crate::core::schedule::RequirementsIndex;
use crate::core::schedule::full_machines;
use crate::core::unit::UnitName;
use outbox::Outbox;
use outbox::PendingCommit;
use outbox::moved_unit;
use views::Views;

/// How often the reconciler visits machines, and how long it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// The time between two visits to a machine that answers.
    pub poll_interval: Duration,
    /// The time between two full observations of a machine. A full observation costs the host a few processes.
    pub full_poll_interval: Duration,
    /// The time between two visits to a machine that does not answer or has a unit that is changing.
    pub retry_interval: Duration,
    /// How long steps may be in flight: a host refuses steps that arrive later. The runner must not give up a visit
    /// before this time.
    pub start_deadline: Duration,
    /// When a silent machine counts as down.
    pub detection: DetectionConfig,
    /// The length of the leases that this reconciler grants; `None` if it starts no strict units.
    pub lease: Option<LeasePolicy>,
}

/// Something that happened.
#[derive(Debug)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// The leadership has ended.
    Lost,
    /// The operator stops the run: nothing new is begun.
    Stop,
    /// The store accepted the commit (`true`), or rejected it because another process leads (`false`).
    Committed(bool),
    /// The leader's own process was stalled for this long: that nothing came in during this time is no evidence.
    Stalled(Duration),
    /// The machine's own sshd has sent something: the visit in flight has entered this phase, or has received more data
    /// in it. [`Phase::KeyExchange`] means that sshd has sent its greeting.
    Progress(MachineId, Phase),
    /// A visit to a machine ended.
    Visited(MachineId, Box<Result<Report, Failure>>),
    /// A peer probe ended.
    Probed {
        /// The machine.
        machine: MachineId,
        /// The peer.
        peer: MachineId,
        /// Whether an sshd sent its greeting; `None` if the probe learned nothing.
        reached: Option<bool>,
    },
    /// The fence command of a machine succeeded, or failed with this error.
    Fenced(MachineId, Result<(), String>),
}

/// Something that the runner must do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Commit these writes if this process still leads. The next commit follows only after the answer.
    Commit(Vec<Write>),
    /// Make this visit. The next visit to the same machine follows only after the answer.
    Visit {
        /// The machine to visit.
        machine: MachineId,
        /// The visit.
        visit: Box<Visit>,
        /// Set when a quick observation suffices: the host may answer that nothing has changed.
        quick: bool,
        /// The relay, if the direct path is not used.
        through: Option<MachineId>,
    },
    /// Ask a peer whether it reaches a machine's sshd, for at most [`crate::core::health::peers::ANSWER_LIMIT`]. Every
    /// probe is answered with an [`Input::Probed`].
    Probe {
        /// The machine.
        machine: MachineId,
        /// The peer.
        peer: MachineId,
    },
    /// Close the connection through a relay to this machine: the relay is no longer used.
    Leave(MachineId),
    /// Run the fence command of this machine. The next one follows only after an [`Input::Fenced`].
    Fence(MachineId),
    /// Stop: another process leads.
    Deposed,
}

/// What a reconciler may still do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// It leads: it decides and acts.
    Leading,
    /// It was told to stop: it begins nothing new and records how operations in flight end.
    Stopping,
    /// The store no longer answers: the reconciler renews leases and does nothing else.
    LeaseOnly,
    /// Another process leads: it does nothing.
    Deposed,
}

/// What has to be computed again.
#[derive(Debug, Clone, Copy)]
struct Stale {
    /// The set of machines that have views.
    views: bool,
    /// The assignments.
    assignments: bool,
    /// The placements.
    placements: bool,
    /// The failover policy: the silent machines or its counts have changed.
    failover: bool,
    /// The lease records of all machines.
    leases: bool,
}

/// One leader's view of the cluster, and the work that it has begun.
#[derive(Debug)]
pub struct Reconciler {
    epoch: u64,
    /// The number of visits sent that may change something on a host.
    numbered: u64,
    scope: Scope,
    timing: Timing,
    failover_policy: FailoverPolicy,
    /// The names of the machines for which the leader has a fence command.
    fence_commands: BTreeSet<String>,
    /// When the times of the observations are published next; `None` if this reconciler does not publish them.
    next_publication: Option<Timestamp>,
    /// Set if this is the reconciler of a controller.
    is_continuous: bool,
    /// When the next hold-down ends, or a machine that had no room takes units again.
    exclusion_ends: Option<Timestamp>,
    /// The machines that had no room for a unit file, and have not reported since that they have room.
    full: BTreeSet<MachineId>,
    snapshot: Snapshot,
    /// The requirements of the snapshot's units.
    requirements: RequirementsIndex,
    /// The global units of each machine; `None` before the first scheduling.
    globals: Option<Globals>,
    views: Views,
    assignments: Assignments,
    stale: Stale,
    /// The units of which the store has a state, by the machine that reported it.
    noted: BTreeMap<MachineId, BTreeSet<UnitName>>,
    /// Candidates for a placement that must be visited first.
    probe_candidates: BTreeSet<MachineId>,
    outbox: Outbox,
    /// Machines to fence in this turn: the store has the event that announces the fence command.
    fence_now: Vec<MachineId>,
    /// Units that should be on a machine and fit on none, and why.
    refused: BTreeMap<UnitName, PlacementError>,
    /// Machines that are no longer reached through a relay.
    closing_relays: Vec<MachineId>,
    /// When scheduling stops waiting for the first visit to a machine.
    first_visits_until: Option<Timestamp>,
    /// The next drain deadline.
    deadline: Option<Timestamp>,
    /// The latest end of a lease that this leader, or maybe an earlier one, sent to each machine.
    lease_ends: BTreeMap<MachineId, Timestamp>,
    /// Since when no other leader can renew leases without the store.
    quorum_seen_at: Option<Timestamp>,
    /// The serial of the store, with the commits that the store has yet to accept.
    serial: u64,
    /// Set while the next commit counts because an operator may have changed a unit.
    has_orders: bool,
    /// The machine that has shown that the store was restored from a backup.
    restoration_witness: Option<RestorationWitness>,
    /// The machines that have left the cluster and may still hold a lease.
    departed_leases: BTreeSet<MachineId>,
    /// The counts of the failover policy over all machines; `None` if they have to be computed again.
    failover_counts: Option<FailoverCounts>,
    mode: Mode,
}

impl Reconciler {
    /// Makes a reconciler that begins with the records of the store.
    pub fn new(epoch: u64, scope: Scope, timing: Timing, snapshot: Snapshot) -> Self {
        let mut requirements = RequirementsIndex::default();
        requirements.renew(&snapshot);
        let assignments = Assignments::new(&snapshot, &scope, &Globals::new());
        let noted = recording::by_machine(&snapshot);
        let serial = snapshot.serial;
        let has_orders = matches!(scope, Scope::Units(_));
        // Also those that take units again although they may still be full.
        let full = full_machines(&snapshot, Timestamp::ZERO).into_keys().collect();
        Self {
            epoch,
            numbered: 0,
            scope,
            timing,
            failover_policy: FailoverPolicy::default(),
            fence_commands: BTreeSet::new(),
            next_publication: None,
            is_continuous: false,
            exclusion_ends: None,
            full,
            snapshot,
            requirements,
            globals: None,
            views: Views::default(),
            assignments,
            stale: Stale { views: true, assignments: false, placements: true, failover: true, leases: true },
            noted,
            serial,
            has_orders,
            restoration_witness: None,
            probe_candidates: BTreeSet::new(),
            outbox: Outbox::default(),
            fence_now: Vec::new(),
            refused: BTreeMap::new(),
            closing_relays: Vec::new(),
            first_visits_until: None,
            deadline: None,
            lease_ends: BTreeMap::new(),
            quorum_seen_at: None,
            departed_leases: BTreeSet::new(),
            failover_counts: None,
            mode: Mode::Leading,
        }
    }

    /// Returns the epoch of its leader.
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Sets the failover policy.
    #[must_use]
    pub fn with_failover_policy(self, failover_policy: FailoverPolicy) -> Self {
        Self { failover_policy, ..self }
    }

    /// Sets the names of the machines for which the leader has a fence command.
    #[must_use]
    pub fn with_fence_commands(self, fence_commands: BTreeSet<String>) -> Self {
        Self { fence_commands, ..self }
    }

    /// Decides by other settings from now on. Leases that were granted keep their length until they are renewed.
    pub fn configure(&mut self, timing: Timing, failover_policy: FailoverPolicy, fence_commands: BTreeSet<String>) {
        (self.timing, self.failover_policy, self.fence_commands) = (timing, failover_policy, fence_commands);
        // The operator may have changed the brake.
        self.views.touch_all().for_each(|(_, view)| view.brake = None);
        self.reconsider();
    }

    /// Lets this reconciler publish when it has observed the machines: that is for leaders that observe all of them.
    #[must_use]
    pub fn with_publication(self) -> Self {
        Self { next_publication: Some(Timestamp::ZERO), ..self }
    }

    /// Lets this reconciler publish that a controller observes the machines.
    #[must_use]
    pub fn with_continuous_publication(self) -> Self {
        Self { is_continuous: true, ..self.with_publication() }
    }

    /// Returns the records of the store, as far as this leader knows them.
    pub const fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Returns the records at the end of a run.
    pub fn into_snapshot(self) -> Snapshot {
        self.snapshot
    }

    /// Returns the requirements of the units.
    pub const fn requirements(&self) -> &RequirementsIndex {
        &self.requirements
    }

    /// Applies changes that other processes made to the store.
    pub fn learn(&mut self, change: impl FnOnce(&mut Snapshot)) {
        change(&mut self.snapshot);
        self.requirements.renew(&self.snapshot);
        self.has_orders = true;
        self.assess_unrecorded();
        self.reconsider();
    }

    /// Lets machines without a record of their health be assessed again: one that has left and joined again is alive as
    /// before, but the store does not say so.
    fn assess_unrecorded(&mut self) {
        let is_recorded = |machine: &MachineId| self.snapshot.health.contains_key(machine);
        let unrecorded: Vec<_> = self.snapshot.machines.keys().filter(|it| !is_recorded(it)).copied().collect();
        for machine in unrecorded {
            if let Some(view) = self.views.touch(machine).filter(|view| view.health == Some(Health::Alive)) {
                view.health = None;
            }
        }
    }

    /// Lets everything that follows from the records and the settings be computed again.
    fn reconsider(&mut self) {
        self.stale = Stale { views: true, assignments: true, placements: true, failover: true, leases: true };
        self.failover_counts = None;
    }

    /// Returns the view of a machine.
    pub fn view(&self, machine: MachineId) -> Option<&MachineView> {
        self.views.get(&machine)
    }

    /// Returns the views of all machines in scope.
    pub fn views(&self) -> impl Iterator<Item = (MachineId, &MachineView)> {
        self.views.iter().map(|(machine, view)| (*machine, view))
    }

    /// Returns the units that should be on a machine and fit on none, with the reasons.
    pub const fn refused(&self) -> &BTreeMap<UnitName, PlacementError> {
        &self.refused
    }

    /// Returns the global units that belong on each machine.
    pub fn globals(&self) -> impl Iterator<Item = (MachineId, &UnitName)> {
        let globals = self.globals.iter().flatten();
        globals.flat_map(|(machine, units)| units.iter().map(|unit| (*machine, unit)))
    }

    /// Returns the backoffs of all machines: steps that hosts refused.
    pub fn backoffs(&self) -> impl Iterator<Item = (MachineId, &Backoff)> {
        self.views.iter().flat_map(|(machine, view)| view.backoffs.values().map(|backoff| (*machine, backoff)))
    }

    /// Handles one input and returns the outputs. `now` must come from a monotonic clock.
    pub fn handle(&mut self, input: Input, now: Timestamp) -> Vec<Output> {
        self.handle_all([input], now)
    }

    /// Handles several inputs and returns the outputs.
    pub fn handle_all(&mut self, inputs: impl IntoIterator<Item = Input>, now: Timestamp) -> Vec<Output> {
        inputs.into_iter().for_each(|input| self.take_in(input, now));
        self.respond(now)
    }

    fn take_in(&mut self, input: Input, now: Timestamp) {
        match input {
            Input::Stalled(stall) => self.views.touch_all().for_each(|(_, view)| view.evidence.stalled(stall, now)),
            Input::Progress(machine, phase) => self.progressed(machine, phase, now),
            Input::Lost => self.mode = Mode::Deposed,
            Input::Stop if self.mode == Mode::Leading => self.mode = Mode::Stopping,
            Input::Tick | Input::Stop => {}
            Input::Committed(_) if self.mode == Mode::LeaseOnly => {}
            Input::Committed(taken) => self.committed(taken),
            Input::Visited(machine, result) => match *result {
                Ok(report) => self.visit_succeeded(machine, report, now),
                Err(failure) => self.visit_failed(machine, &failure, now),
            },
            Input::Probed { machine, peer, reached } => self.probed(machine, peer, reached),
            Input::Fenced(machine, ended) => self.fenced(machine, ended, now),
        }
    }

    fn respond(&mut self, now: Timestamp) -> Vec<Output> {
        if self.mode == Mode::Deposed {
            return vec![Output::Deposed];
        }
        self.views.wake(now);
        let mut outputs: Vec<Output> = self.closing_relays.drain(..).map(Output::Leave).collect();
        match self.mode {
            Mode::Leading => self.decide(now, &mut outputs),
            // The store is not answering, so nothing more is committed.
            Mode::LeaseOnly => self.outbox.clear(),
            Mode::Stopping | Mode::Deposed => {}
        }
        self.count_commit();
        outputs.extend(self.outbox.commit().map(Output::Commit));
        if self.mode != Mode::Stopping {
            self.send_visits(now, &mut outputs);
        }
        for machine in self.views.take_dirty() {
            let due = self.views.get(&machine).and_then(|view| self.due_at(machine, view, now));
            self.views.index(machine, due);
        }
        outputs
    }

    /// Takes all decisions of one turn. The order matters, because a stage uses the results of the stages before it:
    ///
    /// 1. Deadlines first: an expired drain makes placements and assignments stale.
    /// 2. Views: a decision needs a view of every machine in scope.
    /// 3. Peer probes before the assessment: a silent machine is not assessed as down while a peer's answer is awaited.
    /// 4. Assessment before relays and scheduling: relays are for machines with a path fault, and units move off
    ///    machines that are down.
    /// 5. Views again after scheduling: a placement may bring a machine into scope.
    /// 6. Leases after scheduling: the assignments say which machines need a lease.
    /// 7. Fencing last: it skips machines whose lease record is about to change.
    ///
    /// The times of the observations are published at the end, because nothing follows from them.
    fn decide(&mut self, now: Timestamp, outputs: &mut Vec<Output>) {
        self.watch_deadlines(now);
        self.heed_restoration(now);
        self.refresh_views(now);
        // No stage makes a machine doubted that was not: that takes an input.
        let doubted = self.views.doubted();
        self.ask_peers(&doubted, now, outputs);
        self.assess_all(now);
        self.update_relays(&doubted, now);
        self.place(now);
        // A placement may have brought another machine into scope.
        self.refresh_views(now);
        self.keep_leases(now);
        self.fence(&doubted, now, outputs);
        self.publish(now);
    }

    /// Returns when the next turn is due although nothing happens.
    pub fn wake_at(&self) -> Option<Timestamp> {
        let due = self.views.next_due().into_iter();
        if self.mode == Mode::LeaseOnly {
            return due.min();
        }
        due.chain(self.waits()).chain(self.departed_lease_wakes()).chain(self.publication()).min()
    }

    /// Returns the times that concern the whole cluster: the end of the wait for first visits, a drain deadline, the
    /// end of a hold-down, the time when a full machine takes units again.
    fn waits(&self) -> impl Iterator<Item = Timestamp> {
        self.first_visits_until.into_iter().chain(self.deadline).chain(self.exclusion_ends)
    }

    /// Returns when a machine needs attention again although nothing happens.
    fn due_at(&self, machine: MachineId, view: &MachineView, now: Timestamp) -> Option<Timestamp> {
        let idle = view.in_flight.is_none();
        let look = Some(view.next_visit).filter(|_| idle);
        if self.mode == Mode::LeaseOnly {
            return look;
        }
        let retries = view.backoffs.values().map(|backoff| backoff.until).chain(view.pulls.due());
        let retries = retries.filter(|_| idle && view.answers());
        let doubts = view.assess_again.into_iter().chain(self.next_question(view));
        let leases = self.lease_wake(machine).into_iter().chain(self.next_fencing(machine));
        look.into_iter().chain(retries).chain(doubts).chain(leases).filter(|at| *at > now).min()
    }

    /// Returns when time alone may change a decision: a machine is assessed again, a lease ends, a drain reaches its
    /// deadline, or a hold-down ends.
    pub fn changes_at(&self) -> Option<Timestamp> {
        let assessments = self.views.values().filter_map(|view| view.assess_again);
        assessments.chain(self.lease_wakes()).chain(self.waits()).min()
    }

    /// Reports whether everything that can be done now has been done: every machine was visited and assessed, and
    /// nothing is in flight. Another attempt to reach a machine that is known not to answer does not count: two such
    /// machines may never be without one.
    pub fn is_settled(&self) -> bool {
        let counts = |view: &MachineView, visit: &InFlightVisit| view.answers() || visit.acts();
        let is_idle = |view: &MachineView| view.in_flight.as_ref().is_none_or(|visit| !counts(view, visit));
        let is_assessed = |view: &MachineView| !matches!(view.health, None | Some(Health::Suspect));
        let is_done = |view: &MachineView| is_idle(view) && is_assessed(view) && !view.fencing.runs;
        self.outbox.is_idle() && !self.stale.placements && self.views.values().all(is_done)
    }

    /// Reports whether a host may be changed at this moment: by a visit in flight or by a fence command.
    pub fn is_acting(&self) -> bool {
        self.views.values().any(|view| view.fencing.runs || view.in_flight.as_ref().is_some_and(InFlightVisit::acts))
    }

    /// Reports whether every machine in scope that answers has answered a visit that was sent at this time or later.
    pub fn was_observed_since(&self, time: Timestamp) -> bool {
        let mut answering = self.views.values().filter(|view| view.answers());
        answering.all(|view| view.heard.is_some_and(|heard| heard >= time))
    }

    /// Reports whether systemd is still changing the state of a unit in scope.
    pub fn is_changing(&self) -> bool {
        let is_changing = |(unit, state): (&UnitName, &UnitState)| self.scope.has(unit) && state.is_changing();
        let changing = self.views.values().filter(|view| view.is_changing());
        changing.flat_map(|view| view.units.iter().flatten()).any(is_changing)
    }

    fn committed(&mut self, taken: bool) {
        let PendingCommit { records, fence, .. } = self.outbox.answered();
        self.fence_now.extend(fence);
        if !taken {
            self.mode = Mode::Deposed;
            return;
        }
        let (moves, others): (Vec<_>, Vec<_>) = records.into_iter().partition(|write| moved_unit(write).is_some());
        // Placements that were decided together fit together. They may have made room for a unit that fitted nowhere.
        self.stale.placements |= !moves.is_empty() && !self.refused.is_empty();
        self.moved(moves);
        for write in others {
            match &write {
                Write::Lease(machine, _) => self.lease_written(*machine),
                Write::NoLease(machine) => self.lease_ended(*machine),
                _ => {}
            }
            self.snapshot.apply(write);
        }
    }

    /// Adds a view for every machine in scope and drops the views of machines that left the cluster.
    fn refresh_views(&mut self, now: Timestamp) {
        if !std::mem::take(&mut self.stale.views) {
            return;
        }
        self.forget_strangers();
        let machines = &self.snapshot.machines;
        self.views.retain(|machine| machines.contains_key(machine));
        let mut about: BTreeSet<MachineId> = self.probe_candidates.clone();
        match &self.scope {
            Scope::All => about.extend(machines.keys()),
            Scope::Units(units) => {
                about.extend(self.assignments.machines());
                if units.iter().any(|unit| self.requirements.is_global(unit)) {
                    about.extend(machines.keys());
                }
                // A unit that the backup lacks may run on any machine.
                if self.spares_unknown() {
                    about.extend(machines.keys());
                }
                let states = units.iter().filter_map(|unit| self.snapshot.states.get(unit));
                about.extend(states.flat_map(BTreeMap::keys));
            }
        }
        let about = about.into_iter().filter(|machine| machines.contains_key(machine));
        for machine in about.collect::<Vec<_>>() {
            if self.views.add(machine, now) {
                self.renew_need(machine);
            }
        }
        self.adopt_all(now);
    }
}
