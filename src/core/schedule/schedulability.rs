//! The schedulability of a machine: whether it takes units that need a place.

use crate::core::model::Health;

/// Whether a machine takes units that need a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schedulability {
    /// As far as its health says: it takes units if it is alive.
    Judged(Health),
    /// It is alive, but went down so often lately that it takes no new units yet.
    Flapping(usize),
}

impl From<Health> for Schedulability {
    fn from(health: Health) -> Self {
        Self::Judged(health)
    }
}
