//! Which machine a unit goes to: fleet's rules, decided on a board that is kept up to date instead of rebuilt.
//!
//! The least loaded machine that meets every requirement is taken; ties go to the lower machine-id. Global units are
//! not placed: they are on every machine that fits, and count there. Nothing here changes the world; what was chosen
//! and what was refused comes back with its reason.

mod anti_affinity;
mod ranking;
mod reason;
mod requirements;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use anti_affinity::Repulsion;
pub use ranking::leaders_first;
pub use reason::Nowhere;
pub use reason::Obstacle;
pub use reason::Refusal;
pub use reason::Standing;
pub use reason::Why;
pub use requirements::Asks;

use crate::core::model::DesiredState;
use crate::core::model::Machine;
use crate::core::model::MachineId;
use crate::core::model::Snapshot;
use crate::core::model::Verdict;
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
    pub why: Why,
}

/// Every machine with what is on it, as far as decisions have been taken.
#[derive(Debug)]
pub struct Board<'a> {
    asks: &'a Asks,
    /// How many machines the cluster starts with, as long as it has not.
    awaited: Option<u32>,
    /// In the order of machine-ids, so that a lower number is a lower machine-id.
    slots: Vec<Slot<'a>>,
    placed: BTreeMap<UnitName, usize>,
    globals: Vec<&'a UnitName>,
    /// For each selection of metadata that units ask for, the open machines that match, least loaded first.
    pools: BTreeMap<&'a Metadata, BTreeSet<(usize, usize)>>,
    repulsion: Repulsion<'a>,
    /// What was refused everywhere since a unit last left a machine, by the patterns that concern the unit and by what
    /// it asks for: another unit with the same fares no better.
    hopeless: BTreeMap<Wish<'a>, Nowhere>,
}

type Wish<'a> = (Vec<&'a Glob>, &'a Requirements);

/// One machine on the board.
#[derive(Debug)]
struct Slot<'a> {
    id: MachineId,
    machine: &'a Machine,
    /// Why nothing new may come here.
    closed: Option<Obstacle>,
    /// How many units are here, globals among them.
    load: usize,
    globals: BTreeSet<&'a UnitName>,
    /// The selections of metadata that this machine matches.
    pools: Vec<&'a Metadata>,
}

impl<'a> Board<'a> {
    /// Sets up the board as the store has it. A placement counts unless its unit is to be inactive or its machine
    /// is gone; only a machine that is alive and not cordoned is open for more.
    pub fn new<S: Into<Standing>>(snapshot: &'a Snapshot, standing: impl Fn(MachineId) -> S, asks: &'a Asks) -> Self {
        let wanted =
            |unit: &UnitName| snapshot.units.get(unit).is_some_and(|unit| unit.desired > DesiredState::Inactive);
        let slots: Vec<_> =
            snapshot.machines.values().map(|machine| Slot::new(machine, standing(machine.id).into())).collect();
        let joined = u32::try_from(slots.len()).unwrap_or(u32::MAX);
        let mut board = Self {
            asks,
            // A cluster that has placed something has started, and does not stop when a machine leaves.
            awaited: Some(snapshot.size).filter(|size| joined < *size && snapshot.placements.is_empty()),
            placed: BTreeMap::new(),
            globals: asks.iter().filter(|(unit, ask)| ask.global && wanted(unit)).map(|(unit, _)| unit).collect(),
            pools: pools(&slots, asks.iter().map(|(_, ask)| &ask.metadata)),
            repulsion: Repulsion::new(asks.iter().map(|(_, ask)| ask)),
            slots,
            hopeless: BTreeMap::new(),
        };
        for (metadata, pool) in &board.pools {
            for (_, slot) in pool {
                board.slots.get_mut(*slot).into_iter().for_each(|slot| slot.pools.push(metadata));
            }
        }
        for (unit, placement) in snapshot.placements.iter().filter(|(unit, _)| wanted(unit)) {
            board.put(unit, placement.machine);
        }
        for slot in 0..board.slots.len() {
            board.settle_globals(slot);
        }
        board
    }

    /// Returns where a unit is placed.
    pub fn machine_of(&self, unit: &UnitName) -> Option<MachineId> {
        self.placed.get(unit).and_then(|slot| self.slots.get(*slot)).map(|slot| slot.id)
    }

