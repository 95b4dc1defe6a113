//! The reconciler over simulated hosts and a store that answer at once.

mod draining;
mod failed_loads;
mod fencing;
mod health;
mod hostile;
mod leases;
mod placing;
mod probing;
mod pulls;
mod recording;

use std::collections::VecDeque;
use std::sync::Arc;

use super::*;
use crate::core::model::Action;
use crate::core::model::ActiveState;
use crate::core::model::ChoiceReason;
use crate::core::model::DesiredState;
use crate::core::model::EventKind;
use crate::core::model::FailoverOverride;
use crate::core::model::FailureKind;
use crate::core::model::FilterReason;
use crate::core::model::Grant;
use crate::core::model::LoadState;
use crate::core::model::Machine;
use crate::core::model::Outcome;
use crate::core::model::Placement;
use crate::core::model::PlacementReason;
use crate::core::model::Refused;
use crate::core::model::RemovalReason;
use crate::core::model::SubState;
use crate::core::model::Unit;
use crate::core::model::UnitState;
use crate::core::simulated_host::SimulatedHost;
use crate::core::simulated_host::SimulatedUnit;
use crate::core::unit::UnitFile;

const SECOND: Duration = Duration::from_secs(1);

/// A reconciler with simulated hosts and a store, which carry out every output at once.
struct Stage {
    reconciler: Reconciler,
    now: Timestamp,
    hosts: BTreeMap<MachineId, SimulatedHost>,
    /// The steps that were sent, such as `start web on m1`.
    sent: Vec<String>,
    /// The active state of a unit after its start.
    started: ActiveState,
    /// Machines that do not answer the leader directly, and whether peers reach them.
    silent: BTreeSet<MachineId>,
    reached: Option<bool>,
    /// The probes, as machine and peer, and the relay of the last visit to each machine.
    asked: Vec<(MachineId, MachineId)>,
    relays: BTreeMap<MachineId, Option<MachineId>>,
    /// Set while visits through a relay find another host key.
    relays_fail: bool,
    /// How visits to silent machines fail, and how visits to certain machines fail.
    failure: Failure,
    failures: BTreeMap<MachineId, Failure>,
    /// Tells which visits never end.
    hangs: fn(MachineId, &Visit) -> bool,
    /// The units that hosts claim to have although they have not.
    claims: BTreeMap<MachineId, BTreeMap<UnitName, UnitState>>,
    /// Set while all visits with steps are lost before the host has begun them.
    loses_steps: bool,
    /// Set while units that are stopped go on stopping after the visit.
    stops_slowly: bool,
    /// The hosts on which no file can be loaded, and what they say.
    unloadable: BTreeMap<MachineId, String>,
    /// How long a host takes to pull an image that it does not have, and what Podman says if that fails.
    pull_time: Option<Duration>,
    pull_error: Option<String>,
    /// The hosts on which a program holds the lock.
    busy: BTreeSet<MachineId>,
    /// How many writes the store has got.
    writes: usize,
    /// When the visits without steps were made, and whether a quick observation sufficed.
    looks: Vec<(Timestamp, bool)>,
    /// Returns the uptime that a host adds to the true one when it reports it.
    uptime: fn(MachineId) -> Duration,
    /// The events.
    log: Vec<EventKind>,
    /// The store answers no commit any more once it has got such an event.
    unanswered: Option<EventKind>,
    /// The machines that were fenced, and how fence commands end.
    fenced: Vec<MachineId>,
    fence: Result<(), String>,
}

fn silence() -> Failure {
    let (phase, kind) = (Phase::Connect, FailureKind::Silent);
    Failure { host: "m1".to_owned(), phase, kind, detail: "no".to_owned(), hint: None }
}

/// Returns the phases that a visit over a new connection has reported when it fails in this phase.
fn phases_before(phase: Phase) -> impl Iterator<Item = Phase> {
    let all = [Phase::KeyExchange, Phase::Authenticate, Phase::Shell, Phase::Run];
    all.into_iter().filter(move |reported| *reported <= phase && phase > Phase::KeyExchange)
}

fn id(number: u32) -> MachineId {
    MachineId::from_bits(u128::from(number) << 96)
}

/// Returns the unit of a name; a name without a type is that of a service.
fn unit(name: &str) -> UnitName {
    if name.contains('.') { name.parse().unwrap() } else { format!("{name}.service").parse().unwrap() }
}

/// Adds a unit's file and record to a snapshot.
fn want(snapshot: &mut Snapshot, name: &str, text: &str) {
    let file = Arc::new(UnitFile::parse(&format!("[Service]\nExecStart=/bin/true\n{text}\n")).unwrap());
    let record = Unit::new(file.hash(), DesiredState::Launched);
    snapshot.units.insert(unit(name), record);
    snapshot.files.insert(file.hash(), file);
}

