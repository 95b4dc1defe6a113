use std::sync::Arc;

use super::*;
use crate::core::model::DesiredState;
use crate::core::model::Event;
use crate::core::model::EventKind;
use crate::core::model::MachineId;
use crate::core::model::Write;
use crate::core::unit::Hash;
use crate::store::Entry;
use crate::store::MemoryStore;
use crate::store::Revision;
use crate::store::layout::EVENTS_KEPT;

fn keys() -> Keyspace {
    Keyspace::new("default").unwrap()
}

fn event(number: u64) -> Event {
    Event::new(Timestamp::from_millis(number), Some(MachineId::from_bits(7)), None, EventKind::LeaseEnded)
}

fn entry(keys: &Keyspace, name: &str, modified: Revision) -> Entry {
    let value = layout::encode(&event(1));
    Entry { key: keys.key(&Key::Event(name.to_owned())), value, created: modified, modified }
}

/// Returns the names of events, and the gaps.
fn names(items: &[LogItem]) -> Vec<&str> {
    fn name(item: &LogItem) -> &str {
        match item {
            LogItem::Event { id, .. } => id,
            LogItem::Gap(why) => why,
        }
    }
    items.iter().map(name).collect()
}

fn listed(reader: &mut Reader, revision: Revision, entries: &[(&str, Revision)]) -> Vec<String> {
    let keys = keys();
    let entries = entries.iter().map(|(name, modified)| entry(&keys, name, *modified)).collect();
    names(&reader.take_listing(&keys, revision, entries)).into_iter().map(str::to_owned).collect()
}

fn changed(reader: &mut Reader, name: &str, modified: Revision) -> Vec<String> {
    let keys = keys();
    let items = reader.take_changes(&keys, &[WatchEvent::Put(entry(&keys, name, modified))]);
    names(&items).into_iter().map(str::to_owned).collect()
}

#[test]
fn after_a_new_listing_only_the_events_that_are_new_are_left() {
    let mut reader = Reader::default();
    assert_eq!(listed(&mut reader, 5, &[("a", 2), ("b", 5)]), ["a", "b"]);
    assert_eq!(changed(&mut reader, "c", 7), ["c"]);
    assert_eq!(listed(&mut reader, 9, &[("b", 5), ("c", 7), ("d", 8)]), ["d"]);
    assert_eq!(changed(&mut reader, "e", 10), ["e"]);
}

#[test]
fn a_new_listing_without_an_event_that_was_read_says_that_events_may_be_missing() {
    let mut reader = Reader::default();
    assert!(listed(&mut reader, 4, &[]).is_empty());
    assert_eq!(listed(&mut reader, 5, &[("a", 5)]), ["a"], "the log was empty");
    let pruned = "events may be missing here: the log was pruned before they could be read";
    assert_eq!(listed(&mut reader, 900, &[("x", 800)]), [pruned, "x"]);
    assert!(listed(&mut reader, 900, &[("x", 800)]).is_empty());
}

#[test]
fn events_of_a_store_that_was_restored_are_read_from_its_revision_on() {
    let mut reader = Reader::default();
    assert_eq!(listed(&mut reader, 50, &[("a", 50)]), ["a"]);
    let restored = "events may be missing here: the store is an earlier copy of itself";
    assert_eq!(listed(&mut reader, 20, &[("z", 20)]), [restored]);
    assert_eq!(changed(&mut reader, "b", 21), ["b"]);
    assert_eq!(listed(&mut reader, 22, &[("b", 21), ("c", 22), ("z", 20)]), ["c"]);
}

#[test]
fn a_reader_that_is_too_slow_is_told_that_events_are_missing() {
    let mut log = EventLog::default();
    let item = |number: usize| LogItem::Event { id: number.to_string(), event: Box::new(event(1)) };
    log.extend((0..3).map(item).collect());
    assert_eq!(log.after("1"), Some(2));
    let (items, next) = log.read(2, 10);
    assert_eq!((items.len(), next), (1, 3));
    assert_eq!(log.read(next, 10).0.len(), 0);
    log.extend((3..EVENTS_KEPT + 5).map(item).collect());
    assert_eq!((log.after("1"), log.after("5")), (None, Some(6)));
    let (items, next) = log.read(3, 2);
    let items: Vec<LogItem> = items.iter().map(|item| (**item).clone()).collect();
    assert_eq!(names(&items), ["events are missing here: they came faster than they were read", "5", "6"]);
    assert_eq!(next, 7);
    assert_eq!(log.end(), EVENTS_KEPT as u64 + 5);
}

#[tokio::test(start_paused = true)]
async fn the_view_follows_the_store() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let (keys, name) = (keys(), "web.service".parse::<UnitName>().unwrap());
    let (model, view) = ReadModel::new(&store, &keys, Clock::start());
    let limit = Duration::from_secs(5);
    assert!(!view.now().is_read);
    let check = async {
        assert!(view.until(limit, |published| published.is_read).await, "the store is empty, and was read");
        let unit = Unit::new(Hash::NONE, DesiredState::Loaded);
        let put = keys.put(&Key::Unit(name.clone()), &unit);
        store.commit(Vec::new(), vec![put]).await.unwrap();
        assert!(view.until(limit, |published| published.unit(&name).is_some()).await);
        let before = view.now();
        let mut ops = keys.ops(&[Write::Log(event(4))]);
        ops.push(keys.delete(&Key::Unit(name.clone())));
        store.commit(Vec::new(), ops).await.unwrap();
        assert!(view.until(limit, |published| published.events.end() == 1).await);
        assert!(view.now().unit(&name).is_none());
        assert!(before.unit(&name).is_some(), "what a reader holds does not change");
        assert!(!view.until(limit, |published| published.unit(&name).is_some()).await);
    };
    tokio::select! {
        () = model.run() => unreachable!(),
        () = check => {}
    }
}
