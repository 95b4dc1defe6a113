//! The pass: observe → judge → place → plan → apply, as a machine that is fed what happened and says what to do next.
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

use crate::core::health::Patience;
use crate::core::health::failover::Caution;
use crate::core::lease::Terms;
use crate::core::model::Failure;
use crate::core::model::MachineId;
use crate::core::model::Report;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;
use crate::core::model::UnitState;
use crate::core::model::Verdict;
use crate::core::model::Visit;
use crate::core::model::Write;
use crate::core::reconcile::assignments::Globals;
use crate::core::reconcile::assignments::Roster;
use crate::core::reconcile::assignments::Scope;
use crate::core::reconcile::machine_view::Flight;
use crate::core::reconcile::machine_view::Seat;
use crate::core::reconcile::machine_view::Setback;
use crate::core::schedule::Asks;
use crate::core::schedule::Refusal;
use crate::core::unit::UnitName;

/// How often a pass looks, and how long it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tempo {
    /// Between two looks at a machine that answers.
    pub look_every: Duration,
    /// Between two thorough looks, which cost the host a few processes.
    pub whole_look_every: Duration,
    /// Between two attempts at a machine that does not answer, and two looks at a unit that is changing.
    pub retry_every: Duration,
    /// How long steps may be on their way: a host refuses those that come later. Whoever sends them must not give up
    /// before that.
    pub begin_within: Duration,
    /// How patient the judge is.
    pub patience: Patience,
    /// For how long this pass lets machines run strict units; `None` if it starts none.
    pub lease: Option<Terms>,
}

/// How late a pass may be called before it doubts its own view of who has been silent for how long.
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
        /// Whether a glance is enough if nothing has changed.
        glance: bool,
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
struct Telling {
    records: Vec<Write>,
    doomed: Vec<MachineId>,
}

/// One leader's view of the cluster, and what it is about to do.
#[derive(Debug)]
pub struct Pass {
    epoch: u64,
    /// How many visits that may change something have been sent.
    numbered: u64,
    scope: Scope,
    tempo: Tempo,
    caution: Caution,
    /// When the next machine that was held down takes units again.
    released: Option<Timestamp>,
    snapshot: Snapshot,
    /// What the snapshot's units ask of machines.
    asks: Asks,
    /// Where its global units belong; not known before units were placed once.
    globals: Option<Globals>,
    seats: BTreeMap<MachineId, Seat>,
    /// Set when others may be machines now, or the pass's business.
    unseated: bool,
    roster: Roster,
    /// Set when the whole roster may have changed.
    redraw: bool,
    /// The units of which the store has a state, by the machine that reported it.
    noted: BTreeMap<MachineId, BTreeSet<UnitName>>,
    /// Candidates for a placement that have to be looked at first.
    asked: BTreeSet<MachineId>,
    /// What the store is to be told, and what it is being told.
    outbox: Vec<Write>,
    committing: Option<Telling>,
    /// Machines to be switched off as soon as the store has been told so, and those of which it has been.
    doomed: Vec<MachineId>,
    condemned: Vec<MachineId>,
    /// Units whose place the store is being told: nothing is done to them until it has answered.
    moving: BTreeSet<UnitName>,
    /// Units that should be somewhere and cannot be, and why.
    refused: BTreeMap<UnitName, Refusal>,
    /// Machines to which the way round is not taken any more.
    left: Vec<MachineId>,
    /// Set when placements may have to change.
    stale: bool,
    /// When the next drain must be over.
    deadline: Option<Timestamp>,
    /// When something was going to happen at the latest.
    expected: Option<Timestamp>,
    /// The latest end of a lease that was sent to each machine, or that one before us may have sent.
    lease_ends: BTreeMap<MachineId, Timestamp>,
    /// Since when no other leader can renew leases behind the store's back.
    witnessed: Option<Timestamp>,
    /// Set once the store no longer answers: all that is left to do is to renew leases.
    keeping: bool,
    deposed: bool,
    stopping: bool,
}

