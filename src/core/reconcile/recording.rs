//! Recording: writes observations and events for the store. This module makes no decisions.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use super::Mode;
use super::Reconciler;
use crate::core::model::Action;
use crate::core::model::DesiredState;
use crate::core::model::Event;
use crate::core::model::EventKind;
use crate::core::model::MachineId;
use crate::core::model::ObservationTimes;
use crate::core::model::Outcome;
use crate::core::model::RECENT;
use crate::core::model::Snapshot;
use crate::core::model::Step;
use crate::core::model::StepEnd;
use crate::core::model::Timestamp;
use crate::core::model::UnitState;
use crate::core::model::Write;
use crate::core::unit::UnitName;

/// How many changed unit states of one machine are recorded after one observation. The rest follows after the next one.
const STATES: usize = 1024;

/// The time between two publications of when the machines were observed. It is shorter than [`RECENT`], so that the
/// records of a leader that goes on are always recent.
const PUBLICATION_INTERVAL: Duration = Duration::from_secs(2);

/// Returns the units of which a snapshot has a state, by the machine that reported it.
pub(super) fn by_machine(snapshot: &Snapshot) -> BTreeMap<MachineId, BTreeSet<UnitName>> {
    let mut noted = BTreeMap::<_, BTreeSet<_>>::new();
    for (unit, states) in &snapshot.states {
        for machine in states.keys() {
            noted.entry(*machine).or_default().insert(unit.clone());
        }
    }
    noted
}

impl Reconciler {
    /// Applies an observation to the snapshot and queues it for the store.
    pub(super) fn note(&mut self, write: Write) {
        match &write {
            Write::State(unit, machine, _) => {
                self.noted.entry(*machine).or_default().insert(unit.clone());
                self.wake_waiting(unit);
            }
            Write::NoState(unit, machine) => {
                self.noted.get_mut(machine).into_iter().for_each(|units| _ = units.remove(unit));
                self.views.touch(*machine).into_iter().for_each(|view| view.is_recorded = false);
                self.wake_waiting(unit);
            }
            _ => {}
        }
        self.snapshot.apply(write.clone());
        self.outbox.push(write);
    }

    /// Lets the steps that wait for a change of this unit on another machine be computed again.
    fn wake_waiting(&mut self, unit: &UnitName) {
        if !self.views.any_waits() {
            return;
        }
        let placed = self.snapshot.placements.get(unit).map(|placement| placement.machine);
        let there = self.snapshot.states.get(unit).into_iter().flat_map(BTreeMap::keys).copied();
        for machine in placed.into_iter().chain(there) {
            self.views.replan_if_waiting(machine);
        }
    }

    /// Records changed and removed units of a machine.
    pub(super) fn note_states(&mut self, machine: MachineId, now: Timestamp) {
        // Nearly always nothing has changed. The search in the records of all units costs far more than the observation.
        let Some(view) = self.views.get(&machine).filter(|view| !view.is_recorded) else { return };
        let Some(units) = &view.units else { return };
        let known = |unit: &UnitName| self.snapshot.states.get(unit).and_then(|states| states.get(&machine));
        let (changed, left): (Vec<_>, Vec<_>) = units
            .iter()
            .filter(|(unit, state)| known(unit) != Some(*state))
            .partition(|(unit, _)| self.is_recorded(unit, machine));
        let changed = changed.into_iter().map(|(unit, state)| Write::State(unit.clone(), machine, state.clone()));
        let noted = self.noted.get(&machine).into_iter().flatten();
        let gone = noted.filter(|unit| !units.contains_key(*unit));
        let gone = gone.map(|unit| Write::NoState(unit.clone(), machine));
        let mut writes: Vec<Write> = changed.chain(gone).collect();
        let is_cut = writes.len() > STATES;
        let is_recorded = left.is_empty() && !is_cut;
        writes.truncate(STATES);
        for write in writes {
            if let Write::State(unit, _, state) = &write {
                self.log_unit_change(machine, unit, state, now);
            }
            self.note(write);
        }
        let Some(view) = self.views.touch(machine) else { return };
        view.is_recorded = is_recorded;
        if is_cut {
            view.next_full_observation = view.next_visit;
        }
    }

