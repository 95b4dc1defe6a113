//! From records to what the core works with, all at once or change by change.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Keys;
use super::Slot;
use super::decode;
use crate::core::model::About;
use crate::core::model::Machine;
use crate::core::model::Snapshot;
use crate::core::model::Unreadable;
use crate::core::unit::Hash;
use crate::core::unit::UnitFile;
use crate::store::Changed;
use crate::store::Entry;
use crate::store::Listing;
use crate::store::Revision;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::follow;

/// Reads the whole cluster from the store.
pub async fn read(store: &dyn Store, keys: &Keys) -> Result<Snapshot, StoreError> {
    Ok(snapshot(keys, &list(store, keys).await?))
}

/// Reads the whole cluster, and when each record was last written of which `of` makes a key.
pub async fn read_revised<K: Ord>(
    store: &dyn Store,
    keys: &Keys,
    of: impl Fn(Slot) -> Option<K>,
) -> Result<(Snapshot, BTreeMap<K, Revision>), StoreError> {
    let listing = list(store, keys).await?;
    let revision = |entry: &Entry| Some((of(keys.slot(&entry.key).ok()??)?, entry.modified));
    Ok((snapshot(keys, &listing), listing.entries.iter().filter_map(revision).collect()))
}

/// Lists everything that decisions are made from. What stands under each prefix is of one revision.
pub async fn list(store: &dyn Store, keys: &Keys) -> Result<Listing, StoreError> {
    follow::list(store, &keys.prefixes()).await.map(|(_, listing)| listing)
}

/// Makes a snapshot of everything that was listed.
pub fn snapshot(keys: &Keys, listing: &Listing) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for entry in &listing.entries {
        set(&mut snapshot, keys, entry);
    }
    snapshot
}

/// Brings a snapshot up to date.
pub fn apply(snapshot: &mut Snapshot, keys: &Keys, changes: &[Changed]) {
    for change in changes {
        match change {
            Changed::Set(entry) => set(snapshot, keys, entry),
            Changed::Gone { key, .. } => clear(snapshot, keys, key),
        }
    }
}

fn set(snapshot: &mut Snapshot, keys: &Keys, entry: &Entry) {
    clear(snapshot, keys, &entry.key);
    let (about, why) = match keys.slot(&entry.key) {
        Ok(None) => return,
        Ok(Some(slot)) => match fill(snapshot, &slot, &entry.value) {
            Ok(()) => return,
            Err(why) => (about(slot), why),
        },
        Err(why) => (About::Unknown, why),
    };
    if about == About::Size {
        // Nothing may be placed before so many have joined, and we do not know how many.
        snapshot.size = u32::MAX;
    }
    snapshot.unreadable.insert(entry.key.clone(), Unreadable { about, why });
}

fn clear(snapshot: &mut Snapshot, keys: &Keys, key: &str) {
    snapshot.unreadable.remove(key);
    match keys.slot(key) {
        Ok(Some(Slot::Size)) => snapshot.size = 0,
        Ok(Some(Slot::Machine(id))) => drop(snapshot.machines.remove(&id)),
        Ok(Some(Slot::Health(id))) => drop(snapshot.health.remove(&id)),
        Ok(Some(Slot::FailoverOverride(id))) => drop(snapshot.failover_overrides.remove(&id)),
        Ok(Some(Slot::Lease(id))) => drop(snapshot.leases.remove(&id)),
        Ok(Some(Slot::Voters)) => snapshot.voters.clear(),
        Ok(Some(Slot::File(hash))) => drop(snapshot.files.remove(&hash)),
        Ok(Some(Slot::Unit(name))) => drop(snapshot.units.remove(&name)),
        Ok(Some(Slot::Placement(name))) => drop(snapshot.placements.remove(&name)),
        Ok(Some(Slot::State(name, id))) => {
            if let Some(states) = snapshot.states.get_mut(&name) {
                states.remove(&id);
                if states.is_empty() {
                    snapshot.states.remove(&name);
                }
            }
        }
        Ok(Some(Slot::Member(_) | Slot::Leader | Slot::Epoch | Slot::Event(_)) | None) | Err(_) => {}
    }
}

fn fill(snapshot: &mut Snapshot, slot: &Slot, value: &[u8]) -> Result<(), String> {
    match slot {
        Slot::Size => snapshot.size = size(value)?,
        Slot::Machine(id) => {
            let machine: Machine = decode(value)?;
            if machine.id != *id {
                return Err(format!("it is the record of {}", machine.id));
            }
            snapshot.machines.insert(*id, machine);
        }
        Slot::Health(id) => drop(snapshot.health.insert(*id, decode(value)?)),
        Slot::FailoverOverride(id) => drop(snapshot.failover_overrides.insert(*id, decode(value)?)),
        Slot::Lease(id) => drop(snapshot.leases.insert(*id, decode(value)?)),
        Slot::Voters => snapshot.voters = decode(value)?,
        Slot::File(hash) => drop(snapshot.files.insert(*hash, Arc::new(file(*hash, value)?))),
        Slot::Unit(name) => drop(snapshot.units.insert(name.clone(), decode(value)?)),
        Slot::Placement(name) => drop(snapshot.placements.insert(name.clone(), decode(value)?)),
        Slot::State(name, id) => {
            let state = decode(value)?;
            snapshot.states.entry(name.clone()).or_default().insert(*id, state);
        }
        // Of no account to what is decided.
        Slot::Member(_) | Slot::Leader | Slot::Epoch | Slot::Event(_) => {}
    }
    Ok(())
}

fn about(slot: Slot) -> About {
    match slot {
        Slot::Size => About::Size,
        Slot::Machine(id) => About::Machine(id),
        Slot::File(hash) => About::File(hash),
        Slot::Unit(name) | Slot::Placement(name) | Slot::State(name, _) => About::Unit(name),
        Slot::Lease(_) | Slot::Voters => About::Leases,
        // A health is judged anew.
        Slot::Health(_) | Slot::FailoverOverride(_) | Slot::Member(_) | Slot::Leader | Slot::Epoch | Slot::Event(_) => {
            About::Unknown
        }
    }
}

/// Reads the size of a cluster: a decimal number, as etcd's discovery has it.
pub(super) fn size(value: &[u8]) -> Result<u32, String> {
    let text = std::str::from_utf8(value).map_err(|error| error.to_string())?;
    text.trim().parse().map_err(|error| format!("{error}: a number of machines was expected"))
}

fn file(hash: Hash, value: &[u8]) -> Result<UnitFile, String> {
    let text = std::str::from_utf8(value).map_err(|error| error.to_string())?;
    let file = UnitFile::parse(text).map_err(|error| error.to_string())?;
    if file.hash() == hash { Ok(file) } else { Err(format!("its text has the hash {}", file.hash())) }
}
