use super::*;

/// Lets a host run a unit that muster has loaded, with this text, although the store has no record of that.
fn runs(stage: &mut Stage, machine: u32, name: &str, text: &str) {
    let file = UnitFile::parse(&format!("[Service]\nExecStart=/bin/true\n{text}\n")).unwrap();
    let (load, active, sub) = (LoadState::Loaded, ActiveState::Active, SubState::RUNNING);
    let state =
        UnitState { load, active, sub, job: None, hash: file.hash(), launched: true, restarts: 0, restarted: false };
    let host = stage.hosts.entry(id(machine)).or_insert_with(|| SimulatedHost::new(id(machine), "boot".to_owned()));
    host.put(unit(name), state, Some(&file), stage.now.since(Timestamp::ZERO));
}

#[test]
fn an_unplaced_unit_that_runs_with_the_desired_file_is_placed_where_it_runs() {
    let mut stage = Stage::new(3, |_| ());
    stage.seconds(11);
    stage.next_leader(|snapshot| {
        for name in ["web", "db", "old"] {
            want(snapshot, name, "");
        }
        snapshot.health.clear();
    });
    runs(&mut stage, 3, "web", "");
    runs(&mut stage, 3, "db", "");
    runs(&mut stage, 2, "db", "");
    runs(&mut stage, 3, "old", "[Install]\nWantedBy=a.target");
    let done = stage.seconds(30);
    assert_eq!((stage.placement("web").machine, stage.placement("db").machine), (id(3), id(2)));
    assert_eq!(stage.placement("web").reason.choice, ChoiceReason::RunsThere);
    assert_eq!(stage.placement("old").machine, id(1), "another file runs there");
    let expected = ["unload db on m3", "unload old on m3", "load old on m1", "start old on m1"];
    assert_eq!(BTreeSet::from_iter(done), expected.map(str::to_owned).into());
}

#[test]
fn a_unit_of_another_program_is_adopted_where_it_runs_under_every_scope() {
    for scope in [Scope::All, Scope::Units([unit("web")].into())] {
        let mut stage = Stage::new(3, |_| ());
        stage.seconds(11);
        runs(&mut stage, 3, "web", "");
        let host = stage.hosts.get_mut(&id(3)).unwrap();
        host.units.get_mut(&unit("web")).unwrap().foreign = true;
        host.units.get_mut(&unit("web")).unwrap().state.launched = false;
        let process = host.units[&unit("web")].process;
        stage.seconds(20);
        let adopts = |snapshot: &mut Snapshot| {
            snapshot.machines.get_mut(&id(3)).unwrap().adopts.insert(unit("web"));
            want(snapshot, "web", "");
        };
        if scope == Scope::All {
            stage.learn(adopts);
        } else {
            stage.next_leader(adopts);
            stage.reconciler.scope = scope;
        }
        stage.seconds(20);
        assert_eq!(stage.placement("web").machine, id(3));
        let there = &stage.hosts[&id(3)].units[&unit("web")];
        assert!(!there.foreign && there.state.launched && there.process == process, "{there:?}");
        assert!(stage.is_at_rest());
        assert_eq!(stage.reconciler.snapshot().foreign.get(&id(3)), None);
    }
}

#[test]
fn a_machine_from_which_an_adopted_unit_was_moved_has_no_claim_to_it() {
    let mut stage = Stage::new(3, |_| ());
    stage.seconds(11);
    runs(&mut stage, 3, "web", "");
    stage.hosts.get_mut(&id(3)).unwrap().units.get_mut(&unit("web")).unwrap().foreign = true;
    stage.seconds(20);
    stage.learn(|snapshot| {
        snapshot.machines.get_mut(&id(3)).unwrap().adopts.insert(unit("web"));
        want(snapshot, "web", "");
    });
    stage.seconds(20);
    let mut machine = stage.placement("web").machine;
    assert_eq!(machine, id(3));
    for _ in 0..2 {
        let drained = |is_drained: bool| {
            move |snapshot: &mut Snapshot| {
                let record = snapshot.machines.get_mut(&machine).unwrap();
                (record.cordoned, record.draining) = (is_drained, is_drained);
            }
        };
        stage.learn(drained(true));
        stage.seconds(60);
        stage.learn(drained(false));
        let placement = stage.placement("web");
        assert_ne!(placement.machine, machine);
        assert!(matches!(placement.reason.choice, ChoiceReason::LeastLoaded { .. }), "{:?}", placement.reason);
        machine = placement.machine;
    }
}

#[test]
fn a_unit_whose_mark_is_gone_is_adopted_where_it_is_placed() {
    let mut stage = Stage::new(2, |snapshot| want(snapshot, "web", ""));
    let placed = stage.placement("web").machine;
    let host = stage.hosts.get_mut(&placed).unwrap().units.get_mut(&unit("web")).unwrap();
    (host.foreign, host.state.launched) = (true, false);
    let process = host.process;
    stage.seconds(20);
    let there = &stage.hosts[&placed].units[&unit("web")];
    assert!(!there.foreign && there.state.launched && there.process == process, "{there:?}");
    assert_eq!(stage.placement("web").machine, placed);
}

