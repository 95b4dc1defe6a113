//! What one leader knows of one machine: its evidence, its units, the visit in flight, the backoffs and the lease.
//!
//! A view makes no decisions about placement. The reconciler reads it and records in it what happened.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use crate::core::health::Evidence;
use crate::core::health::Relay;
use crate::core::model::Action;
use crate::core::model::ActiveState;
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
use crate::core::reconcile::pulls::Pulls;
use crate::core::reconcile::unit_changes::UnitChanges;
use crate::core::reconcile::unknown_units::UnknownUnits;
use crate::core::unit::UnitName;

/// The first delay before a refused step is tried again, and the longest. The delay doubles each time.
const RETRY: (Duration, Duration) = (Duration::from_secs(2), Duration::from_mins(1));

/// What the brake did to a machine that would be down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Brake {
    /// It holds: too many machines are silent.
    Holds,
    /// It let go at this time.
    ReleasedAt(Timestamp),
}

/// How long steps that arrived in time may wait for the host's lock, with a margin.
const LOCK_WAIT: Duration = Duration::from_secs(3);

/// How many suspicions of one machine are recorded within this time. A machine that answers every other visit must not
/// fill the event log.
const SUSPICIONS: (u32, Duration) = (20, Duration::from_mins(10));

/// How many visits in a row find the host's lock held before their steps count as failed. With the delays between them that
/// takes longer than any visit of muster holds the lock.
const EARLY_VISITS: u32 = 4;

/// How long a unit may take to leave a machine after its first unload was not completed. systemd kills a unit that takes
/// longer to stop (`DefaultTimeoutStopSec=`).
const LEAVING: Duration = Duration::from_secs(90);

/// One machine, as this leader has seen it.
#[derive(Debug, Clone)]
pub struct MachineView {
    /// The answers and failures of the machine.
    pub evidence: Evidence,
    /// The health of the machine; `None` until a visit has ended.
    pub health: Option<Health>,
    /// The units on the machine as of the last full observation; `None` if they are not known for certain.
    pub units: Option<BTreeMap<UnitName, UnitState>>,
    /// The units there whose files muster did not write, as of the last full observation.
    pub foreign: BTreeMap<UnitName, UnitState>,
    /// Set while systemd is still changing the state of one of the units.
    changing: bool,
    /// Set while the state of one of the units may change without a sign that a quick observation sees.
    changes_unseen: bool,
    /// Set while the store has the state of each of the units, and of no other unit there.
    pub(super) is_recorded: bool,
    /// The host's boot id, which changes when the machine boots.
    pub boot: String,
    /// When the machine last reported its uptime, and that uptime.
    pub uptime: Option<(Timestamp, Duration)>,
    /// The visit in flight.
    pub in_flight: Option<InFlightVisit>,
    /// When the latest visit that was answered was sent.
    pub heard: Option<Timestamp>,
    /// Until when steps whose outcome is lost may still begin or run on the host; `None` if there are no such steps.
    pub uncertain_until: Option<Timestamp>,
    /// The state of the machine's lease.
    pub lease: LeaseView,
    /// The state of the machine's fence command.
    pub fencing: Fencing,
    /// Set when the steps that the machine needs have to be computed again.
    pub unplanned: bool,
    /// When to assess the machine again although nothing happened.
    pub assess_again: Option<Timestamp>,
    /// When to try the direct path again while a relay works.
    pub next_direct: Timestamp,
    /// When to try a relay again after one has failed.
    pub next_relay_try: Timestamp,
    /// When the next visit is due.
    pub next_visit: Timestamp,
    /// When the next full observation is due.
    pub next_full_observation: Timestamp,
    /// Until when every observation is a full one, because a unit was started. A process that ends and starts again between
    /// the two parts of an observation gives no sign that a quick one sees.
    pub(super) watched_until: Timestamp,
    /// Steps that were refused, by unit.
    pub backoffs: BTreeMap<UnitName, Backoff>,
    /// The pulls of images for which loads wait.
    pub(super) pulls: Pulls,
    /// How many visits with steps in a row were lost, and until when no steps are sent for that.
    lost: (u32, Timestamp),
    /// How many suspicions were recorded, since when they are counted.
    suspicions: (u32, Timestamp),
    /// The units that an unload has not removed, and since when.
    leaving: BTreeMap<UnitName, Timestamp>,
    /// The restarts that systemd has yet to carry out, by unit.
    restarting: BTreeMap<UnitName, Step>,
    /// The troubles of the units there that were logged.
    pub(super) unit_changes: UnitChanges,
    /// The units there that the cluster does not know.
    pub unknown_units: UnknownUnits,
    /// Set when the machine needed no steps the last time they were computed.
    pub(super) settled: bool,
    /// Set while the machine counts as down only because an operator has ordered its failover.
    pub(super) forced_down: bool,
    /// Set when the machine was silent at the last assessment.
    pub(super) silent: bool,
    /// Set while the machine would be down and the brake holds, or has held until a short time ago.
    pub(super) brake: Option<Brake>,
    /// The time under which the machine is in the queue of [`super::views`].
    pub(super) due: Option<Timestamp>,
    /// Set while the machine is one of the dirty machines of [`super::views`].
    pub(super) dirty: bool,
}

