use super::*;

#[test]
fn no_machine_is_fenced_before_the_store_has_the_event() {
    let mut stage = Stage::new(3, |snapshot| want(snapshot, "web", "[X-Muster]\nClass=strict"));
    stage.reconciler.fence_commands = ["m1", "m2", "m3"].map(str::to_owned).into();
    let from = stage.placement("web").machine;
    stage.silent.insert(from);
    stage.unanswered = Some(EventKind::FenceBegun);
    stage.seconds(60);
    assert!(stage.log.contains(&EventKind::FenceBegun), "it is down, and its lease is not over");
    assert!(stage.fenced.is_empty(), "switched off unannounced");
    stage.run(Input::Committed(true));
    assert_eq!(stage.fenced, [from]);
}

#[test]
fn a_fence_command_that_succeeds_is_proof_and_one_that_fails_is_tried_again() {
    let mut stage = Stage::new(3, |snapshot| want(snapshot, "web", "[X-Muster]\nClass=strict"));
    stage.reconciler.fence_commands = ["m1", "m2", "m3"].map(str::to_owned).into();
    let from = stage.placement("web").machine;
    stage.wait(SECOND * 20);
    stage.silent.insert(from);
    stage.fence = Err("no such plug".to_owned());
    assert!(stage.seconds(10).is_empty());
    assert_eq!(stage.reconciler.view(from).unwrap().health, Some(Health::Down));
    stage.fence = Ok(());
    let done = stage.seconds(10);
    assert_eq!(done, ["load web on m2", "start web on m2"], "well before its lease has ended");
}

#[test]
fn a_record_of_the_store_names_no_fence_command() {
    let address = "ssh://192.0.2.1".parse().unwrap();
    let machine = Machine { id: id(1), name: "m1".to_owned(), address, ..Machine::default() };
    let mut record = serde_json::to_value(machine).unwrap();
    record["fence_command"] = "touch /pwned".into();
    let machine: Machine = serde_json::from_value(record).unwrap();
    assert!(!serde_json::to_string(&machine).unwrap().contains("pwned"));
    let mut stage = Stage::new(3, |snapshot| want(snapshot, "web", "[X-Muster]\nClass=strict"));
    stage.learn(|snapshot| drop(snapshot.machines.insert(id(1), Machine { systemd: 252, ..machine })));
    stage.silent.insert(stage.placement("web").machine);
    stage.seconds(20);
    assert!(stage.fenced.is_empty() && !stage.log.contains(&EventKind::FenceBegun));
}
