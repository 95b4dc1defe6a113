//! The registry: under each token the size that a cluster starts with, and its members.

use std::io::Read as _;

use crate::core::model::Address;
use crate::core::model::MachineId;
use crate::store::Entry;
use crate::store::Op;
use crate::store::Precondition;
use crate::store::Revision;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::layout::Key;
use crate::store::layout::Keyspace;

/// The largest size that a token may be made with.
pub const SIZE_LIMIT: u32 = 10_000;

/// A token could not be made. None was.
#[derive(Debug, thiserror::Error)]
pub enum NewTokenError {
    /// The size makes no cluster.
    #[error("a cluster starts with 1 to {SIZE_LIMIT} machines, not {0}")]
    Size(u32),
    /// The system gave no random bytes.
    #[error("cannot read /dev/urandom: {0}")]
    Randomness(std::io::Error),
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What stands under a token, at one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    /// The store's revision when it was read.
    pub revision: Revision,
    /// The size, as it was written.
    pub size: Entry,
    /// What registered, in the order it did; see [`member`].
    pub members: Vec<Entry>,
}

impl Registry {
    /// Returns how many machines the cluster starts with, if that can be read.
    pub fn size(&self) -> Option<u32> {
        std::str::from_utf8(&self.size.value).ok()?.trim().parse().ok()
    }
}

/// Makes a token for a cluster of some size: 32 hex digits that nobody can guess, for who has it may join.
pub async fn create(store: &dyn Store, size: u32) -> Result<Keyspace, NewTokenError> {
    if size == 0 || size > SIZE_LIMIT {
        return Err(NewTokenError::Size(size));
    }
    loop {
        let Ok(keyspace) = Keyspace::new(&random().map_err(NewTokenError::Randomness)?) else { continue };
        let key = keyspace.key(&Key::Size);
        let made = store.commit(vec![Precondition::Absent(key.clone())], vec![Op::put(key, size.to_string())]).await?;
        if made.is_some() {
            return Ok(keyspace);
        }
    }
}

fn random() -> std::io::Result<String> {
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}

/// Reads what stands under a token: nothing if it was not made with a size.
pub async fn read(store: &dyn Store, keyspace: &Keyspace) -> Result<Option<Registry>, StoreError> {
    let listing = store.list(&keyspace.registry()).await?;
    let (size, members) = (keyspace.key(&Key::Size), keyspace.members());
    let mut found = None;
    let mut registered = Vec::new();
    for entry in listing.entries {
        if entry.key == size {
            found = Some(entry);
        } else if entry.key.starts_with(&members) {
            registered.push(entry);
        }
    }
    registered.sort_by(|a, b| (a.created, &a.key).cmp(&(b.created, &b.key)));
    Ok(found.map(|size| Registry { revision: listing.revision, size, members: registered }))
}

/// Returns what registers a machine if nothing has its identity yet.
pub fn register(keyspace: &Keyspace, id: MachineId, name: &str, address: &Address) -> (Precondition, Op) {
    let key = keyspace.key(&Key::Member(id));
    (Precondition::Absent(key.clone()), Op::put(key, format!("{name}={address}")))
}

/// Reads a member: its identity, its name and where it is. An etcd server has several `name=url`, joined by `&`.
pub fn member(keyspace: &Keyspace, entry: &Entry) -> (String, String, String) {
    let id = entry.key.strip_prefix(&keyspace.members()).unwrap_or(&entry.key).to_owned();
    let value = String::from_utf8_lossy(&entry.value);
    let (name, address) = value.split_once('=').unwrap_or(("", &value));
    (id, name.to_owned(), address.to_owned())
}
