//! `muster plan` and `muster simulate`: what would be done, now or if machines went down.

use std::time::Duration;

use serde_json::json;

use super::Context;
use super::error::CommandError;
use super::error::CommandResult;
use super::error::ExitStatus;
use super::prudence::Prudence;
use crate::control;
use crate::control::LEASE;
use crate::control::membership;
use crate::control::membership::MembershipError;
use crate::control::problems::Problem;
use crate::control::problems::problems;
use crate::core::model::Health;
use crate::core::model::MachineId;
use crate::core::model::Snapshot;
use crate::core::reconcile::Reconciler;
use crate::core::reconcile::assignments::Scope;
use crate::core::simulation;
use crate::core::simulation::SimulatedHosts;
use crate::core::simulation::Simulation;
use crate::runner;
use crate::runner::Clock;
use crate::ui;

/// The number of a leader that there never was: nobody is to obey a plan.
const NOBODY: u64 = 0;

#[derive(Debug, clap::Args)]
pub(super) struct PlanArgs {
    /// End with 2 if there is something to do
    #[arg(long)]
    detailed_exitcode: bool,
    #[command(flatten)]
    prudence: Prudence,
    /// Print as JSON
    #[arg(long, short = 'o', value_name = "FORMAT", value_parser = ["json"])]
    output: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct SimulateArgs {
    /// Machines that go down, all at once: names, addresses, machine-ids or the beginnings of them
    #[arg(long, required = true, num_args = 1.., value_name = "MACHINE")]
    down: Vec<String>,
    #[command(flatten)]
    prudence: Prudence,
    /// Print as JSON
    #[arg(long, short = 'o', value_name = "FORMAT", value_parser = ["json"])]
    output: Option<String>,
}

/// Returns the reconciler that a controller with these settings would begin.
fn imagine(context: &Context, prudence: &Prudence, snapshot: &Snapshot) -> Result<Reconciler, CommandError> {
    let (detection, failover_policy) = prudence.resolve(&context.settings, 8)?;
    let lease = prudence.lease(&context.settings).unwrap_or(LEASE);
    Ok(Reconciler::new(NOBODY, Scope::All, control::leasing(detection, lease)?, snapshot.clone())
        .with_failover_policy(failover_policy))
}

/// Runs `muster plan`.
pub(super) async fn plan(context: &Context, args: &PlanArgs) -> CommandResult {
    let (snapshot, remote) = (context.snapshot().await?, context.remote()?);
    let mut reconciler = imagine(context, &args.prudence, &snapshot)?;
    let script = runner::dry_run(&mut reconciler, &remote, Clock::start(), &context.stop).await;
    remote.close(Duration::from_millis(500)).await;
    let Some(script) = script else {
        return Err(CommandError::interrupted("interrupted: nothing was changed"));
    };
    let found = problems(&reconciler, &Scope::All);
    let now = Clock::start().now();
    let again = reconciler.changes_at().filter(|at| now < *at);
    if args.output.is_some() {
        let mut value = ui::plan::json(&snapshot, &script);
        value.insert("problems".to_owned(), json!(found));
        value.insert("look_again".to_owned(), json!(again));
        ui::json(&value);
    } else if script.is_empty() {
        ui::result(&format!("{}Nothing to do.\n", told(&found)));
    } else {
        let text = ui::plan::text(&snapshot, &script);
        ui::result(&if found.is_empty() { text } else { format!("{text}\n{}", told(&found)) });
    }
    if let Some(at) = again.filter(|_| args.output.is_none()) {
        ui::result(&format!("Look again at {}: time changes what is to be done.\n", ui::clock(at, now)));
    }
    let pending = args.detailed_exitcode && !script.is_empty();
    Ok(if pending { ExitStatus::ChangesPending } else { ExitStatus::Done })
}

fn told(found: &[Problem]) -> String {
    found.iter().map(|finding| format!("{}\n", ui::clean(&finding.to_string()))).collect()
}

/// Runs `muster simulate`.
pub(super) async fn simulate(context: &Context, args: &SimulateArgs) -> CommandResult {
    let snapshot = context.snapshot().await?;
    let find = |name: &String| {
        let machine = membership::find(&snapshot, name).map(|machine| machine.id);
        machine.ok_or_else(|| MembershipError::UnknownMachine(name.clone()))
    };
    let down = args.down.iter().map(find).collect::<Result<Vec<MachineId>, _>>()?;
    let mut reconciler = imagine(context, &args.prudence, &snapshot)?;
    let mut hosts = SimulatedHosts::of(&snapshot, down.iter().copied());
    let script = simulation::simulate(&mut reconciler, &mut hosts, Clock::start().now());
    if args.output.is_some() {
        let mut value = ui::plan::json(&snapshot, &script);
        let homeless = reconciler.refused().iter().map(|(unit, why)| json!({"unit": unit, "why": why.to_string()}));
        value.insert("homeless".to_owned(), homeless.collect());
        value.insert("health_changes".to_owned(), json!(script.health_changes));
        ui::json(&value);
        return Ok(ExitStatus::Done);
    }
    let health_changes = down.iter().filter_map(|id| health(&reconciler, &script, *id));
    let homeless = reconciler.refused().iter().map(|(unit, why)| format!("Unit {unit}: {}\n", why.tell()));
    let moves = ui::plan::text(&snapshot, &Simulation { moves: script.moves.clone(), ..Simulation::default() });
    let moves = if moves.is_empty() { "Nothing would move.\n".to_owned() } else { moves };
    let text = format!("{}\n{moves}{}", health_changes.collect::<String>(), homeless.collect::<String>());
    ui::result(&ui::clean(&text));
    Ok(ExitStatus::Done)
}

/// Says what would be thought of a machine, and why.
fn health(reconciler: &Reconciler, script: &Simulation, id: MachineId) -> Option<String> {
    let health = reconciler.view(id)?.health.filter(|health| *health != Health::Alive)?;
    let name = &reconciler.snapshot().machines.get(&id)?.name;
    let why = script.health_changes.get(&id).or_else(|| reconciler.snapshot().health.get(&id));
    Some(format!("{name} would be {health}: {}\n", why.map_or("as before", |health| health.why.as_str())))
}
