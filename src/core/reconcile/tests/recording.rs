//! Tests of what a leader records about its observations.

use super::*;
use crate::core::model::ObservationTimes;
use crate::core::model::Reason;
use crate::core::model::Step;

#[test]
fn a_leader_that_publishes_says_every_two_seconds_which_machines_it_has_not_observed() {
    let mut stage = Stage::new(2, |_| {});
    let times = |stage: &Stage| stage.reconciler.snapshot().observed.clone();
    assert_eq!(times(&stage), None, "an operation on some units publishes nothing");
    stage.next_leader(|_| {});
    stage.reconciler.next_publication = Some(Timestamp::ZERO);
    stage.run(Input::Tick);
    let (began, heard) = (stage.now, stage.now);
    assert_eq!(times(&stage), Some(ObservationTimes { at: began, behind: BTreeMap::new(), continuous: false }));
    stage.silent.insert(id(2));
    stage.seconds(1);
    assert_eq!(times(&stage).unwrap().at, began);
    stage.seconds(3);
    let behind = [(id(2), Some(heard))].into();
    assert_eq!(times(&stage), Some(ObservationTimes { at: began + SECOND * 4, behind, continuous: false }));
    let snapshot = stage.reconciler.snapshot();
    assert!(snapshot.is_current(id(1), stage.now) && snapshot.is_current(id(1), stage.now + SECOND * 4));
    assert!(!snapshot.is_current(id(2), stage.now), "it does not answer");
    // The next leader knows of its predecessor when the machine was observed.
    stage.next_leader(|_| {});
    stage.reconciler.next_publication = Some(Timestamp::ZERO);
    stage.seconds(9);
    assert_eq!(times(&stage).unwrap().of(id(2)), Some(heard));
}

#[test]
fn a_state_that_was_written_off_is_recorded_again_although_the_machine_reports_what_it_reported_before() {
    let mut stage = Stage::new(1, |snapshot| want(snapshot, "a", ""));
    stage.seconds(11);
    let states = |stage: &Stage| stage.reconciler.snapshot().states.get(&unit("a")).cloned();
    let before = states(&stage);
    assert!(before.is_some());
    stage.reconciler.note(Write::NoState(unit("a"), id(1)));
    assert_eq!(states(&stage), None);
    stage.seconds(11);
    assert_eq!(states(&stage), before);
}

#[test]
fn a_state_that_was_not_recorded_is_recorded_once_the_unit_is_placed_there() {
    let mut stage = Stage::new(2, |snapshot| want(snapshot, "a", ""));
    stage.seconds(11);
    let [here, there] = if stage.placement("a").machine == id(1) { [id(1), id(2)] } else { [id(2), id(1)] };
    let state = stage.hosts[&here].units[&unit("a")].state.clone();
    stage.claims.insert(there, [(unit("a"), state)].into());
    let recorded = |stage: &Stage| stage.reconciler.snapshot().states[&unit("a")].contains_key(&there);
    stage.seconds(11);
    assert!(!recorded(&stage), "it was never placed there");
    stage.learn(|snapshot| {
        let machine = snapshot.machines.get_mut(&here).unwrap();
        (machine.cordoned, machine.draining) = (true, true);
    });
    stage.seconds(11);
    assert!(recorded(&stage));
}

#[test]
fn the_health_of_a_machine_that_has_left_and_joined_again_is_recorded_anew() {
    let mut stage = Stage::new(2, |_| {});
    stage.next_leader(|_| {});
    stage.seconds(11);
    assert_eq!(stage.health(2), Some(Health::Alive));
    stage.learn(|snapshot| {
        let mut newer = snapshot.clone();
        newer.health.remove(&id(2));
        newer.foreign.remove(&id(2));
        snapshot.renew(newer);
        assert!(!snapshot.health.contains_key(&id(2)) && snapshot.health.contains_key(&id(1)));
    });
    stage.seconds(2);
    assert_eq!(stage.reconciler.snapshot().health[&id(2)].health, Health::Alive);
}

