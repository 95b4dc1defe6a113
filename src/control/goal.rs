//! The goal of an operation, and whether a unit has reached it.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::problems::Problem;
use crate::core::explain;
use crate::core::explain::Explanation;
use crate::core::explain::TroubleKind;
use crate::core::model::DesiredState;
use crate::core::model::Health;
use crate::core::model::Machine;
use crate::core::model::MachineId;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;
use crate::core::model::Unit;
use crate::core::model::UnitState;
use crate::core::model::Verb;
use crate::core::schedule::RequirementsIndex;
use crate::core::unit::UnitName;

/// Where an operation wants its units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// In the state that a verb asks for.
    Verb(Verb),
    /// Away from a machine, in the state that each unit is desired to have.
    AwayFrom(MachineId),
}

/// Returns the health of a machine, if it is known.
pub(super) type Healths<'a> = &'a dyn Fn(MachineId) -> Option<Health>;

/// The records of a cluster, by which the progress of units is assessed.
pub(super) struct Records<'a> {
    /// The records.
    pub(super) snapshot: &'a Snapshot,
    /// The requirements of their units.
    pub(super) requirements: &'a RequirementsIndex,
    /// The health of the machines.
    pub(super) health: Healths<'a>,
    /// The machines that each global unit belongs on, once they are needed.
    homes: OnceCell<BTreeMap<UnitName, BTreeSet<MachineId>>>,
}

impl<'a> Records<'a> {
    pub(super) const fn new(snapshot: &'a Snapshot, requirements: &'a RequirementsIndex, health: Healths<'a>) -> Self {
        Self { snapshot, requirements, health, homes: OnceCell::new() }
    }

    /// Returns the machines that a global unit belongs on.
    fn homes(&self, name: &UnitName) -> impl Iterator<Item = MachineId> {
        let homes = self.homes.get_or_init(|| explain::homes_of_globals(self.snapshot, self.requirements));
        homes.get(name).into_iter().flatten().copied()
    }

    /// Reports whether a unit belongs on a machine: it is placed there, or it is global and fits.
    pub(super) fn belongs(&self, name: &UnitName, machine: MachineId) -> bool {
        if self.requirements.is_global(name) {
            return self.homes(name).any(|home| home == machine);
        }
        self.snapshot.placements.get(name).is_some_and(|placement| placement.machine == machine)
    }
}

/// How far a global unit is on one of its machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MachineProgress {
    /// It may still reach the goal there.
    Pending,
    /// It has reached the goal there.
    Reached,
    /// It was started there and does not run: it is in this state.
    Failed(UnitState),
    /// It has not reached the goal there, and the machine does not answer: this is its health.
    OutOfReach(Health),
}

/// How far a unit is on its way to the goal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum UnitProgress {
    /// It may still reach the goal.
    Pending,
    /// It has reached the goal.
    Reached,
    /// It was started on this machine and does not run: it is in this state.
    Failed(MachineId, UnitState),
}

impl Goal {
    /// Returns the state in which a unit has reached the goal; `None` if the goal is that the unit is gone.
    pub(super) fn state(self, snapshot: &Snapshot, name: &UnitName) -> Option<DesiredState> {
        match self {
            Self::Verb(verb) => verb.goal(),
            Self::AwayFrom(_) => snapshot.units.get(name).map(|unit| unit.desired),
        }
    }

    /// Reports whether the goal is that units run nowhere.
    pub(super) const fn stops(self) -> bool {
        matches!(self, Self::Verb(Verb::Stop | Verb::Unload | Verb::Destroy))
    }

    fn is_stop(self) -> bool {
        self == Self::Verb(Verb::Stop)
    }

    /// Returns the text for an operator who waits for units. `machine` is the name of the machine that they leave.
    pub(super) fn wait(self, units: &BTreeSet<UnitName>, machine: Option<&str>) -> String {
        let first = units.first().map(ToString::to_string).unwrap_or_default();
        let more = match units.len().saturating_sub(1) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        match self {
            Self::Verb(verb) => format!("{first}{more} to be {}", word(verb)),
            Self::AwayFrom(_) => format!("{first}{more} to leave {}", machine.unwrap_or("the machine")),
        }
    }

    /// Returns the words for a unit that has reached the goal.
    pub(super) fn label(self, snapshot: &Snapshot) -> String {
        match self {
            Self::Verb(verb) => word(verb),
            Self::AwayFrom(machine) => format!("away from {}", snapshot.full_name_of(machine)),
        }
    }

