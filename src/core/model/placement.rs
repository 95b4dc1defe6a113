//! The reasons of placements: why a unit is on a machine, why it was taken off one, and why it is on none.
//! [`crate::core::schedule`] chooses the machine; this module has only the reasons and their texts.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use serde::Serialize;

use super::Health;
use super::MachineId;
use super::Podman;
use crate::core::sanitize::truncate;
use crate::core::unit::Pin;
use crate::core::unit::PodmanNeed;
use crate::core::unit::UnitName;

/// Why a unit is placed on a machine. The store keeps it as part of the placement.
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
        /// Its health, as the evidence shows it.
        health: Health,
        /// The operator whose override let the failover happen.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        forced_by: Option<String>,
    },
    /// The unit does not fit the machine any more.
    Misfit {
        /// The machine.
        machine: MachineId,
        /// Why the filter rules the machine out.
        filter_reason: FilterReason,
    },
}

/// Why this machine was chosen for a unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChoiceReason {
    /// `MachineID=` names it.
    Pinned(Pin),
    /// Its peer is there (`MachineOf=`).
    With(UnitName),
    /// The unit runs there already, with the submitted file.
    RunsThere,
    /// The unit was found there when the machine joined.
    FoundThere,
    /// The unit that it replaces is there (`Replaces=`).
    Replaces(UnitName),
    /// The machine has the fewest units of all that fit.
    LeastLoaded {
        /// The number of units on it before.
        units: usize,
        /// The number of units on the next machine that fits, if there is one.
        next: Option<usize>,
    },
}

/// Why the filter rules a machine out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FilterReason {
    /// It is not alive, as far as the evidence says.
    Health(Health),
    /// The operator has cordoned it.
    Cordoned,
    /// `MachineID=` names another machine.
    NotPinned(Pin),
    /// `MachineMetadata=` is not met.
    Metadata {
        /// The key.
        key: String,
        /// The values that match.
        wanted: BTreeSet<String>,
    },
    /// It is held down, because it was down so many times within an hour.
    Flapping(usize),
    /// Its /run is full.
    Full,
    /// The file of the unit could not be loaded there: what the host said.
    LoadFailed(String),
    /// The file of the unit could not be loaded on so many other machines that no further machine is tried.
    LoadsFailed(usize),
    /// A peer (`MachineOf=`) is not there.
    PeerMissing(UnitName),
    /// A conflicting unit is there.
    Conflict(UnitName),
    /// The machine has a unit file of this name that muster did not write.
    NameTaken,
    /// The data of the unit are on this other machine (`[X-Muster] Data=`).
    DataElsewhere(MachineId),
    /// Its Podman does not know the unit's Quadlet file.
    Podman {
        /// The Podman of the machine when it joined.
        has: Podman,
        /// The version that the file needs.
        needs: PodmanNeed,
    },
}

/// Why a unit is placed on no machine. No unit has moved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlacementError {
    /// Fewer machines have joined than the token requires.
    #[error("{joined} of {size} machines have joined: {} more must", (*size as usize).saturating_sub(*joined))]
    ClusterIncomplete {
        /// The number of machines that have joined.
        joined: usize,
        /// The number that the token requires.
        size: u32,
    },
    /// Its requirements are not known: its file is missing, or invalid as the text describes.
    #[error("{}", .0.as_deref().unwrap_or("its file is missing"))]
    InvalidRequirements(Option<String>),
    /// It is global and has no placement.
    #[error("it is global: it runs on every machine that fits")]
    Global,
    /// Its peer (`MachineOf=`) is on no machine.
    #[error("{0}, which it must run with, is on no machine")]
    PeerNotPlaced(UnitName),
    /// No machine that has joined is the one that `MachineID=` names.
    #[error("no machine with the machine-id {0} has joined")]
    NoSuchMachine(Pin),
    /// It and a unit that is placed replace each other.
    #[error("it and {0} replace each other")]
    Circular(UnitName),
    /// A unit that it would displace fits on no other machine.
    #[error("{unit}, which it replaces, fits nowhere else: {why}")]
    CannotDisplace {
        /// The unit that would have to move.
        unit: UnitName,
        /// Why that unit fits nowhere else.
        why: Box<PlacementError>,
    },
    /// The filter rules out every machine.
    #[error("{0}")]
    Unschedulable(FilterSummary),
    /// It no longer fits on its machine and fits on no other.
    #[error("stays on {machine} although it no longer fits there ({filter_reason}): {}", .why.message())]
    Stays {
        /// The name of its machine.
        machine: String,
        /// Why it no longer fits there.
        filter_reason: FilterReason,
        /// Why it fits nowhere else.
        why: Box<PlacementError>,
    },
    /// A reason that was too long to be stored whole: the beginning of its text.
    #[error("{0}")]
    Abridged(String),
}

