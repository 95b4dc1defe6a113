//! Evidence: the answers and failures of one machine since one leader began to watch it, and how long the machine has
//! been silent.
//!
//! *Proof of life* is anything that the machine's own sshd sent: a greeting, a step of the login, an answer. A login on
//! a new connection is proof while it lasts. *Silence* is the time since the last proof of life, without the time in
//! which the leader's own process was stalled. This module must not conclude anything: [`mod@super::assess`] does.

use std::time::Duration;

use super::peers::PeerProbes;
use crate::core::model::Failure;
use crate::core::model::FailureKind;
use crate::core::model::MachineId;
use crate::core::model::Phase;
use crate::core::model::Timestamp;

/// The evidence that one leader has of one machine since its leadership began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// When the leader began to watch the machine.
    pub watched_since: Timestamp,
    /// When the machine last answered a visit, directly or through a relay.
    pub answered: Option<Timestamp>,
    /// The failed visits since the machine last answered directly, oldest first: the first one and the latest few.
    pub failures: Vec<FailedVisit>,
    /// The reports of peers about its sshd.
    pub peers: PeerProbes,
    /// The relay that is used while the direct path fails.
    pub relay: Option<Relay>,
    /// The last answer, or the beginning of the watch, plus the stalls of the leader's process since.
    unanswered_since: Timestamp,
    /// The last proof of life, or the beginning of the watch, plus the stalls of the leader's process since.
    silent_since: Timestamp,
    /// What the visit in flight has brought so far.
    attempt: Attempt,
}

/// A visit that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedVisit {
    /// When it failed.
    pub at: Timestamp,
    /// How it failed.
    pub failure: Failure,
    /// Set when the machine's own sshd had sent something on a new connection before the visit failed.
    pub sshd_spoke: bool,
}

impl FailedVisit {
    /// Reports whether the failure itself shows that the host is up.
    pub const fn shows_host_up(&self) -> bool {
        self.sshd_spoke || self.failure.kind.proves_host_up()
    }
}

/// What the visit in flight has brought so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Attempt {
    /// Nothing so far, or the visit uses a connection that was open before.
    #[default]
    Quiet,
    /// A login on a new connection is under way: proof of life while it lasts.
    LoggingIn {
        phase: Phase,
        /// The beginning of the silence before this attempt, in case another machine turns out to be at the address.
        silent_before: Timestamp,
    },
    /// The login on a new connection is complete.
    LoggedIn { silent_before: Timestamp },
}

/// A path to a machine through another machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relay {
    /// The machine in between.
    pub through: MachineId,
    /// Its name.
    pub name: String,
    /// Set when a visit through the relay has been answered.
    pub works: bool,
}

/// How many of the latest failures since the last answer are kept, in addition to the first one.
const LATEST: usize = 4;

impl Evidence {
    /// Begins to watch a machine.
    pub const fn new(now: Timestamp) -> Self {
        Self {
            watched_since: now,
            answered: None,
            failures: Vec::new(),
            peers: PeerProbes::new(),
            relay: None,
            unanswered_since: now,
            silent_since: now,
            attempt: Attempt::Quiet,
        }
    }

    /// Records that the machine's own sshd has sent something in a phase of the visit in flight.
    pub fn progress(&mut self, phase: Phase, now: Timestamp) {
        let silent_before = match self.attempt {
            Attempt::Quiet => self.silent_since,
            Attempt::LoggingIn { silent_before, .. } | Attempt::LoggedIn { silent_before } => silent_before,
        };
        match (phase, self.attempt) {
            (Phase::KeyExchange | Phase::Authenticate | Phase::Shell, _) => {
                self.attempt = Attempt::LoggingIn { phase, silent_before };
            }
            (Phase::Run, Attempt::LoggingIn { .. }) => self.attempt = Attempt::LoggedIn { silent_before },
            (Phase::Run, _) => {}
            (Phase::Configure | Phase::Resolve | Phase::Connect | Phase::Close, _) => return,
        }
        self.silent_since = now;
    }

    /// Records that the leader's own process was stalled for the time `stall`: silence in that time proves nothing.
    pub fn stalled(&mut self, stall: Duration, now: Timestamp) {
        self.unanswered_since = (self.unanswered_since + stall).min(now);
        self.silent_since = (self.silent_since + stall).min(now);
    }

    /// Records that the machine answered a direct visit.
    pub fn answer(&mut self, now: Timestamp) {
        self.note_answer(now);
        self.failures.clear();
        self.peers.clear();
        self.relay = None;
    }

    /// Records that the machine answered through a relay. Has no effect if that relay is no longer used.
    pub fn answer_through(&mut self, relay: MachineId, now: Timestamp) {
        if self.relay.as_ref().is_some_and(|used| used.through == relay) {
            self.note_answer(now);
            self.relay.as_mut().into_iter().for_each(|used| used.works = true);
        }
    }

