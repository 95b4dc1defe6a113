//! Which machine a unit goes to: fleet's rules, decided on a scheduler that is kept up to date instead of rebuilt.
//!
//! The least loaded machine that meets every requirement is taken; ties go to the lower machine-id. Global units are
//! not placed: they are on every machine that fits, and count there. Nothing here changes the world; what was chosen
//! and what was refused comes back with its reason.

mod anti_affinity;
mod ranking;
mod requirements;
mod schedulability;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use anti_affinity::AntiAffinityIndex;
pub use ranking::dependencies_first;
pub use requirements::RequirementsIndex;
pub use schedulability::Schedulability;

use crate::core::model::ChoiceReason;
use crate::core::model::DesiredState;
use crate::core::model::FilterReason;
use crate::core::model::Health;
use crate::core::model::Machine;
use crate::core::model::MachineId;
use crate::core::model::PlacementError;
use crate::core::model::Snapshot;
use crate::core::model::Unschedulable;
use crate::core::unit::Glob;
use crate::core::unit::Requirements;
use crate::core::unit::UnitName;

type Metadata = BTreeMap<String, BTreeSet<String>>;

/// A unit that goes to a machine, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The unit.
    pub unit: UnitName,
    /// Where it goes.
    pub machine: MachineId,
    /// Why there.
    pub why: ChoiceReason,
}

/// Every machine with what is on it, as far as decisions have been taken.
#[derive(Debug)]
pub struct Scheduler<'a> {
    requirements: &'a RequirementsIndex,
    /// How many machines the cluster starts with, as long as it has not.
    awaited: Option<u32>,
    /// In the order of machine-ids, so that a lower number is a lower machine-id.
    candidates: Vec<Candidate<'a>>,
    placed: BTreeMap<UnitName, usize>,
    globals: Vec<&'a UnitName>,
    /// For each selection of metadata that units ask for, the open machines that match, least loaded first.
    pools: BTreeMap<&'a Metadata, BTreeSet<(usize, usize)>>,
    anti_affinity: AntiAffinityIndex<'a>,
    /// What was refused everywhere since a unit last left a machine, by the patterns that concern the unit and by what
    /// it requirements for: another unit with the same fares no better.
    unschedulable_cache: BTreeMap<RequirementKey<'a>, Unschedulable>,
}

type RequirementKey<'a> = (Vec<&'a Glob>, &'a Requirements);

/// One machine on the scheduler.
#[derive(Debug)]
struct Candidate<'a> {
    id: MachineId,
    machine: &'a Machine,
    /// Why nothing new may come here.
    closed: Option<FilterReason>,
    /// How many units are here, globals among them.
    load: usize,
    globals: BTreeSet<&'a UnitName>,
    /// The selections of metadata that this machine matches.
    pools: Vec<&'a Metadata>,
}

impl<'a> Scheduler<'a> {
    /// Sets up the scheduler as the store has it. A placement counts unless its unit is to be inactive or its machine
    /// is gone; only a machine that is alive and not cordoned is open for more.
    pub fn new<S: Into<Schedulability>>(
        snapshot: &'a Snapshot,
        schedulability: impl Fn(MachineId) -> S,
        requirements: &'a RequirementsIndex,
    ) -> Self {
        let wanted =
            |unit: &UnitName| snapshot.units.get(unit).is_some_and(|unit| unit.desired > DesiredState::Inactive);
        let candidates: Vec<_> = snapshot
            .machines
            .values()
            .map(|machine| Candidate::new(machine, schedulability(machine.id).into()))
            .collect();
        let joined = u32::try_from(candidates.len()).unwrap_or(u32::MAX);
        let mut scheduler = Self {
            requirements,
            // A cluster that has placed something has started, and does not stop when a machine leaves.
            awaited: Some(snapshot.size).filter(|size| joined < *size && snapshot.placements.is_empty()),
            placed: BTreeMap::new(),
            globals: requirements
                .iter()
                .filter(|(unit, ask)| ask.global && wanted(unit))
                .map(|(unit, _)| unit)
                .collect(),
            pools: pools(&candidates, requirements.iter().map(|(_, ask)| &ask.metadata)),
            anti_affinity: AntiAffinityIndex::new(requirements.iter().map(|(_, ask)| ask)),
            candidates,
            unschedulable_cache: BTreeMap::new(),
        };
        for (metadata, pool) in &scheduler.pools {
            for (_, candidate) in pool {
                scheduler
                    .candidates
                    .get_mut(*candidate)
                    .into_iter()
                    .for_each(|candidate| candidate.pools.push(metadata));
            }
        }
        for (unit, placement) in snapshot.placements.iter().filter(|(unit, _)| wanted(unit)) {
            scheduler.put(unit, placement.machine);
        }
        for candidate in 0..scheduler.candidates.len() {
            scheduler.settle_globals(candidate);
        }
        scheduler
    }

