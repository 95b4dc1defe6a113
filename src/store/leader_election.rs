//! Leader election: a leased key says which process may change hosts, and gives it the epoch that every visit carries.
//!
//! Nothing here decides what a leader does. [`Leadership`] is the right to write, for as long as it is held.

mod leadership;
mod process;

use std::fmt;
use std::time::Duration;
use std::time::SystemTime;

use serde::Deserialize;
use serde::Serialize;
use tokio::time::Instant;

use super::Entry;
use super::LeaseId;
use super::Op;
use super::Precondition;
use super::SharedStore;
use super::StoreError;
use super::layout::Key;
use super::layout::Keyspace;
use super::layout::decode;
use super::layout::encode;
use crate::core::model::Event;
use crate::core::model::EventKind;
use crate::core::model::Timestamp;
use crate::core::model::Write;
pub use leadership::Leadership;
use process::ProcessIdentity;

/// How long leadership outlives a leader that stopped renewing it.
pub const LEASE_DURATION: Duration = Duration::from_secs(10);

/// How often a candidate tries to become the leader.
pub const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// How far the epoch in the store may be ahead of the time of day. Hosts remember the epoch of a leader until they boot,
/// so a damaged record must not reach them.
const EPOCH_AHEAD: u64 = 24 * 3600;

/// How long the store may be unavailable before a candidate gives up.
const UNAVAILABLE_LIMIT: Duration = Duration::from_secs(5);

/// The kind of work that a leader does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LeaderKind {
    /// One command.
    Command,
    /// One sweep.
    Sweep,
    /// Reconciling until it is stopped.
    Controller,
}

impl fmt::Display for LeaderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Command => "a command",
            Self::Sweep => "a sweep",
            Self::Controller => "a controller",
        })
    }
}

/// A record that names the leader. Its key is removed when the leader's lease ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaderRecord {
    /// The kind of its work.
    pub kind: LeaderKind,
    /// The name of the host on which it runs.
    pub host: String,
    /// Its process id.
    pub pid: u32,
    /// When it became the leader.
    pub since: Timestamp,
    /// Its epoch.
    pub epoch: u64,
    /// The lease of its leadership, which [`depose`] ends. `None` if the record cannot be read.
    pub lease: Option<LeaseId>,
    /// The identity of the process on its host, if it is known.
    process: Option<Box<ProcessIdentity>>,
}

impl LeaderRecord {
    fn new(kind: LeaderKind, epoch: u64, lease: LeaseId) -> Self {
        let (host, pid) = (hostname(), std::process::id());
        Self {
            kind,
            host,
            pid,
            since: wall_clock(),
            epoch,
            lease: Some(lease),
            process: ProcessIdentity::of(pid).map(Box::new),
        }
    }

    /// Reads the record. A process whose record cannot be read is the leader all the same.
    pub fn read(value: &[u8]) -> Self {
        decode(value).unwrap_or_else(|_| {
            let host = "an unknown host".to_owned();
            let since = wall_clock();
            Self { kind: LeaderKind::Controller, host, pid: 0, since, epoch: 0, lease: None, process: None }
        })
    }

    /// Returns the host on which it runs, if that is another one than this.
    pub fn elsewhere(&self) -> Option<&str> {
        Some(self.host.as_str()).filter(|host| *host != hostname())
    }

    /// Reports whether the process has certainly ended: it ran on this host, and is gone.
    fn has_ended(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.has_ended())
    }

    /// Returns how long it has been the leader, by this host's clock.
    pub fn age(&self) -> Duration {
        wall_clock().since(self.since)
    }
}

impl fmt::Display for LeaderRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {} (process {}, for {} s)", self.kind, self.host, self.pid, self.age().as_secs())
    }
}

/// Tries once to become the leader, or returns the leader that there is. A leader that has ended on this host without
/// giving up its leadership is deposed.
pub async fn try_campaign(
    store: &SharedStore,
    keyspace: &Keyspace,
    kind: LeaderKind,
) -> Result<Result<Leadership, LeaderRecord>, StoreError> {
    let (leader_key, epoch_key) = (keyspace.key(&Key::Leader), keyspace.key(&Key::Epoch));
    loop {
        if let Some(entry) = store.get(&leader_key).await? {
            let leader = LeaderRecord::read(&entry.value);
            if !leader.has_ended() {
                return Ok(Err(leader));
            }
            tracing::debug!("{leader} has ended");
            remove(store, &leader_key, &entry, &leader).await?;
        }
        let last = store.get(&epoch_key).await?;
        let epoch = next_epoch(last.as_ref())?;
        let unchanged = last.map_or(Precondition::Absent(epoch_key.clone()), |entry| {
            Precondition::Modified(epoch_key.clone(), entry.modified)
        });
        let asked = Instant::now();
        let lease = store.grant(LEASE_DURATION).await?;
        let record = LeaderRecord::new(kind, epoch, lease);
        let ops = vec![
            Op::Put { key: leader_key.clone(), value: encode(&record), lease: Some(lease) },
            Op::put(epoch_key.clone(), epoch.to_string()),
        ];
        match store.commit(vec![Precondition::Absent(leader_key.clone()), unchanged], ops).await {
            Ok(Some(revision)) => {
                let guard = Precondition::Created(leader_key, revision);
                return Ok(Ok(Leadership::start(store, guard, (epoch_key, revision), epoch, (lease, asked))));
            }
            Ok(None) => store.revoke(lease).await?,
            Err(error) => {
                // The commit may have been made. Revoking the lease undoes it.
                let _ = store.revoke(lease).await;
                return Err(error);
            }
        }
    }
}

