//! `muster plan` and `muster simulate`: what would be done, now or if machines went down.

use std::time::Duration;

use serde_json::json;

use super::Context;
use super::error::CommandError;
use super::error::ErrorKind;
use super::prudence::Prudence;
use crate::control;
use crate::control::LEASE;
use crate::control::membership;
use crate::control::membership::MembershipError;
use crate::control::problems::Finding;
use crate::control::problems::findings;
use crate::core::model::MachineId;
use crate::core::model::Snapshot;
use crate::core::model::Verdict;
use crate::core::reconcile::Pass;
use crate::core::reconcile::assignments::Scope;
use crate::core::simulation;
use crate::core::simulation::Imagined;
use crate::core::simulation::Script;
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

/// Returns the pass that a controller with these settings would begin.
fn imagine(context: &Context, prudence: &Prudence, snapshot: &Snapshot) -> Result<Pass, CommandError> {
    let (patience, caution) = prudence.resolve(&context.settings, 8)?;
    let lease = prudence.lease(&context.settings).unwrap_or(LEASE);
    Ok(Pass::new(NOBODY, Scope::All, control::leasing(patience, lease)?, snapshot.clone()).with_caution(caution))
}

/// Runs `muster plan`.
pub(super) async fn plan(context: &Context, args: &PlanArgs) -> Result<(), CommandError> {
    let (snapshot, remote) = (context.snapshot().await?, context.remote()?);
    let mut pass = imagine(context, &args.prudence, &snapshot)?;
    let script = runner::rehearse(&mut pass, &remote, Clock::start(), &context.stop).await;
    remote.close(Duration::from_millis(500)).await;
    let Some(script) = script else {
        let kind = ErrorKind::Interrupted;
        return Err(CommandError { kind, message: "interrupted: nothing was changed".to_owned(), hints: Vec::new() });
    };
    let found = findings(&pass, &Scope::All);
    let now = Clock::start().now();
    let again = pass.changes_at().filter(|at| now < *at);
    if args.output.is_some() {
        let mut value = ui::plan::json(&snapshot, &script);
        value.insert("findings".to_owned(), json!(found));
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
    if args.detailed_exitcode && !script.is_empty() { Err(CommandError::code(2)) } else { Ok(()) }
}

fn told(found: &[Finding]) -> String {
    found.iter().map(|finding| format!("{}\n", ui::clean(&finding.to_string()))).collect()
}

/// Runs `muster simulate`.
pub(super) async fn simulate(context: &Context, args: &SimulateArgs) -> Result<(), CommandError> {
    let snapshot = context.snapshot().await?;
    let find = |name: &String| {
        let machine = membership::find(&snapshot, name).map(|machine| machine.id);
        machine.ok_or_else(|| MembershipError::UnknownMachine(name.clone()))
    };
    let down = args.down.iter().map(find).collect::<Result<Vec<MachineId>, _>>()?;
    let mut pass = imagine(context, &args.prudence, &snapshot)?;
    let mut hosts = Imagined::of(&snapshot, down.iter().copied());
    let script = simulation::rehearse(&mut pass, &mut hosts, Clock::start().now());
    if args.output.is_some() {
        let mut value = ui::plan::json(&snapshot, &script);
        let homeless = pass.refused().iter().map(|(unit, why)| json!({"unit": unit, "why": why.to_string()}));
        value.insert("homeless".to_owned(), homeless.collect());
        value.insert("verdicts".to_owned(), json!(script.verdicts));
        ui::json(&value);
        return Ok(());
    }
    let verdicts = down.iter().filter_map(|id| verdict(&pass, &script, *id));
    let homeless = pass.refused().iter().map(|(unit, why)| format!("Unit {unit}: {}\n", why.tell()));
    let moves = ui::plan::text(&snapshot, &Script { moves: script.moves.clone(), ..Script::default() });
    let moves = if moves.is_empty() { "Nothing would move.\n".to_owned() } else { moves };
    let text = format!("{}\n{moves}{}", verdicts.collect::<String>(), homeless.collect::<String>());
    ui::result(&ui::clean(&text));
    Ok(())
}

/// Says what would be thought of a machine, and why.
fn verdict(pass: &Pass, script: &Script, id: MachineId) -> Option<String> {
    let verdict = pass.seat(id)?.verdict.filter(|verdict| *verdict != Verdict::Alive)?;
    let name = &pass.snapshot().machines.get(&id)?.name;
    let why = script.verdicts.get(&id).or_else(|| pass.snapshot().health.get(&id));
    Some(format!("{name} would be {verdict}: {}\n", why.map_or("as before", |health| health.why.as_str())))
}
