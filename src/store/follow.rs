//! Following a part of the store: everything that is there, then every change, for as long as it takes.
//!
//! List, watch from that revision, list again when the changes are no longer kept; and while the store is away, try
//! again more and more slowly. Whoever follows is told of each, so that *away* is never taken for *empty*.

use std::time::Duration;

use futures_util::future::select_all;
use tokio::time::Instant;

use super::Listing;
use super::Revision;
use super::SharedStore;
use super::Store;
use super::StoreError;
use super::Watch;
use super::WatchEvent;

/// How long to wait before the first and before any later attempt at a store that is away.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// What became known of the store.
#[derive(Debug)]
pub enum Update {
    /// This is all there is; what was known before is void.
    Reset(Listing),
    /// These changes were made, in this order.
    Events(Vec<WatchEvent>),
    /// The store is away; what was known is as old as it is.
    Unavailable(StoreError),
}

/// Follows everything under some prefixes.
#[derive(Debug)]
pub struct Follower {
    store: SharedStore,
    prefixes: Vec<String>,
    state: State,
    /// How long to wait after the next failure.
    pause: Duration,
}

enum State {
    /// Nothing is known, or too much was missed.
    List,
    /// Everything up to these revisions is known, one for each prefix.
    Resume(Vec<Revision>),
    /// Changes come in, for each prefix from its own watch.
    Watch(Vec<(Revision, Box<dyn Watch>)>),
    /// The store is away; then go on from there.
    Wait(Instant, Box<State>),
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::List => "List",
            Self::Resume(_) => "Resume",
            Self::Watch(_) => "Watch",
            Self::Wait(..) => "Wait",
        })
    }
}

impl Follower {
    /// Begins to follow.
    pub fn new(store: SharedStore, prefixes: Vec<String>) -> Self {
        Self { store, prefixes, state: State::List, pause: PAUSE.0 }
    }

    /// Waits for what becomes known next.
    ///
    /// Safe to drop half-way: nothing is lost, the next call returns it.
    pub async fn next(&mut self) -> Update {
        loop {
            if let Some(update) = self.step().await {
                return update;
            }
        }
    }

    /// Goes one step on. The state changes only once a step is over, so that one that was dropped is taken again.
    async fn step(&mut self) -> Option<Update> {
        let (state, update) = match &mut self.state {
            State::List => match list(&*self.store, &self.prefixes).await {
                Ok((revisions, listing)) => (State::Resume(revisions), Some(Update::Reset(listing))),
                Err(error) => return Some(self.away(State::List, error)),
            },
            State::Resume(revisions) => match watch(&self.store, &self.prefixes, revisions).await {
                Ok(watches) => (State::Watch(watches), None),
                Err(StoreError::Compacted(_)) => (State::List, None),
                Err(error) => {
                    let resume = State::Resume(std::mem::take(revisions));
                    return Some(self.away(resume, error));
                }
            },
            State::Watch(watches) if watches.is_empty() => std::future::pending().await,
            State::Watch(watches) => {
                let nexts = watches.iter_mut().map(|(_, watch)| watch.next());
                let (changes, index, _) = select_all(nexts).await;
                match changes {
                    Ok(changes) => {
                        self.pause = PAUSE.0;
                        if let (Some((revision, _)), Some(last)) = (watches.get_mut(index), changes.last()) {
                            *revision = last.revision();
                        }
                        return Some(Update::Events(changes));
                    }
                    Err(StoreError::Compacted(_)) => (State::List, None),
                    Err(error) => {
                        let resume = State::Resume(watches.iter().map(|(revision, _)| *revision).collect());
                        return Some(self.away(resume, error));
                    }
                }
            }
            State::Wait(until, then) => {
                tokio::time::sleep_until(*until).await;
                (std::mem::replace(&mut **then, State::List), None)
            }
        };
        self.state = state;
        update
    }

    fn away(&mut self, then: State, error: StoreError) -> Update {
        self.state = State::Wait(Instant::now() + self.pause, Box::new(then));
        self.pause = (self.pause * 2).min(PAUSE.1);
        Update::Unavailable(error)
    }
}

/// Lists everything under some prefixes: what stands under each is of one revision, which is returned, too.
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

async fn watch(
    store: &SharedStore,
    prefixes: &[String],
    revisions: &[Revision],
) -> Result<Vec<(Revision, Box<dyn Watch>)>, StoreError> {
    let mut watches = Vec::with_capacity(prefixes.len());
    for (prefix, revision) in prefixes.iter().zip(revisions) {
        watches.push((*revision, store.watch(prefix, *revision).await?));
    }
    Ok(watches)
}

#[cfg(test)]
mod tests;
