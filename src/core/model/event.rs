//! One line of the event log.

use serde::Deserialize;
use serde::Serialize;

use super::MachineId;
use super::Timestamp;
use crate::core::unit::UnitName;

/// One line of the event log: what was done, to what, why, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// The machine it was done on, if one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<MachineId>,
    /// The unit it was done to, if one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitName>,
    /// What was done, why and how it ended, in one sentence.
    pub what: String,
    /// Set when it is not what was wanted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trouble: bool,
}
