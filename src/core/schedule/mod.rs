//! The scheduler: chooses a machine for each unit, by fleet's rules.
//!
//! The filter finds the machines that meet every requirement. The least loaded of them is taken; ties go to the lower
//! machine-id. Global units are not placed: they are on every machine that fits, and count there. The scheduler is
//! updated with each decision. It returns proposed placements and errors with their reasons, and changes no record.

mod anti_affinity;
mod ranking;
mod requirements;
mod schedulability;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use anti_affinity::AntiAffinityIndex;
use anti_affinity::ConflictingUnits;
pub use ranking::dependencies_first;
pub use requirements::RequirementsIndex;
pub use schedulability::Schedulability;
pub use schedulability::full_machines;

use crate::core::model::ChoiceReason;
use crate::core::model::DesiredState;
use crate::core::model::FilterReason;
use crate::core::model::FilterSummary;
use crate::core::model::Health;
use crate::core::model::Machine;
use crate::core::model::MachineId;
use crate::core::model::PlacementError;
use crate::core::model::Snapshot;
use crate::core::unit::Glob;
use crate::core::unit::Requirements;
use crate::core::unit::UnitName;

type Metadata = BTreeMap<String, BTreeSet<String>>;

/// A placement that the scheduler proposes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposedPlacement {
    /// The unit.
    pub unit: UnitName,
    /// The machine.
    pub machine: MachineId,
    /// Why this machine.
    pub reason: ChoiceReason,
}

/// All machines with their units, including the placements proposed so far.
#[derive(Debug)]
pub struct Scheduler<'a> {
    requirements: &'a RequirementsIndex,
    snapshot: &'a Snapshot,
    /// The number of machines that must join before the first placement; `None` once the cluster has started.
    minimum_size: Option<u32>,
    /// The machines in the order of machine-ids, so that a lower index is a lower machine-id.
    candidates: Vec<Candidate<'a>>,
    placed: BTreeMap<UnitName, usize>,
    globals: Vec<&'a UnitName>,
    /// The machines that adopt each unit.
    adopting: BTreeMap<&'a UnitName, Vec<usize>>,
    /// The open machines that match each metadata selection of a unit, least loaded first.
    pools: BTreeMap<&'a Metadata, BTreeSet<(usize, usize)>>,
    anti_affinity: AntiAffinityIndex<'a>,
    /// The machines that single units may not be placed on, with the reasons.
    excluded: BTreeMap<UnitName, BTreeMap<MachineId, FilterReason>>,
    /// Units that fit on no machine, by their requirements and the patterns that match them. No other unit with the same key
    /// fits either, until a unit leaves a machine.
    unschedulable_cache: BTreeMap<RequirementKey<'a>, FilterSummary>,
}

type RequirementKey<'a> = (Vec<&'a Glob>, &'a Requirements);

/// A unit that looks for a machine, with what is the same for all machines.
struct Seeker<'b> {
    unit: &'b UnitName,
    needs: &'b Requirements,
    conflicts: Vec<ConflictingUnits<'b>>,
    /// The units that must be on the same machine: those of `MachineOf=`, and the units of the application that are placed.
    peers: Vec<&'b UnitName>,
    /// The machines that the unit may not be placed on.
    excluded: Option<&'b BTreeMap<MachineId, FilterReason>>,
}

/// A machine as a candidate for placements.
#[derive(Debug)]
struct Candidate<'a> {
    id: MachineId,
    machine: &'a Machine,
    /// Why the machine takes no new units.
    closed: Vec<FilterReason>,
    /// The number of units on the machine, including global ones.
    load: usize,
    globals: BTreeSet<&'a UnitName>,
    /// The selections of metadata that this machine matches.
    pools: Vec<&'a Metadata>,
}

