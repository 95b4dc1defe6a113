//! Why a unit is as it is: what is wanted, where it was put and why, what keeps it from other machines, and why it does
//! not run if it does not. From what the store knows; nothing is decided here.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use crate::core::model::DesiredState;
use crate::core::model::FilterReason;
use crate::core::model::Health;
use crate::core::model::LoadState;
use crate::core::model::MachineId;
use crate::core::model::Placement;
use crate::core::model::PlacementError;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;
use crate::core::model::UnitState;
use crate::core::schedule::RequirementsIndex;
use crate::core::schedule::Scheduler;
use crate::core::unit::Class;
use crate::core::unit::Hash;
use crate::core::unit::UnitName;

/// Everything there is to say about a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What is wanted of it.
    pub desired: DesiredState,
    /// Which file it is.
    pub hash: Hash,
    /// What it may do while a partition lasts, if its file says something that can be followed.
    pub class: Option<Class>,
    /// Set when it is everywhere and not placed.
    pub global: bool,
    /// Where it was put, since when and why.
    pub placement: Option<Placement>,
    /// What was last heard of it, by machine.
    pub states: Vec<(MachineId, UnitState)>,
    /// Why it has no place, if it is to have one.
    pub refusal: Option<PlacementError>,
    /// What keeps it from each machine that it is not on.
    pub filter_reasons: Vec<(MachineId, Option<FilterReason>)>,
    /// Why it does not run; nothing if it does, or is everywhere.
    pub idle: Option<NotRunning>,
}

/// Why a unit does not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotRunning {
    /// Nobody wants it to.
    NotWanted(DesiredState),
    /// A record that it depends on cannot be read, so it is left as it is.
    Unreadable,
    /// It has no place.
    NoPlace(PlacementError),
    /// The next reconcile finds it a place.
    NotPlacedYet,
    /// Its machine has left the cluster.
    MachineLeft(MachineId),
    /// Nothing can be done on its machine.
    MachineAway {
        /// The machine's name.
        name: String,
        /// What is thought of it.
        health: Health,
        /// The evidence in words.
        why: String,
    },
    /// It is strict, and no record says that its machine may hold a lease.
    NoLease(String),
    /// It is strict, and nothing starts before it is certain that it is gone from a machine that does not answer.
    MayRun {
        /// That machine's name.
        name: String,
        /// When it is gone from there.
        until: Timestamp,
    },
    /// It has not come to its machine yet.
    NotThereYet(String),
    /// Another file of it is there.
    OtherFile(Hash),
    /// Its machine's systemd does not make it run.
    Systemd(UnitState),
}

impl fmt::Display for NotRunning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotWanted(desired) => write!(f, "it is wanted {desired}"),
            Self::Unreadable => f.write_str("a record that it depends on cannot be read: it is left as it is"),
            Self::NoPlace(_) => f.write_str("no machine takes it"),
            Self::NotPlacedYet => f.write_str("it has no machine yet: the next reconcile finds one"),
            Self::MachineLeft(id) => {
                write!(f, "its machine {}... has left: the next reconcile finds another", id.short())
            }
            Self::MachineAway { name, health, why } => write!(f, "{name} is {health}: {why}"),
            Self::NoLease(name) => {
                write!(f, "it is strict, and nobody keeps a lease for {name}: a controller does")
            }
            Self::MayRun { name, .. } => write!(f, "it is strict, and may still run on {name}"),
            Self::NotThereYet(name) => write!(f, "it has not come to {name} yet: the next reconcile brings it"),
            Self::OtherFile(hash) => {
                write!(f, "an older file of it is there ({}): the next reconcile replaces it", hash.short())
            }
            Self::Systemd(UnitState { load, .. }) if *load != LoadState::Loaded => {
                write!(f, "systemd could not load it: {load}")
            }
            Self::Systemd(state) if state.launched => write!(f, "it was started and is {state}"),
            Self::Systemd(state) => write!(f, "it is {state} and was not started yet: the next reconcile starts it"),
        }
    }
}

impl NotRunning {
    /// Says whether it is only a matter of time, for whoever leads is at it.
    pub fn is_under_way(&self) -> bool {
        match self {
            Self::NotPlacedYet | Self::MachineLeft(_) | Self::NotThereYet(_) | Self::OtherFile(_) => true,
            Self::Systemd(state) => state.load == LoadState::Loaded && (!state.launched || state.is_changing()),
            _ => false,
        }
    }
}

/// Returns the silent machines on which a strict unit may still run, and when it is gone from each.
pub fn may_still_run(snapshot: &Snapshot, name: &UnitName) -> BTreeMap<MachineId, Timestamp> {
    let placed = snapshot.placements.get(name).map(|placement| placement.machine);
    let seen = snapshot.states.get(name).into_iter().flatten().map(|(machine, _)| *machine);
    let grant = |machine| snapshot.leases.get(&machine).filter(|grant| grant.units.contains(name));
    let stopped_for_sure_at = |machine| Some((machine, grant(machine)?.stopped_for_sure_at?));
    if is_strict(snapshot, name) {
        placed.into_iter().chain(seen).filter_map(stopped_for_sure_at).collect()
    } else {
        BTreeMap::new()
    }
}

