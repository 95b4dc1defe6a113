//! What follows from evidence: is a machine alive, and if not, what is wrong with it.

pub mod counsel;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use super::cluster::MachineId;
use super::evidence::Failure;
use super::evidence::FailureKind;
use super::evidence::Phase;
use super::time::Timestamp;
use counsel::ANSWER_LIMIT;
use counsel::Counsel;

/// What is thought of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
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

impl fmt::Display for Verdict {
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

/// A verdict with its history. The store keeps it under `health/<id>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// What is thought of the machine.
    pub verdict: Verdict,
    /// Since when.
    pub since: Timestamp,
    /// When it last answered, as of the time this was written.
    pub last_seen: Timestamp,
    /// The evidence in words.
    pub why: String,
    /// When it went down lately.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub falls: Vec<Timestamp>,
}

/// What one leader has seen of one machine since it took the lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// When watching began, or began anew after we had been away ourselves.
    pub watched_since: Timestamp,
    /// When the machine last answered, on whatever way, if it has.
    pub answered: Option<Timestamp>,
    /// The failures since it last answered us directly, oldest first; only the first and the latest few are kept.
    pub failures: Vec<(Timestamp, Failure)>,
    /// What its neighbours say.
    pub counsel: Counsel,
    /// The way round that is taken while the direct one fails.
    pub detour: Option<Detour>,
}

/// The way to a machine through one of its neighbours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detour {
    /// The neighbour.
    pub through: MachineId,
    /// Its name.
    pub name: String,
    /// Whether the machine has answered on it.
    pub works: bool,
}

/// How patient the judge is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How long a machine must have been silent before it is down.
    pub down_after: Duration,
    /// How many machines in a hundred may go silent at once before it is taken for a fault on our side.
    pub brake: u8,
}

/// The share of machines, in a hundred, that may go silent at once unless somebody says otherwise.
pub const BRAKE: u8 = 55;

/// Machines that went silent within this time of each other went silent at once.
pub const AT_ONCE: Duration = Duration::from_secs(30);

impl Patience {
    /// Says whether so many of all machines went silent at once that it is us, not them.
    pub const fn is_brake_on(&self, silent: usize, all: usize) -> bool {
        silent * 100 > all * self.brake as usize
    }
}

/// How many of the failures since the last answer are kept: the first, and this many of the latest.
const LATEST: usize = 4;

impl Evidence {
    /// Begins watching.
    pub const fn new(now: Timestamp) -> Self {
        Self { watched_since: now, answered: None, failures: Vec::new(), counsel: Counsel::new(), detour: None }
    }

    /// Notes that the machine answered us directly.
    pub fn answer(&mut self, now: Timestamp) {
        self.answered = Some(now);
        self.failures.clear();
        self.counsel.clear();
        self.detour = None;
    }

    /// Notes that the machine answered through a neighbour; without effect if that is no longer the way.
    pub fn answer_through(&mut self, neighbour: MachineId, now: Timestamp) {
        if let Some(detour) = self.detour.as_mut().filter(|detour| detour.through == neighbour) {
            self.answered = Some(now);
            detour.works = true;
        }
    }

    /// Notes that a trip through a neighbour failed: that way is given up.
    pub fn fail_through(&mut self, neighbour: MachineId, failure: &Failure) {
        let worked = self.detour.take_if(|detour| detour.through == neighbour).is_some_and(|detour| detour.works);
        match failure.kind {
            FailureKind::Local => self.counsel.forget(neighbour),
            // What the neighbours said was before that.
            _ if worked => self.counsel.clear(),
            _ => {}
        }
    }

    /// Says whether the machine answered the last time, on the way that is taken to it.
    pub fn answers(&self) -> bool {
        self.answers_directly() || self.detour.as_ref().is_some_and(|detour| detour.works)
    }

    /// Says whether the machine answered us directly the last time.
    pub const fn answers_directly(&self) -> bool {
        self.answered.is_some() && self.failures.is_empty()
    }

    /// Says whether neighbours could tell more of it than we know: it is silent for us.
    pub fn is_doubtful(&self) -> bool {
        use FailureKind::{NoRoute, Refused, Reset, Silent};
        let latest = self.failures.last();
        latest.is_some_and(|(_, failure)| matches!(failure.kind, Silent | NoRoute | Reset | Refused))
    }

    /// Notes that a trip to the machine failed.
    pub fn fail(&mut self, now: Timestamp, failure: Failure) {
        if self.failures.len() > LATEST {
            self.failures.remove(1);
        }
        self.failures.push((now, failure));
    }

    /// Says whether anything has come of watching yet.
    pub const fn is_empty(&self) -> bool {
        self.answered.is_none() && self.failures.is_empty()
    }

    /// Begins watching anew: until now it was us who did not listen.
    pub const fn resume(&mut self, now: Timestamp) {
        self.watched_since = now;
    }

