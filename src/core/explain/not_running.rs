//! Why a unit does not run, as text, and the kind of each trouble for programs. Nothing is found out here.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::core::model::Action;
use crate::core::model::ActiveState;
use crate::core::model::DesiredState;
use crate::core::model::FilterReason;
use crate::core::model::Health;
use crate::core::model::HealthReason;
use crate::core::model::LoadState;
use crate::core::model::MachineId;
use crate::core::model::PlacementError;
use crate::core::model::Timestamp;
use crate::core::model::UnitState;
use crate::core::unit::Hash;
use crate::core::unit::UnitName;

/// The kind of a trouble of a machine, of a unit or of the cluster. Programs that read JSON decide by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TroubleKind {
    /// A machine is not alive, or the machine of a unit is not.
    MachineUnavailable,
    /// The desired state of a unit is not launched.
    NotDesired,
    /// A record of the store cannot be read.
    UnreadableRecord,
    /// No machine takes a unit.
    Unschedulable,
    /// A unit runs on a machine that is drained, and fits on no other. It is as desired, and the drain is not.
    Draining,
    /// A unit has no placement yet.
    NotPlaced,
    /// The machine of a unit has left the cluster.
    MachineLeft,
    /// A strict unit waits for a lease, or for the end of one.
    Lease,
    /// A unit waits until it has stopped on another machine, or has not left a machine.
    StillElsewhere,
    /// A unit is not on its machine yet.
    NotOnMachine,
    /// The machine of a unit pulls the image that the unit needs.
    Pulling,
    /// The machine of a unit has an older file of it.
    OutdatedFile,
    /// The file of a unit could not be loaded on its machine.
    LoadFailed,
    /// Another step on a host failed.
    StepFailed,
    /// systemd reports that a unit does not run.
    NotActive,
    /// A unit ended, and systemd starts it again.
    Restarting,
    /// The unit that a timer starts has failed.
    JobFailed,
    /// systemd has not ended what it does to a unit.
    StillChanging,
    /// A unit that is to be stopped runs, because another unit has started it.
    StartedByAnother,
    /// A controller has not reached the goal of a command within the time.
    TimedOut,
    /// Another command has changed the desired state of a unit before the goal of this one was reached.
    Overruled,
    /// The cluster has no such unit.
    UnknownUnit,
    /// The cluster did not settle within the time.
    Unsettled,
    /// A machine has seen later records than those in the store.
    StoreRestored,
    /// A unit that another program runs on a host was left alone.
    NotAdopted,
}

impl TroubleKind {
    /// Returns the kind of the trouble with a step that failed.
    pub const fn of_step(action: Action) -> Self {
        if matches!(action, Action::Load { .. }) { Self::LoadFailed } else { Self::StepFailed }
    }

    /// Returns the kind of the trouble of a unit that systemd reports in this state.
    pub fn of_state(state: &UnitState) -> Self {
        if state.is_restarting() { Self::Restarting } else { Self::NotActive }
    }
}