    /// Reports whether the state of a unit on a machine is recorded.
    ///
    /// A machine may claim any name. The claim that it has a unit that was never placed there would let the unit wait
    /// elsewhere. A strict unit waits in any case.
    fn is_recorded(&self, unit: &UnitName, machine: MachineId) -> bool {
        let Some(record) = self.snapshot.units.get(unit) else { return self.is_known(unit, machine) };
        let may_be_there = match self.snapshot.placements.get(unit) {
            Some(placement) => placement.machine == machine,
            None => record.desired != DesiredState::Inactive,
        };
        let noted = || self.noted.get(&machine).is_some_and(|units| units.contains(unit));
        may_be_there || self.requirements.is_global(unit) || self.is_strict(unit) || noted()
    }

    /// Returns when the times of the observations are published next. The first visit to each machine comes before.
    pub(super) fn publication(&self) -> Option<Timestamp> {
        self.next_publication.filter(|_| self.mode == Mode::Leading && self.views.unseen().next().is_none())
    }

    /// Publishes when the machines were observed, if that is due.
    pub(super) fn publish(&mut self, now: Timestamp) {
        if self.publication().is_some_and(|at| at <= now) {
            self.next_publication = Some(now + PUBLICATION_INTERVAL);
            self.note(Write::Observed(self.observation_times(now)));
        }
    }

    /// Returns when the machines in scope were observed.
    pub fn observation_times(&self, now: Timestamp) -> ObservationTimes {
        let is_behind = |heard: Option<Timestamp>| heard.is_none_or(|heard| now.since(heard) > RECENT);
        let behind = self.views.iter().filter(|(_, view)| !view.answers() || is_behind(view.heard));
        let last = |machine: MachineId, heard: Option<Timestamp>| heard.or_else(|| self.snapshot.observed_at(machine));
        let behind = behind.map(|(machine, view)| (*machine, last(*machine, view.heard)));
        ObservationTimes { at: now, behind: behind.collect(), continuous: self.is_continuous }
    }

    /// Drops the unit states of machines that have left the cluster.
    pub(super) fn forget_strangers(&mut self) {
        let strangers = self.noted.iter().filter(|(machine, _)| !self.snapshot.machines.contains_key(machine));
        let gone =
            strangers.flat_map(|(machine, units)| units.iter().map(|unit| Write::NoState(unit.clone(), *machine)));
        for write in gone.collect::<Vec<_>>() {
            self.note(write);
        }
    }

    /// Adds an event to the log.
    pub(super) fn log(&mut self, at: Timestamp, machine: Option<MachineId>, unit: Option<&UnitName>, kind: EventKind) {
        self.outbox.push(Write::Log(Event::new(at, machine, unit.cloned(), kind)));
    }

    /// Adds the outcome of a step to the event log.
    pub(super) fn log_outcome(&mut self, at: Timestamp, machine: MachineId, step: &Step, outcome: &Outcome) {
        let overlap = self.overlap(at, machine, step, outcome);
        let end = StepEnd { action: step.action, reason: step.reason, outcome: outcome.clone(), overlap };
        self.log(at, Some(machine), Some(&step.unit), EventKind::StepEnded(end));
    }

    /// Returns for how long at most two copies of a unit ran until this step stopped one: the time since the unit was
    /// placed on its new machine, or since that machine had its image.
    fn overlap(&self, at: Timestamp, machine: MachineId, step: &Step, outcome: &Outcome) -> Option<Duration> {
        if step.action != Action::Unload || !matches!(outcome, Outcome::Done) {
            return None;
        }
        let placement = self.snapshot.placements.get(&step.unit).filter(|placement| placement.machine != machine)?;
        let states = self.snapshot.states.get(&step.unit)?;
        let ran = |machine| states.get(machine).is_some_and(UnitState::runs);
        let pulled = self.views.get(&placement.machine).and_then(|view| view.pulls.ended_at(&step.unit));
        let since = pulled.map_or(placement.since, |pulled| pulled.max(placement.since));
        (ran(&machine) && ran(&placement.machine)).then(|| at.since(since))
    }
}
