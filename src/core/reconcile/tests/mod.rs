mod leases;

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
use crate::core::model::LeaseAction;
use crate::core::model::LoadState;
use crate::core::model::Machine;
use crate::core::model::Observation;
use crate::core::model::Outcome;
use crate::core::model::Phase;
use crate::core::model::Placement;
use crate::core::model::PlacementReason;
use crate::core::model::RemovalReason;
use crate::core::model::SubState;
use crate::core::model::Unit;
use crate::core::model::UnitState;
use crate::core::unit::UnitFile;

const SECOND: Duration = Duration::from_secs(1);

/// A reconciler with simulated hosts and a store, which carry out every output at once.
struct Stage {
    reconciler: Reconciler,
    now: Timestamp,
    hosts: BTreeMap<MachineId, BTreeMap<UnitName, UnitState>>,
    /// The steps that were carried out, such as `start a.service on m1`.
    done: Vec<String>,
    /// The active state of a unit after its start.
    active: ActiveState,
    /// Machines that do not answer the leader directly, and whether peers reach them.
    silent: BTreeSet<MachineId>,
    reached: Option<bool>,
    /// The probes, as machine and peer, and the relay of the last visit to each machine.
    asked: Vec<(MachineId, MachineId)>,
    relays: BTreeMap<MachineId, Option<MachineId>>,
    /// How visits to silent machines fail, and how visits to certain machines fail.
    failure: Failure,
    failures: BTreeMap<MachineId, Failure>,
    /// Machines whose visits never end.
    hung: BTreeSet<MachineId>,
    /// The events.
    log: Vec<EventKind>,
    /// How fence commands end.
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

fn unit(name: &str) -> UnitName {
    format!("{name}.service").parse().unwrap()
}

/// Adds a unit's file and record to a snapshot.
fn want(snapshot: &mut Snapshot, name: &str, text: &str) {
    let file = Arc::new(UnitFile::parse(&format!("[Service]\nExecStart=/bin/true\n{text}\n")).unwrap());
    let record = Unit { hash: file.hash(), desired: DesiredState::Launched, restarts: 0 };
    snapshot.units.insert(unit(name), record);
    snapshot.files.insert(file.hash(), file);
}

fn set(snapshot: &mut Snapshot, machine: u32, key: &str, value: &str) {
    snapshot.machines.get_mut(&id(machine)).unwrap().metadata.insert(key.to_owned(), value.to_owned());
}

impl Stage {
    fn new(machines: u32, prepare: impl FnOnce(&mut Snapshot)) -> Self {
        let mut snapshot = Snapshot::default();
        for number in 1..=machines {
            let machine = Machine { id: id(number), name: format!("m{number}"), systemd: 252, ..Machine::default() };
            snapshot.machines.insert(machine.id, machine);
        }
        prepare(&mut snapshot);
        let timing = Timing {
            poll_interval: SECOND,
            full_poll_interval: SECOND * 10,
            retry_interval: SECOND / 2,
            start_deadline: SECOND * 10,
            lease: None,
            detection: DetectionConfig { down_after: SECOND * 8, brake: 55 },
        };
        let timing = Timing {
            lease: Some(LeasePolicy::of_controller(SECOND * 12, timing.poll_interval, timing.retry_interval).unwrap()),
            ..timing
        };
        let now = Timestamp::from_millis(1_000_000);
        let reconciler = Reconciler::new(1, Scope::All, timing, snapshot);
        let mut stage = Self {
            reconciler,
            now,
            hosts: BTreeMap::new(),
            done: Vec::new(),
            active: ActiveState::Active,
            silent: BTreeSet::new(),
            reached: None,
            asked: Vec::new(),
            relays: BTreeMap::new(),
            failure: silence(),
            failures: BTreeMap::new(),
            hung: BTreeSet::new(),
            log: Vec::new(),
            fence: Ok(()),
        };
        stage.run(Input::Tick);
        stage
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

    fn run(&mut self, input: Input) -> Vec<String> {
        self.done.clear();
        let mut inputs = std::collections::VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for output in self.reconciler.handle(input, self.now) {
                let next = match output {
                    Output::Commit(writes) => {
                        self.log.extend(writes.into_iter().filter_map(|write| match write {
                            Write::Log(event) => Some(event.kind),
                            _ => None,
                        }));
                        Input::Committed(true)
                    }
                    Output::Visit { machine, .. } if self.hung.contains(&machine) => continue,
                    Output::Visit { machine, through: None, .. } if self.silent.contains(&machine) => {
                        let failure = self.failures.get(&machine).unwrap_or(&self.failure).clone();
                        inputs.extend(phases_before(failure.phase).map(|phase| Input::Progress(machine, phase)));
                        Input::Visited(machine, Err(failure))
                    }
                    Output::Visit { machine, visit, through, .. } => {
                        self.relays.insert(machine, through);
                        Input::Visited(machine, Ok(self.visit(machine, &visit)))
                    }
                    Output::Probe { machine, peer } => {
                        self.asked.push((machine, peer));
                        Input::Probed { machine, peer, reached: self.reached }
                    }
                    Output::Leave(_) => continue,
                    Output::Fence(machine) => Input::Fenced(machine, self.fence.clone()),
                    Output::Deposed => panic!("deposed"),
                };
                inputs.push_back(next);
            }
        }
        self.done.clone()
    }