#[test]
fn a_global_unit_whose_mark_is_gone_is_adopted_on_each_machine_and_destroyed_there() {
    let mut stage = Stage::new(2, |snapshot| want(snapshot, "agent", "[X-Fleet]\nGlobal=true"));
    let lose_mark = |stage: &mut Stage| {
        let host = stage.hosts.get_mut(&id(2)).unwrap().units.get_mut(&unit("agent")).unwrap();
        (host.foreign, host.state.launched) = (true, false);
        host.process
    };
    let is_adopted = |stage: &Stage, process| {
        let there = &stage.hosts[&id(2)].units[&unit("agent")];
        assert!(!there.foreign && there.state.launched && there.process == process, "{there:?}");
    };
    let process = lose_mark(&mut stage);
    stage.seconds(20);
    is_adopted(&stage, process);
    lose_mark(&mut stage);
    stage.next_leader(|_| {});
    stage.seconds(20);
    is_adopted(&stage, process);
    let gone = |snapshot: &mut Snapshot| {
        snapshot.units.remove(&unit("agent"));
    };
    assert_eq!(stage.learn(gone), ["unload agent on m1", "unload agent on m2"]);
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
        "stays on m1 although it no longer fits there (no metadata zone=a): no machine fits: no metadata zone=a (2 machines)"
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
fn a_suspected_machine_delays_no_placement() {
    let mut stage = Stage::new(3, |_| ());
    stage.next_leader(|snapshot| want(snapshot, "web", ""));
    stage.silent.insert(id(1));
    assert_eq!(stage.wait(SECOND), ["load web on m2", "start web on m2"]);
    assert_eq!(stage.health(1), Some(Health::Suspect));
}

#[test]
fn a_first_visit_that_hangs_delays_placements_for_the_detection_time_only() {
    let mut stage = Stage::new(3, |_| ());
    stage.next_leader(|snapshot| want(snapshot, "web", ""));
    stage.hangs = |machine, _| machine == id(1);
    stage.run(Input::Tick);
    let begun = stage.now;
    assert_eq!(stage.reconciler.changes_at(), Some(begun + SECOND * 8));
    assert!(stage.seconds(7).is_empty());
    assert_eq!(stage.wait(SECOND), ["load web on m2", "start web on m2"]);
    assert_eq!(stage.reconciler.changes_at(), None);
}

/// Changes the desired state of the unit `web`.
fn desire(desired: DesiredState) -> impl FnOnce(&mut Snapshot) {
    move |snapshot| snapshot.units.get_mut(&unit("web")).unwrap().desired = desired
}

#[test]
fn no_step_follows_from_records_that_have_changed_while_a_commit_is_in_flight() {
    let mut stage = Stage::new(2, |snapshot| want(snapshot, "web", ""));
    let at = stage.placement("web").machine;
    stage.silent.insert(at);
    stage.learn(desire(DesiredState::Loaded));
    stage.seconds(3);
    stage.reconciler.outbox.push(Write::Serial(9));
    assert!(stage.reconciler.outbox.commit().is_some());
    stage.reconciler.learn(desire(DesiredState::Launched));
    stage.silent.clear();
    assert_eq!(stage.seconds(5), [""; 0], "it is not stopped");
    let done = [stage.run(Input::Committed(true)), stage.seconds(5)].concat();
    assert_eq!(done, [""; 0], "it is as desired");
}

#[test]
fn no_step_follows_from_records_that_have_changed_before_the_first_visits() {
    let mut stage = Stage::new(3, |snapshot| want(snapshot, "web", ""));
    let at = stage.placement("web").machine;
    stage.silent.extend([id(1), id(2), id(3)]);
    stage.next_leader(desire(DesiredState::Loaded));
    stage.seconds(1);
    stage.learn(desire(DesiredState::Launched));
    stage.silent.remove(&at);
    assert_eq!(stage.seconds(3), [""; 0], "it is not stopped");
    assert_eq!(stage.learn(desire(DesiredState::Loaded)), ["stop web on m1"], "and an order is carried out at once");
}

#[test]
fn a_restart_does_not_wait_for_a_copy_that_another_machine_cannot_stop() {
    let mut stage = Stage::new(2, |snapshot| want(snapshot, "web", ""));
    stage.seconds(11);
    let (here, there) = (id(1), id(2));
    assert_eq!(stage.placement("web").machine, here);
    let state = stage.hosts[&here].units[&unit("web")].state.clone();
    stage.claims.insert(there, [(unit("web"), state.clone())].into());
    stage.next_leader(|snapshot| _ = snapshot.states.get_mut(&unit("web")).unwrap().insert(there, state));
    assert!(stage.seconds(2).contains(&"unload web on m2".to_owned()));
    let again = |snapshot: &mut Snapshot| snapshot.units.get_mut(&unit("web")).unwrap().restarts += 1;
    assert!(stage.learn(again).contains(&"restart web on m1".to_owned()));
}
