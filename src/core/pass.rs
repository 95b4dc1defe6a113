//! The pass: observe → judge → place → plan → apply, as a machine that is fed what happened and says what to do next.
//!
//! A verb, a sweep, the controller and the simulator all run this one machine and differ only in its [`Scope`] and in
//! when they stop. It holds a leader's view of the cluster and never waits: whoever runs it carries out the
//! [`Output`]s, in whatever time that takes, and tells it how they ended.
//!
//! What keeps it safe: nothing is sent to a machine before the store has taken the placement it follows from; nothing
//! is sent to a machine that has not been looked at since it last failed to answer; a machine's trips follow one
//! another, so that no trip overtakes the one before.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use super::cluster::DesiredState;
use super::cluster::Event;
use super::cluster::MachineId;
use super::cluster::Placement;
use super::cluster::Snapshot;
use super::cluster::UnitState;
use super::cluster::Write;
use super::evidence::Failure;
use super::evidence::FailureKind;
use super::evidence::Phase;
use super::judge::AT_ONCE;
use super::judge::Health;
use super::judge::Patience;
use super::judge::Verdict;
use super::judge::judge;
use super::place::Asks;
use super::place::Board;
use super::place::Choice;
use super::plan;
use super::plan::Action;
use super::plan::Step;
use super::report::Outcome;
use super::report::Refused;
use super::report::Report;
use super::report::Visit;
use super::roster;
use super::roster::Globals;
use super::roster::Roster;
use super::roster::Scope;
use super::seat::Flight;
use super::seat::Seat;
use super::seat::Setback;
use super::time::Timestamp;
use super::unit::UnitName;

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
}

/// The systemd that looks for a unit's file anew when one may have come: until then it has to be reloaded (its NEWS).
const FINDS_NEW_FILES: u32 = 247;

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
    },
    /// Stop: somebody else leads.
    Deposed,
}

/// One leader's view of the cluster, and what it is about to do.
#[derive(Debug)]
pub struct Pass {
    epoch: u64,
    scope: Scope,
    tempo: Tempo,
    snapshot: Snapshot,
    /// What the snapshot's units ask of machines.
    asks: Asks,
    /// Where its global units belong; not known before units were placed once.
    globals: Option<Globals>,
    seats: BTreeMap<MachineId, Seat>,
    roster: Roster,
    /// Candidates for a placement that have to be looked at first.
    asked: BTreeSet<MachineId>,
    /// What the store is to be told, and what it is being told.
    outbox: Vec<Write>,
    committing: Option<Vec<Write>>,
    /// Units whose place the store is being told: nothing is done to them until it has answered.
    moving: BTreeSet<UnitName>,
    /// Units that should be somewhere and cannot be, and why.
    refused: BTreeMap<UnitName, String>,
    /// Set when placements or the roster may have to change.
    stale: bool,
    /// When something was going to happen at the latest.
    expected: Option<Timestamp>,
    deposed: bool,
    stopping: bool,
}

impl Pass {
    /// Begins with what the store knows.
    pub fn new(epoch: u64, scope: Scope, tempo: Tempo, snapshot: Snapshot) -> Self {
        let mut asks = Asks::default();
        asks.renew(&snapshot);
        let roster = Roster::new(&snapshot, &scope, &Globals::new());
        Self {
            epoch,
            scope,
            tempo,
            snapshot,
            asks,
            globals: None,
            seats: BTreeMap::new(),
            roster,
            asked: BTreeSet::new(),
            outbox: Vec::new(),
            committing: None,
            moving: BTreeSet::new(),
            refused: BTreeMap::new(),
            stale: true,
            expected: None,
            deposed: false,
            stopping: false,
        }
    }

