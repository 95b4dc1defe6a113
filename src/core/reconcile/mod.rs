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
mod placing;
mod probing;
mod recording;
mod results;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::btree_map::Entry;
use std::time::Duration;

use crate::core::health::DetectionConfig;
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

/// How late a reconciler may be called before it doubts its own view of who has been silent for how long.
const LATE: Duration = Duration::from_secs(2);

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

/// What the store is being told: records that count once it has taken them, and whom that allows to be switched off.
#[derive(Debug, Default)]
struct PendingCommit {
    records: Vec<Write>,
    fence_after_commit: Vec<MachineId>,
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
    released: Option<Timestamp>,
    snapshot: Snapshot,
    /// What the snapshot's units ask of machines.
    requirements: RequirementsIndex,
    /// Where its global units belong; not known before units were placed once.
    globals: Option<Globals>,
    views: BTreeMap<MachineId, MachineView>,
    /// Set when others may be machines now, or the reconciler's business.
    views_stale: bool,
    assignments: Assignments,
    /// Set when the whole assignments may have changed.
    assignments_stale: bool,
    /// The units of which the store has a state, by the machine that reported it.
    noted: BTreeMap<MachineId, BTreeSet<UnitName>>,
    /// Candidates for a placement that have to be looked at first.
    probe_candidates: BTreeSet<MachineId>,
    /// What the store is to be told, and what it is being told.
    outbox: Vec<Write>,
    committing: Option<PendingCommit>,
    /// Machines to be switched off as soon as the store has been told so, and those of which it has been.
    fence_after_commit: Vec<MachineId>,
    fence_now: Vec<MachineId>,
    /// Units whose place the store is being told: nothing is done to them until it has answered.
    placements_in_flight: BTreeSet<UnitName>,
    /// Units that should be somewhere and cannot be, and why.
    refused: BTreeMap<UnitName, PlacementError>,
    /// Machines to which the way round is not taken any more.
    departed: Vec<MachineId>,
    /// Set when placements may have to change.
    placements_stale: bool,
    /// When the next drain must be over.
    deadline: Option<Timestamp>,
    /// When something was going to happen at the latest.
    expected: Option<Timestamp>,
    /// The latest end of a lease that was sent to each machine, or that one before us may have sent.
    lease_ends: BTreeMap<MachineId, Timestamp>,
    /// Since when no other leader can renew leases behind the store's back.
    quorum_seen_at: Option<Timestamp>,
    /// Set once the store no longer answers: all that is left to do is to renew leases.
    lease_only: bool,
    deposed: bool,
    stopping: bool,
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
            released: None,
            snapshot,
            requirements,
            globals: None,
            views: BTreeMap::new(),
            views_stale: true,
            assignments,
            assignments_stale: false,
            noted,
            probe_candidates: BTreeSet::new(),
            outbox: Vec::new(),
            committing: None,
            fence_after_commit: Vec::new(),
            fence_now: Vec::new(),
            placements_in_flight: BTreeSet::new(),
            refused: BTreeMap::new(),
            departed: Vec::new(),
            placements_stale: true,
            deadline: None,
            expected: None,
            lease_ends: BTreeMap::new(),
            quorum_seen_at: None,
            lease_only: false,
            deposed: false,
            stopping: false,
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
        self.placements_stale = true;
        self.assignments_stale = true;
        self.views_stale = true;
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

    /// Takes in several things that happened and returns what to do next. To decide costs a look at every machine, so
    /// whoever has heard from many of them says so at once.
    pub fn handle_all(&mut self, inputs: impl IntoIterator<Item = Input>, now: Timestamp) -> Vec<Output> {
        if self.expected.is_some_and(|at| now.since(at) > LATE) {
            // It was us who were away, so nobody's silence in that time tells anything.
            self.views.values_mut().for_each(|view| view.evidence.resume(now));
        }
        inputs.into_iter().for_each(|input| self.take_in(input, now));
        let outputs = self.respond(now);
        self.expected = self.in_flight_deadlines().chain(self.wake_at()).min();
        outputs
    }

    fn take_in(&mut self, input: Input, now: Timestamp) {
        match input {
            Input::Tick | Input::Stalled(_) | Input::Progress(..) => {}
            Input::Lost => self.deposed = true,
            Input::Stop => self.stopping = true,
            Input::Committed(_) if self.lease_only => {}
            Input::Committed(taken) => self.committed(taken),
            Input::Visited(machine, Ok(report)) => self.visit_succeeded(machine, report, now),
            Input::Visited(machine, Err(failure)) => self.visit_failed(machine, &failure, now),
            Input::Probed { machine, neighbour, reached } => self.probed(machine, neighbour, reached),
            Input::Fenced(machine, ended) => self.fenced(machine, ended, now),
        }
    }