fn set(snapshot: &mut Snapshot, machine: u32, key: &str, value: &str) {
    snapshot.machines.get_mut(&id(machine)).unwrap().metadata.insert(key.to_owned(), value.to_owned());
}

/// Returns the change of the records that drains the first machine.
fn drain(by: Option<Timestamp>) -> impl FnOnce(&mut Snapshot) {
    move |snapshot| {
        let machine = snapshot.machines.get_mut(&id(1)).unwrap();
        (machine.cordoned, machine.draining, machine.drain_by) = (true, true, by);
    }
}

/// Carries out a visit. The units that it stops go on stopping.
fn visit_without_an_end(host: &mut SimulatedHost, visit: &Visit, uptime: Duration) -> Report {
    let mut underway = host.admit(visit, uptime).unwrap();
    host.begin(visit, &mut underway);
    host.proceed(visit, &mut underway, uptime);
    host.report(visit, &underway, false, 0)
}

fn timing() -> Timing {
    let (poll_interval, retry_interval) = (SECOND, SECOND / 2);
    Timing {
        poll_interval,
        full_poll_interval: SECOND * 10,
        retry_interval,
        start_deadline: SECOND * 10,
        lease: Some(LeasePolicy::of_controller(SECOND * 12, poll_interval, retry_interval).unwrap()),
        detection: DetectionConfig { down_after: SECOND * 8, brake: 55 },
    }
}

impl Stage {
    fn new(machines: u32, prepare: impl FnOnce(&mut Snapshot)) -> Self {
        let mut snapshot = Snapshot::default();
        for number in 1..=machines {
            let machine = Machine { id: id(number), name: format!("m{number}"), systemd: 252, ..Machine::default() };
            snapshot.machines.insert(machine.id, machine);
        }
        prepare(&mut snapshot);
        let mut stage = Self {
            reconciler: Reconciler::new(1, Scope::All, timing(), snapshot),
            now: Timestamp::from_millis(1_000_000),
            hosts: BTreeMap::new(),
            sent: Vec::new(),
            started: ActiveState::Active,
            silent: BTreeSet::new(),
            reached: None,
            asked: Vec::new(),
            relays: BTreeMap::new(),
            relays_fail: false,
            failure: silence(),
            failures: BTreeMap::new(),
            hangs: |_, _| false,
            claims: BTreeMap::new(),
            loses_steps: false,
            stops_slowly: false,
            unloadable: BTreeMap::new(),
            pull_time: None,
            pull_error: None,
            busy: BTreeSet::new(),
            writes: 0,
            looks: Vec::new(),
            uptime: |_| Duration::ZERO,
            log: Vec::new(),
            unanswered: None,
            fenced: Vec::new(),
            fence: Ok(()),
        };
        stage.run(Input::Tick);
        stage
    }

    /// Lets the next leader begin, after a change of the records of the store.
    fn next_leader(&mut self, change: impl FnOnce(&mut Snapshot)) {
        let mut snapshot = self.reconciler.snapshot().clone();
        change(&mut snapshot);
        let (epoch, timing) = (self.reconciler.epoch + 1, self.reconciler.timing);
        self.reconciler = Reconciler::new(epoch, Scope::All, timing, snapshot);
    }

    /// Changes the records of the store and returns the steps that follow.
    fn learn(&mut self, change: impl FnOnce(&mut Snapshot)) -> Vec<String> {
        self.reconciler.learn(change);
        self.run(Input::Tick)
    }

    /// Lets time pass and returns the steps that follow.
    fn wait(&mut self, time: Duration) -> Vec<String> {
        self.now = self.now + time;
        self.run(Input::Tick)
    }

    /// Lets so many seconds pass, one by one, and returns the steps that follow.
    fn seconds(&mut self, count: u32) -> Vec<String> {
        (0..count).flat_map(|_| self.wait(SECOND)).collect()
    }

