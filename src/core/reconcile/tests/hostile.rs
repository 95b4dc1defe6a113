//! What one host that lies may cost the others.

use super::*;
use crate::core::model::ForeignUnits;

#[test]
fn a_host_that_reports_an_endless_uptime_stops_nothing() {
    let mut stage = Stage::new(2, |snapshot| {
        want(snapshot, "db", "[X-Muster]\nClass=strict\n[X-Fleet]\nMachineMetadata=zone=a");
        set(snapshot, 1, "zone", "a");
    });
    stage.uptime = |machine| if machine == id(1) { Duration::MAX } else { Duration::ZERO };
    stage.seconds(20);
    stage.silent.insert(id(1));
    stage.seconds(60);
    assert_eq!(stage.health(1), Some(Health::Down));
}

/// Returns the state of a unit that a host claims to run although muster has not started it there.
fn claim(stage: &mut Stage, machine: u32, name: &str) {
    let file = UnitFile::parse("[Service]\nExecStart=/bin/false\n").unwrap();
    let (load, active, sub) = (LoadState::Loaded, ActiveState::Active, SubState::RUNNING);
    let state =
        UnitState { load, active, sub, job: None, hash: file.hash(), launched: true, restarts: 0, restarted: false };
    stage.claims.entry(id(machine)).or_default().insert(unit(name), state);
}

#[test]
fn a_host_that_claims_units_that_were_never_placed_there_delays_no_start() {
    let mut stage = Stage::new(3, |snapshot| {
        (1..=2).for_each(|machine| set(snapshot, machine, "zone", "a"));
        want(snapshot, "web", "[X-Fleet]\nMachineMetadata=zone=a");
        want(snapshot, "pay", "[X-Fleet]\nMachineMetadata=zone=a");
    });
    claim(&mut stage, 3, "web");
    claim(&mut stage, 3, "pay");
    stage.seconds(20);
    let from = stage.placement("web").machine;
    stage.silent.insert(from);
    let done = stage.seconds(20);
    let other = format!("m{}", if from == id(1) { 2 } else { 1 });
    assert!(done.contains(&format!("start web on {other}")), "{done:?}");
    let desired =
        |desired| move |snapshot: &mut Snapshot| snapshot.units.get_mut(&unit("pay")).unwrap().desired = desired;
    stage.learn(desired(DesiredState::Inactive));
    stage.seconds(20);
    let done = stage.learn(desired(DesiredState::Launched));
    assert!(done.contains(&format!("start pay on {other}")), "{done:?}");
}

#[test]
fn an_available_unit_waits_for_a_machine_that_does_not_stop_it_for_a_bounded_time() {
    let mut stage = Stage::new(2, |snapshot| {
        (1..=2).for_each(|machine| set(snapshot, machine, "zone", if machine == 1 { "a" } else { "b" }));
        want(snapshot, "web", "[X-Fleet]\nMachineMetadata=zone=a");
    });
    claim(&mut stage, 1, "web");
    stage.seconds(11);
    stage.learn(|snapshot| {
        set(snapshot, 1, "zone", "b");
        set(snapshot, 2, "zone", "a");
    });
    assert_eq!(stage.placement("web").machine, id(2));
    let starts = |done: Vec<String>| done.contains(&"start web on m2".to_owned());
    // The first unload was that of a file which differs, one second after the beginning.
    assert!(!starts(stage.seconds(75)), "systemd may yet stop it");
    assert!(starts(stage.seconds(20)));
}

#[test]
fn a_unit_file_that_muster_did_not_write_is_reported_once_and_keeps_its_name_and_its_unit() {
    let mut stage = Stage::new(2, |_| ());
    stage.seconds(11);
    plant(&mut stage, 1, "web");
    stage.log.clear();
    assert_eq!(stage.seconds(60), [""; 0]);
    let files = ForeignUnits::new([unit("web")].iter());
    assert_eq!(stage.log, [EventKind::ForeignUnitsFound(files.clone())]);
    assert_eq!(stage.reconciler.snapshot().foreign, [(id(1), files)].into());
    let done = stage.learn(|snapshot| want(snapshot, "web", ""));
    assert_eq!(done, ["load web on m2", "start web on m2"]);
    assert_eq!(stage.placement("web").machine, id(2));
    stage.hosts.get_mut(&id(1)).unwrap().units.clear();
    stage.seconds(20);
    assert!(stage.reconciler.snapshot().foreign.is_empty());
}

#[test]
fn a_unit_that_fits_only_where_another_program_has_its_name_is_refused_with_the_reason() {
    let mut stage = Stage::new(1, |_| ());
    stage.seconds(11);
    plant(&mut stage, 1, "web");
    stage.seconds(20);
    assert_eq!(stage.learn(|snapshot| want(snapshot, "web", "")), [""; 0]);
    let refused = stage.reconciler.refused()[&unit("web")].to_string();
    assert_eq!(refused, "muster did not write the unit file of this name in /run/fleet/units there (1 machine)");
}

