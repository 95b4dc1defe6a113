//! The verbs of an operator for units and for machines.

use std::fmt;

use serde::Deserialize;
use serde::Serialize;

use super::DesiredState;

/// What an operator commands for units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// Makes a unit known to the cluster.
    Submit,
    /// Places a unit on a machine.
    Load,
    /// Starts a unit.
    Start,
    /// Stops a unit and leaves it on its machine.
    Stop,
    /// Removes a unit from its machine.
    Unload,
    /// Removes a unit from the cluster.
    Destroy,
    /// Stops and starts a unit on its machine.
    Restart,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Submit => "submit",
            Self::Load => "load",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Unload => "unload",
            Self::Destroy => "destroy",
            Self::Restart => "restart",
        })
    }
}

/// What an operator commands for a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MachineVerb {
    /// Makes a host a machine, or updates its record.
    Join,
    /// Takes a machine out of the cluster.
    Leave,
    /// Places no new units on a machine.
    Cordon,
    /// Places units on a machine again.
    Uncordon,
    /// Moves the units of a machine elsewhere.
    Drain,
}

impl fmt::Display for MachineVerb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Join => "join",
            Self::Leave => "leave",
            Self::Cordon => "cordon",
            Self::Uncordon => "uncordon",
            Self::Drain => "drain",
        })
    }
}

impl DesiredState {
    /// Returns the verb that gives a unit a file and brings it to this state.
    pub const fn verb_with_file(self) -> Verb {
        match self {
            Self::Inactive => Verb::Submit,
            Self::Loaded => Verb::Load,
            Self::Launched => Verb::Start,
        }
    }
}

impl Verb {
    /// Reports whether the verb creates units that are not known.
    pub const fn creates(self) -> bool {
        matches!(self, Self::Submit | Self::Load | Self::Start)
    }

    /// Returns the desired state after the verb; `None` if the unit is removed.
    pub const fn goal(self) -> Option<DesiredState> {
        match self {
            Self::Submit | Self::Unload => Some(DesiredState::Inactive),
            Self::Load | Self::Stop => Some(DesiredState::Loaded),
            Self::Start | Self::Restart => Some(DesiredState::Launched),
            Self::Destroy => None,
        }
    }
}
