//! When the machines were last observed: the age of the unit states in the store.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use super::MachineId;
use super::Timestamp;

/// How old an observation may be for the states in it to count as the present ones.
pub const RECENT: Duration = Duration::from_secs(4);

/// The times at which the machines of a cluster were last observed. The store keeps it under `observed`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ObservationTimes {
    /// When this was recorded. Each machine had been observed within [`RECENT`], except for those in `behind`.
    pub at: Timestamp,
    /// The machines that had not been observed recently, and when they were last observed; `None` if never.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub behind: BTreeMap<MachineId, Option<Timestamp>>,
    /// Set if a controller has recorded this, which observes the machines as long as it leads.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub continuous: bool,
}

impl ObservationTimes {
    /// Returns when a machine was last observed; `None` if never.
    pub fn of(&self, machine: MachineId) -> Option<Timestamp> {
        self.behind.get(&machine).copied().unwrap_or(Some(self.at))
    }
}
