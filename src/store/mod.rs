//! The store: the records of a cluster, where every muster process can reach them.
//!
//! One trait, and three back ends that keep one contract: etcd, sqlite and memory. A fourth one reaches the store of a
//! controller through its API. No other folder may name `etcd_client` or `rusqlite`. The back ends move keys and values and must not know what a record means: [`layout`] does.

mod api;
mod base64;
mod etcd;
#[cfg(test)]
mod flaky;
pub mod follow;
mod guest;
pub mod layout;
pub mod leader_election;
mod location;
mod memory;
mod open;
mod sqlite;

pub use api::ApiStore;
pub use api::ChangeLine;
pub use api::CommitReply;
pub use api::CommitRequest;
pub use api::failed;
pub use etcd::EtcdStore;
pub use guest::GuestStore;
pub use location::BadLocation;
pub use location::Credentials;
pub use location::EtcdLocation;
pub use location::Location;
pub use memory::MemoryStore;
pub use open::open;
pub use open::open_existing;
pub use sqlite::SqliteStore;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

/// The number of a commit. Each commit that changes something has a higher one than all before it.
pub type Revision = i64;

/// A key with its value and the revisions of its first and last change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The value.
    #[serde(with = "base64")]
    pub value: Vec<u8>,
    /// The commit that created the key.
    pub created: Revision,
    /// The commit that last changed it.
    pub modified: Revision,
}

/// Everything under a prefix, at one revision, sorted by key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Listing {
    /// The store's revision when it was read.
    pub revision: Revision,
    /// The entries.
    pub entries: Vec<Entry>,
}

/// A condition of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precondition {
    /// The key does not exist.
    Absent(String),
    /// The key exists, and the commit that created it has this revision.
    Created(String, Revision),
    /// The key exists, and the commit that last changed it has this revision.
    Modified(String, Revision),
}

/// One change that a commit makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    /// Sets a key. With a lease, the key is removed when the lease ends.
    Put {
        /// The key.
        key: String,
        /// The value.
        #[serde(with = "base64")]
        value: Vec<u8>,
        /// The lease that the key ends with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lease: Option<LeaseId>,
    },
    /// Removes a key, which need not exist.
    Delete(String),
}

/// The most preconditions, and the most operations, of one commit: etcd's default `--max-txn-ops` is 128.
pub const COMMIT_LIMIT: usize = 128;

/// The most bytes of keys and values in one commit: etcd's default `--max-request-bytes` is 1.5 MiB.
pub const COMMIT_BYTES: usize = 1024 * 1024;

/// A lease, which expires unless it is kept alive. Its keys are removed with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct LeaseId(pub i64);

impl Precondition {
    /// Returns the key of the condition.
    pub fn key(&self) -> &str {
        match self {
            Self::Absent(key) | Self::Created(key, _) | Self::Modified(key, _) => key,
        }
    }
}

impl Op {
    /// Returns the operation that sets a key without a lease.
    pub fn put(key: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        Self::Put { key: key.into(), value: value.into(), lease: None }
    }

    /// Returns the key that is changed.
    pub fn key(&self) -> &str {
        match self {
            Self::Put { key, .. } | Self::Delete(key) => key,
        }
    }

    /// Returns the number of bytes of key and value.
    pub fn size(&self) -> usize {
        match self {
            Self::Put { key, value, .. } => key.len() + value.len(),
            Self::Delete(key) => key.len(),
        }
    }
}

/// Returns why a commit breaks the limits. Every back end asks this first, so that all of them reject the same commits.
fn invalid_commit(preconditions: &[Precondition], ops: &[Op]) -> Option<String> {
    let (conditions, count) = (preconditions.len(), ops.len());
    if conditions > COMMIT_LIMIT || count > COMMIT_LIMIT {
        return Some(format!(
            "invalid commit of {conditions} preconditions and {count} operations: expected at most {COMMIT_LIMIT} of each"
        ));
    }
    let bytes = ops.iter().map(Op::size).sum::<usize>();
    if bytes > COMMIT_BYTES {
        return Some(format!("invalid commit of {bytes} bytes: expected at most {COMMIT_BYTES}"));
    }
    let mut keys = BTreeSet::new();
    let duplicate = ops.iter().map(Op::key).find(|key| !keys.insert(*key));
    duplicate.map(|key| format!("invalid commit: it changes the key {key} twice"))
}

