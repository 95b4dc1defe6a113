//! Peer probes: the reports of peers about the sshd of one machine, and the probes that are not answered yet.
//!
//! This module sends no probe: [`crate::core::reconcile`] does, at the pace that is set here. Every probe is a
//! connection to the machine's sshd that ends without a login, and OpenSSH limits those: ten at once exceed
//! `MaxStartups`, and more than one a second from one address exceeds `PerSourcePenalties`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::core::model::MachineId;
use crate::core::model::PeerReports;
use crate::core::model::Timestamp;

/// How many peers are asked in one round.
pub const ASKED_AT_ONCE: usize = 2;

/// The most peers that are asked in one round, when some probes bring no report.
const ASKED_AT_MOST: usize = 3;

/// How long a peer waits for the sshd. TCP sends its SYN a second time within this time (RFC 6298: after 1 s).
pub const LOOK_LIMIT: Duration = Duration::from_secs(3);

/// How long an answer may take. A later answer is the fault of the peer or of the path to it.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(4);

/// How long a report counts after the probe was sent.
const FRESH: Duration = Duration::from_secs(15);

/// How long a peer is not believed that reported a machine which then could not be visited through the peer.
const DISTRUSTED: Duration = Duration::from_mins(3);

/// How long the time of the last probe by each peer is kept. By then, sshd has forgotten the connection.
const REMEMBERED: Duration = Duration::from_mins(10);

/// The report of one peer.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PeerReport {
    /// The peer's name.
    name: String,
    asked: Timestamp,
    reached: bool,
}

/// The reports of peers about the sshd of one machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeerProbes {
    reports: BTreeMap<MachineId, PeerReport>,
    awaited: BTreeMap<MachineId, Timestamp>,
    /// When each peer was last asked. This is kept longer than the reports, because sshd counts connections for longer.
    asked: BTreeMap<MachineId, Timestamp>,
    /// Until when reports of peers that the machine was reached do not count.
    distrusted: BTreeMap<MachineId, Timestamp>,
    round: Option<Round>,
}

/// Probes that are sent together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Round {
    began: Timestamp,
    asked: usize,
    /// The number of probes that brought no report.
    wasted: usize,
}

impl PeerProbes {
    /// Makes a record without probes.
    pub const fn new() -> Self {
        Self {
            reports: BTreeMap::new(),
            awaited: BTreeMap::new(),
            asked: BTreeMap::new(),
            distrusted: BTreeMap::new(),
            round: None,
        }
    }

    /// Records that a peer is being asked.
    pub fn ask(&mut self, peer: MachineId, now: Timestamp) {
        self.asked.retain(|_, asked| now.since(*asked) < REMEMBERED);
        self.awaited.insert(peer, now);
        self.asked.insert(peer, now);
        if let Some(round) = &mut self.round {
            round.asked += 1;
        }
    }

    /// Records a report; `None` if the probe brought none. A report that was not requested is ignored.
    pub fn record(&mut self, peer: MachineId, name: &str, reached: Option<bool>) {
        let Some(asked) = self.awaited.remove(&peer) else { return };
        let distrusted = self.distrusted.get(&peer).is_some_and(|until| asked < *until);
        let reached = reached.filter(|reached| !(*reached && distrusted));
        if let Some(reached) = reached {
            self.reports.insert(peer, PeerReport { name: name.to_owned(), asked, reached });
            return;
        }
        self.forget(peer);
        if let Some(round) = self.round.as_mut().filter(|round| round.began <= asked) {
            round.wasted += 1;
        }
    }

    /// Drops the report of one peer.
    pub fn forget(&mut self, peer: MachineId) {
        self.reports.remove(&peer);
    }

    /// Takes back the report of a peer that the machine was reached, and does not believe such a report for minutes.
    pub fn distrust(&mut self, peer: MachineId, now: Timestamp) {
        self.forget(peer);
        self.distrusted.retain(|_, until| now < *until);
        self.distrusted.insert(peer, now + DISTRUSTED);
    }

    /// Drops all reports, and ignores those that are still to come.
    pub fn clear(&mut self) {
        self.reports.clear();
        self.awaited.clear();
    }

    /// Returns the peers that reach the sshd, latest report first.
    pub fn reached_by(&self, now: Timestamp) -> Vec<MachineId> {
        let mut yes: Vec<_> = self.fresh(now).filter(|(_, report)| report.reached).collect();
        yes.sort_by_key(|(peer, report)| (std::cmp::Reverse(report.asked), **peer));
        yes.into_iter().map(|(peer, _)| *peer).collect()
    }

    /// Returns until when a report counts that a peer reaches the sshd; `None` without such a report.
    pub fn reached_until(&self, now: Timestamp) -> Option<Timestamp> {
        let yes = self.fresh(now).filter(|(_, report)| report.reached);
        yes.map(|(_, report)| report.asked + FRESH).max()
    }

    /// Reports whether as many peers have reported as one round asks.
    pub fn has_enough_answers(&self, now: Timestamp) -> bool {
        self.fresh(now).count() >= ASKED_AT_ONCE
    }

    /// Returns until when a report may still come; `None` if no report is awaited.
    pub fn awaited_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.open(now).map(|(_, asked)| *asked + ANSWER_LIMIT).max()
    }

    /// Returns the peers that may still report.
    pub fn awaited(&self, now: Timestamp) -> impl Iterator<Item = MachineId> {
        self.open(now).map(|(peer, _)| *peer)
    }

    /// Returns when a peer was last asked.
    pub fn last_asked(&self, peer: MachineId) -> Option<Timestamp> {
        self.asked.get(&peer).copied()
    }

    /// Returns how many peers are to be asked now, when a round is due `every` so often. Another peer makes up for a
    /// probe without a report.
    pub fn wanted(&self, every: Duration, now: Timestamp) -> usize {
        let current = self.round.filter(|round| now < round.began + every);
        let Round { asked, wasted, .. } = current.unwrap_or_default();
        (ASKED_AT_ONCE + wasted).min(ASKED_AT_MOST).saturating_sub(asked)
    }

    /// Begins a round if one is due, and returns how many peers are to be asked now.
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

    /// Returns the reports that count, by the names of the peers.
    pub fn summary(&self, now: Timestamp) -> PeerReports {
        let names = |reached: bool| {
            let reports = self.fresh(now).filter(|(_, report)| report.reached == reached);
            reports.map(|(_, report)| report.name.clone()).collect()
        };
        PeerReports { reaching: names(true), not_reaching: names(false) }
    }

    fn fresh(&self, now: Timestamp) -> impl Iterator<Item = (&MachineId, &PeerReport)> {
        self.reports.iter().filter(move |(_, report)| now < report.asked + FRESH)
    }

    fn open(&self, now: Timestamp) -> impl Iterator<Item = (&MachineId, &Timestamp)> {
        self.awaited.iter().filter(move |(_, asked)| now < **asked + ANSWER_LIMIT)
    }
}
