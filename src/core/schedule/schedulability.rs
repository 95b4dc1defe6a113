//! The schedulability of a machine: whether it takes units that need a place.

use crate::core::model::Health;

/// What a machine is worth to a unit that needs one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schedulability {
    /// What is thought of it; alive is good.
    Judged(Health),
    /// It is alive, and went down so often lately that it takes nothing new yet.
    Flapping(usize),
}

impl From<Health> for Schedulability {
    fn from(health: Health) -> Self {
        Self::Judged(health)
    }
}
