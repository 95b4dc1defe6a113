//! A machine that leaves, with two hosts that are folders.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use muster::control::membership;
use muster::control::progress;
use muster::core::model::Address;
use muster::core::model::Machine;
use muster::core::model::MachineId;
use muster::runner::ClusterContext;
use muster::store::MemoryStore;
use muster::store::Op;
use muster::store::SharedStore;
use muster::store::layout;
use muster::store::layout::Key;

use super::Fleet;
use super::Folder;
use super::context;
use super::found;
use super::keys;
use super::swept;
use crate::store::soon;
use crate::wire::visit::MACHINE;

/// A machine-id that sorts after the one of the first host.
const OTHER: &str = "4f2f3dd01bc642c29d396c0eaa4a7139";

#[tokio::test]
async fn a_machine_leaves_once_its_units_run_elsewhere() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    found(&store, &["web.service"]).await;
    let fleet = Arc::new(Fleet(BTreeMap::from([("core-01", Folder::new()), ("core-02", Folder::of(OTHER))])));
    let context = ClusterContext { remote: fleet.clone(), ..context(&store, &Arc::new(Folder::new())) };
    swept(&context).await;
    assert!(fleet.0["core-01"].file("web.service").is_some());

    let (first, other): (MachineId, MachineId) = (MACHINE.parse().unwrap(), OTHER.parse().unwrap());
    let address = Address { host: "192.0.2.2".to_owned(), ..Address::default() };
    let machine = Machine { id: other, name: "core-02".to_owned(), address, systemd: 252, ..Machine::default() };
    let member = |id| Op::put(keys().key(&Key::Member(id)), "name=ssh://host");
    let records = vec![keys().put(&Key::Machine(other), &machine), member(first), member(other)];
    store.commit(vec![], records).await.unwrap();

    let timeouts =
        progress::Timeouts { lock_wait: Duration::from_secs(5), wait: None, settle: Duration::ZERO, block: true };
    let left = soon(membership::leave(&context, "core-01", false, timeouts, &mut |_| ())).await;
    let Ok(membership::Left::Removed(machine, problems)) = left else { panic!("{left:?}") };
    assert_eq!((machine.id, problems.len()), (first, 0), "{problems:?}");
    let snapshot = layout::read(&*store, &keys()).await.unwrap();
    assert_eq!(snapshot.machines.keys().collect::<Vec<_>>(), [&other]);
    assert!(!snapshot.health.contains_key(&first));
    let members = store.list(&keys().members()).await.unwrap().entries;
    assert_eq!(members.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>(), [keys().key(&Key::Member(other))]);
    assert_eq!(snapshot.placements["web.service"].machine, other);
    assert!(snapshot.states["web.service"][&other].runs() && !snapshot.states["web.service"].contains_key(&first));
    assert_eq!(fleet.0["core-01"].file("web.service"), None);
    assert_eq!(fleet.0["core-02"].asked(), ["start web.service"]);
}

#[tokio::test]
async fn a_drain_says_which_units_it_stopped_at_its_deadline() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    found(&store, &["web.service"]).await;
    let folder = Arc::new(Folder::new());
    let context = context(&store, &folder);
    swept(&context).await;
    assert!(folder.file("web.service").is_some());
    let timeouts =
        progress::Timeouts { lock_wait: Duration::from_secs(5), wait: None, settle: Duration::ZERO, block: true };
    let deadline = Some(Duration::from_millis(100));
    let drained = soon(membership::drain(&context, "core-01", deadline, timeouts, &mut |_| ())).await.unwrap();
    assert!(drained.is_empty && folder.file("web.service").is_none(), "{drained:?}");
    let problems: Vec<String> = drained.problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems, ["Unit web.service: stopped at the deadline: no machine fits: cordoned (1 machine)"]);
}

#[tokio::test]
async fn a_forced_leave_of_a_machine_that_answers_leaves_no_unit_there() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    found(&store, &["web.service"]).await;
    let folder = Arc::new(Folder::new());
    let context = context(&store, &folder);
    swept(&context).await;
    assert!(folder.file("web.service").is_some());
    let timeouts =
        progress::Timeouts { lock_wait: Duration::from_secs(5), wait: None, settle: Duration::ZERO, block: true };
    let kept = soon(membership::leave(&context, "core-01", false, timeouts, &mut |_| ())).await;
    assert!(matches!(kept, Ok(membership::Left::Kept(..))) && folder.file("web.service").is_some(), "{kept:?}");
    let left = soon(membership::leave(&context, "core-01", true, timeouts, &mut |_| ())).await;
    let Ok(membership::Left::Removed(_, problems)) = left else { panic!("{left:?}") };
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems, ["Unit web.service: stopped: no machine fits: cordoned (1 machine)"]);
    assert!(folder.file("web.service").is_none());
}

#[tokio::test]
async fn a_forced_leave_of_a_machine_that_does_not_answer_asks_it_no_more_than_needed() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    found(&store, &["web.service"]).await;
    swept(&context(&store, &Arc::new(Folder::new()))).await;

    // Another host has the address of the machine now.
    let folder = Arc::new(Folder::of(OTHER));
    let context = context(&store, &folder);
    let timeouts = progress::Timeouts { lock_wait: Duration::ZERO, wait: None, settle: Duration::ZERO, block: true };
    let left = soon(membership::leave(&context, "core-01", true, timeouts, &mut |_| ())).await;
    let Ok(membership::Left::Removed(_, problems)) = left else { panic!("{left:?}") };
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert_eq!(problems[0], format!("core-01 is down: run: machine {OTHER} answers at its address"));
    assert!(problems[1].starts_with("Unit web.service: no machine fits: "), "{problems:?}");
    let unreleased =
        "core-01 does not answer and could not be told that it has left: until its next boot it refuses other clusters";
    assert_eq!(problems[2], unreleased);
    assert_eq!(folder.visits(), 2);
    assert!(layout::read(&*store, &keys()).await.unwrap().machines.is_empty());
}
