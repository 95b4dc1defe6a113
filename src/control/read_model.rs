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
use crate::runner::ClusterContext;
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

/// How long to wait after a look before the next one. What a look found counts as the present state for four seconds.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How long to wait after a change of the store: more changes come with it.
const LOOK_DELAY: Duration = Duration::from_millis(200);

/// How many views there are while no reader waits for changes: that of the API.
const IDLE_VIEWS: usize = 1;

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
    /// Another number after each change of a record, but not after an event or an observation time: those come all the time and
    /// change little of what is shown.
    pub revision: u64,
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

/// Follows the records of a cluster and its events.
fn follower(store: &SharedStore, keys: &Keyspace) -> Follower {
    Follower::new(store.clone(), [keys.prefixes(), vec![keys.events()]].concat())
}

/// Waits, then looks at the machines. Returns the records with what was found; `None` if the store did not answer.
async fn found(cluster: &ClusterContext, delay: Duration) -> Option<Snapshot> {
    tokio::time::sleep(delay).await;
    look::look(cluster).await.ok().map(|look| look.snapshot)
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
        let follower = follower(store, keys);
        (Self { keys: keys.clone(), clock, follower, reader: Reader::default(), publisher }, View(receiver))
    }

    /// Keeps the view up to date, forever.
    pub async fn run(mut self) {
        loop {
            let update = self.follower.next().await;
            self.publish(update);
        }
    }

    /// Does the same for a process that may be the only one: while no process leads and a reader waits for changes, it looks at
    /// the machines again and again, and readers get what was found. The store is not written.
    pub async fn run_and_look(mut self, cluster: &ClusterContext) {
        let mut look = Box::pin(found(cluster, Duration::ZERO));
        let mut has_looked = false;
        loop {
            let is_needed = self.needs_look();
            tokio::select! {
                update = self.follower.next() => {
                    self.publish(update);
                    if has_looked && self.publisher.borrow().leader.is_some() {
                        // The leader changes the records of the store, so those are what readers need.
                        self.follower = follower(&cluster.store, &self.keys);
                        has_looked = false;
                    }
                    // What a look finds is compared with these records.
                    look = Box::pin(found(cluster, LOOK_DELAY));
                }
                look_ended = &mut look, if is_needed => {
                    if let Some(found) = look_ended {
                        self.take_look(found);
                        has_looked = true;
                    }
                    look = Box::pin(found(cluster, LOOK_INTERVAL));
                }
                () = tokio::time::sleep(LOOK_INTERVAL), if !is_needed => {}
            }
        }
    }

    /// Reports whether no process leads and a reader waits for changes. The publisher's own view and that of the API do not.
    fn needs_look(&self) -> bool {
        let published = self.publisher.borrow();
        published.is_read && published.leader.is_none() && self.publisher.receiver_count() > IDLE_VIEWS
    }

    /// Publishes what a look has found.
    fn take_look(&self, found: Snapshot) {
        self.publisher.send_modify(|published| {
            let known = &published.snapshot;
            let is_new = (&known.states, &known.health) != (&found.states, &found.health);
            published.revision = published.revision.wrapping_add(u64::from(is_new));
            let snapshot = Arc::make_mut(&mut published.snapshot);
            (snapshot.states, snapshot.health, snapshot.observed) = (found.states, found.health, found.observed);
        });
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
                published.revision = published.revision.wrapping_add(1);
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
                let is_shown = |change: &WatchEvent| !is_routine(keys, change);
                published.revision = published.revision.wrapping_add(u64::from(changes.iter().any(is_shown)));
                layout::apply(Arc::make_mut(&mut published.snapshot), keys, &changes);
                let items = reader.take_changes(keys, &changes);
                if !items.is_empty() {
                    Arc::make_mut(&mut published.events).extend(items);
                }
            }
        });
    }
}

/// Reports whether a change is an event or a figure that leaders renew all the time.
fn is_routine(keys: &Keyspace, change: &WatchEvent) -> bool {
    matches!(keys.parse(change.key()), Ok(Some(Key::Event(_) | Key::Observed | Key::Serial | Key::Epoch)))
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