    /// Returns what the store knows, as far as this leader has heard.
    pub const fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Takes in what others wrote to the store.
    pub fn learn(&mut self, change: impl FnOnce(&mut Snapshot)) {
        change(&mut self.snapshot);
        self.asks.renew(&self.snapshot);
        self.stale = true;
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
    pub const fn refused(&self) -> &BTreeMap<UnitName, String> {
        &self.refused
    }

    /// Returns the steps that hosts refused.
    pub fn setbacks(&self) -> impl Iterator<Item = (MachineId, &Setback)> {
        self.seats.iter().flat_map(|(machine, seat)| seat.setbacks.values().map(|setback| (*machine, setback)))
    }

    /// Takes in what happened and returns what to do next. `now` must be read off a clock that nobody sets.
    pub fn handle(&mut self, input: Input, now: Timestamp) -> Vec<Output> {
        if self.expected.is_some_and(|at| now.since(at) > LATE) {
            // It was us who were away, so nobody's silence in that time tells anything.
            self.seats.values_mut().for_each(|seat| seat.evidence.resume(now));
        }
        let outputs = self.respond(input, now);
        self.expected = self.flights_end().chain(self.wake_at()).min();
        outputs
    }

    fn respond(&mut self, input: Input, now: Timestamp) -> Vec<Output> {
        match input {
            Input::Tick => {}
            Input::Lost => self.deposed = true,
            Input::Stop => self.stopping = true,
            Input::Committed(taken) => self.committed(taken),
            Input::Visited(machine, Ok(report)) => self.visited(machine, report, now),
            Input::Visited(machine, Err(failure)) => self.lost(machine, &failure, now),
        }
        if self.deposed {
            return vec![Output::Deposed];
        }
        if !self.stopping {
            self.take_seats(now);
            self.judge_all(now);
            self.place(now);
        }
        let mut outputs = Vec::new();
        if self.committing.is_none() && !self.outbox.is_empty() {
            let writes = std::mem::take(&mut self.outbox);
            self.moving = writes.iter().filter_map(moved_unit).cloned().collect();
            self.committing = Some(writes.clone());
            outputs.push(Output::Commit(writes));
        }
        if !self.stopping {
            self.send_visits(now, &mut outputs);
        }
        outputs
    }

    /// Brings placements and roster up to date, unless the store is still being told of the last change.
    fn place(&mut self, now: Timestamp) {
        if self.stale && self.committing.is_none() {
            self.place_units(now);
            let none = Globals::new();
            let roster = Roster::new(&self.snapshot, &self.scope, self.globals.as_ref().unwrap_or(&none));
            for (machine, seat) in &mut self.seats {
                // What was refused of something else than is wanted now need not be waited for.
                let same = |unit: &UnitName| roster.of(*machine, unit) == self.roster.of(*machine, unit);
                seat.setbacks.retain(|unit, _| same(unit));
                seat.unplanned = true;
            }
            self.roster = roster;
            self.stale = false;
        }
    }

    /// Returns when each trip that is under way ends at the latest.
    fn flights_end(&self) -> impl Iterator<Item = Timestamp> {
        self.seats.values().filter_map(|seat| Some(seat.flight.as_ref()?.since + self.tempo.begin_within))
    }

    /// Returns when to look again although nothing happened.
    pub fn wake_at(&self) -> Option<Timestamp> {
        let seats = self.seats.values().filter(|seat| seat.flight.is_none());
        let looks = seats.clone().map(|seat| seat.next_look);
        let retries = seats.filter(|seat| seat.answers()).flat_map(|seat| seat.setbacks.values());
        let retries = retries.map(|setback| setback.until);
        let judgements = self.seats.values().filter_map(|seat| seat.judge_again);
        looks.chain(retries).chain(judgements).min()
    }

    /// Says whether everything that can be done now has been done: every machine was looked at and judged, and nothing
    /// is on its way.
    pub fn is_settled(&self) -> bool {
        let judged = |seat: &Seat| seat.flight.is_none() && !matches!(seat.verdict, None | Some(Verdict::Suspect));
        self.committing.is_none() && self.outbox.is_empty() && !self.stale && self.seats.values().all(judged)
    }

    /// Says whether systemd is still on its way with a unit that the pass is about.
    pub fn is_changing(&self) -> bool {
        self.seats.values().any(Seat::is_changing)
    }

    fn committed(&mut self, taken: bool) {
        let writes = self.committing.take().unwrap_or_default();
        self.moving.clear();
        if !taken {
            self.deposed = true;
            return;
        }
        for write in writes {
            // What was observed has been taken in when it was.
            if matches!(write, Write::Place(..) | Write::Unplace(_)) {
                self.stale = true;
                self.snapshot.apply(write);
            }
        }
    }

    /// Takes in what was observed and tells the store.
    fn note(&mut self, write: Write) {
        if let Write::State(unit, ..) | Write::NoState(unit, _) = &write {
            // Where it is to start it may have waited for this.
            let placed = self.snapshot.placements.get(unit).map(|placement| placement.machine);
            if let Some(seat) = placed.and_then(|machine| self.seats.get_mut(&machine)) {
                seat.unplanned = true;
            }
        }
        self.snapshot.apply(write.clone());
        self.outbox.push(write);
    }

    fn visited(&mut self, machine: MachineId, report: Report, now: Timestamp) {
        let Some(seat) = self.seats.get_mut(&machine) else { return };
        if let Some(refused) = report.refused {
            return self.turned_away(machine, &refused, now);
        }
        let steps = seat.flight.take().map(|flight| flight.steps).unwrap_or_default();
        seat.conclude(&steps, &report.outcomes, now);
        let whole = report.observation.as_ref().is_some_and(|seen| seen.units.is_some());
        if let Some(seen) = report.observation {
            seat.observe(seen, now);
        }
        if whole {
            seat.next_whole_look = now + self.tempo.whole_look_every;
        }
        let soon = if seat.is_changing() { self.tempo.retry_every } else { self.tempo.look_every };
        seat.next_look = now + soon;
        seat.unplanned |= whole;
        for (step, outcome) in steps.iter().zip(&report.outcomes) {
            self.log_outcome(now, machine, step, outcome);
        }
        if whole {
            self.note_states(machine);
        }
    }

    fn turned_away(&mut self, machine: MachineId, refused: &Refused, now: Timestamp) {
        let (kind, detail) = match refused {
            Refused::LaterLeader(_) => {
                self.deposed = true;
                return;
            }
            Refused::OtherMachine(id) => (FailureKind::Stranger, format!("machine {id} answers at its address")),
            Refused::TooLate => (FailureKind::Sick, "the visit arrived too late".to_owned()),
            Refused::Busy => (FailureKind::Sick, "another visit holds the host's lock".to_owned()),
            Refused::Unfit(why) => (FailureKind::Sick, (*why).to_owned()),
        };
        let host = self.snapshot.machines.get(&machine).map(|machine| machine.name.clone()).unwrap_or_default();
        self.lost(machine, &Failure { host, phase: Phase::Run, kind, detail, hint: None }, now);
    }

    fn lost(&mut self, machine: MachineId, failure: &Failure, now: Timestamp) {
        let Some(seat) = self.seats.get_mut(&machine) else { return };
        let steps = seat.flight.take().map(|flight| flight.steps).unwrap_or_default();
        seat.next_look = now + self.tempo.retry_every;
        seat.lose(failure.clone(), now);
        // A candidate that does not answer is none.
        self.stale |= self.asked.contains(&machine);
        for step in steps {
            self.log_outcome(now, machine, &step, &Outcome::Lost(failure.clone()));
        }
    }

    /// Notes in the store what changed of a machine's units.
    fn note_states(&mut self, machine: MachineId) {
        let Some(units) = self.seats.get(&machine).and_then(|seat| seat.units.as_ref()) else { return };
        let noted = |unit: &UnitName| self.snapshot.states.get(unit).and_then(|states| states.get(&machine));
        let changed = units.iter().filter(|(unit, state)| noted(unit) != Some(*state));
        let changed = changed.map(|(unit, state)| Write::State(unit.clone(), machine, state.clone()));
        let known = self.snapshot.states.iter().filter(|(_, states)| states.contains_key(&machine));
        let gone = known.filter(|(unit, _)| !units.contains_key(*unit));
        let gone = gone.map(|(unit, _)| Write::NoState(unit.clone(), machine));
        let writes: Vec<Write> = changed.chain(gone).collect();
        for write in writes {
            self.note(write);
        }
    }

    fn log(&mut self, at: Timestamp, machine: Option<MachineId>, unit: Option<&UnitName>, what: String) {
        self.outbox.push(Write::Log(Event { at, machine, unit: unit.cloned(), what, trouble: false }));
    }

    fn log_outcome(&mut self, at: Timestamp, machine: MachineId, step: &Step, outcome: &Outcome) {
        let trouble = matches!(outcome, Outcome::Failed(_));
        let (machine, unit) = (Some(machine), Some(step.unit.clone()));
        self.outbox.push(Write::Log(Event { at, machine, unit, what: ended(step, outcome), trouble }));
    }

    /// Takes a seat for every machine that the pass is about, and gives up those of machines that left.
    fn take_seats(&mut self, now: Timestamp) {
        if !self.stale {
            return;
        }
        let machines = &self.snapshot.machines;
        for (unit, states) in &self.snapshot.states {
            let gone = states.keys().filter(|machine| !machines.contains_key(machine));
            self.outbox.extend(gone.map(|machine| Write::NoState(unit.clone(), *machine)));
        }
        self.seats.retain(|machine, _| machines.contains_key(machine));
        let mut about: BTreeSet<MachineId> = self.asked.clone();
        match &self.scope {
            Scope::All => about.extend(machines.keys()),
            Scope::Units(units) => {
                about.extend(self.roster.machines());
                if units.iter().any(|unit| self.is_global(unit)) {
                    about.extend(machines.keys());
                }
                let states = units.iter().filter_map(|unit| self.snapshot.states.get(unit));
                about.extend(states.flat_map(BTreeMap::keys));
            }
        }
        for machine in about.into_iter().filter(|machine| machines.contains_key(machine)) {
            self.seats.entry(machine).or_insert_with(|| Seat::new(now));
        }
    }

    /// Judges every machine. Only who looks at all of them for as long as patience asks may tell the store.
    fn judge_all(&mut self, now: Timestamp) {
        let mut changed = Vec::new();
        let quiet = self.quiet(now);
        for (machine, seat) in &mut self.seats {
            if seat.verdict == Some(Verdict::Alive) && seat.answers() {
                continue;
            }
            let Some(mut judgement) = judge(&seat.evidence, self.tempo.patience, now) else { continue };
            if judgement.verdict == Verdict::Down && quiet.contains_key(machine) {
                let since = seat.evidence.silent_since();
                let at_once = |other: &&Timestamp| other.since(since).max(since.since(**other)) < AT_ONCE;
                let (silent, all) = (quiet.values().filter(at_once).count(), self.snapshot.machines.len());
                if self.tempo.patience.is_brake_on(silent, all) {
                    judgement.verdict = Verdict::Unreachable;
                    let us = "it is more likely us than them, and nothing is moved";
                    judgement.why = format!("{silent} of {all} machines went silent at once: {us}; {}", judgement.why);
                }
            }
            seat.judge_again = judgement.again;
            if seat.verdict == Some(judgement.verdict) {
                continue;
            }
            seat.verdict = Some(judgement.verdict);
            let known = self.snapshot.health.get(machine).map(|health| health.verdict);
            self.stale = true;
            // A leader that has just begun to look knows less of a machine than the one before that had given it up.
            let begins = judgement.verdict == Verdict::Suspect && known.is_some_and(|known| known != Verdict::Alive);
            if self.scope == Scope::All && known != Some(judgement.verdict) && !begins {
                let last_seen = seat.evidence.answered.unwrap_or(seat.evidence.watched_since);
                let health = Health { verdict: judgement.verdict, since: now, last_seen, why: judgement.why };
                changed.push((*machine, known, health));
            }
        }
        for (machine, known, health) in changed {
            if known.is_some() || health.verdict != Verdict::Alive {
                self.log(now, Some(machine), None, format!("{}: {}", health.verdict, health.why));
            }
            self.note(Write::Health(machine, health));
        }
    }

    /// Returns the machines that do not answer, and since when, but for those that have been down for a while.
    fn quiet(&self, now: Timestamp) -> BTreeMap<MachineId, Timestamp> {
        if self.scope != Scope::All {
            return BTreeMap::new();
        }
        let silent = self.seats.iter().filter(|(_, seat)| !seat.evidence.failures.is_empty());
        let fresh = silent.filter(|(machine, _)| {
            let known = self.snapshot.health.get(machine).filter(|health| health.verdict == Verdict::Down);
            known.is_none_or(|health| now.since(health.since) < AT_ONCE)
        });
        fresh.map(|(machine, seat)| (*machine, seat.evidence.silent_since())).collect()
    }

    fn is_global(&self, unit: &UnitName) -> bool {
        self.asks.get(unit).is_some_and(|ask| ask.global)
    }

    /// Returns what is thought of a machine, by this leader or by those before it.
    fn verdict(&self, machine: MachineId) -> Option<Verdict> {
        let judged = self.seats.get(&machine).and_then(|seat| seat.verdict);
        match (&self.scope, judged) {
            (Scope::All, judged) | (Scope::Units(_), judged @ Some(Verdict::Alive)) => judged,
            (Scope::Units(_), _) => self.snapshot.health.get(&machine).map(|health| health.verdict),
        }
    }

    /// Says whether a unit may be put on a machine.
    fn is_eligible(&self, machine: MachineId) -> bool {
        match self.seats.get(&machine).filter(|seat| !seat.evidence.is_empty()) {
            Some(seat) => seat.answers(),
            None => self.scope != Scope::All && matches!(self.verdict(machine), None | Some(Verdict::Alive)),
        }
    }

    /// Says what a machine is worth to a unit that needs one.
    fn standing(&self, machine: MachineId) -> Verdict {
        if self.is_eligible(machine) {
            return Verdict::Alive;
        }
        self.verdict(machine).filter(|verdict| *verdict != Verdict::Alive).unwrap_or(Verdict::Suspect)
    }

    /// Takes units off machines where they cannot or should not stay, and puts those that need one on a machine.
    fn place_units(&mut self, now: Timestamp) {
        let refused_before = std::mem::take(&mut self.refused);
        // Before every machine has been looked at once it is not known who is free.
        if self.scope == Scope::All && self.seats.values().any(|seat| seat.evidence.is_empty()) {
            return;
        }
        let placements = &self.snapshot.placements;
        let moved = placements.iter().filter_map(|(unit, at)| Some((unit.clone(), self.misplaced(unit, at)?)));
        let mut moved: BTreeMap<UnitName, String> = moved.collect();
        let wanting = self.snapshot.units.iter().filter(|(name, unit)| {
            let homeless = moved.contains_key(*name) || !placements.contains_key(*name);
            unit.desired != DesiredState::Inactive
                && homeless
                && self.scope.has(name)
                && self.snapshot.is_readable(name)
                && !self.is_global(name)
        });
        let wanting: Vec<UnitName> = wanting.map(|(name, _)| name.clone()).collect();
        let mut board = Board::new(&self.snapshot, |machine| self.standing(machine), &self.asks);
        for unit in moved.keys() {
            board.remove(unit);
        }
        let placed = board.place_all(&wanting);
        let on = |machine: &MachineId| board.globals_on(*machine).cloned().collect::<BTreeSet<_>>();
        let globals = self.snapshot.machines.keys().map(|machine| (*machine, on(machine)));
        let globals = globals.filter(|(_, units)| !units.is_empty()).collect();
        for (unit, choices) in placed {
            match choices {
                Ok(choices) => self.accept(choices, &mut moved, now),
                Err(refusal) => {
                    let refusal = refusal.to_string();
                    if refused_before.get(unit) != Some(&refusal) {
                        let what = format!("no machine for it: {refusal}");
                        let unit = Some(unit.clone());
                        self.outbox.push(Write::Log(Event { at: now, machine: None, unit, what, trouble: true }));
                    }
                    self.refused.insert(unit.clone(), refusal);
                }
            }
        }
        self.globals = Some(globals);
        // A unit that has nowhere else to go stays where it is: its machine may come back.
        let wanted = |unit: &UnitName| {
            let machine = self.snapshot.placements.get(unit).map(|placement| placement.machine);
            let joined = machine.is_some_and(|machine| self.snapshot.machines.contains_key(&machine));
            let global = self.asks.get(unit).is_some_and(|ask| ask.global);
            let wanted = self.snapshot.units.get(unit).is_some_and(|unit| unit.desired != DesiredState::Inactive);
            joined && wanted && !global
        };
        moved.retain(|unit, _| !wanted(unit));
        for (unit, why) in moved {
            self.log(now, None, Some(&unit), format!("taken off: {why}"));
            self.outbox.push(Write::Unplace(unit));
        }
    }

    /// Notes what was chosen, or looks first at the machines that were not looked at yet.
    fn accept(&mut self, choices: Vec<Choice>, moved: &mut BTreeMap<UnitName, String>, now: Timestamp) {
        let answers = |machine: &MachineId| self.seats.get(machine).is_some_and(Seat::answers);
        let unseen: Vec<MachineId> = choices.iter().map(|choice| choice.machine).filter(|id| !answers(id)).collect();
        if !unseen.is_empty() {
            for machine in unseen {
                self.asked.insert(machine);
                self.seats.entry(machine).or_insert_with(|| Seat::new(now));
            }
            return;
        }
        for Choice { unit, machine, why } in choices {
            let reason = match moved.remove(&unit) {
                Some(before) => format!("{before}; {why}"),
                None => why.to_string(),
            };
            self.log(now, Some(machine), Some(&unit), format!("placed: {reason}"));
            // What a verb's unit displaces is the verb's business too.
            if let Scope::Units(units) = &mut self.scope {
                units.insert(unit.clone());
            }
            let placement = Placement { machine, epoch: self.epoch, reason, since: now };
            self.outbox.push(Write::Place(unit, placement));
        }
    }

    /// Says why a unit cannot stay where it was put, if it cannot.
    fn misplaced(&self, unit: &UnitName, placement: &Placement) -> Option<String> {
        if !self.scope.has(unit) || !self.snapshot.is_readable(unit) {
            return None;
        }
        match self.snapshot.units.get(unit) {
            None => return Some("not submitted".to_owned()),
            Some(unit) if unit.desired == DesiredState::Inactive => return Some("wanted inactive".to_owned()),
            Some(_) if self.is_global(unit) => return Some("global".to_owned()),
            Some(_) => {}
        }
        let Some(machine) = self.snapshot.machines.get(&placement.machine) else {
            return Some(format!("machine {}... left", placement.machine.short()));
        };
        if machine.draining {
            return Some(format!("{} is drained", machine.name));
        }
        (self.verdict(placement.machine) == Some(Verdict::Down)).then(|| format!("{} is down", machine.name))
    }

    fn send_visits(&mut self, now: Timestamp, outputs: &mut Vec<Output>) {
        let idle = self.seats.iter().filter(|(_, seat)| seat.flight.is_none() && seat.is_due(now));
        let idle: Vec<MachineId> = idle.map(|(machine, _)| *machine).collect();
        for machine in idle {
            let needed = self.needed_by(machine);
            let steps = self.sendable(machine, needed.clone(), now);
            let Some(seat) = self.seats.get_mut(&machine) else { continue };
            if seat.is_ready() {
                seat.unplanned = false;
                seat.settle(&needed, &steps, now);
            }
            if steps.is_empty() && now < seat.next_look {
                continue;
            }
            let whole = seat.units.is_none() || seat.is_changing() || now >= seat.next_whole_look;
            let glance = steps.is_empty() && !whole;
            let files = steps.iter().filter_map(|step| match step.action {
                Action::Load { hash, .. } => Some((hash, self.snapshot.files.get(&hash)?.clone())),
                _ => None,
            });
            let visit = Visit {
                machine: Some(machine),
                epoch: self.epoch,
                expires: seat.expiry(now, self.tempo.begin_within).filter(|_| !steps.is_empty()),
                reload: self.snapshot.machines.get(&machine).is_none_or(|it| it.systemd < FINDS_NEW_FILES),
                files: files.collect(),
                steps: steps.clone(),
            };
            seat.flight = Some(Flight { steps, since: now });
            outputs.push(Output::Visit { machine, visit, glance });
        }
    }

    /// Returns the steps that a machine needs and can be sent now.
    pub fn steps_for(&self, machine: MachineId, now: Timestamp) -> Vec<Step> {
        self.sendable(machine, self.needed_by(machine), now)
    }

    /// Returns the steps that a machine needs, if it is known what is there and nothing is on its way.
    fn needed_by(&self, machine: MachineId) -> Vec<Step> {
        let Some(seat) = self.seats.get(&machine).filter(|seat| seat.is_ready()) else { return Vec::new() };
        let Some(observed) = &seat.units else { return Vec::new() };
        let none = BTreeMap::new();
        let wanted = self.roster.wanted(machine).unwrap_or(&none);
        let stranger = |unit: &UnitName| {
            let about = self.scope.has(unit) && self.snapshot.is_readable(unit);
            about
                .then(|| roster::stranger(&self.snapshot, unit, self.globals.is_some() && self.is_global(unit)))
                .flatten()
        };
        let mut steps = plan::steps(wanted, observed, stranger);
        steps.retain(|step| self.snapshot.is_readable(&step.unit));
        steps
    }

    /// Returns those of the steps that can be taken now.
    fn sendable(&self, machine: MachineId, mut steps: Vec<Step>, now: Timestamp) -> Vec<Step> {
        let Some(seat) = self.seats.get(&machine) else { return Vec::new() };
        steps.retain(|step| !seat.is_set_back(&step.unit, now) && !self.moving.contains(&step.unit));
        steps.retain(|step| !(step.action.starts() && self.runs_elsewhere(&step.unit, machine)));
        steps
    }

    /// Says whether a unit still runs on another machine, where it can be stopped first: a machine that answers, or of
    /// which it is not known yet whether it does.
    fn runs_elsewhere(&self, unit: &UnitName, machine: MachineId) -> bool {
        let Some(states) = self.snapshot.states.get(unit) else { return false };
        let mut others = states.iter().filter(|(other, state)| **other != machine && state.runs());
        others.any(|(other, _)| {
            let unwanted = self.roster.of(*other, unit).is_none();
            let waits = |seat: &Seat| seat.answers() || matches!(seat.verdict, None | Some(Verdict::Suspect));
            unwanted && self.seats.get(other).is_some_and(waits)
        })
    }
}

/// Returns the unit whose place a write changes.
const fn moved_unit(write: &Write) -> Option<&UnitName> {
    match write {
        Write::Place(unit, _) | Write::Unplace(unit) => Some(unit),
        _ => None,
    }
}

/// Says how a step ended, for the log.
fn ended(step: &Step, outcome: &Outcome) -> String {
    let Step { action, reason, .. } = step;
    match outcome {
        Outcome::Done => format!("{action}: done ({reason})"),
        Outcome::AlreadyTrue => format!("{action}: already true ({reason})"),
        Outcome::Failed(said) => format!("{action}: failed: {said} ({reason})"),
        Outcome::Lost(failure) => format!("{action}: lost: {}: {} ({reason})", failure.phase, failure.detail),
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
