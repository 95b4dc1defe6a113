//! Units that need others: systemd stops them together with those. Nothing is decided here.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::core::model::DesiredState;
use crate::core::model::Snapshot;
use crate::core::model::UnitState;
use crate::core::unit::UnitName;
use crate::core::unit::needed_quadlets;

/// The options of `[Unit]` with which systemd stops a unit together with one that it names (systemd.unit(5)).
const STOPPED_TOGETHER: [&str; 4] = ["BindsTo", "PartOf", "Requires", "StopPropagatedFrom"];

/// The launched units of a cluster that need others. A unit that has ended, as a job has, is not stopped.
pub(super) struct Needing<'a> {
    snapshot: &'a Snapshot,
    /// The units that need each unit, by the name that systemd has for it.
    by_service: BTreeMap<String, Vec<&'a UnitName>>,
}

impl<'a> Needing<'a> {
    /// Reads the files of all launched units. Podman writes `Requires=` for the Quadlet files that one names.
    pub(super) fn of(snapshot: &'a Snapshot) -> Self {
        let has_ended = |unit: &UnitName| snapshot.states.get(unit).is_some_and(|it| !it.values().any(UnitState::runs));
        let launched = snapshot.units.iter().filter(|(_, unit)| unit.desired == DesiredState::Launched);
        let mut by_service: BTreeMap<String, Vec<&UnitName>> = BTreeMap::new();
        for (name, _) in launched.filter(|(name, _)| !has_ended(name)) {
            let Some(file) = snapshot.file(name) else { continue };
            let named = STOPPED_TOGETHER.iter().flat_map(|option| file.values("Unit", option));
            let named = named.flat_map(str::split_whitespace).map(str::to_owned);
            let quadlets = if name.is_quadlet() { needed_quadlets(file) } else { BTreeSet::new() };
            let quadlets = quadlets.iter().map(|other| other.of_systemd().into_owned());
            for service in named.chain(quadlets) {
                by_service.entry(service).or_default().push(name);
            }
        }
        Self { snapshot, by_service }
    }

    /// Returns the units that need one of these on the same machine, by themselves or through others.
    pub(super) fn with(&self, units: &BTreeSet<UnitName>) -> BTreeSet<UnitName> {
        let machine = |unit: &UnitName| self.snapshot.placements.get(unit).map(|placement| placement.machine);
        let is_beside = |one, other| machine(one).zip(machine(other)).is_none_or(|(one, other)| one == other);
        let mut found: BTreeSet<UnitName> = BTreeSet::new();
        let mut asked: Vec<&UnitName> = units.iter().collect();
        while let Some(unit) = asked.pop() {
            for other in self.by_service.get(&*unit.of_systemd()).into_iter().flatten().copied() {
                if !units.contains(other) && is_beside(other, unit) && found.insert(other.clone()) {
                    asked.push(other);
                }
            }
        }
        found
    }
}

/// Returns the launched units that systemd stops together with these, because they need one of them.
pub fn needing(snapshot: &Snapshot, units: &BTreeSet<UnitName>) -> BTreeSet<UnitName> {
    if units.is_empty() { BTreeSet::new() } else { Needing::of(snapshot).with(units) }
}