impl<'a> Scheduler<'a> {
    /// Makes a scheduler from the records in the store. A placement counts unless its unit's desired state is inactive or
    /// its machine has left. Only a machine that is alive and not cordoned takes new units.
    pub fn new<S: Into<Schedulability>>(
        snapshot: &'a Snapshot,
        schedulability: impl Fn(MachineId) -> S,
        requirements: &'a RequirementsIndex,
    ) -> Self {
        let active =
            |unit: &UnitName| snapshot.units.get(unit).is_some_and(|unit| unit.desired > DesiredState::Inactive);
        let candidates: Vec<_> = snapshot
            .machines
            .values()
            .map(|machine| Candidate::new(machine, schedulability(machine.id).into()))
            .collect();
        let joined = u32::try_from(candidates.len()).unwrap_or(u32::MAX);
        let mut scheduler = Self {
            requirements,
            snapshot,
            // A cluster with a placement has started. It does not stop when a machine leaves.
            minimum_size: Some(snapshot.size).filter(|size| joined < *size && snapshot.placements.is_empty()),
            placed: BTreeMap::new(),
            adopting: adopting(&candidates),
            globals: requirements
                .iter()
                .filter(|(unit, needs)| needs.global && active(unit))
                .map(|(unit, _)| unit)
                .collect(),
            pools: pools(&candidates, requirements.iter().map(|(_, needs)| &needs.metadata)),
            anti_affinity: AntiAffinityIndex::new(requirements.iter().map(|(_, needs)| needs)),
            candidates,
            excluded: BTreeMap::new(),
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
        scheduler.exclude_taken_names();
        scheduler.exclude_machines_without_data();
        for (unit, placement) in snapshot.placements.iter().filter(|(unit, _)| active(unit)) {
            scheduler.put(unit, placement.machine);
        }
        for candidate in 0..scheduler.candidates.len() {
            scheduler.settle_globals(candidate);
        }
        scheduler
    }

    /// Returns the machine on which a unit is placed.
    pub fn machine_of(&self, unit: &UnitName) -> Option<MachineId> {
        self.placed.get(unit).and_then(|candidate| self.candidates.get(*candidate)).map(|candidate| candidate.id)
    }

    /// Returns the global units of a machine, by name: those whose metadata match and that conflict neither with a unit
    /// placed there nor with an earlier global unit. A drain removes them, a cordon does not.
    pub fn globals_on(&self, machine: MachineId) -> impl Iterator<Item = &'a UnitName> {
        let candidate = self.find(machine).and_then(|candidate| self.candidates.get(candidate));
        candidate.into_iter().flat_map(|candidate| candidate.globals.iter().copied())
    }

    /// Rules a machine out for one unit, unless it is ruled out already.
    pub fn exclude(&mut self, unit: &UnitName, machine: MachineId, reason: FilterReason) {
        self.excluded.entry(unit.clone()).or_default().entry(machine).or_insert(reason);
    }

    /// Rules all other machines out for the units whose data are on a machine. A machine on which the file could not be loaded
    /// has no data.
    fn exclude_machines_without_data(&mut self) {
        let snapshot = self.snapshot;
        for unit in self.requirements.staying() {
            let Some(home) = snapshot.placements.get(unit) else { continue };
            let has_failed = home.failed_loads.iter().any(|load| load.machine == home.machine);
            if has_failed || !snapshot.machines.contains_key(&home.machine) {
                continue;
            }
            let requirements = self.requirements;
            for machine in snapshot.machines.keys().filter(|machine| **machine != home.machine) {
                for unit in std::iter::once(unit).chain(requirements.companions(unit)) {
                    self.exclude(unit, *machine, FilterReason::DataElsewhere(home.machine));
                }
            }
        }
    }

    /// Rules each machine out for the units whose names it has, if muster did not write them and it does not adopt them.
    fn exclude_taken_names(&mut self) {
        let snapshot = self.snapshot;
        for (machine, foreign) in &snapshot.foreign {
            let Some(here) = snapshot.machines.get(machine) else { continue };
            for unit in foreign.left_alone_by(here).flat_map(UnitName::with_same_service) {
                self.exclude(&unit, *machine, FilterReason::NameTaken);
            }
        }
    }

    /// Records that a unit is on a machine. A machine that has not joined is ignored.
    pub fn put(&mut self, unit: &UnitName, machine: MachineId) {
        self.put_with(unit, self.requirements.get(unit), machine);
    }

    /// Records that a unit with these requirements is on a machine.
    fn put_with(&mut self, unit: &UnitName, needs: Option<&Requirements>, machine: MachineId) {
        let Some(candidate) = self.find(machine) else { return };
        match self.placed.insert(unit.clone(), candidate) {
            Some(before) if before == candidate => return,
            Some(before) => self.leave(unit, before),
            None => {}
        }
        self.count(unit, needs, candidate);
        self.settle_beside(unit, candidate);
    }

