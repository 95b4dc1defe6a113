//! Leadership that is held: it commits, renews its lease, and ends.
//!
//! A leader stops acting before its lease ends, by its own clock: two thirds of the lease after the last renewal that the
//! store answered. Each commit is conditional on two revisions. One is that at which the leader was elected: after another
//! process became the leader, the store takes nothing. The other is that of the leader's previous commit: a commit that
//! was not answered can be sent again, and is neither made twice nor late.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::LEASE_DURATION;
use crate::store::COMMIT_BYTES;
use crate::store::COMMIT_LIMIT;
use crate::store::LeaseId;
use crate::store::Op;
use crate::store::Precondition;
use crate::store::Revision;
use crate::store::SharedStore;
use crate::store::StoreError;
use crate::store::layout::Keyspace;
use crate::store::layout::prune_ops;

/// How often the lease is renewed: normally, and after a renewal that the store did not answer. A cluster of etcd servers
/// that lost its own leader needs about 3 s to elect another, which fits into the lease at any moment.
const RENEW_INTERVAL: (Duration, Duration) = (Duration::from_secs(2), Duration::from_millis(500));

/// The delay before a commit is sent again to a store that was unavailable.
const COMMIT_RETRY: Duration = Duration::from_millis(200);

/// The right to write, until it expires or is lost. [`Leadership::resign`] ends it. Dropping it in a runtime ends it too.
#[derive(Debug)]
pub struct Leadership {
    store: SharedStore,
    /// Holds while no other process has become the leader.
    pub(super) guard: Precondition,
    /// The key of the epoch. Every commit of the leader sets it again.
    pub(super) epoch_key: String,
    /// The revision of the last commit.
    pub(super) head: Mutex<Revision>,
    epoch: u64,
    pub(super) lease: LeaseId,
    /// The time until which leadership is certain, by this process's clock.
    valid_until: watch::Receiver<Instant>,
    renewer: JoinHandle<()>,
}

impl Leadership {
    /// Starts to renew a lease that was asked for at `asked`. `head` is the key of the epoch and the revision that set it.
    pub(super) fn start(
        store: &SharedStore,
        guard: Precondition,
        head: (String, Revision),
        epoch: u64,
        (lease, asked): (LeaseId, Instant),
    ) -> Self {
        let (extend, valid_until) = watch::channel(asked + LEASE_DURATION * 2 / 3);
        let renewer = tokio::spawn(renew(store.clone(), lease, extend));
        let (epoch_key, head) = (head.0, Mutex::new(head.1));
        Self { store: store.clone(), guard, epoch_key, head, epoch, lease, valid_until, renewer }
    }

    /// Returns the leader's epoch.
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Reports whether leadership is certain, by this process's clock.
    pub fn is_valid(&self) -> bool {
        Instant::now() < *self.valid_until.borrow()
    }

    /// Commits the operations in the given order, in as few commits as the store takes. Returns false if leadership was
    /// lost: the rest was not committed. A store that is unavailable is asked again while leadership is valid.
    pub async fn commit(&self, ops: Vec<Op>) -> Result<bool, StoreError> {
        let mut head = self.head.lock().await;
        let mark = Op::put(self.epoch_key.clone(), self.epoch.to_string());
        for batch in batches(ops, &mark) {
            match self.commit_once(*head, batch).await? {
                Some(revision) => *head = revision,
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Makes one commit exactly once, however often the store has to be asked. Every commit of this leader, and the
    /// election of another, sets the key of the epoch: a commit that arrives late finds it changed.
    async fn commit_once(&self, head: Revision, ops: Vec<Op>) -> Result<Option<Revision>, StoreError> {
        let preconditions = [self.guard.clone(), Precondition::Modified(self.epoch_key.clone(), head)];
        let mut unavailable = None;
        while self.is_valid() {
            let result = match self.store.commit(preconditions.to_vec(), ops.clone()).await {
                // An earlier attempt that was not answered may have been made.
                Ok(None) if unavailable.is_some() => self.last_commit(head).await,
                result => result,
            };
            match result {
                Err(error @ StoreError::Unavailable { .. }) => unavailable = Some(error),
                result => return result,
            }
            tokio::time::sleep(COMMIT_RETRY).await;
        }
        unavailable.map_or(Ok(None), Err)
    }

    /// Returns the revision of this leader's last commit, if it came after `head`.
    async fn last_commit(&self, head: Revision) -> Result<Option<Revision>, StoreError> {
        let entry = self.store.get(&self.epoch_key).await?;
        let own = entry.filter(|entry| entry.value == self.epoch.to_string().as_bytes());
        Ok(own.map(|entry| entry.modified).filter(|modified| *modified != head))
    }

    /// Removes the oldest events beyond the newest `keep`. Returns false if leadership was lost. Only a leader prunes, so
    /// no two processes prune at once.
    pub async fn prune_events(&self, keyspace: &Keyspace, keep: usize) -> Result<bool, StoreError> {
        let listing = self.store.list(&keyspace.events()).await?;
        self.commit(prune_ops(keyspace, &listing, keep)).await
    }

    /// Waits until leadership is lost.
    pub async fn wait_until_lost(&self) {
        let mut valid_until = self.valid_until.clone();
        loop {
            let until = *valid_until.borrow_and_update();
            tokio::select! {
                () = tokio::time::sleep_until(until) => return,
                // The renewer has ended: leadership lasts until the time that it last set.
                changed = valid_until.changed() => if changed.is_err() {
                    return tokio::time::sleep_until(until).await;
                },
            }
        }
    }

    /// Ends leadership at once. If the store is unavailable, the lease expires.
    pub async fn resign(&self) {
        self.renewer.abort();
        let _ = self.store.revoke(self.lease).await;
    }
}

impl Drop for Leadership {
    fn drop(&mut self) {
        self.renewer.abort();
        // The next leader need not wait for the lease of one that failed. If the store is unavailable, the lease expires.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (store, lease) = (self.store.clone(), self.lease);
            runtime.spawn(async move { store.revoke(lease).await });
        }
    }
}

/// Renews the lease until it is gone.
async fn renew(store: SharedStore, lease: LeaseId, extend: watch::Sender<Instant>) {
    let mut delay = RENEW_INTERVAL.0;
    loop {
        tokio::time::sleep(delay).await;
        let asked = Instant::now();
        delay = RENEW_INTERVAL.1;
        let renewed = tokio::time::timeout(RENEW_INTERVAL.0, store.keep_alive(lease)).await;
        match renewed {
            Ok(Ok(())) => {
                delay = RENEW_INTERVAL.0;
                let _ = extend.send(asked + LEASE_DURATION * 2 / 3);
            }
            Ok(Err(StoreError::LeaseExpired(_))) => {
                let _ = extend.send(asked);
                return;
            }
            Ok(Err(_)) | Err(_) => {}
        }
    }
}

/// Splits operations into as few commits as the store takes, each with `mark`.
fn batches(ops: Vec<Op>, mark: &Op) -> Vec<Vec<Op>> {
    let mut batches: Vec<Vec<Op>> = Vec::new();
    let mut room = 0;
    for op in ops {
        let size = op.size();
        match batches.last_mut() {
            Some(batch) if batch.len() < COMMIT_LIMIT && size <= room => {
                room -= size;
                batch.push(op);
            }
            _ => {
                room = COMMIT_BYTES.saturating_sub(mark.size() + size);
                batches.push(vec![mark.clone(), op]);
            }
        }
    }
    batches
}
