use super::*;
use crate::core::model::NOT_SENT;

const FULL: &str = "cannot write to /run/muster: is /run full?";

#[test]
fn a_unit_whose_load_fails_is_placed_elsewhere_and_a_full_machine_takes_nothing_new() {
    let mut stage = Stage::new(2, |_| {});
    stage.unloadable.insert(id(1), FULL.to_owned());
    let done = stage.learn(|snapshot| want(snapshot, "a", ""));
    assert_eq!(done, ["load a on m1", "start a on m1", "load a on m2", "start a on m2"]);
    let placement = stage.placement("a");
    let filter_reason = FilterReason::LoadFailed(FULL.to_owned());
    assert_eq!(placement.reason.moved, Some(RemovalReason::Misfit { machine: id(1), filter_reason }));
    assert_eq!(placement.failed_loads.len(), 1);
    assert_eq!((placement.failed_loads[0].machine, placement.failed_loads[0].said.as_str()), (id(1), FULL));
    // The emptier machine is full.
    assert_eq!(stage.learn(|snapshot| want(snapshot, "b", "")), ["load b on m2", "start b on m2"]);
    stage.seconds(60);
    assert_eq!(stage.placement("a").failed_loads.len(), 1);
    stage.unloadable.clear();
    stage.seconds(20);
    assert_eq!(stage.placement("a").failed_loads, [], "the machine has reported that it has room");
    assert_eq!(stage.learn(|snapshot| want(snapshot, "c", "")), ["load c on m1", "start c on m1"]);
    assert!(stage.is_at_rest());
}

#[test]
fn a_unit_for_which_the_leader_lacks_something_stays_on_its_machine() {
    let mut stage = Stage::new(3, |_| {});
    let lacks = format!("{NOT_SENT}secret db cannot be read: no key");
    stage.unloadable.extend((1..=3).map(|machine| (id(machine), lacks.clone())));
    stage.learn(|snapshot| want(snapshot, "a", ""));
    assert!(stage.seconds(60).iter().all(|step| step.ends_with(" on m1")));
    stage.unloadable.clear();
    // An operator who asks for the start need not wait until the next attempt is due.
    let asked = |snapshot: &mut Snapshot| {
        let record = snapshot.units.get_mut(&unit("a")).unwrap();
        (record.restarts, record.revive) = (1, true);
    };
    assert_eq!(stage.learn(asked), ["load a on m1", "start a on m1"]);
    assert!(stage.is_at_rest());
}

#[test]
fn a_file_that_no_host_loads_is_tried_on_three_machines_and_then_stays() {
    let mut stage = Stage::new(5, |_| {});
    stage.unloadable.extend((1..=5).map(|machine| (id(machine), "the host has a unit of this name".to_owned())));
    let done = stage.learn(|snapshot| want(snapshot, "a", ""));
    let loads = |done: &[String]| done.iter().filter(|step| step.starts_with("load")).cloned().collect::<Vec<_>>();
    assert_eq!(loads(&done), ["load a on m1", "load a on m2", "load a on m3"]);
    let again = stage.seconds(600);
    assert!(again.iter().all(|step| step.ends_with(" on m3")), "{again:?}");
    assert!(loads(&again).len() < 20, "{again:?}");
    // The next leader knows how many machines were tried.
    stage.next_leader(|_| {});
    assert!(stage.seconds(60).iter().all(|step| step.ends_with(" on m3")));
    // Another file is tried again.
    stage.unloadable.remove(&id(1));
    stage.learn(|snapshot| want(snapshot, "a", "Restart=no"));
    assert_eq!((stage.placement("a").machine, stage.placement("a").failed_loads.len()), (id(1), 1));
}

#[test]
fn a_unit_with_one_machine_stays_there_and_is_loaded_once_that_is_possible() {
    let mut stage = Stage::new(1, |_| {});
    stage.unloadable.insert(id(1), FULL.to_owned());
    stage.learn(|snapshot| want(snapshot, "a", ""));
    stage.seconds(20);
    assert_eq!(stage.placement("a").machine, id(1));
    stage.unloadable.clear();
    let done = stage.seconds(60);
    assert_eq!(done, ["load a on m1", "start a on m1"]);
    assert!(stage.is_at_rest());
}

#[test]
fn a_unit_that_waits_for_room_is_placed_when_the_machine_takes_units_again() {
    let mut stage = Stage::new(2, |snapshot| set(snapshot, 1, "disk", "ssd"));
    stage.unloadable.insert(id(1), FULL.to_owned());
    stage.learn(|snapshot| want(snapshot, "a", ""));
    assert_eq!(stage.placement("a").machine, id(2));
    stage.learn(|snapshot| want(snapshot, "picky", "[X-Fleet]\nMachineMetadata=disk=ssd"));
    assert!(stage.seconds(60).is_empty(), "m1 has no room");
    stage.unloadable.clear();
    assert_eq!(stage.seconds(20), ["load picky on m1", "start picky on m1"]);
}

#[test]
fn the_event_of_a_failed_load_is_not_followed_by_one_of_the_start_that_failed_with_it() {
    let mut stage = Stage::new(1, |_| {});
    stage.unloadable.insert(id(1), FULL.to_owned());
    assert_eq!(stage.learn(|snapshot| want(snapshot, "a", "")), ["load a on m1", "start a on m1"]);
    let ends = stage.log.iter().filter_map(|kind| if let EventKind::StepEnded(end) = kind { Some(end) } else { None });
    assert_eq!(ends.map(|end| end.action.to_string()).collect::<Vec<_>>(), ["load"]);
}

#[test]
fn a_unit_goes_on_with_its_file_where_it_is_if_the_new_one_is_refused() {
    let mut stage = Stage::new(3, |snapshot| want(snapshot, "a", ""));
    stage.seconds(11);
    let from = stage.placement("a").machine;
    let running = |stage: &Stage| {
        let unit = &stage.hosts[&from].units[&unit("a")];
        (unit.state.hash, unit.process, unit.state.runs())
    };
    let before = running(&stage);
    stage.next_leader(|snapshot| want(snapshot, "a", "Type=odd"));
    let odd = stage.reconciler.snapshot().units[&unit("a")].hash;
    stage.hosts.values_mut().for_each(|host| _ = host.refuses_files.insert(odd));
    stage.log.clear();
    let sent = stage.seconds(300);
    assert!(
        sent.iter().any(|step| step == "load a on m1") && sent.iter().all(|step| step.ends_with(" on m1")),
        "{sent:?}"
    );
    assert_eq!((running(&stage), stage.placement("a").machine), (before, from));
    let is_load = |kind: &EventKind| matches!(kind, EventKind::StepEnded(end) if matches!(end.action, Action::Load { .. }) && matches!(end.outcome, Outcome::Failed(_)));
    assert!(stage.log.iter().any(is_load));
    let others: Vec<_> =
        stage.log.iter().filter(|kind| matches!(kind, EventKind::StepEnded(_)) && !is_load(kind)).collect();
    assert!(others.is_empty(), "{others:?}");
    let backoff = stage.reconciler.backoffs().next().unwrap().1;
    assert!(matches!(backoff.step.action, Action::Load { .. }), "{backoff:?}");
    // Once systemd takes the file, the unit is replaced.
    stage.hosts.get_mut(&from).unwrap().refuses_files.clear();
    stage.seconds(61);
    let after = running(&stage);
    assert_eq!((after.0, after.2), (odd, true));
}
