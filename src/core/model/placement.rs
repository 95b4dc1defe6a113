//! The reasons of placements: why a unit is on a machine, why it was taken off one, and why it is on none.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use serde::Serialize;

use super::Health;
use super::MachineId;
use crate::core::sanitize::truncate;
use crate::core::unit::Pin;
use crate::core::unit::UnitName;

/// Why a unit is on its machine. The store keeps it as part of the placement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacementReason {
    /// Why this machine was chosen.
    pub choice: ChoiceReason,
    /// Why the unit left the machine that it was on, if it moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<RemovalReason>,
}

/// Why a unit is taken off a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemovalReason {
    /// The unit is not known to the cluster any more.
    NotSubmitted,
    /// The desired state of the unit is inactive.
    WantedInactive,
    /// The unit has become global, and global units are not placed.
    Global,
    /// The machine left the cluster.
    MachineLeft(MachineId),
    /// The machine is drained.
    Drained(MachineId),
    /// The machine does not run its units any more.
    Unhealthy {
        /// The machine.
        machine: MachineId,
        /// Its health.
        health: Health,
    },
    /// The unit does not fit the machine any more.
    Misfit {
        /// The machine.
        machine: MachineId,
        /// What is in the way there.
        obstacle: FilterReason,
    },
}

/// Why this machine was chosen for a unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChoiceReason {
    /// `MachineID=` names it.
    Pinned(Pin),
    /// The unit that it is to be with is there (`MachineOf=`).
    With(UnitName),
    /// The unit whose place it takes is there (`Replaces=`).
    Replaces(UnitName),
    /// It has the fewest units of all machines that fit.
    LeastLoaded {
        /// How many it had.
        units: usize,
        /// How many the next one has, if another fits.
        next: Option<usize>,
    },
}

/// What is in the way on one machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FilterReason {
    /// It is not alive, or not surely.
    Health(Health),
    /// The operator wants nothing new there.
    Cordoned,
    /// `MachineID=` names another machine.
    NotPinned(Pin),
    /// `MachineMetadata=` is not met.
    Metadata {
        /// Which key.
        key: String,
        /// What values would do.
        wanted: BTreeSet<String>,
    },
    /// It went down so often lately that it takes nothing new yet.
    Flapping(usize),
    /// A unit that it is to be with is not there.
    Without(UnitName),
    /// A unit that it must not be with is there.
    Conflict(UnitName),
}

/// Why a unit goes to no machine. Nothing has moved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlacementError {
    /// The cluster has not started.
    #[error("{joined} of {size} machines have joined: {} more must", (*size as usize).saturating_sub(*joined))]
    Awaiting {
        /// How many have.
        joined: usize,
        /// How many the token asks for.
        size: u32,
    },
    /// The requirements of the unit are not known: its file is missing, or has requirements that contradict each other or
    /// cannot be read, as the text says.
    #[error("{}", .0.as_deref().unwrap_or("its file is missing"))]
    Unread(Option<String>),
    /// It is not placed, it is everywhere.
    #[error("it is global: it runs on every machine that fits")]
    Global,
    /// A unit that it is to be with is on no machine.
    #[error("{0}, which it is to be with, is on no machine")]
    PeerNotPlaced(UnitName),
    /// No machine that has joined is the one that `MachineID=` names.
    #[error("no machine with the machine-id {0} has joined")]
    NoSuchMachine(Pin),
    /// It and a unit that is placed replace each other.
    #[error("it and {0} replace each other")]
    Circular(UnitName),
    /// A unit whose place it would take has nowhere to go.
    #[error("{unit}, which it replaces, fits nowhere else: {why}")]
    Stuck {
        /// The unit that would have to go.
        unit: UnitName,
        /// Why it cannot.
        why: Box<PlacementError>,
    },
    /// Every machine has something in the way.
    #[error("{0}")]
    Unschedulable(Unschedulable),
    /// It no longer fits where it is and fits nowhere else either.
    #[error("stays on {machine} although {filter_reason}: no machine for it: {why}")]
    Stays {
        /// The name of the machine where it is.
        machine: String,
        /// What is in the way there.
        filter_reason: FilterReason,
        /// Why it fits nowhere else.
        why: Box<PlacementError>,
    },
    /// A reason that was too long to be stored whole: the beginning of its text.
    #[error("{0}")]
    Abridged(String),
}

/// How many of the values that a unit asks for are kept in a record, and how many characters of each.
const KEPT: (usize, usize) = (8, 128);

impl PlacementReason {
    /// Cuts texts from unit files so that a record stays small.
    #[must_use]
    pub fn bounded(self, limit: usize) -> Self {
        Self { choice: self.choice, moved: self.moved.map(|reason| reason.bounded(limit)) }
    }
}

