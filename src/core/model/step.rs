//! Steps: actions on a unit on a machine, with their reasons. [`crate::core::plan`] decides which steps a machine
//! needs; nothing is decided here.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use serde::Serialize;

use super::ActiveState;
use super::JobType;
use super::MachineId;
use super::UnitState;
use crate::core::unit::Hash;
use crate::core::unit::UnitName;

/// An action on one unit on one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Stops the unit, waits for its end and removes its file.
    Unload,
    /// Writes the file and links it into systemd (`link --runtime`, and `enable --runtime` if it has `[Install]`).
    Load {
        /// The hash of the file.
        hash: Hash,
        /// Set when the file has an `[Install]` section.
        install: bool,
        /// Set when the unit may only run while the machine holds a lease.
        strict: bool,
    },
    /// Marks the unit's file as muster's, which another program wrote. The unit goes on as it is.
    Adopt {
        /// The hash of the file.
        hash: Hash,
        /// Set when the unit may only run while the machine holds a lease.
        strict: bool,
    },
    /// Stops the unit and waits for its end.
    Stop,
    /// Queues the unit's start. A unit that runs goes on running.
    Start {
        /// How many restarts have been requested until now. A start counts as all of them.
        count: u64,
    },
    /// Queues the unit's restart.
    Restart {
        /// The number of this restart among those that were requested.
        count: u64,
    },
    /// Lets the unit read its files again (`ExecReload=`). A unit that cannot is restarted.
    Reload {
        /// The number of this reload among the restarts that were requested.
        count: u64,
    },
}

/// Why a step is in the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The unit is placed on another machine.
    PlacedElsewhere(MachineId),
    /// The unit is to be inactive.
    WantedInactive,
    /// The unit is not known to the cluster.
    NotSubmitted,
    /// The unit is global and does not fit on this machine.
    NotForThisMachine,
    /// The unit is placed here and the machine does not have it.
    NotThere,
    /// The machine has the unit, and the file of the unit is missing.
    FileGone,
    /// The unit is placed here and its file is there, which another program wrote.
    FoundHere,
    /// The file differs from the one that was submitted.
    HashDiffers,
    /// Only files that go with the unit differ, and the unit reloads them.
    CompanionsDiffer,
    /// The unit is to be launched and was not started.
    WantedLaunched,
    /// The unit is to be loaded and was started.
    WantedLoaded,
    /// A restart was requested.
    RestartAsked,
    /// The start of a unit that does not run was requested.
    StartAsked,
    /// The machine is drained, the deadline is over and no other machine takes the unit.
    Drained,
    /// No machine takes the unit, this one neither, and it does not run.
    NoMachine,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PlacedElsewhere(machine) => write!(f, "placed on {}...", machine.short()),
            Self::WantedInactive => f.write_str("its desired state is inactive"),
            Self::NotSubmitted => f.write_str("not submitted"),
            Self::NotForThisMachine => f.write_str("global, and not for this machine"),
            Self::NotThere => f.write_str("placed here"),
            Self::FileGone => f.write_str("its file was gone"),
            Self::FoundHere => f.write_str("found here with the submitted file"),
            Self::HashDiffers => f.write_str("its file differs from the submitted one"),
            Self::CompanionsDiffer => f.write_str("files that go with it have changed"),
            Self::WantedLaunched => f.write_str("its desired state is launched"),
            Self::WantedLoaded => f.write_str("its desired state is loaded"),
            Self::RestartAsked | Self::StartAsked => f.write_str("an operator asked for it"),
            Self::Drained => f.write_str("drained, and no other machine for it"),
            Self::NoMachine => f.write_str("no machine takes it"),
        }
    }
}

/// An action with its unit and its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The unit.
    pub unit: UnitName,
    /// The action.
    pub action: Action,
    /// Why it is taken.
    pub reason: Reason,
}

/// Returns the units of which these steps replace the file: they are unloaded and loaded again, and a target or a slice is only
/// loaded.
pub fn replaced_units(steps: &[Step]) -> BTreeSet<&UnitName> {
    let unloaded = steps.iter().filter(|step| step.action == Action::Unload);
    let unloaded: BTreeSet<&UnitName> = unloaded.map(|step| &step.unit).collect();
    let is_replaced = |step: &&Step| {
        let is_group = step.unit.kind().is_group() && step.reason == Reason::HashDiffers;
        matches!(step.action, Action::Load { .. }) && (is_group || unloaded.contains(&step.unit))
    };
    steps.iter().filter(is_replaced).map(|step| &step.unit).collect()
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unload => "unload",
            Self::Load { .. } => "load",
            Self::Adopt { .. } => "adopt",
            Self::Stop => "stop",
            Self::Start { .. } => "start",
            Self::Restart { .. } => "restart",
            Self::Reload { .. } => "reload",
        })
    }
}

impl Action {
    /// The order in which a visit takes the actions.
    pub(in crate::core) const fn rank(self) -> u8 {
        match self {
            Self::Unload => 0,
            Self::Load { .. } | Self::Adopt { .. } => 1,
            Self::Stop => 2,
            Self::Start { .. } => 3,
            Self::Restart { .. } | Self::Reload { .. } => 4,
        }
    }

    /// Reports whether the state of the unit after a visit shows that the action was carried out.
    pub fn is_done(self, there: Option<&UnitState>) -> bool {
        match self {
            Self::Unload => there.is_none(),
            Self::Load { hash, .. } | Self::Adopt { hash, .. } => there.is_some_and(|unit| unit.has_loaded(hash)),
            Self::Stop => there.is_none_or(|unit| !unit.runs() && !unit.launched),
            Self::Start { count } | Self::Restart { count } | Self::Reload { count } => {
                there.is_some_and(|unit| unit.launched && unit.restarts >= count)
            }
        }
    }

    /// Reports whether systemd still carries out an action that has begun, as the state of the unit after a visit shows. A
    /// unit that is restarted runs as before until it has been stopped.
    pub fn goes_on(self, there: Option<&UnitState>) -> bool {
        let is_stopping = there.is_some_and(|unit| unit.active == ActiveState::Deactivating);
        let has = |job| there.is_some_and(|unit| unit.job == Some(job));
        match self {
            Self::Stop | Self::Unload => is_stopping || has(JobType::Stop),
            Self::Restart { .. } | Self::Reload { .. } => is_stopping || has(JobType::Restart),
            Self::Load { .. } | Self::Adopt { .. } | Self::Start { .. } => false,
        }
    }

    /// Returns the number of requested restarts with which the unit counts as started after the action; `None` if the action
    /// starts nothing.
    pub const fn count(self) -> Option<u64> {
        match self {
            Self::Start { count } | Self::Restart { count } | Self::Reload { count } => Some(count),
            Self::Unload | Self::Load { .. } | Self::Adopt { .. } | Self::Stop => None,
        }
    }

    /// Reports whether the unit may run because of the action.
    pub const fn starts(self) -> bool {
        self.count().is_some()
    }
}
