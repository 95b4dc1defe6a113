//! The explanation of a unit: its desired state, its placement with the reason, the filter reasons of the other machines,
//! and why it does not run. It is made from the records in the store; nothing is decided here.

mod not_running;
mod refusals;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

pub use not_running::NotRunning;
pub use not_running::TroubleKind;

use crate::core::model::ActiveState;
use crate::core::model::DesiredState;
use crate::core::model::FAILED_LOADS;
use crate::core::model::FilterReason;
use crate::core::model::FilterSummary;
use crate::core::model::Grant;
use crate::core::model::Health;
use crate::core::model::Machine;
use crate::core::model::MachineId;
use crate::core::model::PULL_LIMIT;
use crate::core::model::Placement;
use crate::core::model::PlacementError;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;
use crate::core::model::UnitState;
use crate::core::schedule::RequirementsIndex;
use crate::core::schedule::Schedulability;
use crate::core::schedule::Scheduler;
use crate::core::schedule::full_machines;
use crate::core::unit::Class;
use crate::core::unit::Hash;
use crate::core::unit::ImagePull;
use crate::core::unit::UnitName;
use crate::core::unit::UnitType;
use crate::core::unit::needed_quadlets;

/// The explanation of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The desired state.
    pub desired: DesiredState,
    /// The hash of its file.
    pub hash: Hash,
    /// Its class, if its file has a valid one.
    pub class: Option<Class>,
    /// Set if it is global, which has no placement.
    pub global: bool,
    /// Its placement.
    pub placement: Option<Placement>,
    /// The last reported state on each machine.
    pub states: Vec<(MachineId, UnitState)>,
    /// Why no machine takes it, if it needs a placement and has none.
    pub placement_error: Option<PlacementError>,
    /// The filter reasons of each machine that it is not on; none for a machine that fits.
    pub filter_reasons: Vec<(MachineId, Vec<FilterReason>)>,
    /// Why it does not run: at most one reason, or one for each machine if it is global.
    pub not_running: Vec<NotRunning>,
}

impl Explanation {
    /// Returns why the unit fits on no other machine than its own; `None` if it fits on one, or may fit on one that is only
    /// suspect and may answer in a moment. A global unit has no other machine.
    pub fn fits_nowhere_else(&self) -> Option<PlacementError> {
        let excludes = |reason: &&FilterReason| {
            !matches!(
                reason,
                FilterReason::Health(Health::Suspect) | FilterReason::LoadFailed(_) | FilterReason::LoadsFailed(_)
            )
        };
        let reasons = self.filter_reasons.iter().map(|(_, reasons)| reasons.iter().find(excludes).cloned());
        let reasons: Option<FilterSummary> = reasons.collect();
        reasons.filter(|_| !self.global).map(PlacementError::Unschedulable)
    }
}

/// Returns the silent machines on which a strict unit may still run, each with the time when it has certainly stopped.
pub fn may_still_run(snapshot: &Snapshot, name: &UnitName) -> BTreeMap<MachineId, Timestamp> {
    let placed = snapshot.placements.get(name).map(|placement| placement.machine);
    let observed = snapshot.states.get(name).into_iter().flatten().map(|(machine, _)| *machine);
    // The states of a machine that answers again are newer than the bound.
    let answers = |machine| snapshot.health.get(&machine).is_some_and(|record| record.health == Health::Alive);
    let may_run = |grant: &&Grant| grant.may_run(name, true);
    let grant = |machine| snapshot.leases.get(&machine).filter(may_run).filter(|_| !answers(machine));
    let stopped_for_sure_at = |machine| Some((machine, grant(machine)?.stopped_for_sure_at?));
    if is_strict(snapshot, name) {
        placed.into_iter().chain(observed).filter_map(stopped_for_sure_at).collect()
    } else {
        BTreeMap::new()
    }
}