/// How many values of a `MachineMetadata=` a record keeps, and how many characters of each.
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
            Self::Misfit { machine, filter_reason: FilterReason::Metadata { key, wanted } } => {
                let length = KEPT.1.min(limit);
                let wanted = wanted.iter().take(KEPT.0).map(|value| truncate(value, length)).collect();
                let filter_reason = FilterReason::Metadata { key: truncate(&key, length), wanted };
                Self::Misfit { machine, filter_reason }
            }
            Self::Unhealthy { machine, health, forced_by } => {
                Self::Unhealthy { machine, health, forced_by: forced_by.map(|by| truncate(&by, limit)) }
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
    pub fn message(&self) -> String {
        match self {
            Self::Stays { .. } => self.to_string(),
            Self::Unschedulable(_) => format!("no machine fits: {self}"),
            _ => format!("no machine for it: {self}"),
        }
    }

    /// Returns the same for a unit that is to leave a machine. That machine itself, which is ruled out for this reason, is no
    /// obstacle.
    pub fn message_without(&self, own: &FilterReason) -> String {
        let Self::Unschedulable(summary) = self else { return self.message() };
        let others = summary.without(own);
        if others == FilterSummary::default() {
            return "there is no other machine".to_owned();
        }
        Self::Unschedulable(others).message()
    }
}

/// The number of machines that each filter reason rules out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FilterSummary {
    /// The number of machines by reason, except for conflicts.
    #[serde(with = "pairs")]
    pub counts: BTreeMap<FilterReason, usize>,
    /// The number of machines with a conflicting unit.
    pub conflicting: usize,
    /// The first few conflicting units.
    pub conflicts: Vec<UnitName>,
}

impl FilterSummary {
    /// Returns the summary without one machine that is ruled out for this reason.
    fn without(&self, reason: &FilterReason) -> Self {
        let mut others = self.clone();
        if let Some(count) = others.counts.get_mut(reason) {
            *count = count.saturating_sub(1);
        }
        others.counts.retain(|_, count| *count > 0);
        others
    }
}

/// The number of conflicting units that are named.
const NAMED: usize = 3;

impl FromIterator<FilterReason> for FilterSummary {
    fn from_iter<I: IntoIterator<Item = FilterReason>>(filter_reasons: I) -> Self {
        let mut summary = Self::default();
        for filter_reason in filter_reasons {
            match filter_reason {
                FilterReason::Conflict(unit) => {
                    summary.conflicting += 1;
                    if summary.conflicts.len() < NAMED && !summary.conflicts.contains(&unit) {
                        summary.conflicts.push(unit);
                    }
                }
                other => *summary.counts.entry(other).or_default() += 1,
            }
        }
        summary
    }
}

impl fmt::Display for FilterSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |reason: &FilterReason, count: usize| format!("{reason} ({})", count_of(count, "machine"));
        let mut parts: Vec<String> = self.counts.iter().map(|(reason, count)| part(reason, *count)).collect();
        if self.conflicting > 0 {
            let names: Vec<&str> = self.conflicts.iter().map(UnitName::as_str).collect();
            let more = if self.conflicting > names.len() && names.len() == NAMED { " …" } else { "" };
            let machines = count_of(self.conflicting, "machine");
            parts.push(format!("conflicts with {}{more} ({machines})", names.join(", ")));
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
            Self::Full => f.write_str("its /run is full"),
            Self::LoadFailed(said) => write!(f, "the load failed there: {said}"),
            Self::LoadsFailed(machines) => {
                write!(f, "not tried: the load failed on {}, so the file is at fault", count_of(*machines, "machine"))
            }
            Self::NotPinned(pin) => write!(f, "not machine-id {pin}"),
            Self::Metadata { key, wanted } => {
                let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
                write!(f, "no metadata {key}={}", wanted.join(" or "))
            }
            Self::PeerMissing(unit) => write!(f, "{unit} is not there"),
            Self::Conflict(unit) => write!(f, "conflicts with {unit}"),
            Self::DataElsewhere(_) => f.write_str("its data are on another machine"),
            Self::Podman { has: Podman::Missing, needs } => {
                write!(f, "it had no Podman when it joined, and {} needs {}", needs.because, needs.version)
            }
            Self::Podman { has, needs } => {
                write!(f, "it had Podman {has} when it joined, and {} needs {}", needs.because, needs.version)
            }
            Self::NameTaken => f.write_str("muster did not write the unit file of this name in /run/fleet/units there"),
        }
    }
}

impl fmt::Display for ChoiceReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pinned(pin) => write!(f, "MachineID={pin}"),
            Self::With(unit) => write!(f, "with {unit}"),
            Self::RunsThere => f.write_str("it runs there already"),
            Self::FoundThere => f.write_str("it was found there when the machine joined"),
            Self::Replaces(unit) => write!(f, "in the place of {unit}"),
            Self::LeastLoaded { next: None, .. } => f.write_str("no other machine fits"),
            Self::LeastLoaded { units, next: Some(next) } => {
                let too = if units == next { " too" } else { "" };
                write!(f, "fewest units: {units}, and the next machine has {next}{too}")
            }
        }
    }
}

fn count_of(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Stores a map whose keys are not strings as a list of pairs.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_that_a_unit_leaves_is_no_obstacle() {
        let other = FilterReason::NotPinned(Pin::Short(1));
        for (reasons, expected) in [
            (vec![FilterReason::Cordoned], "there is no other machine".to_owned()),
            (vec![FilterReason::Cordoned; 2], "no machine fits: cordoned (1 machine)".to_owned()),
            (vec![FilterReason::Cordoned, other.clone()], format!("no machine fits: {other} (1 machine)")),
        ] {
            let error = PlacementError::Unschedulable(reasons.into_iter().collect());
            assert_eq!(error.message_without(&FilterReason::Cordoned), expected);
        }
    }
}
