//! A submitted unit and its placement, as the store keeps them. The text of the unit file is not part of them: the
//! store keeps it once for all units with the same hash.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use super::MachineId;
use super::PlacementReason;
use super::Timestamp;
use crate::core::unit::Hash;

/// The desired state of a unit (DSTATE), in fleet's order: each state includes the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DesiredState {
    /// Known to the cluster, on no machine.
    Inactive,
    /// On a machine and known to its systemd. muster does not start it.
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
    /// The hash of its file. The text is under `files/<hash>`.
    pub hash: Hash,
    /// The desired state.
    #[serde(rename = "desired")]
    pub desired: DesiredState,
    /// How many restarts were requested.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub restarts: u64,
    /// Set if the last request was to start a unit that does not run: where it runs, it goes on running.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub revive: bool,
    /// The hash of the earlier file, if only files that go with the unit have changed since and the unit is to reload them: where
    /// the earlier file is, the process goes on. That the unit is asked to reload counts as a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload: Option<Hash>,
}

impl Unit {
    /// Makes the record of a unit that was just submitted.
    pub const fn new(hash: Hash, desired: DesiredState) -> Self {
        Self { hash, desired, restarts: 0, revive: false, reload: None }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(super) const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The machine of a unit, with the reason for the choice. The store keeps it under `placements/<name>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The machine that the unit belongs on.
    pub machine: MachineId,
    /// The epoch of the leader that chose the machine.
    pub epoch: u64,
    /// Why the machine was chosen.
    pub reason: PlacementReason,
    /// When the machine was chosen.
    pub since: Timestamp,
    /// The machines on which its file could not be loaded, the latest last; at most [`FAILED_LOADS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_loads: Vec<FailedLoad>,
    /// The pull of the unit's image on the machine, while it is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull: Option<Pull>,
}

/// A pull of the image that a unit needs, on the machine where the unit is to be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pull {
    /// The hash of the unit's file, which names the image.
    pub hash: Hash,
    /// When the host first reported it.
    pub since: Timestamp,
}

/// How long a pull may take. The host ends it then.
pub const PULL_LIMIT: Duration = Duration::from_mins(30);

/// How many machines are tried for a file that cannot be loaded.
pub const FAILED_LOADS: usize = 3;

/// How the reason of a failed load begins if the leader could not send all that the unit needs.
pub const NOT_SENT: &str = "not sent: ";

/// A load of a unit that failed on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedLoad {
    /// The machine.
    pub machine: MachineId,
    /// The hash of the file.
    pub hash: Hash,
    /// What the host said.
    pub said: String,
    /// When.
    pub at: Timestamp,
}

impl FailedLoad {
    /// Reports whether the leader was at fault, so that the unit cannot be loaded on another machine either. The words are those
    /// of the visit's script.
    pub fn is_of_leader(&self) -> bool {
        self.said.starts_with(NOT_SENT)
    }

    /// Reports whether the host had no room for the file, so that no other file fits either. The words are those of the
    /// visit's script.
    pub fn is_for_lack_of_room(&self) -> bool {
        self.said.ends_with("is /run full?")
    }
}