/// Sets the state of the unit `a` on the first machine, waits for a full observation and returns the new events.
fn see(stage: &mut Stage, active: &str, sub: &str, restarted: bool) -> Vec<EventKind> {
    stage.log.clear();
    let state = &mut stage.hosts.get_mut(&id(1)).unwrap().units.get_mut(&unit("a")).unwrap().state;
    (state.active, state.sub, state.restarted) = (active.parse().unwrap(), sub.parse().unwrap(), restarted);
    stage.seconds(11);
    std::mem::take(&mut stage.log)
}

#[test]
fn failures_restarts_and_recoveries_of_a_launched_unit_are_events() {
    let mut stage = Stage::new(1, |snapshot| want(snapshot, "a", ""));
    stage.seconds(11);
    let failed = EventKind::UnitFailed { active: ActiveState::Failed, sub: SubState::FAILED, lease_ended: false };
    assert_eq!(see(&mut stage, "active", "running", false), []);
    assert_eq!(see(&mut stage, "active", "running", true), [EventKind::UnitRestarted]);
    assert_eq!(see(&mut stage, "activating", "auto-restart", false), [], "it is the same trouble");
    assert_eq!(see(&mut stage, "failed", "failed", false), std::slice::from_ref(&failed));
    assert_eq!(see(&mut stage, "active", "running", false), [EventKind::UnitRecovered]);
    // The next leader knows the last state from the store.
    assert_eq!(see(&mut stage, "failed", "failed", false), [failed]);
    stage.next_leader(|_| {});
    stage.seconds(11);
    assert_eq!(see(&mut stage, "active", "running", false), [EventKind::UnitRecovered]);
    stage.learn(|snapshot| snapshot.units.get_mut(&unit("a")).unwrap().desired = DesiredState::Loaded);
    stage.seconds(11);
    assert_eq!(see(&mut stage, "failed", "failed", false), [], "it is not to run");
}

#[test]
fn a_unit_that_ends_again_at_once_does_not_run_again() {
    let mut stage = Stage::new(1, |snapshot| want(snapshot, "a", ""));
    stage.seconds(11);
    let failed = EventKind::UnitFailed { active: ActiveState::Failed, sub: SubState::FAILED, lease_ended: false };
    assert_eq!(see(&mut stage, "failed", "failed", false), std::slice::from_ref(&failed));
    let turn = |stage: &mut Stage, active: &str, sub: &str, seconds| {
        let state = &mut stage.hosts.get_mut(&id(1)).unwrap().units.get_mut(&unit("a")).unwrap().state;
        (state.active, state.sub) = (active.parse().unwrap(), sub.parse().unwrap());
        stage.seconds(seconds);
    };
    turn(&mut stage, "active", "running", 2);
    assert_eq!(stage.log, [], "it may end in a moment");
    turn(&mut stage, "failed", "failed", 1);
    assert_eq!(stage.log, [failed], "the operator who started it by hand learns that it has failed again");
    turn(&mut stage, "active", "running", 3);
    assert_eq!(stage.log.last(), Some(&EventKind::UnitRecovered));
}

/// Returns how the steps of an action ended, as the log has it.
fn ends_of(stage: &Stage, action: &str) -> Vec<Outcome> {
    let ends = stage.log.iter().filter_map(|kind| if let EventKind::StepEnded(end) = kind { Some(end) } else { None });
    ends.filter(|end| end.action.to_string() == action).map(|end| end.outcome.clone()).collect()
}

/// Asks for the start of a unit that does not run somewhere.
fn revive(name: &str) -> impl FnOnce(&mut Snapshot) {
    let name = unit(name);
    move |snapshot| {
        let record = snapshot.units.get_mut(&name).unwrap();
        (record.restarts, record.revive) = (record.restarts + 1, true);
    }
}

#[test]
fn a_start_where_the_unit_runs_already_is_no_event() {
    let mut stage = Stage::new(2, |snapshot| want(snapshot, "agent", "[X-Fleet]\nGlobal=true"));
    stage.seconds(11);
    stage.log.clear();
    let dead = &mut stage.hosts.get_mut(&id(2)).unwrap().units.get_mut(&unit("agent")).unwrap().state;
    (dead.active, dead.sub) = (ActiveState::Failed, SubState::FAILED);
    stage.seconds(11);
    // Each host records that the start was asked for.
    assert_eq!(stage.learn(revive("agent")), ["start agent on m1", "start agent on m2"]);
    assert_eq!(ends_of(&stage, "start"), [Outcome::Done]);
    let states = &stage.reconciler.snapshot().states[&unit("agent")];
    assert!(states.values().all(|state| state.restarts == 1), "{states:?}");
}