    /// Returns how far a unit is on its way to the goal. A global unit has come as far as on the machine that is furthest
    /// behind, machines out of reach aside.
    pub(super) fn progress_of(self, records: &Records<'_>, name: &UnitName) -> UnitProgress {
        let snapshot = records.snapshot;
        if let Self::AwayFrom(machine) = self
            && is_on(snapshot, name, machine)
        {
            return UnitProgress::Pending;
        }
        let nowhere = !snapshot.placements.contains_key(name) && !snapshot.states.contains_key(name);
        let reached = match (self.state(snapshot, name), snapshot.units.get(name)) {
            (None, unit) => unit.is_none() && nowhere,
            (Some(_), None) => false,
            (Some(DesiredState::Inactive), Some(_)) => nowhere,
            (Some(state), Some(unit)) if records.requirements.is_global(name) => {
                if unit.desired == state {
                    return self.progress_everywhere(records, name);
                }
                false
            }
            // It may fit on no machine, or its machine may pull its image: it is stopped all the same.
            (Some(DesiredState::Loaded), Some(_)) if self.is_stop() && (nowhere || is_pulled(snapshot, name)) => true,
            (Some(DesiredState::Loaded), Some(unit)) => {
                let machine = snapshot.placements.get(name).map(|placement| placement.machine);
                machine.is_some_and(|machine| self.is_loaded(records, (name, unit), machine))
            }
            (Some(DesiredState::Launched), Some(unit)) => {
                let machine = snapshot.placements.get(name).map(|placement| placement.machine);
                return machine.map_or(UnitProgress::Pending, |machine| launched(records, (name, unit), machine));
            }
        };
        if reached { UnitProgress::Reached } else { UnitProgress::Pending }
    }

    fn progress_everywhere(self, records: &Records<'_>, name: &UnitName) -> UnitProgress {
        let mut progress = UnitProgress::Reached;
        for (machine, there) in self.progress_on_machines(records, name) {
            match there {
                MachineProgress::Pending => return UnitProgress::Pending,
                MachineProgress::Failed(state) => progress = UnitProgress::Failed(machine, state),
                MachineProgress::Reached | MachineProgress::OutOfReach(_) => {}
            }
        }
        progress
    }

    /// Returns how far a global unit is on each of its machines; nothing for another unit, if the goal is that it leaves
    /// machines, or if its desired state is not the one of the goal.
    pub(super) fn progress_on_machines(
        self,
        records: &Records<'_>,
        name: &UnitName,
    ) -> Vec<(MachineId, MachineProgress)> {
        let goal = if let Self::Verb(verb) = self { verb.goal() } else { None };
        let unit = records.snapshot.units.get(name).filter(|unit| Some(unit.desired) == goal);
        let Some(unit) = unit.filter(|_| records.requirements.is_global(name)) else { return Vec::new() };
        let progress = |machine| {
            let reached = match goal {
                Some(DesiredState::Launched) => launched(records, (name, unit), machine),
                _ if self.is_loaded(records, (name, unit), machine) => UnitProgress::Reached,
                _ => UnitProgress::Pending,
            };
            let health = (records.health)(machine).filter(|health| !can_be_visited(*health));
            match (reached, health) {
                (UnitProgress::Failed(_, state), None) => MachineProgress::Failed(state),
                (UnitProgress::Reached, _) => MachineProgress::Reached,
                (_, Some(_)) if self.is_as_desired(records.snapshot, (name, unit), machine) => MachineProgress::Reached,
                (_, Some(health)) => MachineProgress::OutOfReach(health),
                (UnitProgress::Pending, None) => MachineProgress::Pending,
            }
        };
        let homes = records.homes(name).filter(|_| goal >= Some(DesiredState::Loaded));
        homes.map(|machine| (machine, progress(machine))).collect()
    }

