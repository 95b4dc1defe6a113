//! Why a machine has its health: the evidence, and what the failover policy and operators add to it.

#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use super::Failure;
use super::Health;
use super::Phase;
use crate::core::sanitize::truncate;

/// Why a machine has its health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthReason {
    /// The evidence.
    pub evidence: HealthEvidence,
    /// Why its units are not moved, although it is silent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<FailoverBlock>,
    /// The operator whose override let the failover happen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forced_by: Option<String>,
    /// The health that the evidence shows, if the override has changed it to `down`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assessed: Option<Health>,
    /// The time in which it takes no new units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_down: Option<HoldDown>,
}

/// What the visits to a machine and its peers show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthEvidence {
    /// The machine answers.
    Answers,
    /// A visit failed, and nothing follows from that yet.
    VisitFailed(FailedAttempt),
    /// The machine answers through a relay only.
    AnswersThrough {
        /// The relay's name.
        relay: String,
        /// How the last direct visit failed.
        direct: FailedAttempt,
    },
    /// The visits to the machine have failed for some time.
    NoAnswer {
        /// For how long, in seconds.
        seconds: u64,
        /// How the visit failed that decides the health.
        attempt: FailedAttempt,
        /// The reports of peers.
        peers: PeerReports,
        /// Set while reports of peers are awaited.
        asked: bool,
    },
    /// The machine's sshd speaks again, and a login is under way.
    LoggingIn {
        /// The phase of the login.
        phase: Phase,
        /// How the visit before failed.
        before: FailedAttempt,
    },
}

/// The phase in which a visit failed, and the cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedAttempt {
    /// The phase.
    pub phase: Phase,
    /// The cause, in one sentence without a full stop.
    pub detail: String,
    /// What to do about it, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// The names of the peers that reported whether they reach a machine's sshd.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerReports {
    /// The peers that reach it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reaching: Vec<String>,
    /// The peers that do not reach it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_reaching: Vec<String>,
}

/// Why the failover policy does not move the units of a silent machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailoverBlock {
    /// The brake: too many machines of the cluster are silent at once.
    Brake {
        /// How many machines are silent.
        silent: usize,
        /// How many machines there are.
        all: usize,
    },
    /// The brake of a zone: too many machines of the zone are silent at once.
    ZoneBrake {
        /// The metadata key and value of the zone: `zone=a`.
        zone: String,
        /// How many machines of the zone are silent.
        silent: usize,
        /// How many machines the zone has.
        all: usize,
    },
    /// A brake has let go, and the machine gets the time again in which it may answer.
    BrakeReleased,
    /// The failover limit: the units of too many machines were moved lately.
    Limit {
        /// Of how many machines.
        moved: usize,
        /// Within how many minutes.
        minutes: u64,
    },
}

/// The time in which a machine takes no new units, because it went down too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldDown {
    /// How often the machine went down within an hour before it came up.
    pub outages: usize,
    /// How long the hold-down lasts after the machine came up, in seconds.
    pub seconds: u64,
}

