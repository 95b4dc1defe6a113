//! The store in the memory of this process, for tests and simulations.
//!
//! Its clock is tokio's, so a test with paused time decides when a lease expires. It has no task of its own: leases expire
//! when the next request or watch looks at them.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

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

/// The number of changes that are kept for watches.
const HISTORY_LIMIT: usize = 8192;

/// A store that ends with its last clone. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    committed: watch::Sender<Revision>,
}

#[derive(Debug, Default)]
struct State {
    revision: Revision,
    entries: BTreeMap<String, (Entry, Option<LeaseId>)>,
    leases: BTreeMap<i64, Lease>,
    granted: i64,
    history: VecDeque<WatchEvent>,
    compacted: Revision,
}

#[derive(Debug)]
struct Lease {
    ttl: Duration,
    expires: Instant,
}

impl MemoryStore {
    /// Returns an empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Discards all changes so far, as a compaction of etcd does.
    pub fn compact(&self) {
        let mut state = self.shared.lock();
        state.history.clear();
        state.compacted = state.revision;
    }
}

impl Shared {
    /// Locks the state and ends expired leases.
    fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.expire(Instant::now());
        self.announce(&state);
        state
    }

    fn announce(&self, state: &State) {
        self.committed.send_if_modified(|seen| std::mem::replace(seen, state.revision) != state.revision);
    }
}

impl State {
    fn expire(&mut self, now: Instant) {
        let expired: Vec<i64> =
            self.leases.iter().filter(|(_, lease)| lease.expires <= now).map(|(id, _)| *id).collect();
        for id in expired {
            self.revoke(LeaseId(id));
        }
    }

    fn revoke(&mut self, lease: LeaseId) {
        self.leases.remove(&lease.0);
        let held = self.entries.iter().filter(|(_, (_, holder))| *holder == Some(lease));
        let deletes: Vec<Op> = held.map(|(key, _)| Op::Delete(key.clone())).collect();
        self.apply(deletes);
    }

    fn holds(&self, precondition: &Precondition) -> bool {
        let entry = self.entries.get(precondition.key()).map(|(entry, _)| entry);
        match precondition {
            Precondition::Absent(_) => entry.is_none(),
            Precondition::Created(_, revision) => entry.is_some_and(|entry| entry.created == *revision),
            Precondition::Modified(_, revision) => entry.is_some_and(|entry| entry.modified == *revision),
        }
    }

    fn apply(&mut self, ops: Vec<Op>) {
        let revision = self.revision + 1;
        for op in ops {
            let event = match op {
                Op::Put { key, value, lease } => {
                    let created = self.entries.get(&key).map_or(revision, |(entry, _)| entry.created);
                    let entry = Entry { key: key.clone(), value, created, modified: revision };
                    self.entries.insert(key, (entry.clone(), lease));
                    WatchEvent::Put(entry)
                }
                Op::Delete(key) => match self.entries.remove(&key) {
                    Some(_) => WatchEvent::Delete { key, revision },
                    None => continue,
                },
            };
            self.revision = revision;
            self.history.push_back(event);
        }
        while self.history.len() > HISTORY_LIMIT {
            self.compacted = self.history.pop_front().map_or(self.compacted, |event| event.revision());
        }
    }

    fn events(&self, prefix: &str, after: Revision) -> Result<Vec<WatchEvent>, StoreError> {
        if after < self.compacted || after > self.revision {
            return Err(StoreError::Compacted(after));
        }
        let new = self.history.iter().filter(|event| event.revision() > after && event.key().starts_with(prefix));
        Ok(new.cloned().collect())
    }
}

#[async_trait::async_trait]
impl Store for MemoryStore {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        Ok(self.shared.lock().entries.get(key).map(|(entry, _)| entry.clone()))
    }

    async fn list(&self, prefix: &str) -> Result<Listing, StoreError> {
        let state = self.shared.lock();
        let from = state.entries.range(prefix.to_owned()..).take_while(|(key, _)| key.starts_with(prefix));
        Ok(Listing { revision: state.revision, entries: from.map(|(_, (entry, _))| entry.clone()).collect() })
    }

    async fn commit(&self, preconditions: Vec<Precondition>, ops: Vec<Op>) -> Result<Option<Revision>, StoreError> {
        if let Some(detail) = super::invalid_commit(&preconditions, &ops) {
            return Err(StoreError::Refused { store: "memory".to_owned(), detail });
        }
        let mut state = self.shared.lock();
        if !preconditions.iter().all(|precondition| state.holds(precondition)) {
            return Ok(None);
        }
        for op in &ops {
            if let Op::Put { lease: Some(lease), .. } = op
                && !state.leases.contains_key(&lease.0)
            {
                return Err(StoreError::LeaseExpired(*lease));
            }
        }
        state.apply(ops);
        self.shared.announce(&state);
        Ok(Some(state.revision))
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        let ttl = Duration::from_secs(ttl.as_secs().max(1));
        let mut state = self.shared.lock();
        state.granted += 1;
        let id = state.granted;
        state.leases.insert(id, Lease { ttl, expires: Instant::now() + ttl });
        Ok(LeaseId(id))
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        let mut state = self.shared.lock();
        let kept = state.leases.get_mut(&lease.0).ok_or(StoreError::LeaseExpired(lease))?;
        kept.expires = Instant::now() + kept.ttl;
        Ok(())
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        let mut state = self.shared.lock();
        state.revoke(lease);
        self.shared.announce(&state);
        Ok(())
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, StoreError> {
        self.shared.lock().events(prefix, after)?;
        let committed = self.shared.committed.subscribe();
        Ok(Box::new(MemoryWatch { shared: Arc::clone(&self.shared), committed, prefix: prefix.to_owned(), after }))
    }
}

struct MemoryWatch {
    shared: Arc<Shared>,
    committed: watch::Receiver<Revision>,
    prefix: String,
    after: Revision,
}

#[async_trait::async_trait]
impl Watch for MemoryWatch {
    async fn next(&mut self) -> Result<Vec<WatchEvent>, StoreError> {
        loop {
            let next_expiry = {
                let state = self.shared.lock();
                self.committed.borrow_and_update();
                let events = state.events(&self.prefix, self.after)?;
                self.after = state.revision;
                if !events.is_empty() {
                    return Ok(events);
                }
                state.leases.values().map(|lease| lease.expires).min()
            };
            let expiry = async {
                match next_expiry {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = self.committed.changed() => {}
                () = expiry => {}
            }
        }
    }

    fn revision(&self) -> Revision {
        self.after
    }
}
