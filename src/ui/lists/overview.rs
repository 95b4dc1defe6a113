//! The overview: all machines and all units in one value that is small enough to be sent whole, for a page that shows thousands.

use std::collections::BTreeMap;

use serde::Serialize;

use super::MachineRow;
use super::machine_row;
use crate::core::explain;
use crate::core::model::ActiveState;
use crate::core::model::DesiredState;
use crate::core::model::JobType;
use crate::core::model::MachineId;
use crate::core::model::Snapshot;
use crate::core::model::SubState;
use crate::core::model::Timestamp;
use crate::core::model::UnitState;
use crate::core::unit::Requirements;
use crate::core::unit::UnitName;

/// All machines and all submitted units.
#[derive(Debug, Serialize)]
pub struct Overview<'s> {
    machines: Vec<MachineOverview>,
    units: Vec<UnitOverview<'s>>,
}

#[derive(Debug, Serialize)]
struct MachineOverview {
    #[serde(flatten)]
    row: MachineRow,
    /// Why it has its health; `None` before it was observed.
    evidence: Option<String>,
    since: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
struct UnitOverview<'s> {
    unit: &'s UnitName,
    desired: DesiredState,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    global: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    application: Option<&'s str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'s str>,
    /// Its placement, as the index of a machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    states: Vec<StateOverview<'s>>,
}

/// The last report of a machine about a unit.
#[derive(Debug, Serialize)]
struct StateOverview<'s> {
    /// The index of the machine.
    machine: usize,
    active: ActiveState,
    sub: &'s SubState,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<JobType>,
    /// Set if the unit is as a launched unit should be.
    well: bool,
}

/// Returns the overview of a cluster.
pub fn overview(snapshot: &Snapshot, now: Timestamp) -> Overview<'_> {
    let exclusions = explain::exclusions(snapshot, now);
    let machine = |machine: &_| {
        let row = machine_row(snapshot, machine, exclusions(machine.id), now);
        let health = snapshot.health.get(&machine.id);
        let evidence = health.map(|record| record.reason.to_string());
        MachineOverview { row, evidence, since: health.map(|record| record.since) }
    };
    let indexes = snapshot.machines.keys().enumerate().map(|(index, id)| (*id, index)).collect();
    Overview {
        machines: snapshot.machines.values().map(machine).collect(),
        units: snapshot.units.keys().filter_map(|name| unit(snapshot, &indexes, name)).collect(),
    }
}

fn unit<'s>(
    snapshot: &'s Snapshot,
    indexes: &BTreeMap<MachineId, usize>,
    name: &'s UnitName,
) -> Option<UnitOverview<'s>> {
    let desired = snapshot.units.get(name)?.desired;
    let file = snapshot.file(name);
    let is_oneshot = file.is_some_and(|file| file.is_oneshot());
    let requirements = file.and_then(|file| Requirements::of(name, file).ok());
    let state = |(machine, state): (&MachineId, &'s UnitState)| {
        let UnitState { active, sub, .. } = state;
        let machine = *indexes.get(machine)?;
        let well = state.launched && state.is_well(is_oneshot) && (is_oneshot || !state.is_starting());
        Some(StateOverview { machine, active: *active, sub, job: state.queued_job(), well })
    };
    let placement = snapshot.placements.get(name);
    Some(UnitOverview {
        unit: name,
        desired,
        global: requirements.is_some_and(|(requirements, _)| requirements.global),
        application: file.and_then(|file| file.application()),
        description: file.and_then(|file| file.description()),
        target: placement.and_then(|placement| indexes.get(&placement.machine).copied()),
        states: snapshot.states.get(name).into_iter().flatten().filter_map(state).collect(),
    })
}
