//! What is going on, for somebody who watches a terminal; nothing for a pipe, a file or a log.

use std::time::Duration;

use indicatif::ProgressBar;

/// A line on the terminal that tells what was done last.
#[derive(Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    /// Begins to tell, if stderr is a terminal.
    pub fn start() -> Self {
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }

    /// Tells what was done last.
    pub fn tell(&self, what: &str) {
        self.0.set_message(what.trim_end().to_owned());
    }

    /// Does something that writes to the terminal itself.
    pub fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.0.suspend(write)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