impl RemovalReason {
    /// Cuts texts from unit files so that a record stays small.
    #[must_use]
    pub fn bounded(self, limit: usize) -> Self {
        match self {
            Self::Misfit { machine, obstacle: FilterReason::Metadata { key, wanted } } => {
                let length = KEPT.1.min(limit);
                let wanted = wanted.iter().take(KEPT.0).map(|value| truncate(value, length)).collect();
                let obstacle = FilterReason::Metadata { key: truncate(&key, length), wanted };
                Self::Misfit { machine, obstacle }
            }
            other => other,
        }
    }
}

impl PlacementError {
    /// Replaces an error that would make a large record by the beginning of its text.
    #[must_use]
    pub fn bounded(self, limit: usize) -> Self {
        let text = self.to_string();
        if text.len() > limit { Self::Abridged(truncate(&text, limit)) } else { self }
    }

    /// Returns the text with its consequence for the unit.
    pub fn tell(&self) -> String {
        if matches!(self, Self::Stays { .. }) { self.to_string() } else { format!("no machine for it: {self}") }
    }
}

/// How many machines each filter_reason rules out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Unschedulable {
    /// Obstacles other than conflicts, each with its number of machines.
    #[serde(with = "pairs")]
    pub counts: BTreeMap<FilterReason, usize>,
    /// How many machines have a unit that conflicts.
    pub conflicting: usize,
    /// The first few of these units.
    pub conflicts: Vec<UnitName>,
}

/// How many conflicting units are named.
const NAMED: usize = 3;

impl FromIterator<FilterReason> for Unschedulable {
    fn from_iter<I: IntoIterator<Item = FilterReason>>(filter_reasons: I) -> Self {
        let mut nowhere = Self::default();
        for filter_reason in filter_reasons {
            match filter_reason {
                FilterReason::Conflict(unit) => {
                    nowhere.conflicting += 1;
                    if nowhere.conflicts.len() < NAMED && !nowhere.conflicts.contains(&unit) {
                        nowhere.conflicts.push(unit);
                    }
                }
                other => *nowhere.counts.entry(other).or_default() += 1,
            }
        }
        nowhere
    }
}

impl fmt::Display for Unschedulable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = self
            .counts
            .iter()
            .map(|(filter_reason, count)| format!("{}: {filter_reason}", count_of(*count, "machine")))
            .collect();
        if self.conflicting > 0 {
            let names: Vec<&str> = self.conflicts.iter().map(UnitName::as_str).collect();
            let more = if self.conflicting > names.len() && names.len() == NAMED { " …" } else { "" };
            parts.push(format!("{}: conflicts with {}{more}", count_of(self.conflicting, "machine"), names.join(", ")));
        }
        if parts.is_empty() { f.write_str("no machine has joined") } else { f.write_str(&parts.join("; ")) }
    }
}

impl fmt::Display for FilterReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Health(health) => write!(f, "{health}"),
            Self::Cordoned => f.write_str("cordoned"),
            Self::Flapping(outages) => write!(f, "held down: it went down {outages} times within an hour"),
            Self::NotPinned(pin) => write!(f, "not machine-id {pin}"),
            Self::Metadata { key, wanted } => {
                let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
                write!(f, "metadata {key}={} not matched", wanted.join(" or "))
            }
            Self::Without(unit) => write!(f, "without {unit}"),
            Self::Conflict(unit) => write!(f, "conflicts with {unit}"),
        }
    }
}

impl fmt::Display for ChoiceReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pinned(pin) => write!(f, "MachineID={pin}"),
            Self::With(unit) => write!(f, "with {unit}"),
            Self::Replaces(unit) => write!(f, "in the place of {unit}"),
            Self::LeastLoaded { units, next: None } => {
                write!(f, "the only machine that fits: {}", count_of(*units, "unit"))
            }
            Self::LeastLoaded { units, next: Some(next) } => {
                write!(f, "least loaded: {}, next has {next}", count_of(*units, "unit"))
            }
        }
    }
}

fn count_of(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// A map whose keys are no text, as a list of pairs.
mod pairs {
    use std::collections::BTreeMap;

    use serde::Deserialize as _;
    use serde::Deserializer;
    use serde::Serializer;

    use super::FilterReason;

    pub(super) fn serialize<S: Serializer>(
        counts: &BTreeMap<FilterReason, usize>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(counts)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<FilterReason, usize>, D::Error> {
        Ok(Vec::<(FilterReason, usize)>::deserialize(deserializer)?.into_iter().collect())
    }
}
