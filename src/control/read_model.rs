//! The read model: the cluster as the store has it, and its latest events, kept up to date for all that show it. One listing
//! of the store, then its changes: a reader asks the store for nothing.
//!
//! It decides nothing and writes nothing. Readers get a value that does not change while they read it.

mod log;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::look;
use crate::core::model::Grant;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;
use crate::core::model::Unit;
use crate::core::unit::UnitName;
use crate::runner::Clock;
use crate::store::SharedStore;
use crate::store::WatchEvent;
use crate::store::follow::Follower;
use crate::store::follow::Update;
use crate::store::layout;
use crate::store::layout::Key;
use crate::store::layout::Keyspace;
use crate::store::leader_election::LeaderRecord;

pub use log::EventLog;
pub use log::LogItem;
use log::Reader;

/// The cluster at one moment.
#[derive(Debug, Clone, Default)]
pub struct Published {
    /// The records.
    snapshot: Arc<Snapshot>,
    /// The process that leads, if one does.
    pub leader: Option<LeaderRecord>,
    /// The latest events.
    pub events: Arc<EventLog>,
    /// Set once the store has been read.
    pub is_read: bool,
    /// Set while the store does not answer, so that the rest may be out of date: since when, and why.
    pub stale: Option<Stale>,
}

/// Since when the store does not answer, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stale {
    /// Since when.
    pub since: Timestamp,
    /// The error of the store.
    pub why: String,
}

impl Published {
    /// Returns the record of a unit.
    pub fn unit(&self, unit: &UnitName) -> Option<Unit> {
        self.snapshot.units.get(unit).copied()
    }

    /// Returns the records, with the ends of the leases that no process renews.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        let mut snapshot = Arc::clone(&self.snapshot);
        if let Some(until) = look::controlled_until(&snapshot, self.leader.as_ref())
            && snapshot.leases.values().any(Grant::is_open)
        {
            look::end_leases(Arc::make_mut(&mut snapshot), Some(until));
        }
        snapshot
    }
}

/// What readers hold of the read model.
#[derive(Debug, Clone)]
pub struct View(watch::Receiver<Published>);

impl View {
    /// Returns the cluster of this moment.
    pub fn now(&self) -> Published {
        self.0.borrow().clone()
    }

    /// Waits for a change after the last call. Returns false once the model has ended.
    pub async fn changed(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }

    /// Waits until the cluster is as a reader needs it, no longer than a limit. Reports whether it is.
    pub async fn until(&self, limit: Duration, is_so: impl Fn(&Published) -> bool) -> bool {
        let mut receiver = self.0.clone();
        matches!(tokio::time::timeout(limit, receiver.wait_for(|published| is_so(published))).await, Ok(Ok(_)))
    }
}

/// The read model of a cluster.
#[derive(Debug)]
pub struct ReadModel {
    keys: Keyspace,
    clock: Clock,
    follower: Follower,
    reader: Reader,
    publisher: watch::Sender<Published>,
}

impl ReadModel {
    /// Makes the read model of a cluster, and the view of it. Nothing is read before it runs.
    pub fn new(store: &SharedStore, keys: &Keyspace, clock: Clock) -> (Self, View) {
        let (publisher, receiver) = watch::channel(Published::default());
        let prefixes = [keys.prefixes(), vec![keys.events()]].concat();
        let follower = Follower::new(store.clone(), prefixes);
        (Self { keys: keys.clone(), clock, follower, reader: Reader::default(), publisher }, View(receiver))
    }

    /// Keeps the view up to date, forever.
    pub async fn run(mut self) {
        loop {
            let update = self.follower.next().await;
            self.publish(update);
        }
    }

    fn publish(&mut self, update: Update) {
        let Self { keys, clock, reader, publisher, .. } = self;
        publisher.send_modify(|published| match update {
            Update::Unavailable(error) => {
                let since = published.stale.take().map_or_else(|| clock.now(), |stale| stale.since);
                published.stale = Some(Stale { since, why: error.to_string() });
            }
            Update::Reset(listing) => {
                published.stale = None;
                published.is_read = true;
                published.snapshot = Arc::new(layout::snapshot(keys, &listing));
                let leader = listing.entries.iter().find(|entry| entry.key == keys.key(&Key::Leader));
                published.leader = leader.map(|entry| LeaderRecord::read(&entry.value));
                let logged = listing.entries.into_iter().filter(|entry| entry.key.starts_with(&keys.events()));
                let items = reader.take_listing(keys, listing.revision, logged.collect());
                Arc::make_mut(&mut published.events).extend(items);
            }
            Update::Events(changes) => {
                published.stale = None;
                note_leader(published, keys, &changes);
                layout::apply(Arc::make_mut(&mut published.snapshot), keys, &changes);
                let items = reader.take_changes(keys, &changes);
                if !items.is_empty() {
                    Arc::make_mut(&mut published.events).extend(items);
                }
            }
        });
    }
}

fn note_leader(published: &mut Published, keys: &Keyspace, changes: &[WatchEvent]) {
    let leader = keys.key(&Key::Leader);
    if let Some(change) = changes.iter().rfind(|change| change.key() == leader) {
        published.leader = match change {
            WatchEvent::Put(entry) => Some(LeaderRecord::read(&entry.value)),
            WatchEvent::Delete { .. } => None,
        };
    }
}
