//! The lead: a leased key that says who may change hosts, and the number that every visit carries.
//!
//! A leader stops acting before its lease ends, by its own clock: two thirds of the lease after the last time the
//! store answered. What it writes in that time names the revision at which it took the lead, so that nothing of it is
//! taken once somebody else leads, and the revision of its last commit before, so that none is taken twice or late:
//! what a store did not answer to can be sent again.

use std::fmt;
use std::time::Duration;
use std::time::SystemTime;

use serde::Deserialize;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::COMMIT_BYTES;
use super::COMMIT_LIMIT;
use super::Change;
use super::Check;
use super::LeaseId;
use super::Revision;
use super::SharedStore;
use super::Store;
use super::StoreError;
use super::layout::Keys;
use super::layout::Slot;
use super::layout::decode;
use super::layout::encode;
use crate::core::model::Event;
use crate::core::model::EventKind;
use crate::core::model::Timestamp;
use crate::core::model::Write;

/// How long the lead outlives its holder.
pub const TTL: Duration = Duration::from_secs(10);

/// How often a leader renews the lease of the lead, and how soon again if the store did not answer. A cluster of stores
/// that has lost its own leader needs about 3 s to elect another: there is time for that, whenever it begins.
const RENEW: (Duration, Duration) = (Duration::from_secs(2), Duration::from_millis(500));

/// How long a store that did not take a commit is left alone before it is asked again.
const AGAIN: Duration = Duration::from_millis(200);

/// How often somebody who waits for the lead looks whether it is free.
pub const LOOK: Duration = Duration::from_millis(100);

/// How long a store may be away before somebody who waits for the lead gives up.
const AWAY: Duration = Duration::from_secs(5);

/// What somebody leads for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// For one verb.
    Verb,
    /// For one sweep.
    Sweep,
    /// For good.
    Controller,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Verb => "a command",
            Self::Sweep => "a sweep",
            Self::Controller => "a controller",
        })
    }
}

/// Who leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// What for.
    pub kind: Kind,
    /// The host it runs on.
    pub host: String,
    /// Its process there.
    pub pid: u32,
    /// Since when.
    pub since: Timestamp,
    /// Its number.
    pub epoch: u64,
    /// The lease that holds the lead for it, so that it can be ended from elsewhere.
    #[serde(default)]
    pub lease: Option<LeaseId>,
}

impl Holder {
    /// Returns for how long it has been leading, by this machine's clock.
    pub fn age(&self) -> Duration {
        wall_clock().since(self.since)
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {} (process {}, for {} s)", self.kind, self.host, self.pid, self.age().as_secs())
    }
}

/// The lead, for as long as it is held. [`Leadership::release`] gives it back; dropping it does too if the process lives on.
#[derive(Debug)]
pub struct Leadership {
    store: SharedStore,
    guard: Check,
    /// The key of our number. Every commit sets it again.
    counter: String,
    /// The revision of the last commit.
    head: Mutex<Revision>,
    epoch: u64,
    lease: LeaseId,
    /// Until when we lead, by our own clock.
    valid: watch::Receiver<Instant>,
    keeper: JoinHandle<()>,
}

/// Takes the lead, or says who has it.
pub async fn take(store: &SharedStore, keys: &Keys, kind: Kind) -> Result<Result<Leadership, Holder>, StoreError> {
    let leader = keys.key(&Slot::Leader);
    let counter = keys.key(&Slot::Epoch);
    loop {
        if let Some(entry) = store.get(&leader).await? {
            return Ok(Err(Holder::read(&entry.value)));
        }
        let last = store.get(&counter).await?;
        let number = last.as_ref().and_then(|entry| std::str::from_utf8(&entry.value).ok()?.parse::<u64>().ok());
        // A store that was set up anew counts on from the time of day, above what hosts remember of the old one.
        let epoch = number.unwrap_or(0).saturating_add(1).max(wall_clock().as_millis() / 1000);
        let untouched = last.map_or(Check::Absent(counter.clone()), |at| Check::Modified(counter.clone(), at.modified));
        let asked = Instant::now();
        let lease = store.grant(TTL).await?;
        let holder = Holder::here(kind, epoch, lease);
        let changes = vec![
            Change::Put { key: leader.clone(), value: encode(&holder), lease: Some(lease) },
            Change::put(counter.clone(), epoch.to_string()),
        ];
        match store.commit(vec![Check::Absent(leader.clone()), untouched], changes).await {
            Ok(Some(taken)) => {
                let (extend, valid) = watch::channel(asked + TTL * 2 / 3);
                let keeper = tokio::spawn(keep(store.clone(), lease, extend));
                let (guard, head) = (Check::Created(leader, taken), Mutex::new(taken));
                return Ok(Ok(Leadership { store: store.clone(), guard, counter, head, epoch, lease, valid, keeper }));
            }
            Ok(None) => store.revoke(lease).await?,
            Err(error) => {
                // It may have been taken for all we know: give it back if so.
                let _ = store.revoke(lease).await;
                return Err(error);
            }
        }
    }
}

