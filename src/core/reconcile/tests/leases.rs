use super::super::leases::Wait;
use super::*;
use crate::core::lease;
use crate::core::model::ObservationTimes;

#[test]
fn a_strict_unit_stops_before_it_starts_elsewhere() {
    let mut stage = Stage::new(2, |snapshot| want(snapshot, "web", "[X-Muster]\nClass=strict"));
    assert_eq!(stage.learn(drain(None)), ["unload web on m1", "load web on m2", "start web on m2"]);
}

#[test]
fn a_strict_unit_starts_elsewhere_when_its_lease_has_certainly_ended() {
    let mut stage = Stage::new(3, |snapshot| want(snapshot, "web", "[X-Muster]\nClass=strict"));
    let from = stage.placement("web").machine;
    assert_eq!(stage.reconciler.snapshot().leases.keys().copied().collect::<Vec<_>>(), [from]);
    stage.wait(SECOND * 20);
    stage.silent.insert(from);
    // The last renewal may have been sent just before. The lease ends after 12 s, the unit stops within 10 s, and the
    // margin is 2 s.
    assert!(stage.seconds(23).is_empty());
    assert_eq!(stage.reconciler.view(from).unwrap().health, Some(Health::Down));
    assert_eq!(stage.placement("web").machine, from, "it may still run there");
    let done = stage.seconds(3);
    assert_eq!(done, ["load web on m2", "start web on m2"]);
    let known = stage.reconciler.snapshot();
    assert!(
        !known.leases.contains_key(&from) && !known.states[&unit("web")].contains_key(&from),
        "it is gone from there"
    );
}

#[test]
fn a_host_that_has_booted_has_not_lost_a_lease() {
    let mut stage = Stage::new(1, |snapshot| want(snapshot, "web", "[X-Muster]\nClass=strict"));
    stage.seconds(5);
    let ended = |stage: &mut Stage| stage.hosts.get_mut(&id(1)).unwrap().end_lease();
    ended(&mut stage);
    stage.seconds(5);
    assert!(stage.log.contains(&EventKind::LeaseRegained), "{:?}", stage.log);
    stage.log.clear();
    stage.hosts.insert(id(1), SimulatedHost::new(id(1), "another boot".to_owned()));
    let done = stage.seconds(10);
    assert_eq!(done, ["load web on m1", "start web on m1"]);
    assert!(!stage.log.contains(&EventKind::LeaseRegained), "{:?}", stage.log);
}

#[test]
fn a_strict_unit_that_stopped_while_no_leader_renewed_its_lease_is_told_with_that_cause() {
    let stopped =
        |lease_ended| EventKind::UnitFailed { active: ActiveState::Inactive, sub: SubState::DEAD, lease_ended };
    for (pause, lease_ended) in [(60, true), (5, false)] {
        let mut stage = Stage::new(1, |snapshot| want(snapshot, "web", "[X-Muster]\nClass=strict"));
        stage.seconds(20);
        let observed = ObservationTimes { at: stage.now, behind: BTreeMap::new(), continuous: true };
        stage.now = stage.now + SECOND * pause;
        // Within the lease, the unit has ended by itself.
        stage.hosts.get_mut(&id(1)).unwrap().end_lease();
        stage.log.clear();
        stage.next_leader(|snapshot| snapshot.observed = Some(observed));
        stage.seconds(5);
        assert!(stage.log.contains(&stopped(lease_ended)), "{:?}", stage.log);
    }
}

#[test]
fn a_slow_systemd_lengthens_the_bound_of_its_machine() {
    let mut stage = Stage::new(3, |snapshot| want(snapshot, "web", "[X-Muster]\nClass=strict"));
    let from = stage.placement("web").machine;
    stage.hosts.get_mut(&from).unwrap().renewal = SECOND * 3 / 2;
    stage.seconds(10);
    assert_eq!(stage.reconciler.snapshot().leases[&from].slack, SECOND * 7);
    stage.hosts.get_mut(&from).unwrap().renewal = SECOND / 10;
    stage.seconds(10);
    assert_eq!(stage.reconciler.snapshot().leases[&from].slack, SECOND * 7, "it may be slow again");
    stage.silent.insert(from);
    // 12 s of the lease, 10 s to stop, 2 s of margin, and the slack.
    assert!(!stage.seconds(26).iter().any(|done| done.starts_with("start")));
    assert!(stage.seconds(8).iter().any(|done| done.starts_with("start web")));
}

