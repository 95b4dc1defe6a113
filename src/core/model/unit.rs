//! A submitted unit and its placement.

use std::fmt;

use serde::Deserialize;
use serde::Serialize;

use super::MachineId;
use super::PlacementReason;
use super::Timestamp;
use crate::core::unit::Hash;

/// What is wanted of a unit (DSTATE), in fleet's order: each state includes the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DesiredState {
    /// Known to the cluster, on no machine.
    Inactive,
    /// On a machine and known to its systemd, not started by us.
    Loaded,
    /// Started.
    Launched,
}

impl fmt::Display for DesiredState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inactive => "inactive",
            Self::Loaded => "loaded",
            Self::Launched => "launched",
        })
    }
}

/// A unit that was submitted. The store keeps it under `units/<name>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// Which file it is; the text is under `files/<hash>`.
    pub hash: Hash,
    /// What is wanted of it.
    #[serde(rename = "desired")]
    pub desired: DesiredState,
    /// How often a restart was asked for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub restarts: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde reconciles a reference")]
pub(super) const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Unit → machine, with the reason it was chosen. The store keeps it under `placements/<name>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// Where the unit is to be.
    pub machine: MachineId,
    /// The leader that chose it.
    pub epoch: u64,
    /// Why this machine.
    pub reason: PlacementReason,
    /// Since when.
    pub since: Timestamp,
}