fn is_strict(snapshot: &Snapshot, name: &UnitName) -> bool {
    snapshot.file(name).is_some_and(|file| Class::binding(file) == Class::Strict)
}

/// Explains a unit; nothing if it was not submitted.
pub fn explain(snapshot: &Snapshot, name: &UnitName) -> Option<Explanation> {
    let unit = *snapshot.units.get(name)?;
    let requirements = RequirementsIndex::of(snapshot);
    let mut scheduler = Scheduler::new(snapshot, |machine| health(snapshot, machine), &requirements);
    let global = requirements.is_global(name);
    let placement = snapshot.placements.get(name).cloned();
    let filter_reasons = if global { Vec::new() } else { scheduler.filter_reasons(name) };
    let homeless = unit.desired != DesiredState::Inactive && placement.is_none() && !global;
    let refusal = homeless.then(|| scheduler.place(name).err()).flatten();
    let states = snapshot.states.get(name).into_iter().flatten().map(|(id, state)| (*id, state.clone())).collect();
    let idle = if global { None } else { idle(snapshot, name, || refusal.clone()) };
    let class = snapshot.file(name).and_then(|file| Class::of(file).ok());
    let (desired, hash) = (unit.desired, unit.hash);
    Some(Explanation { desired, hash, class, global, placement, states, refusal, filter_reasons, idle })
}

/// Returns the units that should run somewhere and do not, and why.
pub fn units_not_running(snapshot: &Snapshot) -> Vec<(&UnitName, NotRunning)> {
    let requirements = RequirementsIndex::of(snapshot);
    let mut scheduler = Scheduler::new(snapshot, |machine| health(snapshot, machine), &requirements);
    let launched = snapshot.units.iter().filter(|(_, unit)| unit.desired == DesiredState::Launched);
    let placed = launched.map(|(name, _)| name).filter(|name| !requirements.is_global(name));
    placed.filter_map(|name| Some((name, idle(snapshot, name, || scheduler.place(name).err())?))).collect()
}

/// Returns what is thought of a machine; nobody who has not been looked at is suspected.
fn health(snapshot: &Snapshot, machine: MachineId) -> Health {
    snapshot.health.get(&machine).map_or(Health::Alive, |health| health.health)
}

/// Says why a unit that is not global does not run, if it does not.
fn idle(snapshot: &Snapshot, name: &UnitName, refusal: impl FnOnce() -> Option<PlacementError>) -> Option<NotRunning> {
    let unit = snapshot.units.get(name)?;
    if unit.desired != DesiredState::Launched {
        return Some(NotRunning::NotWanted(unit.desired));
    }
    if !snapshot.is_readable(name) {
        return Some(NotRunning::Unreadable);
    }
    let Some(placement) = snapshot.placements.get(name) else {
        return Some(refusal().map_or(NotRunning::NotPlacedYet, NotRunning::NoPlace));
    };
    let Some(machine) = snapshot.machines.get(&placement.machine) else {
        return Some(NotRunning::MachineLeft(placement.machine));
    };
    if let Some(wait) = lease_wait(snapshot, name, machine.id) {
        return Some(wait);
    }
    if let Some(health) = snapshot.health.get(&machine.id).filter(|health| health.health > Health::PathFault) {
        let (health, why) = (health.health, health.why.clone());
        return Some(NotRunning::MachineAway { name: machine.name.clone(), health, why });
    }
    let Some(state) = snapshot.states.get(name).and_then(|states| states.get(&machine.id)) else {
        return Some(NotRunning::NotThereYet(machine.name.clone()));
    };
    if is_strict(snapshot, name) && !state.launched && !snapshot.leases.contains_key(&machine.id) {
        return Some(NotRunning::NoLease(machine.name.clone()));
    }
    let oneshot = snapshot.file(name).is_some_and(|file| file.is_oneshot());
    if state.hash != unit.hash {
        return Some(NotRunning::OtherFile(state.hash));
    }
    (!state.is_well(oneshot)).then(|| NotRunning::Systemd(state.clone()))
}

/// Says which machine keeps a strict unit waiting: of all that do not answer and may have been told to run it the one that
/// is gone last.
fn lease_wait(snapshot: &Snapshot, name: &UnitName, placed: MachineId) -> Option<NotRunning> {
    let runs = snapshot.states.get(name).and_then(|states| states.get(&placed)).is_some_and(UnitState::runs);
    let answers = snapshot.leases.get(&placed).is_some_and(|grant| grant.stopped_for_sure_at.is_none());
    if !is_strict(snapshot, name) || runs && answers {
        return None;
    }
    let told = snapshot.leases.iter().filter(|(_, grant)| grant.units.contains(name));
    let silent = told.filter_map(|(machine, grant)| Some((*machine, grant.stopped_for_sure_at?)));
    let (machine, until) = silent.max_by_key(|(_, until)| *until)?;
    Some(NotRunning::MayRun { name: snapshot.name_of(machine), until })
}
