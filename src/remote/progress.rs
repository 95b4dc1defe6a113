//! Progress of a visit, reported while the visit is under way.

use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use crate::core::model::Phase;

/// A callback that takes the phases that a visit enters, each of which the host's own sshd has proved.
///
/// [`Phase::KeyExchange`] means that sshd has greeted, [`Phase::Authenticate`] that the key exchange is done,
/// [`Phase::Shell`] that muster is logged in and [`Phase::Run`] that the script was sent. [`Phase::Run`] is reported
/// again each time sshd answers while the script runs. A kept connection is no proof of life by itself, so a visit over
/// one reports nothing before the host has sent something. The default takes nothing.
#[derive(Clone, Default)]
pub struct Progress(Option<Arc<dyn Fn(Phase) + Send + Sync>>);

impl Progress {
    /// Makes a callback of a function, which must not block.
    pub fn new(report: impl Fn(Phase) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(report)))
    }

    /// Reports a phase.
    pub fn report(&self, phase: Phase) {
        if let Some(report) = &self.0 {
            report(phase);
        }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Progress")
    }
}

/// The visits that are under way to one host. Proof of life is reported to all of them: visits that wait for one
/// connection have the same sshd in front of them.
#[derive(Debug, Default)]
pub(super) struct Listeners(Mutex<List>);

#[derive(Debug, Default)]
struct List {
    added: u64,
    entries: Vec<(u64, Progress)>,
}

impl Listeners {
    /// Adds a visit until the guard is dropped.
    pub(super) fn add(self: &Arc<Self>, progress: &Progress) -> Listening {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        list.added += 1;
        let number = list.added;
        if progress.0.is_some() {
            list.entries.push((number, progress.clone()));
        }
        Listening { listeners: self.clone(), number }
    }

    /// Reports a phase to every visit.
    pub(super) fn report(&self, phase: Phase) {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner).entries.clone();
        for (_, progress) in entries {
            progress.report(phase);
        }
    }
}

/// A guard: the visit receives progress until it is dropped.
pub(super) struct Listening {
    listeners: Arc<Listeners>,
    number: u64,
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut list = self.listeners.0.lock().unwrap_or_else(PoisonError::into_inner);
        list.entries.retain(|(number, _)| *number != self.number);
    }
}
