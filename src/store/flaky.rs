//! A store that can be taken away, for the tests of what stands on a store.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Entry;
use super::LeaseId;
use super::Listing;
use super::MemoryStore;
use super::Op;
use super::Precondition;
use super::Revision;
use super::Store;
use super::StoreError;
use super::Watch;
use super::WatchEvent;

/// A store in memory that answers only while it is there.
#[derive(Debug, Clone, Default)]
pub(crate) struct FlakyStore {
    pub(crate) memory: MemoryStore,
    away: Arc<AtomicBool>,
    mute: Arc<AtomicBool>,
}

impl FlakyStore {
    pub(crate) fn set_unavailable(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    /// Loses the answer to the next commit that is taken.
    pub(crate) fn lose_next_answer(&self) {
        self.mute.store(true, Ordering::SeqCst);
    }

    fn there(&self) -> Result<(), StoreError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(away());
        }
        Ok(())
    }
}

fn away() -> StoreError {
    StoreError::Unavailable { store: "flaky".to_owned(), detail: "taken away".to_owned() }
}

#[async_trait::async_trait]
impl Store for FlakyStore {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        self.there()?;
        self.memory.get(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Listing, StoreError> {
        self.there()?;
        self.memory.list(prefix).await
    }

    async fn commit(&self, checks: Vec<Precondition>, changes: Vec<Op>) -> Result<Option<Revision>, StoreError> {
        self.there()?;
        let taken = self.memory.commit(checks, changes).await;
        if self.mute.swap(false, Ordering::SeqCst) { Err(away()) } else { taken }
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        self.there()?;
        self.memory.grant(ttl).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.there()?;
        self.memory.keep_alive(lease).await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.there()?;
        self.memory.revoke(lease).await
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, StoreError> {
        self.there()?;
        let watch = self.memory.watch(prefix, after).await?;
        Ok(Box::new(FlakyWatch { store: self.clone(), watch }))
    }
}

struct FlakyWatch {
    store: FlakyStore,
    watch: Box<dyn Watch>,
}

#[async_trait::async_trait]
impl Watch for FlakyWatch {
    async fn next(&mut self) -> Result<Vec<WatchEvent>, StoreError> {
        let changes = self.watch.next().await;
        self.store.there()?;
        changes
    }
}
