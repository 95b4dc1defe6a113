//! The plan: what should be done on a machine, and why.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::cluster::DesiredState;
use super::cluster::MachineId;
use super::cluster::Unit;
use super::cluster::UnitState;
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
        /// Set when the unit may only run while the machine holds a lease.
        strict: bool,
    },
    /// Stops the unit and waits.
    Stop,
    /// Queues the unit's start; what runs already goes on.
    Start {
        /// How many restarts were asked for until now: none of them is owed.
        count: u64,
    },
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
    /// The unit is global and this machine is not one for it.
    NotForThisMachine,
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
    /// The machine is drained, its time is over and the unit has no other place.
    Drained,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PlacedElsewhere(machine) => write!(f, "placed on {}...", machine.short()),
            Self::WantedInactive => f.write_str("wanted inactive"),
            Self::NotSubmitted => f.write_str("not submitted"),
            Self::NotForThisMachine => f.write_str("global, and not for this machine"),
            Self::NotThere => f.write_str("placed here and not there"),
            Self::HashDiffers => f.write_str("its file differs from the submitted one"),
            Self::WantedLaunched => f.write_str("wanted launched"),
            Self::WantedLoaded => f.write_str("wanted loaded"),
            Self::RestartAsked => f.write_str("restart asked for"),
            Self::Drained => f.write_str("drained, and no other machine for it"),
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

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unload => "unload",
            Self::Load { .. } => "load",
            Self::Stop => "stop",
            Self::Start { .. } => "start",
            Self::Restart { .. } => "restart",
        })
    }
}

/// What is wanted of one unit on one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// The unit's file, its desired state and how many restarts were asked for.
    pub unit: Unit,
    /// Set when the file has an `[Install]` section.
    pub install: bool,
    /// How long it may take to stop, if it may only run while the machine holds a lease.
    pub strict: Option<Duration>,
}

/// Returns the steps that make a machine's units what they should be, in the order in which a visit takes them.
///
/// `wanted` is what belongs on the machine, `observed` what is there, and `stranger` says why a unit that is there and
/// does not belong has to go, if it has to. A machine that is as it should be gets no steps.
pub fn steps(
    wanted: &BTreeMap<UnitName, Wanted>,
    observed: &BTreeMap<UnitName, UnitState>,
    stranger: impl Fn(&UnitName) -> Option<Reason>,
) -> Vec<Step> {
    let mut steps = Vec::new();
    for unit in observed.keys().filter(|unit| !wanted.contains_key(*unit)) {
        let unload = |reason| Step { unit: unit.clone(), action: Action::Unload, reason };
        steps.extend(stranger(unit).map(unload));
    }
    for (unit, wanted) in wanted {
        for (action, reason) in one_unit(*wanted, observed.get(unit)) {
            steps.push(Step { unit: unit.clone(), action, reason });
        }
    }
    steps.sort_by(|a, b| a.action.rank().cmp(&b.action.rank()).then_with(|| a.unit.cmp(&b.unit)));
    steps
}

/// Returns what has to be done to one unit that belongs on a machine.
fn one_unit(wanted: Wanted, there: Option<&UnitState>) -> Vec<(Action, Reason)> {
    let Unit { hash, desired, restarts } = wanted.unit;
    let load = Action::Load { hash, install: wanted.install, strict: wanted.strict.is_some() };
    let start = (Action::Start { count: restarts }, Reason::WantedLaunched);
    let launch = desired == DesiredState::Launched;
    let mut steps = Vec::new();
    match there {
        None => steps.push((load, Reason::NotThere)),
        Some(state) if state.hash != hash => {
            steps.push((Action::Unload, Reason::HashDiffers));
            steps.push((load, Reason::HashDiffers));
        }
        Some(state) if state.load == "not-found" => steps.push((load, Reason::NotThere)),
        Some(state) if launch && state.launched => {
            if state.restarts < restarts {
                steps.push((Action::Restart { count: restarts }, Reason::RestartAsked));
            }
            return steps;
        }
        Some(state) => {
            // What runs without having been started here was started by another unit (a timer, a socket, `Wants=`).
            if !launch && state.launched {
                steps.push((Action::Stop, Reason::WantedLoaded));
            }
        }
    }
    if launch {
        steps.push(start);
    }
    steps
}

impl Action {
    /// The order in which a visit takes the actions.
    const fn rank(self) -> u8 {
        match self {
            Self::Unload => 0,
            Self::Load { .. } => 1,
            Self::Stop => 2,
            Self::Start { .. } => 3,
            Self::Restart { .. } => 4,
        }
    }

    /// Says whether the unit may run because of it.
    pub const fn starts(self) -> bool {
        matches!(self, Self::Start { .. } | Self::Restart { .. })
    }
}
