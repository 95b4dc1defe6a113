use super::*;

#[test]
fn a_cordon_moves_no_unit() {
    let mut stage = Stage::new(2, |snapshot| want(snapshot, "web", ""));
    let cordon = |snapshot: &mut Snapshot| snapshot.machines.get_mut(&id(1)).unwrap().cordoned = true;
    assert!(stage.learn(cordon).is_empty() && stage.is_at_rest());
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
    stage.started = ActiveState::Activating;
    assert_eq!(stage.learn(drain(None)), ["load web on m2", "start web on m2"]);
    assert!(stage.is_at_rest());
    stage.started = ActiveState::Active;
    assert_eq!(stage.wait(SECOND * 11), ["unload web on m1"]);
}

/// Takes back the drain and the cordon of the first machine.
fn uncordon(snapshot: &mut Snapshot) {
    let machine = snapshot.machines.get_mut(&id(1)).unwrap();
    (machine.cordoned, machine.draining, machine.drain_by) = (false, false, None);
}

#[test]
fn a_unit_whose_drain_is_cancelled_goes_on_although_its_new_machine_cannot_load_it() {
    // With the same leader, and with one that begins after the drain was cancelled.
    for next in [false, true] {
        let mut stage = Stage::new(2, |snapshot| want(snapshot, "web", ""));
        let process = |stage: &Stage| stage.hosts[&id(1)].units[&unit("web")].process;
        let before = process(&stage);
        stage.unloadable.insert(id(2), "no space left on device".to_owned());
        assert_eq!(stage.learn(drain(None)), ["load web on m2", "start web on m2"]);
        stage.sent.clear();
        if next {
            stage.next_leader(uncordon);
        } else {
            stage.learn(uncordon);
        }
        stage.seconds(60);
        assert!(stage.sent.iter().all(|step| step.ends_with(" on m2")), "{:?}", stage.sent);
        assert_eq!((stage.placement("web").machine, process(&stage)), (id(1), before));
        assert!(stage.is_at_rest());
    }
}

