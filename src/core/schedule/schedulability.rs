//! The schedulability of a machine: whether it takes new units, as far as its health decides.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::core::model::Health;
use crate::core::model::MachineId;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;

/// How long a machine that had no room for a unit file takes no new units.
const FULL: Duration = Duration::from_mins(5);

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

/// Returns the machines that had no room for a unit file a moment ago, and when each of them takes units again.
pub fn full_machines(snapshot: &Snapshot, now: Timestamp) -> BTreeMap<MachineId, Timestamp> {
    let mut full = BTreeMap::new();
    let loads = snapshot.placements.values().flat_map(|placement| &placement.failed_loads);
    for load in loads.filter(|it| it.is_for_lack_of_room() && now < it.at + FULL) {
        let until = full.entry(load.machine).or_insert(Timestamp::ZERO);
        *until = (*until).max(load.at + FULL);
    }
    full
}
