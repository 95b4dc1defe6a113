//! The store as one file, shared by every muster process on this machine: no server.
//!
//! sqlite blocks, so one thread owns the connection and is sent closures. Several processes write to the file in
//! turn; each watches what the others did by asking sqlite, a few times a second, whether the file has changed.

mod file;
mod owner;
mod table;

use std::path::Path;
use std::time::Duration;
use std::time::SystemTime;

use tokio::sync::watch;

use super::Change;
use super::Changed;
use super::Check;
use super::Entry;
use super::LeaseId;
use super::Listing;
use super::Revision;
use super::Store;
use super::StoreError;
use super::Watch;
use owner::Owner;

/// A store in a file.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    owner: Owner,
}

impl SqliteStore {
    /// Opens the file, making it (and its folders, for this user alone) if it is not there.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let owner = Owner::start(path)?;
        owner.read(|_| Ok(())).await?;
        Ok(Self { owner })
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
        self.owner.read(move |tables| tables.get(&key)).await
    }

    async fn list(&self, prefix: &str) -> Result<Listing, StoreError> {
        let prefix = prefix.to_owned();
        self.owner.read(move |tables| tables.list(&prefix)).await
    }

    async fn commit(&self, checks: Vec<Check>, changes: Vec<Change>) -> Result<Option<Revision>, StoreError> {
        if let Some(detail) = super::refusal(&checks, &changes) {
            return Err(StoreError::Refused { store: self.owner.name(), detail });
        }
        let outcome = self.owner.write(move |tables| tables.commit(&checks, &changes)).await?;
        match outcome {
            table::Outcome::Made(revision) => Ok(Some(revision)),
            table::Outcome::CheckFailed => Ok(None),
            table::Outcome::LeaseGone(lease) => Err(StoreError::LeaseGone(lease)),
        }
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        let millis = i64::try_from(ttl.as_secs().max(1)).unwrap_or(i64::MAX).saturating_mul(1000);
        self.owner.write(move |tables| tables.grant(millis, now())).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        let kept = self.owner.write(move |tables| tables.keep_alive(lease, now())).await?;
        if kept { Ok(()) } else { Err(StoreError::LeaseGone(lease)) }
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.owner.write(move |tables| tables.revoke(lease)).await
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, StoreError> {
        let ticks = self.owner.ticks();
        let mut watch = SqliteWatch { owner: self.owner.clone(), ticks, prefix: prefix.to_owned(), after, due: true };
        watch.look().await?;
        Ok(Box::new(watch))
    }
}

struct SqliteWatch {
    owner: Owner,
    ticks: watch::Receiver<()>,
    prefix: String,
    after: Revision,
    /// Set while the file has not been read since the last tick. A call that is dropped half-way leaves it set.
    due: bool,
}

impl SqliteWatch {
    async fn look(&mut self) -> Result<(Revision, Vec<Changed>), StoreError> {
        self.ticks.borrow_and_update();
        let (prefix, after) = (self.prefix.clone(), self.after);
        let seen = self.owner.read(move |tables| tables.changes(&prefix, after)).await?;
        seen.ok_or(StoreError::Compacted(after))
    }
}

#[async_trait::async_trait]
impl Watch for SqliteWatch {
    async fn next(&mut self) -> Result<Vec<Changed>, StoreError> {
        loop {
            if self.due {
                let (revision, changes) = self.look().await?;
                self.after = revision;
                self.due = false;
                if !changes.is_empty() {
                    return Ok(changes);
                }
            }
            self.ticks.changed().await.map_err(|_| self.owner.gone())?;
            self.due = true;
        }
    }
}