    /// Returns the global units that belong on a machine, by name: those whose metadata match and that conflict
    /// neither with a unit placed there nor with a global before them. A cordon does not concern them; a drain does.
    pub fn globals_on(&self, machine: MachineId) -> impl Iterator<Item = &'a UnitName> {
        let slot = self.find(machine).and_then(|slot| self.slots.get(slot));
        slot.into_iter().flat_map(|slot| slot.globals.iter().copied())
    }

    /// Notes that a unit is on a machine; without effect if the machine has not joined.
    pub fn put(&mut self, unit: &UnitName, machine: MachineId) {
        let Some(slot) = self.find(machine) else { return };
        match self.placed.insert(unit.clone(), slot) {
            Some(before) if before == slot => return,
            Some(before) => self.leave(unit, before),
            None => {}
        }
        self.count(unit, slot);
        self.settle_beside(unit, slot);
    }

    /// Takes a unit off the board and returns where it was.
    pub fn remove(&mut self, unit: &UnitName) -> Option<MachineId> {
        let slot = self.placed.remove(unit)?;
        self.leave(unit, slot);
        self.slots.get(slot).map(|slot| slot.id)
    }

    fn leave(&mut self, unit: &UnitName, slot: usize) {
        self.uncount(unit, slot);
        self.settle_beside(unit, slot);
    }

    /// Says what keeps a unit from staying on a machine where it is: what it asks for may have changed, or the
    /// machine. Whether the machine is alive or cordoned does not matter here.
    pub fn obstacle(&self, unit: &UnitName, machine: MachineId) -> Option<Obstacle> {
        let ask = self.asks.get(unit)?;
        let slot = self.slots.get(self.find(machine)?)?;
        slot.mismatch(ask).or_else(|| self.company(unit, ask, self.find(machine)?, &self.repulsion.of(unit, ask)))
    }

    /// Says for every machine but the one that it is on what keeps a unit from coming there, if anything does.
    pub fn obstacles(&self, unit: &UnitName) -> Vec<(MachineId, Option<Obstacle>)> {
        let Some(ask) = self.asks.get(unit) else { return Vec::new() };
        let repelling = self.repulsion.of(unit, ask);
        let others = self.slots.iter().enumerate().filter(|(slot, _)| self.placed.get(unit) != Some(slot));
        others.map(|(slot, here)| (here.id, self.check(unit, ask, slot, &repelling))).collect()
    }

    /// Chooses a machine for a unit and puts it there. The unit's own choice comes first, then those for the units
    /// that it displaces (`Replaces=`). If it is refused, nothing has moved.
    pub fn place(&mut self, unit: &UnitName) -> Result<Vec<Choice>, Refusal> {
        let ask = self.asks.get(unit).ok_or_else(|| self.unread(unit))?;
        if let Some(size) = self.awaited {
            return Err(Refusal::Awaiting { joined: self.slots.len(), size });
        }
        if ask.global {
            return Err(Refusal::Global);
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
    fn take(&mut self, unit: &UnitName, ask: &'a Requirements) -> Result<Choice, Refusal> {
        // A refusal for want of a peer may end when the peer is placed; any other stands until something leaves.
        let wish = ask.machine_of.is_empty().then(|| (self.repulsion.matching(unit), ask));
        if let Some(nowhere) = wish.as_ref().and_then(|wish| self.hopeless.get(wish)) {
            return Err(Refusal::Nowhere(nowhere.clone()));
        }
        let choice = self.choose(unit, ask);
        match (&choice, wish) {
            (Ok(choice), _) => self.put(unit, choice.machine),
            (Err(Refusal::Nowhere(nowhere)), Some(wish)) => _ = self.hopeless.insert(wish, nowhere.clone()),
            (Err(_), _) => {}
        }
        choice
    }

    /// Places units in an order in which leaders come before those that follow them, else by name.
    pub fn place_all<'u>(
        &mut self,
        units: impl IntoIterator<Item = &'u UnitName>,
    ) -> Vec<(&'u UnitName, Result<Vec<Choice>, Refusal>)> {
        let ordered = leaders_first(units, self.asks);
        ordered.into_iter().map(|unit| (unit, self.place(unit))).collect()
    }

    /// Puts a unit in the place of units that it replaces, if there are any and each fits elsewhere.
    fn replace(&mut self, unit: &UnitName, ask: &Requirements) -> Result<Option<Vec<Choice>>, Refusal> {
        if ask.replaces.is_empty() {
            return Ok(None);
        }
        let mut places = Vec::new();
        for (slot, units) in self.repulsion.hit_by(&ask.replaces) {
            let placed = |other: &&UnitName| *other != unit && self.placed.contains_key(*other);
            let units: Vec<UnitName> = units.into_iter().filter(placed).cloned().collect();
            if let Some(other) = units.iter().find(|other| self.replaces(other, unit)) {
                return Err(Refusal::Circular(other.clone()));
            }
            let repelling = self.repulsion.of(unit, ask);
            if let Some((here, first)) = self.slots.get(slot).zip(units.first().cloned())
                && self.check(unit, ask, slot, &repelling).is_none()
            {
                places.push((here.load, here.id, first, units));
            }
        }
        places.sort();
        let mut stuck = None;
        for (_, machine, first, units) in places {
            let mut choices = vec![Choice { unit: unit.clone(), machine, why: Why::Replaces(first) }];
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

    fn unread(&self, unit: &UnitName) -> Refusal {
        Refusal::Unread(self.asks.fault(unit).cloned())
    }

    fn replaces(&self, unit: &UnitName, other: &UnitName) -> bool {
        self.asks.get(unit).is_some_and(|ask| ask.replaces.iter().any(|glob| glob.matches(other.as_str())))
    }

    /// Finds another machine for each of these units: the one that displaced them repels them from where they were.
    fn displace(&mut self, units: &[UnitName], choices: &mut Vec<Choice>) -> Result<(), Refusal> {
        for unit in units {
            self.remove(unit);
        }
        for unit in units {
            let stuck = |why| Refusal::Stuck { unit: unit.clone(), why: Box::new(why) };
            let ask = self.asks.get(unit).ok_or_else(|| stuck(self.unread(unit)))?;
            choices.push(self.take(unit, ask).map_err(stuck)?);
        }
        Ok(())
    }

    /// Finds the least loaded machine that meets every requirement.
    fn choose(&self, unit: &UnitName, ask: &Requirements) -> Result<Choice, Refusal> {
        let repelling = self.repulsion.of(unit, ask);
        let open = |slot: &usize| self.check(unit, ask, *slot, &repelling).is_none();
        let leader = ask.machine_of.iter().find_map(|peer| Some((peer, *self.placed.get(peer)?)));
        let found = if let Some((peer, slot)) = leader {
            Some(slot).filter(open).map(|slot| (slot, Why::With(peer.clone())))
        } else if let Some(pin) = ask.machine_id {
            let mut pinned = self.between(pin.machines());
            pinned.sort_by_key(|slot| self.slots.get(*slot).map(|slot| slot.load));
            pinned.into_iter().find(open).map(|slot| (slot, Why::Pinned(pin)))
        } else {
            let pool = self.pools.get(&ask.metadata).into_iter().flatten();
            let mut fitting = pool.filter(|(_, slot)| open(slot));
            fitting.next().map(|(load, slot)| {
                let next = fitting.next().map(|(load, _)| *load);
                (*slot, Why::LeastLoaded { units: *load, next })
            })
        };
        match found.and_then(|(slot, why)| Some((self.slots.get(slot)?.id, why))) {
            Some((machine, why)) => Ok(Choice { unit: unit.clone(), machine, why }),
            None => Err(self.refuse(unit, ask, &repelling)),
        }
    }

    /// Says for every machine what is in the way there.
    fn refuse(&self, unit: &UnitName, ask: &Requirements, repelling: &[anti_affinity::Here<'_>]) -> Refusal {
        let is_somewhere = |peer: &&UnitName| self.placed.contains_key(*peer) || self.globals.contains(peer);
        if let Some(peer) = ask.machine_of.iter().find(|peer| !is_somewhere(peer)) {
            return Refusal::PeerNotPlaced(peer.clone());
        }
        if let Some(pin) = ask.machine_id.filter(|pin| self.between(pin.machines()).is_empty()) {
            return Refusal::NoSuchMachine(pin);
        }
        let slots = 0..self.slots.len();
        Refusal::Nowhere(slots.filter_map(|slot| self.check(unit, ask, slot, repelling)).collect())
    }

    /// Says what keeps a unit from coming to a machine.
    fn check(
        &self,
        unit: &UnitName,
        ask: &Requirements,
        slot: usize,
        repelling: &[anti_affinity::Here<'_>],
    ) -> Option<Obstacle> {
        let here = self.slots.get(slot)?;
        here.closed.clone().or_else(|| here.mismatch(ask)).or_else(|| self.company(unit, ask, slot, repelling))
    }

    /// Says what is missing on a machine (`MachineOf=`) or there and in the way (`Conflicts=`, either way round).
    fn company(
        &self,
        unit: &UnitName,
        ask: &Requirements,
        slot: usize,
        repelling: &[anti_affinity::Here<'_>],
    ) -> Option<Obstacle> {
        let is_here = |peer: &UnitName| {
            self.placed.get(peer) == Some(&slot) || self.slots.get(slot).is_some_and(|slot| slot.globals.contains(peer))
        };
        let absent = ask.machine_of.iter().find(|peer| !is_here(peer)).cloned().map(Obstacle::Without);
        absent.or_else(|| {
            repelling.iter().find_map(|repelling| repelling.on(slot, unit)).cloned().map(Obstacle::Conflict)
        })
    }

    /// Decides anew which globals are on a machine.
    fn settle_globals(&mut self, slot: usize) {
        for unit in self.slots.get_mut(slot).map(|slot| std::mem::take(&mut slot.globals)).unwrap_or_default() {
            self.uncount(unit, slot);
        }
        for unit in self.globals.clone() {
            let Some(ask) = self.asks.get(unit) else { continue };
            let fits = self.slots.get(slot).is_some_and(|slot| !slot.machine.draining && slot.mismatch(ask).is_none());
            if fits && self.company(unit, ask, slot, &self.repulsion.of(unit, ask)).is_none() {
                self.slots.get_mut(slot).into_iter().for_each(|slot| _ = slot.globals.insert(unit));
                self.count(unit, slot);
            }
        }
    }

    /// Decides anew which globals are on a machine where this unit came or went, if it could matter to them.
    fn settle_beside(&mut self, unit: &UnitName, slot: usize) {
        if !self.globals.is_empty() && self.repulsion.concerns(unit, self.asks.get(unit)) {
            self.settle_globals(slot);
        }
    }

    /// Counts a unit in on a machine.
    fn count(&mut self, unit: &UnitName, slot: usize) {
        self.repulsion.add(unit, self.asks.get(unit), slot);
        self.shift(slot, |load| load + 1);
    }

    /// Counts it out.
    fn uncount(&mut self, unit: &UnitName, slot: usize) {
        self.repulsion.remove(unit, self.asks.get(unit), slot);
        self.shift(slot, |load| load.saturating_sub(1));
        self.hopeless.clear();
    }

    /// Changes a machine's load, wherever it is ranked by it.
    fn shift(&mut self, slot: usize, change: impl Fn(usize) -> usize) {
        let Some(here) = self.slots.get_mut(slot) else { return };
        let before = here.load;
        here.load = change(before);
        for metadata in &here.pools {
            if let Some(pool) = self.pools.get_mut(metadata) {
                pool.remove(&(before, slot));
                pool.insert((here.load, slot));
            }
        }
    }

    fn find(&self, machine: MachineId) -> Option<usize> {
        self.slots.binary_search_by_key(&machine, |slot| slot.id).ok()
    }

    fn between(&self, ids: std::ops::RangeInclusive<MachineId>) -> Vec<usize> {
        let from = self.slots.partition_point(|slot| slot.id < *ids.start());
        let to = self.slots.partition_point(|slot| slot.id <= *ids.end());
        (from..to).collect()
    }
}

impl<'a> Slot<'a> {
    fn new(machine: &'a Machine, standing: Standing) -> Self {
        let closed = match standing {
            Standing::Judged(Verdict::Alive) | Standing::Flapping(_) if machine.cordoned => Some(Obstacle::Cordoned),
            Standing::Judged(Verdict::Alive) => None,
            Standing::Flapping(falls) => Some(Obstacle::Flapping(falls)),
            Standing::Judged(verdict) => Some(Obstacle::Verdict(verdict)),
        };
        Self { id: machine.id, machine, closed, load: 0, globals: BTreeSet::new(), pools: Vec::new() }
    }

    /// Says what a unit asks of the machine itself and it has not.
    fn mismatch(&self, ask: &Requirements) -> Option<Obstacle> {
        if let Some(pin) = ask.machine_id.filter(|pin| !pin.machines().contains(&self.id)) {
            return Some(Obstacle::NotPinned(pin));
        }
        let has = |key: &String, wanted: &BTreeSet<String>| {
            self.machine.metadata.get(key).is_some_and(|value| wanted.contains(value))
        };
        let (key, wanted) = ask.metadata.iter().find(|(key, wanted)| !has(key, wanted))?;
        Some(Obstacle::Metadata { key: key.clone(), wanted: wanted.clone() })
    }
}

/// Finds the open machines for each selection of metadata.
fn pools<'a>(
    slots: &[Slot<'a>],
    selections: impl Iterator<Item = &'a Metadata>,
) -> BTreeMap<&'a Metadata, BTreeSet<(usize, usize)>> {
    let open = || slots.iter().enumerate().filter(|(_, slot)| slot.closed.is_none());
    let mut having = BTreeMap::<(&str, &str), Vec<usize>>::new();
    for (number, slot) in open() {
        for (key, value) in &slot.machine.metadata {
            having.entry((key, value)).or_default().push(number);
        }
    }
    let matches = |number: &usize, selection: &Metadata| {
        let has = |machine: &Machine, key, values: &BTreeSet<String>| {
            machine.metadata.get(key).is_some_and(|value| values.contains(value))
        };
        slots.get(*number).is_some_and(|slot| selection.iter().all(|(key, values)| has(slot.machine, key, values)))
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