impl HoldDown {
    /// Returns how long the hold-down lasts.
    pub const fn length(self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

impl From<HealthEvidence> for HealthReason {
    fn from(evidence: HealthEvidence) -> Self {
        Self { evidence, block: None, forced_by: None, assessed: None, hold_down: None }
    }
}

impl From<&Failure> for FailedAttempt {
    fn from(failure: &Failure) -> Self {
        Self { phase: failure.phase, detail: failure.detail.clone(), hint: failure.hint.clone() }
    }
}

impl HealthReason {
    /// Cuts each text to `limit` characters.
    #[must_use]
    pub fn bounded(mut self, limit: usize) -> Self {
        self.texts().for_each(|text| *text = truncate(text, limit));
        self
    }

    /// Returns the cause without the time that has passed: the text stays the same while the cause does.
    pub fn cause(&self) -> String {
        match &self.evidence {
            HealthEvidence::NoAnswer { attempt, peers, .. } => format!("{attempt}{peers}{}", self.order()),
            evidence => format!("{evidence}{}", self.order()),
        }
    }

    /// Returns what to do about the failure that decides the health, if that is known.
    pub fn hint(&self) -> Option<&str> {
        self.attempt()?.hint.as_deref()
    }

    /// Returns the failure that decides the health, if it was a failure.
    pub const fn attempt(&self) -> Option<&FailedAttempt> {
        match &self.evidence {
            HealthEvidence::Answers => None,
            HealthEvidence::VisitFailed(attempt)
            | HealthEvidence::AnswersThrough { direct: attempt, .. }
            | HealthEvidence::NoAnswer { attempt, .. }
            | HealthEvidence::LoggingIn { before: attempt, .. } => Some(attempt),
        }
    }

    /// Returns the order of the operator that let the failover happen, as the end of a sentence.
    pub fn order(&self) -> String {
        self.forced_by.as_ref().map(|by| format!("; failed over by order of {by}")).unwrap_or_default()
    }

    fn texts(&mut self) -> impl Iterator<Item = &mut String> {
        let mut texts: Vec<&mut String> = self.forced_by.iter_mut().collect();
        match &mut self.evidence {
            HealthEvidence::Answers => {}
            HealthEvidence::VisitFailed(attempt) | HealthEvidence::LoggingIn { before: attempt, .. } => {
                texts.extend(attempt.texts());
            }
            HealthEvidence::AnswersThrough { relay, direct } => texts.extend(direct.texts().chain([relay])),
            HealthEvidence::NoAnswer { attempt, peers, .. } => {
                texts.extend(attempt.texts());
                texts.extend(peers.reaching.iter_mut().chain(&mut peers.not_reaching));
            }
        }
        if let Some(FailoverBlock::ZoneBrake { zone, .. }) = &mut self.block {
            texts.push(zone);
        }
        texts.into_iter()
    }
}

impl FailedAttempt {
    fn texts(&mut self) -> impl Iterator<Item = &mut String> {
        std::iter::once(&mut self.detail).chain(&mut self.hint)
    }
}

impl fmt::Display for HealthReason {
    /// Writes `2 of 3 machines are silent at the same time: …; no answer for 8 s; connect: …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(block) = &self.block {
            write!(f, "{block}; ")?;
        }
        write!(f, "{}{}", self.evidence, self.order())?;
        if let Some(HoldDown { outages, seconds }) = self.hold_down {
            write!(f, "; takes nothing new for {seconds} s: it went down {outages} times within an hour")?;
        }
        Ok(())
    }
}

impl fmt::Display for HealthEvidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answers => f.write_str("answers"),
            Self::VisitFailed(attempt) => attempt.fmt(f),
            Self::AnswersThrough { relay, direct } => write!(f, "reached through {relay}; directly: {direct}"),
            Self::NoAnswer { seconds, attempt, peers, asked } => {
                // A machine that fails in a later phase has answered.
                let what = if attempt.phase <= Phase::Connect { "answer" } else { "successful visit" };
                write!(f, "no {what} for {seconds} s; {attempt}{peers}")?;
                f.write_str(if *asked { "; its peers are asked" } else { "" })
            }
            Self::LoggingIn { phase, before } => write!(f, "its sshd speaks again: {phase}; before: {before}"),
        }
    }
}

impl fmt::Display for FailedAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.phase, self.detail)
    }
}

impl fmt::Display for PeerReports {
    /// Writes `; 1 of 3 peers reaches its sshd: core-02`, or nothing without a report.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reaching, not_reaching } = self;
        let (count, all) = (reaching.len(), reaching.len() + not_reaching.len());
        match (count, all) {
            (_, 0) => Ok(()),
            (0, 1) => write!(f, "; the peer that was asked does not reach its sshd: {}", not_reaching.join(", ")),
            (0, _) => write!(f, "; none of {all} peers reaches its sshd: {}", not_reaching.join(", ")),
            (1, _) => write!(f, "; 1 of {all} peers reaches its sshd: {}", reaching.join(", ")),
            _ => write!(f, "; {count} of {all} peers reach its sshd: {}", reaching.join(", ")),
        }
    }
}

impl fmt::Display for FailoverBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Brake { silent, all } => write!(
                f,
                "{silent} of {all} machines are silent at the same time: the fault may be on the controller's side, and \
                 nothing is moved"
            ),
            Self::ZoneBrake { zone, silent, all } => write!(
                f,
                "{silent} of {all} machines of {zone} are silent at the same time: the path there may be at fault, and \
                 nothing is moved"
            ),
            Self::BrakeReleased => f.write_str(
                "too many machines were silent at the same time until just now: nothing is moved before this one had the time \
                 to answer",
            ),
            Self::Limit { moved, minutes } => {
                write!(f, "the units of {moved} machines were moved within {minutes} minutes: more are not moved now")
            }
        }
    }
}