#[test]
fn a_host_whose_foreign_files_change_all_the_time_fills_no_log() {
    let mut stage = Stage::new(1, |_| ());
    stage.seconds(11);
    stage.log.clear();
    for number in 0..100 {
        stage.hosts.get_mut(&id(1)).unwrap().units.clear();
        plant(&mut stage, 1, &format!("x{number}"));
        stage.wait(SECOND);
    }
    assert_eq!(stage.log.len(), 16, "{:?}", stage.log);
}

/// Puts a unit that runs on a host, as another program does.
fn plant(stage: &mut Stage, machine: u32, name: &str) {
    let file = UnitFile::parse("[Service]\nExecStart=/bin/true\n\n").unwrap();
    let (load, active, sub) = (LoadState::Loaded, ActiveState::Active, SubState::RUNNING);
    let state =
        UnitState { load, active, sub, job: None, hash: file.hash(), launched: false, restarts: 0, restarted: false };
    let uptime = stage.now.since(Timestamp::ZERO);
    let host = stage.hosts.get_mut(&id(machine)).unwrap();
    host.put(unit(name), state, Some(&file), uptime);
    host.units.get_mut(&unit(name)).unwrap().foreign = true;
}

#[test]
fn units_that_the_cluster_does_not_know_are_counted_and_unloaded_in_portions() {
    let mut stage = Stage::new(2, |snapshot| want(snapshot, "web", ""));
    stage.seconds(11);
    for number in 0..600 {
        claim(&mut stage, 2, &format!("x{number}"));
    }
    stage.log.clear();
    stage.writes = 0;
    stage.seconds(60);
    assert_eq!(stage.reconciler.snapshot().states.len(), 1);
    let unloaded = |kind: &EventKind| match kind {
        EventKind::UnknownUnitsUnloaded(unloaded) => Some((unloaded.count, unloaded.done)),
        _ => None,
    };
    let portions: Vec<_> = stage.log.iter().filter_map(unloaded).collect();
    assert!(portions.starts_with(&[(256, 0)]) && portions.len() <= 16, "{portions:?}");
    assert!(stage.writes <= 20, "{} writes", stage.writes);
    assert_eq!(stage.health(2), Some(Health::Alive));
}

#[test]
fn a_host_that_names_ever_new_units_is_sick_and_costs_the_store_nothing() {
    let mut stage = Stage::new(2, |snapshot| want(snapshot, "web", ""));
    stage.seconds(11);
    stage.log.clear();
    stage.writes = 0;
    for round in 0..60 {
        stage.claims.clear();
        (0..1000).for_each(|number| claim(&mut stage, 2, &format!("x{round}-{number}")));
        stage.reconciler.views.touch(id(2)).unwrap().next_full_observation = Timestamp::ZERO;
        stage.wait(SECOND);
    }
    assert_eq!(stage.health(2), Some(Health::Sick));
    assert!(stage.writes <= 30, "{} writes", stage.writes);
    let failure = stage.reconciler.view(id(2)).unwrap().evidence.latest_failure().unwrap();
    assert!(
        failure.detail.starts_with("it names ever new units that the cluster does not know: "),
        "{}",
        failure.detail
    );
    assert_eq!(stage.health(1), Some(Health::Alive));
}

#[test]
fn steps_that_are_lost_again_and_again_are_sent_after_growing_delays() {
    let mut stage = Stage::new(1, |_| ());
    stage.loses_steps = true;
    stage.learn(|snapshot| want(snapshot, "web", ""));
    let mut sent = Vec::new();
    for second in 0..120 {
        if !stage.wait(SECOND).is_empty() {
            sent.push(second);
        }
    }
    let pauses: Vec<i32> = sent.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses.is_sorted() && (4..10).contains(&sent.len()), "{sent:?}");
    stage.loses_steps = false;
    stage.seconds(60);
    assert!(stage.is_at_rest());
    assert!(stage.hosts[&id(1)].units.contains_key(&unit("web")));
}

#[test]
fn a_machine_that_answers_every_other_visit_does_not_fill_the_event_log() {
    let mut stage = Stage::new(3, |_| ());
    stage.log.clear();
    for second in 0..600 {
        if second % 2 == 0 {
            stage.silent.insert(id(1));
        } else {
            stage.silent.remove(&id(1));
        }
        stage.wait(SECOND);
    }
    let changes = stage.log.iter().filter(|kind| matches!(kind, EventKind::HealthChanged { .. })).count();
    assert!((20..=40).contains(&changes), "{changes}");
    stage.silent.insert(id(1));
    stage.seconds(20);
    assert_eq!(stage.health(1), Some(Health::Down), "it is suspected all the same");
}

#[test]
fn states_that_one_observation_had_too_many_of_are_recorded_after_the_next_one() {
    let mut stage = Stage::new(1, |snapshot| (0..1100).for_each(|number| want(snapshot, &format!("x{number}"), "")));
    stage.seconds(20);
    assert_eq!(stage.reconciler.snapshot().states.len(), 1100);
}
