//! Events: typed records of decisions and occurrences. The user interface makes the text of an event; this module has
//! only the text of unloaded units.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use super::Action;
use super::ActiveState;
use super::Failure;
use super::ForeignUnits;
use super::Health;
use super::HealthReason;
use super::LeaseRefusal;
use super::MachineId;
use super::MachineVerb;
use super::Outcome;
use super::PlacementError;
use super::PlacementReason;
use super::Reason;
use super::RecipientKey;
use super::RemovalReason;
use super::SubState;
use super::Timestamp;
use super::Verb;
use crate::core::sanitize::truncate;
use crate::core::secret_name::SecretName;
use crate::core::unit::UnitName;

/// One entry of the event log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When it was decided or happened.
    pub at: Timestamp,
    /// The subject of the event.
    #[serde(default)]
    pub subject: Subject,
    /// The decision or occurrence, with its cause.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// The subject of an event: a machine, a unit or both, and the operator that caused it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Subject {
    /// The machine, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<MachineId>,
    /// The unit, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitName>,
    /// The operator that asked for it, if one did: `user@host`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
}

/// The actor of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Actor {
    /// An operator: `user@host`.
    Operator(String),
    /// The systemd of a host.
    Systemd,
    /// The process that leads: a controller, a sweep or a command.
    Leader,
}

/// A decision or an occurrence, with its cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "cause", rename_all = "snake_case")]
pub enum EventKind {
    /// The health of a machine changed.
    HealthChanged {
        /// The health before, if there is a record of one.
        from: Option<Health>,
        /// The health from now on.
        to: Health,
        /// Why.
        reason: HealthReason,
    },
    /// A unit was placed on a machine.
    UnitPlaced(PlacementReason),
    /// A unit was taken off its machine, and has no other.
    UnitRemoved(RemovalReason),
    /// An operator asked for something about a unit.
    UnitRequested(Verb),
    /// An operator asked for something about a machine.
    MachineRequested(MachineVerb),
    /// A launched unit does not run: systemd reports this state.
    UnitFailed {
        /// systemd's ACTIVE.
        active: ActiveState,
        /// systemd's SUB.
        sub: SubState,
        /// Whether it is strict and the lease of its machine has ended, at which it stops.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        lease_ended: bool,
    },
    /// A launched unit ended, and systemd starts it again.
    UnitRestarted,
    /// A unit that had failed or ended runs again.
    UnitRecovered,
    /// A unit fits on no machine.
    UnitUnschedulable(PlacementError),
    /// A step on a machine ended.
    StepEnded(StepEnd),
    /// A machine was told to unload units that the cluster does not know.
    UnknownUnitsUnloaded(Unloaded),
    /// A machine has unit files that muster did not write. They are left alone.
    ForeignUnitsFound(ForeignUnits),
    /// The lease of a machine that does not answer has ended: no strict unit runs there.
    LeaseEnded,
    /// The lease of a machine had ended, and the machine holds one again.
    LeaseRegained,
    /// A machine refused a lease.
    LeaseRefused(LeaseRefusal),
    /// The fence command of a machine is run, because strict units may still run there.
    FenceBegun,
    /// The fence command of a machine is not run, because the machine answers again.
    FenceCancelled,
    /// The fence command of a machine succeeded: nothing runs there.
    FenceSucceeded,
    /// The fence command of a machine succeeded, which proves nothing because the machine has answered since.
    FenceVoid,
    /// The fence command of a machine failed.
    FenceFailed {
        /// The output of the command, or why it could not be run.
        why: String,
    },
    /// A machine has seen leases that the store does not have: the store was restored from a backup.
    StoreRestored,
    /// An operator overrode the failover policy: the units of a machine move if it is down.
    FailoverOverridden,
    /// An operator took the leadership from a process.
    LeadershipTaken {
        /// The process that led.
        from: String,
        /// The reason that the operator gave.
        why: String,
    },
    /// An operator set a secret.
    SecretSet(SecretName),
    /// An operator removed a secret.
    SecretRemoved(SecretName),
    /// An operator added a recipient of the secrets.
    RecipientAdded {
        /// Its name.
        name: String,
        /// Its public key.
        key: RecipientKey,
    },
    /// An operator removed a recipient of the secrets.
    RecipientRemoved {
        /// Its name.
        name: String,
        /// Its public key.
        key: RecipientKey,
    },
    /// The store holds an event that cannot be read. This is never stored.
    Unreadable {
        /// What is wrong with the record.
        why: String,
    },
}

/// A step with its reason and its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepEnd {
    /// The step.
    pub action: Action,
    /// Why it was taken.
    pub reason: Reason,
    /// How it ended.
    pub outcome: Outcome,
    /// For how long at most two copies of the unit ran, if two did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<Duration>,
}

/// The units that the cluster does not know and that one visit unloaded.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Unloaded {
    /// How many units there were.
    pub count: usize,
    /// How many of them were unloaded.
    pub done: usize,
    /// The names of the first few.
    pub first: Vec<UnitName>,
}

/// How many names [`Unloaded`] has.
const NAMES: usize = 3;

