//! What one leader knows of one machine: what it last saw there, what is under way, and what to make of it.
//!
//! A view decides nothing about placement; the reconciler requirements it what it knows and tells it what happened.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::core::health::Evidence;
use crate::core::health::Relay;
use crate::core::model::Expiry;
use crate::core::model::Failure;
use crate::core::model::Health;
use crate::core::model::LeaseRefusal;
use crate::core::model::MachineId;
use crate::core::model::Need;
use crate::core::model::Observation;
use crate::core::model::Outcome;
use crate::core::model::Step;
use crate::core::model::Timestamp;
use crate::core::model::UnitState;
use crate::core::unit::UnitName;

/// How long a step that was refused waits before it is tried again: doubled each time, within these bounds.
const RETRY: (Duration, Duration) = (Duration::from_secs(2), Duration::from_mins(1));

/// How long steps that have come in time may wait for the host's lock, and a little more.
const LOCK_WAIT: Duration = Duration::from_secs(6);

/// One machine, as this leader has seen it.
#[derive(Debug, Clone)]
pub struct MachineView {
    /// What was seen of it.
    pub evidence: Evidence,
    /// What is thought of it; `None` until something has been seen.
    pub health: Option<Health>,
    /// The evidence for that in words.
    pub why: String,
    /// What runs there, as of the last whole look; `None` if nothing is known for sure.
    pub units: Option<BTreeMap<UnitName, UnitState>>,
    /// The host's boot, to tell a machine that came back from one that was never away.
    pub boot: String,
    /// When it last said how long it had been up, and what it said.
    pub uptime: Option<(Timestamp, Duration)>,
    /// The trip that is under way.
    pub in_flight: Option<InFlightVisit>,
    /// When the latest trip left that came back.
    pub heard: Option<Timestamp>,
    /// Set while steps that nobody knows the end of may still begin or go on there: until then.
    pub uncertain_until: Option<Timestamp>,
    /// What is known of its lease.
    pub lease: LeaseView,
    /// Whether somebody makes sure that it is off.
    pub fencing: Fencing,
    /// Set when what it needs may have changed since its steps were last worked out.
    pub unplanned: bool,
    /// Set when one of its steps waits for something to happen on another machine.
    pub waits: bool,
    /// When to assess again although nothing new has come.
    pub assess_again: Option<Timestamp>,
    /// When to try the direct way again while a relay works, and a relay after one has failed.
    pub next_direct: Timestamp,
    /// See there.
    pub next_relay_try: Timestamp,
    /// When to look again.
    pub next_look: Timestamp,
    /// When to look thoroughly again.
    pub next_whole_look: Timestamp,
    /// Steps that were refused, by unit.
    pub backoffs: BTreeMap<UnitName, Backoff>,
    /// Whether it needed nothing when its steps were last worked out.
    pub(super) settled: bool,
    /// Whether it was silent when it was last assessed.
    pub(super) silent: bool,
    /// The time under which it stands in the queue of [`super::views`].
    pub(super) due: Option<Timestamp>,
}

/// What a leader knows of a machine's lease.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeaseView {
    /// What it needs one for, if for anything.
    pub need: Option<Need>,
    /// When the latest renewal left that the host confirmed.
    pub renewed: Option<Timestamp>,
    /// Why the host would not hold it the last time.
    pub refused: Option<LeaseRefusal>,
}

/// How far making sure that a machine is off has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fencing {
    /// Set while the command runs.
    pub runs: bool,
    /// Set when its success would prove nothing any more: the machine has been granted a lease since it began.
    pub void: bool,
    /// When to try again.
    pub again: Timestamp,
}

/// A trip that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InFlightVisit {
    /// What it is to do; nothing for a look.
    pub steps: Vec<Step>,
    /// Set when it waits for what an earlier one still does there.
    pub barrier: bool,
    /// Set when it grants a lease.
    pub lease: bool,
    /// When it left.
    pub since: Timestamp,
    /// The neighbour that it goes through, if it does not go directly.
    pub through: Option<MachineId>,
}

impl InFlightVisit {
    /// Says whether something may be done there because of it.
    pub const fn acts(&self) -> bool {
        self.lease || !self.steps.is_empty()
    }
}

/// A step that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backoff {
    /// The step.
    pub step: Step,
    /// What the host said.
    pub said: String,
    /// How often in a row.
    pub times: u32,
    /// When to try again.
    pub until: Timestamp,
}

impl MachineView {
    /// Takes a view for a machine that nothing is known of yet.
    pub fn new(now: Timestamp) -> Self {
        Self {
            evidence: Evidence::new(now),
            health: None,
            why: String::new(),
            units: None,
            boot: String::new(),
            uptime: None,
            in_flight: None,
            heard: None,
            uncertain_until: None,
            lease: LeaseView::default(),
            fencing: Fencing::default(),
            unplanned: true,
            waits: false,
            assess_again: None,
            next_direct: now,
            next_relay_try: now,
            next_look: now,
            next_whole_look: now,
            backoffs: BTreeMap::new(),
            settled: false,
            silent: false,
            due: None,
        }
    }

    /// Says whether the machine answered the last time.
    pub fn answers(&self) -> bool {
        self.evidence.answers()
    }

    /// Says whether steps may be sent: nothing is on its way and it is known what is there.
    pub fn is_ready(&self) -> bool {
        self.in_flight.is_none() && self.units.is_some() && self.answers()
    }

