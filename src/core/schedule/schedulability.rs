//! The schedulability of a machine: whether it takes new units, as far as its health decides.

use crate::core::model::Health;

/// Whether a machine takes new units, as far as its health decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schedulability {
    /// Its health. Only a machine that is alive takes new units.
    Health(Health),
    /// It is alive but held down, because it was down so many times within an hour.
    Flapping(usize),
    /// It is alive, and a moment ago it had no room for a unit file.
    Full,
}

impl From<Health> for Schedulability {
    fn from(health: Health) -> Self {
        Self::Health(health)
    }
}