/// Returns the leases under which a strict unit may run and whose bound is longer because the systemd of the machine is
/// slow.
pub fn slow_leases<'a>(snapshot: &'a Snapshot, name: &UnitName) -> impl Iterator<Item = (MachineId, &'a Grant)> {
    let slow = |grant: &Grant| !grant.slack.is_zero() && grant.units.contains(name);
    snapshot.leases.iter().filter(move |(_, grant)| slow(grant)).map(|(machine, grant)| (*machine, grant))
}

/// Reports whether a unit that was submitted may run only while its machine holds a lease.
pub fn is_strict(snapshot: &Snapshot, name: &UnitName) -> bool {
    snapshot.file(name).is_some_and(|file| Class::binding(file) == Class::Strict)
}

/// Explains a unit; `None` if it was not submitted.
pub fn explain(snapshot: &Snapshot, name: &UnitName, now: Timestamp) -> Option<Explanation> {
    let unit = *snapshot.units.get(name)?;
    let requirements = RequirementsIndex::of(snapshot);
    let mut scheduler = Scheduler::new(snapshot, schedulability(snapshot, now), &requirements);
    let global = requirements.is_global(name);
    let placement = snapshot.placements.get(name).cloned();
    let filter_reasons =
        if global { Vec::new() } else { filter_reasons(&mut scheduler, name, unit.hash, placement.as_ref()) };
    let needs_placement = unit.desired != DesiredState::Inactive && placement.is_none() && !global;
    let placement_error = needs_placement.then(|| scheduler.schedule(name).err()).flatten();
    let states = snapshot.states.get(name).into_iter().flatten().map(|(id, state)| (*id, state.clone())).collect();
    let not_running = if global {
        global_not_running(snapshot, &scheduler, name, now).into_iter().map(|(_, reason)| reason).collect()
    } else {
        not_running(snapshot, name, now, || placement_error.clone()).into_iter().collect()
    };
    let class = snapshot.file(name).and_then(|file| Class::of(file).ok());
    let (desired, hash) = (unit.desired, unit.hash);
    Some(Explanation { desired, hash, class, global, placement, states, placement_error, filter_reasons, not_running })
}

/// Returns the filter reasons of each machine that a unit is not on, with the failed loads of its file there.
fn filter_reasons(
    scheduler: &mut Scheduler<'_>,
    name: &UnitName,
    hash: Hash,
    placement: Option<&Placement>,
) -> Vec<(MachineId, Vec<FilterReason>)> {
    let loads = placement.into_iter().flat_map(|placement| &placement.failed_loads);
    let loads: Vec<_> = loads.filter(|it| it.hash == hash).collect();
    for load in &loads {
        scheduler.exclude(name, load.machine, FilterReason::LoadFailed(load.said.clone()));
    }
    let mut reasons = scheduler.filter_reasons(name);
    for (_, reasons) in reasons.iter_mut().filter(|(_, reasons)| reasons.is_empty() && loads.len() >= FAILED_LOADS) {
        reasons.push(FilterReason::LoadsFailed(loads.len()));
    }
    reasons
}

/// Returns the launched units that do not run, each with its machine and the reason. A global unit is named once for each
/// machine; a machine that cannot be managed is left out for it.
pub fn units_not_running(snapshot: &Snapshot, now: Timestamp) -> Vec<(&UnitName, Option<MachineId>, NotRunning)> {
    let requirements = RequirementsIndex::of(snapshot);
    let mut scheduler = Scheduler::new(snapshot, schedulability(snapshot, now), &requirements);
    let launched = snapshot.units.iter().filter(|(_, unit)| unit.desired == DesiredState::Launched);
    let mut units = Vec::new();
    for (name, _) in launched {
        if requirements.is_global(name) {
            let reasons = global_not_running(snapshot, &scheduler, name, now).into_iter();
            units.extend(reasons.map(|(machine, reason)| (name, Some(machine), reason)));
        } else if let Some(reason) = not_running(snapshot, name, now, || scheduler.schedule(name).err()) {
            units.push((name, snapshot.placements.get(name).map(|placement| placement.machine), reason));
        }
    }
    units
}