    fn note_answer(&mut self, now: Timestamp) {
        self.answered = Some(now);
        (self.unanswered_since, self.silent_since) = (now, now);
        self.attempt = Attempt::Quiet;
    }

    /// Records that a visit through a relay failed: the relay is no longer used.
    pub fn fail_through(&mut self, relay: MachineId, failure: &Failure, now: Timestamp) {
        // Before the host key is checked, the relay may have connected to any sshd. Nothing shows that the machine is up.
        let unproven = failure.phase <= Phase::KeyExchange;
        if unproven {
            self.attempt = Attempt::Quiet;
        } else {
            self.end_attempt(failure.kind, now);
        }
        let worked = self.relay.take_if(|used| used.through == relay).is_some_and(|used| used.works);
        match failure.kind {
            // The relay itself could not be reached, so its report does not count any more.
            FailureKind::Local | FailureKind::Path => self.peers.forget(relay),
            // The reports of the peers are older than this failure.
            _ if worked => self.peers.clear(),
            _ if unproven => self.peers.distrust(relay, now),
            _ => {}
        }
    }

    /// Records that a direct visit failed.
    pub fn fail(&mut self, now: Timestamp, failure: Failure) {
        let sshd_spoke = self.end_attempt(failure.kind, now);
        if self.failures.len() > LATEST {
            self.failures.remove(1);
        }
        self.failures.push(FailedVisit { at: now, failure, sshd_spoke });
    }

    /// Ends the visit in flight, and reports whether the machine's own sshd had sent something on a new connection.
    fn end_attempt(&mut self, kind: FailureKind, now: Timestamp) -> bool {
        match std::mem::take(&mut self.attempt) {
            // The sshd of another machine answered at the address.
            Attempt::LoggingIn { silent_before, .. } | Attempt::LoggedIn { silent_before }
                if kind == FailureKind::WrongMachine =>
            {
                self.silent_since = silent_before;
                return false;
            }
            Attempt::LoggingIn { .. } => self.silent_since = now,
            Attempt::LoggedIn { .. } if kind.proves_host_up() => self.silent_since = now,
            Attempt::LoggedIn { .. } => {}
            Attempt::Quiet => {
                if kind.proves_host_up() {
                    self.silent_since = now;
                }
                return false;
            }
        }
        true
    }

    /// Reports whether the machine answered the last visit, on the path that is used.
    pub fn answers(&self) -> bool {
        self.answers_directly() || self.relay.as_ref().is_some_and(|relay| relay.works)
    }

    /// Reports whether the machine answered the last direct visit.
    pub const fn answers_directly(&self) -> bool {
        self.answered.is_some() && self.failures.is_empty()
    }

    /// Returns the phase of a login that is under way, which is proof of life while it lasts.
    pub const fn logging_in(&self) -> Option<Phase> {
        match self.attempt {
            Attempt::LoggingIn { phase, .. } => Some(phase),
            Attempt::Quiet | Attempt::LoggedIn { .. } => None,
        }
    }

    /// Reports whether the machine is silent now: visits fail, and the last one brought no sign that the host is up.
    ///
    /// A machine that is sick, throttled or refuses connections is not silent. A failure that says nothing about the
    /// host is no silence either.
    pub fn is_silent(&self) -> bool {
        let silent = |last: &FailedVisit| !last.shows_host_up() && last.failure.kind != FailureKind::Local;
        !self.answers() && self.logging_in().is_none() && self.failures.last().is_some_and(silent)
    }

    /// Reports whether peers could tell more about the machine than the leader knows.
    pub fn needs_peer_probe(&self) -> bool {
        let kind = self.latest_failure().map(|failure| failure.kind);
        let gone = kind == Some(FailureKind::WrongMachine);
        (self.is_silent() && !gone) || kind == Some(FailureKind::Refused)
    }

    /// Returns the latest failure since the machine last answered directly.
    pub fn latest_failure(&self) -> Option<&Failure> {
        self.failures.last().map(|last| &last.failure)
    }

    /// Reports whether no visit has ended yet.
    pub const fn is_empty(&self) -> bool {
        self.answered.is_none() && self.failures.is_empty()
    }

    /// Returns since when the machine has not answered, without the stalls of the leader's process.
    pub const fn unanswered_since(&self) -> Timestamp {
        self.unanswered_since
    }

    /// Returns since when the machine has been silent, without the stalls of the leader's process. While a login is
    /// under way, the machine is not silent.
    pub const fn silent_since(&self) -> Timestamp {
        self.silent_since
    }

    /// Returns the latest failure that shows that the host was up.
    pub(super) fn latest_sign_of_host(&self) -> Option<&Failure> {
        self.failures.iter().rev().find(|failed| failed.shows_host_up()).map(|failed| &failed.failure)
    }
}