#[test]
fn a_slow_systemd_counts_before_the_store_has_the_longer_bound() {
    let mut stage = Stage::new(2, |snapshot| want(snapshot, "web", "[X-Muster]\nClass=strict"));
    let from = stage.placement("web").machine;
    stage.unanswered = stage.log.first().cloned();
    stage.hosts.get_mut(&from).unwrap().renewal = SECOND * 3 / 2;
    stage.seconds(5);
    assert_eq!(stage.reconciler.snapshot().leases[&from].slack, Duration::ZERO, "the store does not answer");
    stage.silent.insert(from);
    stage.seconds(9);
    let other = id(if from == id(1) { 2 } else { 1 });
    // 10 s to stop, 2 s of margin, and the slack.
    let until = stage.reconciler.lease_ends[&from] + SECOND * (10 + 2 + 7);
    let hold = stage.reconciler.strict_hold(&unit("web"), other);
    assert_eq!(hold, Some(Wait::MayRun(from, Some(until))));
}

#[test]
fn a_host_that_has_seen_later_leases_shows_that_the_store_was_restored() {
    let mut stage = Stage::new(3, |snapshot| want(snapshot, "web", "[X-Muster]\nClass=strict"));
    let at = stage.placement("web").machine;
    stage.seconds(5);
    stage.hosts.get_mut(&at).unwrap().units.clear();
    let seen = stage.hosts[&at].serial;
    assert!(seen > 0 && stage.hosts.values().all(|host| host.serial == seen), "all have seen {seen}");
    let silent = id(if at == id(3) { 2 } else { 3 });
    stage.silent.insert(silent);
    stage.log.clear();
    stage.next_leader(|snapshot| {
        snapshot.leases.clear();
        snapshot.serial = 0;
    });
    assert!(!stage.seconds(25).iter().any(|done| done.starts_with("start")));
    assert!(stage.log.contains(&EventKind::StoreRestored));
    let hold = stage.reconciler.strict_hold(&unit("web"), at).unwrap().tell(true, MachineId::short);
    assert_eq!(hold, format!("it is strict, and may still run on {}", silent.short()));
    // A unit that the backup does not have may run there too, and what its file says is not known.
    let done = stage.learn(|snapshot| want(snapshot, "later", "[X-Muster]\nClass=strict"));
    assert!(!done.into_iter().chain(stage.seconds(45)).any(|done| done.starts_with("start")));
    let done = stage.seconds(30);
    assert!(
        ["start web", "start later"].iter().all(|start| done.iter().any(|done| done.starts_with(start))),
        "{done:?}"
    );
    assert!(stage.reconciler.snapshot().serial > seen);
}

#[test]
fn the_long_bound_of_a_restored_store_ends_when_the_machine_answers() {
    let mut stage = Stage::new(3, |snapshot| want(snapshot, "web", "[X-Muster]\nClass=strict"));
    let at = stage.placement("web").machine;
    stage.seconds(5);
    let bound = lease::bound(&stage.reconciler.snapshot().leases[&at]);
    stage.silent.insert(at);
    stage.next_leader(|snapshot| {
        snapshot.leases.clear();
        snapshot.serial = 0;
    });
    stage.seconds(5);
    let assumed = stage.reconciler.snapshot().leases[&at].clone();
    assert!(assumed.unknown && lease::bound(&assumed) >= bound + SECOND * 50, "{assumed:?}");
    stage.silent.clear();
    stage.seconds(15);
    let grant = stage.reconciler.snapshot().leases[&at].clone();
    assert!(!grant.unknown && lease::bound(&grant) == bound, "{grant:?}");
}

