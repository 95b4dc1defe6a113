//! The second opinion: what a machine's neighbours say of it, and who has been asked and has not answered yet.
//!
//! It requirements nobody; [`crate::core::reconcile`] does, at the pace that is kept here. Every question is a connection to the
//! machine's sshd that ends without a login, which OpenSSH counts: ten at once are too many for `MaxStartups`, and more
//! than one a second from one address for `PerSourcePenalties`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::core::model::MachineId;
use crate::core::model::Timestamp;

/// How many neighbours are asked in one round.
pub const ASKED_AT_ONCE: usize = 2;

/// How many are asked in one round at most, when some have nothing to say.
const ASKED_AT_MOST: usize = 3;

/// How long a neighbour may look. TCP knocks a second time within this (RFC 6298: after 1 s).
pub const LOOK_LIMIT: Duration = Duration::from_secs(3);

/// Within this time a question is answered, or the neighbour is at fault.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(4);

/// For how long an opinion counts, from when it was asked for.
const FRESH: Duration = Duration::from_secs(15);

/// For how long it is remembered who was asked. sshd has forgotten it by then.
const REMEMBERED: Duration = Duration::from_mins(10);

/// What one neighbour said.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PeerReport {
    /// The neighbour's name.
    name: String,
    asked: Timestamp,
    reached: bool,
}

/// What the neighbours of one machine say of its sshd.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeerProbes {
    opinions: BTreeMap<MachineId, PeerReport>,
    awaited: BTreeMap<MachineId, Timestamp>,
    /// When each neighbour was last asked. It outlives the opinions: so does what sshd counts.
    asked: BTreeMap<MachineId, Timestamp>,
    round: Option<Round>,
}

/// The questions that are asked together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Round {
    began: Timestamp,
    asked: usize,
    /// How many of them taught nothing.
    wasted: usize,
}

impl PeerProbes {
    /// Begins with nobody asked.
    pub const fn new() -> Self {
        Self { opinions: BTreeMap::new(), awaited: BTreeMap::new(), asked: BTreeMap::new(), round: None }
    }

    /// Notes that a neighbour is being asked.
    pub fn ask(&mut self, neighbour: MachineId, now: Timestamp) {
        self.asked.retain(|_, asked| now.since(*asked) < REMEMBERED);
        self.awaited.insert(neighbour, now);
        self.asked.insert(neighbour, now);
        if let Some(round) = &mut self.round {
            round.asked += 1;
        }
    }

    /// Notes what a neighbour said; `None` if nothing was learned. Whoever was not asked has no say.
    pub fn record(&mut self, neighbour: MachineId, name: &str, reached: Option<bool>) {
        let Some(asked) = self.awaited.remove(&neighbour) else { return };
        if let Some(reached) = reached {
            self.opinions.insert(neighbour, PeerReport { name: name.to_owned(), asked, reached });
            return;
        }
        self.forget(neighbour);
        if let Some(round) = self.round.as_mut().filter(|round| round.began <= asked) {
            round.wasted += 1;
        }
    }

    /// Drops what one neighbour said.
    pub fn forget(&mut self, neighbour: MachineId) {
        self.opinions.remove(&neighbour);
    }

    /// Drops what was said, and what will be said to questions that are under way.
    pub fn clear(&mut self) {
        self.opinions.clear();
        self.awaited.clear();
    }

    /// Returns the neighbours that reach it, the latest word first.
    pub fn reached_by(&self, now: Timestamp) -> Vec<MachineId> {
        let mut yes: Vec<_> = self.fresh(now).filter(|(_, opinion)| opinion.reached).collect();
        yes.sort_by_key(|(neighbour, opinion)| (std::cmp::Reverse(opinion.asked), **neighbour));
        yes.into_iter().map(|(neighbour, _)| *neighbour).collect()
    }

    /// Returns until when it counts that a neighbour reaches it, if one does.
    pub fn reached_until(&self, now: Timestamp) -> Option<Timestamp> {
        let yes = self.fresh(now).filter(|(_, opinion)| opinion.reached);
        yes.map(|(_, opinion)| opinion.asked + FRESH).max()
    }

    /// Says whether as many neighbours have had their say as are asked at once.
    pub fn has_enough_answers(&self, now: Timestamp) -> bool {
        self.fresh(now).count() >= ASKED_AT_ONCE
    }

    /// Returns until when an answer may still come, if one may.
    pub fn awaited_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.open(now).map(|(_, asked)| *asked + ANSWER_LIMIT).max()
    }

    /// Returns the neighbours that may still answer.
    pub fn awaited(&self, now: Timestamp) -> impl Iterator<Item = MachineId> {
        self.open(now).map(|(neighbour, _)| *neighbour)
    }

    /// Returns when a neighbour was last asked.
    pub fn last_asked(&self, neighbour: MachineId) -> Option<Timestamp> {
        self.asked.get(&neighbour).copied()
    }

    /// Says how many peers are to be asked now, when a round is due every so often. A peer that had nothing to report is
    /// made up for by another one.
    pub fn wanted(&self, every: Duration, now: Timestamp) -> usize {
        let current = self.round.filter(|round| now < round.began + every);
        let Round { asked, wasted, .. } = current.unwrap_or_default();
        (ASKED_AT_ONCE + wasted).min(ASKED_AT_MOST).saturating_sub(asked)
    }

    /// Begins a round if one is due, and says how many peers are to be asked now.
    pub fn begin_round(&mut self, every: Duration, now: Timestamp) -> usize {
        if self.round.is_none_or(|round| now >= round.began + every) {
            self.round = Some(Round { began: now, asked: 0, wasted: 0 });
        }
        self.wanted(every, now)
    }

    /// Returns when the next round is due.
    pub fn next_round(&self, every: Duration) -> Option<Timestamp> {
        self.round.map(|round| round.began + every)
    }

    /// Tells in words what the neighbours say; nothing if they say nothing.
    pub fn summary(&self, now: Timestamp) -> Option<String> {
        let all: Vec<&PeerReport> = self.fresh(now).map(|(_, opinion)| opinion).collect();
        let names = |reached: bool| {
            let names = all.iter().filter(|opinion| opinion.reached == reached).map(|opinion| opinion.name.as_str());
            names.collect::<Vec<_>>()
        };
        let (yes, no) = (names(true), names(false));
        let (count, of) = (yes.len(), all.len());
        match (count, of) {
            (_, 0) => None,
            (0, 1) => Some(format!("the neighbour that was asked does not reach its sshd: {}", no.join(", "))),
            (0, _) => Some(format!("none of {of} neighbours reaches its sshd: {}", no.join(", "))),
            (1, _) => Some(format!("1 of {of} neighbours reaches its sshd: {}", yes.join(", "))),
            _ => Some(format!("{count} of {of} neighbours reach its sshd: {}", yes.join(", "))),
        }
    }

    fn fresh(&self, now: Timestamp) -> impl Iterator<Item = (&MachineId, &PeerReport)> {
        self.opinions.iter().filter(move |(_, opinion)| now < opinion.asked + FRESH)
    }

    fn open(&self, now: Timestamp) -> impl Iterator<Item = (&MachineId, &Timestamp)> {
        self.awaited.iter().filter(move |(_, asked)| now < **asked + ANSWER_LIMIT)
    }
}
