//! The registry: for each token, the size that the cluster starts with, and the members.

use std::io::Read as _;
use std::time::Duration;

use crate::core::model::Address;
use crate::core::model::MachineId;
use crate::store::COMMIT_LIMIT;
use crate::store::Entry;
use crate::store::Op;
use crate::store::Precondition;
use crate::store::Revision;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::layout;
use crate::store::layout::Key;
use crate::store::layout::Keyspace;

/// The largest size of a token.
pub const SIZE_LIMIT: u32 = 10_000;

/// A token could not be created. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum NewTokenError {
    /// The size is out of bounds. Nothing was changed.
    #[error("invalid size {0}: expected 1 to {SIZE_LIMIT} machines")]
    Size(u32),
    /// The kernel's random bytes cannot be read. Nothing was changed.
    #[error("cannot read /dev/urandom: {0}")]
    Randomness(std::io::Error),
    /// The store failed. The token may have been created, but it was not returned.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The content of a token in the registry, at one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    /// The store's revision when it was read.
    pub revision: Revision,
    /// The entry of the size.
    pub size: Entry,
    /// The entries of the members, in the order of registration. [`parse_member`] parses them.
    pub members: Vec<Entry>,
}

impl Registry {
    /// Returns the number of machines that the cluster starts with, if its entry can be parsed.
    pub fn size(&self) -> Option<u32> {
        std::str::from_utf8(&self.size.value).ok()?.trim().parse().ok()
    }
}

/// Creates a token for a cluster of this size: 32 random hexadecimal digits. They are the secret that lets a machine join.
/// With `unused` the token is removed after that time, unless it has got a member.
pub async fn create(store: &dyn Store, size: u32, unused: Option<Duration>) -> Result<Keyspace, NewTokenError> {
    if size == 0 || size > SIZE_LIMIT {
        return Err(NewTokenError::Size(size));
    }
    loop {
        let Ok(keyspace) = Keyspace::new(&random().map_err(NewTokenError::Randomness)?) else { continue };
        let key = keyspace.key(&Key::Size);
        let lease = match unused {
            Some(time) => Some(store.grant(time).await?),
            None => None,
        };
        let put = Op::Put { key: key.clone(), value: size.to_string().into_bytes(), lease };
        let created = store.commit(vec![Precondition::Absent(key)], vec![put]).await?;
        if created.is_some() {
            return Ok(keyspace);
        }
    }
}

fn random() -> std::io::Result<String> {
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}

/// Reads the content of a token. Returns `None` if the token has no size.
pub async fn read(store: &dyn Store, keyspace: &Keyspace) -> Result<Option<Registry>, StoreError> {
    let listing = store.list(&keyspace.registry()).await?;
    let (size, members) = (keyspace.key(&Key::Size), keyspace.members());
    let mut size_entry = None;
    let mut registered = Vec::new();
    for entry in listing.entries {
        if entry.key == size {
            size_entry = Some(entry);
        } else if entry.key.starts_with(&members) {
            registered.push(entry);
        }
    }
    registered.sort_by(|a, b| (a.created, &a.key).cmp(&(b.created, &b.key)));
    Ok(size_entry.map(|size| Registry { revision: listing.revision, size, members: registered }))
}

/// Returns the operation that makes a token last, now that it has a member: its size is set again without a lease.
pub fn lasting(keyspace: &Keyspace, size: impl Into<Vec<u8>>) -> Op {
    Op::put(keyspace.key(&Key::Size), size)
}

/// Whether a token was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// It was removed with all that was under it.
    Done,
    /// There is no such token. Nothing was changed.
    Unknown,
    /// Its cluster has machines or units. Nothing was changed.
    InUse {
        /// How many machines.
        machines: usize,
        /// How many units.
        units: usize,
    },
}

/// Removes a token, its members and the records of its cluster, which must have no machines and no units.
pub async fn delete(store: &dyn Store, keyspace: &Keyspace) -> Result<Deletion, StoreError> {
    let Some(registry) = read(store, keyspace).await? else { return Ok(Deletion::Unknown) };
    let snapshot = layout::read(store, keyspace).await?;
    let (machines, units) = (snapshot.machines.len(), snapshot.units.len());
    if machines + units + snapshot.unreadable.len() > 0 {
        return Ok(Deletion::InUse { machines, units });
    }
    let mut keys: Vec<String> = registry.members.into_iter().map(|member| member.key).collect();
    keys.extend(layout::list(store, keyspace).await?.entries.into_iter().map(|entry| entry.key));
    keys.extend(store.list(&keyspace.events()).await?.entries.into_iter().map(|entry| entry.key));
    keys.extend(snapshot.secrets.into_keys().map(|name| keyspace.key(&Key::SecretValue(name))));
    keys.retain(|key| *key != registry.size.key);
    keys.sort_unstable();
    keys.dedup();
    // The size is the last: a deletion that does not come to its end can be repeated.
    keys.push(registry.size.key);
    for portion in keys.chunks(COMMIT_LIMIT) {
        store.commit(Vec::new(), portion.iter().cloned().map(Op::Delete).collect()).await?;
    }
    Ok(Deletion::Done)
}

/// Returns the precondition and the operation that register a machine, if no member has its machine-id.
pub fn register(keyspace: &Keyspace, id: MachineId, name: &str, address: &Address) -> (Precondition, Op) {
    let key = keyspace.key(&Key::Member(id));
    (Precondition::Absent(key.clone()), Op::put(key, format!("{name}={address}")))
}

/// Parses a member: its id, its name and its address. An etcd server has several `name=url`, joined by `&`.
pub fn parse_member(keyspace: &Keyspace, entry: &Entry) -> (String, String, String) {
    let id = entry.key.strip_prefix(&keyspace.members()).unwrap_or(&entry.key).to_owned();
    let value = String::from_utf8_lossy(&entry.value);
    let (name, address) = value.split_once('=').unwrap_or(("", &value));
    (id, name.to_owned(), address.to_owned())
}