    /// Returns since when the machine has not answered, as far as we were listening.
    pub fn silent_since(&self) -> Timestamp {
        self.answered.map_or(self.watched_since, |answered| answered.max(self.watched_since))
    }

    /// Returns the latest failure that shows that the host is up.
    fn proof_of_life(&self) -> Option<(Timestamp, &Failure)> {
        let failures = self.failures.iter().enumerate().rev();
        let mut proofs = failures.filter(|(number, (_, failure))| is_proof(failure, *number == 0));
        proofs.next().map(|(_, (at, failure))| (*at, failure))
    }
}

/// A verdict, the evidence for it in words, and when time alone may change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// What is thought of the machine.
    pub verdict: Verdict,
    /// The evidence in words.
    pub why: String,
    /// When to judge again although nothing new has come.
    pub again: Option<Timestamp>,
}

/// How many trips in a row must have failed before anything follows: the first may have found only that the connection
/// was gone.
const MISSES: usize = 2;

/// Returns how many trips must have failed, the last in this way. Who was turned away had made a new connection.
const fn misses(kind: FailureKind) -> usize {
    if kind.turns_away() { 1 } else { MISSES }
}

/// Judges a machine by what was seen of it. Whoever has not looked yet gets no verdict.
pub fn judge(evidence: &Evidence, patience: Patience, now: Timestamp) -> Option<Judgement> {
    let Some((_, latest)) = evidence.failures.last() else {
        evidence.answered?;
        return Some(Judgement { verdict: Verdict::Alive, why: "answers".to_owned(), again: None });
    };
    let tried = || format!("{}: {}", latest.phase, latest.detail);
    if let Some(detour) = evidence.detour.as_ref().filter(|detour| detour.works) {
        let why = format!("reached through {}; directly: {}", detour.name, tried());
        return Some(Judgement { verdict: Verdict::PathFault, why, again: None });
    }
    // Somebody who opens the door and says nothing may only be slow.
    let hung = latest.phase == Phase::KeyExchange && latest.kind == FailureKind::Silent;
    let patience = if hung { patience.down_after * 2 } else { patience.down_after };
    let due = evidence.silent_since() + patience;
    if now < due || evidence.failures.len() < misses(latest.kind) {
        return Some(Judgement { verdict: Verdict::Suspect, why: tried(), again: (now < due).then_some(due) });
    }
    // A host that was up a moment ago is not dead because it is silent now.
    let proof = evidence.proof_of_life().filter(|(at, _)| now < *at + patience);
    let silence = now.since(evidence.silent_since()).as_secs();
    let said = evidence.counsel.words(now).map(|words| format!("; {words}")).unwrap_or_default();
    let why = |failure: &Failure| format!("no answer for {silence} s; {}: {}{said}", failure.phase, failure.detail);
    let (verdict, why, again) = match proof {
        Some((at, proof)) => (up(proof.kind), why(proof), Some(at + patience)),
        None => (settle(latest.kind), why(latest), None),
    };
    // Who answers at the address is not the machine: then it says nothing that somebody does.
    let silent = matches!(verdict, Verdict::Down | Verdict::SshdDown) && latest.kind != FailureKind::Stranger;
    if silent && let Some(until) = evidence.counsel.reached_until(now) {
        return Some(Judgement { verdict: Verdict::PathFault, why, again: Some(until) });
    }
    // An answer that is on its way is waited for, but never for longer than one takes.
    let wait = evidence.counsel.awaited_until(now).map(|until| until.min(due + ANSWER_LIMIT));
    if verdict == Verdict::Down && silent && !evidence.counsel.has_spoken(now) && wait.is_some_and(|until| now < until)
    {
        let why = format!("{why}; its neighbours are asked");
        return Some(Judgement { verdict: Verdict::Suspect, why, again: wait });
    }
    Some(Judgement { verdict, why, again })
}

/// Says whether a failure shows that the host is up. Whoever lets us in is, even if nothing comes of it; but the first
/// failure may be that of a connection that was open before.
const fn is_proof(failure: &Failure, first: bool) -> bool {
    let inside = matches!(failure.phase, Phase::Authenticate | Phase::Shell | Phase::Run);
    failure.kind.proves_host_up() || (inside && !first && !matches!(failure.kind, FailureKind::Stranger))
}

/// What it means when a machine that is up has failed in this way.
const fn up(kind: FailureKind) -> Verdict {
    match settle(kind) {
        Verdict::Down => Verdict::Sick,
        verdict => verdict,
    }
}

/// What it means when a machine has failed in this way for as long as patience lasts.
const fn settle(kind: FailureKind) -> Verdict {
    match kind {
        FailureKind::Silent | FailureKind::NoRoute | FailureKind::Reset | FailureKind::Stranger => Verdict::Down,
        FailureKind::Refused => Verdict::SshdDown,
        FailureKind::Throttled => Verdict::Throttled,
        FailureKind::HostKey | FailureKind::Denied | FailureKind::Sick => Verdict::Sick,
        FailureKind::Local => Verdict::Unreachable,
    }
}
