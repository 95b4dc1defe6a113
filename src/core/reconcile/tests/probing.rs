use super::*;

/// Makes a stage whose first machine has a unit and has been silent for longer than the detection time.
fn silenced(machines: u32, reached: Option<bool>) -> Stage {
    let mut stage = Stage::new(machines, |snapshot| {
        want(snapshot, "a", "");
        want(snapshot, "b", "[X-Fleet]\nConflicts=a.service");
    });
    assert_eq!(stage.placement("a").machine, id(1));
    stage.silent.insert(id(1));
    stage.reached = reached;
    stage.seconds(12);
    stage
}

#[test]
fn a_machine_that_peers_reach_keeps_its_units_and_is_managed_through_a_relay() {
    let mut stage = silenced(3, Some(true));
    assert_eq!((stage.health(1), stage.placement("a").machine), (Some(Health::PathFault), id(1)));
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
    stage.seconds(100);
    assert_eq!(stage.asked.len(), asked, "no peer is asked while the relay works");
    assert_eq!((stage.health(1), stage.placement("a").machine), (Some(Health::PathFault), id(1)));
    stage.silent.clear();
    stage.seconds(31);
    assert_eq!((stage.health(1), stage.relays[&id(1)]), (Some(Health::Alive), None));
}

#[test]
fn a_peer_through_which_the_host_key_is_never_proven_is_not_believed() {
    // The peers greet in place of the machine.
    let mut stage = Stage::new(3, |snapshot| want(snapshot, "a", ""));
    stage.silent.insert(id(1));
    (stage.reached, stage.relays_fail) = (Some(true), true);
    stage.seconds(60);
    for _ in 0..60 {
        stage.wait(SECOND);
        assert_eq!(stage.health(1), Some(Health::Down));
    }
    assert_ne!(stage.placement("a").machine, id(1));
}

#[test]
fn a_machine_that_no_peer_reaches_fails_over_after_the_detection_time() {
    for reached in [Some(false), None] {
        let stage = silenced(3, reached);
        assert_eq!(stage.health(1), Some(Health::Down));
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