impl Unloaded {
    /// Adds the outcome of the unload of a unit.
    pub fn add(&mut self, unit: &UnitName, outcome: &Outcome) {
        self.count += 1;
        self.done += usize::from(*outcome == Outcome::Done);
        if self.first.len() < NAMES {
            self.first.push(unit.clone());
        }
    }
}

impl fmt::Display for Unloaded {
    /// Writes `unload of 2 units that the cluster does not know (a.service, b.service): 1 done`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = if self.count == 1 { "unit" } else { "units" };
        let first: Vec<&str> = self.first.iter().map(UnitName::as_str).collect();
        let more = if self.count > first.len() { ", …" } else { "" };
        let names = first.join(", ");
        write!(f, "unload of {} {units} that the cluster does not know ({names}{more}): {} done", self.count, self.done)
    }
}

impl Event {
    /// Makes an event about a machine, a unit or both.
    pub const fn new(at: Timestamp, machine: Option<MachineId>, unit: Option<UnitName>, kind: EventKind) -> Self {
        Self { at, subject: Subject { machine, unit, actor: None }, kind }
    }

    /// Returns the actor: the operator that caused it, or else the one that its kind implies.
    pub fn actor(&self) -> Actor {
        match (&self.subject.actor, &self.kind) {
            (Some(operator), _) => Actor::Operator(operator.clone()),
            (None, EventKind::UnitFailed { .. } | EventKind::UnitRestarted | EventKind::UnitRecovered) => {
                Actor::Systemd
            }
            (None, _) => Actor::Leader,
        }
    }

    /// Names the operator that caused it.
    #[must_use]
    pub fn by(mut self, actor: &str) -> Self {
        self.subject.actor = Some(actor.to_owned());
        self
    }

    /// Cuts texts from hosts and operators to `limit` characters.
    #[must_use]
    pub fn bounded(self, limit: usize) -> Self {
        let cut = |text: String| truncate(&text, limit);
        let kind = match self.kind {
            EventKind::HealthChanged { from, to, reason } => {
                EventKind::HealthChanged { from, to, reason: reason.bounded(limit) }
            }
            EventKind::UnitPlaced(reason) => EventKind::UnitPlaced(reason.bounded(limit)),
            EventKind::UnitRemoved(reason) => EventKind::UnitRemoved(reason.bounded(limit)),
            EventKind::UnitUnschedulable(error) => EventKind::UnitUnschedulable(error.bounded(limit)),
            EventKind::StepEnded(StepEnd { outcome: Outcome::Failed(said), action, reason, overlap }) => {
                EventKind::StepEnded(StepEnd { action, reason, outcome: Outcome::Failed(cut(said)), overlap })
            }
            EventKind::StepEnded(StepEnd { outcome: Outcome::Lost(failure), action, reason, overlap }) => {
                let Failure { host, phase, kind, detail, hint } = failure;
                let failure = Failure { host: cut(host), phase, kind, detail: cut(detail), hint: hint.map(cut) };
                EventKind::StepEnded(StepEnd { action, reason, outcome: Outcome::Lost(failure), overlap })
            }
            EventKind::FenceFailed { why } => EventKind::FenceFailed { why: cut(why) },
            EventKind::LeadershipTaken { from, why } => EventKind::LeadershipTaken { from: cut(from), why: cut(why) },
            EventKind::RecipientAdded { name, key } => EventKind::RecipientAdded { name: cut(name), key },
            EventKind::RecipientRemoved { name, key } => EventKind::RecipientRemoved { name: cut(name), key },
            EventKind::Unreadable { why } => EventKind::Unreadable { why: cut(why) },
            kind => kind,
        };
        let Subject { machine, unit, actor } = self.subject;
        Self { at: self.at, subject: Subject { machine, unit, actor: actor.map(cut) }, kind }
    }
}

impl EventKind {
    /// Reports whether something failed or needs attention.
    pub const fn is_trouble(&self) -> bool {
        match self {
            Self::HealthChanged { to, .. } => !matches!(to, Health::Alive | Health::Suspect),
            Self::StepEnded(step) => matches!(step.outcome, Outcome::Failed(_)),
            Self::UnknownUnitsUnloaded(unloaded) => unloaded.done < unloaded.count,
            Self::UnitFailed { .. }
            | Self::UnitRestarted
            | Self::UnitUnschedulable(_)
            | Self::ForeignUnitsFound(_)
            | Self::StoreRestored
            | Self::LeaseRefused(_)
            | Self::FenceFailed { .. }
            | Self::LeadershipTaken { .. }
            | Self::Unreadable { .. } => true,
            Self::UnitPlaced(_)
            | Self::UnitRemoved(_)
            | Self::UnitRequested(_)
            | Self::MachineRequested(_)
            | Self::UnitRecovered
            | Self::LeaseEnded
            | Self::LeaseRegained
            | Self::FenceBegun
            | Self::FenceCancelled
            | Self::FenceSucceeded
            | Self::FenceVoid
            | Self::FailoverOverridden
            | Self::SecretSet(_)
            | Self::SecretRemoved(_)
            | Self::RecipientAdded { .. }
            | Self::RecipientRemoved { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests;