    /// Returns where a unit is placed.
    pub fn machine_of(&self, unit: &UnitName) -> Option<MachineId> {
        self.placed.get(unit).and_then(|candidate| self.candidates.get(*candidate)).map(|candidate| candidate.id)
    }

    /// Returns the global units that belong on a machine, by name: those whose metadata match and that conflict
    /// neither with a unit placed there nor with a global before them. A cordon does not concern them; a drain does.
    pub fn globals_on(&self, machine: MachineId) -> impl Iterator<Item = &'a UnitName> {
        let candidate = self.find(machine).and_then(|candidate| self.candidates.get(candidate));
        candidate.into_iter().flat_map(|candidate| candidate.globals.iter().copied())
    }

    /// Notes that a unit is on a machine; without effect if the machine has not joined.
    pub fn put(&mut self, unit: &UnitName, machine: MachineId) {
        let Some(candidate) = self.find(machine) else { return };
        match self.placed.insert(unit.clone(), candidate) {
            Some(before) if before == candidate => return,
            Some(before) => self.leave(unit, before),
            None => {}
        }
        self.count(unit, candidate);
        self.settle_beside(unit, candidate);
    }

    /// Takes a unit off the scheduler and returns where it was.
    pub fn remove(&mut self, unit: &UnitName) -> Option<MachineId> {
        let candidate = self.placed.remove(unit)?;
        self.leave(unit, candidate);
        self.candidates.get(candidate).map(|candidate| candidate.id)
    }

    fn leave(&mut self, unit: &UnitName, candidate: usize) {
        self.uncount(unit, candidate);
        self.settle_beside(unit, candidate);
    }

    /// Says what keeps a unit from staying on a machine where it is: what it requirements for may have changed, or the
    /// machine. Whether the machine is alive or cordoned does not matter here.
    pub fn filter_reason(&self, unit: &UnitName, machine: MachineId) -> Option<FilterReason> {
        let ask = self.requirements.get(unit)?;
        let candidate = self.candidates.get(self.find(machine)?)?;
        candidate
            .mismatch(ask)
            .or_else(|| self.colocation(unit, ask, self.find(machine)?, &self.anti_affinity.of(unit, ask)))
    }

    /// Says for every machine but the one that it is on what keeps a unit from coming there, if anything does.
    pub fn filter_reasons(&self, unit: &UnitName) -> Vec<(MachineId, Option<FilterReason>)> {
        let Some(ask) = self.requirements.get(unit) else { return Vec::new() };
        let repelling = self.anti_affinity.of(unit, ask);
        let others =
            self.candidates.iter().enumerate().filter(|(candidate, _)| self.placed.get(unit) != Some(candidate));
        others.map(|(candidate, here)| (here.id, self.check(unit, ask, candidate, &repelling))).collect()
    }

    /// Chooses a machine for a unit and puts it there. The unit's own choice comes first, then those for the units
    /// that it displaces (`Replaces=`). If it is refused, nothing has moved.
    pub fn place(&mut self, unit: &UnitName) -> Result<Vec<Choice>, PlacementError> {
        let ask = self.requirements.get(unit).ok_or_else(|| self.unread(unit))?;
        if let Some(size) = self.awaited {
            return Err(PlacementError::Awaiting { joined: self.candidates.len(), size });
        }
        if ask.global {
            return Err(PlacementError::Global);
        }
        let before = self.remove(unit);
        let placed = match self.replace(unit, ask) {
            Ok(None) => self.take(unit, ask).map(|choice| vec![choice]),
            Ok(Some(choices)) => Ok(choices),
            Err(refusal) => Err(refusal),
        };
        if let (Err(_), Some(machine)) = (&placed, before) {
            self.put(unit, machine);
        }
        placed
    }

    /// Chooses a machine for a unit that is on none, and puts it there.
    fn take(&mut self, unit: &UnitName, ask: &'a Requirements) -> Result<Choice, PlacementError> {
        // A refusal for want of a peer may end when the peer is placed; any other stands until something leaves.
        let wish = ask.machine_of.is_empty().then(|| (self.anti_affinity.matching(unit), ask));
        if let Some(nowhere) = wish.as_ref().and_then(|wish| self.unschedulable_cache.get(wish)) {
            return Err(PlacementError::Unschedulable(nowhere.clone()));
        }
        let choice = self.choose(unit, ask);
        match (&choice, wish) {
            (Ok(choice), _) => self.put(unit, choice.machine),
            (Err(PlacementError::Unschedulable(nowhere)), Some(wish)) => {
                _ = self.unschedulable_cache.insert(wish, nowhere.clone());
            }
            (Err(_), _) => {}
        }
        choice
    }

    /// Places units in an order in which leaders come before those that follow them, else by name.
    pub fn place_all<'u>(
        &mut self,
        units: impl IntoIterator<Item = &'u UnitName>,
    ) -> Vec<(&'u UnitName, Result<Vec<Choice>, PlacementError>)> {
        let ordered = dependencies_first(units, self.requirements);
        ordered.into_iter().map(|unit| (unit, self.place(unit))).collect()
    }

    /// Puts a unit in the place of units that it replaces, if there are any and each fits elsewhere.
    fn replace(&mut self, unit: &UnitName, ask: &Requirements) -> Result<Option<Vec<Choice>>, PlacementError> {
        if ask.replaces.is_empty() {
            return Ok(None);
        }
        let mut places = Vec::new();
        for (candidate, units) in self.anti_affinity.hit_by(&ask.replaces) {
            let placed = |other: &&UnitName| *other != unit && self.placed.contains_key(*other);
            let units: Vec<UnitName> = units.into_iter().filter(placed).cloned().collect();
            if let Some(other) = units.iter().find(|other| self.replaces(other, unit)) {
                return Err(PlacementError::Circular(other.clone()));
            }
            let repelling = self.anti_affinity.of(unit, ask);
            if let Some((here, first)) = self.candidates.get(candidate).zip(units.first().cloned())
                && self.check(unit, ask, candidate, &repelling).is_none()
            {
                places.push((here.load, here.id, first, units));
            }
        }
        places.sort();
        let mut stuck = None;
        for (_, machine, first, units) in places {
            let mut choices = vec![Choice { unit: unit.clone(), machine, why: ChoiceReason::Replaces(first) }];
            self.put(unit, machine);
            match self.displace(&units, &mut choices) {
                Ok(()) => return Ok(Some(choices)),
                Err(why) => {
                    self.remove(unit);
                    for unit in &units {
                        self.put(unit, machine);
                    }
                    stuck = Some(why);
                }
            }
        }
        stuck.map_or(Ok(None), Err)
    }

    fn unread(&self, unit: &UnitName) -> PlacementError {
        PlacementError::Unread(self.requirements.fault(unit).map(ToString::to_string))
    }

    fn replaces(&self, unit: &UnitName, other: &UnitName) -> bool {
        self.requirements.get(unit).is_some_and(|ask| ask.replaces.iter().any(|glob| glob.matches(other.as_str())))
    }

    /// Finds another machine for each of these units: the one that displaced them repels them from where they were.
    fn displace(&mut self, units: &[UnitName], choices: &mut Vec<Choice>) -> Result<(), PlacementError> {
        for unit in units {
            self.remove(unit);
        }
        for unit in units {
            let stuck = |why| PlacementError::Stuck { unit: unit.clone(), why: Box::new(why) };
            let ask = self.requirements.get(unit).ok_or_else(|| stuck(self.unread(unit)))?;
            choices.push(self.take(unit, ask).map_err(stuck)?);
        }
        Ok(())
    }

    /// Finds the least loaded machine that meets every requirement.
    fn choose(&self, unit: &UnitName, ask: &Requirements) -> Result<Choice, PlacementError> {
        let repelling = self.anti_affinity.of(unit, ask);
        let open = |candidate: &usize| self.check(unit, ask, *candidate, &repelling).is_none();
        let leader = ask.machine_of.iter().find_map(|peer| Some((peer, *self.placed.get(peer)?)));
        let found = if let Some((peer, candidate)) = leader {
            Some(candidate).filter(open).map(|candidate| (candidate, ChoiceReason::With(peer.clone())))
        } else if let Some(pin) = ask.machine_id {
            let mut pinned = self.between(pin.machines());
            pinned.sort_by_key(|candidate| self.candidates.get(*candidate).map(|candidate| candidate.load));
            pinned.into_iter().find(open).map(|candidate| (candidate, ChoiceReason::Pinned(pin)))
        } else {
            let pool = self.pools.get(&ask.metadata).into_iter().flatten();
            let mut fitting = pool.filter(|(_, candidate)| open(candidate));
            fitting.next().map(|(load, candidate)| {
                let next = fitting.next().map(|(load, _)| *load);
                (*candidate, ChoiceReason::LeastLoaded { units: *load, next })
            })
        };
        match found.and_then(|(candidate, why)| Some((self.candidates.get(candidate)?.id, why))) {
            Some((machine, why)) => Ok(Choice { unit: unit.clone(), machine, why }),
            None => Err(self.refuse(unit, ask, &repelling)),
        }
    }

    /// Says for every machine what is in the way there.
    fn refuse(&self, unit: &UnitName, ask: &Requirements, repelling: &[anti_affinity::Here<'_>]) -> PlacementError {
        let is_somewhere = |peer: &&UnitName| self.placed.contains_key(*peer) || self.globals.contains(peer);
        if let Some(peer) = ask.machine_of.iter().find(|peer| !is_somewhere(peer)) {
            return PlacementError::PeerNotPlaced(peer.clone());
        }
        if let Some(pin) = ask.machine_id.filter(|pin| self.between(pin.machines()).is_empty()) {
            return PlacementError::NoSuchMachine(pin);
        }
        let candidates = 0..self.candidates.len();
        PlacementError::Unschedulable(
            candidates.filter_map(|candidate| self.check(unit, ask, candidate, repelling)).collect(),
        )
    }

    /// Says what keeps a unit from coming to a machine.
    fn check(
        &self,
        unit: &UnitName,
        ask: &Requirements,
        candidate: usize,
        repelling: &[anti_affinity::Here<'_>],
    ) -> Option<FilterReason> {
        let here = self.candidates.get(candidate)?;
        here.closed.clone().or_else(|| here.mismatch(ask)).or_else(|| self.colocation(unit, ask, candidate, repelling))
    }

    /// Says what is missing on a machine (`MachineOf=`) or there and in the way (`Conflicts=`, either way round).
    fn colocation(
        &self,
        unit: &UnitName,
        ask: &Requirements,
        candidate: usize,
        repelling: &[anti_affinity::Here<'_>],
    ) -> Option<FilterReason> {
        let is_here = |peer: &UnitName| {
            self.placed.get(peer) == Some(&candidate)
                || self.candidates.get(candidate).is_some_and(|candidate| candidate.globals.contains(peer))
        };
        let absent = ask.machine_of.iter().find(|peer| !is_here(peer)).cloned().map(FilterReason::Without);
        absent.or_else(|| {
            repelling.iter().find_map(|repelling| repelling.on(candidate, unit)).cloned().map(FilterReason::Conflict)
        })
    }

    /// Decides anew which globals are on a machine.
    fn settle_globals(&mut self, candidate: usize) {
        for unit in self
            .candidates
            .get_mut(candidate)
            .map(|candidate| std::mem::take(&mut candidate.globals))
            .unwrap_or_default()
        {
            self.uncount(unit, candidate);
        }
        for unit in self.globals.clone() {
            let Some(ask) = self.requirements.get(unit) else { continue };
            let fits = self
                .candidates
                .get(candidate)
                .is_some_and(|candidate| !candidate.machine.draining && candidate.mismatch(ask).is_none());
            if fits && self.colocation(unit, ask, candidate, &self.anti_affinity.of(unit, ask)).is_none() {
                self.candidates.get_mut(candidate).into_iter().for_each(|candidate| _ = candidate.globals.insert(unit));
                self.count(unit, candidate);
            }
        }
    }

    /// Decides anew which globals are on a machine where this unit came or went, if it could matter to them.
    fn settle_beside(&mut self, unit: &UnitName, candidate: usize) {
        if !self.globals.is_empty() && self.anti_affinity.concerns(unit, self.requirements.get(unit)) {
            self.settle_globals(candidate);
        }
    }

    /// Counts a unit in on a machine.
    fn count(&mut self, unit: &UnitName, candidate: usize) {
        self.anti_affinity.add(unit, self.requirements.get(unit), candidate);
        self.shift(candidate, |load| load + 1);
    }

    /// Counts it out.
    fn uncount(&mut self, unit: &UnitName, candidate: usize) {
        self.anti_affinity.remove(unit, self.requirements.get(unit), candidate);
        self.shift(candidate, |load| load.saturating_sub(1));
        self.unschedulable_cache.clear();
    }

    /// Changes a machine's load, wherever it is ranked by it.
    fn shift(&mut self, candidate: usize, change: impl Fn(usize) -> usize) {
        let Some(here) = self.candidates.get_mut(candidate) else { return };
        let before = here.load;
        here.load = change(before);
        for metadata in &here.pools {
            if let Some(pool) = self.pools.get_mut(metadata) {
                pool.remove(&(before, candidate));
                pool.insert((here.load, candidate));
            }
        }
    }

    fn find(&self, machine: MachineId) -> Option<usize> {
        self.candidates.binary_search_by_key(&machine, |candidate| candidate.id).ok()
    }

    fn between(&self, ids: std::ops::RangeInclusive<MachineId>) -> Vec<usize> {
        let from = self.candidates.partition_point(|candidate| candidate.id < *ids.start());
        let to = self.candidates.partition_point(|candidate| candidate.id <= *ids.end());
        (from..to).collect()
    }
}

impl<'a> Candidate<'a> {
    fn new(machine: &'a Machine, schedulability: Schedulability) -> Self {
        let closed = match schedulability {
            Schedulability::Judged(Health::Alive) | Schedulability::Flapping(_) if machine.cordoned => {
                Some(FilterReason::Cordoned)
            }
            Schedulability::Judged(Health::Alive) => None,
            Schedulability::Flapping(outages) => Some(FilterReason::Flapping(outages)),
            Schedulability::Judged(health) => Some(FilterReason::Health(health)),
        };
        Self { id: machine.id, machine, closed, load: 0, globals: BTreeSet::new(), pools: Vec::new() }
    }

    /// Says what a unit requirements of the machine itself and it has not.
    fn mismatch(&self, ask: &Requirements) -> Option<FilterReason> {
        if let Some(pin) = ask.machine_id.filter(|pin| !pin.machines().contains(&self.id)) {
            return Some(FilterReason::NotPinned(pin));
        }
        let has = |key: &String, wanted: &BTreeSet<String>| {
            self.machine.metadata.get(key).is_some_and(|value| wanted.contains(value))
        };
        let (key, wanted) = ask.metadata.iter().find(|(key, wanted)| !has(key, wanted))?;
        Some(FilterReason::Metadata { key: key.clone(), wanted: wanted.clone() })
    }
}

/// Finds the open machines for each selection of metadata.
fn pools<'a>(
    candidates: &[Candidate<'a>],
    selections: impl Iterator<Item = &'a Metadata>,
) -> BTreeMap<&'a Metadata, BTreeSet<(usize, usize)>> {
    let open = || candidates.iter().enumerate().filter(|(_, candidate)| candidate.closed.is_none());
    let mut having = BTreeMap::<(&str, &str), Vec<usize>>::new();
    for (number, candidate) in open() {
        for (key, value) in &candidate.machine.metadata {
            having.entry((key, value)).or_default().push(number);
        }
    }
    let matches = |number: &usize, selection: &Metadata| {
        let has = |machine: &Machine, key, values: &BTreeSet<String>| {
            machine.metadata.get(key).is_some_and(|value| values.contains(value))
        };
        candidates
            .get(*number)
            .is_some_and(|candidate| selection.iter().all(|(key, values)| has(candidate.machine, key, values)))
    };
    let mut pools = BTreeMap::new();
    for selection in selections {
        pools.entry(selection).or_insert_with(|| match selection.first_key_value() {
            None => open().map(|(number, _)| (0, number)).collect(),
            Some((key, values)) => {
                let some = values.iter().filter_map(|value| having.get(&(key.as_str(), value.as_str()))).flatten();
                some.filter(|number| matches(number, selection)).map(|number| (0, *number)).collect()
            }
        });
    }
    pools
}

#[cfg(test)]
mod tests;
