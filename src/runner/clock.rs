//! The clock of a process.

use std::time::SystemTime;

use tokio::time::Instant;

use crate::core::model::Timestamp;

/// A clock that shows the time of day and never goes back while the process runs.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    began: Instant,
    at: Timestamp,
}

impl Clock {
    /// Reads the wall clock once. From then on the monotonic clock counts.
    pub fn start() -> Self {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { began: Instant::now(), at: Timestamp::ZERO + wall }
    }

    /// Returns the time.
    pub fn now(&self) -> Timestamp {
        self.at + self.began.elapsed()
    }

    /// Returns the instant at which this clock shows `at`.
    pub(super) fn instant(&self, at: Timestamp) -> Instant {
        self.began + at.since(self.at)
    }
}
