//! What follows from evidence: is a machine alive, and if not, what is wrong with it.

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

/// How patient the assess is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DetectionConfig {
    /// How long a machine must have been silent before it is down.
    pub down_after: Duration,
    /// How many machines in a hundred may go silent at once before it is taken for a fault on our side.
    pub brake: u8,
}

/// The share of machines, in a hundred, that may go silent at once unless somebody says otherwise.
pub const BRAKE: u8 = 55;

/// Machines that went silent within this time of each other went silent at once.
pub const AT_ONCE: Duration = Duration::from_secs(30);

impl DetectionConfig {
    /// Says whether so many of all machines went silent at once that it is us, not them.
    pub const fn is_brake_on(&self, silent: usize, all: usize) -> bool {
        silent * 100 > all * self.brake as usize
    }
}

/// A health, the evidence for it in words, and when time alone may change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assessment {
    /// What is thought of the machine.
    pub health: Health,
    /// The evidence in words.
    pub why: String,
    /// When to assess again although nothing new has come.
    pub again: Option<Timestamp>,
}

/// How many trips in a row must have failed before anything follows: the first may have found only that the connection
/// was gone.
const MISSES: usize = 2;

/// Returns how many trips must have failed, the last in this way. Who was turned away had made a new connection.
const fn misses(kind: FailureKind) -> usize {
    if kind.turns_away() { 1 } else { MISSES }
}

/// Judges a machine by what was seen of it. Whoever has not looked yet gets no health.
pub fn assess(evidence: &Evidence, detection: DetectionConfig, now: Timestamp) -> Option<Assessment> {
    let Some((_, latest)) = evidence.failures.last() else {
        evidence.answered?;
        return Some(Assessment { health: Health::Alive, why: "answers".to_owned(), again: None });
    };
    let tried = || format!("{}: {}", latest.phase, latest.detail);
    if let Some(relay) = evidence.relay.as_ref().filter(|relay| relay.works) {
        let why = format!("reached through {}; directly: {}", relay.name, tried());
        return Some(Assessment { health: Health::PathFault, why, again: None });
    }
    // Somebody who opens the door and says nothing may only be slow.
    let hung = latest.phase == Phase::KeyExchange && latest.kind == FailureKind::Silent;
    let detection = if hung { detection.down_after * 2 } else { detection.down_after };
    let due = evidence.silent_since() + detection;
    if now < due || evidence.failures.len() < misses(latest.kind) {
        return Some(Assessment { health: Health::Suspect, why: tried(), again: (now < due).then_some(due) });
    }
    // A host that was up a moment ago is not dead because it is silent now.
    let proof = evidence.proof_of_life().filter(|(at, _)| now < *at + detection);
    let silence = now.since(evidence.silent_since()).as_secs();
    let said = evidence.peers.summary(now).map(|words| format!("; {words}")).unwrap_or_default();
    let why = |failure: &Failure| format!("no answer for {silence} s; {}: {}{said}", failure.phase, failure.detail);
    let (health, why, again) = match proof {
        Some((at, proof)) => (up(proof.kind), why(proof), Some(at + detection)),
        None => (settle(latest.kind), why(latest), None),
    };
    // Who answers at the address is not the machine: then it says nothing that somebody does.
    let silent = matches!(health, Health::Down | Health::SshdDown) && latest.kind != FailureKind::WrongMachine;
    if silent && let Some(until) = evidence.peers.reached_until(now) {
        return Some(Assessment { health: Health::PathFault, why, again: Some(until) });
    }
    // An answer that is on its way is waited for, but never for longer than one takes.
    let wait = evidence.peers.awaited_until(now).map(|until| until.min(due + ANSWER_LIMIT));
    if health == Health::Down
        && silent
        && !evidence.peers.has_enough_answers(now)
        && wait.is_some_and(|until| now < until)
    {
        let why = format!("{why}; its neighbours are asked");
        return Some(Assessment { health: Health::Suspect, why, again: wait });
    }
    Some(Assessment { health, why, again })
}

/// What it means when a machine that is up has failed in this way.
const fn up(kind: FailureKind) -> Health {
    match settle(kind) {
        Health::Down => Health::Sick,
        health => health,
    }
}

/// What it means when a machine has failed in this way for as long as detection lasts.
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
