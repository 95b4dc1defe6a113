//! Builds the core's snapshot from records, from a whole listing or change by change.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Key;
use super::Keyspace;
use super::decode;
use crate::core::model::About;
use crate::core::model::Machine;
use crate::core::model::Snapshot;
use crate::core::model::Unreadable;
use crate::core::unit::Hash;
use crate::core::unit::UnitFile;
use crate::store::Entry;
use crate::store::Listing;
use crate::store::Revision;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::WatchEvent;
use crate::store::follow;

/// Reads the whole cluster from the store.
pub async fn read(store: &dyn Store, keyspace: &Keyspace) -> Result<Snapshot, StoreError> {
    Ok(snapshot(keyspace, &list(store, keyspace).await?))
}

/// Reads the whole cluster, and the revisions of the records that `select` picks, by what it makes of their keys.
pub async fn read_with_revisions<K: Ord>(
    store: &dyn Store,
    keyspace: &Keyspace,
    select: impl Fn(Key) -> Option<K>,
) -> Result<(Snapshot, BTreeMap<K, Revision>), StoreError> {
    let listing = list(store, keyspace).await?;
    let revision = |entry: &Entry| Some((select(keyspace.parse(&entry.key).ok()??)?, entry.modified));
    Ok((snapshot(keyspace, &listing), listing.entries.iter().filter_map(revision).collect()))
}

/// Lists all records that decisions are made from. The records under one prefix are of one revision.
pub async fn list(store: &dyn Store, keyspace: &Keyspace) -> Result<Listing, StoreError> {
    follow::list(store, &keyspace.prefixes()).await.map(|(_, listing)| listing)
}

/// Builds a snapshot from a listing.
pub fn snapshot(keyspace: &Keyspace, listing: &Listing) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for entry in &listing.entries {
        set(&mut snapshot, keyspace, entry);
    }
    snapshot
}

/// Applies changes to a snapshot.
pub fn apply(snapshot: &mut Snapshot, keyspace: &Keyspace, changes: &[WatchEvent]) {
    for change in changes {
        match change {
            WatchEvent::Put(entry) => set(snapshot, keyspace, entry),
            WatchEvent::Delete { key, .. } => clear(snapshot, keyspace, key),
        }
    }
}

fn set(snapshot: &mut Snapshot, keyspace: &Keyspace, entry: &Entry) {
    clear(snapshot, keyspace, &entry.key);
    let (about, why) = match keyspace.parse(&entry.key) {
        Ok(None) => return,
        Ok(Some(key)) => match fill(snapshot, &key, &entry.value) {
            Ok(()) => return,
            Err(why) => (about(key), why),
        },
        Err(why) => (About::Unknown, why),
    };
    if about == About::Size {
        // No unit is placed before this number of machines has joined, and the number is unknown.
        snapshot.size = u32::MAX;
    }
    snapshot.unreadable.insert(entry.key.clone(), Unreadable { about, why });
}

fn clear(snapshot: &mut Snapshot, keyspace: &Keyspace, key: &str) {
    snapshot.unreadable.remove(key);
    match keyspace.parse(key) {
        Ok(Some(Key::Size)) => snapshot.size = 0,
        Ok(Some(Key::Cluster)) => snapshot.cluster = None,
        Ok(Some(Key::Machine(id))) => drop(snapshot.machines.remove(&id)),
        Ok(Some(Key::Health(id))) => drop(snapshot.health.remove(&id)),
        Ok(Some(Key::FailoverOverride(id))) => drop(snapshot.failover_overrides.remove(&id)),
        Ok(Some(Key::Foreign(id))) => drop(snapshot.foreign.remove(&id)),
        Ok(Some(Key::Lease(id))) => drop(snapshot.leases.remove(&id)),
        Ok(Some(Key::Serial)) => snapshot.serial = 0,
        Ok(Some(Key::Restored)) => snapshot.restored = None,
        Ok(Some(Key::Voters)) => snapshot.voters.clear(),
        Ok(Some(Key::Observed)) => snapshot.observed = None,
        Ok(Some(Key::Secret(name))) => drop(snapshot.secrets.remove(&name)),
        Ok(Some(Key::SecretRecipients)) => snapshot.recipients.clear(),
        Ok(Some(Key::File(hash))) => drop(snapshot.files.remove(&hash)),
        Ok(Some(Key::Content(hash))) => drop(snapshot.contents.remove(&hash)),
        Ok(Some(Key::Unit(name))) => drop(snapshot.units.remove(&name)),
        Ok(Some(Key::Placement(name))) => drop(snapshot.placements.remove(&name)),
        Ok(Some(Key::State(name, id))) => {
            if let Some(states) = snapshot.states.get_mut(&name) {
                states.remove(&id);
                if states.is_empty() {
                    snapshot.states.remove(&name);
                }
            }
        }
        Ok(
            Some(
                Key::Member(_)
                | Key::Leader
                | Key::Epoch
                | Key::SecretValue(_)
                | Key::Event(_)
                | Key::Alerts(_)
                | Key::Version(..)
                | Key::Image(..),
            )
            | None,
        )
        | Err(_) => {}
    }
}

