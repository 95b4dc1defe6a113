//! The store as one file, shared by every muster process on this machine: no server.
//!
//! sqlite blocks, so one thread owns the connection and is sent closures. Several processes write to the file in
//! turn; each watches what the others did by asking sqlite, a few times a second, whether the file has changed.

mod actor;
mod file;
mod table;

use std::path::Path;
use std::time::Duration;
use std::time::SystemTime;

use tokio::sync::watch;

use super::Entry;
use super::LeaseId;
use super::Listing;
use super::Op;
use super::Precondition;
use super::Revision;
use super::Store;
use super::StoreError;
use super::Watch;
use super::WatchEvent;
use actor::SqliteHandle;

/// A store in a file.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    handle: SqliteHandle,
}

impl SqliteStore {
    /// Opens the file, making it (and its folders, for this user alone) if it is not there.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let handle = SqliteHandle::start(path)?;
        handle.read(|_| Ok(())).await?;
        Ok(Self { handle })
    }
}

/// Returns the wall clock in milliseconds: the one clock that processes and reboots share.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[async_trait::async_trait]
impl Store for SqliteStore {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        let key = key.to_owned();
        self.handle.read(move |tables| tables.get(&key)).await
    }

    async fn list(&self, prefix: &str) -> Result<Listing, StoreError> {
        let prefix = prefix.to_owned();
        self.handle.read(move |tables| tables.list(&prefix)).await
    }

    async fn commit(&self, checks: Vec<Precondition>, changes: Vec<Op>) -> Result<Option<Revision>, StoreError> {
        if let Some(detail) = super::invalid_commit(&checks, &changes) {
            return Err(StoreError::Refused { store: self.handle.name(), detail });
        }
        let outcome = self.handle.write(move |tables| tables.commit(&checks, &changes)).await?;
        match outcome {
            table::CommitOutcome::Committed(revision) => Ok(Some(revision)),
            table::CommitOutcome::PreconditionFailed => Ok(None),
            table::CommitOutcome::LeaseExpired(lease) => Err(StoreError::LeaseExpired(lease)),
        }
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        let millis = i64::try_from(ttl.as_secs().max(1)).unwrap_or(i64::MAX).saturating_mul(1000);
        self.handle.write(move |tables| tables.grant(millis, now())).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        let kept = self.handle.write(move |tables| tables.keep_alive(lease, now())).await?;
        if kept { Ok(()) } else { Err(StoreError::LeaseExpired(lease)) }
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.handle.write(move |tables| tables.revoke(lease)).await
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, StoreError> {
        let changed = self.handle.subscribe();
        let mut watch =
            SqliteWatch { handle: self.handle.clone(), changed, prefix: prefix.to_owned(), after, due: true };
        watch.look().await?;
        Ok(Box::new(watch))
    }
}

struct SqliteWatch {
    handle: SqliteHandle,
    changed: watch::Receiver<()>,
    prefix: String,
    after: Revision,
    /// Set while the file has not been read since the last tick. A call that is dropped half-way leaves it set.
    due: bool,
}

impl SqliteWatch {
    async fn look(&mut self) -> Result<(Revision, Vec<WatchEvent>), StoreError> {
        self.changed.borrow_and_update();
        let (prefix, after) = (self.prefix.clone(), self.after);
        let seen = self.handle.read(move |tables| tables.changes(&prefix, after)).await?;
        seen.ok_or(StoreError::Compacted(after))
    }
}

#[async_trait::async_trait]
impl Watch for SqliteWatch {
    async fn next(&mut self) -> Result<Vec<WatchEvent>, StoreError> {
        loop {
            if self.due {
                let (revision, changes) = self.look().await?;
                self.after = revision;
                self.due = false;
                if !changes.is_empty() {
                    return Ok(changes);
                }
            }
            self.changed.changed().await.map_err(|_| self.handle.gone())?;
            self.due = true;
        }
    }
}