/// Takes the lead as soon as it is free, or says who still has it after `wait`; a sweep hears at once of a controller, for
/// which nobody has to wait and nothing is left to do. A store that is away is given a little while to come back: its
/// servers may be electing a leader because one of them went down with the host we come for.
pub async fn take_within(
    store: &SharedStore,
    keys: &Keys,
    kind: Kind,
    wait: Duration,
) -> Result<Result<Leadership, Holder>, StoreError> {
    let deadline = Instant::now() + wait;
    let back = Instant::now() + AWAY;
    loop {
        match take(store, keys, kind).await {
            Ok(Err(holder)) if (kind, holder.kind) == (Kind::Sweep, Kind::Controller) => return Ok(Err(holder)),
            Ok(Err(_)) if Instant::now() + LOOK < deadline => tokio::time::sleep(LOOK).await,
            Err(StoreError::Away { .. }) if Instant::now() < back => tokio::time::sleep(LOOK).await,
            taken => return taken,
        }
    }
}

/// Returns who leads, if somebody does.
pub async fn holder(store: &SharedStore, keys: &Keys) -> Result<Option<Holder>, StoreError> {
    Ok(store.get(&keys.key(&Slot::Leader)).await?.map(|entry| Holder::read(&entry.value)))
}

/// Takes the lead away from whoever has it, for good reason, and returns who that was. The lead is free afterwards.
///
/// What the old holder still writes carries the revision at which it took the lead, so the store takes none of it; its
/// lease is gone, so it hears of it within a third of it, or runs out of time if it sleeps; and the number of whoever
/// leads next is higher, so that every host which that one has looked at turns the old one away. That the lead was
/// taken, why and by whom is the next leader's first entry in the log.
pub async fn take_over(store: &SharedStore, keys: &Keys, reason: &str, by: &str) -> Result<Option<Holder>, StoreError> {
    let leader = keys.key(&Slot::Leader);
    let old = loop {
        let Some(entry) = store.get(&leader).await? else { return Ok(None) };
        let seen = Check::Modified(leader.clone(), entry.modified);
        if store.commit(vec![seen], vec![Change::Delete(leader.clone())]).await?.is_some() {
            break Holder::read(&entry.value);
        }
    };
    if let Some(lease) = old.lease {
        store.revoke(lease).await?;
    }
    let kind = EventKind::LeadershipTaken { from: old.to_string(), why: reason.to_owned() };
    let event = Event::new(wall_clock(), None, None, kind).by(by);
    // Whoever was quicker to lead has a higher number than the old one, too.
    if let Ok(lead) = take_within(store, keys, Kind::Verb, LOOK * 10).await? {
        lead.commit(keys.changes(&[Write::Log(event)])).await?;
        lead.release().await;
    } else {
        store.commit(Vec::new(), keys.changes(&[Write::Log(event)])).await?;
    }
    Ok(Some(old))
}

impl Leadership {
    /// Returns the store in which the lead is held.
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// Returns the leader's number.
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Says whether we lead, by our own clock.
    pub fn is_valid(&self) -> bool {
        Instant::now() < *self.valid.borrow()
    }

