use super::*;

#[test]
fn after_a_rejected_login_the_next_visit_waits_until_the_penalty_of_sshd_has_expired() {
    for (kind, pause) in [(FailureKind::Denied, 6), (FailureKind::HostKey, 6), (FailureKind::Throttled, 6)] {
        let mut stage = Stage::new(2, |_| ());
        stage.silent.insert(id(1));
        stage.failure = Failure { kind, phase: Phase::Authenticate, ..silence() };
        stage.wait(SECOND);
        assert_eq!(stage.reconciler.view(id(1)).unwrap().next_visit, stage.now + SECOND * pause, "{kind:?}");
        // The failure is enough to assess the machine as soon as the detection time has passed.
        stage.seconds(7);
        assert!(!matches!(stage.health(1), Some(Health::Suspect | Health::Down)), "{kind:?}");
    }
}

#[test]
fn an_event_says_how_long_two_copies_of_a_unit_ran_at_most() {
    let mut stage = Stage::new(3, |snapshot| want(snapshot, "web", ""));
    let from = stage.placement("web").machine;
    stage.silent.insert(from);
    stage.seconds(20);
    let moved = stage.placement("web");
    assert_ne!(moved.machine, from);
    let since = moved.since;
    stage.silent.clear();
    stage.log.clear();
    let done = stage.seconds(5);
    assert_eq!(done, ["unload web on m1"]);
    let overlap = |kind: &EventKind| if let EventKind::StepEnded(step) = kind { step.overlap } else { None };
    let twice: Vec<Duration> = stage.log.iter().filter_map(overlap).collect();
    let [time] = twice.as_slice() else { panic!("{:?}", stage.log) };
    let longest = stage.now.since(since);
    assert!((SECOND..=longest).contains(time), "{time:?} of {longest:?}");
}

/// Lets a machine go down and come up again.
fn flap(stage: &mut Stage, machine: u32) {
    stage.silent.insert(id(machine));
    stage.seconds(12);
    assert_eq!(stage.health(machine), Some(Health::Down));
    stage.silent.clear();
    stage.wait(SECOND);
    assert_eq!(stage.health(machine), Some(Health::Alive));
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
    stage.next_leader(|_| ());
    stage.wait(SECOND);
    assert!(!stage.reconciler.snapshot().placements.contains_key(&unit("b")), "the next leader keeps the hold-down");
    stage.seconds(60);
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
        assert_eq!(stage.health(1), Some(expected), "{kind:?}");
        stage.silent.insert(id(2));
        stage.seconds(9);
        assert_eq!((stage.health(2), stage.placement("web").machine), (Some(Health::Down), id(3)), "{kind:?}");
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
        stage.seconds(9);
        assert_eq!((stage.health(2), stage.placement("web").machine), (Some(Health::Down), id(3)), "{kind:?}");
    }
}

#[test]
fn a_machine_fails_over_beside_a_sick_one_right_after_a_controller_started() {
    for (phase, kind, _) in AILMENTS {
        let mut stage = ailing(phase, kind);
        stage.next_leader(|_| ());
        stage.silent.insert(id(2));
        stage.seconds(10);
        assert_eq!((stage.health(2), stage.placement("web").machine), (Some(Health::Down), id(3)), "{kind:?}");
    }
}

#[test]
fn a_visit_that_never_ends_blocks_no_failover_of_another_machine() {
    let mut stage = Stage::new(3, |snapshot| want(snapshot, "web", ""));
    let from = stage.placement("web").machine;
    stage.hangs = |machine, _| machine == id(3);
    stage.seconds(60);
    stage.silent.insert(from);
    stage.seconds(9);
    assert_eq!((stage.health(1), stage.placement("web").machine), (Some(Health::Down), id(2)));
}

