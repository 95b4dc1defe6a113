use super::*;
use crate::core::model::About;
use crate::core::model::Action;
use crate::core::model::ChoiceReason;
use crate::core::model::DesiredState;
use crate::core::model::Event;
use crate::core::model::EventKind;
use crate::core::model::Failure;
use crate::core::model::FailureKind;
use crate::core::model::FilterReason;
use crate::core::model::Health;
use crate::core::model::HealthRecord;
use crate::core::model::MachineId;
use crate::core::model::Outcome;
use crate::core::model::Phase;
use crate::core::model::Placement;
use crate::core::model::PlacementError;
use crate::core::model::PlacementReason;
use crate::core::model::Reason;
use crate::core::model::RemovalReason;
use crate::core::model::Snapshot;
use crate::core::model::StepEnd;
use crate::core::model::Timestamp;
use crate::core::model::Unit;
use crate::core::unit::UnitFile;
use crate::core::unit::UnitName;
use crate::store::Changed;
use crate::store::Entry;
use crate::store::Listing;
use crate::store::MemoryStore;
use crate::store::Store;

fn chosen() -> PlacementReason {
    PlacementReason { choice: ChoiceReason::LeastLoaded { units: 0, next: None }, moved: None }
}

fn keys() -> Keys {
    Keys::new("default").unwrap()
}

fn name(text: &str) -> UnitName {
    text.parse().unwrap()
}

fn machine(bits: u128) -> MachineId {
    MachineId::from_bits(bits)
}

fn entry(key: &str, value: &[u8], revision: i64) -> Entry {
    Entry { key: key.to_owned(), value: value.to_vec(), created: revision, modified: revision }
}

fn file() -> UnitFile {
    UnitFile::parse("[Service]\nExecStart=/bin/sleep 1d\n").unwrap()
}

fn unit() -> Unit {
    Unit { hash: file().hash(), desired: DesiredState::Launched, restarts: 0 }
}

fn placement(on: MachineId) -> Placement {
    Placement { machine: on, epoch: 7, reason: chosen(), since: Timestamp::from_millis(5) }
}

async fn with(changes: Vec<Change>) -> MemoryStore {
    let store = MemoryStore::new();
    store.commit(vec![], changes).await.unwrap().unwrap();
    store
}

