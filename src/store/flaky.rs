//! A store that tests can make unavailable, slow, or silent about a commit.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
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

/// A store in memory that answers only while it is available.
#[derive(Debug, Clone, Default)]
pub(crate) struct FlakyStore {
    pub(crate) memory: MemoryStore,
    is_unavailable: Arc<AtomicBool>,
    loses_next_answer: Arc<AtomicBool>,
    list_delay: Arc<Mutex<Duration>>,
}

impl FlakyStore {
    pub(crate) fn set_unavailable(&self, is_unavailable: bool) {
        self.is_unavailable.store(is_unavailable, Ordering::SeqCst);
    }

    /// Loses the answer to the next commit.
    pub(crate) fn lose_next_answer(&self) {
        self.loses_next_answer.store(true, Ordering::SeqCst);
    }

    /// Makes every list take this long.
    pub(crate) fn set_list_delay(&self, delay: Duration) {
        *self.list_delay.lock().unwrap_or_else(PoisonError::into_inner) = delay;
    }

    fn check_available(&self) -> Result<(), StoreError> {
        if self.is_unavailable.load(Ordering::SeqCst) {
            return Err(unavailable());
        }
        Ok(())
    }
}

fn unavailable() -> StoreError {
    StoreError::Unavailable { store: "flaky".to_owned(), detail: "made unavailable".to_owned() }
}

#[async_trait::async_trait]
impl Store for FlakyStore {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        self.check_available()?;
        self.memory.get(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Listing, StoreError> {
        let delay = *self.list_delay.lock().unwrap_or_else(PoisonError::into_inner);
        tokio::time::sleep(delay).await;
        self.check_available()?;
        self.memory.list(prefix).await
    }

    async fn commit(&self, preconditions: Vec<Precondition>, ops: Vec<Op>) -> Result<Option<Revision>, StoreError> {
        self.check_available()?;
        let result = self.memory.commit(preconditions, ops).await;
        if self.loses_next_answer.swap(false, Ordering::SeqCst) { Err(unavailable()) } else { result }
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        self.check_available()?;
        self.memory.grant(ttl).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.check_available()?;
        self.memory.keep_alive(lease).await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.check_available()?;
        self.memory.revoke(lease).await
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, StoreError> {
        self.check_available()?;
        let watch = self.memory.watch(prefix, after).await?;
        Ok(Box::new(FlakyWatch { store: self.clone(), watch, lost_after: None }))
    }
}

struct FlakyWatch {
    store: FlakyStore,
    watch: Box<dyn Watch>,
    /// Set once changes were lost: the revision before them.
    lost_after: Option<Revision>,
}

#[async_trait::async_trait]
impl Watch for FlakyWatch {
    async fn next(&mut self) -> Result<Vec<WatchEvent>, StoreError> {
        let events = self.watch.next().await?;
        if let Err(error) = self.store.check_available() {
            self.lost_after = events.first().map(|event| event.revision() - 1);
            return Err(error);
        }
        Ok(events)
    }

    fn revision(&self) -> Revision {
        self.lost_after.unwrap_or_else(|| self.watch.revision())
    }
}
