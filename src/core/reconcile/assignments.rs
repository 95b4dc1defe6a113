//! The assignments: the units that belong on each machine, from the placements and the global units of a snapshot. This
//! module chooses no machine and plans no step.

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

/// The units that a reconciler works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All units: a sweep, a controller.
    All,
    /// These units only: an operation. No other unit is touched.
    Units(BTreeSet<UnitName>),
}

impl Scope {
    /// Reports whether a unit is in scope.
    pub fn has(&self, unit: &UnitName) -> bool {
        match self {
            Self::All => true,
            Self::Units(units) => units.contains(unit),
        }
    }
}

/// The global units that belong on each machine.
pub type Globals = BTreeMap<MachineId, BTreeSet<UnitName>>;

/// The assigned units of each machine, within a scope. Machines without units are left out.
#[derive(Debug, Clone, Default)]
pub struct Assignments {
    wanted: BTreeMap<MachineId, BTreeMap<UnitName, Wanted>>,
}

impl Assignments {
    /// Computes the assignments of a snapshot, given the global units of each machine.
    pub fn new(snapshot: &Snapshot, scope: &Scope, globals: &Globals) -> Self {
        let mut wanted: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        let placed = snapshot.placements.iter().map(|(name, placement)| (placement.machine, name));
        let everywhere = globals.iter().flat_map(|(machine, units)| units.iter().map(|name| (*machine, name)));
        for (machine, name) in placed.chain(everywhere) {
            if let Some(unit) = scope.has(name).then(|| wanted_of(snapshot, name)).flatten() {
                wanted.entry(machine).or_default().insert(name.clone(), unit);
            }
        }
        Self { wanted }
    }

    /// Moves a unit that is not global from the machine `before` to the machine `after`.
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
    }

    /// Returns the units that belong on a machine.
    pub fn wanted(&self, machine: MachineId) -> Option<&BTreeMap<UnitName, Wanted>> {
        self.wanted.get(&machine)
    }

    /// Returns the assignment of a unit to a machine.
    pub fn of(&self, machine: MachineId, unit: &UnitName) -> Option<&Wanted> {
        self.wanted.get(&machine)?.get(unit)
    }

    /// Returns the machines that have units.
    pub fn machines(&self) -> impl Iterator<Item = MachineId> {
        self.wanted.keys().copied()
    }
}

/// Returns the assignment of a unit on its machine; `None` if the unit is to be inactive or its file is unknown.
fn wanted_of(snapshot: &Snapshot, name: &UnitName) -> Option<Wanted> {
    let unit = snapshot.units.get(name).filter(|unit| unit.desired != DesiredState::Inactive)?;
    let file = snapshot.files.get(&unit.hash)?;
    let strict = (Class::binding(file) == Class::Strict).then(|| lease::stop_of(file));
    Some(Wanted { unit: *unit, install: file.has_install(), strict })
}

/// Returns why a unit must leave a machine that it is not assigned to; `None` if it stays.
///
/// A unit that is not global and has no placement stays, because it may yet be placed here. A unit that is placed here
/// stays although it has no assignment, because its file is lost.
pub fn removal_reason(snapshot: &Snapshot, unit: &UnitName, here: MachineId, global: bool) -> Option<Reason> {
    match (snapshot.units.get(unit), snapshot.placements.get(unit)) {
        (None, _) => Some(Reason::NotSubmitted),
        (Some(known), _) if known.desired == DesiredState::Inactive => Some(Reason::WantedInactive),
        (Some(_), Some(placement)) if placement.machine == here => None,
        (Some(_), Some(placement)) => Some(Reason::PlacedElsewhere(placement.machine)),
        (Some(_), None) => global.then_some(Reason::NotForThisMachine),
    }
}