/// Returns those of the units that need a machine and fit on none, each with the reason. They are scheduled together, as
/// a leader schedules them: a unit may fit only where another one of them is.
pub fn unplaceable<'a>(
    snapshot: &Snapshot,
    requirements: &RequirementsIndex,
    units: impl IntoIterator<Item = &'a UnitName>,
    now: Timestamp,
) -> Vec<(UnitName, PlacementError)> {
    let needs_machine = |name: &&UnitName| {
        let is_wanted = snapshot.units.get(*name).is_some_and(|unit| unit.desired != DesiredState::Inactive);
        is_wanted && !snapshot.placements.contains_key(*name) && !requirements.is_global(name)
    };
    let units: Vec<&UnitName> = units.into_iter().filter(needs_machine).collect();
    if units.is_empty() {
        return Vec::new();
    }
    let mut scheduler = Scheduler::new(snapshot, schedulability(snapshot, now), requirements);
    let choices = scheduler.schedule_all(units).into_iter();
    choices.filter_map(|(unit, choice)| Some((unit.clone(), choice.err()?))).collect()
}

/// Returns the machines that fit a unit and take units now.
pub fn fitting_machines(snapshot: &Snapshot, name: &UnitName, now: Timestamp) -> BTreeSet<MachineId> {
    let requirements = RequirementsIndex::of(snapshot);
    let mut scheduler = Scheduler::new(snapshot, schedulability(snapshot, now), &requirements);
    if requirements.is_global(name) {
        let fits = |machine: &MachineId| scheduler.globals_on(*machine).any(|global| global == name);
        return snapshot.machines.keys().copied().filter(fits).collect();
    }
    // Its own place is no reason against a machine.
    scheduler.remove(name);
    let fits = |machine: &MachineId| scheduler.filter_reason(name, *machine).is_none();
    snapshot.machines.keys().copied().filter(fits).collect()
}

/// Returns the machines that each global unit belongs on.
pub fn homes_of_globals(
    snapshot: &Snapshot,
    requirements: &RequirementsIndex,
) -> BTreeMap<UnitName, BTreeSet<MachineId>> {
    // Whether a machine takes new units does not matter to global ones.
    let scheduler = Scheduler::new(snapshot, |_| Health::Alive, requirements);
    let mut homes = BTreeMap::<_, BTreeSet<_>>::new();
    for machine in snapshot.machines.keys() {
        for unit in scheduler.globals_on(*machine) {
            homes.entry(unit.clone()).or_default().insert(*machine);
        }
    }
    homes
}

/// Returns why a global unit does not run on the machines that it fits, with the machines. A machine that cannot be managed
/// is left out: its health says enough.
fn global_not_running(
    snapshot: &Snapshot,
    scheduler: &Scheduler<'_>,
    name: &UnitName,
    now: Timestamp,
) -> Vec<(MachineId, NotRunning)> {
    if snapshot.units.get(name).is_none_or(|unit| unit.desired != DesiredState::Launched) {
        return Vec::new();
    }
    let fits = |machine: &&Machine| scheduler.globals_on(machine.id).any(|global| global == name);
    let is_taken = |machine: &Machine| {
        let foreign = snapshot.foreign.get(&machine.id);
        foreign.is_some_and(|foreign| foreign.left_alone_by(machine).any(|unit| name.of_systemd() == unit.as_str()))
    };
    let reason = |machine: &Machine| {
        let reason = match not_running_on(snapshot, name, machine, now)? {
            NotRunning::NotOnMachineYet(host) if is_taken(machine) => NotRunning::NameTaken(host),
            NotRunning::NotOnMachineYet(host) => NotRunning::GlobalNotThere(host),
            reason => reason,
        };
        (!matches!(reason, NotRunning::MachineUnavailable { .. })).then_some((machine.id, reason))
    };
    snapshot.machines.values().filter(fits).filter_map(reason).collect()
}

