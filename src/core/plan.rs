//! The plan: what should be done, where, and why.

use std::fmt;

use super::cluster::MachineId;
use super::cluster::Write;
use super::time::Timestamp;
use super::unit::Hash;
use super::unit::UnitName;

/// Something done to one unit on one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Stops the unit and waits, takes its file away and makes systemd forget it.
    Unload,
    /// Puts the file there and makes systemd know it (`link --runtime`, and `enable --runtime` if it has `[Install]`).
    Load {
        /// Which file.
        hash: Hash,
        /// Set when the file has an `[Install]` section.
        install: bool,
    },
    /// Stops the unit and waits.
    Stop,
    /// Queues the unit's start.
    Start,
    /// Queues the unit's restart.
    Restart {
        /// Which of the restarts that were asked for this is.
        count: u64,
    },
}

/// Why a step is in the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The unit is placed on another machine.
    PlacedElsewhere(MachineId),
    /// The unit is to be inactive.
    WantedInactive,
    /// The unit is not known to the cluster.
    NotSubmitted,
    /// The unit is placed here and its file is not.
    NotThere,
    /// The file differs from the one that was submitted.
    HashDiffers,
    /// The unit is to be launched and was not started.
    WantedLaunched,
    /// The unit is to be loaded and was started.
    WantedLoaded,
    /// A restart was asked for.
    RestartAsked,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PlacedElsewhere(machine) => write!(f, "placed on {}...", machine.short()),
            Self::WantedInactive => f.write_str("wanted inactive"),
            Self::NotSubmitted => f.write_str("not submitted"),
            Self::NotThere => f.write_str("placed here and not there"),
            Self::HashDiffers => f.write_str("its file differs from the submitted one"),
            Self::WantedLaunched => f.write_str("wanted launched"),
            Self::WantedLoaded => f.write_str("wanted loaded"),
            Self::RestartAsked => f.write_str("restart asked for"),
        }
    }
}

/// One action with its unit and its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The unit.
    pub unit: UnitName,
    /// What to do to it.
    pub action: Action,
    /// Why.
    pub reason: Reason,
}

/// What should be done now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// What to note in the store first.
    pub writes: Vec<Write>,
    /// What to do on hosts, in order, each host's steps together.
    pub steps: Vec<(MachineId, Step)>,
    /// Units that should be somewhere and cannot be, with why.
    pub refused: Vec<(UnitName, String)>,
    /// When to look again although nothing happened.
    pub look_again: Option<Timestamp>,
}