    /// Makes the changes if we lead, and says whether we do. They are made in the given order, but not all at once. A
    /// store that is away is asked again for as long as we lead.
    pub async fn commit(&self, changes: Vec<Change>) -> Result<bool, StoreError> {
        let mut head = self.head.lock().await;
        let mark = Change::put(self.counter.clone(), self.epoch.to_string());
        for part in portions(changes, &mark) {
            match self.commit_once(*head, part).await? {
                Some(revision) => *head = revision,
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Makes the changes of one commit exactly once, however often the store has to be asked. Whoever else takes the
    /// lead, and every commit of ours, sets the counter: a commit that arrives late finds it changed.
    async fn commit_once(&self, head: Revision, changes: Vec<Change>) -> Result<Option<Revision>, StoreError> {
        let checks = [self.guard.clone(), Check::Modified(self.counter.clone(), head)];
        let mut away = None;
        while self.is_valid() {
            let asked = match self.store.commit(checks.to_vec(), changes.clone()).await {
                // One that was not answered may have been taken.
                Ok(None) if away.is_some() => self.last_commit(head).await,
                asked => asked,
            };
            match asked {
                Err(error @ StoreError::Away { .. }) => away = Some(error),
                asked => return asked,
            }
            tokio::time::sleep(AGAIN).await;
        }
        away.map_or(Ok(None), Err)
    }

    /// Returns the revision of our last commit if it came after `head`.
    async fn last_commit(&self, head: Revision) -> Result<Option<Revision>, StoreError> {
        let counter = self.store.get(&self.counter).await?;
        let ours = counter.filter(|entry| entry.value == self.epoch.to_string().as_bytes());
        Ok(ours.map(|entry| entry.modified).filter(|modified| *modified != head))
    }

    /// Waits until we no longer lead.
    pub async fn lost(&self) {
        let mut valid = self.valid.clone();
        loop {
            let until = *valid.borrow_and_update();
            tokio::select! {
                () = tokio::time::sleep_until(until) => return,
                // The keeper has given up: what is left of the time is still ours.
                changed = valid.changed() => if changed.is_err() {
                    return tokio::time::sleep_until(until).await;
                },
            }
        }
    }

    /// Gives the lead back. If the store is away it expires.
    pub async fn release(&self) {
        self.keeper.abort();
        let _ = self.store.revoke(self.lease).await;
    }
}

impl Drop for Leadership {
    fn drop(&mut self) {
        self.keeper.abort();
        // So that nobody waits for the lease of one that failed; if this does not come through, it expires.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (store, lease) = (self.store.clone(), self.lease);
            runtime.spawn(async move { store.revoke(lease).await });
        }
    }
}

/// Keeps the lease alive until it is gone.
async fn keep(store: SharedStore, lease: LeaseId, extend: watch::Sender<Instant>) {
    let mut pause = RENEW.0;
    loop {
        tokio::time::sleep(pause).await;
        let asked = Instant::now();
        pause = RENEW.1;
        let kept = tokio::time::timeout(RENEW.0, store.keep_alive(lease)).await;
        match kept {
            Ok(Ok(())) => {
                pause = RENEW.0;
                let _ = extend.send(asked + TTL * 2 / 3);
            }
            Ok(Err(StoreError::LeaseGone(_))) => {
                let _ = extend.send(asked);
                return;
            }
            Ok(Err(_)) | Err(_) => {}
        }
    }
}

impl Holder {
    fn here(kind: Kind, epoch: u64, lease: LeaseId) -> Self {
        let (host, pid) = (here(), std::process::id());
        Self { kind, host, pid, since: wall_clock(), epoch, lease: Some(lease) }
    }

    fn unknown() -> Self {
        let host = "an unknown host".to_owned();
        Self { kind: Kind::Controller, host, pid: 0, since: wall_clock(), epoch: 0, lease: None }
    }

    /// Reads the record of whoever leads: somebody who wrote something else there leads all the same.
    fn read(value: &[u8]) -> Self {
        decode(value).unwrap_or_else(|_| Self::unknown())
    }
}

/// Returns the name of this host.
pub fn here() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn wall_clock() -> Timestamp {
    Timestamp::ZERO + SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// Splits changes into as few commits as the store takes, each with `mark`.
fn portions(changes: Vec<Change>, mark: &Change) -> Vec<Vec<Change>> {
    let mut portions: Vec<Vec<Change>> = Vec::new();
    let mut room = 0;
    for change in changes {
        let size = change.size();
        match portions.last_mut() {
            Some(portion) if portion.len() < COMMIT_LIMIT && size <= room => {
                room -= size;
                portion.push(change);
            }
            _ => {
                room = COMMIT_BYTES.saturating_sub(mark.size() + size);
                portions.push(vec![mark.clone(), change]);
            }
        }
    }
    portions
}

#[cfg(test)]
mod tests;
