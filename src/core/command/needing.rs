//! Units that need others: systemd stops them together with those. Nothing is decided here.

use std::collections::BTreeSet;

use crate::core::model::DesiredState;
use crate::core::model::Snapshot;
use crate::core::model::UnitState;
use crate::core::unit::UnitFile;
use crate::core::unit::UnitName;
use crate::core::unit::needed_quadlets;

/// The options of `[Unit]` with which systemd stops a unit together with one that it names (systemd.unit(5)).
const STOPPED_TOGETHER: [&str; 4] = ["BindsTo", "PartOf", "Requires", "StopPropagatedFrom"];

/// Reports whether systemd stops a unit with this file whenever the other one stops. Podman writes `Requires=` for the Quadlet files
/// that one names.
fn needs(unit: &UnitName, file: &UnitFile, other: &UnitName) -> bool {
    let service = other.of_systemd();
    let named = STOPPED_TOGETHER.iter().flat_map(|option| file.values("Unit", option));
    named.flat_map(str::split_whitespace).any(|word| word == service)
        || unit.is_quadlet() && other.is_quadlet() && needed_quadlets(file).contains(other)
}

/// Returns the launched units that need one of these on the same machine, by themselves or through others. A unit that has ended
/// there, as a job has, is not stopped.
pub fn needing(snapshot: &Snapshot, units: BTreeSet<UnitName>) -> BTreeSet<UnitName> {
    let launched = snapshot.units.iter().filter(|(_, unit)| unit.desired == DesiredState::Launched);
    let has_ended = |unit: &UnitName| snapshot.states.get(unit).is_some_and(|it| !it.values().any(UnitState::runs));
    let mut others: Vec<(&UnitName, &UnitFile)> = launched
        .filter(|(name, _)| !units.contains(*name) && !has_ended(name))
        .filter_map(|(name, _)| Some((name, &**snapshot.file(name)?)))
        .collect();
    let machine = |unit: &UnitName| snapshot.placements.get(unit).map(|placement| placement.machine);
    let mut found = BTreeSet::new();
    let mut asked: Vec<UnitName> = units.into_iter().collect();
    while let Some(unit) = asked.pop() {
        let is_one = |(name, file): &mut (&UnitName, &UnitFile)| {
            let is_beside = machine(name).zip(machine(&unit)).is_none_or(|(one, other)| one == other);
            is_beside && needs(name, file, &unit)
        };
        let new: Vec<UnitName> = others.extract_if(.., is_one).map(|(name, _)| name.clone()).collect();
        found.extend(new.iter().cloned());
        asked.extend(new);
    }
    found
}