/// Returns whether each machine takes units, as the leader's records tell. A leader decides by the same reasons.
fn schedulability(snapshot: &Snapshot, now: Timestamp) -> impl Fn(MachineId) -> Schedulability {
    let full = full_machines(snapshot, now);
    move |machine| match health(snapshot, machine) {
        Health::Alive if full.contains_key(&machine) => Schedulability::Full,
        health => match snapshot.health.get(&machine).and_then(|record| record.held_down(now)) {
            Some((hold_down, _)) => Schedulability::Flapping(hold_down.outages),
            None => health.into(),
        },
    }
}

/// Returns why each machine that is alive takes no new units for a while, and until when.
pub fn exclusions(snapshot: &Snapshot, now: Timestamp) -> impl Fn(MachineId) -> Option<(FilterReason, Timestamp)> {
    let full = full_machines(snapshot, now);
    move |machine| {
        if health(snapshot, machine) != Health::Alive {
            return None;
        }
        if let Some(until) = full.get(&machine) {
            return Some((FilterReason::Full, *until));
        }
        let (hold_down, until) = snapshot.health.get(&machine)?.held_down(now)?;
        Some((FilterReason::Flapping(hold_down.outages), until))
    }
}

/// Returns the health of a machine. A machine without a record counts as alive.
fn health(snapshot: &Snapshot, machine: MachineId) -> Health {
    snapshot.health.get(&machine).map_or(Health::Alive, |health| health.health)
}

/// Returns why a unit that is not global does not run, if it does not.
fn not_running(
    snapshot: &Snapshot,
    name: &UnitName,
    now: Timestamp,
    placement_error: impl FnOnce() -> Option<PlacementError>,
) -> Option<NotRunning> {
    let unit = snapshot.units.get(name)?;
    if unit.desired != DesiredState::Launched {
        // Another unit may have started it: a timer, a socket, `Wants=`.
        let mut states = snapshot.states.get(name).into_iter().flat_map(BTreeMap::values);
        return (!states.any(UnitState::runs)).then_some(NotRunning::NotDesired(unit.desired));
    }
    if !snapshot.is_readable(name) {
        return Some(NotRunning::Unreadable);
    }
    let Some(placement) = snapshot.placements.get(name) else {
        return Some(placement_error().map_or(NotRunning::NotPlacedYet, NotRunning::Unschedulable));
    };
    let Some(machine) = snapshot.machines.get(&placement.machine) else {
        return Some(NotRunning::MachineLeft(placement.machine));
    };
    let reason = not_running_on(snapshot, name, machine, now)?;
    // Units leave a machine that is down, unless the failover policy blocks that.
    let is_left = matches!(
        &reason,
        NotRunning::MachineUnavailable { health: Health::Down, reason, .. } if reason.block.is_none()
    );
    let stays = if is_left { placement_error() } else { None };
    Some(stays.map_or(reason, NotRunning::Unschedulable))
}

/// Returns why a launched unit does not run on a machine that it belongs on, if it does not.
fn not_running_on(snapshot: &Snapshot, name: &UnitName, machine: &Machine, now: Timestamp) -> Option<NotRunning> {
    let unit = snapshot.units.get(name)?;
    if let Some(wait) = lease_wait(snapshot, name, machine.id) {
        return Some(wait);
    }
    if let Some(health) = snapshot.health.get(&machine.id).filter(|health| health.health > Health::PathFault) {
        let (health, reason) = (health.health, Box::new(health.reason.clone()));
        return Some(NotRunning::MachineUnavailable { name: machine.name.clone(), health, reason });
    }
    let state = snapshot.states.get(name).and_then(|states| states.get(&machine.id));
    if let Some(said) = failed_load(snapshot, name, machine.id, state) {
        let runs_earlier = state.is_some_and(UnitState::runs);
        return Some(NotRunning::LoadFailed { name: machine.name.clone(), said, runs_earlier });
    }
    if let Some(pull) = pulling(snapshot, name, now).filter(|_| is_placed_on(snapshot, name, machine.id)) {
        return Some(pull);
    }
    if !state.is_some_and(|state| state.has_loaded(unit.hash))
        && let Some(other) = awaited(snapshot, name, machine.id)
    {
        return Some(NotRunning::AwaitsUnit { name: machine.name.clone(), other });
    }
    let Some(state) = state else { return Some(not_there(snapshot, name, machine)) };
    let oneshot = snapshot.file(name).is_some_and(|file| file.is_oneshot());
    if is_strict(snapshot, name)
        && let Some(reason) = without_lease(snapshot, machine, state, oneshot, now)
    {
        return Some(reason);
    }
    if state.hash != unit.hash {
        return Some(NotRunning::OutdatedFile(state.hash));
    }
    if !state.launched
        && let Some(other) = runs_elsewhere(snapshot, name, machine.id)
    {
        return Some(NotRunning::StopsElsewhere(snapshot.name_of(other)));
    }
    if !state.is_well(oneshot) {
        return Some(NotRunning::NotActive { name: machine.name.clone(), state: state.clone() });
    }
    let (job, state) = failed_job(snapshot, name, machine.id)?;
    Some(NotRunning::JobFailed { name: machine.name.clone(), job, state: state.clone() })
}

