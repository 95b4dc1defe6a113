//! The reconciler: observe → assess → place → plan → apply, as a machine that is fed what happened and says what to do next.
//!
//! A verb, a sweep, the controller and the simulator all run this one machine and differ only in its [`Scope`] and in
//! when they stop. It holds a leader's view of the cluster and never waits: whoever runs it carries out the
//! [`Output`]s, in whatever time that takes, and tells it how they ended.
//!
//! What keeps it safe: nothing is sent to a machine before the store has taken the placement it follows from; nothing
//! is sent to a machine that has not been looked at since it last failed to answer; a machine's trips follow one
//! another, so that no trip overtakes the one before.

pub mod assignments;
mod dispatch;
mod draining;
mod fencing;
mod health;
mod leases;
pub mod machine_view;
mod outbox;
mod placing;
mod probing;
mod recording;
mod results;
#[cfg(test)]
mod tests;
mod views;

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
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;
use crate::core::model::Visit;
use crate::core::model::Write;
use crate::core::reconcile::assignments::Assignments;
use crate::core::reconcile::assignments::Globals;
use crate::core::reconcile::assignments::Scope;
use crate::core::reconcile::machine_view::Backoff;
use crate::core::reconcile::machine_view::InFlightVisit;
use crate::core::reconcile::machine_view::MachineView;
use crate::core::schedule::RequirementsIndex;
use crate::core::unit::UnitName;
use outbox::Outbox;
use outbox::PendingCommit;
use outbox::moved_unit;
use views::Views;

/// How often a reconciler looks, and how long it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Between two looks at a machine that answers.
    pub poll_interval: Duration,
    /// Between two thorough looks, which cost the host a few processes.
    pub full_poll_interval: Duration,
    /// Between two attempts at a machine that does not answer, and two looks at a unit that is changing.
    pub retry_interval: Duration,
    /// How long steps may be on their way: a host refuses those that come later. Whoever sends them must not give up
    /// before that.
    pub start_deadline: Duration,
    /// How patient the assess is.
    pub detection: DetectionConfig,
    /// For how long this reconciler lets machines run strict units; `None` if it starts none.
    pub lease: Option<LeasePolicy>,
}

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// Time went by.
    Tick,
    /// The lead has run out.
    Lost,
    /// The operator wants it to end: begin nothing new.
    Stop,
    /// The store took what it was given, or did not because somebody else leads.
    Committed(bool),
    /// Our own process stood still for this long: nothing that did not happen in that time says anything.
    Stalled(Duration),
    /// The machine's own sshd has sent something: the visit that is under way has entered this phase, or something came
    /// in it once more. [`Phase::KeyExchange`] means that sshd has greeted.
    Progress(MachineId, Phase),
    /// A trip to a machine ended.
    Visited(MachineId, Result<Report, Failure>),
    /// A neighbour looked at a machine, or could not.
    Probed {
        /// The machine.
        machine: MachineId,
        /// The neighbour.
        neighbour: MachineId,
        /// Whether an sshd greeted; `None` if nothing was learned.
        reached: Option<bool>,
    },
    /// Making sure that a machine is off has succeeded, or why it has not.
    Fenced(MachineId, Result<(), String>),
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Give this to the store, if we still lead. The next one comes only after the answer.
    Commit(Vec<Write>),
    /// Make this trip. The next one to the same machine comes only after the answer.
    Visit {
        /// Where to.
        machine: MachineId,
        /// What for.
        visit: Visit,
        /// Whether a quick is enough if nothing has changed.
        quick: bool,
        /// The neighbour to go through, if the way there is not the direct one.
        through: Option<MachineId>,
    },
    /// Ask a neighbour whether it reaches a machine's sshd, for at most [`crate::core::health::peers::ANSWER_LIMIT`]. Every
    /// question is answered with an [`Input::Probed`].
    Probe {
        /// The machine.
        machine: MachineId,
        /// The neighbour.
        neighbour: MachineId,
    },
    /// The way round to this machine is not taken any more: close what was opened for it.
    Leave(MachineId),
    /// Make sure that this machine is off, as its record says. The next time comes only after an [`Input::Fenced`].
    Fence(MachineId),
    /// Stop: somebody else leads.
    Deposed,
}

/// What a reconciler may still do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// It leads: it decides and acts.
    Leading,
    /// It was told to stop: it begins nothing new, and takes in how things end.
    Stopping,
    /// The store does not answer any more: it renews leases and does nothing else.
    LeaseOnly,
    /// Another process leads: it does nothing.
    Deposed,
}

/// What has to be worked out again.
#[derive(Debug, Clone, Copy)]
struct Stale {
    /// Which machines have views.
    views: bool,
    /// What belongs on which machine.
    assignments: bool,
    /// Where units are placed.
    placements: bool,
    /// Which machines' units may be moved: the silent ones have changed, or what the policy counts.
    failover: bool,
    /// The lease records of all machines.
    leases: bool,
}

