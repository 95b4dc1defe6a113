use super::*;
use crate::core::model::About;
use crate::core::model::Action;
use crate::core::model::ChoiceReason;
use crate::core::model::DesiredState;
use crate::core::model::Event;
use crate::core::model::EventKind;
use crate::core::model::FailedAttempt;
use crate::core::model::Failure;
use crate::core::model::FailureKind;
use crate::core::model::FilterReason;
use crate::core::model::Health;
use crate::core::model::HealthEvidence;
use crate::core::model::HealthRecord;
use crate::core::model::MachineId;
use crate::core::model::Outcome;
use crate::core::model::Phase;
use crate::core::model::Placement;
use crate::core::model::PlacementError;
use crate::core::model::PlacementReason;
use crate::core::model::Reason;
use crate::core::model::RemovalReason;
use crate::core::model::SecretRecord;
use crate::core::model::SecretVersion;
use crate::core::model::Snapshot;
use crate::core::model::StepEnd;
use crate::core::model::Timestamp;
use crate::core::model::Unit;
use crate::core::secret_name::SecretName;
use crate::core::unit::UnitFile;
use crate::core::unit::UnitName;
use crate::store::Entry;
use crate::store::Listing;
use crate::store::MemoryStore;
use crate::store::Store;
use crate::store::WatchEvent;

fn chosen() -> PlacementReason {
    PlacementReason { choice: ChoiceReason::LeastLoaded { units: 0, next: None }, moved: None }
}

fn keyspace() -> Keyspace {
    Keyspace::new("default").unwrap()
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
    Unit::new(file().hash(), DesiredState::Launched)
}

fn placement(on: MachineId) -> Placement {
    Placement {
        machine: on,
        epoch: 7,
        reason: chosen(),
        since: Timestamp::from_millis(5),
        failed_loads: Vec::new(),
        pull: None,
    }
}

async fn store_with(ops: Vec<Op>) -> MemoryStore {
    let store = MemoryStore::new();
    store.commit(vec![], ops).await.unwrap().unwrap();
    store
}

