use std::sync::Arc;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::core::model::ChoiceReason;
use crate::core::model::DesiredState;
use crate::core::model::FailoverOverride;
use crate::core::model::FilterSummary;
use crate::core::model::Health;
use crate::core::model::HealthEvidence;
use crate::core::model::HealthRecord;
use crate::core::model::Machine;
use crate::core::model::MachineId;
use crate::core::model::Placement;
use crate::core::model::PlacementError;
use crate::core::model::PlacementReason;
use crate::core::model::Reason;
use crate::core::model::Timestamp;
use crate::core::model::Unit;
use crate::core::model::Verb;
use crate::core::model::Write;
use crate::core::unit::Hash;
use crate::core::unit::UnitFile;
use crate::remote::ssh;
use crate::runner::Clock;
use crate::runner::SecretSource;
use crate::store::MemoryStore;
use crate::store::Op;
use crate::store::layout::Key;
use crate::store::leader_election;
use crate::store::leader_election::LeaderKind;

const LONG: Duration = Duration::from_mins(5);

const WEB: &str = "web.service";

fn file() -> UnitFile {
    UnitFile::parse("[Service]\nExecStart=/bin/true\n").unwrap()
}

fn machine(number: u128) -> MachineId {
    MachineId::from_bits(number)
}

/// Returns a cluster of two machines with these healths. Both have reported `web.service` if `reported`, and it is placed
/// on the machine `placed`.
async fn cluster(healths: [Health; 2], reported: bool, placed: Option<u128>) -> ClusterContext {
    let keys = Keyspace::new("default").unwrap();
    let store = MemoryStore::new();
    let web: UnitName = WEB.parse().unwrap();
    let mut changes = Vec::new();
    for (number, health) in (1..).zip(healths) {
        let (name, address) = (format!("core-0{number}"), "ssh://host".parse().unwrap());
        let record = Machine { id: machine(number), name, address, ..Machine::default() };
        changes.push(keys.put(&Key::Machine(record.id), &record));
        let (since, reason) = (Timestamp::ZERO, HealthEvidence::Answers.into());
        let health = HealthRecord { health, since, last_seen: Some(since), reason, outages: Vec::new() };
        changes.extend(keys.ops(&[Write::Health(record.id, health)]));
        if reported {
            let hash = file().hash();
            let state =
                json!({ "load": "loaded", "active": "active", "sub": "running", "hash": hash, "launched": true });
            changes.push(keys.put(&Key::State(web.clone(), record.id), &state));
        }
    }
    if let Some(number) = placed {
        let reason = PlacementReason { choice: ChoiceReason::LeastLoaded { units: 0, next: None }, moved: None };
        let placement = Placement {
            machine: machine(number),
            epoch: 1,
            reason,
            since: Timestamp::ZERO,
            failed_loads: Vec::new(),
            pull: None,
        };
        changes.extend(keys.ops(&[Write::Place(web.clone(), placement)]));
    }
    crate::store::Store::commit(&store, vec![], changes).await.unwrap();
    ClusterContext {
        name: "default".to_owned(),
        store: Arc::new(store),
        keys,
        remote: Arc::new(ssh::Ssh::new(ssh::Options::default())),
        clock: Clock::start(),
        fence_commands: Arc::default(),
        secrets: SecretSource::default(),
        operator: "op@desk".to_owned(),
        stop: CancellationToken::new(),
    }
}

/// Follows a controller that does nothing, for five minutes at most, and returns the problems and how long it took.
async fn followed(context: &ClusterContext, goal: Goal) -> (Vec<String>, Duration) {
    followed_for(context, goal, Duration::ZERO).await
}

