//! The store in etcd, through its v3 API.

mod cluster;
mod error;
mod watch;

use std::time::Duration;

use etcd_client::Compare;
use etcd_client::CompareOp;
use etcd_client::GetOptions;
use etcd_client::KeyValue;
use etcd_client::PutOptions;
use etcd_client::Txn;
use etcd_client::TxnOp;

use super::Entry;
use super::LeaseId;
use super::Listing;
use super::Op;
use super::Precondition;
use super::Revision;
use super::Store;
use super::StoreError;
use super::Watch;
use super::location::Credentials;
use super::location::EtcdLocation;
use cluster::Cluster;
use error::EtcdError;
use error::Idempotency;
use watch::EtcdWatch;

/// The number of keys in one page of a list.
const PAGE: i64 = 1000;

/// The size limit of one answer. A list whose page would be larger is read in smaller pages. A watch whose changes would be
/// larger reports them as compacted, so that they are listed.
const ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// The number of attempts at a list. An attempt fails if etcd is compacted during it.
const LIST_TRIES: usize = 3;

/// A store in an etcd cluster.
#[derive(Debug, Clone)]
pub struct EtcdStore {
    cluster: Cluster,
    prefix: String,
}

impl EtcdStore {
    /// Returns a store that connects when it is first used.
    pub async fn open(location: &EtcdLocation, credentials: &Credentials) -> Result<Self, StoreError> {
        let cluster = Cluster::new(location, credentials).await?;
        Ok(Self { cluster, prefix: location.prefix.clone() })
    }

    fn key(&self, key: &str) -> Vec<u8> {
        [self.prefix.as_bytes(), key.as_bytes()].concat()
    }

    fn compare(&self, precondition: &Precondition) -> Compare {
        let key = self.key(precondition.key());
        match precondition {
            Precondition::Absent(_) => Compare::create_revision(key, CompareOp::Equal, 0),
            Precondition::Created(_, revision) => Compare::create_revision(key, CompareOp::Equal, *revision),
            Precondition::Modified(_, revision) => Compare::mod_revision(key, CompareOp::Equal, *revision),
        }
    }

    fn txn_op(&self, op: Op) -> TxnOp {
        match op {
            Op::Put { key, value, lease } => {
                let options = lease.map(|lease| PutOptions::new().with_lease(lease.0));
                TxnOp::put(self.key(&key), value, options)
            }
            Op::Delete(key) => TxnOp::delete(self.key(&key), None),
        }
    }

    /// Reads all entries under a prefix page by page, at the revision of the first page.
    async fn pages(&self, prefix: &str) -> Result<Listing, EtcdError> {
        let mut from = self.key(prefix);
        let end = end_of(&from);
        let mut listing = Listing::default();
        let mut page = PAGE;
        loop {
            let options = GetOptions::new().with_range(end.clone()).with_limit(page).with_revision(listing.revision);
            let read = self.cluster.call(Idempotency::Idempotent, |client| {
                let mut kv = client.kv_client().max_decoding_message_size(ANSWER_BYTES);
                let (from, options) = (from.clone(), options.clone());
                async move { kv.get(from, Some(options)).await }
            });
            let answer = match read.await {
                Err(EtcdError::AnswerTooLarge(_)) if page > 1 => {
                    page /= 2;
                    continue;
                }
                answer => answer?,
            };
            if listing.revision == 0 {
                listing.revision = answer.header().map_or(0, etcd_client::ResponseHeader::revision);
            }
            listing.entries.extend(answer.kvs().iter().map(|kv| entry(kv, &self.prefix)));
            match answer.kvs().last() {
                Some(last) if answer.more() => from = [last.key(), b"\0"].concat(),
                _ => return Ok(listing),
            }
        }
    }
}

/// Returns the first key after all keys that start with a prefix. For etcd `\0` is the end of all keys.
fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    vec![0]
}

/// Converts an entry. A key that is not UTF-8 is of another program. Its invalid bytes are replaced.
fn entry(kv: &KeyValue, prefix: &str) -> Entry {
    Entry {
        key: key(kv, prefix),
        value: kv.value().to_vec(),
        created: kv.create_revision(),
        modified: kv.mod_revision(),
    }
}

fn key(kv: &KeyValue, prefix: &str) -> String {
    String::from_utf8_lossy(kv.key().get(prefix.len()..).unwrap_or_default()).into_owned()
}

#[async_trait::async_trait]
impl Store for EtcdStore {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        let path = self.key(key);
        let read = self.cluster.call(Idempotency::Idempotent, |mut client| {
            let path = path.clone();
            async move { client.get(path, None).await }
        });
        let answer = read.await.map_err(|error| self.cluster.store_error(error))?;
        Ok(answer.kvs().first().map(|kv| entry(kv, &self.prefix)))
    }

    async fn list(&self, prefix: &str) -> Result<Listing, StoreError> {
        let mut tries = 1;
        loop {
            match self.pages(prefix).await {
                Err(EtcdError::Compacted) if tries < LIST_TRIES => tries += 1,
                listing => return listing.map_err(|error| self.cluster.store_error(error)),
            }
        }
    }

    async fn commit(&self, preconditions: Vec<Precondition>, ops: Vec<Op>) -> Result<Option<Revision>, StoreError> {
        if let Some(detail) = super::invalid_commit(&preconditions, &ops) {
            return Err(StoreError::Refused { store: self.cluster.name(), detail });
        }
        let lease = ops.iter().find_map(|op| match op {
            Op::Put { lease, .. } => *lease,
            Op::Delete(_) => None,
        });
        let compares: Vec<_> = preconditions.iter().map(|precondition| self.compare(precondition)).collect();
        let txn_ops: Vec<_> = ops.into_iter().map(|op| self.txn_op(op)).collect();
        let txn = Txn::new().when(compares).and_then(txn_ops);
        let commit = self.cluster.call(Idempotency::AtMostOnce, |mut client| {
            let txn = txn.clone();
            async move { client.txn(txn).await }
        });
        let answer = commit.await.map_err(|error| match (error, lease) {
            (EtcdError::LeaseNotFound, Some(lease)) => StoreError::LeaseExpired(lease),
            (error, _) => self.cluster.store_error(error),
        })?;
        let revision = answer.header().map_or(0, etcd_client::ResponseHeader::revision);
        Ok(answer.succeeded().then_some(revision))
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        let seconds = i64::try_from(ttl.as_secs().max(1)).unwrap_or(i64::MAX);
        // Granting twice leaves a lease without keys, which expires.
        let grant = self
            .cluster
            .call(Idempotency::Idempotent, |mut client| async move { client.lease_grant(seconds, None).await });
        let answer = grant.await.map_err(|error| self.cluster.store_error(error))?;
        Ok(LeaseId(answer.id()))
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        let keep = self.cluster.call(Idempotency::Idempotent, |mut client| async move {
            client.lease_keep_alive(lease.0).await.map(drop)
        });
        keep.await.map_err(|error| match error {
            EtcdError::LeaseNotFound => StoreError::LeaseExpired(lease),
            error => self.cluster.store_error(error),
        })
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        let revoke = self
            .cluster
            .call(Idempotency::Idempotent, |mut client| async move { client.lease_revoke(lease.0).await.map(drop) });
        match revoke.await {
            Ok(()) | Err(EtcdError::LeaseNotFound) => Ok(()),
            Err(error) => Err(self.cluster.store_error(error)),
        }
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, StoreError> {
        let watch = EtcdWatch::open(self.cluster.clone(), &self.prefix, &self.key(prefix), after).await?;
        Ok(Box::new(watch))
    }
}