    /// Returns why an order for a global unit has reached no machine, if it has reached none.
    pub(super) fn untriggered(self, records: &Records<'_>, name: &UnitName) -> Option<&'static str> {
        if !matches!(self, Self::Verb(verb) if verb.goal() >= Some(DesiredState::Loaded)) {
            return None;
        }
        let machines = self.progress_on_machines(records, name);
        let is_reached = machines.iter().any(|(_, progress)| *progress == MachineProgress::Reached);
        match machines.as_slice() {
            [] => Some("it is global, and no machine fits it now"),
            _ if is_reached => None,
            _ => Some("it is global, and none of its machines answers now"),
        }
    }

    /// Reports whether a machine that does not answer was last seen with a unit as it is desired, so that nothing is left to do
    /// there.
    fn is_as_desired(self, snapshot: &Snapshot, (name, unit): (&UnitName, &Unit), machine: MachineId) -> bool {
        let state = snapshot.states.get(name).and_then(|states| states.get(&machine));
        if self == Self::Verb(Verb::Stop) {
            return state.is_none_or(|state| !state.runs());
        }
        let reached = |state: &UnitState| state.reached() == unit.desired && state.restarts >= unit.restarts;
        state.is_some_and(|state| state.hash == unit.hash && reached(state))
    }

    /// Reports whether a unit is on a machine and does not run there. A unit that is stopped must run nowhere else either.
    fn is_loaded(self, records: &Records<'_>, unit: (&UnitName, &Unit), machine: MachineId) -> bool {
        let name = unit.0;
        let must_stop = self == Self::Verb(Verb::Stop);
        let is_global = records.requirements.is_global(name);
        reported(records, unit, machine, DesiredState::Loaded).is_some_and(|state| {
            let may_run = state.runs() || must_stop && !is_global && runs_beside(records.snapshot, name, machine);
            !may_run
        })
    }

    /// Returns the problem of a global unit on a machine that does not answer.
    pub(super) fn out_of_reach(self, name: &UnitName, machine: &Machine, health: Health) -> Problem {
        let Machine { id, name: host, .. } = machine;
        let what = match self {
            Self::Verb(Verb::Stop) => {
                format!("still on {host}, which is {health}: it is stopped there once {host} answers")
            }
            Self::Verb(verb) => {
                format!("not {} on {host}, which is {health}: that follows once {host} answers", word(verb))
            }
            Self::AwayFrom(_) => format!("it may still run on {host}, which is {health}"),
        };
        Problem::of_unit_out_of_reach(name, *id, what)
    }
}

impl Goal {
    /// Returns the problem of a unit that cannot reach the goal before a machine answers that is out of reach. That may
    /// last for good.
    pub(super) fn obstacle(
        self,
        snapshot: &Snapshot,
        health: Healths<'_>,
        unit: &UnitName,
        now: Timestamp,
    ) -> Option<Problem> {
        let problem = self.overruled(snapshot, unit).or_else(|| self.started_by_another(snapshot, unit));
        if let Some(problem) = problem.or_else(|| self.blocked_by_policy(snapshot, health, unit)) {
            return Some(problem);
        }
        let Some((machine, health)) = self.blocked_on(snapshot, health, unit, now) else {
            return self.kept_on_silent(snapshot, health, unit, now);
        };
        let name = &machine.name;
        let what = match self {
            Self::AwayFrom(_) => return Some(Problem::of_copy(snapshot, unit, machine.id, &format!("is {health}"))),
            Self::Verb(Verb::Submit | Verb::Load | Verb::Start | Verb::Restart) => {
                format!("placed on {name}, which is {health}, and fits on no other machine")
            }
            Self::Verb(Verb::Stop | Verb::Unload | Verb::Destroy) => {
                format!("still on {name}, which is {health}: it is unloaded there as soon as {name} answers")
            }
        };
        Some(Problem::of_unit_out_of_reach(unit, machine.id, what))
    }

    /// Returns the problem of a unit whose desired state another command has changed since this one stored it.
    fn overruled(self, snapshot: &Snapshot, name: &UnitName) -> Option<Problem> {
        let Self::Verb(verb) = self else { return None };
        let desired = snapshot.units.get(name).map(|unit| unit.desired);
        let change = match desired {
            _ if desired == verb.goal() => return None,
            None => "destroyed it".to_owned(),
            Some(DesiredState::Launched) => "started it".to_owned(),
            Some(DesiredState::Loaded) if verb.goal() == Some(DesiredState::Launched) => "stopped it".to_owned(),
            Some(DesiredState::Loaded) => "loaded it".to_owned(),
            Some(DesiredState::Inactive) if verb.goal().is_none() => "submitted it again".to_owned(),
            Some(DesiredState::Inactive) => "unloaded it".to_owned(),
        };
        let what = format!("another command has {change} meanwhile, so it is not {}", word(verb));
        Some(Problem::of_unit(TroubleKind::Overruled, name, None, what))
    }