#[test]
fn a_leader_without_leases_stops_no_unit_that_a_restored_store_lacks() {
    let mut stage = Stage::new(2, |snapshot| want(snapshot, "web", "[X-Muster]\nClass=strict"));
    let at = stage.placement("web").machine;
    stage.seconds(5);
    let forget = |snapshot: &mut Snapshot| {
        snapshot.leases.clear();
        snapshot.units.clear();
        snapshot.placements.clear();
        snapshot.states.clear();
        snapshot.serial = 0;
    };
    let leases = stage.reconciler.timing.lease.take();
    stage.next_leader(forget);
    assert!(stage.seconds(15).is_empty() && stage.reconciler.spares_unknown());
    assert!(stage.reconciler.restoration_witness().is_some());
    stage.reconciler.timing.lease = leases;
    stage.next_leader(forget);
    assert_eq!(stage.seconds(15), [format!("unload web on {}", stage.reconciler.snapshot().name_of(at))]);
}

/// Starts units after a backup of the store, restores the backup, and leads without leases.
fn restore_without_leases(stage: &mut Stage, started: impl FnOnce(&mut Stage)) {
    stage.seconds(5);
    let backup = stage.reconciler.snapshot().clone();
    started(stage);
    stage.seconds(5);
    stage.next_leader(|snapshot| *snapshot = backup);
}

#[test]
fn a_store_that_lacks_a_unit_without_a_lease_shows_that_it_was_restored() {
    let start: [fn(&mut Stage); 2] = [
        |stage| drop(stage.learn(|snapshot| want(snapshot, "later", ""))),
        |stage| drop(stage.learn(|snapshot| want(snapshot, "everywhere", "[X-Fleet]\nGlobal=true"))),
    ];
    for start in start {
        let mut stage = Stage::new(3, |snapshot| want(snapshot, "web", ""));
        stage.reconciler.timing.lease = None;
        restore_without_leases(&mut stage, start);
        assert_eq!(stage.seconds(15), <[&str; 0]>::default());
        assert!(stage.reconciler.restoration_witness().is_some() && stage.reconciler.spares_unknown());
    }
}

#[test]
fn a_command_places_a_unit_of_a_restored_store_where_it_runs() {
    let mut stage = Stage::new(4, |snapshot| want(snapshot, "web", ""));
    stage.reconciler.timing.lease = None;
    restore_without_leases(&mut stage, |stage| drop(stage.learn(|snapshot| want(snapshot, "later", ""))));
    let runs_on = |stage: &Stage| {
        let hosts = stage.hosts.iter().filter(|(_, host)| host.units.contains_key(&unit("later")));
        hosts.map(|(machine, _)| *machine).collect::<Vec<_>>()
    };
    let before = runs_on(&stage);
    assert_eq!((before.len(), stage.seconds(15).len()), (1, 0));
    let mut snapshot = stage.reconciler.snapshot().clone();
    assert!(snapshot.restored.is_some(), "the sweep has recorded the sign");
    want(&mut snapshot, "later", "");
    let (epoch, mut timing) = (stage.reconciler.epoch + 1, stage.reconciler.timing);
    timing.detection.down_after = Duration::ZERO;
    stage.reconciler = Reconciler::new(epoch, Scope::Units([unit("later")].into()), timing, snapshot);
    let done = stage.seconds(10);
    assert!(!done.iter().any(|done| done.starts_with("load") || done.starts_with("unload")), "{done:?}");
    assert_eq!((runs_on(&stage), stage.placement("later").machine), (before.clone(), before[0]));
}

