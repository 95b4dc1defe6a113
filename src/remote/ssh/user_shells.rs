//! The user shells of one host that wait for commands.

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use super::connection::SpareSessions;
use super::user_shell::UserShell;
use crate::remote::RunAs;

/// Shells that wait, each with its user; `None` is the login user.
#[derive(Default)]
pub(super) struct UserShells {
    waiting: Mutex<Vec<(Option<RunAs>, UserShell)>>,
    impossible: AtomicBool,
}

impl UserShells {
    fn waiting(&self) -> MutexGuard<'_, Vec<(Option<RunAs>, UserShell)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the shell of a user, if one waits.
    ///
    /// The shells of other users end, except those of root and of the login user: what another user's command changes, such
    /// as the groups of a user, counts from the next shell of that user on.
    pub(super) fn take(&self, run_as: Option<&RunAs>) -> Option<UserShell> {
        let mut waiting = self.waiting();
        waiting.retain(|(user, shell)| {
            let stays = user.as_ref().is_none_or(|user| user.is_root() || Some(user) == run_as);
            stays && shell.is_usable()
        });
        let place = waiting.iter().position(|(user, _)| user.as_ref() == run_as)?;
        let (_, mut shell) = waiting.swap_remove(place);
        drop(waiting);
        shell.is_idle().then_some(shell)
    }

    /// Keeps a shell that waits, unless the user has one.
    pub(super) fn put(&self, run_as: Option<RunAs>, shell: UserShell) {
        let mut waiting = self.waiting();
        if waiting.iter().all(|(user, _)| *user != run_as) {
            waiting.push((run_as, shell));
        }
    }

    /// Records that the host cannot have such shells.
    pub(super) fn set_impossible(&self) {
        self.impossible.store(true, Ordering::Relaxed);
    }

    /// Reports whether the host cannot have such shells.
    pub(super) fn is_impossible(&self) -> bool {
        self.impossible.load(Ordering::Relaxed)
    }
}

impl SpareSessions for UserShells {
    fn close(&self) {
        self.waiting().clear();
    }
}