/// The same, with the time for which a started unit must run.
async fn followed_for(context: &ClusterContext, goal: Goal, settle: Duration) -> (Vec<String>, Duration) {
    let leadership =
        leader_election::try_campaign(&context.store, &context.keys, LeaderKind::Controller).await.unwrap().unwrap();
    if let Goal::AwayFrom(machine) = goal {
        change_machine(context, machine, |record| Machine { cordoned: true, draining: true, ..record }).await;
    }
    let began = Instant::now();
    let units = BTreeSet::from([WEB.parse().unwrap()]);
    let timeouts = Timeouts { lock_wait: Duration::ZERO, wait: Some(LONG), settle, block: true };
    let problems = follow(context, goal, &units, timeouts, &mut |_| ()).await.unwrap().unwrap();
    leadership.resign().await;
    (problems.into_iter().map(|problem| problem.what).collect(), began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_unit_on_a_machine_that_is_out_of_reach_is_not_waited_for() {
    for (goal, healths, placed, problem) in [
        (
            Goal::Verb(Verb::Destroy),
            [Health::Down, Health::Sick],
            None,
            "still on core-01, which is down: it is unloaded there as soon as core-01 answers",
        ),
        (
            Goal::AwayFrom(machine(2)),
            [Health::Alive, Health::Down],
            Some(1),
            "it may still run on core-02, which is down; it is placed on core-01 now",
        ),
        (
            Goal::AwayFrom(machine(2)),
            [Health::Alive, Health::Sick],
            Some(2),
            "it may still run on core-02, which is sick",
        ),
    ] {
        let (problems, took) = followed(&cluster(healths, true, placed).await, goal).await;
        assert_eq!(problems, [problem], "{goal:?} {healths:?}");
        assert!(took < LEADER_CHECK, "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_the_controller_can_still_move_or_stop_is_waited_for() {
    for (goal, healths, placed) in [
        (Goal::Verb(Verb::Destroy), [Health::Down, Health::Alive], None),
        (Goal::AwayFrom(machine(2)), [Health::Alive, Health::PathFault], Some(1)),
        // The controller moves the unit, because the machine is down.
        (Goal::AwayFrom(machine(2)), [Health::Alive, Health::Down], Some(2)),
        (Goal::Verb(Verb::Start), [Health::Down, Health::Alive], Some(1)),
    ] {
        let context = cluster(healths, true, placed).await;
        if goal == Goal::Verb(Verb::Start) {
            let unit = Unit::new(file().hash(), DesiredState::Launched);
            let changes = layout::submit(&context.keys, &WEB.parse().unwrap(), &unit, &file());
            context.store.commit(vec![], changes).await.unwrap();
        }
        let (problems, took) = followed(&context, goal).await;
        let what = if matches!(goal, Goal::AwayFrom(_)) {
            "away from core-02".to_owned()
        } else {
            goal.label(&Snapshot::default())
        };
        let expected = format!("timed out waiting for it to be {what}");
        assert!(problems[0].starts_with(&expected) && took >= LONG, "{goal:?} {healths:?}: {problems:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_has_reached_the_goal_ends_the_wait() {
    let context = cluster([Health::Alive, Health::Alive], false, None).await;
    assert_eq!(followed(&context, Goal::Verb(Verb::Destroy)).await.0, [""; 0]);
    // The unit is known, so it is not destroyed.
    let file = file();
    let unit = Unit::new(file.hash(), DesiredState::Inactive);
    let changes = layout::submit(&context.keys, &WEB.parse().unwrap(), &unit, &file);
    context.store.commit(vec![], changes).await.unwrap();
    assert_eq!(followed(&context, Goal::Verb(Verb::Unload)).await.0, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_another_one_overrules_ends_and_says_so() {
    for (verb, stored, change) in [
        (Verb::Start, Some(DesiredState::Loaded), "stopped it meanwhile, so it is not launched"),
        (Verb::Start, None, "destroyed it meanwhile, so it is not launched"),
        (Verb::Restart, Some(DesiredState::Inactive), "unloaded it meanwhile, so it is not launched"),
        (Verb::Stop, Some(DesiredState::Launched), "started it meanwhile, so it is not stopped"),
        (Verb::Unload, Some(DesiredState::Loaded), "loaded it meanwhile, so it is not unloaded"),
        (Verb::Destroy, Some(DesiredState::Inactive), "submitted it again meanwhile, so it is not destroyed"),
    ] {
        let state = verb.goal().unwrap_or(DesiredState::Launched);
        let context = desired(state, [Health::Alive, Health::Alive], "activating").await;
        let web = Key::Unit(WEB.parse().unwrap());
        let put = |state| context.keys.put(&web, &Unit::new(file().hash(), state));
        if verb == Verb::Destroy {
            context.store.commit(vec![], vec![context.keys.delete(&web)]).await.unwrap();
        }
        let other = async {
            tokio::time::sleep(Duration::from_secs(4)).await;
            let change = stored.map_or_else(|| context.keys.delete(&web), put);
            context.store.commit(vec![], vec![change]).await.unwrap();
        };
        let ((problems, took), ()) = tokio::join!(followed(&context, Goal::Verb(verb)), other);
        assert_eq!((problems, took.as_secs()), (vec![format!("another command has {change}")], 4), "{verb:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_an_earlier_order_still_stops_is_not_launched() {
    let context = desired(DesiredState::Launched, [Health::Down, Health::Alive], "active").await;
    let web: UnitName = WEB.parse().unwrap();
    let step = |action| {
        let end = StepEnd { action, reason: Reason::WantedLaunched, outcome: Outcome::Done, overlap: None };
        let event = Event::new(context.clock.now(), Some(machine(2)), Some(web.clone()), EventKind::StepEnded(end));
        context.keys.ops(&[Write::Log(event)])
    };
    let state = |active| {
        let state = json!({"load": "loaded", "active": active, "sub": "x", "hash": file().hash(), "launched": true});
        vec![context.keys.put(&Key::State(web.clone(), machine(2)), &state)]
    };
    let leader = async {
        for (millis, changes) in [
            (1500, step(Action::Stop)),
            (400, step(Action::Start { count: 0 })),
            (1000, state("deactivating")),
            (10_000, state("active")),
        ] {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            context.store.commit(vec![], changes).await.unwrap();
        }
    };
    let goal = Goal::Verb(Verb::Start);
    let ((problems, took), ()) = tokio::join!(followed_for(&context, goal, Duration::from_secs(2)), leader);
    assert_eq!((problems, took.as_millis() / 100), (Vec::new(), 149));
}

#[tokio::test(start_paused = true)]
async fn the_stop_of_a_unit_on_a_machine_that_is_down_ends_at_once() {
    let context = desired(DesiredState::Loaded, [Health::Alive, Health::Down], "active").await;
    context
        .store
        .commit(vec![], vec![context.keys.delete(&Key::State(WEB.parse().unwrap(), machine(1)))])
        .await
        .unwrap();
    let (problems, took) = followed(&context, Goal::Verb(Verb::Stop)).await;
    assert_eq!(problems, ["placed on core-02, which is down: the order is carried out once it answers"]);
    assert!(took < LEADER_CHECK, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_fits_beside_another_new_one_is_waited_for_and_one_that_fits_nowhere_is_not() {
    let context = cluster([Health::Alive, Health::Alive], false, None).await;
    let leadership =
        leader_election::try_campaign(&context.store, &context.keys, LeaderKind::Controller).await.unwrap().unwrap();
    let texts =
        [("peer.service", ""), (WEB, "MachineOf=peer.service"), ("nowhere.service", "MachineMetadata=no=where")];
    for (name, options) in texts {
        let text = format!("[Service]\nExecStart=/bin/true\n[X-Fleet]\n{options}\n");
        let file = UnitFile::parse(&text).unwrap();
        let unit = Unit::new(file.hash(), DesiredState::Launched);
        let changes = layout::submit(&context.keys, &name.parse().unwrap(), &unit, &file);
        context.store.commit(vec![], changes).await.unwrap();
    }
    let units = texts.map(|(name, _)| name.parse().unwrap()).into();
    let timeouts = Timeouts { lock_wait: Duration::ZERO, wait: Some(LONG), settle: Duration::ZERO, block: true };
    let found = follow(&context, Goal::Verb(Verb::Start), &units, timeouts, &mut |_| ()).await.unwrap().unwrap();
    leadership.resign().await;
    let what: Vec<bool> = found.iter().map(|problem| problem.what.starts_with("timed out")).collect();
    assert_eq!(what, [false, true, true], "{found:?}");
    assert_eq!(found[0].unit, Some("nowhere.service".parse().unwrap()));
}

/// Returns a cluster in which `web.service` is to be in a state, is placed on the second machine, and was last reported by
/// both: running by the first one, and in `second` by the other.
async fn desired(desired: DesiredState, healths: [Health; 2], second: &str) -> ClusterContext {
    let context = cluster(healths, true, Some(2)).await;
    let unit = Unit::new(file().hash(), desired);
    let mut changes = layout::submit(&context.keys, &WEB.parse().unwrap(), &unit, &file());
    let launched = second == "active";
    let state = json!({"load": "loaded", "active": second, "sub": "x", "hash": file().hash(), "launched": launched});
    changes.push(context.keys.put(&Key::State(WEB.parse().unwrap(), machine(2)), &state));
    context.store.commit(vec![], changes).await.unwrap();
    context
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_is_out_of_reach_cannot_say_that_a_unit_is_launched() {
    let context = desired(DesiredState::Launched, [Health::Alive, Health::Down], "active").await;
    let (problems, took) = followed(&context, Goal::Verb(Verb::Start)).await;
    let expected = "timed out waiting for it to be launched: ";
    assert!(problems[0].starts_with(expected) && took >= LONG, "{problems:?}");
    let context = desired(DesiredState::Launched, [Health::Alive, Health::Suspect], "active").await;
    let (problems, took) = followed(&context, Goal::Verb(Verb::Start)).await;
    assert!(
        problems[0].starts_with("timed out") && took >= LONG,
        "a machine that has just fallen silent: {problems:?}"
    );
    let context = desired(DesiredState::Launched, [Health::Down, Health::Alive], "active").await;
    assert_eq!(followed(&context, Goal::Verb(Verb::Start)).await.0, [""; 0]);
    let context = desired(DesiredState::Launched, [Health::Sick, Health::Down], "active").await;
    let stuck = "placed on core-02, which is down, and fits on no other machine";
    assert_eq!(followed(&context, Goal::Verb(Verb::Start)).await.0, [stuck]);
}

#[tokio::test(start_paused = true)]
async fn a_unit_is_stopped_when_no_other_copy_may_run() {
    let context = desired(DesiredState::Loaded, [Health::Down, Health::Alive], "inactive").await;
    let still = "still on core-01, which is down: it is unloaded there as soon as core-01 answers";
    assert_eq!(followed(&context, Goal::Verb(Verb::Stop)).await.0, [still]);
    assert_eq!(followed(&context, Goal::Verb(Verb::Load)).await.0, [""; 0], "it is loaded");
}

/// Changes the record of a machine.
async fn change_machine(context: &ClusterContext, id: MachineId, change: impl Fn(Machine) -> Machine) {
    let entry = context.store.get(&context.keys.key(&Key::Machine(id))).await.unwrap().unwrap();
    let record = change(layout::decode(&entry.value).unwrap());
    context.store.commit(vec![], vec![context.keys.put(&Key::Machine(id), &record)]).await.unwrap();
}

/// Changes the second machine's record so that it is drained until a deadline.
async fn drain_with_deadline(context: &ClusterContext) {
    let drain_by = Some(context.clock.now() + Duration::from_secs(8));
    change_machine(context, machine(2), |record| Machine { cordoned: true, draining: true, drain_by, ..record }).await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_with_a_deadline_waits_until_a_unit_that_fits_on_no_other_machine_has_stopped() {
    let context = desired(DesiredState::Launched, [Health::Sick, Health::Alive], "active").await;
    let web: UnitName = WEB.parse().unwrap();
    drain_with_deadline(&context).await;
    let leader = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let refusal = PlacementError::Unschedulable(FilterSummary::default());
        let event = EventKind::UnitUnschedulable(refusal);
        let event = Write::Log(Event::new(context.clock.now(), None, Some(web.clone()), event));
        context.store.commit(vec![], context.keys.ops(&[event])).await.unwrap();
        tokio::time::sleep(Duration::from_secs(8)).await;
        context.store.commit(vec![], context.keys.ops(&[Write::Unplace(web.clone())])).await.unwrap();
        tokio::time::sleep(Duration::from_secs(25)).await;
        let gone = context.keys.delete(&Key::State(web.clone(), machine(2)));
        context.store.commit(vec![], vec![gone]).await.unwrap();
    };
    let ((problems, took), ()) = tokio::join!(followed(&context, Goal::AwayFrom(machine(2))), leader);
    assert_eq!(problems, ["no machine fits: sick (1 machine); cordoned (1 machine)"]);
    assert_eq!(took.as_secs(), 34);
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_is_cancelled_is_not_waited_for() {
    let context = desired(DesiredState::Launched, [Health::Alive, Health::Alive], "active").await;
    drain_with_deadline(&context).await;
    let operator = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        change_machine(&context, machine(2), |record| Machine { draining: false, ..record }).await;
    };
    let ((problems, took), ()) = tokio::join!(followed(&context, Goal::AwayFrom(machine(2))), operator);
    assert_eq!(problems, [""; 0]);
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_drain_does_not_wait_for_a_unit_that_has_left_and_fits_on_no_machine() {
    let context = desired(DesiredState::Launched, [Health::Sick, Health::Alive], "active").await;
    drain_with_deadline(&context).await;
    let web: UnitName = WEB.parse().unwrap();
    let mut changes = context.keys.ops(&[Write::Unplace(web.clone())]);
    changes.push(context.keys.delete(&Key::State(web, machine(2))));
    context.store.commit(vec![], changes).await.unwrap();
    let (problems, took) = followed(&context, Goal::AwayFrom(machine(2))).await;
    assert_eq!(problems, ["no machine fits: sick (1 machine); cordoned (1 machine)"]);
    assert!(took < LEADER_CHECK, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_with_the_cause_if_a_unit_fits_on_no_other_machine() {
    let context = desired(DesiredState::Launched, [Health::Sick, Health::Alive], "active").await;
    let (problems, took) = followed(&context, Goal::AwayFrom(machine(2))).await;
    assert_eq!(problems, ["still on core-02: no machine fits: sick (1 machine)"]);
    assert!(took >= LEADER_CHECK && took < LONG, "the controller gets time to place it: {took:?}");
    let context = desired(DesiredState::Launched, [Health::Alive, Health::Alive], "active").await;
    let (problems, took) = followed(&context, Goal::AwayFrom(machine(2))).await;
    assert!(problems[0].starts_with("timed out") && took >= LONG, "{problems:?}");
}

#[tokio::test(start_paused = true)]
async fn a_step_that_failed_is_told_with_its_machine() {
    let context = desired(DesiredState::Launched, [Health::Alive, Health::Alive], "inactive").await;
    let units = BTreeSet::from([WEB.parse().unwrap()]);
    let mut view = FollowedUnits::new(Goal::Verb(Verb::Start), &units, Duration::ZERO, context.clock);
    view.snapshot = layout::read(&*context.store, &context.keys).await.unwrap();
    let (action, reason) = (Action::Start { count: 0 }, Reason::WantedLaunched);
    let end = StepEnd { action, reason, outcome: Outcome::Failed("no".to_owned()), overlap: None };
    let event = Event::new(Timestamp::ZERO, Some(machine(2)), units.first().cloned(), EventKind::StepEnded(end));
    view.note(&event, &mut |_| ());
    assert_eq!(view.problems[0].to_string(), "Unit web.service: start failed on core-02: no");
}

#[tokio::test(start_paused = true)]
async fn a_command_for_a_unit_whose_failover_is_blocked_ends_and_names_the_brake() {
    let block = Some(crate::core::model::FailoverBlock::Brake { silent: 2, all: 3 });
    let reason = crate::core::model::HealthReason { block, ..HealthEvidence::Answers.into() };
    let (health, since, last_seen) = (Health::Unreachable, Timestamp::ZERO, None);
    let record = HealthRecord { health, since, last_seen, reason, outages: Vec::new() };
    let brake = "placed on core-02, which does not answer: 2 of 3 machines are silent at the same time";
    for (verb, end) in [
        (Verb::Restart, "(`muster failover --force core-02` moves its units all the same)"),
        (Verb::Stop, "; the order is carried out as soon as core-02 answers"),
    ] {
        let context = desired(verb.goal().unwrap(), [Health::Alive, Health::Unreachable], "active").await;
        let blocked = context.keys.ops(&[Write::Health(machine(2), record.clone())]);
        context.store.commit(vec![], blocked).await.unwrap();
        let (problems, took) = followed(&context, Goal::Verb(verb)).await;
        assert!(problems[0].starts_with(brake) && problems[0].ends_with(end), "{problems:?}");
        assert!(took < LEADER_CHECK, "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_command_for_a_unit_on_a_machine_that_is_sick_ends_with_the_way_out() {
    let stays = "placed on core-02, which is sick: it stays there until core-02 answers \
                 (`muster failover --force core-02` moves the units of core-02)";
    for (verb, state, expected) in [
        (Verb::Start, DesiredState::Launched, stays),
        (Verb::Restart, DesiredState::Launched, stays),
        (Verb::Load, DesiredState::Loaded, stays),
        (
            Verb::Stop,
            DesiredState::Loaded,
            "placed on core-02, which is sick: the order is carried out once it answers",
        ),
    ] {
        let context = desired(state, [Health::Alive, Health::Sick], "active").await;
        let elsewhere = context.keys.delete(&Key::State(WEB.parse().unwrap(), machine(1)));
        context.store.commit(vec![], vec![elsewhere]).await.unwrap();
        let (problems, took) = followed(&context, Goal::Verb(verb)).await;
        assert_eq!(problems, [expected], "{verb:?}");
        assert!(took < LEADER_CHECK, "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_an_operator_moves_off_a_sick_machine_is_waited_for() {
    let start = Goal::Verb(Verb::Start);
    let drained = desired(DesiredState::Launched, [Health::Alive, Health::Sick], "active").await;
    drain_with_deadline(&drained).await;
    let forced = desired(DesiredState::Launched, [Health::Alive, Health::Sick], "active").await;
    let given = forced.clock.now();
    let order = FailoverOverride { given, until: given + LONG * 2, by: "op@desk".to_owned() };
    let order = forced.keys.put(&Key::FailoverOverride(machine(2)), &order);
    forced.store.commit(vec![], vec![order]).await.unwrap();
    for context in [drained, forced] {
        let (problems, took) = followed(&context, start).await;
        assert!(problems[0].starts_with("timed out") && took >= LONG, "{problems:?}");
    }
}

/// Returns the change that stores how a machine reports `web.service`: started, and in this state.
fn report(context: &ClusterContext, number: u128, hash: Hash, active: &str) -> Op {
    let launched = active != "inactive";
    let state = json!({"load": "loaded", "active": active, "sub": "x", "hash": hash, "launched": launched});
    context.keys.put(&Key::State(WEB.parse().unwrap(), machine(number)), &state)
}

/// Returns a cluster in which `web.service` is global and is to be in a state, and was last reported like this by the two
/// machines. Also returns the hash of its file.
async fn everywhere(desired: DesiredState, healths: [Health; 2], states: [Option<&str>; 2]) -> (ClusterContext, Hash) {
    let context = cluster(healths, false, None).await;
    let file = UnitFile::parse("[Service]\nExecStart=/bin/true\n[X-Fleet]\nGlobal=true\n").unwrap();
    let unit = Unit::new(file.hash(), desired);
    let mut changes = layout::submit(&context.keys, &WEB.parse().unwrap(), &unit, &file);
    let reports = (1..).zip(states).filter_map(|(number, state)| Some(report(&context, number, file.hash(), state?)));
    changes.extend(reports);
    context.store.commit(vec![], changes).await.unwrap();
    (context, file.hash())
}

#[tokio::test(start_paused = true)]
async fn a_global_unit_is_waited_for_on_each_of_its_machines() {
    use Health::Alive;
    use Health::Down;
    use Health::Suspect;
    let (launched, loaded, settle) = (DesiredState::Launched, DesiredState::Loaded, Duration::from_secs(2));
    for (desired, verb, healths, states, expected) in [
        (launched, Verb::Start, [Alive, Alive], [Some("active"), Some("active")], vec![]),
        (launched, Verb::Start, [Alive, Alive], [Some("active"), Some("failed")], vec!["failed (x) on core-02"]),
        (
            launched,
            Verb::Restart,
            [Alive, Alive],
            [Some("failed"), Some("failed")],
            vec!["failed (x) on core-01", "failed (x) on core-02"],
        ),
        (launched, Verb::Start, [Alive, Down], [Some("active"), Some("active")], vec![]),
        (
            launched,
            Verb::Start,
            [Alive, Down],
            [Some("active"), None],
            vec!["not launched on core-02, which is down: that follows once core-02 answers"],
        ),
        (loaded, Verb::Stop, [Alive, Alive], [Some("inactive"), Some("inactive")], vec![]),
        (
            loaded,
            Verb::Stop,
            [Alive, Down],
            [Some("inactive"), Some("active")],
            vec!["still on core-02, which is down: it is stopped there once core-02 answers"],
        ),
    ] {
        let (context, _) = everywhere(desired, healths, states).await;
        let (problems, took) = followed_for(&context, Goal::Verb(verb), settle).await;
        assert_eq!(problems, expected, "{verb} {states:?}");
        let least = if desired == launched { settle } else { Duration::ZERO };
        assert!(took >= least && took < LEADER_CHECK, "{verb} {states:?}: {took:?}");
    }
    for (desired, verb, healths, states) in [
        (launched, Verb::Start, [Alive, Alive], [Some("active"), None]),
        (launched, Verb::Start, [Alive, Alive], [Some("active"), Some("activating")]),
        (launched, Verb::Start, [Alive, Suspect], [Some("active"), None]),
        (loaded, Verb::Stop, [Alive, Alive], [Some("inactive"), Some("active")]),
    ] {
        let (context, _) = everywhere(desired, healths, states).await;
        let (problems, took) = followed_for(&context, Goal::Verb(verb), settle).await;
        assert!(problems[0].starts_with("timed out") && took >= LONG, "{verb} {states:?}: {problems:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_global_unit_that_fails_a_moment_after_its_start_has_failed() {
    let alive = [Health::Alive, Health::Alive];
    let (context, hash) = everywhere(DesiredState::Launched, alive, [Some("active"), None]).await;
    let leader = async {
        for (after, active) in [(1, "active"), (2, "failed"), (1, "activating"), (1, "failed")] {
            tokio::time::sleep(Duration::from_secs(after)).await;
            context.store.commit(vec![], vec![report(&context, 2, hash, active)]).await.unwrap();
        }
    };
    let follow = followed_for(&context, Goal::Verb(Verb::Restart), Duration::from_secs(4));
    let ((problems, took), ()) = tokio::join!(follow, leader);
    assert_eq!(problems, ["failed (x) on core-02"]);
    assert_eq!(took.as_secs(), 5, "the other machine is observed for as long as ever");
}

#[tokio::test(start_paused = true)]
async fn a_step_that_failed_for_a_global_unit_does_not_end_the_wait_for_other_machines() {
    let alive = [Health::Alive, Health::Alive];
    let (context, hash) = everywhere(DesiredState::Launched, alive, [None, None]).await;
    let leader = async {
        let (action, reason) = (Action::Load { hash, install: false, strict: false }, Reason::NotThere);
        let end = StepEnd { action, reason, outcome: Outcome::Failed("no".to_owned()), overlap: None };
        let web = WEB.parse().unwrap();
        let event = Event::new(context.clock.now(), Some(machine(2)), Some(web), EventKind::StepEnded(end));
        tokio::time::sleep(Duration::from_secs(1)).await;
        context.store.commit(vec![], context.keys.ops(&[Write::Log(event)])).await.unwrap();
        tokio::time::sleep(Duration::from_secs(3)).await;
        context.store.commit(vec![], vec![report(&context, 1, hash, "failed")]).await.unwrap();
    };
    let ((problems, _), ()) = tokio::join!(followed(&context, Goal::Verb(Verb::Start)), leader);
    assert_eq!(problems, ["failed (x) on core-01", "load failed on core-02: no"]);
}

#[tokio::test(start_paused = true)]
async fn a_step_that_failed_on_another_machine_is_a_warning() {
    let context = desired(DesiredState::Launched, [Health::Alive, Health::Alive], "active").await;
    let units = BTreeSet::from([WEB.parse().unwrap()]);
    let outcome = |goal: Goal| {
        let view = FollowedUnits::new(goal, &units, Duration::ZERO, context.clock);
        let (action, reason) = (Action::Unload, Reason::PlacedElsewhere(machine(2)));
        let end = StepEnd { action, reason, outcome: Outcome::Failed("no".to_owned()), overlap: None };
        let event = Event::new(Timestamp::ZERO, Some(machine(1)), units.first().cloned(), EventKind::StepEnded(end));
        (view, event)
    };
    for (goal, is_warning) in [
        (Goal::Verb(Verb::Restart), true),
        (Goal::Verb(Verb::Start), true),
        (Goal::AwayFrom(machine(3)), true),
        (Goal::AwayFrom(machine(1)), false),
        (Goal::Verb(Verb::Stop), false),
        (Goal::Verb(Verb::Destroy), false),
    ] {
        let (mut view, event) = outcome(goal);
        view.snapshot = layout::read(&*context.store, &context.keys).await.unwrap();
        let mut warnings = Vec::new();
        view.note(&event, &mut |progress| {
            if let Progress::Warning(text) = progress {
                warnings.push(text.to_owned());
            }
        });
        let problems: Vec<String> = view.problems.iter().map(ToString::to_string).collect();
        let [said, other] = if is_warning { [warnings, problems] } else { [problems, warnings] };
        let expected = ["Unit web.service: unload failed on core-01: no".to_owned()];
        assert_eq!((said.as_slice(), other.is_empty()), (expected.as_slice(), true), "{goal:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_load_of_an_earlier_file_that_failed_says_nothing_about_the_present_one() {
    let context = desired(DesiredState::Launched, [Health::Alive, Health::Alive], "inactive").await;
    let units = BTreeSet::from([WEB.parse().unwrap()]);
    for (hash, is_problem) in [(Hash::of(b"an earlier file"), false), (file().hash(), true)] {
        let mut view = FollowedUnits::new(Goal::Verb(Verb::Start), &units, Duration::ZERO, context.clock);
        view.snapshot = layout::read(&*context.store, &context.keys).await.unwrap();
        let (action, reason) = (Action::Load { hash, install: false, strict: false }, Reason::HashDiffers);
        let end = StepEnd { action, reason, outcome: Outcome::Failed("no".to_owned()), overlap: None };
        let event = Event::new(Timestamp::ZERO, Some(machine(2)), units.first().cloned(), EventKind::StepEnded(end));
        view.note(&event, &mut |_| ());
        assert_eq!(view.unloadable.len(), usize::from(is_problem));
    }
}