fn fill(snapshot: &mut Snapshot, key: &Key, value: &[u8]) -> Result<(), String> {
    match key {
        Key::Size => snapshot.size = size(value)?,
        Key::Cluster => snapshot.cluster = Some(Arc::new(decode(value)?)),
        Key::Machine(id) => {
            let machine: Machine = decode(value)?;
            if machine.id != *id {
                return Err(format!("the record is that of machine {}", machine.id));
            }
            snapshot.machines.insert(*id, machine);
        }
        Key::Health(id) => drop(snapshot.health.insert(*id, decode(value)?)),
        Key::FailoverOverride(id) => drop(snapshot.failover_overrides.insert(*id, decode(value)?)),
        Key::Foreign(id) => drop(snapshot.foreign.insert(*id, decode(value)?)),
        Key::Lease(id) => drop(snapshot.leases.insert(*id, decode(value)?)),
        Key::Serial => snapshot.serial = decode(value)?,
        Key::Restored => snapshot.restored = Some(decode(value)?),
        Key::Voters => snapshot.voters = decode(value)?,
        Key::Observed => snapshot.observed = Some(decode(value)?),
        Key::Secret(name) => drop(snapshot.secrets.insert(name.clone(), decode(value)?)),
        Key::SecretRecipients => snapshot.recipients = decode(value)?,
        Key::File(hash) => drop(snapshot.files.insert(*hash, Arc::new(file(*hash, value)?))),
        Key::Content(hash) => drop(snapshot.contents.insert(*hash, content(*hash, value)?)),
        Key::Unit(name) => drop(snapshot.units.insert(name.clone(), decode(value)?)),
        Key::Placement(name) => drop(snapshot.placements.insert(name.clone(), decode(value)?)),
        Key::State(name, id) => {
            let state = decode(value)?;
            snapshot.states.entry(name.clone()).or_default().insert(*id, state);
        }
        // Decisions do not depend on these.
        Key::Member(_)
        | Key::Leader
        | Key::Epoch
        | Key::SecretValue(_)
        | Key::Event(_)
        | Key::Alerts(_)
        | Key::Version(..)
        | Key::Image(..) => {}
    }
    Ok(())
}

fn about(key: Key) -> About {
    match key {
        Key::Size => About::Size,
        Key::Machine(id) => About::Machine(id),
        Key::File(hash) => About::File(hash),
        Key::Unit(name) | Key::Placement(name) | Key::State(name, _) => About::Unit(name),
        Key::Secret(name) => About::Secret(name),
        Key::Lease(_) | Key::Serial | Key::Restored | Key::Voters => About::Leases,
        // A host of the cluster refuses a visit without the cluster's id.
        Key::Cluster
        // A health record is assessed anew, so nothing depends on an unreadable one.
        | Key::Health(_)
        | Key::Foreign(_)
        // A unit that needs the content is not loaded, because the content is not there.
        | Key::Content(_)
        | Key::FailoverOverride(_)
        | Key::Observed
        | Key::Member(_)
        | Key::Leader
        | Key::Epoch
        | Key::SecretValue(_)
        // A command that encrypts reads the recipients anew, and refuses a record that it cannot read.
        | Key::SecretRecipients
        | Key::Event(_)
        | Key::Alerts(_)
        // A command that goes back reads them anew.
        | Key::Version(..)
        | Key::Image(..) => About::Unknown,
    }
}

/// Parses the size of a cluster: a decimal number, as in etcd's discovery.
pub(super) fn size(value: &[u8]) -> Result<u32, String> {
    let text = std::str::from_utf8(value).map_err(|error| error.to_string())?;
    text.trim().parse().map_err(|error| {
        format!("invalid size {:?}: expected a number of machines: {error}", text.chars().take(64).collect::<String>())
    })
}

fn content(hash: Hash, value: &[u8]) -> Result<Arc<[u8]>, String> {
    let found = Hash::of(value);
    if found == hash { Ok(value.into()) } else { Err(format!("the content has the hash {found}, not that of its key")) }
}

fn file(hash: Hash, value: &[u8]) -> Result<UnitFile, String> {
    let text = std::str::from_utf8(value).map_err(|error| error.to_string())?;
    let file = UnitFile::parse(text).map_err(|error| error.to_string())?;
    if file.hash() == hash {
        Ok(file)
    } else {
        Err(format!("the text has the hash {}, not that of its key", file.hash()))
    }
}
