//! The store in one file, shared by all muster processes on this host, without a server.
//!
//! sqlite blocks, so one thread owns the connection and runs closures that it is sent. Several processes take turns to
//! write to the file. Each asks sqlite ten times a second whether another process has written, while it has watches.

mod actor;
mod clock;
mod file;
mod table;

use std::path::Path;
use std::time::Duration;

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
use clock::Now;

/// A store in a sqlite file.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    handle: SqliteHandle,
}

impl SqliteStore {
    /// Opens the file. Creates it, and its folders, readable by this user only, if it does not exist.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let handle = SqliteHandle::start(path)?;
        handle.read(|_| Ok(())).await?;
        Ok(Self { handle })
    }
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

    async fn commit(&self, preconditions: Vec<Precondition>, ops: Vec<Op>) -> Result<Option<Revision>, StoreError> {
        if let Some(detail) = super::invalid_commit(&preconditions, &ops) {
            return Err(StoreError::Refused { store: self.handle.name(), detail });
        }
        let outcome = self.handle.write(move |tables| tables.commit(&preconditions, &ops)).await?;
        match outcome {
            table::CommitOutcome::Committed(revision) => Ok(Some(revision)),
            table::CommitOutcome::PreconditionFailed => Ok(None),
            table::CommitOutcome::LeaseExpired(lease) => Err(StoreError::LeaseExpired(lease)),
        }
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        let millis = i64::try_from(ttl.as_secs().max(1)).unwrap_or(i64::MAX).saturating_mul(1000);
        self.handle.write(move |tables| tables.grant(millis, Now::read())).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        let kept = self.handle.write(move |tables| tables.keep_alive(lease, Now::read())).await?;
        if kept { Ok(()) } else { Err(StoreError::LeaseExpired(lease)) }
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.handle.write(move |tables| tables.revoke(lease)).await
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, StoreError> {
        let changed = self.handle.subscribe();
        let mut watch =
            SqliteWatch { handle: self.handle.clone(), changed, prefix: prefix.to_owned(), after, is_due: true };
        watch.read_changes().await?;
        Ok(Box::new(watch))
    }
}

struct SqliteWatch {
    handle: SqliteHandle,
    changed: watch::Receiver<()>,
    prefix: String,
    after: Revision,
    /// Set while the file has not been read since it may have changed. A cancelled call leaves it set.
    is_due: bool,
}

impl SqliteWatch {
    async fn read_changes(&mut self) -> Result<(Revision, Vec<WatchEvent>), StoreError> {
        self.changed.borrow_and_update();
        let (prefix, after) = (self.prefix.clone(), self.after);
        let changes = self.handle.read(move |tables| tables.changes(&prefix, after)).await?;
        changes.ok_or(StoreError::Compacted(after))
    }
}

#[async_trait::async_trait]
impl Watch for SqliteWatch {
    async fn next(&mut self) -> Result<Vec<WatchEvent>, StoreError> {
        loop {
            if self.is_due {
                let (revision, changes) = self.read_changes().await?;
                self.after = revision;
                self.is_due = false;
                if !changes.is_empty() {
                    return Ok(changes);
                }
            }
            self.changed.changed().await.map_err(|_| self.handle.ended())?;
            self.is_due = true;
        }
    }

    fn revision(&self) -> Revision {
        self.after
    }
}
