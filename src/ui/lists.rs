//! The three lists, from a snapshot: fleet's columns, legends and order, and the same rows as JSON.

use std::collections::BTreeMap;

use serde::Serialize;

use super::table;
use crate::core::explain;
use crate::core::model::ActiveState;
use crate::core::model::DesiredState;
use crate::core::model::Health;
use crate::core::model::JobType;
use crate::core::model::LoadState;
use crate::core::model::Machine;
use crate::core::model::MachineId;
use crate::core::model::Snapshot;
use crate::core::model::SubState;
use crate::core::model::Timestamp;
use crate::core::model::UnitState;
use crate::core::sanitize;
use crate::core::unit::Hash;
use crate::core::unit::Requirements;
use crate::core::unit::UnitName;

/// How a list is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Which columns, separated by commas; each kind of list has its own usual ones.
    pub fields: String,
    /// Set for whole machine-ids and hashes.
    pub full: bool,
    /// Set to leave the header out.
    pub no_legend: bool,
}

/// The columns that were asked for cannot be shown. Nothing was printed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadFields {
    /// None was given.
    #[error("Must define output format")]
    None,
    /// There is no such column.
    #[error("Invalid key in output format: {0:?}")]
    Unknown(String),
}

/// One column: its name, and what it shows of a row (`-` for nothing), shortened or in full.
#[derive(Debug)]
pub struct Column<R> {
    name: &'static str,
    cell: fn(&R, bool) -> Option<String>,
}

/// A kind of row that can be listed.
pub trait Row: Serialize + Sized + 'static {
    /// Every column there is.
    const COLUMNS: &'static [Column<Self>];
    /// The columns that are shown unless others are asked for.
    const USUAL: &'static str;
}

/// A machine in `list-machines`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MachineRow {
    machine: MachineId,
    name: String,
    ip: String,
    metadata: BTreeMap<String, String>,
    health: Health,
    cordoned: bool,
    os: String,
    systemd: u32,
}

/// A unit in `list-unit-files`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnitFileRow {
    unit: UnitName,
    hash: Hash,
    global: bool,
    #[serde(rename = "dstate")]
    desired: DesiredState,
    state: Option<DesiredState>,
    target: Option<Place>,
    #[serde(rename = "desc")]
    description: Option<String>,
}

/// A unit on a machine in `list-units`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnitRow {
    unit: UnitName,
    load: LoadState,
    active: ActiveState,
    sub: SubState,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<JobType>,
    machine: Place,
    hash: Hash,
    /// Set if it is strict and its machine does not answer: when it is gone from there.
    #[serde(skip_serializing_if = "Option::is_none")]
    may_run_until: Option<Timestamp>,
}

/// A machine that a unit is on. It has no IP here if it is no longer a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    machine: MachineId,
    ip: Option<String>,
    #[serde(skip)]
    legend: (String, String),
}

impl Place {
    fn new(snapshot: &Snapshot, machine: MachineId) -> Self {
        let member = snapshot.machines.get(&machine);
        let short = || format!("{}...", machine.short());
        let legend = |full| member.map(|member| member.legend(full));
        Self {
            machine,
            ip: member.map(|member| member.ip.clone()).filter(|ip| !ip.is_empty()),
            legend: (legend(false).unwrap_or_else(short), legend(true).unwrap_or_else(|| machine.to_string())),
        }
    }

    fn legend(&self, full: bool) -> String {
        if full { self.legend.1.clone() } else { self.legend.0.clone() }
    }
}

impl Row for MachineRow {
    const COLUMNS: &'static [Column<Self>] = &[
        Column {
            name: "machine",
            cell: |row, full| Some(if full { row.machine.to_string() } else { format!("{}...", row.machine.short()) }),
        },
        Column { name: "ip", cell: |row, _| Some(row.ip.clone()) },
        Column {
            name: "metadata",
            cell: |row, _| {
                let pairs: Vec<String> = row.metadata.iter().map(|(key, value)| format!("{key}={value}")).collect();
                Some(pairs.join(","))
            },
        },
        Column { name: "name", cell: |row, _| Some(row.name.clone()) },
        Column {
            name: "health",
            cell: |row, _| Some(format!("{}{}", row.health, if row.cordoned { ", cordoned" } else { "" })),
        },
    ];
    const USUAL: &'static str = "machine,ip,metadata";
}