impl Pass {
    /// Begins with what the store knows.
    pub fn new(epoch: u64, scope: Scope, tempo: Tempo, snapshot: Snapshot) -> Self {
        let mut asks = Asks::default();
        asks.renew(&snapshot);
        let roster = Roster::new(&snapshot, &scope, &Globals::new());
        let noted = recording::by_machine(&snapshot);
        Self {
            epoch,
            numbered: 0,
            scope,
            tempo,
            caution: Caution::default(),
            released: None,
            snapshot,
            asks,
            globals: None,
            seats: BTreeMap::new(),
            unseated: true,
            roster,
            redraw: false,
            noted,
            asked: BTreeSet::new(),
            outbox: Vec::new(),
            committing: None,
            doomed: Vec::new(),
            condemned: Vec::new(),
            moving: BTreeSet::new(),
            refused: BTreeMap::new(),
            left: Vec::new(),
            stale: true,
            deadline: None,
            expected: None,
            lease_ends: BTreeMap::new(),
            witnessed: None,
            keeping: false,
            deposed: false,
            stopping: false,
        }
    }

    /// Is as careful as this.
    #[must_use]
    pub fn with_caution(self, caution: Caution) -> Self {
        Self { caution, ..self }
    }

    /// Returns what the store knows, as far as this leader has heard.
    pub const fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Returns what the units ask of machines.
    pub const fn asks(&self) -> &Asks {
        &self.asks
    }

    /// Takes in what others wrote to the store.
    pub fn learn(&mut self, change: impl FnOnce(&mut Snapshot)) {
        change(&mut self.snapshot);
        self.asks.renew(&self.snapshot);
        self.stale = true;
        self.redraw = true;
        self.unseated = true;
    }

    /// Returns what is known of a machine.
    pub fn seat(&self, machine: MachineId) -> Option<&Seat> {
        self.seats.get(&machine)
    }

    /// Returns the machines that the pass is about.
    pub fn seats(&self) -> impl Iterator<Item = (MachineId, &Seat)> {
        self.seats.iter().map(|(machine, seat)| (*machine, seat))
    }

    /// Returns the units that should be somewhere and cannot be, and why.
    pub const fn refused(&self) -> &BTreeMap<UnitName, Refusal> {
        &self.refused
    }

