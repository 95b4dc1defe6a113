//! The log of what was done, and why.

use super::Keys;
use super::Slot;
use super::WORDS;
use super::decode;
use super::encode;
use crate::core::model::Event;
use crate::core::sanitize::truncate;
use crate::core::unit::Hash;
use crate::store::Change;
use crate::store::Changed;
use crate::store::Listing;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::leader_election::Leadership;

/// How many events a cluster keeps.
pub const EVENTS_KEPT: usize = 2000;

/// Adds an event. Its name sorts by time and then by its place among what was decided with it; the hash of what it
/// says makes it one name for one event, so that a commit that is tried again does not log twice.
pub(super) fn log(keys: &Keys, event: &Event, index: usize) -> Change {
    let value = encode(&Event { what: truncate(&event.what, WORDS), ..event.clone() });
    let name = format!("{:015}-{index:05}-{}", event.at.as_millis(), Hash::of(&value).short());
    Change::put(keys.key(&Slot::Event(name)), value)
}

/// Returns the events, oldest first. One that cannot be read is shown as far as it can be.
pub async fn read_events(store: &dyn Store, keys: &Keys) -> Result<Vec<Event>, StoreError> {
    let listing = store.list(&keys.events()).await?;
    let event = |value: &[u8]| {
        decode(value).unwrap_or_else(|why| Event {
            at: crate::core::model::Timestamp::ZERO,
            machine: None,
            unit: None,
            what: format!("an event that cannot be read: {why}"),
            trouble: false,
        })
    };
    Ok(listing.entries.iter().map(|entry| event(&entry.value)).collect())
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