/// One change that a watch delivers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WatchEvent {
    /// A key was set.
    Put(Entry),
    /// A key was removed, or its lease expired.
    Delete {
        /// The key.
        key: String,
        /// The revision of the commit that removed it.
        revision: Revision,
    },
}

impl WatchEvent {
    /// Returns the key.
    pub fn key(&self) -> &str {
        match self {
            Self::Put(entry) => &entry.key,
            Self::Delete { key, .. } => key,
        }
    }

    /// Returns the revision of the commit that made the change.
    pub const fn revision(&self) -> Revision {
        match self {
            Self::Put(entry) => entry.modified,
            Self::Delete { revision, .. } => *revision,
        }
    }
}

/// A request to the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store could not be reached, has no quorum, or did not answer in time. A commit may or may not have been made.
    #[error("store {store}: {detail}")]
    Unavailable {
        /// The store's location, without passwords.
        store: String,
        /// What happened.
        detail: String,
    },
    /// The store no longer has the changes that a watch asked for, or has too many of them. The caller must list again.
    /// Nothing was changed.
    #[error("store: the changes after revision {0} are compacted: list again")]
    Compacted(Revision),
    /// The lease has expired, and its keys were removed. Nothing else was changed.
    #[error("store: lease {} has expired", .0.0)]
    LeaseExpired(LeaseId),
    /// The text does not name a store. Nothing was opened.
    #[error(transparent)]
    BadLocation(#[from] BadLocation),
    /// The file of the store does not exist. Nothing was made.
    #[error("store {0} does not exist")]
    Missing(String),
    /// The epoch in the store is too far ahead of this host's clock for a leader to count on from it. Nothing was changed.
    #[error(
        "the epoch in the store, {epoch}, is {} days ahead of this host's clock: the record is damaged, or the clock is wrong",
        epoch.saturating_sub(*clock) / 86_400
    )]
    EpochAhead {
        /// The epoch in the store.
        epoch: u64,
        /// The seconds since 1970.
        clock: u64,
    },
    /// The store rejected the request: authentication, permission, an invalid commit, a file that cannot be used. Nothing
    /// was changed.
    #[error("store {store}: {detail}")]
    Refused {
        /// The store's location, without passwords.
        store: String,
        /// Why it was rejected.
        detail: String,
    },
}

/// Keyspace and values with revisions, conditional commits, leases and watches.
#[async_trait::async_trait]
pub trait Store: Send + Sync + std::fmt::Debug {
    /// Reports whether a process with this store may lead, and so reach hosts. One that may not leaves both to a controller.
    fn can_lead(&self) -> bool {
        true
    }

    /// Returns the key's entry, if the key exists.
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError>;

    /// Returns all entries whose key starts with `prefix`.
    async fn list(&self, prefix: &str) -> Result<Listing, StoreError>;

    /// Applies all operations at one revision if all preconditions hold, and returns the store's revision afterwards.
    /// Applies none of them and returns `None` if a precondition does not hold.
    ///
    /// A commit has at most [`COMMIT_LIMIT`] preconditions, as many operations, and [`COMMIT_BYTES`]. It may not change a
    /// key twice. A commit that changes nothing (no operations, or only deletes of absent keys) leaves the revision.
    async fn commit(&self, preconditions: Vec<Precondition>, ops: Vec<Op>) -> Result<Option<Revision>, StoreError>;

    /// Creates a lease that expires after `ttl` (whole seconds, at least one) unless it is kept alive.
    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError>;

    /// Renews a lease: it expires after its whole `ttl` from now.
    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError>;

    /// Ends a lease and removes its keys. The lease need not exist.
    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError>;

    /// Watches the keys under `prefix` for changes later than `after`.
    ///
    /// A revision that the store has not reached counts as compacted: the store was rebuilt, so the caller lists again.
    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, StoreError>;
}

/// An open watch. It ends when it is dropped.
#[async_trait::async_trait]
pub trait Watch: Send {
    /// Waits for the next changes, in the order of their commits. The changes of one commit come together. After an error
    /// the watch is unusable.
    ///
    /// Cancel safe: if the future is dropped, the next call returns the changes.
    async fn next(&mut self) -> Result<Vec<WatchEvent>, StoreError>;

    /// Returns the revision up to which all changes were delivered. It also grows while other keys change, so that a watch
    /// on a quiet prefix can be opened again after the store was compacted.
    fn revision(&self) -> Revision;
}

/// A store that is shared by the parts of the process.
pub type SharedStore = Arc<dyn Store>;