#[test]
fn a_failover_override_moves_the_units_of_a_machine_whose_host_seems_to_be_up() {
    for (phase, kind, before) in AILMENTS {
        let mut stage = Stage::new(3, |snapshot| {
            want(snapshot, "a", "");
            want(snapshot, "db", "[X-Muster]\nClass=strict\n[X-Fleet]\nMachineOf=a.service");
        });
        stage.silent.insert(id(1));
        stage.failures.insert(id(1), failing(phase, kind));
        stage.seconds(30);
        assert_eq!((stage.health(1), stage.placement("a").machine), (Some(before), id(1)), "{kind:?}");
        let forced = FailoverOverride { given: stage.now, until: stage.now + SECOND * 60, by: "root@desk".to_owned() };
        stage.learn(|snapshot| drop(snapshot.failover_overrides.insert(id(1), forced)));
        assert_eq!(stage.health(1), Some(Health::Down), "{kind:?}");
        let placement = stage.placement("a");
        let forced_by = Some("root@desk".to_owned());
        let moved = RemovalReason::Unhealthy { machine: id(1), health: before, forced_by };
        assert_eq!(placement.reason.moved, Some(moved), "{kind:?}");
        assert_ne!(placement.machine, id(1), "{kind:?}");
        if before == Health::Sick {
            stage.seconds(50);
            assert_eq!(stage.placement("db").machine, id(1), "its systemd may hang");
        }
        stage.seconds(61);
        assert_eq!(stage.health(1), Some(before), "the override has ended");
    }
}

#[test]
fn a_failover_override_ends_when_the_machine_answers() {
    let mut stage = Stage::new(3, |snapshot| want(snapshot, "a", ""));
    stage.silent.extend([id(1), id(2)]);
    stage.seconds(12);
    let forced = FailoverOverride { given: stage.now, until: stage.now + SECOND * 3600, by: "root@desk".to_owned() };
    stage.learn(|snapshot| drop(snapshot.failover_overrides.insert(id(1), forced)));
    assert_eq!(stage.health(1), Some(Health::Down));
    let orders = |stage: &Stage| stage.reconciler.snapshot().failover_overrides.len();
    assert_eq!(orders(&stage), 1);
    stage.silent.clear();
    stage.seconds(20);
    assert_eq!((stage.health(1), orders(&stage)), (Some(Health::Alive), 0));
    // The next trouble moves nothing that the order was not about.
    stage.silent.insert(id(1));
    stage.failures.insert(id(1), failing(Phase::Authenticate, FailureKind::Denied));
    stage.seconds(30);
    assert_eq!(stage.health(1), Some(Health::Sick));
}

#[test]
fn a_failover_override_moves_the_units_of_a_machine_with_a_path_fault() {
    let mut stage = Stage::new(3, |snapshot| want(snapshot, "a", ""));
    stage.silent.insert(id(1));
    stage.reached = Some(true);
    stage.relays_fail = true;
    stage.seconds(12);
    assert_eq!((stage.health(1), stage.placement("a").machine), (Some(Health::PathFault), id(1)));
    let forced = FailoverOverride { given: stage.now, until: stage.now + SECOND * 60, by: "root@desk".to_owned() };
    stage.learn(|snapshot| drop(snapshot.failover_overrides.insert(id(1), forced)));
    assert_ne!(stage.placement("a").machine, id(1));
}

#[test]
fn a_failover_override_moves_units_that_the_policy_blocks() {
    let mut stage = Stage::new(3, |snapshot| want(snapshot, "a", ""));
    stage.silent.extend([id(1), id(2)]);
    stage.seconds(12);
    assert_eq!((stage.health(1), stage.placement("a").machine), (Some(Health::Unreachable), id(1)));
    let forced = FailoverOverride { given: stage.now, until: stage.now + SECOND * 60, by: "root@desk".to_owned() };
    stage.learn(|snapshot| drop(snapshot.failover_overrides.insert(id(1), forced)));
    assert_eq!((stage.health(1), stage.placement("a").machine), (Some(Health::Down), id(3)));
    assert_eq!(stage.health(2), Some(Health::Unreachable), "the override is about the other machine");
    assert!(stage.reconciler.snapshot().health[&id(1)].reason.to_string().contains("by order of root@desk"));
}