/// Why a unit does not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotRunning {
    /// Its desired state is not launched.
    NotDesired(DesiredState),
    /// A record that it depends on cannot be read, so it is not changed.
    Unreadable,
    /// No machine takes it.
    Unschedulable(PlacementError),
    /// It has no placement yet. The next reconcile places it.
    NotPlacedYet,
    /// Its machine has left the cluster.
    MachineLeft(MachineId),
    /// Its machine cannot be managed.
    MachineUnavailable {
        /// The machine's name.
        name: String,
        /// The machine's health.
        health: Health,
        /// Why it has this health.
        reason: Box<HealthReason>,
    },
    /// It is strict, and its machine has no lease.
    NoLease(String),
    /// It is strict, and the lease of its machine has ended, at which strict units stop.
    LeaseEnded {
        /// The machine's name.
        name: String,
        /// When the lease ended at the latest.
        at: Timestamp,
    },
    /// A machine that does not answer may still run a strict copy of it. It starts after the copy has certainly stopped.
    MayStillRun {
        /// Set if the unit itself is strict. Otherwise only the copy was strict when it started.
        is_strict: bool,
        /// That machine's name.
        name: String,
        /// When it has certainly stopped there.
        until: Timestamp,
    },
    /// It still runs on a machine where it is being stopped, and starts after that.
    StopsElsewhere(String),
    /// It runs on a machine where it is not placed, and is not on its own machine.
    RunsElsewhere {
        /// The name of the machine where it runs.
        runs: String,
        /// The name of its own machine.
        placed: String,
    },
    /// It is not on its machine yet.
    NotOnMachineYet(String),
    /// It waits until its machine has loaded another Quadlet file, which it names.
    AwaitsUnit {
        /// The machine's name.
        name: String,
        /// The other unit.
        other: UnitName,
    },
    /// Its machine pulls the image that it needs.
    Pulling {
        /// The machine's name.
        name: String,
        /// The image.
        image: String,
        /// How long that has taken so far, if it is known.
        time: Option<Duration>,
        /// Where it runs meanwhile: the name of the machine, if that is another one.
        runs: Option<String>,
    },
    /// It is global and not on this machine. No record says whether the machine has refused its file.
    GlobalNotThere(String),
    /// It is global, and this machine has a file of its name that muster did not write.
    NameTaken(String),
    /// systemd has refused to start it on its machine.
    StartRefused {
        /// The machine's name.
        name: String,
        /// What systemd said.
        said: String,
    },
    /// Its file could not be loaded on its machine.
    LoadFailed {
        /// The machine's name.
        name: String,
        /// What the host said.
        said: String,
        /// Set if an earlier file of it goes on there.
        runs_earlier: bool,
    },
    /// Its machine has an older file of it.
    OutdatedFile(Hash),
    /// It is not running in the machine's systemd.
    NotActive {
        /// The machine's name.
        name: String,
        /// The state that the machine reported.
        state: UnitState,
    },
    /// It is a timer, and the unit that it starts has failed.
    JobFailed {
        /// The machine's name.
        name: String,
        /// The unit that it starts.
        job: UnitName,
        /// The state of that unit.
        state: UnitState,
    },
}

impl fmt::Display for NotRunning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotDesired(desired) => write!(f, "its desired state is {desired}"),
            Self::Unreadable => f.write_str("a record that it depends on cannot be read: the unit is not changed"),
            Self::Unschedulable(_) => f.write_str("no machine takes it"),
            Self::NotPlacedYet => f.write_str("it has no machine yet: the next reconcile places it"),
            Self::MachineLeft(id) => {
                write!(f, "its machine {}... has left: the next reconcile places it on another", id.short())
            }
            Self::MachineUnavailable { name, health, reason } => write!(f, "{name} is {health}: {reason}"),
            Self::NoLease(name) => {
                write!(f, "it is strict, and {name} has no lease: a controller must run, or sweeps with --sweep-every")
            }
            Self::LeaseEnded { name, .. } => write!(
                f,
                "it is strict, and stopped because its lease on {name} has ended: a controller must run, or sweeps with \
                 --sweep-every"
            ),
            Self::MayStillRun { is_strict: true, name, .. } => write!(f, "it is strict, and may still run on {name}"),
            Self::MayStillRun { name, .. } => write!(f, "a strict copy of it may still run on {name}"),
            Self::StopsElsewhere(name) => write!(f, "it waits for {name}, where it still runs and is being stopped"),
            Self::RunsElsewhere { runs, placed } => {
                write!(f, "it runs on {runs}, and is placed on {placed}: the next reconcile moves it to {placed}")
            }
            Self::NotOnMachineYet(name) => write!(f, "it is not on {name} yet: the next reconcile loads it there"),
            Self::AwaitsUnit { name, other } => write!(f, "it waits for {other}, which {name} has not loaded yet"),
            Self::Pulling { name, image, time, runs } => {
                match time {
                    Some(time) => write!(f, "{name} has been pulling {image} for {}", time_text(*time))?,
                    None => write!(f, "{name} is pulling {image}")?,
                }
                match runs {
                    Some(runs) if runs == name => f.write_str("; its earlier version runs until then"),
                    Some(runs) => write!(f, "; it runs on {runs} until then"),
                    None => Ok(()),
                }
            }
            Self::GlobalNotThere(name) => write!(
                f,
                "it is not on {name}: the next reconcile loads it there, unless {name} refuses it, which the events show"
            ),
            Self::NameTaken(name) => write!(f, "it is not on {name}: {}", FilterReason::NameTaken),
            Self::LoadFailed { name, said, runs_earlier: true } => {
                write!(f, "it runs on {name} with an earlier file, because the present one could not be loaded: {said}")
            }
            Self::LoadFailed { name, said, .. } => write!(f, "it could not be loaded on {name}: {said}"),
            Self::StartRefused { name, said } => write!(f, "it could not be started on {name}: {said}"),
            Self::OutdatedFile(Hash::NONE) => {
                f.write_str("it runs, but its file is gone from the machine: the next reconcile puts it there again")
            }
            Self::OutdatedFile(hash) => {
                write!(f, "its machine has an older file of it ({}): the next reconcile replaces it", hash.short())
            }
            Self::NotActive { name, state } if state.load != LoadState::Loaded => {
                write!(f, "systemd on {name} could not load it: {}", state.load)
            }
            Self::JobFailed { name, job, state } => write!(f, "{job}, which it starts, is {state} on {name}"),
            Self::NotActive { name, state } if state.launched && state.active == ActiveState::Failed => {
                write!(f, "it failed on {name}")
            }
            Self::NotActive { name, state } if state.launched => write!(f, "it was started on {name} and is {state}"),
            Self::NotActive { name, state } => {
                write!(f, "it is {state} on {name} and was not started yet: the next reconcile starts it")
            }
        }
    }
}

