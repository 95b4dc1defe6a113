//! The three lists of a snapshot: the columns, legends and order of fleet, with names, health and ages beside them, and
//! the same rows as JSON.

pub mod applications;
mod overview;
pub mod secrets;
mod versions;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::table;
use super::table::Cell;
use super::terminal::Tone;
use crate::core::explain;
use crate::core::model::ActiveState;
use crate::core::model::DesiredState;
use crate::core::model::FilterReason;
use crate::core::model::Health;
use crate::core::model::JobType;
use crate::core::model::LoadState;
use crate::core::model::Machine;
use crate::core::model::MachineId;
use crate::core::model::Podman;
use crate::core::model::Snapshot;
use crate::core::model::SubState;
use crate::core::model::Timestamp;
use crate::core::model::UnitState;
use crate::core::sanitize;
use crate::core::unit::Hash;
use crate::core::unit::Requirements;
use crate::core::unit::UnitName;

pub use overview::Overview;
pub use overview::overview;
pub use versions::VersionRow;
pub use versions::versions;

/// How a list is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The columns, separated by commas. Each list has its own default.
    pub fields: String,
    /// Set to print machine-ids and hashes in full.
    pub full: bool,
    /// Set to print no header.
    pub no_legend: bool,
    /// Set to print the health of machines in colours.
    pub has_color: bool,
}

/// The chosen columns are invalid. Nothing was printed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadFields {
    /// The list of columns is empty.
    #[error("Must define output format")]
    None,
    /// The list has no such column.
    #[error("Invalid key in output format: {0:?}")]
    Unknown(String),
}

/// A column: its name, and its text for a row, shortened or in full (`-` for none).
#[derive(Debug)]
pub struct Column<R> {
    name: &'static str,
    cell: fn(&R, bool) -> Option<String>,
}

/// A row of a list.
pub trait Row: Serialize + Sized + 'static {
    /// All columns.
    const COLUMNS: &'static [Column<Self>];
    /// The default columns.
    const USUAL: &'static str;
    /// The default columns under the name `fleetctl`: those of fleet.
    const FLEET: &'static str;

    /// Reports whether fleet would have listed the row.
    fn is_in_fleet(&self) -> bool {
        true
    }

    /// Returns the colour of a column, if it has one.
    fn tone(&self, _column: &str) -> Option<Tone> {
        None
    }
}

/// A machine in `list-machines`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MachineRow {
    machine: MachineId,
    name: String,
    ip: String,
    metadata: BTreeMap<String, String>,
    health: Health,
    #[serde(flatten)]
    observed: Freshness,
    cordoned: bool,
    draining: bool,
    /// Until when it takes no new units although it is alive.
    no_units_until: Option<Timestamp>,
    /// Why it takes no new units, if it takes none.
    #[serde(skip)]
    scheduling: Option<String>,
    os: String,
    systemd: u32,
    podman: Podman,
}

/// When the machine of a row was observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Freshness {
    /// Set if that was just now.
    is_current: bool,
    observed_at: Option<Timestamp>,
    /// How long ago that was, in seconds.
    age: Option<u64>,
}

impl Freshness {
    fn of(snapshot: &Snapshot, machine: MachineId, now: Timestamp) -> Self {
        let observed_at = snapshot.observed_at(machine);
        let age = observed_at.map(|at| now.since(at).as_secs());
        Self { is_current: snapshot.is_current(machine, now), observed_at, age }
    }

    /// Returns the age as text, after the state at that time if there is one.
    fn cell(self, state: Option<String>) -> String {
        match self.age {
            _ if self.is_current => "now".to_owned(),
            None => "never".to_owned(),
            Some(age) => {
                let age = super::ago(Duration::from_secs(age));
                state.map_or_else(|| age.clone(), |state| format!("{state} {age}"))
            }
        }
    }
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
    /// The age of the state, if the unit is on a machine.
    #[serde(flatten)]
    observed: Option<Freshness>,
    #[serde(rename = "desc")]
    description: Option<String>,
}

/// A unit on a machine in `list-units`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnitRow {
    unit: UnitName,
    load: LoadState,
    /// The present state; `None` if the machine was not observed just now.
    active: Option<ActiveState>,
    sub: Option<SubState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<JobType>,
    /// Set if systemd has restarted it a moment ago, because it had ended.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    restarted: bool,
    /// The last reported state, if it is not known to be the present one.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<LastState>,
    #[serde(flatten)]
    machine: Place,
    health: Health,
    #[serde(flatten)]
    observed: Freshness,
    hash: Hash,
    /// When the unit is certain to have stopped, if it is strict and its machine does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    may_run_until: Option<Timestamp>,
    #[serde(skip)]
    is_in_fleet: bool,
}

/// A state that was reported some time ago.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastState {
    active: ActiveState,
    sub: SubState,
}

