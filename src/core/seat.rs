//! What one leader knows of one machine: what it last saw there, what is under way, and what to make of it.
//!
//! A seat decides nothing about placement; the pass asks it what it knows and tells it what happened.

use std::collections::BTreeMap;
use std::time::Duration;

use super::cluster::UnitState;
use super::evidence::Failure;
use super::judge::Evidence;
use super::judge::Verdict;
use super::plan::Action;
use super::plan::Step;
use super::report::Observation;
use super::report::Outcome;
use super::time::Timestamp;
use super::unit::UnitName;

/// How long a step that was refused waits before it is tried again: doubled each time, within these bounds.
const RETRY: (Duration, Duration) = (Duration::from_secs(2), Duration::from_mins(1));

/// One machine, as this leader has seen it.
#[derive(Debug, Clone)]
pub struct Seat {
    /// What was seen of it.
    pub evidence: Evidence,
    /// What is thought of it; `None` until something has been seen.
    pub verdict: Option<Verdict>,
    /// What runs there, as of the last whole look; `None` if nothing is known for sure.
    pub units: Option<BTreeMap<UnitName, UnitState>>,
    /// The host's boot, to tell a machine that came back from one that was never away.
    pub boot: String,
    /// The steps that are on their way, or an empty list for a look.
    pub flight: Option<Vec<Step>>,
    /// Set when what it needs may have changed since its steps were last worked out.
    pub unplanned: bool,
    /// When to look again.
    pub next_look: Timestamp,
    /// When to look thoroughly again.
    pub next_whole_look: Timestamp,
    /// Steps that were refused, by unit.
    pub setbacks: BTreeMap<UnitName, Setback>,
}

/// A step that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setback {
    /// The step.
    pub step: Step,
    /// What the host said.
    pub said: String,
    /// How often in a row.
    pub times: u32,
    /// When to try again.
    pub until: Timestamp,
}

impl Seat {
    /// Takes a seat for a machine that nothing is known of yet.
    pub fn new(now: Timestamp) -> Self {
        Self {
            evidence: Evidence::new(now),
            verdict: None,
            units: None,
            boot: String::new(),
            flight: None,
            unplanned: true,
            next_look: now,
            next_whole_look: now,
            setbacks: BTreeMap::new(),
        }
    }

    /// Says whether the machine answered the last time.
    pub fn answers(&self) -> bool {
        self.evidence.answered.is_some() && self.evidence.failures.is_empty()
    }

    /// Says whether steps may be sent: nothing is on its way and it is known what is there.
    pub fn is_ready(&self) -> bool {
        self.flight.is_none() && self.units.is_some() && self.answers()
    }

    /// Says whether there may be something to send it.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.unplanned || now >= self.next_look || self.setbacks.values().any(|setback| now >= setback.until)
    }

    /// Says whether systemd is still on its way with one of its units.
    pub fn is_changing(&self) -> bool {
        self.units.iter().flat_map(BTreeMap::values).any(UnitState::is_changing)
    }

    /// Notes what the machine said of itself, and returns what it had said of its units before.
    pub fn observe(&mut self, seen: Observation, now: Timestamp) -> Option<BTreeMap<UnitName, UnitState>> {
        self.evidence.answer(now);
        self.boot = seen.boot;
        let units = seen.units?;
        self.units.replace(units)
    }

    /// Notes that a trip failed: what was sent may or may not have been done.
    pub fn lose(&mut self, failure: Failure, now: Timestamp) {
        self.evidence.fail(now, failure);
        self.units = None;
    }

    /// Notes how a step ended.
    pub fn conclude(&mut self, step: &Step, outcome: &Outcome, now: Timestamp) {
        let Outcome::Failed(said) = outcome else {
            // A unit may take several steps in one visit; the last one tells.
            self.setbacks.remove(&step.unit);
            return;
        };
        let times = self.setbacks.get(&step.unit).map_or(0, |setback| setback.times) + 1;
        let wait = RETRY.0.saturating_mul(1 << times.min(10).saturating_sub(1)).min(RETRY.1);
        let setback = Setback { step: step.clone(), said: said.clone(), times, until: now + wait };
        self.setbacks.insert(step.unit.clone(), setback);
    }

    /// Says whether a step is one that was refused a moment ago.
    pub fn is_set_back(&self, step: &Step, now: Timestamp) -> bool {
        let same = |a: Action, b: Action| a == b || !a.starts() || !b.starts();
        self.setbacks
            .get(&step.unit)
            .is_some_and(|setback| now < setback.until && same(setback.step.action, step.action))
    }
}