#[test]
fn a_token_is_checked() {
    for good in ["default", "a", "A-1_b.c", &"f".repeat(64)] {
        assert_eq!(Keys::new(good).unwrap().token(), good);
    }
    for bad in ["", ".", ".hidden", "a/b", "a b", "ü", "a\n", &"f".repeat(65)] {
        assert!(Keys::new(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn every_place_has_one_key_and_is_read_back_from_it() {
    let hash = file().hash();
    let slots = [
        (Slot::Size, "/_etcd/registry/default/_config/size".to_owned()),
        (Slot::Member(machine(1)), "/_etcd/registry/default/members/00000000000000000000000000000001".to_owned()),
        (Slot::Machine(machine(1)), "/muster/default/machines/00000000000000000000000000000001".to_owned()),
        (Slot::Health(machine(1)), "/muster/default/health/00000000000000000000000000000001".to_owned()),
        (Slot::File(hash), format!("/muster/default/files/{hash}")),
        (Slot::Unit(name("web@1.service")), "/muster/default/units/web@1.service".to_owned()),
        (Slot::Placement(name("web.service")), "/muster/default/placements/web.service".to_owned()),
        (
            Slot::State(name("web.service"), machine(1)),
            "/muster/default/states/web.service/00000000000000000000000000000001".to_owned(),
        ),
        (Slot::Leader, "/muster/default/leader".to_owned()),
        (Slot::Epoch, "/muster/default/epoch".to_owned()),
        (
            Slot::Event("000000000000005-00000-abc".to_owned()),
            "/muster/.events/default/000000000000005-00000-abc".to_owned(),
        ),
    ];
    for (slot, key) in slots {
        assert_eq!(keys().key(&slot), key);
        assert_eq!(keys().slot(&key), Ok(Some(slot)));
    }
}

#[test]
fn keys_of_others_are_left_alone() {
    for key in [
        "/muster/other/units/a.service",
        "/muster/.events/other/000000000000005-00000-abc",
        "/muster/default/rollouts/a",
        "/",
        "",
        "/muster/default",
        "/muster/default/units",
    ] {
        assert_eq!(keys().slot(key), Ok(None), "{key}");
    }
    assert_eq!(keys().slot("/_etcd/registry/default/members/287eb8a692cf5fee"), Ok(None));
    assert!(keys().slot("/muster/default/machines/ABCDEF00000000000000000000000001").is_err());
    assert!(keys().slot("/muster/default/states/web.service").is_err());
}

#[test]
fn no_record_of_a_leaders_is_too_large_for_a_commit() {
    let long = "x".repeat(2 * crate::store::COMMIT_BYTES);
    let at = Timestamp::from_millis(5);
    let event = |kind| Write::Log(Event::new(at, None, None, kind));
    let misfit = |text: &str| {
        let wanted = (0..100).map(|number| format!("{number}{text}")).collect();
        let obstacle = FilterReason::Metadata { key: text.to_owned(), wanted };
        PlacementReason { moved: Some(RemovalReason::Misfit { machine: machine(1), obstacle }), ..chosen() }
    };
    let ended = |outcome| StepEnd { action: Action::Stop, reason: Reason::WantedLoaded, outcome, overlap: None };
    let (host, phase, kind) = (String::new(), Phase::Run, FailureKind::Sick);
    let failure = Failure { host, phase, kind, detail: long.clone(), hint: None };
    let health =
        HealthRecord { health: Health::Sick, since: at, last_seen: at, why: long.clone(), outages: Vec::new() };
    let writes = [
        Write::Place(name("web.service"), Placement { reason: misfit(&long), ..placement(machine(1)) }),
        Write::Health(machine(1), health),
        event(EventKind::FenceFailed { why: long.clone() }),
        event(EventKind::UnitPlaced(misfit(&long))),
        event(EventKind::UnitUnschedulable(PlacementError::Unread(Some(long.clone())))),
        event(EventKind::StepEnded(ended(Outcome::Failed(long.clone())))),
        event(EventKind::StepEnded(ended(Outcome::Lost(failure)))),
        event(EventKind::LeadershipTaken { from: "a".to_owned(), why: long }),
    ];
    for change in keys().changes(&writes) {
        assert!(change.size() < 2 * WORDS, "{}: {}", change.key(), change.size());
    }
}

#[tokio::test]
async fn what_is_written_is_what_is_read() {
    let keys = keys();
    let mut changes = submit(&keys, &name("web.service"), &unit(), &file());
    changes.extend(keys.changes(&[Write::Place(name("web.service"), placement(machine(1)))]));
    changes.push(Change::put(keys.key(&Slot::Size), "3"));
    let snapshot = read(&with(changes).await, &keys).await.unwrap();
    assert_eq!(snapshot.size, 3);
    assert_eq!(snapshot.units.get(&name("web.service")), Some(&unit()));
    assert_eq!(snapshot.placements.get(&name("web.service")), Some(&placement(machine(1))));
    assert_eq!(snapshot.file(&name("web.service")).map(|file| file.hash()), Some(file().hash()));
    assert!(snapshot.unreadable.is_empty());
}

#[test]
fn changes_applied_one_by_one_come_to_the_same_as_reading_it_all() {
    let keys = keys();
    let web = keys.key(&Slot::Unit(name("web.service")));
    let placed = keys.key(&Slot::Placement(name("web.service")));
    let first = entry(&web, &encode(&unit()), 1);
    let second = entry(&placed, &encode(&placement(machine(2))), 2);
    let mut stepwise = Snapshot::default();
    apply(&mut stepwise, &keys, &[Changed::Set(first.clone()), Changed::Set(second.clone())]);
    assert_eq!(stepwise, snapshot(&keys, &Listing { revision: 2, entries: vec![first.clone(), second] }));
    apply(&mut stepwise, &keys, &[Changed::Gone { key: placed, revision: 3 }]);
    assert_eq!(stepwise, snapshot(&keys, &Listing { revision: 3, entries: vec![first] }));
}

#[test]
fn a_record_that_cannot_be_read_is_named_and_holds_its_unit() {
    let keys = keys();
    let web = name("web.service");
    let key = keys.key(&Slot::Unit(web.clone()));
    let mut snapshot = snapshot(&keys, &Listing { revision: 1, entries: vec![entry(&key, &encode(&unit()), 1)] });
    assert!(snapshot.is_readable(&web));
    apply(&mut snapshot, &keys, &[Changed::Set(entry(&key, b"{\"hash\":\"of the future\"}", 2))]);
    assert!(!snapshot.units.contains_key(&web));
    assert_eq!(snapshot.unreadable[&key].about, About::Unit(web.clone()));
    assert!(!snapshot.is_readable(&web) && snapshot.is_readable(&name("other.service")));
    apply(&mut snapshot, &keys, &[Changed::Set(entry(&key, &encode(&unit()), 3))]);
    assert!(snapshot.is_readable(&web) && snapshot.unreadable.is_empty());
}

#[test]
fn a_machine_or_file_that_cannot_be_read_holds_the_units_that_need_it() {
    let keys = keys();
    let web = name("web.service");
    let mut whole = Listing {
        revision: 1,
        entries: vec![
            entry(&keys.key(&Slot::Unit(web.clone())), &encode(&unit()), 1),
            entry(&keys.key(&Slot::Placement(web.clone())), &encode(&placement(machine(2))), 1),
        ],
    };
    whole.entries.push(entry(&keys.key(&Slot::Machine(machine(3))), b"?", 1));
    assert!(snapshot(&keys, &whole).is_readable(&web), "not the machine it is on");
    whole.entries.push(entry(&keys.key(&Slot::Machine(machine(2))), b"?", 1));
    assert!(!snapshot(&keys, &whole).is_readable(&web));
    whole.entries.truncate(2);
    whole.entries.push(entry(&keys.key(&Slot::File(file().hash())), b"[Service]\nExecStart=/bin/false\n", 1));
    assert!(!snapshot(&keys, &whole).is_readable(&web), "a text that does not have its hash");
}

#[test]
fn a_size_that_cannot_be_read_is_never_reached() {
    let listing = Listing { revision: 1, entries: vec![entry(&keys().key(&Slot::Size), b"three", 1)] };
    assert_eq!(snapshot(&keys(), &listing).size, u32::MAX);
}

#[test]
fn of_two_writes_to_one_key_the_later_counts() {
    let web = name("web.service");
    let changes = keys().changes(&[Write::Place(web.clone(), placement(machine(1))), Write::Unplace(web.clone())]);
    assert_eq!(changes, [keys().delete(&Slot::Placement(web))]);
}

#[tokio::test]
async fn events_are_kept_in_order_and_only_so_many() {
    let event = |at, why: &str| {
        let kind = EventKind::FenceFailed { why: why.to_owned() };
        Write::Log(Event::new(Timestamp::from_millis(at), None, None, kind))
    };
    let writes = [event(20, "second"), event(20, "third"), event(9, "first")];
    let keys = keys();
    let store = with(keys.changes(&writes)).await;
    let said = |events: Vec<Event>| {
        let why = |event: Event| match event.kind {
            EventKind::FenceFailed { why } => why,
            kind => panic!("{kind:?}"),
        };
        events.into_iter().map(why).collect::<Vec<_>>()
    };
    assert_eq!(said(read_events(&store, &keys).await.unwrap()), ["first", "second", "third"]);
    store.commit(vec![], keys.changes(&writes)).await.unwrap();
    let listing = store.list(&keys.events()).await.unwrap();
    assert_eq!(listing.entries.len(), 3, "the same events, tried again, are not logged twice");
    store.commit(vec![], surplus_events(&keys, &listing, 1)).await.unwrap();
    assert_eq!(said(read_events(&store, &keys).await.unwrap()), ["third"]);
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_reported_with_its_time_and_stops_no_other() {
    let keys = keys();
    let event = Event::new(Timestamp::from_millis(7), Some(machine(1)), None, EventKind::FenceBegun);
    let mut changes = keys.changes(&[Write::Log(event.clone())]);
    for (millis, record) in [(5, r#"{"at":5,"kind":"of_the_future"}"#), (6, "?")] {
        changes.push(Change::put(format!("{}{millis:015}-00000-abc", keys.events()), record));
    }
    let events = read_events(&with(changes).await, &keys).await.unwrap();
    let [future, noise, read] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(read, &event);
    for (millis, unreadable) in [(5, future), (6, noise)] {
        assert_eq!(unreadable.at, Timestamp::from_millis(millis));
        assert!(matches!(&unreadable.kind, EventKind::Unreadable { why } if !why.is_empty()), "{unreadable:?}");
    }
}

#[tokio::test]
async fn a_file_is_collected_once_nothing_names_it_and_never_under_a_submit() {
    let keys = keys();
    let store = with(submit(&keys, &name("web.service"), &unit(), &file())).await;
    assert!(orphans(&keys, &store.list("/").await.unwrap()).is_empty());
    store.commit(vec![], vec![keys.delete(&Slot::Unit(name("web.service")))]).await.unwrap();
    let unnamed = orphans(&keys, &store.list("/").await.unwrap());
    let [(check, change)] = unnamed.as_slice() else { panic!("{unnamed:?}") };
    store.commit(vec![], submit(&keys, &name("again.service"), &unit(), &file())).await.unwrap();
    assert_eq!(store.commit(vec![check.clone()], vec![change.clone()]).await.unwrap(), None);
    store.commit(vec![], vec![keys.delete(&Slot::Unit(name("again.service")))]).await.unwrap();
    for (check, change) in orphans(&keys, &store.list("/").await.unwrap()) {
        store.commit(vec![check], vec![change]).await.unwrap().unwrap();
    }
    assert_eq!(store.list("/").await.unwrap().entries, []);
    let strange = Change::put(keys.key(&Slot::Unit(name("odd.service"))), "{}");
    let text = Change::put(keys.key(&Slot::File(file().hash())), file().text());
    store.commit(vec![], vec![strange, text]).await.unwrap();
    assert!(orphans(&keys, &store.list("/").await.unwrap()).is_empty(), "the odd unit may name it");
}
