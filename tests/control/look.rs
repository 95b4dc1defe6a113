//! Looks: a command that shows the cluster observes the machines first.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use muster::control::look;
use muster::control::look::Look;
use muster::core::model::Grant;
use muster::core::model::Health;
use muster::core::model::MachineId;
use muster::core::model::Placement;
use muster::core::model::RECENT;
use muster::core::unit::UnitName;
use muster::store::MemoryStore;
use muster::store::SharedStore;
use muster::store::layout;
use muster::store::layout::Key;
use muster::ui::lists;

use super::Folder;
use super::context;
use super::found;
use super::keys;
use super::lead_on;
use super::swept;
use crate::store::soon;
use crate::wire::visit::MACHINE;

#[tokio::test]
async fn a_look_finds_the_present_state_and_writes_nothing() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    found(&store, &["web.service"]).await;
    let folder = Arc::new(Folder::new());
    folder.put("web.service", "[Service]\nExecStart=/bin/sleep infinity\n");
    let context = context(&store, &folder);
    let before = layout::list(&*store, &keys()).await.unwrap();
    let looked = soon(look::look(&context)).await.unwrap();
    let machine: MachineId = MACHINE.parse().unwrap();
    let state = &looked.snapshot.states["web.service"][&machine];
    assert_eq!((state.to_string().as_str(), looked.missed.len()), ("active (running)", 0));
    assert_eq!(looked.snapshot.health[&machine].health, Health::Alive);
    assert!(looked.snapshot.is_current(machine, context.clock.now()));
    assert!(looked.snapshot.placements.is_empty() && folder.asked().is_empty() && folder.visits() == 1);
    assert_eq!(layout::list(&*store, &keys()).await.unwrap().entries, before.entries);
    assert!(folder.has_no_leader(), "the host has recorded no leader");
}

#[tokio::test]
async fn a_machine_that_does_not_answer_is_named_with_the_failure_of_its_visit() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    found(&store, &["web.service"]).await;
    let folder = Arc::new(Folder::of("00000000000000000000000000000001"));
    let context = context(&store, &folder);
    let looked = soon(look::look(&context)).await.unwrap();
    let machine: MachineId = MACHINE.parse().unwrap();
    let missed: BTreeMap<_, _> = looked.missed.into_iter().collect();
    assert_eq!(
        missed[&machine].as_ref().unwrap().detail,
        "machine 00000000000000000000000000000001 answers at its address"
    );
    assert!(!looked.snapshot.is_current(machine, context.clock.now()));
}

#[tokio::test]
async fn a_machine_that_was_observed_a_moment_ago_and_does_not_answer_is_not_observed_now() {
    for hangs in [false, true] {
        let store: SharedStore = Arc::new(MemoryStore::new());
        found(&store, &["web.service"]).await;
        let folder = Arc::new(Folder::new());
        swept(&context(&store, &folder)).await;
        let gone = Arc::new(Folder::of("00000000000000000000000000000001"));
        gone.hang(if hangs { |_| true } else { |_| false });
        let context = context(&store, &gone);
        let Look { snapshot, missed, .. } = soon(look::look(&context)).await.unwrap();
        let (machine, now): (MachineId, _) = (MACHINE.parse().unwrap(), context.clock.now());
        assert_eq!(missed.len(), 1, "{hangs}");
        assert!(now.since(snapshot.observed_at(machine).unwrap()) <= RECENT, "{hangs}");
        assert!(!snapshot.is_current(machine, now), "{hangs}");
        assert_eq!(snapshot.health[&machine].health, Health::Suspect, "{hangs}");
        let rows = lists::json(&lists::units(&snapshot, now));
        assert!(
            rows.contains("\"active\": null") && rows.contains("\"last\": {\n      \"active\": \"active\""),
            "{hangs}: {rows}"
        );
    }
}

