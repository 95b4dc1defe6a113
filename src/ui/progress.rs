//! The progress line, which is shown on a terminal only.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use indicatif::ProgressBar;

use super::terminal::appearance;
use crate::core::sanitize;

/// The line that is on the terminal now. Everything else is written there through [`suspended`].
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// A line on the terminal that shows the last event.
#[derive(Debug)]
pub struct ProgressLine(Option<ProgressBar>);

impl ProgressLine {
    /// Shows the line, if stderr is a terminal and the command is neither quiet nor verbose.
    pub fn start() -> Self {
        if !appearance().has_progress() {
            return Self(None);
        }
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(Duration::from_millis(100));
        *SHOWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.clone());
        Self(Some(bar))
    }

    /// Shows an event.
    pub fn show(&self, event: &str) {
        if let Some(bar) = &self.0 {
            bar.set_message(sanitize::line(event.trim_end()));
        }
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            *SHOWN.lock().unwrap_or_else(PoisonError::into_inner) = None;
            bar.finish_and_clear();
        }
    }
}

/// Takes the line off the terminal while something else is written there.
pub(super) fn suspended<T>(write: impl FnOnce() -> T) -> T {
    // The lock is held meanwhile, so that no two writes mix.
    let shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
    match &*shown {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}