/// One leader's view of the cluster, and what it is about to do.
#[derive(Debug)]
pub struct Reconciler {
    epoch: u64,
    /// How many visits that may change something have been sent.
    numbered: u64,
    scope: Scope,
    timing: Timing,
    failover_policy: FailoverPolicy,
    /// When the next machine that was held down takes units again.
    hold_down_ends: Option<Timestamp>,
    snapshot: Snapshot,
    /// What the snapshot's units ask of machines.
    requirements: RequirementsIndex,
    /// Where its global units belong; not known before units were placed once.
    globals: Option<Globals>,
    views: Views,
    assignments: Assignments,
    stale: Stale,
    /// The units of which the store has a state, by the machine that reported it.
    noted: BTreeMap<MachineId, BTreeSet<UnitName>>,
    /// Candidates for a placement that have to be looked at first.
    probe_candidates: BTreeSet<MachineId>,
    outbox: Outbox,
    /// Machines that are fenced in this turn: the store has been told so.
    fence_now: Vec<MachineId>,
    /// Units that should be somewhere and cannot be, and why.
    refused: BTreeMap<UnitName, PlacementError>,
    /// Machines to which the way round is not taken any more.
    departed: Vec<MachineId>,
    /// Until when placing waits for the first look at a machine.
    first_looks_until: Option<Timestamp>,
    /// When the next drain must be over.
    deadline: Option<Timestamp>,
    /// The latest end of a lease that was sent to each machine, or that one before us may have sent.
    lease_ends: BTreeMap<MachineId, Timestamp>,
    /// Since when no other leader can renew leases behind the store's back.
    quorum_seen_at: Option<Timestamp>,
    /// The machines that have left and may still hold a lease.
    departed_leases: BTreeSet<MachineId>,
    /// What the failover policy counts over all machines; `None` if that has changed.
    failover_counts: Option<FailoverCounts>,
    mode: Mode,
}

impl Reconciler {
    /// Begins with what the store knows.
    pub fn new(epoch: u64, scope: Scope, timing: Timing, snapshot: Snapshot) -> Self {
        let mut requirements = RequirementsIndex::default();
        requirements.renew(&snapshot);
        let assignments = Assignments::new(&snapshot, &scope, &Globals::new());
        let noted = recording::by_machine(&snapshot);
        Self {
            epoch,
            numbered: 0,
            scope,
            timing,
            failover_policy: FailoverPolicy::default(),
            hold_down_ends: None,
            snapshot,
            requirements,
            globals: None,
            views: Views::default(),
            assignments,
            stale: Stale { views: true, assignments: false, placements: true, failover: true, leases: true },
            noted,
            probe_candidates: BTreeSet::new(),
            outbox: Outbox::default(),
            fence_now: Vec::new(),
            refused: BTreeMap::new(),
            departed: Vec::new(),
            first_looks_until: None,
            deadline: None,
            lease_ends: BTreeMap::new(),
            quorum_seen_at: None,
            departed_leases: BTreeSet::new(),
            failover_counts: None,
            mode: Mode::Leading,
        }
    }

    /// Is as careful as this.
    #[must_use]
    pub fn with_failover_policy(self, failover_policy: FailoverPolicy) -> Self {
        Self { failover_policy, ..self }
    }

    /// Returns what the store knows, as far as this leader has heard.
    pub const fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Returns what the units ask of machines.
    pub const fn requirements(&self) -> &RequirementsIndex {
        &self.requirements
    }

    /// Takes in what others wrote to the store.
    pub fn learn(&mut self, change: impl FnOnce(&mut Snapshot)) {
        change(&mut self.snapshot);
        self.requirements.renew(&self.snapshot);
        self.stale = Stale { views: true, assignments: true, placements: true, failover: true, leases: true };
        self.failover_counts = None;
    }

    /// Returns what is known of a machine.
    pub fn view(&self, machine: MachineId) -> Option<&MachineView> {
        self.views.get(&machine)
    }

    /// Returns the machines that the reconciler is about.
    pub fn views(&self) -> impl Iterator<Item = (MachineId, &MachineView)> {
        self.views.iter().map(|(machine, view)| (*machine, view))
    }

    /// Returns the units that should be somewhere and cannot be, and why.
    pub const fn refused(&self) -> &BTreeMap<UnitName, PlacementError> {
        &self.refused
    }

    /// Returns the steps that hosts refused.
    pub fn backoffs(&self) -> impl Iterator<Item = (MachineId, &Backoff)> {
        self.views.iter().flat_map(|(machine, view)| view.backoffs.values().map(|backoff| (*machine, backoff)))
    }

    /// Takes in what happened and returns what to do next. `now` must be read off a clock that nobody sets.
    pub fn handle(&mut self, input: Input, now: Timestamp) -> Vec<Output> {
        self.handle_all([input], now)
    }

