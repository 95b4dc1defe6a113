//! Adopting: the units that another program runs on hosts become units of the cluster where they are.
//!
//! The unit's file is that of the store, or is submitted from the host. The record of the machine says which units it
//! adopts; the reconciler places them there and marks their files, and no process is restarted.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::MembershipError;
use super::ownership::Foreign;
use crate::control::problems::Problem;
use crate::control::progress::OnProgress;
use crate::control::progress::Timeouts;
use crate::control::verb;
use crate::core::command;
use crate::core::command::LocalFile;
use crate::core::command::UnitCommand;
use crate::core::explain::TroubleKind;
use crate::core::machine_lookup::FindMachineError;
use crate::core::model::Machine;
use crate::core::model::MachineId;
use crate::core::model::Snapshot;
use crate::core::model::UnitState;
use crate::core::model::Verb;
use crate::core::unit::Contents;
use crate::core::unit::Requirements;
use crate::core::unit::UnitFile;
use crate::core::unit::UnitName;
use crate::remote;
use crate::remote::CapturedOutput;
use crate::remote::Command;
use crate::remote::RunAs;
use crate::runner;
use crate::runner::ClusterContext;
use crate::store::layout;

/// How long a host may take to send one file.
const LIMIT: Duration = Duration::from_secs(10);

/// The most bytes of a unit file: the limit of systemd for one line.
const FILE_LIMIT: usize = 1 << 20;

/// The units that are adopted, and the machines that adopt them.
#[derive(Debug, Default)]
struct Adoption {
    machines: BTreeMap<MachineId, BTreeSet<UnitName>>,
    units: BTreeMap<UnitName, UnitCommand>,
    global: BTreeSet<UnitName>,
    problems: Vec<Problem>,
}

/// Adopts the foreign units of hosts that have joined. Returns a problem for each unit that is left alone or that does not
/// run afterwards.
pub async fn adopt(
    context: &ClusterContext,
    foreign: &BTreeMap<MachineId, Foreign>,
    timeouts: Timeouts,
    on_progress: &mut OnProgress<'_>,
) -> Result<Vec<Problem>, MembershipError> {
    let snapshot = layout::read(&*context.store, &context.keys).await?;
    let mut adoption = Adoption::default();
    for (machine, units) in foreign {
        let Some(machine) = snapshot.machines.get(machine) else { continue };
        for (unit, state) in units {
            if let Err(why) = adoption.add(context, &snapshot, machine, (unit, state)).await {
                let what = format!("left alone on {}: {why}", machine.name);
                adoption.problems.push(Problem::of_unit(TroubleKind::NotAdopted, unit, Some(machine.id), what));
            }
        }
    }
    let Adoption { machines, units, mut problems, .. } = adoption;
    for (machine, units) in machines {
        record(context, machine, &units).await?;
    }
    for verb in [Verb::Load, Verb::Start] {
        let commands: Vec<UnitCommand> = units.values().filter(|command| command.verb == verb).cloned().collect();
        if !commands.is_empty() {
            problems.extend(verb::execute(context, verb, &commands, timeouts, on_progress).await?);
        }
    }
    Ok(problems)
}

impl Adoption {
    /// Adds a unit that a machine has, or returns why it is left alone.
    async fn add(
        &mut self,
        context: &ClusterContext,
        snapshot: &Snapshot,
        machine: &Machine,
        (unit, state): (&UnitName, &UnitState),
    ) -> Result<(), String> {
        if unit.is_template() {
            return Err("it is a template: submit it".to_owned());
        }
        let stored = snapshot.units.get(unit).map(|unit| unit.hash);
        if stored.is_some_and(|hash| hash != state.hash) {
            return Err("the submitted file differs".to_owned());
        }
        if let Some(other) = snapshot.placements.get(unit).filter(|placement| placement.machine != machine.id) {
            return Err(format!("it is placed on {}", snapshot.name_of(other.machine)));
        }
        if let Some(command) = self.units.get(unit) {
            let same = command.file.as_ref().is_some_and(|local| local.file.hash() == state.hash);
            if !(same && self.global.contains(unit)) {
                return Err("another host has a unit of this name, which is adopted".to_owned());
            }
        } else {
            let file = match snapshot.files.get(&state.hash) {
                Some(file) => file.clone(),
                None => fetch(context, machine, unit, state).await?,
            };
            if Requirements::of(unit, &file).is_ok_and(|(requirements, _)| requirements.global) {
                self.global.insert(unit.clone());
            }
            let verb = if state.runs() { Verb::Start } else { Verb::Load };
            let file = Some(LocalFile {
                file,
                path: format!("/run/fleet/units/{unit}"),
                template: false,
                contents: Contents::new(),
            });
            let command = UnitCommand { verb, unit: unit.clone(), file, replace: false, edits: None };
            command::decide(snapshot, &command).map_err(|error| error.to_string())?;
            self.units.insert(unit.clone(), command);
        }
        self.machines.entry(machine.id).or_default().insert(unit.clone());
        Ok(())
    }
}

/// Reads a unit file from a host.
async fn fetch(
    context: &ClusterContext,
    machine: &Machine,
    unit: &UnitName,
    state: &UnitState,
) -> Result<Arc<UnitFile>, String> {
    let quoted = remote::quote(unit.as_str()).map_err(|error| error.to_string())?;
    let script = format!("cat -- /run/fleet/units/{quoted}");
    let command = Command { script, run_as: Some(RunAs::root()), limit: Some(LIMIT), ..Command::default() };
    let mut answer = CapturedOutput::with_limit(FILE_LIMIT);
    let sent = context.remote.exec(&runner::target(machine), &command, &mut answer).await;
    sent.map_err(|failure| format!("its file cannot be read: {}", failure.detail))?;
    let file = UnitFile::from_bytes(&answer.stdout).map_err(|error| format!("its file is invalid: {error}"))?;
    let differs = || "its file is not in the form that fleet and muster write (comments, empty lines)".to_owned();
    if file.hash() == state.hash { Ok(Arc::new(file)) } else { Err(differs()) }
}

/// Stores which units a machine adopts.
async fn record(context: &ClusterContext, id: MachineId, units: &BTreeSet<UnitName>) -> Result<(), MembershipError> {
    let adopts = |machine| Machine { adopts: units.clone(), ..machine };
    match super::change_machine(context, &id.to_string(), None, adopts).await {
        // The machine has left meanwhile.
        Err(MembershipError::Machine(FindMachineError::Unknown { .. })) => Ok(()),
        changed => changed.map(drop),
    }
}