    fn run(&mut self, input: Input) -> Vec<String> {
        self.sent.clear();
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for output in self.reconciler.handle(input, self.now) {
                let progress = self.progress(&output);
                inputs.extend(progress.into_iter().chain(self.carry_out(output)));
            }
        }
        self.sent.clone()
    }

    /// Returns the signs of life during a visit that fails.
    fn progress(&self, output: &Output) -> Vec<Input> {
        let Output::Visit { machine, through, .. } = output else { return Vec::new() };
        if through.is_some() {
            return if self.relays_fail { vec![Input::Progress(*machine, Phase::KeyExchange)] } else { Vec::new() };
        }
        match self.failure_of(*machine) {
            Some(failure) => phases_before(failure.phase).map(|phase| Input::Progress(*machine, phase)).collect(),
            None => Vec::new(),
        }
    }

    /// Returns how direct visits to a machine fail, if it is silent.
    fn failure_of(&self, machine: MachineId) -> Option<&Failure> {
        self.silent.contains(&machine).then(|| self.failures.get(&machine).unwrap_or(&self.failure))
    }

    /// Carries out an output. Returns its result, unless that never comes.
    fn carry_out(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::Commit(writes) => self.commit(writes).then_some(Input::Committed(true)),
            Output::Visit { machine, visit, quick, through } => {
                let result = self.visit(machine, &visit, quick, through)?;
                Some(Input::Visited(machine, Box::new(result)))
            }
            Output::Probe { machine, peer } => {
                self.asked.push((machine, peer));
                Some(Input::Probed { machine, peer, reached: self.reached })
            }
            Output::Leave(_) => None,
            Output::Fence(machine) => {
                self.fenced.push(machine);
                Some(Input::Fenced(machine, self.fence.clone()))
            }
            Output::Deposed => panic!("deposed"),
        }
    }

    /// Takes a commit. Reports whether the store answers.
    fn commit(&mut self, writes: Vec<Write>) -> bool {
        self.writes += writes.len();
        self.log.extend(writes.into_iter().filter_map(|write| match write {
            Write::Log(event) => Some(event.kind),
            _ => None,
        }));
        self.unanswered.as_ref().is_none_or(|kind| !self.log.contains(kind))
    }

    /// Makes a visit and returns its result, unless it never ends.
    fn visit(
        &mut self,
        machine: MachineId,
        visit: &Visit,
        quick: bool,
        through: Option<MachineId>,
    ) -> Option<Result<Report, Failure>> {
        let name = self.reconciler.snapshot().name_of(machine);
        self.sent.extend(visit.steps.iter().map(|step| format!("{} {} on {name}", step.action, step.unit.stem())));
        if visit.steps.is_empty() {
            self.looks.push((self.now, quick));
        }
        if (self.hangs)(machine, visit) {
            return None;
        }
        if let (None, Some(failure)) = (through, self.failure_of(machine)) {
            return Some(Err(failure.clone()));
        }
        if through.is_some() && self.relays_fail {
            return Some(Err(Failure { phase: Phase::KeyExchange, kind: FailureKind::WrongMachine, ..silence() }));
        }
        if self.loses_steps && !visit.steps.is_empty() {
            return Some(Err(Failure { phase: Phase::Run, kind: FailureKind::Sick, ..silence() }));
        }
        self.relays.insert(machine, through);
        let host = self.hosts.entry(machine).or_insert_with(|| SimulatedHost::new(machine, "boot".to_owned()));
        host.started = self.started;
        (host.pull_time, host.pull_error) = (self.pull_time, self.pull_error.clone());
        // Each relay has a connection of its own.
        let shell = through.map_or(0, |relay| 1 + self.reconciler.snapshot().machines.range(..relay).count() as u64);
        let uptime = self.now.since(Timestamp::ZERO).saturating_add((self.uptime)(machine));
        if self.busy.contains(&machine) && !visit.steps.is_empty() {
            return Some(Ok(host.refusal(Refused::Busy, uptime)));
        }
        let mut report = if self.stops_slowly {
            visit_without_an_end(host, visit, uptime)
        } else {
            host.visit(visit, quick, shell, uptime)
        };
        self.claim(machine, visit, &mut report);
        self.refuse_loads(machine, visit, &mut report);
        Some(Ok(report))
    }

    /// Adds the units to a report that a host claims to have.
    fn claim(&self, machine: MachineId, visit: &Visit, report: &mut Report) {
        let Some(claims) = self.claims.get(&machine) else { return };
        if let Some(units) = report.observation.as_mut().and_then(|seen| seen.units.as_mut()) {
            units.extend(claims.clone());
        }
        for (step, outcome) in visit.steps.iter().zip(&mut report.outcomes) {
            if step.action == Action::Unload && claims.contains_key(&step.unit) {
                *outcome = Outcome::Failed("no".to_owned());
            }
        }
    }

    /// Undoes the loads of a visit on a host on which no file can be loaded.
    fn refuse_loads(&mut self, machine: MachineId, visit: &Visit, report: &mut Report) {
        let Some(said) = self.unloadable.get(&machine) else { return };
        if let Some(seen) = &mut report.observation {
            seen.has_room = false;
        }
        for (step, outcome) in visit.steps.iter().zip(&mut report.outcomes) {
            if matches!(step.action, Action::Load { .. } | Action::Start { .. }) {
                *outcome = Outcome::Failed(said.clone());
                self.hosts.get_mut(&machine).unwrap().units.remove(&step.unit);
                report.observation.as_mut().unwrap().units.as_mut().unwrap().remove(&step.unit);
            }
        }
    }

    fn placement(&self, name: &str) -> &Placement {
        &self.reconciler.snapshot().placements[&unit(name)]
    }

    fn health(&self, machine: u32) -> Option<Health> {
        self.reconciler.view(id(machine)).and_then(|view| view.health)
    }

    fn is_at_rest(&mut self) -> bool {
        self.wait(SECOND * 11).is_empty() && self.wait(SECOND * 11).is_empty()
    }
}