    fn respond(&mut self, now: Timestamp) -> Vec<Output> {
        if self.deposed {
            return vec![Output::Deposed];
        }
        let mut outputs: Vec<Output> = self.departed.drain(..).map(Output::Leave).collect();
        if self.lease_only {
            self.outbox.clear();
        } else if !self.stopping {
            self.watch_deadlines(now);
            self.refresh_views(now);
            self.ask_neighbours(now, &mut outputs);
            self.assess_all(now);
            self.update_relays(now);
            self.place(now);
            self.refresh_views(now);
            self.keep_leases(now);
            self.fence(now, &mut outputs);
        }
        if self.committing.is_none() && !self.outbox.is_empty() {
            let writes = std::mem::take(&mut self.outbox);
            let records: Vec<Write> = writes.iter().filter(|write| is_record(write)).cloned().collect();
            self.placements_in_flight = records.iter().filter_map(moved_unit).cloned().collect();
            self.committing =
                Some(PendingCommit { records, fence_after_commit: std::mem::take(&mut self.fence_after_commit) });
            outputs.push(Output::Commit(writes));
        }
        if !self.stopping {
            self.send_visits(now, &mut outputs);
        }
        outputs
    }

    /// Returns when each trip that is under way ends at the latest.
    fn in_flight_deadlines(&self) -> impl Iterator<Item = Timestamp> {
        self.views.values().filter_map(|view| Some(view.in_flight.as_ref()?.since + self.timing.start_deadline))
    }

    /// Returns when to look again although nothing happened.
    pub fn wake_at(&self) -> Option<Timestamp> {
        let views = self.views.values().filter(|view| view.in_flight.is_none());
        let looks = views.clone().map(|view| view.next_look);
        if self.lease_only {
            return looks.min();
        }
        let retries = views.filter(|view| view.answers()).flat_map(|view| view.backoffs.values());
        let retries = retries.map(|backoff| backoff.until);
        looks.chain(retries).chain(self.next_questions()).chain(self.next_fencing()).chain(self.changes_at()).min()
    }

    /// Returns when time alone may change what is to be done: a assessment, a lease that ends, a drain's deadline, a
    /// machine that is no longer held down.
    pub fn changes_at(&self) -> Option<Timestamp> {
        let assessments = self.views.values().filter_map(|view| view.assess_again);
        assessments.chain(self.lease_wakes()).chain(self.deadline).chain(self.released).min()
    }

    /// Says whether everything that can be done now has been done: every machine was looked at and judged, and nothing
    /// is on its way.
    pub fn is_settled(&self) -> bool {
        let judged = |view: &MachineView| {
            view.in_flight.is_none() && !view.fencing.runs && !matches!(view.health, None | Some(Health::Suspect))
        };
        self.committing.is_none() && self.outbox.is_empty() && !self.placements_stale && self.views.values().all(judged)
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
        let PendingCommit { records, fence_after_commit } = self.committing.take().unwrap_or_default();
        self.fence_now.extend(fence_after_commit);
        self.placements_in_flight.clear();
        if !taken {
            self.deposed = true;
            return;
        }
        // What was decided together fits together; only who found no place may find one now.
        self.placements_stale |= records.iter().any(|write| moved_unit(write).is_some()) && !self.refused.is_empty();
        for write in records {
            match &write {
                Write::Lease(machine, _) => self.lease_written(*machine),
                Write::NoLease(_) => self.lease_ended(),
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
        if !std::mem::take(&mut self.views_stale) {
            return;
        }
        self.forget_strangers();
        let machines = &self.snapshot.machines;
        self.views.retain(|machine, _| machines.contains_key(machine));
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
            if let Entry::Vacant(view) = self.views.entry(machine) {
                view.insert(MachineView::new(now));
                self.renew_need(machine);
            }
        }
    }
}

/// Says whether a write counts only once the store has taken it. What was observed has been taken in when it was.
const fn is_record(write: &Write) -> bool {
    matches!(write, Write::Place(..) | Write::Unplace(_) | Write::Lease(..) | Write::NoLease(_) | Write::Voters(_))
}

/// Returns the unit whose place a write changes.
const fn moved_unit(write: &Write) -> Option<&UnitName> {
    match write {
        Write::Place(unit, _) | Write::Unplace(unit) => Some(unit),
        _ => None,
    }
}