#[test]
fn a_leader_with_leases_heeds_the_sign_that_a_sweep_has_recorded() {
    let mut stage = Stage::new(3, |snapshot| want(snapshot, "web", "[X-Muster]\nClass=strict"));
    stage.seconds(5);
    let leases = stage.reconciler.timing.lease.take();
    stage.next_leader(|snapshot| {
        snapshot.leases.clear();
        snapshot.serial = 0;
    });
    stage.seconds(5);
    assert!(stage.reconciler.snapshot().restored.is_some());
    stage.reconciler.timing.lease = leases;
    stage.log.clear();
    // The serial has caught up meanwhile.
    stage.next_leader(|snapshot| snapshot.serial = 1000);
    stage.seconds(5);
    assert!(stage.log.contains(&EventKind::StoreRestored));
    assert_eq!(stage.reconciler.snapshot().restored, None);
}

#[test]
fn a_sweep_of_a_restored_store_does_not_let_the_serial_catch_up() {
    let mut stage = Stage::new(3, |snapshot| want(snapshot, "web", ""));
    stage.reconciler.timing.lease = None;
    restore_without_leases(&mut stage, |stage| drop(stage.learn(|snapshot| want(snapshot, "later", ""))));
    stage.seconds(5);
    let serial = stage.reconciler.snapshot().serial;
    let at = stage.placement("web").machine;
    stage.silent.insert(at);
    assert!(stage.seconds(60).iter().any(|done| done.starts_with("start web")));
    assert_eq!(stage.reconciler.snapshot().serial, serial);
    stage.next_leader(|_| {});
    assert!(!stage.seconds(15).iter().any(|done| done.starts_with("unload later")));
}

#[test]
fn a_strict_unit_waits_for_a_copy_that_ran_before_the_cluster_knew_the_unit() {
    let mut stage = Stage::new(3, |snapshot| want(snapshot, "web", "[X-Muster]\nClass=strict"));
    let at = stage.placement("web").machine;
    stage.seconds(5);
    let copy = stage.hosts[&at].units[&unit("web")].state.clone();
    // The host does not stop it.
    stage.claims.insert(at, [(unit("web"), copy)].into());
    stage.next_leader(|snapshot| {
        snapshot.leases.clear();
        snapshot.units.clear();
        snapshot.placements.clear();
        snapshot.states.clear();
    });
    stage.seconds(2);
    stage.learn(|snapshot| {
        want(snapshot, "web", "[X-Muster]\nClass=strict\n[Unit]\nDescription=new");
        snapshot.machines.get_mut(&at).unwrap().cordoned = true;
    });
    assert!(!stage.seconds(60).iter().any(|done| done.starts_with("start")));
    let to = stage.placement("web").machine;
    assert_eq!(stage.reconciler.strict_hold(&unit("web"), to), Some(Wait::Leaving(at)));
}

#[test]
fn a_machine_whose_systemd_may_hang_is_not_relied_on_to_stop_its_units() {
    let mut stage = Stage::new(3, |snapshot| want(snapshot, "web", "[X-Muster]\nClass=strict"));
    let from = stage.placement("web").machine;
    stage.silent.insert(from);
    stage.failure = Failure { phase: Phase::Run, kind: FailureKind::Silent, ..silence() };
    assert!(stage.seconds(90).is_empty());
    assert_eq!(stage.reconciler.view(from).unwrap().health, Some(Health::Sick));
    assert!(stage.reconciler.snapshot().leases.contains_key(&from));
    stage.learn(|snapshot| snapshot.machines.get_mut(&from).unwrap().draining = true);
    assert!((0..90).all(|_| !stage.wait(SECOND).iter().any(|done| done.starts_with("start"))));
}

#[test]
fn a_machine_whose_systemd_may_hang_is_not_relied_on_before_it_is_assessed() {
    let mut stage = Stage::new(3, |snapshot| want(snapshot, "web", "[X-Muster]\nClass=strict"));
    stage.reconciler.timing.detection.down_after = SECOND * 60;
    let from = stage.placement("web").machine;
    stage.silent.insert(from);
    stage.failure = Failure { phase: Phase::Run, kind: FailureKind::Silent, ..silence() };
    stage.seconds(50);
    assert_eq!(stage.reconciler.view(from).unwrap().health, Some(Health::Suspect));
    assert!(stage.reconciler.snapshot().leases.contains_key(&from), "its lease would have ended after 24 s");
}