    /// Returns the problem of a unit that should not run, and that runs although muster has not started it.
    fn started_by_another(self, snapshot: &Snapshot, name: &UnitName) -> Option<Problem> {
        if !matches!(self, Self::Verb(Verb::Stop | Verb::Load)) {
            return None;
        }
        let unit = snapshot.units.get(name).filter(|unit| unit.desired == DesiredState::Loaded)?;
        let is_pulled = |state: &UnitState| state.hash == unit.hash && !state.launched && state.runs();
        let states = snapshot.states.get(name)?;
        let (machine, _) = states.iter().find(|(_, state)| is_pulled(state) && !state.is_changing())?;
        let host = snapshot.full_name_of(*machine);
        let what = format!(
            "still runs on {host}: another unit has started it (a timer, a socket, `Wants=`). Stop that unit too; \
             `muster exec --become {host} -- systemctl stop {}` stops this one until another unit starts it",
            name.of_systemd()
        );
        Some(Problem::of_unit(TroubleKind::StartedByAnother, name, Some(*machine), what))
    }

    /// Reports whether the goal needs a machine for each unit.
    pub(super) fn needs_machine(self) -> bool {
        matches!(self, Self::Verb(verb) if verb != Verb::Stop && verb.goal() >= Some(DesiredState::Loaded))
    }

    /// Reports whether a problem keeps one of these units from the goal. A unit that is to run on its machine does so whatever
    /// becomes of machines on which it was before.
    pub(super) fn is_concerned(self, records: &Records<'_>, units: &BTreeSet<UnitName>, problem: &Problem) -> bool {
        if problem.kind == TroubleKind::Unschedulable && self == Self::Verb(Verb::Stop) {
            return false;
        }
        let Some(machine) = problem.machine else { return true };
        let needs = |unit: &UnitName| self.needs(records, unit, machine);
        match &problem.unit {
            None => problem.kind != TroubleKind::MachineUnavailable || units.iter().any(needs),
            Some(unit) => problem.kind != TroubleKind::StepFailed || needs(unit),
        }
    }

    /// Reports whether a machine has a part in bringing a unit to the goal. A unit that has no place yet may need any machine.
    pub(super) fn needs(self, records: &Records<'_>, unit: &UnitName, machine: MachineId) -> bool {
        let starts = self.state(records.snapshot, unit) >= Some(DesiredState::Loaded);
        let is_left = self == Self::AwayFrom(machine);
        let has_place = records.snapshot.placements.contains_key(unit) || records.requirements.is_global(unit);
        let must_stop = self == Self::Verb(Verb::Stop);
        !starts || is_left || must_stop || !has_place || records.belongs(unit, machine)
    }

    /// Returns the problem of a unit on a machine that does not answer and whose failover the failover policy blocks: the
    /// unit neither reaches the goal there nor moves.
    fn blocked_by_policy(self, snapshot: &Snapshot, health: Healths<'_>, unit: &UnitName) -> Option<Problem> {
        let own = snapshot.machines.get(&snapshot.placements.get(unit)?.machine)?;
        let block = snapshot.health.get(&own.id)?.reason.block.as_ref()?;
        health(own.id).filter(|health| !can_be_visited(*health))?;
        let name = &own.name;
        let remedy = match self {
            Self::Verb(Verb::Submit | Verb::Load | Verb::Start | Verb::Restart) => {
                format!(" (`muster failover --force {name}` moves its units all the same)")
            }
            Self::Verb(_) => format!("; the order is carried out as soon as {name} answers"),
            Self::AwayFrom(_) => return None,
        };
        let what = format!("placed on {name}, which does not answer: {block}{remedy}");
        Some(Problem::of_unit_out_of_reach(unit, own.id, what))
    }

    /// Returns the problem of a unit whose machine does not answer and may be up. No leader moves the unit off such a machine,
    /// unless an operator orders it. A unit that is to stop may run on its machine even if it moves.
    fn kept_on_silent(
        self,
        snapshot: &Snapshot,
        health: Healths<'_>,
        unit: &UnitName,
        now: Timestamp,
    ) -> Option<Problem> {
        let own = snapshot.machines.get(&snapshot.placements.get(unit)?.machine)?;
        let is_ordered = snapshot.failover_overrides.get(&own.id).is_some_and(|order| now < order.until);
        let may_move = match health(own.id)? {
            Health::Down => true,
            // A strict unit moves when the lease of its machine has ended.
            Health::SshdDown | Health::Throttled => explain::is_strict(snapshot, unit),
            _ => false,
        };
        let is_stopped = self == Self::Verb(Verb::Stop);
        let may_move = (may_move || own.draining || is_ordered) && !is_stopped;
        let needs_machine = matches!(self, Self::Verb(verb) if verb.goal() >= Some(DesiredState::Loaded));
        self.unanswered(snapshot, health, unit).filter(|_| needs_machine && !may_move)
    }