impl Row for UnitFileRow {
    const COLUMNS: &'static [Column<Self>] = &[
        Column { name: "unit", cell: |row, _| Some(row.unit.to_string()) },
        Column { name: "hash", cell: |row, full| Some(hash(row.hash, full)) },
        Column { name: "global", cell: |row, _| Some(row.global.to_string()) },
        Column { name: "dstate", cell: |row, _| Some(row.desired.to_string()) },
        Column { name: "state", cell: |row, _| row.state.map(|state| state.to_string()) },
        Column { name: "target", cell: Self::target },
        Column { name: "tmachine", cell: Self::target },
        Column { name: "desc", cell: |row, _| row.description.clone() },
    ];
    const USUAL: &'static str = "unit,hash,dstate,state,target";
}

impl UnitFileRow {
    fn target(&self, full: bool) -> Option<String> {
        if self.global { Some("global".to_owned()) } else { self.target.as_ref().map(|place| place.legend(full)) }
    }
}

impl Row for UnitRow {
    const COLUMNS: &'static [Column<Self>] = &[
        Column { name: "unit", cell: |row, _| Some(row.unit.to_string()) },
        Column { name: "load", cell: |row, _| Some(row.load.to_string()) },
        Column { name: "active", cell: |row, _| Some(row.active.to_string()) },
        Column { name: "sub", cell: |row, _| Some(sub_cell(&row.sub, row.job)) },
        Column { name: "machine", cell: |row, full| Some(row.machine.legend(full)) },
        Column { name: "hash", cell: |row, full| Some(hash(row.hash, full)) },
    ];
    const USUAL: &'static str = "unit,machine,active,sub";
}

/// Returns the machines by machine-id: those that are present, or all of them.
pub fn machines(snapshot: &Snapshot, all: bool) -> Vec<MachineRow> {
    let shown = snapshot.machines.values().filter(|machine| all || is_present(snapshot, machine.id));
    shown.map(|machine| machine_row(machine, health(snapshot, machine.id))).collect()
}

fn machine_row(machine: &Machine, health: Health) -> MachineRow {
    let Machine { id, name, ip, metadata, cordoned, os, systemd, .. } = machine.clone();
    MachineRow { machine: id, name, ip, metadata, health, cordoned, os, systemd }
}

/// Returns every unit that was submitted, by name.
pub fn unit_files(snapshot: &Snapshot) -> Vec<UnitFileRow> {
    let row = |name: &UnitName| {
        let unit = snapshot.units.get(name)?;
        let file = snapshot.files.get(&unit.hash);
        let asks = file.and_then(|file| Requirements::of(name, file).ok());
        let global = asks.is_some_and(|(asks, _)| asks.global);
        let target = snapshot.placements.get(name).map(|placement| placement.machine);
        Some(UnitFileRow {
            unit: name.clone(),
            hash: unit.hash,
            global,
            desired: unit.desired,
            state: Some(state(snapshot, name, target)).filter(|_| !global),
            target: target.map(|machine| Place::new(snapshot, machine)),
            description: file.and_then(|file| file.description()).map(str::to_owned),
        })
    };
    snapshot.units.keys().filter_map(row).collect()
}

/// Says how far a unit has come: nothing is known of one that is nowhere or whose machine is not present.
fn state(snapshot: &Snapshot, unit: &UnitName, target: Option<MachineId>) -> DesiredState {
    let target = target.filter(|machine| is_present(snapshot, *machine));
    let reported = target.and_then(|machine| snapshot.states.get(unit)?.get(&machine));
    reported.map_or(DesiredState::Inactive, UnitState::reached)
}

