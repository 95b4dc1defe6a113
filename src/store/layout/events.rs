//! The event log: decisions and occurrences, with their causes.

use super::Key;
use super::Keyspace;
use super::TEXT_LIMIT;
use super::decode;
use super::encode;
use crate::core::model::Event;
use crate::core::model::EventKind;
use crate::core::model::Timestamp;
use crate::core::unit::Hash;
use crate::store::Entry;
use crate::store::Listing;
use crate::store::Op;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::WatchEvent;

/// The number of events that a cluster keeps.
pub const EVENTS_KEPT: usize = 2000;

/// Returns the operation that adds an event. The event's name sorts by time, and then by the event's index among those of
/// the same decision. The hash of the text in the name makes a commit that is sent again set the same key.
pub(super) fn log(keyspace: &Keyspace, event: &Event, index: usize) -> Op {
    let value = encode(&event.clone().bounded(TEXT_LIMIT));
    let name = format!("{:015}-{index:05}-{}", event.at.as_millis(), Hash::of(&value).short());
    Op::put(keyspace.key(&Key::Event(name)), value)
}

/// Returns the operation that adds an event which a client has sent: with the name of the client and the present time.
pub fn log_as(keyspace: &Keyspace, event: Event, actor: &str, now: Timestamp, index: usize) -> Op {
    log(keyspace, &Event { at: now, ..event }.by(actor), index)
}

/// Returns the events, oldest first.
pub async fn read_events(store: &dyn Store, keyspace: &Keyspace) -> Result<Vec<Event>, StoreError> {
    let listing = store.list(&keyspace.events()).await?;
    Ok(listing.entries.iter().map(|entry| event(keyspace, entry)).collect())
}

/// Reads an event. One that cannot be parsed is replaced by one that says so.
fn event(keyspace: &Keyspace, entry: &Entry) -> Event {
    decode(&entry.value)
        .unwrap_or_else(|why| Event::new(logged_at(keyspace, &entry.key), None, None, EventKind::Unreadable { why }))
}

/// Returns when an event was logged, from its key.
fn logged_at(keyspace: &Keyspace, key: &str) -> Timestamp {
    let name = key.strip_prefix(&keyspace.events()).unwrap_or_default();
    let millis = name.split('-').next().and_then(|millis| millis.parse().ok());
    Timestamp::from_millis(millis.unwrap_or_default())
}

/// Returns the event that a change of the store added, if it added one.
pub fn logged_event(keyspace: &Keyspace, change: &WatchEvent) -> Option<Event> {
    match change {
        WatchEvent::Put(entry) if entry.key.starts_with(&keyspace.events()) => Some(event(keyspace, entry)),
        WatchEvent::Put(_) | WatchEvent::Delete { .. } => None,
    }
}

/// Returns the operations that remove all but the newest `keep` of the listed events.
pub fn prune_ops(keyspace: &Keyspace, listing: &Listing, keep: usize) -> Vec<Op> {
    let prefix = keyspace.events();
    let mut events: Vec<&str> =
        listing.entries.iter().map(|entry| entry.key.as_str()).filter(|key| key.starts_with(&prefix)).collect();
    events.sort_unstable();
    let surplus = events.len().saturating_sub(keep);
    events.into_iter().take(surplus).map(|key| Op::Delete(key.to_owned())).collect()
}