/// What a leader knows of a machine's lease.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeaseView {
    /// The strict units that need the lease, if there are any.
    pub need: Option<Need>,
    /// When the latest renewal that the host confirmed was sent.
    pub renewed: Option<Timestamp>,
    /// How much longer the host's systemd may take to stop the units, as its slowest renewal shows.
    pub slack: Duration,
    /// Why the host refused the lease the last time.
    pub refused: Option<LeaseRefusal>,
}

/// The state of the fence command of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fencing {
    /// Set while the command runs.
    pub runs: bool,
    /// Set when the success of the command would prove nothing: the machine was sent a lease after the command began.
    pub void: bool,
    /// When the next attempt is due.
    pub again: Timestamp,
}

/// A visit in flight.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InFlightVisit {
    /// The steps of the visit; empty if it only observes.
    pub steps: Vec<Step>,
    /// Set when the visit waits for the steps of an earlier visit that may still run.
    pub barrier: bool,
    /// The end of the lease that the visit grants or renews.
    pub lease: Option<Timestamp>,
    /// When the visit was sent.
    pub since: Timestamp,
    /// The relay, if the visit does not use the direct path.
    pub through: Option<MachineId>,
}

impl InFlightVisit {
    /// Reports whether the visit may change something on the host.
    pub const fn acts(&self) -> bool {
        self.lease.is_some() || !self.steps.is_empty()
    }
}

/// A step that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backoff {
    /// The step.
    pub step: Step,
    /// The error that the host reported.
    pub said: String,
    /// How often in a row the step was refused.
    pub times: u32,
    /// When the next attempt is due.
    pub until: Timestamp,
}

impl MachineView {
    /// Makes a view of a machine that was not visited yet.
    pub fn new(now: Timestamp) -> Self {
        Self {
            evidence: Evidence::new(now),
            health: None,
            units: None,
            foreign: BTreeMap::new(),
            changing: false,
            changes_unseen: false,
            is_recorded: false,
            boot: String::new(),
            uptime: None,
            in_flight: None,
            heard: None,
            uncertain_until: None,
            lease: LeaseView::default(),
            fencing: Fencing::default(),
            unplanned: true,
            assess_again: None,
            brake: None,
            next_direct: now,
            next_relay_try: now,
            next_visit: now,
            next_full_observation: now,
            watched_until: Timestamp::ZERO,
            backoffs: BTreeMap::new(),
            pulls: Pulls::default(),
            lost: (0, now),
            suspicions: (0, now),
            leaving: BTreeMap::new(),
            restarting: BTreeMap::new(),
            unit_changes: UnitChanges::default(),
            unknown_units: UnknownUnits::default(),
            settled: false,
            forced_down: false,
            silent: false,
            due: None,
            dirty: false,
        }
    }

    /// Reports whether the machine answered the last visit.
    pub fn answers(&self) -> bool {
        self.evidence.answers()
    }

    /// Reports whether steps may be sent: no visit is in flight and the units on the machine are known.
    pub fn is_ready(&self) -> bool {
        self.in_flight.is_none() && self.units.is_some() && self.answers()
    }