    /// Takes in several things that happened and returns what to do next.
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
            Input::Visited(machine, Ok(report)) => self.visit_succeeded(machine, report, now),
            Input::Visited(machine, Err(failure)) => self.visit_failed(machine, &failure, now),
            Input::Probed { machine, neighbour, reached } => self.probed(machine, neighbour, reached),
            Input::Fenced(machine, ended) => self.fenced(machine, ended, now),
        }
    }

    fn respond(&mut self, now: Timestamp) -> Vec<Output> {
        if self.mode == Mode::Deposed {
            return vec![Output::Deposed];
        }
        self.views.wake(now);
        let mut outputs: Vec<Output> = self.departed.drain(..).map(Output::Leave).collect();
        match self.mode {
            Mode::Leading => self.decide(now, &mut outputs),
            // Nothing more is written.
            Mode::LeaseOnly => self.outbox.clear(),
            Mode::Stopping | Mode::Deposed => {}
        }
        outputs.extend(self.outbox.commit().map(Output::Commit));
        if self.mode != Mode::Stopping {
            self.send_visits(now, &mut outputs);
        }
        for machine in self.views.dirty() {
            let due = self.views.get(&machine).and_then(|view| self.due_at(machine, view, now));
            self.views.index(machine, due);
        }
        outputs
    }

    /// Takes all decisions of a turn. The order matters: peers are asked before silence is judged, health is known before
    /// units are placed, and placements are known before leases and fences follow from them.
    fn decide(&mut self, now: Timestamp, outputs: &mut Vec<Output>) {
        self.watch_deadlines(now);
        self.refresh_views(now);
        self.ask_neighbours(now, outputs);
        self.assess_all(now);
        self.update_relays(now);
        self.place(now);
        // A unit that was placed may make another machine the reconciler's business.
        self.refresh_views(now);
        self.keep_leases(now);
        self.fence(now, outputs);
    }

    /// Returns when to look again although nothing happened.
    pub fn wake_at(&self) -> Option<Timestamp> {
        let due = self.views.next_due().into_iter();
        if self.mode == Mode::LeaseOnly {
            return due.min();
        }
        due.chain(self.waits()).chain(self.departed_lease_wakes()).min()
    }

    /// Returns what the whole cluster waits for: the first look at a machine, a drain's deadline, the end of a hold-down.
    fn waits(&self) -> impl Iterator<Item = Timestamp> {
        self.first_looks_until.into_iter().chain(self.deadline).chain(self.hold_down_ends)
    }

    /// Returns when a machine needs attention again although nothing happens.
    fn due_at(&self, machine: MachineId, view: &MachineView, now: Timestamp) -> Option<Timestamp> {
        let idle = view.in_flight.is_none();
        let look = Some(view.next_look).filter(|_| idle);
        if self.mode == Mode::LeaseOnly {
            return look;
        }
        let retries = view.backoffs.values().map(|backoff| backoff.until).filter(|_| idle && view.answers());
        let doubts = view.assess_again.into_iter().chain(self.next_question(view));
        let leases = self.lease_wake(machine).into_iter().chain(self.next_fencing(machine));
        look.into_iter().chain(retries).chain(doubts).chain(leases).filter(|at| *at > now).min()
    }

    /// Returns when time alone may change what is to be done: a assessment, a lease that ends, a drain's deadline, a
    /// machine that is no longer held down.
    pub fn changes_at(&self) -> Option<Timestamp> {
        let assessments = self.views.values().filter_map(|view| view.assess_again);
        assessments.chain(self.lease_wakes()).chain(self.waits()).min()
    }

    /// Says whether everything that can be done now has been done: every machine was looked at and judged, and nothing
    /// is on its way.
    pub fn is_settled(&self) -> bool {
        let judged = |view: &MachineView| {
            view.in_flight.is_none() && !view.fencing.runs && !matches!(view.health, None | Some(Health::Suspect))
        };
        self.outbox.is_idle() && !self.stale.placements && self.views.values().all(judged)
    }

    /// Says whether something may be done on a host because of a trip that is under way, or somebody is being switched off.
    pub fn is_acting(&self) -> bool {
        self.views.values().any(|view| view.fencing.runs || view.in_flight.as_ref().is_some_and(InFlightVisit::acts))
    }

    /// Says whether systemd is still on its way with a unit that the reconciler is about.
    pub fn is_changing(&self) -> bool {
        self.views.values().any(MachineView::is_changing)
    }

    fn committed(&mut self, taken: bool) {
        let PendingCommit { records, fence, .. } = self.outbox.answered();
        self.fence_now.extend(fence);
        if !taken {
            self.mode = Mode::Deposed;
            return;
        }
        // What was decided together fits together; only who found no place may find one now.
        self.stale.placements |= records.iter().any(|write| moved_unit(write).is_some()) && !self.refused.is_empty();
        for write in records {
            match &write {
                Write::Lease(machine, _) => self.lease_written(*machine),
                Write::NoLease(machine) => self.lease_ended(*machine),
                Write::Voters(_) => {}
                _ => {
                    self.moved(write);
                    continue;
                }
            }
            self.snapshot.apply(write);
        }
    }

    /// Returns a machine's name.
    fn name(&self, machine: MachineId) -> String {
        self.snapshot.machines.get(&machine).map_or_else(|| machine.to_string(), |machine| machine.name.clone())
    }

    /// Takes a view for every machine that the reconciler is about, and gives up those of machines that left.
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
    }
}