impl NotRunning {
    /// Returns the kind of the trouble.
    pub fn kind(&self) -> TroubleKind {
        match self {
            Self::NotDesired(_) => TroubleKind::NotDesired,
            Self::Unreadable => TroubleKind::UnreadableRecord,
            Self::Unschedulable(_) => TroubleKind::Unschedulable,
            Self::NotPlacedYet => TroubleKind::NotPlaced,
            Self::MachineLeft(_) => TroubleKind::MachineLeft,
            Self::MachineUnavailable { .. } => TroubleKind::MachineUnavailable,
            Self::NoLease(_) | Self::LeaseEnded { .. } | Self::MayStillRun { .. } => TroubleKind::Lease,
            Self::StopsElsewhere(_) | Self::RunsElsewhere { .. } => TroubleKind::StillElsewhere,
            Self::NotOnMachineYet(_) | Self::GlobalNotThere(_) | Self::NameTaken(_) | Self::AwaitsUnit { .. } => {
                TroubleKind::NotOnMachine
            }
            Self::Pulling { .. } => TroubleKind::Pulling,
            Self::LoadFailed { .. } => TroubleKind::LoadFailed,
            Self::StartRefused { .. } => TroubleKind::StepFailed,
            Self::OutdatedFile(_) => TroubleKind::OutdatedFile,
            Self::NotActive { state, .. } => TroubleKind::of_state(state),
            Self::JobFailed { .. } => TroubleKind::JobFailed,
        }
    }

    /// Reports whether it waits until a controller runs, or sweeps that keep leases.
    pub const fn needs_lease(&self) -> bool {
        matches!(self, Self::NoLease(_) | Self::LeaseEnded { .. })
    }

    /// Reports whether the leader is working on it, so that no action of the operator is needed.
    pub fn is_in_progress(&self) -> bool {
        match self {
            Self::NotPlacedYet
            | Self::MachineLeft(_)
            | Self::StopsElsewhere(_)
            | Self::RunsElsewhere { .. }
            | Self::NotOnMachineYet(_)
            | Self::AwaitsUnit { .. }
            | Self::Pulling { .. }
            | Self::GlobalNotThere(_)
            | Self::OutdatedFile(_) => true,
            Self::NotActive { state, .. } => {
                state.load == LoadState::Loaded && (!state.launched || state.is_changing())
            }
            _ => false,
        }
    }
}

/// Writes a short time.
fn time_text(time: Duration) -> String {
    match time.as_secs() {
        seconds @ ..120 => format!("{seconds} s"),
        seconds => format!("{} min", seconds / 60),
    }
}
