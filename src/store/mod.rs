//! What the cluster knows, kept where every muster process can find it.
//!
//! One trait, three back ends with one contract: etcd, sqlite and memory. This is the only room that names
//! `etcd_client` and `rusqlite`. It moves keys and values; what they mean is in [`layout`].

mod etcd;
#[cfg(test)]
mod flaky;
pub mod follow;
pub mod layout;
pub mod leader_election;
mod memory;
mod open;
mod sqlite;

pub use etcd::EtcdStore;
pub use memory::MemoryStore;
pub use open::BadLocation;
pub use open::Credentials;
pub use open::EtcdLocation;
pub use open::Location;
pub use open::open;
pub use sqlite::SqliteStore;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// A store's clock: it grows with every commit and never goes back.
pub type Revision = i64;

/// A key with its value and its history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The value.
    pub value: Vec<u8>,
    /// The commit that created the key.
    pub created: Revision,
    /// The commit that last changed it.
    pub modified: Revision,
}

/// Everything under a prefix, at one revision, sorted by key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// The store's revision when it was read.
    pub revision: Revision,
    /// What was there.
    pub entries: Vec<Entry>,
}

/// A condition that a commit carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// The key is not there.
    Absent(String),
    /// The key is there, and the commit that created it was this one.
    Created(String, Revision),
    /// The key is there, and the commit that last changed it was this one.
    Modified(String, Revision),
}

/// A change that a commit makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Sets a key. With a lease, the key goes when the lease does.
    Put {
        /// The key.
        key: String,
        /// The value.
        value: Vec<u8>,
        /// The lease that holds it, if one.
        lease: Option<LeaseId>,
    },
    /// Removes a key; it need not be there.
    Delete(String),
}

/// How many checks and changes one commit may carry: etcd's default `--max-txn-ops` is 128.
pub const COMMIT_LIMIT: usize = 128;

/// How many bytes of keys and values one commit may carry: etcd's default `--max-request-bytes` is 1.5 MiB.
pub const COMMIT_BYTES: usize = 1024 * 1024;

/// Something that expires unless it is kept alive, and takes its keys with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct LeaseId(pub i64);

impl Check {
    /// Returns the key that the condition is about.
    pub fn key(&self) -> &str {
        match self {
            Self::Absent(key) | Self::Created(key, _) | Self::Modified(key, _) => key,
        }
    }
}

impl Change {
    /// Sets a key for good.
    pub fn put(key: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        Self::Put { key: key.into(), value: value.into(), lease: None }
    }

    /// Returns the key that is changed.
    pub fn key(&self) -> &str {
        match self {
            Self::Put { key, .. } | Self::Delete(key) => key,
        }
    }

    /// Returns how many bytes of key and value the change carries.
    pub fn size(&self) -> usize {
        match self {
            Self::Put { key, value, .. } => key.len() + value.len(),
            Self::Delete(key) => key.len(),
        }
    }
}

/// Says why no store takes such a commit, if none does. Every back end asks this first, so that all refuse the same.
fn refusal(checks: &[Check], changes: &[Change]) -> Option<String> {
    if checks.len() > COMMIT_LIMIT || changes.len() > COMMIT_LIMIT {
        return Some(format!("a commit of more than {COMMIT_LIMIT} checks or changes"));
    }
    if changes.iter().map(Change::size).sum::<usize>() > COMMIT_BYTES {
        return Some(format!("a commit of more than {COMMIT_BYTES} bytes"));
    }
    let mut keys = BTreeSet::new();
    let twice = changes.iter().map(Change::key).find(|key| !keys.insert(*key));
    twice.map(|key| format!("a commit that changes {key} twice"))
}

/// What a watch saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// A key was set.
    Set(Entry),
    /// A key was removed, or its lease expired.
    Gone {
        /// The key.
        key: String,
        /// The commit that removed it.
        revision: Revision,
    },
}

impl Changed {
    /// Returns the key.
    pub fn key(&self) -> &str {
        match self {
            Self::Set(entry) => &entry.key,
            Self::Gone { key, .. } => key,
        }
    }

    /// Returns the commit that made the change.
    pub const fn revision(&self) -> Revision {
        match self {
            Self::Set(entry) => entry.modified,
            Self::Gone { revision, .. } => *revision,
        }
    }
}

/// The store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It could not be reached, or has no quorum, or did not answer in time. Whether a commit was made is not known.
    #[error("store {store}: {detail}")]
    Away {
        /// Which store, without passwords.
        store: String,
        /// What happened.
        detail: String,
    },
    /// The revisions that a watch asked for are gone, or too much happened since: list again. Nothing was changed.
    #[error("store: the changes after revision {0} are no longer kept")]
    Compacted(Revision),
    /// The lease has expired; its keys are gone.
    #[error("store: lease {0:?} has expired")]
    LeaseGone(LeaseId),
    /// It answered that it will not: authentication, permission, a commit too large, a file it cannot write. Nothing was changed.
    #[error("store {store}: {detail}")]
    Refused {
        /// Which store, without passwords.
        store: String,
        /// What it said.
        detail: String,
    },
}

/// Keys and values with revisions, conditional commits, leases and watches.
#[async_trait::async_trait]
pub trait Store: Send + Sync + std::fmt::Debug {
    /// Returns the key's entry, if it is there.
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError>;

    /// Returns everything whose key starts with `prefix`.
    async fn list(&self, prefix: &str) -> Result<Listing, StoreError>;

    /// Makes all changes if all checks hold, at once, and returns the store's revision after it; makes none and
    /// returns `None` otherwise.
    ///
    /// At most [`COMMIT_LIMIT`] checks and at most as many changes, of at most [`COMMIT_BYTES`]; no key may be changed
    /// twice. A commit that changes nothing (no changes, or only deletes of what is not there) leaves the revision.
    async fn commit(&self, checks: Vec<Check>, changes: Vec<Change>) -> Result<Option<Revision>, StoreError>;

    /// Makes a lease that expires after `ttl` (whole seconds, at least one) unless it is kept alive.
    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError>;

    /// Gives a lease its whole time again.
    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError>;

    /// Ends a lease and removes its keys; it need not exist.
    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError>;

    /// Watches the keys under `prefix` for what happens after `after`.
    ///
    /// A revision that the store has not reached is as good as compacted: the store was rebuilt, so list again.
    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, StoreError>;
}

/// An open watch. Dropping it ends it.
#[async_trait::async_trait]
pub trait Watch: Send {
    /// Waits for the next commits' changes, in order, and all of each commit's. After an error the watch is of no more use.
    ///
    /// Safe to drop half-way: no change is lost, the next call returns it.
    async fn next(&mut self) -> Result<Vec<Changed>, StoreError>;
}

/// A store that any part of the process may hold on to.
pub type SharedStore = Arc<dyn Store>;