    /// Returns the problem of a unit whose machine does not answer. A command by itself moves no unit off such a machine.
    pub(super) fn unanswered(self, snapshot: &Snapshot, health: Healths<'_>, unit: &UnitName) -> Option<Problem> {
        let own = snapshot.machines.get(&snapshot.placements.get(unit)?.machine)?;
        let health = health(own.id).filter(|health| !can_be_visited(*health))?;
        let name = &own.name;
        let then = match self {
            Self::Verb(Verb::Submit | Verb::Load | Verb::Start | Verb::Restart) if health == Health::Down => {
                "a controller or the next sweep moves it if that lasts".to_owned()
            }
            // The host of such a machine may be up, so its units stay.
            Self::Verb(Verb::Submit | Verb::Load | Verb::Start | Verb::Restart) => {
                format!(
                    "it stays there until {name} answers (`muster failover --force {name}` moves the units of {name})"
                )
            }
            Self::Verb(_) => "the order is carried out once it answers".to_owned(),
            Self::AwayFrom(_) => return None,
        };
        let what = format!("placed on {name}, which is {health}: {then}");
        Some(Problem::of_unit_out_of_reach(unit, own.id, what))
    }

    /// Returns the problem of a unit that has not reached the goal when the time of its command is over.
    pub(super) fn timed_out(self, snapshot: &Snapshot, unit: &UnitName, why: Option<String>) -> Problem {
        let why = why.or_else(|| still_changing(snapshot, unit));
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        let what = format!("timed out waiting for it to be {}{why}", self.label(snapshot));
        Problem::of_unit(TroubleKind::TimedOut, unit, None, what)
    }

    /// Returns a machine that is out of reach, if the unit cannot reach the goal before that machine answers: the machine
    /// was the last to report the unit, and no other machine has it.
    fn blocked_on<'a>(
        self,
        snapshot: &'a Snapshot,
        health: Healths<'_>,
        name: &UnitName,
        now: Timestamp,
    ) -> Option<(&'a Machine, Health)> {
        let out_of_reach = |machine: MachineId| {
            snapshot.machines.get(&machine).zip(health(machine).filter(|health| !can_be_visited(*health)))
        };
        match self {
            // The controller still has to place the unit elsewhere: it does so once the machine is down.
            Self::AwayFrom(machine) => {
                let placed = snapshot.placements.get(name).is_some_and(|placement| placement.machine == machine);
                let moves = |health| placed && health == Health::Down;
                out_of_reach(machine).filter(|(_, health)| is_on(snapshot, name, machine) && !moves(*health))
            }
            Self::Verb(verb) if matches!(verb.goal(), None | Some(DesiredState::Inactive)) => {
                let mut reporters = snapshot.states.get(name).into_iter().flatten().map(|(machine, _)| *machine);
                let first = reporters.next().and_then(out_of_reach);
                first.filter(|_| reporters.all(|machine| out_of_reach(machine).is_some()))
            }
            // The copy that the unit's own machine has is stopped, or will be. Others may run on.
            Self::Verb(Verb::Stop) => {
                let own = snapshot.placements.get(name).map(|placement| placement.machine);
                let mut beside = running_on(snapshot, name).filter(|machine| Some(*machine) != own);
                let first = beside.next().and_then(out_of_reach);
                first.filter(|_| beside.all(|machine| out_of_reach(machine).is_some()))
            }
            Self::Verb(_) => {
                let own = snapshot.placements.get(name)?.machine;
                let is_stuck = |why: Explanation| why.fits_nowhere_else().is_some();
                out_of_reach(own).filter(|_| explain::explain(snapshot, name, now).is_some_and(is_stuck))
            }
        }
    }
}

/// Returns the word for a unit that has reached the goal of a verb.
fn word(verb: Verb) -> String {
    match verb {
        Verb::Stop => "stopped".to_owned(),
        Verb::Unload => "unloaded".to_owned(),
        verb => verb.goal().map_or_else(|| "destroyed".to_owned(), |state| state.to_string()),
    }
}