#[test]
fn a_unit_whose_drain_is_cancelled_leaves_after_it_runs_elsewhere() {
    let mut stage = Stage::new(2, |snapshot| want(snapshot, "web", ""));
    stage.started = ActiveState::Activating;
    assert_eq!(stage.learn(drain(None)), ["load web on m2", "start web on m2"]);
    assert!(stage.learn(uncordon).is_empty() && stage.seconds(20).is_empty());
    stage.started = ActiveState::Active;
    assert_eq!(stage.seconds(20), ["unload web on m1"]);
    assert!(stage.is_at_rest());
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
fn a_copy_that_is_being_removed_does_not_let_a_drain_stop_the_unit() {
    let mut stage = Stage::new(3, |snapshot| want(snapshot, "web", ""));
    assert_eq!(stage.placement("web").machine, id(1));
    let stray = stage.hosts[&id(1)].units[&unit("web")].state.clone();
    stage.hosts.get_mut(&id(2)).unwrap().put(unit("web"), stray, None, Duration::ZERO);
    // The visit that takes the stray copy off m2 is not answered.
    stage.hangs = |machine, visit| machine == id(2) && !visit.steps.is_empty();
    assert_eq!(stage.wait(SECOND * 11), ["unload web on m2"]);
    assert!(stage.learn(drain(None)).is_empty() && stage.wait(SECOND * 11).is_empty());
    assert_eq!(stage.placement("web").machine, id(2));
}

#[test]
fn at_the_deadline_of_a_drain_the_remaining_units_stop() {
    let mut stage = Stage::new(2, |snapshot| want(snapshot, "web", ""));
    stage.started = ActiveState::Failed;
    let by = stage.now + SECOND * 60;
    assert_eq!(stage.learn(drain(Some(by))), ["load web on m2", "start web on m2"]);
    assert!(stage.wait(SECOND * 59).is_empty());
    assert_eq!(stage.reconciler.wake_at(), Some(by));
    assert_eq!(stage.wait(SECOND), ["unload web on m1"]);
    assert!(stage.is_at_rest());
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

/// Lets the unit of a name be in a state on the first machine, and the reconciler see that.
fn turn(stage: &mut Stage, name: &str, active: &str, sub: &str, restarted: bool) {
    let state = &mut stage.hosts.get_mut(&id(1)).unwrap().units.get_mut(&unit(name)).unwrap().state;
    (state.active, state.sub, state.restarted) = (active.parse().unwrap(), sub.parse().unwrap(), restarted);
    stage.seconds(11);
}

#[test]
fn a_failed_unit_leaves_a_drained_machine_although_it_fits_on_no_other() {
    for (active, sub) in [("failed", "failed"), ("inactive", "dead"), ("activating", "auto-restart")] {
        let mut stage = Stage::new(1, |snapshot| want(snapshot, "web", ""));
        turn(&mut stage, "web", active, sub, false);
        if active == "inactive" {
            // A command begins after the state was recorded.
            stage.next_leader(drain(None));
            assert_eq!(stage.run(Input::Tick), ["unload web on m1"]);
        } else {
            assert_eq!(stage.learn(drain(None)), ["unload web on m1"], "{active}");
        }
        assert!(!stage.reconciler.snapshot().placements.contains_key(&unit("web")) && stage.is_at_rest());
        assert!(!stage.reconciler.is_occupied(id(1)));
        let back = stage.learn(|snapshot| snapshot.machines.get_mut(&id(1)).unwrap().draining = false);
        assert_eq!(back, [""; 0], "it is cordoned");
        let back = stage.learn(|snapshot| snapshot.machines.get_mut(&id(1)).unwrap().cordoned = false);
        assert_eq!(back, ["load web on m1", "start web on m1"]);
    }
}

#[test]
fn a_failed_unit_stays_on_a_drained_machine_as_long_as_another_unit_runs_there() {
    let mut stage = Stage::new(1, |snapshot| {
        want(snapshot, "job", "");
        want(snapshot, "web", "");
    });
    turn(&mut stage, "job", "failed", "failed", false);
    assert!(stage.learn(drain(None)).is_empty() && stage.is_at_rest(), "web may be what starts it");
    turn(&mut stage, "web", "failed", "failed", false);
    assert!(stage.hosts[&id(1)].units.is_empty() && stage.reconciler.snapshot().placements.is_empty());
}

#[test]
fn a_unit_that_ends_again_and_again_leaves_a_drained_machine_although_it_ends_elsewhere_too() {
    let moves = ["load web on m2", "start web on m2"];
    let moved = |active: &str, sub: &str, restarted: bool| {
        let mut stage = Stage::new(2, |snapshot| want(snapshot, "web", ""));
        turn(&mut stage, "web", active, sub, restarted);
        stage.started = ActiveState::Failed;
        let mut done = stage.learn(drain(None));
        done.extend(stage.seconds(20));
        let (to, left): (Vec<_>, Vec<_>) = done.into_iter().partition(|step| step.ends_with(" on m2"));
        assert_eq!(to, moves, "{active} ({sub})");
        left
    };
    assert_eq!(moved("active", "running", false), [""; 0], "the copy that runs goes on");
    assert_eq!(moved("active", "running", true), ["unload web on m1"]);
    assert_eq!(moved("activating", "auto-restart", false), ["unload web on m1"]);
}

#[test]
fn a_unit_that_stops_slowly_is_unloaded_when_it_has_stopped_although_the_deadline_was_taken_back() {
    let mut stage = Stage::new(1, |snapshot| want(snapshot, "web", ""));
    stage.stops_slowly = true;
    let by = stage.now + SECOND * 3;
    assert!(stage.learn(drain(Some(by))).is_empty());
    assert_eq!(stage.wait(SECOND * 3), ["unload web on m1"]);
    assert!(stage.learn(drain(None)).is_empty());
    assert!(stage.seconds(20).is_empty(), "another visit would only wait for the same stop");
    stage.stops_slowly = false;
    stage.hosts.get_mut(&id(1)).unwrap().units.get_mut(&unit("web")).unwrap().state.active = ActiveState::Failed;
    assert_eq!(stage.seconds(11), ["unload web on m1"]);
    assert!(stage.is_at_rest() && stage.hosts[&id(1)].units.is_empty());
}

#[test]
fn a_unit_that_runs_and_that_no_machine_takes_goes_on() {
    let mut stage = Stage::new(1, |snapshot| want(snapshot, "web", ""));
    stage.next_leader(|snapshot| {
        snapshot.placements.clear();
        drain(None)(snapshot);
    });
    assert!(stage.seconds(20).is_empty());
    stage.hosts.get_mut(&id(1)).unwrap().units.get_mut(&unit("web")).unwrap().state.active = ActiveState::Failed;
    assert_eq!(stage.seconds(11), ["unload web on m1"]);
}

#[test]
fn changes_at_returns_when_time_alone_changes_a_decision() {
    let mut stage = Stage::new(3, |snapshot| want(snapshot, "web", "[X-Muster]\nClass=strict"));
    assert_eq!(stage.reconciler.changes_at(), None, "observations alone change nothing");
    let from = stage.placement("web").machine;
    stage.silent.insert(from);
    stage.seconds(12);
    let gone = stage.reconciler.snapshot().leases[&from].stopped_for_sure_at;
    assert!(gone.is_some_and(|at| stage.now < at), "{gone:?}");
    assert_eq!(stage.reconciler.changes_at(), gone, "then its strict unit starts elsewhere");

    let mut stage = Stage::new(1, |snapshot| want(snapshot, "web", ""));
    let by = stage.now + SECOND * 60;
    stage.learn(drain(Some(by)));
    assert_eq!(stage.reconciler.changes_at(), Some(by), "then the remaining unit stops");
}

#[test]
fn a_copy_that_no_leader_has_recorded_runs_until_it_runs_elsewhere() {
    let mut stage = Stage::new(2, |snapshot| want(snapshot, "web", ""));
    let from = stage.placement("web").machine;
    let to = id(if from == id(1) { 2 } else { 1 });
    stage.started = ActiveState::Activating;
    // The leader that started it ended before it had a report.
    stage.next_leader(|snapshot| {
        snapshot.states.clear();
        snapshot.placements.get_mut(&unit("web")).unwrap().machine = to;
        snapshot.machines.get_mut(&from).unwrap().draining = true;
    });
    let done = stage.seconds(5);
    assert!(done.iter().any(|step| step.starts_with("start web on ")), "{done:?}");
    assert!(!done.iter().any(|step| step.starts_with("unload")), "{done:?}");
    stage.hosts.get_mut(&to).unwrap().units.get_mut(&unit("web")).unwrap().state.active = ActiveState::Active;
    let done = stage.seconds(15);
    assert!(done.iter().any(|step| step.starts_with("unload web on ")), "{done:?}");
}
