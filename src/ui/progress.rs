//! What is going on, for somebody who watches a terminal; nothing for a pipe, a file or a log.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use indicatif::ProgressBar;

use crate::core::sanitize;

/// The line that is on the terminal now. Whatever else is written there goes through [`aside`].
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// A line on the terminal that tells what was done last.
#[derive(Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    /// Begins to tell, if stderr is a terminal.
    pub fn start() -> Self {
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(Duration::from_millis(100));
        *SHOWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.clone());
        Self(bar)
    }

    /// Tells what was done last.
    pub fn tell(&self, what: &str) {
        self.0.set_message(sanitize::line(what.trim_end()));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        *SHOWN.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.0.finish_and_clear();
    }
}

/// Does something that writes to the terminal itself.
pub(super) fn aside<T>(write: impl FnOnce() -> T) -> T {
    // Held meanwhile, so that no two write at once.
    let shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
    match &*shown {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}