/// Says in which state a unit still is that systemd is starting or stopping.
fn still_changing(snapshot: &Snapshot, name: &UnitName) -> Option<String> {
    let (machine, state) = snapshot.states.get(name)?.iter().find(|(_, state)| state.is_changing())?;
    Some(format!("still {state} on {}", snapshot.full_name_of(*machine)))
}

/// Reports whether the machine of a unit pulls the image of the unit, and no machine has the unit.
fn is_pulled(snapshot: &Snapshot, name: &UnitName) -> bool {
    let pulls = snapshot.placements.get(name).is_some_and(|placement| placement.pull.is_some());
    pulls && !snapshot.states.contains_key(name)
}

/// Returns the machines that have reported last that a unit runs there.
fn running_on(snapshot: &Snapshot, name: &UnitName) -> impl Iterator<Item = MachineId> {
    let states = snapshot.states.get(name).into_iter().flatten();
    states.filter(|(_, state)| state.runs()).map(|(machine, _)| *machine)
}

/// Reports whether a unit may run on another machine than this one.
fn runs_beside(snapshot: &Snapshot, name: &UnitName, machine: MachineId) -> bool {
    running_on(snapshot, name).any(|other| other != machine)
}

/// Returns the health of machines as it is recorded.
pub(super) fn recorded_health(snapshot: &Snapshot) -> impl Fn(MachineId) -> Option<Health> {
    |machine| snapshot.health.get(&machine).map(|record| record.health)
}

/// Reports whether muster visits machines of this health, or may do so in a moment.
const fn can_be_visited(health: Health) -> bool {
    matches!(health, Health::Alive | Health::Suspect | Health::PathFault)
}

/// Reports whether a unit is placed on a machine or was last reported by it.
pub(super) fn is_on(snapshot: &Snapshot, name: &UnitName, machine: MachineId) -> bool {
    let placed = snapshot.placements.get(name).is_some_and(|placement| placement.machine == machine);
    placed || snapshot.states.get(name).is_some_and(|states| states.contains_key(&machine))
}

/// Returns how far a unit is that is to be launched on a machine.
fn launched(records: &Records<'_>, (name, unit): (&UnitName, &Unit), machine: MachineId) -> UnitProgress {
    let oneshot = records.snapshot.file(name).is_some_and(|file| file.is_oneshot());
    match reported(records, (name, unit), machine, DesiredState::Launched) {
        Some(state) if state.restarts < unit.restarts || state.is_changing() => UnitProgress::Pending,
        Some(state) if state.is_well(oneshot) => UnitProgress::Reached,
        Some(state) => UnitProgress::Failed(machine, state.clone()),
        None => UnitProgress::Pending,
    }
}

/// Returns a machine's report about a unit, if it reports the unit in this state with its current file. The last report of a
/// machine that does not answer says nothing about now.
fn reported<'a>(
    records: &Records<'a>,
    (name, unit): (&UnitName, &Unit),
    machine: MachineId,
    state: DesiredState,
) -> Option<&'a UnitState> {
    if (records.health)(machine).is_some_and(|health| !matches!(health, Health::Alive | Health::PathFault)) {
        return None;
    }
    let reported = records.snapshot.states.get(name)?.get(&machine)?;
    (reported.hash == unit.hash && reported.reached() == state).then_some(reported)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::ActiveState;
    use crate::core::model::LoadState;
    use crate::core::unit::Hash;

    #[test]
    fn a_timeout_says_that_the_unit_is_still_starting() {
        let (unit, id): (UnitName, _) = ("slow.service".parse().unwrap(), MachineId::from_bits(1));
        let mut snapshot = Snapshot::default();
        snapshot.machines.insert(id, Machine { id, name: "core-01".to_owned(), ..Machine::default() });
        let (load, active, sub) = (LoadState::Loaded, ActiveState::Activating, "start".parse().unwrap());
        let hash = Hash::of(b"");
        let state = UnitState { load, active, sub, job: None, hash, launched: true, restarts: 0, restarted: false };
        snapshot.states.entry(unit.clone()).or_default().insert(id, state);
        let problem = Goal::Verb(Verb::Start).timed_out(&snapshot, &unit, None);
        let expected =
            "Unit slow.service: timed out waiting for it to be launched: still activating (start) on core-01";
        assert_eq!(problem.to_string(), expected);
    }
}