/// The machine of a unit. It has no IP if it has left the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    machine: MachineId,
    name: Option<String>,
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
            name: member.map(|member| member.name.clone()),
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
        Column { name: "health", cell: |row, _| Some(row.health.to_string()) },
        Column { name: "scheduling", cell: |row, _| row.scheduling.clone() },
        Column { name: "observed", cell: |row, _| Some(row.observed.cell(None)) },
    ];
    const USUAL: &'static str = "name,machine,ip,metadata,health,scheduling,observed";
    const FLEET: &'static str = "machine,ip,metadata";

    fn tone(&self, column: &str) -> Option<Tone> {
        (column == "health").then(|| Tone::of(self.health))
    }
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
        Column { name: "name", cell: |row, _| row.target.as_ref().and_then(|place| place.name.clone()) },
        Column { name: "observed", cell: |row, _| row.observed.map(|observed| observed.cell(None)) },
        Column { name: "desc", cell: |row, _| row.description.clone() },
    ];
    const USUAL: &'static str = "unit,hash,dstate,state,target,name,observed";
    const FLEET: &'static str = "unit,hash,dstate,state,target";
}

impl MachineRow {
    /// Returns the machine.
    pub const fn machine(&self) -> MachineId {
        self.machine
    }
}

impl UnitRow {
    /// Returns the unit.
    pub const fn unit(&self) -> &UnitName {
        &self.unit
    }

    /// Returns the machine.
    pub const fn machine(&self) -> MachineId {
        self.machine.machine
    }
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
        Column { name: "active", cell: |row, _| row.active.map(|active| active.to_string()) },
        Column { name: "sub", cell: |row, _| row.sub.as_ref().map(|sub| sub_cell(sub, row.job)) },
        Column { name: "machine", cell: |row, full| Some(row.machine.legend(full)) },
        Column { name: "hash", cell: |row, full| Some(hash(row.hash, full)) },
        Column { name: "name", cell: |row, _| row.machine.name.clone() },
        Column { name: "health", cell: |row, _| Some(row.health.to_string()) },
        Column {
            name: "observed",
            cell: |row, _| {
                let last = row.last.as_ref().map(|LastState { active, sub }| format!("{active} ({sub})"));
                let restarted = if row.restarted { ", restarted by systemd a moment ago" } else { "" };
                Some(row.observed.cell(last) + restarted)
            },
        },
    ];
    const USUAL: &'static str = "unit,name,machine,health,active,sub,observed";
    const FLEET: &'static str = "unit,machine,active,sub";

    fn is_in_fleet(&self) -> bool {
        self.is_in_fleet
    }

    fn tone(&self, column: &str) -> Option<Tone> {
        (column == "health").then(|| Tone::of(self.health))
    }
}

/// Returns the machines in the order of their ids: those that are reachable, or all.
pub fn machines(snapshot: &Snapshot, all: bool, now: Timestamp) -> Vec<MachineRow> {
    let shown = snapshot.machines.values().filter(|machine| all || is_present(snapshot, machine.id));
    let exclusions = explain::exclusions(snapshot, now);
    shown.map(|machine| machine_row(snapshot, machine, exclusions(machine.id), now)).collect()
}

/// Returns the row of a machine, and why it takes no new units for a while.
fn machine_row(
    snapshot: &Snapshot,
    machine: &Machine,
    exclusion: Option<(FilterReason, Timestamp)>,
    now: Timestamp,
) -> MachineRow {
    let Machine { id, name, ip, metadata, cordoned, draining, os, systemd, podman, .. } = machine.clone();
    let (health, observed) = (health(snapshot, id), Freshness::of(snapshot, id, now));
    let no_units_until = exclusion.as_ref().map(|(_, until)| *until);
    let mode = if draining { Some("drained") } else { cordoned.then_some("cordoned") };
    let excluded = exclusion.map(|(reason, until)| {
        let why = if reason == FilterReason::Full { "no room" } else { "held down" };
        format!("{why} until {}", super::clock(until, now))
    });
    let parts: Vec<String> = mode.map(str::to_owned).into_iter().chain(excluded).collect();
    let scheduling = Some(parts.join(", ")).filter(|text| !text.is_empty());
    MachineRow {
        machine: id,
        name,
        ip,
        metadata,
        health,
        observed,
        cordoned,
        draining,
        no_units_until,
        scheduling,
        os,
        systemd,
        podman,
    }
}

/// Returns every submitted unit, by name.
pub fn unit_files(snapshot: &Snapshot, now: Timestamp) -> Vec<UnitFileRow> {
    let row = |name: &UnitName| {
        let unit = snapshot.units.get(name)?;
        let file = snapshot.files.get(&unit.hash);
        let requirements = file.and_then(|file| Requirements::of(name, file).ok());
        let global = requirements.is_some_and(|(requirements, _)| requirements.global);
        let target = snapshot.placements.get(name).map(|placement| placement.machine);
        Some(UnitFileRow {
            unit: name.clone(),
            hash: unit.hash,
            global,
            desired: unit.desired,
            state: Some(current_state(snapshot, name, target)).filter(|_| !global),
            target: target.map(|machine| Place::new(snapshot, machine)),
            observed: target.map(|machine| Freshness::of(snapshot, machine, now)),
            description: file.and_then(|file| file.description()).map(str::to_owned),
        })
    };
    snapshot.units.keys().filter_map(row).collect()
}

