//! The log of what was done, and why.

use super::Keys;
use super::Slot;
use super::WORDS;
use super::decode;
use super::encode;
use crate::core::model::Event;
use crate::core::model::EventKind;
use crate::core::model::Timestamp;
use crate::core::unit::Hash;
use crate::store::Change;
use crate::store::Changed;
use crate::store::Entry;
use crate::store::Listing;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::leader_election::Leadership;

/// How many events a cluster keeps.
pub const EVENTS_KEPT: usize = 2000;

/// Adds an event. Its name sorts by time and then by its place among what was decided with it; the hash of what it
/// says makes it one name for one event, so that a commit that is tried again does not log twice.
pub(super) fn log(keys: &Keys, event: &Event, index: usize) -> Change {
    let value = encode(&event.clone().bounded(WORDS));
    let name = format!("{:015}-{index:05}-{}", event.at.as_millis(), Hash::of(&value).short());
    Change::put(keys.key(&Slot::Event(name)), value)
}

/// Returns the events, oldest first. One that cannot be read is shown as far as it can be.
pub async fn read_events(store: &dyn Store, keys: &Keys) -> Result<Vec<Event>, StoreError> {
    let listing = store.list(&keys.events()).await?;
    let event = |entry: &Entry| {
        decode(&entry.value)
            .unwrap_or_else(|why| Event::new(logged_at(keys, &entry.key), None, None, EventKind::Unreadable { why }))
    };
    Ok(listing.entries.iter().map(event).collect())
}

/// Returns when an event was logged, from its key.
fn logged_at(keys: &Keys, key: &str) -> Timestamp {
    let name = key.strip_prefix(&keys.events()).unwrap_or_default();
    let millis = name.split('-').next().and_then(|millis| millis.parse().ok());
    Timestamp::from_millis(millis.unwrap_or_default())
}

/// Returns the event that a change logged, if it logged one.
pub fn event(keys: &Keys, changed: &Changed) -> Option<Event> {
    match changed {
        Changed::Set(entry) if entry.key.starts_with(&keys.events()) => decode(&entry.value).ok(),
        Changed::Set(_) | Changed::Gone { .. } => None,
    }
}

/// Removes the oldest events beyond the newest `keep`, and says whether we still lead: only a leader does this, so that
/// no two do it at once.
pub async fn prune_events(lead: &Leadership, keys: &Keys, keep: usize) -> Result<bool, StoreError> {
    let listing = lead.store().list(&keys.events()).await?;
    lead.commit(surplus_events(keys, &listing, keep)).await
}

/// Returns the changes that leave the newest `keep` of the listed events.
pub fn surplus_events(keys: &Keys, listing: &Listing, keep: usize) -> Vec<Change> {
    let prefix = keys.events();
    let mut events: Vec<&str> =
        listing.entries.iter().map(|entry| entry.key.as_str()).filter(|key| key.starts_with(&prefix)).collect();
    events.sort_unstable();
    let surplus = events.len().saturating_sub(keep);
    events.into_iter().take(surplus).map(|key| Change::Delete(key.to_owned())).collect()
}
