//! Assessment: computes the health of a machine from its evidence.
//!
//! The health of a machine must depend on its own evidence only, never on how slow other machines are. The failover
//! policy is applied elsewhere ([`super::failover`]).

#[cfg(test)]
mod tests;

use std::time::Duration;

use super::evidence::Evidence;
use super::evidence::FailedVisit;
use super::peers::ANSWER_LIMIT;
use crate::core::model::Failure;
use crate::core::model::FailureKind;
use crate::core::model::Health;
use crate::core::model::HealthEvidence;
use crate::core::model::HealthReason;
use crate::core::model::PeerReports;
use crate::core::model::Phase;
use crate::core::model::Timestamp;

/// When a silent machine counts as down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DetectionConfig {
    /// How long a machine must have been silent before it is down.
    pub down_after: Duration,
    /// How many percent of the machines may be silent at once before the fault is assumed to be on the controller's
    /// side.
    pub brake: u8,
}

/// The default of [`DetectionConfig::brake`], in percent.
pub const BRAKE: u8 = 55;

impl DetectionConfig {
    /// Reports whether more machines are silent than the brake allows.
    pub const fn is_brake_on(&self, silent: usize, all: usize) -> bool {
        silent * 100 > all * self.brake as usize
    }
}

/// The health of a machine, the evidence for it, and when time alone may change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assessment {
    /// The machine's health.
    pub health: Health,
    /// Why it has this health.
    pub reason: HealthReason,
    /// When to assess the machine again although nothing happened.
    pub again: Option<Timestamp>,
}

/// How many visits in a row must fail before anything follows. The first failure may only show that an open connection
/// had ended.
const MISSES: usize = 2;

/// Returns how many visits must have failed when the last one failed in this way. A rejected login was made on a new
/// connection, so one failure suffices.
const fn misses(kind: FailureKind) -> usize {
    if kind.ends_login() { 1 } else { MISSES }
}

/// Returns the assessment of a machine; `None` if no visit has ended yet.
pub fn assess(evidence: &Evidence, detection: DetectionConfig, now: Timestamp) -> Option<Assessment> {
    let Some(last) = evidence.failures.last() else {
        evidence.answered?;
        return Some(Assessment { health: Health::Alive, reason: HealthEvidence::Answers.into(), again: None });
    };
    let latest = &last.failure;
    let failed = || HealthEvidence::VisitFailed(latest.into());
    let assessment = |health, shown: HealthEvidence, again| Some(Assessment { health, reason: shown.into(), again });
    if let Some(relay) = evidence.relay.as_ref().filter(|relay| relay.works) {
        let through = HealthEvidence::AnswersThrough { relay: relay.name.clone(), direct: latest.into() };
        return assessment(Health::PathFault, through, None);
    }
    let detection = detection_time(last, detection);
    let due = evidence.unanswered_since() + detection;
    if now < due || evidence.failures.len() < misses(latest.kind) {
        return assessment(Health::Suspect, failed(), (now < due).then_some(due));
    }
    let seconds = now.since(evidence.unanswered_since()).as_secs();
    // If another machine answers at the address, the reports of peers are about that machine, or older than its answer.
    let is_other = latest.kind == FailureKind::WrongMachine;
    let no_answer = |failure: &Failure, asked: bool| {
        let peers = if is_other { PeerReports::default() } else { evidence.peers.summary(now) };
        let attempt = failure.into();
        HealthEvidence::NoAnswer { seconds, attempt, peers, asked }
    };
    let down_at = evidence.silent_since() + detection;
    let (health, shown, again) = if last.shows_host_up() {
        (up(latest.kind), no_answer(latest, false), None)
    } else if let Some(phase) = evidence.logging_in() {
        (Health::Suspect, HealthEvidence::LoggingIn { phase, before: latest.into() }, None)
    } else if now < down_at {
        // A host that was up recently is not down before it has been silent for the detection time.
        match evidence.latest_sign_of_host() {
            Some(sign) => (up(sign.kind), no_answer(sign, false), Some(down_at)),
            None => (Health::Suspect, failed(), Some(down_at)),
        }
    } else {
        (settle(latest.kind), no_answer(latest, false), None)
    };
    let asked = matches!(health, Health::Down | Health::SshdDown) && !is_other;
    if asked && let Some(until) = evidence.peers.reached_until(now) {
        return assessment(Health::PathFault, shown, Some(until));
    }
    // An awaited answer of a peer delays the assessment, but never for longer than an answer may take.
    let wait = evidence.peers.awaited_until(now).map(|until| until.min(due.max(down_at) + ANSWER_LIMIT));
    let waits = !evidence.peers.has_enough_answers(now) && wait.is_some_and(|until| now < until);
    if asked && health == Health::Down && waits {
        return assessment(Health::Suspect, no_answer(latest, true), wait);
    }
    assessment(health, shown, again)
}

/// Returns the detection time of a machine whose last visit failed in this way. A host that accepts a connection and
/// sends nothing may only be slow, so it gets twice the time.
fn detection_time(FailedVisit { failure, sshd_spoke, .. }: &FailedVisit, detection: DetectionConfig) -> Duration {
    let hung = !sshd_spoke && failure.phase == Phase::KeyExchange && failure.kind == FailureKind::Silent;
    if hung { detection.down_after * 2 } else { detection.down_after }
}

/// Returns the health of a machine that is up and whose last visit failed in this way.
const fn up(kind: FailureKind) -> Health {
    match settle(kind) {
        Health::Down => Health::Sick,
        health => health,
    }
}

/// Returns the health of a machine whose visits have failed in this way for the detection time.
const fn settle(kind: FailureKind) -> Health {
    match kind {
        FailureKind::Silent
        | FailureKind::NoRoute
        | FailureKind::Reset
        | FailureKind::Path
        | FailureKind::WrongMachine => Health::Down,
        FailureKind::Refused => Health::SshdDown,
        FailureKind::Throttled => Health::Throttled,
        FailureKind::HostKey | FailureKind::Denied | FailureKind::Sick => Health::Sick,
        FailureKind::Local => Health::Unreachable,
    }
}
