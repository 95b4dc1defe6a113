//! What follows from evidence: is a machine alive, and if not, what is wrong with it.
//!
//! A machine's health follows from its own evidence and from nothing else: how slow other machines are changes nothing.

#[cfg(test)]
mod tests;

use std::time::Duration;

use super::evidence::Evidence;
use super::peers::ANSWER_LIMIT;
use crate::core::model::Failure;
use crate::core::model::FailureKind;
use crate::core::model::Health;
use crate::core::model::Phase;
use crate::core::model::Timestamp;

/// When a silent machine counts as down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DetectionConfig {
    /// How long a machine must have been silent before it is down.
    pub down_after: Duration,
    /// How many machines in a hundred may be silent at the same time before the fault is taken to be on our side.
    pub brake: u8,
}

/// The default share of machines, in a hundred, that may be silent at the same time.
pub const BRAKE: u8 = 55;

impl DetectionConfig {
    /// Reports whether so many of all machines are silent that the fault is taken to be on our side.
    pub const fn is_brake_on(&self, silent: usize, all: usize) -> bool {
        silent * 100 > all * self.brake as usize
    }
}

/// A machine's health, the evidence for it in words, and when time alone may change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assessment {
    /// The machine's health.
    pub health: Health,
    /// The evidence in words.
    pub why: String,
    /// When to assess again although nothing new has come.
    pub again: Option<Timestamp>,
}

/// How many visits in a row must have failed before anything follows: the first may have found only that the kept
/// connection was gone.
const MISSES: usize = 2;

/// Returns how many visits must have failed when the last one failed in this way. A host that turned us away did so on a
/// new connection.
const fn misses(kind: FailureKind) -> usize {
    if kind.turns_away() { 1 } else { MISSES }
}

/// Assesses a machine by what was seen of it. A machine of which no visit has ended yet has no health.
pub fn assess(evidence: &Evidence, detection: DetectionConfig, now: Timestamp) -> Option<Assessment> {
    let Some(last) = evidence.failures.last() else {
        evidence.answered?;
        return Some(Assessment { health: Health::Alive, why: "answers".to_owned(), again: None });
    };
    let latest = &last.failure;
    let tried = || format!("{}: {}", latest.phase, latest.detail);
    let assessment = |health, why, again| Some(Assessment { health, why, again });
    if let Some(relay) = evidence.relay.as_ref().filter(|relay| relay.works) {
        let why = format!("reached through {}; directly: {}", relay.name, tried());
        return assessment(Health::PathFault, why, None);
    }
    let detection = detection_time(last.sshd_spoke, latest, detection);
    let due = evidence.unanswered_since() + detection;
    if now < due || evidence.failures.len() < misses(latest.kind) {
        return assessment(Health::Suspect, tried(), (now < due).then_some(due));
    }
    let unanswered = now.since(evidence.unanswered_since()).as_secs();
    let said = evidence.peers.summary(now).map(|words| format!("; {words}")).unwrap_or_default();
    let why = |failure: &Failure| format!("no answer for {unanswered} s; {}: {}{said}", failure.phase, failure.detail);
    let down_at = evidence.silent_since() + detection;
    let (health, why, again) = if last.shows_host_up() {
        (up(latest.kind), why(latest), None)
    } else if let Some(phase) = evidence.logging_in() {
        (Health::Suspect, format!("its sshd speaks again: {phase}; before: {}", tried()), None)
    } else if now < down_at {
        // A host that was up a moment ago is not dead because it is silent now.
        match evidence.latest_sign_of_host() {
            Some(sign) => (up(sign.kind), why(sign), Some(down_at)),
            None => (Health::Suspect, tried(), Some(down_at)),
        }
    } else {
        (settle(latest.kind), why(latest), None)
    };
    // Where another machine answers at the address, it shows nothing that peers reach it.
    let asked = matches!(health, Health::Down | Health::SshdDown) && latest.kind != FailureKind::WrongMachine;
    if asked && let Some(until) = evidence.peers.reached_until(now) {
        return assessment(Health::PathFault, why, Some(until));
    }
    // An answer that is on its way is waited for, but never for longer than one takes.
    let wait = evidence.peers.awaited_until(now).map(|until| until.min(due.max(down_at) + ANSWER_LIMIT));
    let waits = !evidence.peers.has_enough_answers(now) && wait.is_some_and(|until| now < until);
    if asked && health == Health::Down && waits {
        return assessment(Health::Suspect, format!("{why}; its peers are asked"), wait);
    }
    assessment(health, why, again)
}

/// Returns how long a machine must have been silent whose last visit failed in this way. A host that accepts a connection
/// and says nothing may only be slow: it gets twice the time.
fn detection_time(sshd_spoke: bool, latest: &Failure, detection: DetectionConfig) -> Duration {
    let hung = !sshd_spoke && latest.phase == Phase::KeyExchange && latest.kind == FailureKind::Silent;
    if hung { detection.down_after * 2 } else { detection.down_after }
}

/// Returns the health of a machine that is up and has failed in this way.
const fn up(kind: FailureKind) -> Health {
    match settle(kind) {
        Health::Down => Health::Sick,
        health => health,
    }
}

/// Returns the health of a machine that has failed in this way until detection was over.
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
