//! The health of a machine, and its record in the store. [`crate::core::health`] decides it.

use std::fmt;

use serde::Deserialize;
use serde::Serialize;

use super::HealthReason;
use super::HoldDown;
use super::Timestamp;

/// The health of a machine: a summary of the evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// It answers.
    Alive,
    /// It stopped answering recently. Nothing follows from that yet.
    Suspect,
    /// Peers reach it and the leader does not, except through a relay.
    PathFault,
    /// The host is up and its sshd is not.
    SshdDown,
    /// It accepts connections and cannot do its work, or refuses the login.
    Sick,
    /// Its sshd closes connections before the key exchange.
    Throttled,
    /// It is silent and its units are not moved: the failover policy blocks that, or too little is known.
    Unreachable,
    /// It is down, as far as the evidence says: its units start elsewhere.
    Down,
}

impl Health {
    /// Every health, the best first.
    pub const ALL: [Self; 8] = [
        Self::Alive,
        Self::Suspect,
        Self::PathFault,
        Self::SshdDown,
        Self::Sick,
        Self::Throttled,
        Self::Unreachable,
        Self::Down,
    ];
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Alive => "alive",
            Self::Suspect => "suspect",
            Self::PathFault => "path fault",
            Self::SshdDown => "sshd down",
            Self::Sick => "sick",
            Self::Throttled => "throttled",
            Self::Unreachable => "unreachable",
            Self::Down => "down",
        })
    }
}

/// A health with its history. The store keeps it under `health/<id>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthRecord {
    /// The health.
    pub health: Health,
    /// Since when.
    pub since: Timestamp,
    /// When the machine last answered, as of the time of this record; `None` if it never has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Timestamp>,
    /// Why it has this health.
    pub reason: HealthReason,
    /// The recent times at which the machine went down.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outages: Vec<Timestamp>,
}

impl HealthRecord {
    /// Returns the hold-down of the machine that the leader has recorded, and when it ends; `None` if the machine may take
    /// new units.
    pub fn held_down(&self, now: Timestamp) -> Option<(HoldDown, Timestamp)> {
        let hold_down = self.reason.hold_down.filter(|_| self.health == Health::Alive)?;
        let until = self.since + hold_down.length();
        (now < until).then_some((hold_down, until))
    }
}