    /// Says whether there may be something to send it.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.unplanned || now >= self.next_look || self.backoffs.values().any(|backoff| now >= backoff.until)
    }

    /// Says whether it needed nothing when its steps were last worked out, and nothing has changed since.
    pub(super) fn is_settled(&self) -> bool {
        self.settled && !self.unplanned && self.backoffs.is_empty()
    }

    /// Says whether systemd is still on its way with one of its units.
    pub fn is_changing(&self) -> bool {
        self.units.iter().flat_map(BTreeMap::values).any(UnitState::is_changing)
    }

    /// Notes that the trip under way has come back, and returns it.
    pub fn complete(&mut self) -> InFlightVisit {
        let in_flight = self.in_flight.take().unwrap_or_default();
        self.heard = Some(in_flight.since);
        if in_flight.barrier {
            self.uncertain_until = None;
        }
        in_flight
    }

    /// Notes that nobody will know how the trip under way ended, and returns it. What it was to do could be begun there
    /// `within` that time.
    pub fn abandon(&mut self, within: Duration) -> Option<InFlightVisit> {
        let in_flight = self.in_flight.take()?;
        if in_flight.acts() {
            self.uncertain_until = Some(in_flight.since + within + LOCK_WAIT);
        }
        Some(in_flight)
    }

    /// Notes what the machine said of itself, and returns what it had said of its units before.
    pub fn observe(
        &mut self,
        seen: Observation,
        through: Option<MachineId>,
        now: Timestamp,
    ) -> Option<BTreeMap<UnitName, UnitState>> {
        match through {
            Some(neighbour) => self.evidence.answer_through(neighbour, now),
            None => self.evidence.answer(now),
        }
        self.boot = seen.boot;
        self.uptime = Some((now, seen.uptime));
        let units = seen.units?;
        self.units.replace(units)
    }

    /// Notes that a trip failed: what was sent may or may not have been done.
    pub fn record_failure(&mut self, failure: Failure, through: Option<MachineId>, now: Timestamp) {
        match through {
            Some(neighbour) => self.evidence.fail_through(neighbour, &failure, now),
            None => self.evidence.fail(now, failure),
        }
        if !self.answers() {
            self.units = None;
        }
    }

    /// Takes a way round, and says when to try the direct way again.
    pub fn use_relay(&mut self, relay: Relay, now: Timestamp, next_direct: Timestamp) {
        self.evidence.relay = Some(relay);
        self.next_direct = next_direct;
        self.next_look = now;
    }

    /// Returns the host's uptime from which on it must refuse steps that are sent now and given up `within` that time.
    ///
    /// Its uptime was at least this when the answer came, so the host may refuse a little early and never late.
    pub fn expiry(&self, now: Timestamp, within: Duration) -> Option<Expiry> {
        let (heard, uptime) = self.uptime?;
        Some(Expiry { boot: self.boot.clone(), uptime: uptime + now.since(heard) + within })
    }

    /// Says whether nothing but what was last seen there can be there: every step that was sent has ended.
    pub fn is_certain(&self) -> bool {
        let acts = self.in_flight.as_ref().is_some_and(|in_flight| !in_flight.steps.is_empty());
        self.answers() && self.units.is_some() && self.uncertain_until.is_none() && !acts
    }

    /// Notes how a trip's steps ended. Of several for one unit the first that failed tells.
    pub fn conclude(&mut self, steps: &[Step], outcomes: &[Outcome], now: Timestamp) {
        let mut failed: BTreeMap<&UnitName, (&Step, &str)> = BTreeMap::new();
        for (step, outcome) in steps.iter().zip(outcomes) {
            if let Outcome::Failed(said) = outcome {
                failed.entry(&step.unit).or_insert((step, said));
            }
        }
        for step in steps.iter().filter(|step| !failed.contains_key(&step.unit)) {
            self.backoffs.remove(&step.unit);
        }
        for (unit, (step, said)) in failed {
            let times = self.backoffs.get(unit).map_or(0, |backoff| backoff.times).saturating_add(1);
            let backoff = Backoff { step: step.clone(), said: said.to_owned(), times, until: now + delay(times) };
            self.backoffs.insert(unit.clone(), backoff);
        }
    }

    /// Says whether a unit waits because one of its steps was refused a moment ago.
    pub fn is_backing_off(&self, unit: &UnitName, now: Timestamp) -> bool {
        self.backoffs.get(unit).is_some_and(|backoff| now < backoff.until)
    }

    /// Forgets the backoffs of units that need nothing any more, and puts off those that are not tried again now
    /// although they could be.
    pub fn update_backoffs(&mut self, needed: &[Step], sent: &[Step], now: Timestamp) {
        let about = |steps: &[Step], unit: &UnitName| steps.iter().any(|step| step.unit == *unit);
        self.backoffs.retain(|unit, _| about(needed, unit));
        for (unit, backoff) in &mut self.backoffs {
            if backoff.until <= now && !about(sent, unit) {
                backoff.until = now + delay(backoff.times);
            }
        }
    }
}

/// How long a step waits that was refused so often.
fn delay(times: u32) -> Duration {
    RETRY.0.saturating_mul(1 << times.clamp(1, 10).saturating_sub(1)).min(RETRY.1)
}
