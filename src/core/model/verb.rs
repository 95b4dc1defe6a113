//! The verbs of an operator for units.

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
