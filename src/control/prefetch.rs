//! The prefetch of images: machines pull the images of units before the units are loaded there. No record and no unit
//! changes.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use secrecy::ExposeSecret as _;

use crate::core::explain;
use crate::core::model::DesiredState;
use crate::core::model::Failure;
use crate::core::model::FailureKind;
use crate::core::model::Machine;
use crate::core::model::MachineId;
use crate::core::model::PULL_LIMIT;
use crate::core::model::Phase;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;
use crate::core::model::Unit;
use crate::core::secret_name::SecretName;
use crate::core::unit::ImagePull;
use crate::core::unit::UnitFile;
use crate::core::unit::UnitName;
use crate::remote::CapturedOutput;
use crate::remote::Command;
use crate::remote::RunAs;
use crate::remote::visit::prefetch;
use crate::remote::visit::prefetch::Prefetched;
use crate::runner;
use crate::runner::ClusterContext;

/// How much longer than a pull the answer of a host may take.
const MARGIN: Duration = Duration::from_mins(1);

/// How many bytes of an answer are kept.
const BYTES: usize = 4 << 10;

/// The machines that are to pull the image of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Targets {
    /// The machine of the unit, or every machine that fits if the unit has none or no longer fits there.
    Home,
    /// Every machine that fits.
    Fitting,
    /// These machines.
    Named(BTreeSet<MachineId>),
}

/// An image that a machine is to pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefetch {
    /// The machine.
    pub machine: MachineId,
    /// The image.
    pub pull: ImagePull,
    /// The units that need the image.
    pub units: BTreeSet<UnitName>,
}

/// Adds a unit file to the records, as if the unit had been submitted with it. The store does not change.
pub fn assume(snapshot: &mut Snapshot, unit: &UnitName, file: Arc<UnitFile>) {
    let hash = file.hash();
    let record = snapshot.units.entry(unit.clone()).or_insert_with(|| Unit::new(hash, DesiredState::Launched));
    record.hash = hash;
    snapshot.files.insert(hash, file);
}

/// Returns what machines are to pull for units, and the units that no machine takes.
pub fn plan(
    snapshot: &Snapshot,
    units: &BTreeMap<UnitName, ImagePull>,
    targets: &Targets,
    now: Timestamp,
) -> (Vec<Prefetch>, Vec<UnitName>) {
    let mut pulls: BTreeMap<(String, String), Prefetch> = BTreeMap::new();
    let mut refused = Vec::new();
    for (unit, pull) in units {
        let fitting = || explain::fitting_machines(snapshot, unit, now);
        let home = snapshot.placements.get(unit).map(|placement| placement.machine);
        let machines = match targets {
            Targets::Named(machines) => machines.clone(),
            Targets::Fitting => fitting(),
            Targets::Home => {
                let fitting = fitting();
                home.filter(|home| fitting.contains(home)).map_or(fitting, |home| BTreeSet::from([home]))
            }
        };
        if machines.is_empty() {
            refused.push(unit.clone());
        }
        for machine in machines {
            let prefetch = || Prefetch { machine, pull: pull.clone(), units: BTreeSet::new() };
            let entry = pulls.entry((snapshot.name_of(machine), pull.key())).or_insert_with(prefetch);
            entry.units.insert(unit.clone());
        }
    }
    (pulls.into_values().collect(), refused)
}

/// Lets the machines pull the images, and reports each end as it comes. A pull that is under way goes on after the command.
pub async fn run(
    context: &ClusterContext,
    snapshot: &Snapshot,
    prefetches: Vec<Prefetch>,
    on_end: &mut (dyn FnMut(&Prefetch, Result<Prefetched, Failure>) + Send),
) {
    let logins = logins(context, &prefetches).await;
    let pulls = prefetches.into_iter().filter_map(|prefetch| {
        let machine = snapshot.machines.get(&prefetch.machine)?;
        let login = prefetch.pull.login.as_ref().and_then(|name| logins.get(name)).cloned();
        Some(async move {
            let _wait = tracing::info_span!("wait", what = format!("{} to pull {}", machine.name, prefetch.pull.image));
            let ended = ask(context, snapshot, machine, &prefetch.pull, login).await;
            (prefetch, ended)
        })
    });
    let mut pulls: FuturesUnordered<_> = pulls.collect();
    while let Some((prefetch, ended)) = pulls.next().await {
        on_end(&prefetch, ended);
    }
}

/// Reads the logins that pulls need, each once.
async fn logins(context: &ClusterContext, prefetches: &[Prefetch]) -> BTreeMap<SecretName, Result<Bytes, String>> {
    let names: BTreeSet<&SecretName> = prefetches.iter().filter_map(|prefetch| prefetch.pull.login.as_ref()).collect();
    let mut logins = BTreeMap::new();
    for name in names {
        let login = context.secrets.fetch(name).await;
        logins.insert(name.clone(), login.map(|login| Bytes::copy_from_slice(login.expose_secret())));
    }
    logins
}

async fn ask(
    context: &ClusterContext,
    snapshot: &Snapshot,
    machine: &Machine,
    pull: &ImagePull,
    login: Option<Result<Bytes, String>>,
) -> Result<Prefetched, Failure> {
    let script = prefetch::script(pull, "").map_err(|error| Failure {
        host: machine.name.clone(),
        phase: Phase::Run,
        kind: FailureKind::Local,
        detail: error.to_string(),
        hint: None,
    })?;
    let stdin = match login.transpose() {
        Ok(login) => login.unwrap_or_default(),
        Err(why) => return Ok(Prefetched::Failed(why)),
    };
    let limit = Some(PULL_LIMIT + MARGIN);
    let command = Command { script, stdin, run_as: Some(RunAs::root()), limit, ..Command::default() };
    let (target, _) = runner::route(&context.remote, snapshot, machine).await;
    let mut answer = CapturedOutput::with_limit(BYTES);
    context.remote.exec(&target, &command, &mut answer).await?;
    Ok(prefetch::read(&answer.stdout))
}

#[cfg(test)]
mod tests;