/// Returns what present machines reported of units, by unit and machine-id. What a machine reported before it fell
/// silent counts only for the units that are still to be there.
pub fn units(snapshot: &Snapshot) -> Vec<UnitRow> {
    let reports =
        snapshot.states.iter().flat_map(|(unit, states)| states.iter().map(move |(id, state)| (unit, id, state)));
    let placed = |unit: &UnitName, machine: MachineId| {
        snapshot.placements.get(unit).is_none_or(|placement| placement.machine == machine)
    };
    let answers = |machine| matches!(health(snapshot, machine), Health::Alive | Health::Suspect | Health::PathFault);
    let present = reports.filter(|(unit, machine, _)| {
        is_present(snapshot, **machine) && (answers(**machine) || placed(unit, **machine))
    });
    present.map(|(unit, machine, state)| unit_row(snapshot, unit, *machine, state)).collect()
}

/// Returns what is not among [`units`] and may run all the same: strict units on machines that do not answer and whose
/// leases have not ended, as they were last reported.
pub fn unseen(snapshot: &Snapshot, now: Timestamp) -> Vec<UnitRow> {
    let shown = units(snapshot);
    let is_shown = |row: &UnitRow| shown.iter().any(|it| (&it.unit, &it.machine) == (&row.unit, &row.machine));
    let row = |(unit, machine, state)| unit_row(snapshot, unit, machine, state);
    let reports = snapshot.states.iter().flat_map(|(unit, states)| states.iter().map(move |(id, it)| (unit, *id, it)));
    let rows = reports.map(row).filter(|row| row.may_run_until.is_some_and(|until| now < until));
    rows.filter(|row| !is_shown(row)).collect()
}

fn unit_row(snapshot: &Snapshot, unit: &UnitName, machine: MachineId, state: &UnitState) -> UnitRow {
    UnitRow {
        unit: unit.clone(),
        load: state.load,
        active: state.active,
        sub: state.sub.clone(),
        job: state.queued_job(),
        machine: Place::new(snapshot, machine),
        hash: state.hash,
        may_run_until: explain::may_still_run(snapshot, unit).get(&machine).copied(),
    }
}

/// Returns ACTIVE and SUB of a unit as a table shows them.
pub fn state_cells(state: &UnitState) -> [String; 2] {
    [state.active.to_string(), sub_cell(&state.sub, state.queued_job())]
}

/// Returns SUB, or the job that waits in systemd's queue: a unit that is to start is not merely dead.
fn sub_cell(sub: &SubState, queued: Option<JobType>) -> String {
    queued.map_or_else(|| sub.to_string(), |job| format!("{job}-queued"))
}

/// Lays a list out as a table.
pub fn table<R: Row>(rows: &[R], view: &View) -> Result<String, BadFields> {
    if view.fields.is_empty() {
        return Err(BadFields::None);
    }
    let column = |field: &str| {
        let found = R::COLUMNS.iter().find(|column| column.name == field);
        found.ok_or_else(|| BadFields::Unknown(field.to_owned()))
    };
    let columns = view.fields.split(',').map(column).collect::<Result<Vec<_>, _>>()?;
    let header = columns.iter().map(|column| column.name.to_ascii_uppercase()).collect();
    let mut cells: Vec<Vec<String>> = if view.no_legend { Vec::new() } else { vec![header] };
    for row in rows {
        let cell = |column: &&Column<R>| (column.cell)(row, view.full).filter(|text| !text.is_empty());
        cells.push(columns.iter().map(|column| cell(column).unwrap_or_else(|| "-".to_owned())).collect());
    }
    Ok(table::lay_out(&cells))
}

/// Writes a list as JSON: an array of objects with everything that is known, on one line.
pub fn json<R: Row>(rows: &[R]) -> String {
    let text = serde_json::to_string(rows).unwrap_or_else(|_| "[]".to_owned());
    format!("{}\n", sanitize::json(&text))
}

fn hash(hash: Hash, full: bool) -> String {
    if full { hash.to_string() } else { hash.short() }
}

fn health(snapshot: &Snapshot, machine: MachineId) -> Health {
    snapshot.health.get(&machine).map_or(Health::Alive, |health| health.health)
}

/// Says whether fleet would have called a machine present. One that nobody has judged yet is.
fn is_present(snapshot: &Snapshot, machine: MachineId) -> bool {
    !matches!(health(snapshot, machine), Health::Unreachable | Health::Down)
}

#[cfg(test)]
mod tests;