    fn visit(&mut self, machine: MachineId, visit: &Visit) -> Report {
        let units = self.hosts.entry(machine).or_default();
        for step in &visit.steps {
            let name = &self.reconciler.snapshot().machines[&machine].name;
            self.done.push(format!("{} {} on {name}", step.action, step.unit.stem()));
            match step.action {
                Action::Load { hash, .. } => {
                    let (load, active, sub) = (LoadState::Loaded, ActiveState::Inactive, SubState::DEAD);
                    let state = UnitState { load, active, sub, job: None, hash, launched: false, restarts: 0 };
                    units.insert(step.unit.clone(), state);
                }
                Action::Unload => drop(units.remove(&step.unit)),
                Action::Stop | Action::Start { .. } | Action::Restart { .. } => {
                    let state = units.get_mut(&step.unit).unwrap();
                    state.launched = step.action.starts();
                    state.active = if state.launched { self.active } else { ActiveState::Inactive };
                }
            }
        }
        let observation = Observation {
            machine,
            boot: "boot".to_owned(),
            uptime: self.now.since(Timestamp::ZERO),
            epoch: visit.epoch,
            lease: visit.lease.as_ref().map(LeaseAction::granted),
            units: Some(units.clone()),
        };
        let outcomes = visit.steps.iter().map(|_| Outcome::Done).collect();
        Report { outcomes, refused: None, observation: Some(observation) }
    }

    fn placement(&self, name: &str) -> &Placement {
        &self.reconciler.snapshot().placements[&unit(name)]
    }