    /// Reports whether a visit to the machine may be due.
    pub fn is_due(&self, now: Timestamp) -> bool {
        let mut retries = self.backoffs.values().map(|backoff| backoff.until).chain(self.pulls.due());
        self.unplanned || now >= self.next_visit || retries.any(|at| now >= at)
    }

    /// Reports whether the machine needed no steps the last time they were computed, and nothing has changed since.
    pub(super) fn is_settled(&self) -> bool {
        self.settled && !self.unplanned && self.backoffs.is_empty() && self.pulls.is_empty()
    }

    /// Reports whether systemd is still changing the state of one of the machine's units.
    pub const fn is_changing(&self) -> bool {
        self.changing
    }

    /// Reports whether a quick observation suffices before the next full one is due.
    pub(super) const fn may_be_glanced_at(&self) -> bool {
        self.units.is_some() && !self.changing && !self.changes_unseen
    }

    /// Returns until when a machine may answer before it counts as down, if the brake held when it was last assessed or lets
    /// go now.
    pub(super) fn respite(&mut self, down_after: Duration, now: Timestamp) -> Option<Timestamp> {
        let released = match self.brake? {
            Brake::Holds => now,
            Brake::ReleasedAt(at) => at,
        };
        self.brake = Some(Brake::ReleasedAt(released));
        Some(released + down_after).filter(|until| now < *until)
    }

    /// Reports whether a visit has ended and the machine is not known to be alive.
    pub(super) fn is_doubted(&self) -> bool {
        !self.evidence.is_empty() && (self.health != Some(Health::Alive) || !self.answers())
    }

    /// Records that the visit in flight was answered, and returns the visit.
    pub fn complete(&mut self) -> InFlightVisit {
        let in_flight = self.in_flight.take().unwrap_or_default();
        self.heard = Some(in_flight.since);
        if in_flight.barrier {
            self.uncertain_until = None;
        }
        in_flight
    }

    /// Records that the outcome of the visit in flight is lost, and returns the visit. The host may begin its steps
    /// until the time `within` after it was sent.
    pub fn abandon(&mut self, within: Duration) -> Option<InFlightVisit> {
        let in_flight = self.in_flight.take()?;
        if in_flight.acts() {
            self.uncertain_until = Some(in_flight.since + within + LOCK_WAIT);
        }
        Some(in_flight)
    }

    /// Records an observation of the machine.
    pub fn observe(&mut self, seen: Observation, through: Option<MachineId>, now: Timestamp) {
        match through {
            Some(relay) => self.evidence.answer_through(relay, now),
            None => self.evidence.answer(now),
        }
        if self.boot != seen.boot {
            // A host that has booted holds no lease and carries out no restart of before.
            (self.lost, self.lease.renewed) = ((0, now), None);
            self.restarting.clear();
            self.pulls.clear();
        }
        self.boot = seen.boot;
        self.uptime = Some((now, seen.uptime));
        if let Some(units) = &seen.units {
            self.leaving.retain(|unit, _| units.contains_key(unit));
            self.foreign = seen.foreign;
        }
        if seen.units.is_some() && seen.units != self.units {
            (self.units, self.is_recorded) = (seen.units, false);
            let units = || self.units.iter().flat_map(BTreeMap::values);
            self.changing = units().any(UnitState::is_changing);
            self.changes_unseen = units().any(UnitState::changes_unseen);
        }
    }

    /// Records that a visit failed. Its steps may or may not have been carried out.
    pub fn record_failure(&mut self, failure: Failure, through: Option<MachineId>, now: Timestamp) {
        match through {
            Some(relay) => self.evidence.fail_through(relay, &failure, now),
            None => self.evidence.fail(now, failure),
        }
        if !self.answers() {
            (self.units, self.changing, self.changes_unseen, self.is_recorded) = (None, false, false, false);
        }
    }

    /// Uses a relay from now on, and sets when to try the direct path again.
    pub fn use_relay(&mut self, relay: Relay, now: Timestamp, next_direct: Timestamp) {
        self.evidence.relay = Some(relay);
        self.next_direct = next_direct;
        self.next_visit = now;
    }