#[tokio::test]
async fn a_look_finds_a_unit_that_runs_where_it_is_not_placed() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    found(&store, &["web.service"]).await;
    let folder = Arc::new(Folder::new());
    let context = context(&store, &folder);
    swept(&context).await;
    let (web, machine): (UnitName, MachineId) = ("web.service".parse().unwrap(), MACHINE.parse().unwrap());
    let snapshot = layout::read(&*store, &keys()).await.unwrap();
    let elsewhere = Placement { machine: MachineId::from_bits(1), ..snapshot.placements[&web].clone() };
    let state = Key::State(web.clone(), machine);
    let restored = vec![keys().put(&Key::Placement(web.clone()), &elsewhere), keys().delete(&state)];
    store.commit(Vec::new(), restored).await.unwrap();
    let looked = soon(look::look(&context)).await.unwrap();
    assert!(looked.snapshot.states[&web][&machine].runs());
    assert!(layout::read(&*store, &keys()).await.unwrap().states.is_empty(), "a leader decides nothing from it");
}

#[tokio::test]
async fn a_leader_that_counts_during_a_look_is_not_taken_for_a_restored_store() {
    for serial in [8, 9] {
        let store: SharedStore = Arc::new(MemoryStore::new());
        found(&store, &["web.service"]).await;
        let folder = Arc::new(Folder::gated());
        folder.remember_serial(9);
        let context = context(&store, &folder);
        let counts = async {
            folder.is_visited().await;
            store.commit(Vec::new(), vec![keys().put(&Key::Serial, &serial)]).await.unwrap();
            folder.open();
        };
        let (looked, ()) = tokio::join!(soon(look::look(&context)), counts);
        assert_eq!(looked.unwrap().restoration_witness.is_some(), serial == 8, "the store has serial {serial}");
    }
}

#[tokio::test]
async fn a_look_relies_on_a_controller_that_has_just_observed_the_machines() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    found(&store, &[]).await;
    let leader = context(&store, &Arc::new(Folder::new()));
    let stop = leader.stop.clone();
    let (_, leading) = lead_on(leader).await;
    let publishes = async {
        while layout::read(&*store, &keys()).await.unwrap().observed.is_none() {
            tokio::task::yield_now().await;
        }
    };
    soon(publishes).await;
    let folder = Arc::new(Folder::new());
    let looked = soon(look::look(&context(&store, &folder))).await.unwrap();
    assert!(looked.snapshot.is_current(MACHINE.parse().unwrap(), context(&store, &folder).clock.now()));
    assert_eq!(folder.visits(), 0, "the controller visits the machine");
    stop.cancel();
    soon(leading).await.unwrap();
    assert!(looked.has_controller && looked.controlled_until.is_none());
    let machine: MachineId = MACHINE.parse().unwrap();
    let (length, stop) = (Duration::from_secs(20), Duration::from_secs(10));
    let (slack, units, unknown, until) = (Duration::ZERO, BTreeSet::new(), false, None);
    let grant = Grant { epoch: 1, length, stop, slack, units, unknown, until, stopped_for_sure_at: None };
    store.commit(Vec::new(), vec![keys().put(&Key::Lease(machine), &grant)]).await.unwrap();
    let snapshot = soon(look::read(&context(&store, &folder))).await.unwrap();
    let renewed = snapshot.observed.as_ref().unwrap().at;
    assert_eq!(snapshot.leases[&machine].until, Some(renewed + length), "no process renews the lease");
    let looked = soon(look::look(&context(&store, &folder))).await.unwrap();
    assert_eq!(looked.snapshot.leases[&machine].until, Some(renewed + length));
    assert_eq!(folder.visits(), 1, "no controller leads");
    assert!(!looked.has_controller && looked.controlled_until.is_some());
    swept(&context(&store, &folder)).await;
    let looked = soon(look::look(&context(&store, &folder))).await.unwrap();
    assert!(looked.controlled_until.is_none(), "sweeps have taken the place of the controller");
}