#[test]
fn a_sick_machine_delays_the_strict_units_that_it_may_run_and_no_others() {
    let mut stage = Stage::new(3, |snapshot| want(snapshot, "db", "[X-Muster]\nClass=strict"));
    let sick = stage.placement("db").machine;
    stage.silent.insert(sick);
    stage.failure = Failure { phase: Phase::Run, kind: FailureKind::Silent, ..silence() };
    stage.seconds(30);
    assert_eq!(stage.reconciler.view(sick).unwrap().health, Some(Health::Sick));
    // It is not known when db stops there. new was never there.
    let done = stage.learn(|snapshot| want(snapshot, "new", "[X-Muster]\nClass=strict"));
    assert!(done.iter().any(|step| step.starts_with("start new on ")), "{done:?}");
    assert_eq!(stage.placement("db").machine, sick);
}

#[test]
fn sweeps_after_a_controller_start_the_units_that_waited_for_its_leases() {
    let mut stage = Stage::new(3, |snapshot| want(snapshot, "web", "[X-Muster]\nClass=strict"));
    stage.wait(SECOND);
    let from = stage.placement("web").machine;
    stage.silent.insert(from);
    let mut done = Vec::new();
    let mut sweeps = 0;
    // Each sweep runs until it has assessed every machine.
    while done.is_empty() && sweeps < 5 {
        let (epoch, snapshot) = (stage.reconciler.epoch + 1, stage.reconciler.snapshot().clone());
        let policy = LeasePolicy::of_sweeps(SECOND * 180, SECOND * 60).unwrap();
        stage.reconciler =
            Reconciler::new(epoch, Scope::All, Timing { lease: Some(policy), ..stage.reconciler.timing }, snapshot);
        done.extend(stage.seconds(20));
        stage.now = stage.now + SECOND * 40;
        sweeps += 1;
    }
    assert_eq!(done, ["load web on m2", "start web on m2"]);
    // The first sweep records when web has certainly stopped: after 4 s, the lease, its stop and a margin. Clock skew
    // is 30 s more.
    assert_eq!(sweeps, 2);
}

#[test]
fn if_only_sshd_fails_strict_units_move_after_they_have_stopped_and_others_stay() {
    for (kind, health) in [(FailureKind::Refused, Health::SshdDown), (FailureKind::Throttled, Health::Throttled)] {
        let moved = |text: &str| {
            let mut stage = Stage::new(3, |snapshot| want(snapshot, "web", text));
            let from = stage.placement("web").machine;
            stage.failure = Failure { kind, ..silence() };
            stage.silent.insert(from);
            let early: Vec<String> = stage.seconds(23);
            assert!(early.is_empty(), "{health}: {early:?}");
            let done: Vec<String> = stage.seconds(60);
            assert_eq!(stage.reconciler.view(from).unwrap().health, Some(health));
            done
        };
        assert_eq!(moved("[X-Muster]\nClass=strict"), ["load web on m2", "start web on m2"], "{health}");
        assert_eq!(moved(""), [""; 0], "{health}");
    }
}

#[test]
fn a_strict_unit_waits_for_the_end_of_a_lease_that_another_leader_granted() {
    let mut stage = Stage::new(3, |snapshot| {
        want(snapshot, "web", "[X-Muster]\nClass=strict");
        let units = [unit("web")].into();
        let grant = Grant {
            epoch: 0,
            length: SECOND * 12,
            stop: SECOND * 10,
            slack: Duration::ZERO,
            units,
            unknown: false,
            until: None,
            stopped_for_sure_at: None,
        };
        // The machine has left the cluster since, and may still be up.
        snapshot.leases.insert(id(9), grant);
        snapshot.voters = [id(1), id(2), id(9)].into();
    });
    let began = stage.now;
    let runs = |stage: &Stage| {
        stage.hosts.values().any(|host| host.units.get(&unit("web")).is_some_and(SimulatedUnit::is_there))
    };
    while stage.reconciler.snapshot().leases.contains_key(&id(9)) {
        assert!(!runs(&stage));
        stage.wait(SECOND);
    }
    // The quorum window is 4 s, the lease 12 s, the stop 10 s and the margin 2 s.
    assert_eq!(stage.now.since(began).as_secs(), 28);
    stage.wait(SECOND * 2);
    assert!(runs(&stage));
}