#[test]
fn a_restart_is_an_event_when_the_unit_has_stopped_and_not_before() {
    let mut stage = Stage::new(1, |snapshot| want(snapshot, "web", ""));
    stage.seconds(11);
    stage.stops_slowly = true;
    let again = |snapshot: &mut Snapshot| snapshot.units.get_mut(&unit("web")).unwrap().restarts += 1;
    assert_eq!(stage.learn(again), ["restart web on m1"]);
    stage.seconds(5);
    assert_eq!(ends_of(&stage, "restart"), [Outcome::Begun], "the process of before runs on");
    stage.stops_slowly = false;
    stage.seconds(1);
    assert_eq!(ends_of(&stage, "restart"), [Outcome::Begun, Outcome::Done]);
    assert!(stage.is_at_rest());
    assert_eq!(ends_of(&stage, "restart").len(), 2);
}

#[test]
fn a_unit_that_fails_again_and_again_fills_no_event_log() {
    let mut stage = Stage::new(1, |snapshot| want(snapshot, "a", ""));
    stage.seconds(11);
    let flap = |stage: &mut Stage| {
        let events = see(stage, "failed", "failed", false).len();
        events + see(stage, "active", "running", false).len()
    };
    let counts: Vec<usize> = (0..5).map(|_| flap(&mut stage)).collect();
    assert_eq!(counts, [2, 2, 2, 0, 0]);
    stage.now = stage.now + SECOND * 600;
    assert_eq!(flap(&mut stage), 2);
}

#[test]
fn a_unit_that_takes_long_to_stop_is_logged_once() {
    let mut stage = Stage::new(1, |snapshot| want(snapshot, "web", ""));
    let (step, outcome) =
        (Step { unit: unit("web"), action: Action::Unload, reason: Reason::WantedInactive }, Outcome::Begun);
    for _ in 0..3 {
        let now = stage.now;
        let view = stage.reconciler.views.touch(id(1)).unwrap();
        view.conclude(std::slice::from_ref(&step), std::slice::from_ref(&outcome), now);
        stage.reconciler.log_outcomes(now, id(1), [(&step, &outcome)].into_iter());
        stage.wait(SECOND);
    }
    let begun = |kind: &&EventKind| matches!(kind, EventKind::StepEnded(end) if end.outcome == Outcome::Begun);
    assert_eq!(stage.log.iter().filter(begun).count(), 1);
}

#[test]
fn a_service_on_which_systemd_gives_up_while_it_waits_for_its_restart_is_recorded_at_the_next_visit() {
    let mut stage = Stage::new(1, |snapshot| want(snapshot, "a", ""));
    stage.seconds(11);
    let set = |stage: &mut Stage, active, sub: &str| {
        let unit = stage.hosts.get_mut(&id(1)).unwrap().units.get_mut(&unit("a")).unwrap();
        (unit.state.active, unit.state.sub, unit.process) = (active, sub.parse().unwrap(), 0);
    };
    let recorded = |stage: &Stage| stage.reconciler.snapshot().states[&unit("a")][&id(1)].to_string();
    set(&mut stage, ActiveState::Activating, "auto-restart");
    stage.seconds(2);
    assert_eq!(recorded(&stage), "activating (auto-restart)");
    set(&mut stage, ActiveState::Failed, "failed");
    stage.seconds(1);
    assert_eq!(recorded(&stage), "failed (failed)");
}

#[test]
fn a_unit_that_was_started_is_observed_fully_for_as_long_as_a_command_watches_it() {
    let mut stage = Stage::new(1, |_| ());
    stage.seconds(20);
    stage.learn(|snapshot| want(snapshot, "web", ""));
    let started = stage.now;
    stage.looks.clear();
    stage.seconds(12);
    let (first, later): (Vec<_>, Vec<_>) =
        stage.looks.iter().partition(|(at, _)| at.since(started) <= Duration::from_secs(3));
    assert!(first.len() >= 2 && first.iter().all(|(_, quick)| !quick), "{first:?}");
    assert!(later.iter().any(|(_, quick)| *quick), "{later:?}");
}
