//! What the evidence says of a machine.

use std::fmt;

use serde::Deserialize;
use serde::Serialize;

use super::Timestamp;

/// What is thought of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// It answers.
    Alive,
    /// It stopped answering a moment ago; nothing follows from that yet.
    Suspect,
    /// Its neighbours reach it and we do not.
    PathFault,
    /// The host is up and its sshd is not.
    SshdDown,
    /// It lets us in and cannot do its work, or refuses us.
    Sick,
    /// Its sshd turns us away before the key exchange.
    Throttled,
    /// It is silent, and nothing is moved: the brake is on, or too little is known.
    Unreachable,
    /// It is dead for all we can know: its units start elsewhere.
    Down,
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
    /// What is thought of the machine.
    pub health: Health,
    /// Since when.
    pub since: Timestamp,
    /// When it last answered, as of the time this was written; `None` if it never has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Timestamp>,
    /// The evidence in words.
    pub why: String,
    /// When it went down lately.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outages: Vec<Timestamp>,
}