/// Returns the state that a unit has reached: inactive if it is on no machine or its machine is not reachable.
pub fn current_state(snapshot: &Snapshot, unit: &UnitName, target: Option<MachineId>) -> DesiredState {
    let target = target.filter(|machine| is_present(snapshot, *machine));
    let reported = target.and_then(|machine| snapshot.states.get(unit)?.get(&machine));
    reported.map_or(DesiredState::Inactive, UnitState::reached)
}

/// Returns the unit states that machines reported, by unit and machine-id. The last report of a machine that does not
/// answer counts only for units that are placed there, that are placed nowhere, or that may still run there. The last report
/// of a machine that has left the cluster counts only for units that may still run there.
pub fn units(snapshot: &Snapshot, now: Timestamp) -> Vec<UnitRow> {
    let reports =
        snapshot.states.iter().flat_map(|(unit, states)| states.iter().map(move |(id, state)| (unit, *id, state)));
    let rows = reports.map(|(unit, machine, state)| unit_row(snapshot, unit, machine, state, now));
    let is_member = |row: &UnitRow| snapshot.machines.contains_key(&row.machine.machine);
    let counts = |row: &UnitRow| is_member(row) && (row.is_in_fleet || is_placed(snapshot, row));
    rows.filter(|row| counts(row) || row.may_run_until.is_some()).collect()
}

fn is_placed(snapshot: &Snapshot, row: &UnitRow) -> bool {
    snapshot.placements.get(&row.unit).is_none_or(|placement| placement.machine == row.machine.machine)
}

fn unit_row(snapshot: &Snapshot, unit: &UnitName, machine: MachineId, state: &UnitState, now: Timestamp) -> UnitRow {
    let (health, observed) = (health(snapshot, machine), Freshness::of(snapshot, machine, now));
    let is_known = observed.is_current;
    let last = LastState { active: state.active, sub: state.sub.clone() };
    let may_run_until = explain::may_still_run(snapshot, unit).get(&machine).copied();
    let mut row = UnitRow {
        unit: unit.clone(),
        load: state.load,
        active: is_known.then_some(state.active),
        sub: is_known.then(|| state.sub.clone()),
        job: state.queued_job().filter(|_| is_known),
        restarted: is_known && state.restarted,
        last: (!is_known).then_some(last),
        machine: Place::new(snapshot, machine),
        health,
        observed,
        hash: state.hash,
        may_run_until: may_run_until.filter(|until| now < *until),
        is_in_fleet: false,
    };
    let answers = matches!(health, Health::Alive | Health::Suspect | Health::PathFault);
    row.is_in_fleet = is_present(snapshot, machine) && (answers || is_placed(snapshot, &row));
    row
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
    let header = columns.iter().map(|column| column.name.to_ascii_uppercase().into()).collect();
    let mut cells: Vec<Vec<Cell>> = if view.no_legend { Vec::new() } else { vec![header] };
    for row in rows {
        let text = |column: &&Column<R>| (column.cell)(row, view.full).filter(|text| !text.is_empty());
        let cell = |column| Cell::colored(text(column).unwrap_or_else(|| "-".to_owned()), row.tone(column.name));
        cells.push(columns.iter().map(cell).collect());
    }
    Ok(table::lay_out(&cells, view.has_color))
}

/// Returns the cells of some columns, shortened as in a table. A column that the list does not have is empty.
pub fn cells<R: Row>(rows: &[R], fields: &[&str]) -> Vec<Vec<String>> {
    let columns: Vec<Option<&Column<R>>> =
        fields.iter().map(|field| R::COLUMNS.iter().find(|column| column.name == *field)).collect();
    let text = |row: &R, column: Option<&Column<R>>| column.and_then(|column| (column.cell)(row, false));
    let cell = |row: &R, column: &Option<_>| {
        text(row, *column).filter(|text| !text.is_empty()).unwrap_or_else(|| "-".to_owned())
    };
    rows.iter().map(|row| columns.iter().map(|column| cell(row, column)).collect()).collect()
}

/// Writes a list as JSON: an array of objects with all fields.
pub fn json<R: Row>(rows: &[R]) -> String {
    let text = serde_json::to_string_pretty(rows).unwrap_or_else(|_| "[]".to_owned());
    format!("{}\n", sanitize::json(&text))
}

fn hash(hash: Hash, full: bool) -> String {
    if full { hash.to_string() } else { hash.short() }
}

fn health(snapshot: &Snapshot, machine: MachineId) -> Health {
    snapshot.health.get(&machine).map_or(Health::Alive, |health| health.health)
}

/// Reports whether fleet would have listed a machine. One without a health record is listed.
pub fn is_present(snapshot: &Snapshot, machine: MachineId) -> bool {
    !matches!(health(snapshot, machine), Health::Unreachable | Health::Down)
}

#[cfg(test)]
mod tests;