/// Returns why a strict unit on a machine that answers waits for a lease there, if it does.
fn without_lease(
    snapshot: &Snapshot,
    machine: &Machine,
    state: &UnitState,
    oneshot: bool,
    now: Timestamp,
) -> Option<NotRunning> {
    let has_stopped = !state.runs() && state.active != ActiveState::Failed && !state.is_well(oneshot);
    match snapshot.leases.get(&machine.id) {
        None if has_stopped || !state.launched => Some(NotRunning::NoLease(machine.name.clone())),
        Some(_) if has_stopped && state.launched => lease_end(snapshot, machine, now),
        _ => None,
    }
}

/// Returns the reason of a strict unit whose machine answers and has no lease any more.
fn lease_end(snapshot: &Snapshot, machine: &Machine, now: Timestamp) -> Option<NotRunning> {
    let at = snapshot.leases.get(&machine.id)?.until.filter(|until| *until <= now)?;
    Some(NotRunning::LeaseEnded { name: machine.name.clone(), at })
}

/// Returns why a launched strict unit does not run any more, whatever its last report says: the lease of its machine has
/// ended.
pub fn ended_lease(snapshot: &Snapshot, name: &UnitName, now: Timestamp) -> Option<NotRunning> {
    let machine = snapshot.machines.get(&snapshot.placements.get(name)?.machine)?;
    let is_launched = snapshot.units.get(name)?.desired == DesiredState::Launched;
    lease_end(snapshot, machine, now).filter(|_| is_launched && is_strict(snapshot, name))
}

/// Returns that the machine of a unit pulls the image that the unit needs, and for how long, if it does.
pub fn pulling(snapshot: &Snapshot, name: &UnitName, now: Timestamp) -> Option<NotRunning> {
    let (unit, placement) = (snapshot.units.get(name)?, snapshot.placements.get(name)?);
    let pull = placement.pull.filter(|pull| pull.hash == unit.hash && now < pull.since + PULL_LIMIT)?;
    let image = ImagePull::of(name, snapshot.file(name)?)?.image;
    let runs = snapshot.states.get(name).and_then(|states| states.iter().find(|(_, state)| state.runs()));
    let runs = runs.map(|(machine, _)| snapshot.name_of(*machine));
    Some(NotRunning::Pulling {
        name: snapshot.name_of(placement.machine),
        image,
        time: Some(now.since(pull.since)),
        runs,
    })
}

fn is_placed_on(snapshot: &Snapshot, name: &UnitName, machine: MachineId) -> bool {
    snapshot.placements.get(name).is_some_and(|placement| placement.machine == machine)
}

/// Returns a Quadlet file that a unit names and that is placed on the same machine, if the machine has not loaded it yet.
fn awaited(snapshot: &Snapshot, name: &UnitName, machine: MachineId) -> Option<UnitName> {
    let needed = needed_quadlets(snapshot.file(name).filter(|_| name.is_quadlet())?);
    let is_loaded = |other: &UnitName| {
        let state = snapshot.states.get(other).and_then(|states| states.get(&machine));
        state.zip(snapshot.units.get(other)).is_some_and(|(state, unit)| state.has_loaded(unit.hash))
    };
    needed.into_iter().find(|other| is_placed_on(snapshot, other, machine) && !is_loaded(other))
}

