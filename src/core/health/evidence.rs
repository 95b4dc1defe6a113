//! What one leader has seen of one machine since it took the lead.

use super::peers::PeerProbes;
use crate::core::model::Failure;
use crate::core::model::FailureKind;
use crate::core::model::MachineId;
use crate::core::model::Phase;
use crate::core::model::Timestamp;

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
    pub peers: PeerProbes,
    /// The way round that is taken while the direct one fails.
    pub relay: Option<Relay>,
}

/// The way to a machine through one of its neighbours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relay {
    /// The neighbour.
    pub through: MachineId,
    /// Its name.
    pub name: String,
    /// Whether the machine has answered on it.
    pub works: bool,
}

/// How many of the failures since the last answer are kept: the first, and this many of the latest.
const LATEST: usize = 4;

impl Evidence {
    /// Begins watching.
    pub const fn new(now: Timestamp) -> Self {
        Self { watched_since: now, answered: None, failures: Vec::new(), peers: PeerProbes::new(), relay: None }
    }

    /// Notes that the machine answered us directly.
    pub fn answer(&mut self, now: Timestamp) {
        self.answered = Some(now);
        self.failures.clear();
        self.peers.clear();
        self.relay = None;
    }

    /// Notes that the machine answered through a neighbour; without effect if that is no longer the way.
    pub fn answer_through(&mut self, neighbour: MachineId, now: Timestamp) {
        if let Some(relay) = self.relay.as_mut().filter(|relay| relay.through == neighbour) {
            self.answered = Some(now);
            relay.works = true;
        }
    }

    /// Notes that a trip through a neighbour failed: that way is given up.
    pub fn fail_through(&mut self, neighbour: MachineId, failure: &Failure) {
        let worked = self.relay.take_if(|relay| relay.through == neighbour).is_some_and(|relay| relay.works);
        match failure.kind {
            FailureKind::Local => self.peers.forget(neighbour),
            // What the neighbours said was before that.
            _ if worked => self.peers.clear(),
            _ => {}
        }
    }

    /// Says whether the machine answered the last time, on the way that is taken to it.
    pub fn answers(&self) -> bool {
        self.answers_directly() || self.relay.as_ref().is_some_and(|relay| relay.works)
    }

    /// Says whether the machine answered us directly the last time.
    pub const fn answers_directly(&self) -> bool {
        self.answered.is_some() && self.failures.is_empty()
    }

    /// Says whether neighbours could tell more of it than we know: it is silent for us.
    pub fn needs_peer_probe(&self) -> bool {
        use FailureKind::{NoRoute, Path, Refused, Reset, Silent};
        let latest = self.failures.last();
        latest.is_some_and(|(_, failure)| matches!(failure.kind, Silent | NoRoute | Reset | Refused | Path))
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
    pub(super) fn proof_of_life(&self) -> Option<(Timestamp, &Failure)> {
        let failures = self.failures.iter().enumerate().rev();
        let mut proofs = failures.filter(|(number, (_, failure))| is_proof(failure, *number == 0));
        proofs.next().map(|(_, (at, failure))| (*at, failure))
    }
}

/// Says whether a failure shows that the host is up. Whoever lets us in is, even if nothing comes of it; but the first
/// failure may be that of a connection that was open before.
const fn is_proof(failure: &Failure, first: bool) -> bool {
    let inside = matches!(failure.phase, Phase::Authenticate | Phase::Shell | Phase::Run);
    failure.kind.proves_host_up() || (inside && !first && !matches!(failure.kind, FailureKind::WrongMachine))
}
