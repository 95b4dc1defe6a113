//! Follows a part of the store: all entries first, then every change.
//!
//! The follower lists, watches from the listed revision, and lists again when the changes were compacted. While the store
//! is unavailable it tries again at growing intervals. It reports each of these, because a consumer must never take an
//! unavailable store for an empty one.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::future::select_all;
use tokio::time::Instant;

use super::Listing;
use super::Revision;
use super::SharedStore;
use super::Store;
use super::StoreError;
use super::Watch;
use super::WatchEvent;

/// The first and the longest delay before an unavailable store is asked again.
const RETRY_DELAY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// What a follower learned of the store.
#[derive(Debug)]
pub enum Update {
    /// All entries. Earlier updates are void.
    Reset(Listing),
    /// Changes, in the order in which they were made. There are none when the store is available again.
    Events(Vec<WatchEvent>),
    /// The store is unavailable. Earlier updates may be out of date.
    Unavailable(StoreError),
}

/// A follower of the entries under some prefixes.
#[derive(Debug)]
pub struct Follower {
    store: SharedStore,
    prefixes: Arc<[String]>,
    state: State,
    /// The delay after the next failure.
    delay: Duration,
}

/// Requests to the store are part of the state, so that a cancelled call does not start them again.
enum State {
    /// All entries are listed.
    List(BoxFuture<'static, Result<(Vec<Revision>, Listing), StoreError>>),
    /// A watch is opened for each prefix, from these revisions.
    Open(Vec<Revision>, BoxFuture<'static, Result<Watches, StoreError>>),
    /// The watches are open.
    Watch(Watches),
    /// The store is unavailable. It is asked again at this time, from these revisions or else for all entries.
    Wait(Instant, Option<Vec<Revision>>),
}

type Watches = Vec<Box<dyn Watch>>;

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::List(_) => "List",
            Self::Open(..) => "Open",
            Self::Watch(_) => "Watch",
            Self::Wait(..) => "Wait",
        })
    }
}

impl State {
    fn list(store: &SharedStore, prefixes: &Arc<[String]>) -> Self {
        let (store, prefixes) = (store.clone(), Arc::clone(prefixes));
        Self::List(Box::pin(async move { list(&*store, &prefixes).await }))
    }

    fn open(store: &SharedStore, prefixes: &Arc<[String]>, revisions: Vec<Revision>) -> Self {
        let (store, prefixes, after) = (store.clone(), Arc::clone(prefixes), revisions.clone());
        let watches = async move {
            let mut watches = Vec::with_capacity(prefixes.len());
            for (prefix, revision) in prefixes.iter().zip(after) {
                watches.push(store.watch(prefix, revision).await?);
            }
            Ok(watches)
        };
        Self::Open(revisions, Box::pin(watches))
    }
}

impl Follower {
    /// Returns a follower, which asks the store when it is first polled.
    pub fn new(store: SharedStore, prefixes: Vec<String>) -> Self {
        let prefixes = Arc::from(prefixes);
        let state = State::list(&store, &prefixes);
        Self { store, prefixes, state, delay: RETRY_DELAY.0 }
    }

    /// Waits for the next update.
    ///
    /// Cancel safe: if the future is dropped, the next call continues where this one was.
    pub async fn next(&mut self) -> Update {
        loop {
            if let Some(update) = self.step().await {
                return update;
            }
        }
    }

    /// Waits for the end of the present state and enters the next one, without waiting between the two.
    async fn step(&mut self) -> Option<Update> {
        match &mut self.state {
            State::List(listing) => match listing.await {
                Ok((revisions, listing)) => {
                    self.state = State::open(&self.store, &self.prefixes, revisions);
                    Some(Update::Reset(listing))
                }
                Err(error) => Some(self.wait(None, error)),
            },
            State::Open(revisions, watches) => match watches.await {
                Ok(watches) => {
                    self.state = State::Watch(watches);
                    (self.delay > RETRY_DELAY.0).then(|| Update::Events(Vec::new()))
                }
                Err(error) => {
                    let revisions = std::mem::take(revisions);
                    self.resume(revisions, error)
                }
            },
            State::Watch(watches) if watches.is_empty() => std::future::pending().await,
            State::Watch(watches) => {
                let (result, ..) = select_all(watches.iter_mut().map(|watch| watch.next())).await;
                match result {
                    Ok(events) => {
                        self.delay = RETRY_DELAY.0;
                        Some(Update::Events(events))
                    }
                    Err(error) => {
                        let revisions = watches.iter().map(|watch| watch.revision()).collect();
                        self.resume(revisions, error)
                    }
                }
            }
            State::Wait(until, revisions) => {
                tokio::time::sleep_until(*until).await;
                self.state = match revisions.take() {
                    Some(revisions) => State::open(&self.store, &self.prefixes, revisions),
                    None => State::list(&self.store, &self.prefixes),
                };
                None
            }
        }
    }

    /// Continues from these revisions after an error, or lists again if the changes since then were compacted.
    fn resume(&mut self, revisions: Vec<Revision>, error: StoreError) -> Option<Update> {
        if let StoreError::Compacted(_) = error {
            self.state = State::list(&self.store, &self.prefixes);
            return None;
        }
        Some(self.wait(Some(revisions), error))
    }

    fn wait(&mut self, revisions: Option<Vec<Revision>>, error: StoreError) -> Update {
        self.state = State::Wait(Instant::now() + self.delay, revisions);
        self.delay = (self.delay * 2).min(RETRY_DELAY.1);
        Update::Unavailable(error)
    }
}

/// Lists all entries under some prefixes. The entries under one prefix are of one revision; these revisions are returned
/// too.
pub(super) async fn list(store: &dyn Store, prefixes: &[String]) -> Result<(Vec<Revision>, Listing), StoreError> {
    let mut whole = Listing::default();
    let mut revisions = Vec::with_capacity(prefixes.len());
    for prefix in prefixes {
        let part = store.list(prefix).await?;
        revisions.push(part.revision);
        whole.revision = part.revision;
        whole.entries.extend(part.entries);
    }
    Ok((revisions, whole))
}

#[cfg(test)]
mod tests;