    /// Removes a unit and returns its machine.
    pub fn remove(&mut self, unit: &UnitName) -> Option<MachineId> {
        let candidate = self.placed.remove(unit)?;
        self.leave(unit, candidate);
        self.candidates.get(candidate).map(|candidate| candidate.id)
    }

    fn leave(&mut self, unit: &UnitName, candidate: usize) {
        self.uncount(unit, candidate);
        self.settle_beside(unit, candidate);
    }

    /// Returns why a unit may not stay on its machine, if its requirements or the machine have changed. The health of the
    /// machine and a cordon do not matter here.
    pub fn filter_reason(&self, unit: &UnitName, machine: MachineId) -> Option<FilterReason> {
        let needs = self.requirements.get(unit)?;
        let candidate = self.find(machine)?;
        let here = self.candidates.get(candidate)?;
        here.mismatches(needs).chain(self.colocation(&self.seeker(unit, needs), candidate)).next()
    }

    /// Returns all filter reasons of every machine except the unit's own.
    pub fn filter_reasons(&self, unit: &UnitName) -> Vec<(MachineId, Vec<FilterReason>)> {
        let Some(needs) = self.requirements.get(unit) else { return Vec::new() };
        let seeker = self.seeker(unit, needs);
        let others =
            self.candidates.iter().enumerate().filter(|(candidate, _)| self.placed.get(unit) != Some(candidate));
        let reasons = |candidate| {
            let mut reasons: Vec<FilterReason> = Vec::new();
            // A unit may match several patterns.
            for reason in self.filter(&seeker, candidate) {
                if !reasons.contains(&reason) {
                    reasons.push(reason);
                }
            }
            reasons
        };
        others.map(|(candidate, here)| (here.id, reasons(candidate))).collect()
    }

    /// Chooses a machine for a unit and places it there. The unit's own placement comes first, then those of the units that
    /// it displaces (`Replaces=`). After an error no unit has moved.
    pub fn schedule(&mut self, unit: &UnitName) -> Result<Vec<ProposedPlacement>, PlacementError> {
        let needs = self.requirements.get(unit).ok_or_else(|| self.invalid_requirements(unit))?;
        if let Some(size) = self.minimum_size {
            return Err(PlacementError::ClusterIncomplete { joined: self.candidates.len(), size });
        }
        if needs.global {
            return Err(PlacementError::Global);
        }
        let before = self.remove(unit);
        let placed = match self.replace(unit, needs) {
            Ok(None) => self.place(unit, needs).map(|placement| vec![placement]),
            Ok(Some(placements)) => Ok(placements),
            Err(error) => Err(error),
        };
        if let (Err(_), Some(machine)) = (&placed, before) {
            self.put(unit, machine);
        }
        placed
    }

    /// Chooses a machine for a unit that has none, and places it there.
    fn place(&mut self, unit: &UnitName, needs: &'a Requirements) -> Result<ProposedPlacement, PlacementError> {
        // An error for a missing peer ends when the peer is placed. Any other one lasts until a unit leaves a machine.
        let is_like_others =
            needs.machine_of.is_empty() && needs.application.is_none() && !self.excluded.contains_key(unit);
        let key = is_like_others.then(|| (self.anti_affinity.matching(unit), needs));
        if let Some(summary) = key.as_ref().and_then(|key| self.unschedulable_cache.get(key)) {
            return Err(PlacementError::Unschedulable(summary.clone()));
        }
        let placement = self.select(unit, needs);
        match (&placement, key) {
            (Ok(placement), _) => self.put_with(unit, Some(needs), placement.machine),
            (Err(PlacementError::Unschedulable(summary)), Some(key)) => {
                _ = self.unschedulable_cache.insert(key, summary.clone());
            }
            (Err(_), _) => {}
        }
        placement
    }