    /// Returns the host uptime after which the host must refuse steps that are sent now with the deadline `within`.
    ///
    /// The host had at least this uptime when its report arrived, so the host may refuse a little early and never late.
    pub fn expiry(&self, now: Timestamp, within: Duration) -> Option<Expiry> {
        let (heard, uptime) = self.uptime?;
        Some(Expiry { boot: self.boot.clone(), uptime: uptime.saturating_add(now.since(heard)).saturating_add(within) })
    }

    /// Reports whether the units on the machine are exactly those last observed: every step that was sent has ended.
    pub fn is_certain(&self) -> bool {
        let acts = self.in_flight.as_ref().is_some_and(|in_flight| !in_flight.steps.is_empty());
        self.answers() && self.units.is_some() && self.uncertain_until.is_none() && !acts
    }

    /// Counts a suspicion. Reports whether it is to be recorded.
    pub(super) fn may_note_suspicion(&mut self, now: Timestamp) -> bool {
        let (most, window) = SUSPICIONS;
        if now >= self.suspicions.1 + window {
            self.suspicions = (0, now);
        }
        self.suspicions.0 = self.suspicions.0.saturating_add(1);
        self.suspicions.0 <= most
    }

    /// Records that steps were lost. The first ones are sent again after the next observation, later ones after a
    /// growing delay: the steps themselves may end the visit.
    pub(super) fn lose(&mut self, steps: &[Step], now: Timestamp) {
        if steps.is_empty() {
            return;
        }
        let (times, _) = self.lost;
        self.lost = (times.saturating_add(1), if times == 0 { now } else { now + delay(times) });
        self.record_leaving(steps, now);
    }

    /// Records that another visit held the host's lock, so that the units have to be observed before steps are sent again.
    /// Reports whether the lock has been held for so long that the steps count as failed.
    pub(super) fn come_early(&mut self, steps: &[Step], now: Timestamp) -> bool {
        (self.units, self.changing, self.changes_unseen, self.is_recorded) = (None, false, false, false);
        self.lose(steps, now);
        self.lost.0 > EARLY_VISITS
    }

    /// Reports whether steps may be sent: not enough visits with steps were lost recently.
    pub(super) fn may_take_steps(&self, now: Timestamp) -> bool {
        now >= self.lost.1
    }