    /// Returns the steps that hosts refused.
    pub fn setbacks(&self) -> impl Iterator<Item = (MachineId, &Setback)> {
        self.seats.iter().flat_map(|(machine, seat)| seat.setbacks.values().map(|setback| (*machine, setback)))
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
            self.seats.values_mut().for_each(|seat| seat.evidence.resume(now));
        }
        inputs.into_iter().for_each(|input| self.take_in(input, now));
        let outputs = self.respond(now);
        self.expected = self.flights_end().chain(self.wake_at()).min();
        outputs
    }

    fn take_in(&mut self, input: Input, now: Timestamp) {
        match input {
            Input::Tick => {}
            Input::Lost => self.deposed = true,
            Input::Stop => self.stopping = true,
            Input::Committed(_) if self.keeping => {}
            Input::Committed(taken) => self.committed(taken),
            Input::Visited(machine, Ok(report)) => self.visited(machine, report, now),
            Input::Visited(machine, Err(failure)) => self.lost(machine, &failure, now),
            Input::Probed { machine, neighbour, reached } => self.probed(machine, neighbour, reached),
            Input::Fenced(machine, ended) => self.fenced(machine, ended, now),
        }
    }

    fn respond(&mut self, now: Timestamp) -> Vec<Output> {
        if self.deposed {
            return vec![Output::Deposed];
        }
        let mut outputs: Vec<Output> = self.left.drain(..).map(Output::Leave).collect();
        if self.keeping {
            self.outbox.clear();
        } else if !self.stopping {
            self.watch_deadlines(now);
            self.take_seats(now);
            self.ask_neighbours(now, &mut outputs);
            self.judge_all(now);
            self.take_detours(now);
            self.place(now);
            self.take_seats(now);
            self.keep_leases(now);
            self.fence(now, &mut outputs);
        }
        if self.committing.is_none() && !self.outbox.is_empty() {
            let writes = std::mem::take(&mut self.outbox);
            let records: Vec<Write> = writes.iter().filter(|write| is_record(write)).cloned().collect();
            self.moving = records.iter().filter_map(moved_unit).cloned().collect();
            self.committing = Some(Telling { records, doomed: std::mem::take(&mut self.doomed) });
            outputs.push(Output::Commit(writes));
        }
        if !self.stopping {
            self.send_visits(now, &mut outputs);
        }
        outputs
    }

    /// Returns when each trip that is under way ends at the latest.
    fn flights_end(&self) -> impl Iterator<Item = Timestamp> {
        self.seats.values().filter_map(|seat| Some(seat.flight.as_ref()?.since + self.tempo.begin_within))
    }

    /// Returns when to look again although nothing happened.
    pub fn wake_at(&self) -> Option<Timestamp> {
        let seats = self.seats.values().filter(|seat| seat.flight.is_none());
        let looks = seats.clone().map(|seat| seat.next_look);
        if self.keeping {
            return looks.min();
        }
        let retries = seats.filter(|seat| seat.answers()).flat_map(|seat| seat.setbacks.values());
        let retries = retries.map(|setback| setback.until);
        looks.chain(retries).chain(self.next_questions()).chain(self.next_fencing()).chain(self.changes_at()).min()
    }

    /// Returns when time alone may change what is to be done: a judgement, a lease that ends, a drain's deadline, a
    /// machine that is no longer held down.
    pub fn changes_at(&self) -> Option<Timestamp> {
        let judgements = self.seats.values().filter_map(|seat| seat.judge_again);
        judgements.chain(self.lease_wakes()).chain(self.deadline).chain(self.released).min()
    }

    /// Says whether everything that can be done now has been done: every machine was looked at and judged, and nothing
    /// is on its way.
    pub fn is_settled(&self) -> bool {
        let judged = |seat: &Seat| {
            seat.flight.is_none() && !seat.fencing.runs && !matches!(seat.verdict, None | Some(Verdict::Suspect))
        };
        self.committing.is_none() && self.outbox.is_empty() && !self.stale && self.seats.values().all(judged)
    }

    /// Says whether something may be done on a host because of a trip that is under way, or somebody is being switched off.
    pub fn is_acting(&self) -> bool {
        self.seats.values().any(|seat| seat.fencing.runs || seat.flight.as_ref().is_some_and(Flight::acts))
    }

    /// Says whether systemd is still on its way with a unit that the pass is about.
    pub fn is_changing(&self) -> bool {
        self.seats.values().any(Seat::is_changing)
    }

    fn committed(&mut self, taken: bool) {
        let Telling { records, doomed } = self.committing.take().unwrap_or_default();
        self.condemned.extend(doomed);
        self.moving.clear();
        if !taken {
            self.deposed = true;
            return;
        }
        // What was decided together fits together; only who found no place may find one now.
        self.stale |= records.iter().any(|write| moved_unit(write).is_some()) && !self.refused.is_empty();
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

    /// Takes a seat for every machine that the pass is about, and gives up those of machines that left.
    fn take_seats(&mut self, now: Timestamp) {
        if !std::mem::take(&mut self.unseated) {
            return;
        }
        self.forget_strangers();
        let machines = &self.snapshot.machines;
        self.seats.retain(|machine, _| machines.contains_key(machine));
        let mut about: BTreeSet<MachineId> = self.asked.clone();
        match &self.scope {
            Scope::All => about.extend(machines.keys()),
            Scope::Units(units) => {
                about.extend(self.roster.machines());
                if units.iter().any(|unit| self.asks.is_global(unit)) {
                    about.extend(machines.keys());
                }
                let states = units.iter().filter_map(|unit| self.snapshot.states.get(unit));
                about.extend(states.flat_map(BTreeMap::keys));
            }
        }
        let about = about.into_iter().filter(|machine| machines.contains_key(machine));
        for machine in about.collect::<Vec<_>>() {
            if let Entry::Vacant(seat) = self.seats.entry(machine) {
                seat.insert(Seat::new(now));
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

/// Says whether a launched unit is as it should be: it runs, or it was meant to end and has.
pub fn is_well(state: &UnitState, oneshot: bool) -> bool {
    match state.active.as_str() {
        "active" | "activating" | "reloading" => true,
        "inactive" => oneshot && state.launched,
        _ => false,
    }
}