#[test]
fn a_reconciler_that_maintains_no_leases_starts_no_strict_unit() {
    let mut stage = Stage::new(1, |snapshot| want(snapshot, "web", "[X-Muster]\nClass=strict"));
    stage.reconciler.timing.lease = None;
    let hold = stage.reconciler.strict_hold(&unit("web"), id(1)).unwrap();
    let told = hold.tell(true, |id| id.to_string());
    assert_eq!(told, "it is strict, and strict units need a running controller, or sweeps with --sweep-every");
}

#[test]
fn a_strict_unit_whose_machine_falls_silent_may_still_run_there_until_its_lease_has_ended() {
    let mut stage = Stage::new(3, |snapshot| want(snapshot, "web", "[X-Muster]\nClass=strict"));
    stage.seconds(5);
    let from = stage.placement("web").machine;
    assert_eq!(stage.reconciler.strict_hold(&unit("web"), from), None, "it runs there");
    stage.silent.insert(from);
    stage.wait(SECOND);
    let hold = stage.reconciler.strict_hold(&unit("web"), from).unwrap();
    assert!(
        matches!(hold, super::super::leases::Wait::MayRun(on, Some(until)) if on == from && until > stage.now),
        "{hold:?}"
    );
    let told = |is_strict| hold.tell(is_strict, |_| "m1".to_owned());
    assert_eq!(told(true), "it is strict, and may still run on m1");
    assert_eq!(told(false), "a strict copy of it may still run on m1");
}

#[test]
fn without_the_store_leases_are_renewed_while_most_machines_answer() {
    let mut stage = Stage::new(3, |snapshot| want(snapshot, "web", "[X-Muster]\nClass=strict"));
    stage.wait(SECOND * 20);
    assert!(stage.reconciler.holds_leases());
    stage.reconciler.enter_lease_only();
    let renews = |stage: &mut Stage| {
        let before = stage.reconciler.lease_ends.clone();
        stage.seconds(8);
        stage.reconciler.lease_ends != before
    };
    assert!(renews(&mut stage));
    stage.silent.extend([id(2), id(3)]);
    stage.seconds(5);
    assert!(!renews(&mut stage), "another leader may have taken over on the other side");
}

#[test]
fn a_lease_is_renewed_through_a_relay_as_soon_as_a_peer_reaches_the_machine() {
    let mut stage = Stage::new(3, |snapshot| want(snapshot, "web", "[X-Muster]\nClass=strict"));
    stage.seconds(5);
    let at = stage.placement("web").machine;
    let before = stage.reconciler.lease_ends[&at];
    stage.silent.insert(at);
    stage.reached = Some(true);
    stage.seconds(6);
    assert!(stage.relays[&at].is_some() && stage.reconciler.lease_ends[&at] > before, "{before} {:?}", stage.relays);
    assert_eq!(stage.reconciler.view(at).unwrap().health, Some(Health::PathFault));
}

#[test]
fn a_reconciler_of_a_few_units_does_not_wake_for_leases_that_it_does_not_keep() {
    let mut stage = Stage::new(3, |snapshot| want(snapshot, "db", "[X-Muster]\nClass=strict"));
    let from = stage.placement("db").machine;
    stage.silent.insert(from);
    stage.seconds(12);
    let mut snapshot = stage.reconciler.snapshot().clone();
    let ends = snapshot.leases[&from].stopped_for_sure_at.expect("the end of the lease is recorded");
    want(&mut snapshot, "web", "");
    stage.now = ends + SECOND * 600;
    let timing = Timing { lease: None, ..stage.reconciler.timing };
    let scope = Scope::Units([unit("db"), unit("web")].into());
    stage.reconciler = Reconciler::new(2, scope, timing, snapshot);
    stage.run(Input::Tick);
    assert!(stage.reconciler.snapshot().leases.contains_key(&from));
    assert!(stage.reconciler.wake_at().is_none_or(|at| at > stage.now), "it would wake again and again");
}