#[test]
fn a_token_is_checked() {
    for good in ["default", "a", "A-1_b.c", &"f".repeat(64)] {
        assert_eq!(Keyspace::new(good).unwrap().token(), good);
    }
    for bad in ["", ".", ".hidden", "a/b", "a b", "ü", "a\n", &"f".repeat(65)] {
        assert!(Keyspace::new(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn every_key_has_one_text_and_is_parsed_from_it() {
    let hash = file().hash();
    let cases = [
        (Key::Size, "/_etcd/registry/default/_config/size".to_owned()),
        (Key::Member(machine(1)), "/_etcd/registry/default/members/00000000000000000000000000000001".to_owned()),
        (Key::Machine(machine(1)), "/muster/default/machines/00000000000000000000000000000001".to_owned()),
        (Key::Health(machine(1)), "/muster/default/health/00000000000000000000000000000001".to_owned()),
        (
            Key::FailoverOverride(machine(1)),
            "/muster/default/failover-overrides/00000000000000000000000000000001".to_owned(),
        ),
        (Key::Foreign(machine(1)), "/muster/default/foreign/00000000000000000000000000000001".to_owned()),
        (Key::Lease(machine(1)), "/muster/default/leases/00000000000000000000000000000001".to_owned()),
        (Key::Serial, "/muster/default/serial".to_owned()),
        (Key::Restored, "/muster/default/restored".to_owned()),
        (Key::Voters, "/muster/default/voters".to_owned()),
        (Key::Observed, "/muster/default/observed".to_owned()),
        (Key::Cluster, "/muster/default/identity".to_owned()),
        (Key::File(hash), format!("/muster/default/files/{hash}")),
        (Key::Unit(name("web@1.service")), "/muster/default/units/web@1.service".to_owned()),
        (Key::Placement(name("web.service")), "/muster/default/placements/web.service".to_owned()),
        (
            Key::State(name("web.service"), machine(1)),
            "/muster/default/states/web.service/00000000000000000000000000000001".to_owned(),
        ),
        (Key::Secret("db.key".parse().unwrap()), "/muster/default/secrets/db.key".to_owned()),
        (Key::SecretValue("db.key".parse().unwrap()), "/muster/.secrets/default/db.key".to_owned()),
        (Key::SecretRecipients, "/muster/default/secret-recipients".to_owned()),
        (Key::Leader, "/muster/default/leader".to_owned()),
        (Key::Epoch, "/muster/default/epoch".to_owned()),
        (
            Key::Event("000000000000005-00000-abc".to_owned()),
            "/muster/.events/default/000000000000005-00000-abc".to_owned(),
        ),
    ];
    for (key, text) in cases {
        assert_eq!(keyspace().key(&key), text);
        assert_eq!(keyspace().parse(&text), Ok(Some(key)));
    }
}

#[test]
fn keys_of_other_clusters_and_kinds_are_ignored() {
    for key in [
        "/muster/other/units/a.service",
        "/muster/.events/other/000000000000005-00000-abc",
        "/muster/default/rollouts/a",
        "/",
        "",
        "/muster/default",
        "/muster/default/units",
    ] {
        assert_eq!(keyspace().parse(key), Ok(None), "{key}");
    }
    assert_eq!(keyspace().parse("/_etcd/registry/default/members/287eb8a692cf5fee"), Ok(None));
    assert!(keyspace().parse("/muster/default/machines/ABCDEF00000000000000000000000001").is_err());
    assert!(keyspace().parse("/muster/default/states/web.service").is_err());
}

#[test]
fn no_record_of_a_leader_is_too_large_for_a_commit() {
    let long = "x".repeat(2 * crate::store::COMMIT_BYTES);
    let at = Timestamp::from_millis(5);
    let event = |kind| Write::Log(Event::new(at, None, None, kind));
    let misfit = |text: &str| {
        let wanted = (0..100).map(|number| format!("{number}{text}")).collect();
        let filter_reason = FilterReason::Metadata { key: text.to_owned(), wanted };
        PlacementReason { moved: Some(RemovalReason::Misfit { machine: machine(1), filter_reason }), ..chosen() }
    };
    let ended = |outcome| StepEnd { action: Action::Stop, reason: Reason::WantedLoaded, outcome, overlap: None };
    let (host, phase, kind) = (String::new(), Phase::Run, FailureKind::Sick);
    let failure = Failure { host, phase, kind, detail: long.clone(), hint: None };
    let attempt = FailedAttempt { phase, detail: long.clone(), hint: None };
    let reason = HealthEvidence::VisitFailed(attempt).into();
    let health = HealthRecord { health: Health::Sick, since: at, last_seen: Some(at), reason, outages: Vec::new() };
    let writes = [
        Write::Place(name("web.service"), Placement { reason: misfit(&long), ..placement(machine(1)) }),
        Write::Health(machine(1), health),
        event(EventKind::FenceFailed { why: long.clone() }),
        event(EventKind::UnitPlaced(misfit(&long))),
        event(EventKind::UnitUnschedulable(PlacementError::InvalidRequirements(Some(long.clone())))),
        event(EventKind::StepEnded(ended(Outcome::Failed(long.clone())))),
        event(EventKind::StepEnded(ended(Outcome::Lost(failure)))),
        event(EventKind::LeadershipTaken { from: "a".to_owned(), why: long }),
    ];
    for op in keyspace().ops(&writes) {
        assert!(op.size() < 2 * TEXT_LIMIT, "{}: {}", op.key(), op.size());
    }
}

#[tokio::test]
async fn written_records_are_read_back() {
    let keyspace = keyspace();
    let mut ops = submit(&keyspace, &name("web.service"), &unit(), &file());
    ops.extend(keyspace.ops(&[Write::Place(name("web.service"), placement(machine(1)))]));
    ops.push(Op::put(keyspace.key(&Key::Size), "3"));
    let snapshot = read(&store_with(ops).await, &keyspace).await.unwrap();
    assert_eq!(snapshot.size, 3);
    assert_eq!(snapshot.units.get(&name("web.service")), Some(&unit()));
    assert_eq!(snapshot.placements.get(&name("web.service")), Some(&placement(machine(1))));
    assert_eq!(snapshot.file(&name("web.service")).map(|file| file.hash()), Some(file().hash()));
    assert!(snapshot.unreadable.is_empty());
}

#[test]
fn applying_changes_one_by_one_equals_reading_everything() {
    let keyspace = keyspace();
    let web = keyspace.key(&Key::Unit(name("web.service")));
    let placed = keyspace.key(&Key::Placement(name("web.service")));
    let first = entry(&web, &encode(&unit()), 1);
    let second = entry(&placed, &encode(&placement(machine(2))), 2);
    let mut stepwise = Snapshot::default();
    apply(&mut stepwise, &keyspace, &[WatchEvent::Put(first.clone()), WatchEvent::Put(second.clone())]);
    assert_eq!(stepwise, snapshot(&keyspace, &Listing { revision: 2, entries: vec![first.clone(), second] }));
    apply(&mut stepwise, &keyspace, &[WatchEvent::Delete { key: placed, revision: 3 }]);
    assert_eq!(stepwise, snapshot(&keyspace, &Listing { revision: 3, entries: vec![first] }));
}

#[test]
fn an_unreadable_record_is_named_and_blocks_its_unit() {
    let keyspace = keyspace();
    let web = name("web.service");
    let key = keyspace.key(&Key::Unit(web.clone()));
    let mut snapshot = snapshot(&keyspace, &Listing { revision: 1, entries: vec![entry(&key, &encode(&unit()), 1)] });
    assert!(snapshot.is_readable(&web));
    apply(&mut snapshot, &keyspace, &[WatchEvent::Put(entry(&key, b"{\"hash\":\"of the future\"}", 2))]);
    assert!(!snapshot.units.contains_key(&web));
    assert_eq!(snapshot.unreadable[&key].about, About::Unit(web.clone()));
    assert!(!snapshot.is_readable(&web) && snapshot.is_readable(&name("other.service")));
    apply(&mut snapshot, &keyspace, &[WatchEvent::Put(entry(&key, &encode(&unit()), 3))]);
    assert!(snapshot.is_readable(&web) && snapshot.unreadable.is_empty());
}

#[test]
fn an_unreadable_machine_or_file_blocks_the_units_that_need_it() {
    let keyspace = keyspace();
    let web = name("web.service");
    let mut whole = Listing {
        revision: 1,
        entries: vec![
            entry(&keyspace.key(&Key::Unit(web.clone())), &encode(&unit()), 1),
            entry(&keyspace.key(&Key::Placement(web.clone())), &encode(&placement(machine(2))), 1),
        ],
    };
    whole.entries.push(entry(&keyspace.key(&Key::Machine(machine(3))), b"?", 1));
    assert!(snapshot(&keyspace, &whole).is_readable(&web), "the unit is not on that machine");
    whole.entries.push(entry(&keyspace.key(&Key::Machine(machine(2))), b"?", 1));
    assert!(!snapshot(&keyspace, &whole).is_readable(&web));
    whole.entries.truncate(2);
    whole.entries.push(entry(&keyspace.key(&Key::File(file().hash())), b"[Service]\nExecStart=/bin/false\n", 1));
    assert!(!snapshot(&keyspace, &whole).is_readable(&web), "the text does not have its hash");
}

#[test]
fn a_snapshot_has_the_secrets_without_values_and_an_unreadable_one_blocks_the_units_that_name_it() {
    let keyspace = keyspace();
    let (web, db) = (name("web.service"), "db".parse::<SecretName>().unwrap());
    let file = UnitFile::parse("[Service]\nExecStart=/bin/true\n\n[X-Muster]\nSecret=db\n").unwrap();
    let unit = Unit::new(file.hash(), DesiredState::Launched);
    let key = keyspace.key(&Key::Secret(db.clone()));
    let record = SecretRecord {
        version: SecretVersion::from_bits(7),
        size: 9,
        set_at: Timestamp::from_millis(5),
        set_by: "op@desk".to_owned(),
        recipients: [format!("age1{}", "q".repeat(58)).parse().unwrap()].into(),
    };
    let mut listing = Listing {
        revision: 1,
        entries: vec![
            entry(&keyspace.key(&Key::Unit(web.clone())), &encode(&unit), 1),
            entry(&keyspace.key(&Key::File(file.hash())), file.text().as_bytes(), 1),
            entry(&key, &encode(&record), 1),
        ],
    };
    let mut whole = snapshot(&keyspace, &listing);
    assert_eq!(whole.secrets, [(db.clone(), record)].into());
    assert_eq!(whole.units_by_secret(), [(db.clone(), [web.clone()].into())].into());
    assert!(whole.is_readable(&web));
    apply(&mut whole, &keyspace, &[WatchEvent::Delete { key: key.clone(), revision: 2 }]);
    assert!(whole.secrets.is_empty() && whole.is_readable(&web));
    listing.entries.push(entry(&key, b"{\"version\":\"of the future\"}", 3));
    let whole = snapshot(&keyspace, &listing);
    assert_eq!(whole.unreadable[&key].about, About::Secret(db));
    assert!(whole.secrets.is_empty() && !whole.is_readable(&web) && whole.is_readable(&name("other.service")));
    assert!(keyspace.prefixes().iter().all(|prefix| !keyspace.secret_values().starts_with(prefix)));
}

#[test]
fn an_unreadable_size_is_never_reached() {
    let listing = Listing { revision: 1, entries: vec![entry(&keyspace().key(&Key::Size), b"three", 1)] };
    assert_eq!(snapshot(&keyspace(), &listing).size, u32::MAX);
}

#[test]
fn of_two_writes_to_one_key_the_later_one_counts() {
    let web = name("web.service");
    let ops = keyspace().ops(&[Write::Place(web.clone(), placement(machine(1))), Write::Unplace(web.clone())]);
    assert_eq!(ops, [keyspace().delete(&Key::Placement(web))]);
}

#[tokio::test]
async fn events_are_kept_in_order_up_to_a_number() {
    let event = |at, why: &str| {
        let kind = EventKind::FenceFailed { why: why.to_owned() };
        Write::Log(Event::new(Timestamp::from_millis(at), None, None, kind))
    };
    let writes = [event(20, "second"), event(20, "third"), event(9, "first")];
    let keyspace = keyspace();
    let store = store_with(keyspace.ops(&writes)).await;
    let texts = |events: Vec<Event>| {
        let why = |event: Event| match event.kind {
            EventKind::FenceFailed { why } => why,
            kind => panic!("{kind:?}"),
        };
        events.into_iter().map(why).collect::<Vec<_>>()
    };
    assert_eq!(texts(read_events(&store, &keyspace).await.unwrap()), ["first", "second", "third"]);
    store.commit(vec![], keyspace.ops(&writes)).await.unwrap();
    let listing = store.list(&keyspace.events()).await.unwrap();
    assert_eq!(listing.entries.len(), 3, "the same events, committed again, are not logged twice");
    store.commit(vec![], prune_ops(&keyspace, &listing, 1)).await.unwrap();
    assert_eq!(texts(read_events(&store, &keyspace).await.unwrap()), ["third"]);
}

#[tokio::test]
async fn an_event_that_cannot_be_parsed_is_reported_with_its_time_and_stops_no_other() {
    let keyspace = keyspace();
    let event = Event::new(Timestamp::from_millis(7), Some(machine(1)), None, EventKind::FenceBegun);
    let mut ops = keyspace.ops(&[Write::Log(event.clone())]);
    for (millis, record) in [(5, r#"{"at":5,"kind":"of_the_future"}"#), (6, "?")] {
        ops.push(Op::put(format!("{}{millis:015}-00000-abc", keyspace.events()), record));
    }
    let events = read_events(&store_with(ops).await, &keyspace).await.unwrap();
    let [future, noise, read] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(read, &event);
    for (millis, unreadable) in [(5, future), (6, noise)] {
        assert_eq!(unreadable.at, Timestamp::from_millis(millis));
        assert!(matches!(&unreadable.kind, EventKind::Unreadable { why } if !why.is_empty()), "{unreadable:?}");
    }
}

#[tokio::test]
async fn a_file_is_removed_when_no_unit_refers_to_it_and_never_during_a_submit() {
    let keyspace = keyspace();
    let store = store_with(submit(&keyspace, &name("web.service"), &unit(), &file())).await;
    assert!(orphans(&keyspace, &store.list("/").await.unwrap()).is_empty());
    store.commit(vec![], vec![keyspace.delete(&Key::Unit(name("web.service")))]).await.unwrap();
    let orphaned = orphans(&keyspace, &store.list("/").await.unwrap());
    let [(precondition, op)] = orphaned.as_slice() else { panic!("{orphaned:?}") };
    store.commit(vec![], submit(&keyspace, &name("again.service"), &unit(), &file())).await.unwrap();
    assert_eq!(store.commit(vec![precondition.clone()], vec![op.clone()]).await.unwrap(), None);
    store.commit(vec![], vec![keyspace.delete(&Key::Unit(name("again.service")))]).await.unwrap();
    for (precondition, op) in orphans(&keyspace, &store.list("/").await.unwrap()) {
        store.commit(vec![precondition], vec![op]).await.unwrap().unwrap();
    }
    assert_eq!(store.list("/").await.unwrap().entries, []);
    let unreadable = Op::put(keyspace.key(&Key::Unit(name("odd.service"))), "{}");
    let text = Op::put(keyspace.key(&Key::File(file().hash())), file().text());
    store.commit(vec![], vec![unreadable, text]).await.unwrap();
    assert!(orphans(&keyspace, &store.list("/").await.unwrap()).is_empty(), "the unreadable unit may refer to it");
}
