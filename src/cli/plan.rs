//! `muster plan` and `muster simulate`: the steps that would be taken, now or if machines went down.

use std::time::Duration;

use serde_json::json;

use super::Context;
use super::controller::policy;
use super::error::CommandError;
use super::error::CommandResult;
use super::error::ExitStatus;
use super::failover_args::FailoverPolicyArgs;
use crate::control::look;
use crate::control::preview::Planner;
use crate::control::problems::Problem;
use crate::control::problems::folding;
use crate::control::problems::problems;
use crate::control::problems::stored_problems;
use crate::core::machine_lookup::find_machine;
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
use crate::store::layout;
use crate::store::leader_election;
use crate::ui;

#[derive(Debug, clap::Args)]
pub(super) struct PlanArgs {
    /// End with exit code 4 if there are changes to make
    #[arg(long)]
    detailed_exitcode: bool,
    /// Print as JSON
    #[arg(long, short = 'o', value_name = "FORMAT", value_parser = ["json"])]
    output: Option<String>,
    #[command(flatten)]
    failover: FailoverPolicyArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct SimulateArgs {
    /// Machines that go down at the same time: names, addresses, or beginnings of machine-ids
    #[arg(long, required = true, num_args = 1.., value_name = "MACHINE")]
    down: Vec<String>,
    /// Print as JSON
    #[arg(long, short = 'o', value_name = "FORMAT", value_parser = ["json"])]
    output: Option<String>,
    #[command(flatten)]
    failover: FailoverPolicyArgs,
}

/// Returns the settings of a controller, for a simulation.
pub(super) fn planner(context: &Context, failover: &FailoverPolicyArgs) -> Result<Planner, CommandError> {
    let (timing, failover_policy) = policy(context, failover)?;
    Ok(Planner { timing, failover_policy, fence_commands: context.fence_commands()?.machines() })
}

/// Runs `muster plan`.
pub(super) async fn plan(context: &Context, args: &PlanArgs) -> CommandResult {
    let (snapshot, cluster) = (context.snapshot().await?, context.cluster().await?);
    let mut reconciler = planner(context, &args.failover)?.reconciler(&snapshot);
    let observer = look::observer(&cluster, &snapshot).await?;
    let now = cluster.clock.now();
    let simulation = if observer.is_some() || !cluster.store.can_lead() {
        // The controller may reach machines that this process does not reach, and knows for how long they are silent.
        let mut hosts = SimulatedHosts::of(&snapshot, []);
        Some(simulation::simulate_present(&mut reconciler, &mut hosts, now))
    } else {
        leader_election::check_epoch(&cluster.store, &cluster.keys).await?;
        runner::dry_run(&mut reconciler, &cluster.remote, cluster.clock, &context.stop).await
    };
    cluster.remote.close(Duration::from_millis(500)).await;
    let Some(simulation) = simulation else {
        return Err(CommandError::interrupted("interrupted: nothing was changed"));
    };
    let found = if let Some(controller) = &observer {
        let events = layout::read_events(&*cluster.store, &cluster.keys).await?;
        stored_problems(&snapshot, &events, controller.elsewhere(), now)
    } else {
        problems(&reconciler, &Scope::All)
    };
    let now = cluster.clock.now();
    let may_change_at = reconciler.changes_at().filter(|at| now < *at);
    if args.output.is_some() {
        let mut value = ui::plan::json(&snapshot, &simulation);
        value.insert("problems".to_owned(), json!(found));
        value.insert("may_change_at".to_owned(), json!(may_change_at));
        ui::json(&value);
    } else if simulation.is_empty() {
        ui::result(&format!("{}{}", lines(&found), ui::plan::NOTHING_TO_DO));
    } else {
        let text = ui::plan::text(&snapshot, &simulation);
        ui::result(&if found.is_empty() { text } else { format!("{text}\n{}", lines(&found)) });
    }
    if let Some(at) = may_change_at.filter(|_| args.output.is_none()) {
        ui::result(&ui::plan::may_change(at, now));
    }
    let pending = args.detailed_exitcode && !simulation.is_empty();
    Ok(if pending { ExitStatus::ChangesPending } else { ExitStatus::Done })
}

fn lines(found: &[Problem]) -> String {
    folding::lines(found).iter().map(|line| format!("{}\n", ui::clean(line))).collect()
}

/// Runs `muster simulate`.
pub(super) async fn simulate(context: &Context, args: &SimulateArgs) -> CommandResult {
    let snapshot = context.snapshot().await?;
    let find = |name: &String| find_machine(&snapshot, name).map(|machine| machine.id);
    let down = args.down.iter().map(find).collect::<Result<Vec<MachineId>, _>>()?;
    let mut reconciler = planner(context, &args.failover)?.reconciler(&snapshot);
    let mut hosts = SimulatedHosts::of(&snapshot, down.iter().copied());
    let simulation = simulation::simulate(&mut reconciler, &mut hosts, Clock::start().now());
    if args.output.is_some() {
        ui::json(&ui::plan::simulated_json(&snapshot, &simulation, reconciler.refused()));
        return Ok(ExitStatus::Done);
    }
    ui::result(&ui::clean(&simulated_text(&snapshot, &reconciler, &simulation, &down)));
    Ok(ExitStatus::Done)
}

/// Writes what would follow if machines went down.
pub(super) fn simulated_text(
    snapshot: &Snapshot,
    reconciler: &Reconciler,
    simulation: &Simulation,
    down: &[MachineId],
) -> String {
    let health_changes = down.iter().filter_map(|id| health(reconciler, simulation, *id));
    let unschedulable = reconciler.refused().iter().map(|(unit, why)| ui::plan::unschedulable(unit, why));
    let moves = ui::plan::moves(snapshot, simulation);
    format!("{}\n{moves}{}", health_changes.collect::<String>(), unschedulable.collect::<String>())
}

/// Returns the line about the health that a machine would have, unless it would be alive.
fn health(reconciler: &Reconciler, simulation: &Simulation, id: MachineId) -> Option<String> {
    let health = reconciler.view(id)?.health.filter(|health| *health != Health::Alive)?;
    let name = &reconciler.snapshot().machines.get(&id)?.name;
    let why = simulation.health_changes.get(&id).or_else(|| reconciler.snapshot().health.get(&id));
    Some(ui::plan::health(name, health, why.map(|health| &health.reason)))
}
