//! A store for those who change records and must not lead: a process beside the leader's own loop.

use std::time::Duration;

use super::Entry;
use super::LeaseId;
use super::Listing;
use super::Op;
use super::Precondition;
use super::Revision;
use super::SharedStore;
use super::Store;
use super::StoreError;
use super::Watch;

/// A store whose users do not lead.
#[derive(Debug)]
pub struct GuestStore(pub SharedStore);

#[async_trait::async_trait]
impl Store for GuestStore {
    fn can_lead(&self) -> bool {
        false
    }

    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        self.0.get(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Listing, StoreError> {
        self.0.list(prefix).await
    }

    async fn commit(&self, preconditions: Vec<Precondition>, ops: Vec<Op>) -> Result<Option<Revision>, StoreError> {
        self.0.commit(preconditions, ops).await
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        self.0.grant(ttl).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.0.keep_alive(lease).await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.0.revoke(lease).await
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, StoreError> {
        self.0.watch(prefix, after).await
    }
}