    fn record_leaving<'a>(&mut self, steps: impl IntoIterator<Item = &'a Step>, now: Timestamp) {
        for step in steps.into_iter().filter(|step| step.action == Action::Unload) {
            self.leaving.entry(step.unit.clone()).or_insert(now);
        }
    }

    /// Reports whether an unload has begun before this time and has not removed the unit yet.
    pub(super) fn is_leaving_since_before(&self, unit: &UnitName, time: Timestamp) -> bool {
        self.leaving.get(unit).is_some_and(|since| *since < time)
    }

    /// Reports whether systemd still stops a unit that an earlier visit began to unload. A visit that unloaded it again
    /// would only wait for the same stop.
    pub(super) fn still_stops(&self, step: &Step) -> bool {
        let state = self.units.as_ref().and_then(|units| units.get(&step.unit));
        let is_stopping = state.is_some_and(|state| state.active == ActiveState::Deactivating);
        is_stopping && step.action == Action::Unload && self.leaving.contains_key(&step.unit)
    }

    /// Reports whether a unit can still be expected to leave the machine.
    pub(super) fn may_leave(&self, unit: &UnitName, now: Timestamp) -> bool {
        self.leaving.get(unit).is_none_or(|since| now < *since + LEAVING)
    }

    /// Records the outcomes of a visit's steps. If several steps of one unit failed, the load counts, or else the first of them.
    pub fn conclude(&mut self, steps: &[Step], outcomes: &[Outcome], now: Timestamp) {
        if !steps.is_empty() {
            self.lost = (0, now);
        }
        let failed_loads = steps.iter().zip(outcomes).filter(|(step, outcome)| {
            matches!(step.action, Action::Load { .. }) && matches!(outcome, Outcome::Failed(_))
        });
        let failed_loads: BTreeSet<&UnitName> = failed_loads.map(|(step, _)| &step.unit).collect();
        // A unit whose new file is refused is not unloaded.
        let ended = |step: &Step, outcome: &Outcome| *outcome == Outcome::Done || failed_loads.contains(&step.unit);
        let unended = steps.iter().zip(outcomes).filter(|(step, outcome)| !ended(step, outcome)).map(|(step, _)| step);
        self.record_leaving(unended, now);
        for (step, outcome) in steps.iter().zip(outcomes).filter(|(step, _)| step.action.starts()) {
            match outcome {
                Outcome::Begun => self.restarting.insert(step.unit.clone(), step.clone()),
                _ => self.restarting.remove(&step.unit),
            };
        }
        let mut failed: BTreeMap<&UnitName, (&Step, &str)> = BTreeMap::new();
        for (step, outcome) in steps.iter().zip(outcomes) {
            let counts = matches!(step.action, Action::Load { .. }) || !failed_loads.contains(&step.unit);
            if let Outcome::Failed(said) = outcome
                && counts
            {
                failed.entry(&step.unit).or_insert((step, said));
            }
        }
        // A pull that is tried again may fail again.
        let may_fail = |step: &Step| failed.contains_key(&step.unit) || self.pulls.has(&step.unit);
        for step in steps.iter().filter(|step| !may_fail(step)) {
            self.backoffs.remove(&step.unit);
        }
        for (unit, (step, said)) in failed {
            let times = self.backoffs.get(unit).map_or(0, |backoff| backoff.times).saturating_add(1);
            let backoff = Backoff { step: step.clone(), said: said.to_owned(), times, until: now + delay(times) };
            self.backoffs.insert(unit.clone(), backoff);
        }
    }

    /// Returns those of the steps that start nothing: their units have started already, as of the last observation.
    pub(super) fn needless_starts(&self, steps: &[Step]) -> BTreeSet<UnitName> {
        let state = |unit: &UnitName| {
            let ours = self.units.as_ref().and_then(|units| units.get(unit));
            ours.or_else(|| self.foreign.get(unit))
        };
        let is_unloaded =
            |unit: &UnitName| steps.iter().any(|step| step.action == Action::Unload && step.unit == *unit);
        let starts = steps.iter().filter(|step| matches!(step.action, Action::Start { .. })).map(|step| &step.unit);
        let up = starts.filter(|unit| state(unit).is_some_and(UnitState::is_up) && !is_unloaded(unit));
        up.cloned().collect()
    }

    /// Returns the restarts that have ended since, as of the last observation.
    pub(super) fn take_ended_restarts(&mut self) -> Vec<Step> {
        let Some(units) = &self.units else { return Vec::new() };
        let ended = self.restarting.extract_if(.., |unit, step| !step.action.goes_on(units.get(unit)));
        ended.map(|(_, step)| step).filter(|step| units.get(&step.unit).is_some_and(|unit| unit.launched)).collect()
    }

    /// Reports whether a unit waits because the host refused one of its steps recently.
    pub fn is_backing_off(&self, unit: &UnitName, now: Timestamp) -> bool {
        self.backoffs.get(unit).is_some_and(|backoff| now < backoff.until)
    }

    /// Drops the backoffs of units that need no steps any more, and the pulls that no load needs. A backoff that is over
    /// begins again if the step of its unit is needed and not sent now.
    pub fn update_backoffs(&mut self, needed: &[Step], sent: &[Step], now: Timestamp) {
        let about = |steps: &[Step], unit: &UnitName| steps.iter().any(|step| step.unit == *unit);
        self.backoffs.retain(|unit, _| about(needed, unit));
        for (unit, backoff) in &mut self.backoffs {
            if backoff.until <= now && !about(sent, unit) && !self.pulls.has(unit) {
                backoff.until = now + delay(backoff.times);
            }
        }
        self.pulls.update(needed, sent, now);
    }
}

/// Returns the delay before a step that was refused this many times is tried again.
fn delay(times: u32) -> Duration {
    RETRY.0.saturating_mul(1 << times.clamp(1, 10).saturating_sub(1)).min(RETRY.1)
}