    /// Schedules units: those that other units depend on first, else by name.
    pub fn schedule_all<'u>(
        &mut self,
        units: impl IntoIterator<Item = &'u UnitName>,
    ) -> Vec<(&'u UnitName, Result<Vec<ProposedPlacement>, PlacementError>)> {
        let ordered = dependencies_first(units, self.requirements);
        ordered.into_iter().map(|unit| (unit, self.schedule(unit))).collect()
    }

    /// Places a unit where it displaces the units that it replaces, if there are any and each fits elsewhere.
    fn replace(
        &mut self,
        unit: &UnitName,
        needs: &Requirements,
    ) -> Result<Option<Vec<ProposedPlacement>>, PlacementError> {
        if needs.replaces.is_empty() {
            return Ok(None);
        }
        let seeker = self.seeker(unit, needs);
        let mut places = Vec::new();
        for (candidate, units) in self.anti_affinity.matched_by(&needs.replaces) {
            let placed = |other: &&UnitName| *other != unit && self.placed.contains_key(*other);
            let units: Vec<UnitName> = units.into_iter().filter(placed).cloned().collect();
            if let Some(other) = units.iter().find(|other| self.replaces(other, unit)) {
                return Err(PlacementError::Circular(other.clone()));
            }
            if let Some((here, first)) = self.candidates.get(candidate).zip(units.first().cloned())
                && self.filter(&seeker, candidate).next().is_none()
            {
                places.push((here.load, here.id, first, units));
            }
        }
        places.sort();
        let mut error = None;
        for (_, machine, first, units) in places {
            let mut placements =
                vec![ProposedPlacement { unit: unit.clone(), machine, reason: ChoiceReason::Replaces(first) }];
            self.put(unit, machine);
            match self.displace(&units, &mut placements) {
                Ok(()) => return Ok(Some(placements)),
                Err(why) => {
                    self.remove(unit);
                    for unit in &units {
                        self.put(unit, machine);
                    }
                    error = Some(why);
                }
            }
        }
        error.map_or(Ok(None), Err)
    }

    fn invalid_requirements(&self, unit: &UnitName) -> PlacementError {
        PlacementError::InvalidRequirements(self.requirements.error(unit).map(ToString::to_string))
    }

    fn replaces(&self, unit: &UnitName, other: &UnitName) -> bool {
        self.requirements.get(unit).is_some_and(|needs| needs.replaces.iter().any(|glob| glob.matches(other.as_str())))
    }

    /// Finds another machine for each of these units. They conflict with the unit that displaced them.
    fn displace(&mut self, units: &[UnitName], placements: &mut Vec<ProposedPlacement>) -> Result<(), PlacementError> {
        for unit in units {
            self.remove(unit);
        }
        for unit in units {
            let cannot_move = |why| PlacementError::CannotDisplace { unit: unit.clone(), why: Box::new(why) };
            let needs = self.requirements.get(unit).ok_or_else(|| cannot_move(self.invalid_requirements(unit)))?;
            placements.push(self.place(unit, needs).map_err(cannot_move)?);
        }
        Ok(())
    }

    /// Selects the least loaded machine that meets every requirement.
    fn select(&self, unit: &UnitName, needs: &Requirements) -> Result<ProposedPlacement, PlacementError> {
        let seeker = self.seeker(unit, needs);
        let open = |candidate: &usize| self.filter(&seeker, *candidate).next().is_none();
        let peer = seeker.peers.iter().find_map(|peer| Some((*peer, *self.placed.get(*peer)?)));
        let present = self.present_on(unit).find(|(candidate, _)| open(candidate));
        let found = if present.is_some() {
            present
        } else if let Some((peer, candidate)) = peer {
            Some(candidate).filter(open).map(|candidate| (candidate, ChoiceReason::With(peer.clone())))
        } else if let Some(pin) = needs.machine_id {
            let mut pinned = self.between(pin.machines());
            pinned.sort_by_key(|candidate| self.candidates.get(*candidate).map(|candidate| candidate.load));
            pinned.into_iter().find(open).map(|candidate| (candidate, ChoiceReason::Pinned(pin)))
        } else {
            let pool = self.pools.get(&needs.metadata).into_iter().flatten();
            let mut fitting = pool.filter(|(_, candidate)| open(candidate));
            fitting.next().map(|(load, candidate)| {
                let next = fitting.next().map(|(load, _)| *load);
                (*candidate, ChoiceReason::LeastLoaded { units: *load, next })
            })
        };
        match found.and_then(|(candidate, reason)| Some((self.candidates.get(candidate)?.id, reason))) {
            Some((machine, reason)) => Ok(ProposedPlacement { unit: unit.clone(), machine, reason }),
            None => Err(self.placement_error(&seeker)),
        }
    }

    /// Returns why no machine fits.
    fn placement_error(&self, seeker: &Seeker<'_>) -> PlacementError {
        let needs = seeker.needs;
        let is_somewhere = |peer: &&UnitName| self.placed.contains_key(*peer) || self.globals.contains(peer);
        if let Some(peer) = needs.machine_of.iter().find(|peer| !is_somewhere(peer)) {
            return PlacementError::PeerNotPlaced(peer.clone());
        }
        if let Some(pin) = needs.machine_id.filter(|pin| self.between(pin.machines()).is_empty()) {
            return PlacementError::NoSuchMachine(pin);
        }
        let candidates = 0..self.candidates.len();
        PlacementError::Unschedulable(
            candidates.filter_map(|candidate| self.filter(seeker, candidate).next()).collect(),
        )
    }

    /// Returns why a machine does not fit: each reason as it is asked for, none if the machine fits.
    fn filter<'b>(&'b self, seeker: &'b Seeker<'_>, candidate: usize) -> impl Iterator<Item = FilterReason> + 'b {
        let reasons = self.candidates.get(candidate).into_iter().flat_map(move |here| {
            let excluded = seeker.excluded.and_then(|machines| machines.get(&here.id));
            here.closed.iter().cloned().chain(here.mismatches(seeker.needs)).chain(excluded.cloned())
        });
        reasons.chain(self.colocation(seeker, candidate))
    }

    fn seeker<'b>(&'b self, unit: &'b UnitName, needs: &'b Requirements) -> Seeker<'b> {
        let companions = self.requirements.companions(unit).filter(|other| self.placed.contains_key(*other));
        Seeker {
            unit,
            needs,
            conflicts: self.anti_affinity.conflicts_of(unit, needs),
            peers: needs.machine_of.iter().chain(companions).collect(),
            excluded: self.excluded.get(unit),
        }
    }

    /// Returns the machines on which a unit is already: those where its file runs, then those that adopt the unit, each in
    /// the order of machine-ids.
    fn present_on(&self, unit: &UnitName) -> impl Iterator<Item = (usize, ChoiceReason)> {
        let is_current = |hash| self.snapshot.units.get(unit).is_some_and(|unit| unit.hash == hash);
        let states = self.snapshot.states.get(unit).into_iter().flatten();
        let running = states.filter(move |(_, state)| state.runs() && is_current(state.hash));
        let running = running.filter_map(|(machine, _)| Some((self.find(*machine)?, ChoiceReason::RunsThere)));
        let adopting =
            self.adopting.get(unit).into_iter().flatten().filter(|candidate| self.may_have(**candidate, unit));
        running.chain(adopting.map(|candidate| (*candidate, ChoiceReason::FoundThere)))
    }

    /// Reports whether a machine that was to adopt a unit when it joined may still have it: muster has moved it since if the
    /// machine was observed and does not report it.
    fn may_have(&self, candidate: usize, unit: &UnitName) -> bool {
        let Some(id) = self.candidates.get(candidate).map(|candidate| candidate.id) else { return false };
        let snapshot = self.snapshot;
        !snapshot.health.contains_key(&id)
            || snapshot.states.get(unit).is_some_and(|states| states.contains_key(&id))
            || snapshot.foreign.get(&id).is_some_and(|foreign| foreign.names.contains(unit))
    }

    /// Returns which peers are missing on a machine, then which units there conflict (`Conflicts=`, of either unit).
    fn colocation<'b>(&'b self, seeker: &'b Seeker<'_>, candidate: usize) -> impl Iterator<Item = FilterReason> + 'b {
        let is_here = move |peer: &UnitName| {
            self.placed.get(peer) == Some(&candidate)
                || self.candidates.get(candidate).is_some_and(|candidate| candidate.globals.contains(peer))
        };
        let absent = seeker.peers.iter().filter(move |peer| !is_here(peer));
        let absent = absent.map(|peer| FilterReason::PeerMissing((*peer).clone()));
        let conflicting = seeker.conflicts.iter().flat_map(move |conflicts| conflicts.on(candidate, seeker.unit));
        absent.chain(conflicting.cloned().map(FilterReason::Conflict))
    }

    /// Recomputes the global units of a machine.
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
            let Some(needs) = self.requirements.get(unit) else { continue };
            let fits = self
                .candidates
                .get(candidate)
                .is_some_and(|candidate| !candidate.machine.draining && candidate.mismatches(needs).next().is_none());
            if !fits {
                continue;
            }
            if self.colocation(&self.seeker(unit, needs), candidate).next().is_none() {
                self.candidates.get_mut(candidate).into_iter().for_each(|candidate| _ = candidate.globals.insert(unit));
                self.count(unit, Some(needs), candidate);
            }
        }
    }

    /// Recomputes the global units of a machine where a unit was added or removed, if they may conflict with it.
    fn settle_beside(&mut self, unit: &UnitName, candidate: usize) {
        if !self.globals.is_empty() && self.anti_affinity.may_conflict(unit, self.requirements.get(unit)) {
            self.settle_globals(candidate);
        }
    }

    /// Adds a unit to a machine's load and to the conflicts.
    fn count(&mut self, unit: &UnitName, needs: Option<&Requirements>, candidate: usize) {
        self.anti_affinity.add(unit, needs, candidate);
        self.shift(candidate, |load| load + 1);
    }

    /// Removes a unit from a machine's load and from the conflicts.
    fn uncount(&mut self, unit: &UnitName, candidate: usize) {
        self.anti_affinity.remove(unit, self.requirements.get(unit), candidate);
        self.shift(candidate, |load| load.saturating_sub(1));
        self.unschedulable_cache.clear();
    }

    /// Changes a machine's load and its rank in every pool.
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
        let cordoned = machine.cordoned.then_some(FilterReason::Cordoned);
        let closed = match schedulability {
            Schedulability::Health(Health::Alive) => cordoned.into_iter().collect(),
            Schedulability::Full => cordoned.into_iter().chain([FilterReason::Full]).collect(),
            Schedulability::Flapping(outages) => {
                cordoned.into_iter().chain([FilterReason::Flapping(outages)]).collect()
            }
            Schedulability::Health(health) => [FilterReason::Health(health)].into_iter().chain(cordoned).collect(),
        };
        Self { id: machine.id, machine, closed, load: 0, globals: BTreeSet::new(), pools: Vec::new() }
    }

    /// Returns the requirements that the machine itself does not meet.
    fn mismatches<'b>(&'b self, needs: &'b Requirements) -> impl Iterator<Item = FilterReason> + 'b {
        let pin = needs.machine_id.filter(|pin| !pin.machines().contains(&self.id));
        let has = |key: &String, wanted: &BTreeSet<String>| {
            self.machine.metadata.get(key).is_some_and(|value| wanted.contains(value))
        };
        let unmet = needs.metadata.iter().filter(move |(key, wanted)| !has(key, wanted));
        let unmet = unmet.map(|(key, wanted)| FilterReason::Metadata { key: key.clone(), wanted: wanted.clone() });
        let podman = needs.podman.as_ref().filter(|need| !self.machine.podman.satisfies(need.version));
        let podman = podman.map(|need| FilterReason::Podman { has: self.machine.podman, needs: (**need).clone() });
        pin.map(FilterReason::NotPinned).into_iter().chain(unmet).chain(podman)
    }
}

/// Returns the machines that adopt each unit.
fn adopting<'a>(candidates: &[Candidate<'a>]) -> BTreeMap<&'a UnitName, Vec<usize>> {
    let mut adopting = BTreeMap::<_, Vec<_>>::new();
    for (number, candidate) in candidates.iter().enumerate() {
        candidate.machine.adopts.iter().for_each(|unit| adopting.entry(unit).or_default().push(number));
    }
    adopting
}

/// Returns the open machines for each metadata selection.
fn pools<'a>(
    candidates: &[Candidate<'a>],
    selections: impl Iterator<Item = &'a Metadata>,
) -> BTreeMap<&'a Metadata, BTreeSet<(usize, usize)>> {
    let open = || candidates.iter().enumerate().filter(|(_, candidate)| candidate.closed.is_empty());
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
