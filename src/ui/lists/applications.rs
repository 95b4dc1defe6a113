//! The list of applications: how many units each has, how many of them run, and where.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde::Serialize;

use super::Column;
use super::Row;
use crate::core::model::DesiredState;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;
use crate::core::model::UnitState;
use crate::core::unit::UnitName;

/// An application in `list-applications`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApplicationRow {
    application: String,
    units: BTreeSet<UnitName>,
    /// The units that are to run.
    wanted: BTreeSet<UnitName>,
    /// Those of them that run as desired, as far as their machines were observed just now.
    well: BTreeSet<UnitName>,
    /// The names of the machines of the units.
    machines: BTreeSet<String>,
}

impl Row for ApplicationRow {
    const COLUMNS: &'static [Column<Self>] = &[
        Column { name: "application", cell: |row, _| Some(row.application.clone()) },
        Column { name: "units", cell: |row, _| Some(row.units.len().to_string()) },
        Column { name: "running", cell: |row, _| Some(format!("{}/{}", row.well.len(), row.wanted.len())) },
        Column { name: "machines", cell: |row, _| Some(row.machines.iter().cloned().collect::<Vec<_>>().join(",")) },
        Column {
            name: "missing",
            cell: |row, _| {
                let missing = row.wanted.difference(&row.well).map(UnitName::as_str);
                Some(missing.collect::<Vec<_>>().join(","))
            },
        },
    ];
    const USUAL: &'static str = "application,units,running,machines,missing";
    const FLEET: &'static str = Self::USUAL;
}

impl ApplicationRow {
    /// Returns the name of the application.
    pub fn application(&self) -> &str {
        &self.application
    }
}

/// Returns the applications, by name.
pub fn applications(snapshot: &Snapshot, now: Timestamp) -> Vec<ApplicationRow> {
    let mut members = BTreeMap::<&str, BTreeSet<&UnitName>>::new();
    for unit in snapshot.units.keys() {
        if let Some(application) = snapshot.file(unit).and_then(|file| file.application()) {
            members.entry(application).or_default().insert(unit);
        }
    }
    members.into_iter().map(|(application, units)| row(snapshot, application, &units, now)).collect()
}

fn row(snapshot: &Snapshot, application: &str, units: &BTreeSet<&UnitName>, now: Timestamp) -> ApplicationRow {
    let is_wanted =
        |unit: &&&UnitName| snapshot.units.get(**unit).is_some_and(|record| record.desired == DesiredState::Launched);
    let is_well = |unit: &&&UnitName| {
        let oneshot = snapshot.file(unit).is_some_and(|file| file.is_oneshot());
        let well = |state: &UnitState| state.launched && state.is_well(oneshot) && (oneshot || !state.is_starting());
        let states = snapshot.states.get(**unit).into_iter().flatten();
        let mut current = states.filter(|(machine, _)| snapshot.is_current(**machine, now)).peekable();
        current.peek().is_some() && current.all(|(_, state)| well(state))
    };
    let machines = units.iter().flat_map(|unit| {
        let placed = snapshot.placements.get(*unit).map(|placement| placement.machine);
        let reported = snapshot.states.get(*unit).into_iter().flat_map(BTreeMap::keys).copied();
        placed.into_iter().chain(reported)
    });
    let names = |units: &mut dyn Iterator<Item = &&UnitName>| units.map(|unit| (*unit).clone()).collect();
    ApplicationRow {
        application: application.to_owned(),
        units: names(&mut units.iter()),
        wanted: names(&mut units.iter().filter(is_wanted)),
        well: names(&mut units.iter().filter(is_wanted).filter(is_well)),
        machines: machines.map(|machine| snapshot.name_of(machine)).collect(),
    }
}