#[test]
fn a_brake_that_lets_go_gives_each_machine_the_time_to_answer_again() {
    let mut stage = Stage::new(5, |snapshot| {
        for name in ["a", "b", "c", "d", "e"] {
            want(snapshot, name, "");
        }
    });
    stage.reached = Some(false);
    let placements = |stage: &Stage| stage.reconciler.snapshot().placements.clone();
    let before = placements(&stage);
    stage.silent = BTreeSet::from([id(1), id(2), id(3)]);
    stage.seconds(30);
    let healths = |stage: &Stage| [1, 2, 3].map(|machine| stage.health(machine));
    assert_eq!(healths(&stage), [Some(Health::Unreachable); 3], "the brake holds");
    // The network heals, and one machine after another is reached.
    for machine in [1, 2, 3] {
        stage.silent.remove(&id(machine));
        stage.seconds(2);
        assert!(!healths(&stage).contains(&Some(Health::Down)), "{:?}", healths(&stage));
    }
    stage.seconds(10);
    assert_eq!((healths(&stage), placements(&stage)), ([Some(Health::Alive); 3], before));

    // Two stay dead: they are down once they had their time.
    stage.silent = BTreeSet::from([id(1), id(2), id(3)]);
    stage.seconds(30);
    stage.silent.remove(&id(1));
    stage.seconds(6);
    assert_eq!(healths(&stage), [Some(Health::Alive), Some(Health::Unreachable), Some(Health::Unreachable)]);
    stage.seconds(6);
    assert_eq!(healths(&stage), [Some(Health::Alive), Some(Health::Down), Some(Health::Down)]);
}

#[test]
fn other_settings_count_at_once() {
    let mut stage = Stage::new(4, |_| ());
    stage.reached = Some(false);
    stage.silent = BTreeSet::from([id(1), id(2), id(3)]);
    stage.seconds(12);
    assert_eq!(stage.health(1), Some(Health::Unreachable), "the brake blocks the failover");
    let detection = DetectionConfig { brake: 100, ..timing().detection };
    let fence = BTreeSet::from(["m1".to_owned()]);
    stage.reconciler.configure(Timing { detection, ..timing() }, FailoverPolicy::default(), fence);
    stage.run(Input::Tick);
    assert_eq!(stage.health(1), Some(Health::Down));
}

#[test]
fn attempts_to_reach_machines_that_do_not_answer_keep_no_run_from_its_end() {
    let mut stage = Stage::new(3, |_| {});
    stage.silent.extend([id(1), id(2)]);
    stage.seconds(40);
    assert!(![1, 2].map(|machine| stage.health(machine)).contains(&Some(Health::Alive)));
    // The attempts of the two overlap for ever.
    stage.now = stage.now + SECOND;
    let mut tried = 0;
    for output in stage.reconciler.handle(Input::Tick, stage.now) {
        match output {
            Output::Visit { machine, .. } if machine != id(3) => tried += 1,
            output => drop(stage.carry_out(output).map(|input| stage.reconciler.handle(input, stage.now))),
        }
    }
    assert!(tried > 0 && stage.reconciler.is_settled());
}

#[test]
fn a_machine_whose_lock_a_program_holds_stays_alive_and_its_steps_fail_after_a_while() {
    let mut stage = Stage::new(1, |_| ());
    stage.seconds(11);
    stage.busy.insert(id(1));
    stage.learn(|snapshot| want(snapshot, "a", ""));
    stage.log.clear();
    stage.seconds(120);
    let changes = stage.log.iter().filter(|kind| matches!(kind, EventKind::HealthChanged { .. })).count();
    assert_eq!((stage.health(1), changes), (Some(Health::Alive), 0));
    let said = |kind: &EventKind| match kind {
        EventKind::StepEnded(end) => format!("{:?}", end.outcome),
        _ => String::new(),
    };
    let failures = stage.log.iter().filter(|kind| said(kind).contains("fuser -v /run/muster/lock")).count();
    assert!((1..5).contains(&failures), "{:?}", stage.log);
    assert!(stage.reconciler.backoffs().count() == 1);
    stage.busy.clear();
    assert_eq!(stage.seconds(60), ["load a on m1", "start a on m1"]);
}