    fn is_at_rest(&mut self) -> bool {
        self.wait(SECOND * 11).is_empty() && self.wait(SECOND * 11).is_empty()
    }
}

#[test]
fn a_unit_moves_when_its_machine_no_longer_meets_its_requirements() {
    let mut stage = Stage::new(3, |snapshot| {
        (1..=3).for_each(|machine| set(snapshot, machine, "zone", if machine < 3 { "a" } else { "b" }));
        want(snapshot, "web", "[X-Fleet]\nMachineMetadata=zone=a");
    });
    assert_eq!(stage.placement("web").machine, id(1));
    let done = stage.learn(|snapshot| set(snapshot, 1, "zone", "b"));
    assert_eq!(done, ["unload web on m1", "load web on m2", "start web on m2"]);
    let filter_reason = FilterReason::Metadata { key: "zone".to_owned(), wanted: ["a".to_owned()].into() };
    let expected = PlacementReason {
        choice: ChoiceReason::LeastLoaded { units: 0, next: None },
        moved: Some(RemovalReason::Misfit { machine: id(1), filter_reason }),
    };
    assert_eq!(stage.placement("web").reason, expected);
    assert!(stage.is_at_rest());
}

#[test]
fn a_unit_that_fits_on_no_other_machine_stays_and_the_reason_is_reported() {
    let mut stage = Stage::new(2, |snapshot| {
        set(snapshot, 1, "zone", "a");
        want(snapshot, "web", "[X-Fleet]\nMachineMetadata=zone=a");
    });
    assert!(stage.learn(|snapshot| set(snapshot, 1, "zone", "b")).is_empty());
    assert!(stage.is_at_rest());
    assert_eq!(
        stage.reconciler.refused()[&unit("web")].message(),
        "stays on m1 although metadata zone=a not matched: no machine for it: 2 machines: metadata zone=a not matched"
    );
    let done = stage.learn(|snapshot| set(snapshot, 2, "zone", "a"));
    assert_eq!(done, ["unload web on m1", "load web on m2", "start web on m2"]);
    assert!(stage.reconciler.refused().is_empty());
}

#[test]
fn when_units_begin_to_conflict_as_few_as_possible_move() {
    let mut stage = Stage::new(2, |snapshot| ["a", "b", "c", "d"].iter().for_each(|name| want(snapshot, name, "")));
    let at = |stage: &Stage| ["a", "b", "c", "d"].map(|name| stage.placement(name).machine);
    assert_eq!(at(&stage), [id(1), id(2), id(1), id(2)]);
    stage.learn(|snapshot| want(snapshot, "c", "[X-Fleet]\nConflicts=a.service"));
    assert_eq!(at(&stage), [id(2), id(2), id(1), id(2)]);
    assert!(stage.is_at_rest());
    // Now no machine meets all requirements, and no unit moves back and forth.
    stage.learn(|snapshot| want(snapshot, "c", "[X-Fleet]\nConflicts=*.service"));
    assert_eq!(at(&stage), [id(2), id(2), id(1), id(2)]);
    stage.learn(|snapshot| want(snapshot, "d", "[X-Fleet]\nConflicts=*.service"));
    assert_eq!(at(&stage), [id(2), id(2), id(1), id(2)]);
    assert!(stage.is_at_rest());
    let stays = stage.reconciler.refused().values().filter(|refusal| matches!(refusal, PlacementError::Stays { .. }));
    assert_eq!(stays.count(), 3);
}

#[test]
fn a_unit_with_machine_of_follows_its_peer_to_the_next_machine() {
    let mut stage = Stage::new(2, |snapshot| {
        (1..=2).for_each(|machine| set(snapshot, machine, "zone", "a"));
        want(snapshot, "leader", "[X-Fleet]\nMachineMetadata=zone=a");
        want(snapshot, "after", "[X-Fleet]\nMachineOf=leader.service");
    });
    stage.learn(|snapshot| set(snapshot, 1, "zone", "b"));
    assert_eq!((stage.placement("leader").machine, stage.placement("after").machine), (id(2), id(2)));
    assert!(stage.is_at_rest());
}

#[test]
fn a_cordon_moves_no_unit() {
    let mut stage = Stage::new(2, |snapshot| want(snapshot, "web", ""));
    let cordon = |snapshot: &mut Snapshot| snapshot.machines.get_mut(&id(1)).unwrap().cordoned = true;
    assert!(stage.learn(cordon).is_empty() && stage.is_at_rest());
}

fn drain(by: Option<Timestamp>) -> impl FnOnce(&mut Snapshot) {
    move |snapshot| {
        let machine = snapshot.machines.get_mut(&id(1)).unwrap();
        (machine.cordoned, machine.draining, machine.drain_by) = (true, true, by);
    }
}

#[test]
fn a_unit_leaves_a_drained_machine_once_it_runs_elsewhere() {
    let mut stage = Stage::new(2, |snapshot| want(snapshot, "web", ""));
    assert_eq!(stage.learn(drain(None)), ["load web on m2", "start web on m2", "unload web on m1"]);
    assert!(stage.is_at_rest());
}

#[test]
fn a_unit_keeps_running_while_it_starts_slowly_on_another_machine() {
    let mut stage = Stage::new(2, |snapshot| want(snapshot, "web", ""));
    stage.active = ActiveState::Activating;
    assert_eq!(stage.learn(drain(None)), ["load web on m2", "start web on m2"]);
    assert!(stage.is_at_rest());
    stage.hosts.get_mut(&id(2)).unwrap().get_mut(&unit("web")).unwrap().active = ActiveState::Active;
    assert_eq!(stage.wait(SECOND * 11), ["unload web on m1"]);
}

#[test]
fn a_global_unit_leaves_a_drained_machine_last_and_comes_back_after_the_drain() {
    let mut stage = Stage::new(2, |snapshot| {
        want(snapshot, "agent", "[X-Fleet]\nGlobal=true");
        want(snapshot, "web", "");
    });
    let left = ["load web on m2", "start web on m2", "unload web on m1", "unload agent on m1"];
    assert_eq!(stage.learn(drain(None)), left);
    assert!(stage.is_at_rest() && !stage.reconciler.is_occupied(id(1)));
    let back = stage.learn(|snapshot| snapshot.machines.get_mut(&id(1)).unwrap().draining = false);
    assert_eq!(back, ["load agent on m1", "start agent on m1"]);
}

#[test]
fn after_a_rejected_login_the_next_visit_waits_until_the_penalty_of_sshd_has_expired() {
    for (kind, pause) in [(FailureKind::Denied, 6), (FailureKind::HostKey, 6), (FailureKind::Throttled, 6)] {
        let mut stage = Stage::new(2, |_| ());
        stage.silent.insert(id(1));
        stage.failure = Failure { kind, phase: Phase::Authenticate, ..silence() };
        stage.wait(SECOND);
        assert_eq!(stage.reconciler.view(id(1)).unwrap().next_visit, stage.now + SECOND * pause, "{kind:?}");
        // The failure is enough to assess the machine as soon as the detection time has passed.
        (0..7).for_each(|_| _ = stage.wait(SECOND));
        assert!(!matches!(health_of(&stage, 1), Some(Health::Suspect | Health::Down)), "{kind:?}");
    }
}

#[test]
fn an_event_says_how_long_two_copies_of_a_unit_ran_at_most() {
    let mut stage = Stage::new(3, |snapshot| want(snapshot, "web", ""));
    let from = stage.placement("web").machine;
    stage.silent.insert(from);
    (0..20).for_each(|_| drop(stage.wait(SECOND)));
    let moved = stage.placement("web");
    assert_ne!(moved.machine, from);
    let since = moved.since;
    stage.silent.clear();
    stage.log.clear();
    let mut done = Vec::new();
    (0..5).for_each(|_| done.extend(stage.wait(SECOND)));
    assert_eq!(done, ["unload web on m1"]);
    let overlap = |kind: &EventKind| if let EventKind::StepEnded(step) = kind { step.overlap } else { None };
    let twice: Vec<Duration> = stage.log.iter().filter_map(overlap).collect();
    let [time] = twice.as_slice() else { panic!("{:?}", stage.log) };
    let longest = stage.now.since(since);
    assert!((SECOND..=longest).contains(time), "{time:?} of {longest:?}");
}

#[test]
fn a_copy_that_is_being_removed_does_not_let_a_drain_stop_the_unit() {
    let mut stage = Stage::new(3, |snapshot| want(snapshot, "web", ""));
    assert_eq!(stage.placement("web").machine, id(1));
    let stray = stage.hosts[&id(1)][&unit("web")].clone();
    stage.hosts.entry(id(2)).or_default().insert(unit("web"), stray);
    // The visit that takes the stray copy off m2 is not answered.
    let sent = |stage: &mut Stage| {
        stage.now = stage.now + SECOND * 11;
        let (mut inputs, mut sent) = (vec![Input::Tick], Vec::new());
        while let Some(input) = inputs.pop() {
            for output in stage.reconciler.handle(input, stage.now) {
                match output {
                    Output::Commit(_) => inputs.push(Input::Committed(true)),
                    Output::Visit { machine, visit, .. } => {
                        sent.extend(visit.steps.iter().map(|step| format!("{} on {}", step.action, machine.short())));
                        if machine != id(2) || visit.steps.is_empty() {
                            inputs.push(Input::Visited(machine, Ok(stage.visit(machine, &visit))));
                        }
                    }
                    output => panic!("{output:?}"),
                }
            }
        }
        sent
    };
    assert_eq!(sent(&mut stage), [format!("unload on {}", id(2).short())]);
    stage.reconciler.learn(|snapshot| {
        let machine = snapshot.machines.get_mut(&id(1)).unwrap();
        (machine.cordoned, machine.draining) = (true, true);
    });
    assert_eq!(sent(&mut stage), [""; 0]);
    assert_eq!(stage.placement("web").machine, id(2));
}

#[test]
fn no_machine_is_fenced_before_the_store_has_the_event() {
    let mut stage = Stage::new(3, |snapshot| {
        want(snapshot, "web", "[X-Muster]\nClass=strict");
        snapshot.machines.values_mut().for_each(|machine| machine.fence_command = Some("off".to_owned()));
    });
    let from = stage.placement("web").machine;
    stage.silent.insert(from);
    // Visits to the machine fail. The commit that announces the fence command is not answered, nor any later one.
    let mut told = None;
    for _ in 0..60 {
        stage.now = stage.now + SECOND;
        let mut inputs = vec![Input::Tick];
        while let Some(input) = inputs.pop() {
            for output in stage.reconciler.handle(input, stage.now) {
                match output {
                    Output::Visit { machine, .. } if machine == from => {
                        inputs.push(Input::Visited(machine, Err(silence())));
                    }
                    Output::Visit { machine, visit, .. } => {
                        inputs.push(Input::Visited(machine, Ok(stage.visit(machine, &visit))));
                    }
                    Output::Commit(writes) => {
                        let fences =
                            |write: &Write| matches!(write, Write::Log(event) if event.kind == EventKind::FenceBegun);
                        told = writes.iter().any(fences).then_some(stage.now).or(told);
                        if told.is_none() {
                            inputs.push(Input::Committed(true));
                        }
                    }
                    Output::Fence(_) => panic!("switched off unannounced"),
                    Output::Probe { machine, peer } => {
                        inputs.push(Input::Probed { machine, peer, reached: None });
                    }
                    Output::Leave(_) | Output::Deposed => {}
                }
            }
        }
    }
    assert!(told.is_some(), "it is down, and its lease is not over");
    let outputs = stage.reconciler.handle(Input::Committed(true), stage.now);
    assert!(outputs.contains(&Output::Fence(from)));
}

#[test]
fn a_leader_that_loses_the_store_before_its_first_commit_renews_earlier_leases() {
    let mut stage = Stage::new(3, |snapshot| want(snapshot, "web", "[X-Muster]\nClass=strict"));
    stage.wait(SECOND * 20);
    let at = stage.placement("web").machine;
    let next = |stage: &Stage, change: fn(&mut Grant)| {
        let mut snapshot = stage.reconciler.snapshot().clone();
        snapshot.leases.values_mut().for_each(change);
        let mut reconciler = Reconciler::new(2, Scope::All, stage.reconciler.timing, snapshot);
        // The store fails after the first visits were sent.
        drop(reconciler.handle(Input::Tick, stage.now));
        reconciler.enter_lease_only();
        reconciler
    };
    let short = next(&stage, |grant| grant.length = SECOND);
    let ended = next(&stage, |grant| grant.stopped_for_sure_at = Some(Timestamp::ZERO));
    let renews = |stage: &mut Stage| {
        (0..5).for_each(|_| _ = stage.wait(SECOND));
        stage.reconciler.lease_ends.contains_key(&at)
    };
    stage.reconciler = next(&stage, |_| ());
    assert!(stage.reconciler.holds_leases() && renews(&mut stage));
    stage.reconciler = short;
    assert!(!renews(&mut stage), "no later leader would wait for the end of a longer lease");
    stage.reconciler = ended;
    assert!(!stage.reconciler.holds_leases() && !renews(&mut stage), "another leader may rely on its end");
}

#[test]
fn at_the_deadline_of_a_drain_the_remaining_units_stop() {
    let mut stage = Stage::new(2, |snapshot| want(snapshot, "web", ""));
    stage.active = ActiveState::Failed;
    let by = stage.now + SECOND * 60;
    assert_eq!(stage.learn(drain(Some(by))), ["load web on m2", "start web on m2"]);
    assert!(stage.wait(SECOND * 59).is_empty());
    assert_eq!(stage.reconciler.wake_at(), Some(by));
    assert_eq!(stage.wait(SECOND), ["unload web on m1"]);
    assert!(stage.is_at_rest());
}

#[test]
fn changes_at_returns_when_time_alone_changes_a_decision() {
    let mut stage = Stage::new(3, |snapshot| want(snapshot, "web", "[X-Muster]\nClass=strict"));
    assert_eq!(stage.reconciler.changes_at(), None, "observations alone change nothing");
    let from = stage.placement("web").machine;
    stage.silent.insert(from);
    (0..12).for_each(|_| drop(stage.wait(SECOND)));
    let gone = stage.reconciler.snapshot().leases[&from].stopped_for_sure_at;
    assert!(gone.is_some_and(|at| stage.now < at), "{gone:?}");
    assert_eq!(stage.reconciler.changes_at(), gone, "then its strict unit starts elsewhere");

    let mut stage = Stage::new(1, |snapshot| want(snapshot, "web", ""));
    let by = stage.now + SECOND * 60;
    stage.learn(drain(Some(by)));
    assert_eq!(stage.reconciler.changes_at(), Some(by), "then the remaining unit stops");
}

#[test]
fn at_the_deadline_of_a_drain_a_unit_that_fits_nowhere_else_stops_until_the_drain_ends() {
    let mut stage = Stage::new(1, |snapshot| want(snapshot, "web", ""));
    let by = stage.now + SECOND * 60;
    assert!(stage.learn(drain(Some(by))).is_empty() && stage.wait(SECOND * 59).is_empty());
    assert_eq!(stage.wait(SECOND), ["unload web on m1"]);
    assert!(!stage.reconciler.snapshot().placements.contains_key(&unit("web")) && stage.is_at_rest());
    let open = |snapshot: &mut Snapshot| {
        let machine = snapshot.machines.get_mut(&id(1)).unwrap();
        (machine.cordoned, machine.draining, machine.drain_by) = (false, false, None);
    };
    assert_eq!(stage.learn(open), ["load web on m1", "start web on m1"]);
}

/// Makes a stage whose first machine has a unit and has been silent for longer than the detection time.
fn silenced(machines: u32, reached: Option<bool>) -> Stage {
    let mut stage = Stage::new(machines, |snapshot| {
        want(snapshot, "a", "");
        want(snapshot, "b", "[X-Fleet]\nConflicts=a.service");
    });
    assert_eq!(stage.placement("a").machine, id(1));
    stage.silent.insert(id(1));
    stage.reached = reached;
    for _ in 0..12 {
        stage.wait(SECOND);
    }
    stage
}

fn health_of(stage: &Stage, machine: u32) -> Option<Health> {
    stage.reconciler.view(id(machine)).and_then(|view| view.health)
}

#[test]
fn a_machine_that_peers_reach_keeps_its_units_and_is_managed_through_a_relay() {
    let mut stage = silenced(3, Some(true));
    assert_eq!((health_of(&stage, 1), stage.placement("a").machine), (Some(Health::PathFault), id(1)));
    assert!(stage.relays[&id(1)].is_some_and(|peer| peer != id(1)));
    // Its own units are managed. New units go to other machines, however many units those have.
    let done = stage.learn(|snapshot| {
        snapshot.units.get_mut(&unit("a")).unwrap().desired = DesiredState::Loaded;
        want(snapshot, "c", "");
        want(snapshot, "d", "");
        want(snapshot, "e", "");
    });
    assert!(done.contains(&"stop a on m1".to_owned()), "{done:?}");
    assert!(done.iter().all(|step| step.starts_with("stop") || !step.ends_with("m1")), "{done:?}");
    let asked = stage.asked.len();
    for _ in 0..100 {
        stage.wait(SECOND);
    }
    assert_eq!(stage.asked.len(), asked, "no peer is asked while the relay works");
    assert_eq!((health_of(&stage, 1), stage.placement("a").machine), (Some(Health::PathFault), id(1)));
    stage.silent.clear();
    for _ in 0..31 {
        stage.wait(SECOND);
    }
    assert_eq!((health_of(&stage, 1), stage.relays[&id(1)]), (Some(Health::Alive), None));
}

#[test]
fn a_machine_that_no_peer_reaches_fails_over_after_the_detection_time() {
    for reached in [Some(false), None] {
        let stage = silenced(3, reached);
        assert_eq!(health_of(&stage, 1), Some(Health::Down));
        assert_ne!(stage.placement("a").machine, id(1));
        assert_eq!(stage.placement("a").since.since(stage.now), Duration::ZERO);
        let down = stage.reconciler.snapshot().health[&id(1)].since;
        assert!(down.since(Timestamp::from_millis(1_000_000)) <= SECOND * 9, "{down}");
    }
}

#[test]
fn probes_are_spread_over_peers_and_never_too_many_for_one_sshd() {
    let stage = silenced(12, Some(false));
    let about: Vec<MachineId> = stage.asked.iter().map(|(_, peer)| *peer).collect();
    assert!(stage.asked.iter().all(|(machine, peer)| *machine == id(1) && *peer != id(1)));
    // Two peers are asked at once, every five seconds while the machine is suspected, and other peers each time.
    assert_eq!(about.len(), 4, "{about:?}");
    assert_eq!(about.iter().collect::<BTreeSet<_>>().len(), 4, "{about:?}");
}

/// Lets a machine go down and come up again.
fn flap(stage: &mut Stage, machine: u32) {
    stage.silent.insert(id(machine));
    for _ in 0..12 {
        stage.wait(SECOND);
    }
    assert_eq!(health_of(stage, machine), Some(Health::Down));
    stage.silent.clear();
    stage.wait(SECOND);
    assert_eq!(health_of(stage, machine), Some(Health::Alive));
}

#[test]
fn a_machine_that_went_down_twice_is_held_down_even_by_a_new_leader() {
    let mut stage = Stage::new(2, |_| {});
    stage.reached = Some(false);
    flap(&mut stage, 1);
    let place = |stage: &mut Stage, name: &str| {
        stage.learn(|snapshot| want(snapshot, name, "[X-Fleet]\nMachineMetadata=first=yes"));
    };
    stage.learn(|snapshot| set(snapshot, 1, "first", "yes"));
    place(&mut stage, "a");
    assert_eq!(stage.placement("a").machine, id(1), "one outage costs nothing");
    flap(&mut stage, 1);
    place(&mut stage, "b");
    let refused = stage.reconciler.refused()[&unit("b")].to_string();
    assert!(refused.contains("held down: it went down 2 times within an hour"), "{refused}");
    assert!(stage.reconciler.snapshot().health[&id(1)].reason.to_string().contains("takes nothing new for 60 s"));
    let snapshot = stage.reconciler.snapshot().clone();
    stage.reconciler = Reconciler::new(2, Scope::All, stage.reconciler.timing, snapshot);
    stage.wait(SECOND);
    assert!(!stage.reconciler.snapshot().placements.contains_key(&unit("b")), "the next leader keeps the hold-down");
    for _ in 0..60 {
        stage.wait(SECOND);
    }
    assert_eq!(stage.placement("b").machine, id(1));
}

/// Makes a failure of this kind in this phase.
fn failing(phase: Phase, kind: FailureKind) -> Failure {
    Failure { phase, kind, ..silence() }
}

/// Makes a cluster of three machines with a unit on m2. Visits to m1 have failed in this way for an hour.
fn ailing(phase: Phase, kind: FailureKind) -> Stage {
    let mut stage = Stage::new(3, |snapshot| {
        want(snapshot, "web", "[X-Fleet]\nMachineMetadata=serves=web");
        (2..=3).for_each(|machine| set(snapshot, machine, "serves", "web"));
    });
    assert_eq!(stage.placement("web").machine, id(2));
    stage.silent.insert(id(1));
    stage.failures.insert(id(1), failing(phase, kind));
    (0..360).for_each(|_| _ = stage.wait(SECOND * 10));
    stage
}

const AILMENTS: [(Phase, FailureKind, Health); 5] = [
    (Phase::Authenticate, FailureKind::Silent, Health::Sick),
    (Phase::Run, FailureKind::Sick, Health::Sick),
    (Phase::Authenticate, FailureKind::Denied, Health::Sick),
    (Phase::KeyExchange, FailureKind::Throttled, Health::Throttled),
    (Phase::Connect, FailureKind::Refused, Health::SshdDown),
];

#[test]
fn a_machine_that_fails_without_silence_blocks_no_failover() {
    for (phase, kind, expected) in AILMENTS {
        let mut stage = ailing(phase, kind);
        assert_eq!(health_of(&stage, 1), Some(expected), "{kind:?}");
        stage.silent.insert(id(2));
        (0..9).for_each(|_| _ = stage.wait(SECOND));
        assert_eq!((health_of(&stage, 2), stage.placement("web").machine), (Some(Health::Down), id(3)), "{kind:?}");
    }
}

#[test]
fn a_machine_fails_over_seconds_after_another_machine_became_sick() {
    for (phase, kind, _) in AILMENTS {
        let mut stage = ailing(Phase::Run, FailureKind::Sick);
        stage.silent.clear();
        stage.wait(SECOND);
        stage.silent.insert(id(1));
        stage.failures.insert(id(1), failing(phase, kind));
        stage.wait(SECOND);
        stage.silent.insert(id(2));
        (0..9).for_each(|_| _ = stage.wait(SECOND));
        assert_eq!((health_of(&stage, 2), stage.placement("web").machine), (Some(Health::Down), id(3)), "{kind:?}");
    }
}

#[test]
fn a_machine_fails_over_beside_a_sick_one_right_after_a_controller_started() {
    for (phase, kind, _) in AILMENTS {
        let mut stage = ailing(phase, kind);
        let snapshot = stage.reconciler.snapshot().clone();
        stage.reconciler = Reconciler::new(2, Scope::All, stage.reconciler.timing, snapshot);
        stage.silent.insert(id(2));
        (0..10).for_each(|_| _ = stage.wait(SECOND));
        assert_eq!((health_of(&stage, 2), stage.placement("web").machine), (Some(Health::Down), id(3)), "{kind:?}");
    }
}

#[test]
fn a_visit_that_never_ends_blocks_no_failover_of_another_machine() {
    let mut stage = Stage::new(3, |snapshot| want(snapshot, "web", ""));
    let from = stage.placement("web").machine;
    stage.hung.insert(id(3));
    (0..60).for_each(|_| _ = stage.wait(SECOND));
    stage.silent.insert(from);
    (0..9).for_each(|_| _ = stage.wait(SECOND));
    assert_eq!((health_of(&stage, 1), stage.placement("web").machine), (Some(Health::Down), id(2)));
}

#[test]
fn a_suspected_machine_delays_no_placement() {
    let mut stage = Stage::new(3, |_| ());
    let mut snapshot = stage.reconciler.snapshot().clone();
    want(&mut snapshot, "web", "");
    stage.reconciler = Reconciler::new(2, Scope::All, stage.reconciler.timing, snapshot);
    stage.silent.insert(id(1));
    assert_eq!(stage.wait(SECOND), ["load web on m2", "start web on m2"]);
    assert_eq!(health_of(&stage, 1), Some(Health::Suspect));
}

#[test]
fn a_first_visit_that_hangs_delays_placements_for_the_detection_time_only() {
    let mut stage = Stage::new(3, |_| ());
    let mut snapshot = stage.reconciler.snapshot().clone();
    want(&mut snapshot, "web", "");
    stage.reconciler = Reconciler::new(2, Scope::All, stage.reconciler.timing, snapshot);
    stage.hung.insert(id(1));
    stage.run(Input::Tick);
    let begun = stage.now;
    assert_eq!(stage.reconciler.changes_at(), Some(begun + SECOND * 8));
    assert!((0..7).all(|_| stage.wait(SECOND).is_empty()));
    assert_eq!(stage.wait(SECOND), ["load web on m2", "start web on m2"]);
    assert_eq!(stage.reconciler.changes_at(), None);
}

#[test]
fn a_failover_override_moves_units_that_the_policy_blocks() {
    let mut stage = Stage::new(3, |snapshot| want(snapshot, "a", ""));
    stage.silent.extend([id(1), id(2)]);
    for _ in 0..12 {
        stage.wait(SECOND);
    }
    assert_eq!((health_of(&stage, 1), stage.placement("a").machine), (Some(Health::Unreachable), id(1)));
    let forced = FailoverOverride { until: stage.now + SECOND * 60, by: "root@desk".to_owned() };
    stage.learn(|snapshot| drop(snapshot.failover_overrides.insert(id(1), forced)));
    assert_eq!((health_of(&stage, 1), stage.placement("a").machine), (Some(Health::Down), id(3)));
    assert_eq!(health_of(&stage, 2), Some(Health::Unreachable), "the override is about the other machine");
    assert!(stage.reconciler.snapshot().health[&id(1)].reason.to_string().contains("by order of root@desk"));
}
