//! Who should run what: the snapshot's units and placements, by machine.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::core::lease;
use crate::core::model::DesiredState;
use crate::core::model::MachineId;
use crate::core::model::Reason;
use crate::core::model::Snapshot;
use crate::core::plan::Wanted;
use crate::core::unit::Class;
use crate::core::unit::UnitName;

/// Which units a reconciler is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All of them: a sweep, a controller.
    All,
    /// These, and nothing else is touched: a verb.
    Units(BTreeSet<UnitName>),
}

impl Scope {
    /// Says whether the reconciler is about a unit.
    pub fn has(&self, unit: &UnitName) -> bool {
        match self {
            Self::All => true,
            Self::Units(units) => units.contains(unit),
        }
    }
}

/// The global units that belong on each machine.
pub type Globals = BTreeMap<MachineId, BTreeSet<UnitName>>;

/// The units of each machine that has any, within a scope.
#[derive(Debug, Clone, Default)]
pub struct Assignments {
    wanted: BTreeMap<MachineId, BTreeMap<UnitName, Wanted>>,
    strict: BTreeSet<MachineId>,
}

impl Assignments {
    /// Draws up the assignments of a snapshot, with the global units of each machine.
    pub fn new(snapshot: &Snapshot, scope: &Scope, globals: &Globals) -> Self {
        let mut wanted: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        let placed = snapshot.placements.iter().map(|(name, placement)| (placement.machine, name));
        let everywhere = globals.iter().flat_map(|(machine, units)| units.iter().map(|name| (*machine, name)));
        for (machine, name) in placed.chain(everywhere) {
            if let Some(unit) = scope.has(name).then(|| wanted_of(snapshot, name)).flatten() {
                wanted.entry(machine).or_default().insert(name.clone(), unit);
            }
        }
        let mut assignments = Self { wanted, strict: BTreeSet::new() };
        assignments.strict = assignments.machines().filter(|machine| assignments.has_strict(*machine)).collect();
        assignments
    }

    /// Says whether a strict unit is to run on a machine.
    fn has_strict(&self, machine: MachineId) -> bool {
        let runs = |wanted: &Wanted| wanted.strict.is_some() && wanted.unit.desired == DesiredState::Launched;
        self.wanted.get(&machine).is_some_and(|units| units.values().any(runs))
    }

    /// Takes a unit that is not global off the machine where it was placed and puts it where it is placed now.
    pub fn shift(
        &mut self,
        snapshot: &Snapshot,
        scope: &Scope,
        name: &UnitName,
        before: Option<MachineId>,
        after: Option<MachineId>,
    ) {
        if let Some(units) = before.and_then(|machine| self.wanted.get_mut(&machine)) {
            units.remove(name);
        }
        let unit = scope.has(name).then(|| wanted_of(snapshot, name)).flatten();
        if let Some((machine, unit)) = after.zip(unit) {
            self.wanted.entry(machine).or_default().insert(name.clone(), unit);
        }
        if let Some(machine) = before.filter(|machine| self.wanted.get(machine).is_some_and(BTreeMap::is_empty)) {
            self.wanted.remove(&machine);
        }
        for machine in before.into_iter().chain(after) {
            if self.has_strict(machine) {
                self.strict.insert(machine);
            } else {
                self.strict.remove(&machine);
            }
        }
    }

    /// Returns what belongs on a machine.
    pub fn wanted(&self, machine: MachineId) -> Option<&BTreeMap<UnitName, Wanted>> {
        self.wanted.get(&machine)
    }

    /// Returns what is wanted of a unit on a machine.
    pub fn of(&self, machine: MachineId, unit: &UnitName) -> Option<&Wanted> {
        self.wanted.get(&machine)?.get(unit)
    }

    /// Returns the machines that strict units are to run on.
    pub fn strict_machines(&self) -> impl Iterator<Item = MachineId> {
        self.strict.iter().copied()
    }

    /// Says whether strict units are to run on a machine.
    pub fn is_strict(&self, machine: MachineId) -> bool {
        self.strict.contains(&machine)
    }

    /// Returns the machines that something belongs on.
    pub fn machines(&self) -> impl Iterator<Item = MachineId> {
        self.wanted.keys().copied()
    }
}

/// Returns what is wanted of a unit that is to be on a machine; `None` if it is to be on none.
fn wanted_of(snapshot: &Snapshot, name: &UnitName) -> Option<Wanted> {
    let unit = snapshot.units.get(name).filter(|unit| unit.desired != DesiredState::Inactive)?;
    let file = snapshot.files.get(&unit.hash)?;
    let strict = (Class::binding(file) == Class::Strict).then(|| lease::stop_of(file));
    Some(Wanted { unit: *unit, install: file.has_install(), strict })
}

/// Says why a unit that is on a machine and does not belong there has to go. One that is to be somewhere and has no
/// place yet need not: the place may be this one. Nor has one that was placed here and whose file is lost.
pub fn removal_reason(snapshot: &Snapshot, unit: &UnitName, here: MachineId, global: bool) -> Option<Reason> {
    match (snapshot.units.get(unit), snapshot.placements.get(unit)) {
        (None, _) => Some(Reason::NotSubmitted),
        (Some(known), _) if known.desired == DesiredState::Inactive => Some(Reason::WantedInactive),
        (Some(_), Some(placement)) if placement.machine == here => None,
        (Some(_), Some(placement)) => Some(Reason::PlacedElsewhere(placement.machine)),
        (Some(_), None) => global.then_some(Reason::NotForThisMachine),
    }
}