/// Returns the reason of a unit that its machine does not report.
fn not_there(snapshot: &Snapshot, name: &UnitName, machine: &Machine) -> NotRunning {
    let placed = machine.name.clone();
    let is_placed = is_placed_on(snapshot, name, machine.id);
    match runs_elsewhere(snapshot, name, machine.id).filter(|_| is_placed) {
        Some(other) => NotRunning::RunsElsewhere { runs: snapshot.name_of(other), placed },
        None => NotRunning::NotOnMachineYet(placed),
    }
}

/// Returns what a machine said when it could not load the present file of a unit, unless it has loaded the file since.
fn failed_load(snapshot: &Snapshot, name: &UnitName, machine: MachineId, state: Option<&UnitState>) -> Option<String> {
    let hash = snapshot.units.get(name)?.hash;
    if state.is_some_and(|state| state.has_loaded(hash)) {
        return None;
    }
    let loads = &snapshot.placements.get(name)?.failed_loads;
    Some(loads.iter().find(|it| (it.machine, it.hash) == (machine, hash))?.said.clone())
}

/// Returns the unit that a timer starts on a machine, if that unit has failed there. A unit that is to run by itself has a
/// reason of its own.
pub fn failed_job<'a>(
    snapshot: &'a Snapshot,
    timer: &UnitName,
    machine: MachineId,
) -> Option<(UnitName, &'a UnitState)> {
    if timer.kind() != UnitType::Timer {
        return None;
    }
    let named = snapshot.file(timer)?.values("Timer", "Unit").next_back();
    let job: UnitName = named.map_or_else(|| format!("{}.service", timer.stem()), str::to_owned).parse().ok()?;
    let job = snapshot.unit_of_service(&job);
    if snapshot.units.get(&job).is_none_or(|unit| unit.desired == DesiredState::Launched) {
        return None;
    }
    let state = snapshot.states.get(&job)?.get(&machine)?;
    (state.active == ActiveState::Failed || state.is_restarting()).then_some((job, state))
}

/// Returns another machine that answers and on which a unit still runs.
fn runs_elsewhere(snapshot: &Snapshot, name: &UnitName, placed: MachineId) -> Option<MachineId> {
    let answers = |machine: MachineId| health(snapshot, machine) <= Health::PathFault;
    let others = snapshot.states.get(name)?.iter().filter(|(machine, state)| **machine != placed && state.runs());
    others.map(|(machine, _)| *machine).find(|machine| answers(*machine))
}

/// Returns the silent machine that a unit waits for: of all that may run a strict copy of it, the one where the copy stops
/// last. A unit that is not strict does not wait for its own machine.
fn lease_wait(snapshot: &Snapshot, name: &UnitName, placed: MachineId) -> Option<NotRunning> {
    let is_strict = is_strict(snapshot, name);
    let runs = snapshot.states.get(name).and_then(|states| states.get(&placed)).is_some_and(UnitState::runs);
    let answers = snapshot.leases.get(&placed).is_some_and(|grant| grant.stopped_for_sure_at.is_none());
    if runs && (answers || !is_strict) {
        return None;
    }
    let is_awaited = |machine: MachineId| is_strict || machine != placed;
    let may_run = |grant: &Grant| grant.may_run(name, is_strict);
    let granted = snapshot.leases.iter().filter(|(machine, grant)| may_run(grant) && is_awaited(**machine));
    let silent = granted.filter_map(|(machine, grant)| Some((*machine, grant.stopped_for_sure_at?)));
    let (machine, until) = silent.max_by_key(|(_, until)| *until)?;
    Some(NotRunning::MayStillRun { is_strict, name: snapshot.name_of(machine), until })
}