#[test]
fn a_leader_that_loses_the_store_before_its_first_commit_renews_earlier_leases() {
    let mut stage = Stage::new(3, |snapshot| want(snapshot, "web", "[X-Muster]\nClass=strict"));
    stage.wait(SECOND * 20);
    let at = stage.placement("web").machine;
    let next = |epoch: u64, stage: &Stage, change: fn(&mut Grant)| {
        let mut snapshot = stage.reconciler.snapshot().clone();
        snapshot.leases.values_mut().for_each(change);
        let mut reconciler = Reconciler::new(epoch, Scope::All, stage.reconciler.timing, snapshot);
        // The store fails after the first visits were sent.
        drop(reconciler.handle(Input::Tick, stage.now));
        reconciler.enter_lease_only();
        reconciler
    };
    let short = next(3, &stage, |grant| grant.length = SECOND);
    let ended = next(4, &stage, |grant| grant.stopped_for_sure_at = Some(Timestamp::ZERO));
    let renews = |stage: &mut Stage| {
        stage.seconds(5);
        stage.reconciler.lease_ends.contains_key(&at)
    };
    stage.reconciler = next(2, &stage, |_| ());
    assert!(stage.reconciler.holds_leases() && renews(&mut stage));
    stage.reconciler = short;
    assert!(!renews(&mut stage), "no later leader would wait for the end of a longer lease");
    stage.reconciler = ended;
    assert!(!stage.reconciler.holds_leases() && !renews(&mut stage), "another leader may rely on its end");
}

#[test]
fn a_leader_without_leases_removes_the_record_of_a_lease_whose_units_are_destroyed_and_gone() {
    let mut stage = Stage::new(1, |snapshot| want(snapshot, "web", "[X-Muster]\nClass=strict"));
    assert!(stage.reconciler.snapshot().leases.contains_key(&id(1)));
    let sweep = |stage: &mut Stage, change: fn(&mut Snapshot)| {
        let mut snapshot = stage.reconciler.snapshot().clone();
        change(&mut snapshot);
        let timing = Timing { lease: None, ..stage.reconciler.timing };
        stage.reconciler = Reconciler::new(stage.reconciler.epoch + 1, Scope::All, timing, snapshot);
        stage.seconds(3);
        stage.reconciler.snapshot().leases.contains_key(&id(1))
    };
    assert!(sweep(&mut stage, |_| ()), "web runs");
    let destroy = |snapshot: &mut Snapshot| {
        snapshot.units.remove(&unit("web"));
    };
    assert!(!sweep(&mut stage, destroy));
    assert!(stage.hosts[&id(1)].units.is_empty());
}

#[test]
fn a_leader_with_shorter_leases_soon_waits_no_longer_than_for_its_own() {
    let mut stage = Stage::new(3, |snapshot| want(snapshot, "web", "[X-Muster]\nClass=strict"));
    let from = stage.placement("web").machine;
    let longer = LeasePolicy::of_controller(SECOND * 180, SECOND, SECOND / 2).unwrap();
    let shorter = stage.reconciler.timing.lease.replace(longer);
    stage.next_leader(|_| {});
    stage.seconds(10);
    assert_eq!(stage.reconciler.snapshot().leases[&from].length, SECOND * 180);
    stage.reconciler.timing.lease = shorter;
    stage.next_leader(|_| {});
    stage.seconds(10);
    assert_eq!(stage.reconciler.snapshot().leases[&from].length, SECOND * 12, "the host holds the shorter lease");
    stage.silent.insert(from);
    assert!(stage.seconds(26).iter().any(|done| done.starts_with("start web")));
}