/// Returns the epoch of the next leader. In a store that was rebuilt, epochs continue from the time of day, above those that
/// hosts remember.
fn next_epoch(last: Option<&Entry>) -> Result<u64, StoreError> {
    let (number, clock) = (last.and_then(number), epoch_of_clock());
    if let Some(epoch) = number.filter(|epoch| *epoch > clock + EPOCH_AHEAD) {
        return Err(StoreError::EpochAhead { epoch, clock });
    }
    Ok(number.unwrap_or(0).saturating_add(1).max(clock))
}

/// Checks that this process could lead as far as the clock of its host tells, or that another one leads. Returns the epoch of
/// the next leader, or that of the present one. Nothing is changed.
pub async fn check_epoch(store: &SharedStore, keyspace: &Keyspace) -> Result<u64, StoreError> {
    if let Some(leader) = current_leader(store, keyspace).await? {
        return Ok(leader.epoch);
    }
    next_epoch(store.get(&keyspace.key(&Key::Epoch)).await?.as_ref())
}

/// Becomes the leader as soon as there is none, or returns the leader that there still is after `wait`.
///
/// A sweep gets the record of a controller at once: the controller does the sweep's work. An unavailable store gets 5 s
/// to come back: its servers may be electing a leader, because one of them went down with a host.
pub async fn campaign(
    store: &SharedStore,
    keyspace: &Keyspace,
    kind: LeaderKind,
    wait: Duration,
) -> Result<Result<Leadership, LeaderRecord>, StoreError> {
    let _wait = tracing::info_span!("wait", what = "leadership");
    let deadline = Instant::now() + wait;
    let available_by = Instant::now() + UNAVAILABLE_LIMIT;
    loop {
        match try_campaign(store, keyspace, kind).await {
            Ok(Err(leader)) if (kind, leader.kind) == (LeaderKind::Sweep, LeaderKind::Controller) => {
                return Ok(Err(leader));
            }
            Ok(Err(_)) if Instant::now() + RETRY_INTERVAL < deadline => tokio::time::sleep(RETRY_INTERVAL).await,
            Err(StoreError::Unavailable { .. }) if Instant::now() < available_by => {
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
            result => return result,
        }
    }
}

/// Returns the record of the leader, if there is one. A process of this host that has ended leads no more.
pub async fn current_leader(store: &SharedStore, keyspace: &Keyspace) -> Result<Option<LeaderRecord>, StoreError> {
    let leader = store.get(&keyspace.key(&Key::Leader)).await?.map(|entry| LeaderRecord::read(&entry.value));
    Ok(leader.filter(|leader| !leader.has_ended()))
}

/// Ends the leadership of the present leader, and returns its record. There is no leader afterwards.
///
/// The store rejects all later commits of the deposed leader, because they carry the revision at which it became the
/// leader. Its lease is gone, so its next renewal fails. Hosts reject its visits as soon as the next leader, whose epoch
/// is higher, has visited them. The event log gets an entry with `reason` and `by`.
pub async fn depose(
    store: &SharedStore,
    keyspace: &Keyspace,
    reason: &str,
    by: &str,
) -> Result<Option<LeaderRecord>, StoreError> {
    let leader_key = keyspace.key(&Key::Leader);
    let old = loop {
        let Some(entry) = store.get(&leader_key).await? else { return Ok(None) };
        let leader = LeaderRecord::read(&entry.value);
        if remove(store, &leader_key, &entry, &leader).await? {
            break leader;
        }
    };
    let kind = EventKind::LeadershipTaken { from: old.to_string(), why: reason.to_owned() };
    let event = Event::new(wall_clock(), None, None, kind).by(by);
    // A process that became the leader in the meantime also has a higher epoch than the deposed one.
    if let Ok(lead) = campaign(store, keyspace, LeaderKind::Command, RETRY_INTERVAL * 10).await? {
        lead.commit(keyspace.ops(&[Write::Log(event)])).await?;
        lead.resign().await;
    } else {
        store.commit(Vec::new(), keyspace.ops(&[Write::Log(event)])).await?;
    }
    Ok(Some(old))
}

/// Removes the record of a leader and its lease. Returns false if the record has changed meanwhile.
async fn remove(
    store: &SharedStore,
    leader_key: &str,
    entry: &Entry,
    leader: &LeaderRecord,
) -> Result<bool, StoreError> {
    let unchanged = Precondition::Modified(leader_key.to_owned(), entry.modified);
    if store.commit(vec![unchanged], vec![Op::Delete(leader_key.to_owned())]).await?.is_none() {
        return Ok(false);
    }
    if let Some(lease) = leader.lease {
        store.revoke(lease).await?;
    }
    Ok(true)
}

/// Sets an epoch that is too far ahead of this host's clock to the time of day, and returns the old one. Returns `None` if
/// the epoch is not too far ahead.
pub async fn reset_epoch(store: &SharedStore, keyspace: &Keyspace) -> Result<Option<u64>, StoreError> {
    let key = keyspace.key(&Key::Epoch);
    loop {
        let Some(entry) = store.get(&key).await? else { return Ok(None) };
        let clock = epoch_of_clock();
        let Some(old) = number(&entry).filter(|epoch| *epoch > clock + EPOCH_AHEAD) else { return Ok(None) };
        let unchanged = Precondition::Modified(key.clone(), entry.modified);
        if store.commit(vec![unchanged], vec![Op::put(key.clone(), clock.to_string())]).await?.is_some() {
            return Ok(Some(old));
        }
    }
}

/// Reads a record of an epoch.
fn number(entry: &Entry) -> Option<u64> {
    std::str::from_utf8(&entry.value).ok()?.parse().ok()
}

/// Returns the epoch of a leader that is elected now in a new store.
fn epoch_of_clock() -> u64 {
    wall_clock().as_millis() / 1000
}

/// Returns the name of this host.
pub fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn wall_clock() -> Timestamp {
    Timestamp::ZERO + SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests;
