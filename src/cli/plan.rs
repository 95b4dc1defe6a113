//! `muster plan` and `muster simulate`: what would be done, now or if machines went down.

use std::time::Duration;

use serde_json::json;

use super::Context;
use super::error::CommandError;
use super::error::ErrorKind;
use crate::control;
use crate::control::LEASE;
use crate::control::findings::Finding;
use crate::control::findings::findings;
use crate::control::membership;
use crate::control::membership::MembershipError;
use crate::core::cluster::MachineId;
use crate::core::judge::BRAKE;
use crate::core::judge::Patience;
use crate::core::judge::Verdict;
use crate::core::pass::Pass;
use crate::core::rehearsal;
use crate::core::rehearsal::Imagined;
use crate::core::rehearsal::Script;
use crate::core::roster::Scope;
use crate::pass;
use crate::pass::Clock;
use crate::ui;

/// The number of a leader that there never was: nobody is to obey a plan.
const NOBODY: u64 = 0;

#[derive(Debug, clap::Args)]
pub(super) struct PlanArgs {
    /// End with 2 if there is something to do
    #[arg(long)]
    detailed_exitcode: bool,
    /// How many seconds a machine must have been silent before its units start elsewhere
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    down_after: u64,
    /// How many machines in a hundred may go silent at once; when more do, nothing is moved
    #[arg(long, value_name = "PERCENT", default_value_t = BRAKE, value_parser = clap::value_parser!(u8).range(1..=100))]
    brake: u8,
    /// Print as JSON
    #[arg(long, short = 'o', value_name = "FORMAT", value_parser = ["json"])]
    output: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct SimulateArgs {
    /// Machines that go down, all at once: names, addresses, machine-ids or the beginnings of them
    #[arg(long, required = true, num_args = 1.., value_name = "MACHINE")]
    down: Vec<String>,
    /// How many machines in a hundred may go silent at once; when more do, nothing is moved
    #[arg(long, value_name = "PERCENT", default_value_t = BRAKE, value_parser = clap::value_parser!(u8).range(1..=100))]
    brake: u8,
    /// Print as JSON
    #[arg(long, short = 'o', value_name = "FORMAT", value_parser = ["json"])]
    output: Option<String>,
}

/// Runs `muster plan`.
pub(super) async fn plan(context: &Context, args: &PlanArgs) -> Result<(), CommandError> {
    let (snapshot, remote) = (context.snapshot().await?, context.remote()?);
    let patience = Patience { down_after: Duration::from_secs(args.down_after), brake: args.brake };
    let mut pass = Pass::new(NOBODY, Scope::All, control::leasing(patience, LEASE)?, snapshot.clone());
    let script = pass::rehearse(&mut pass, &remote, Clock::start(), &context.stop).await;
    remote.close(Duration::from_millis(500)).await;
    let Some(script) = script else {
        let kind = ErrorKind::Interrupted;
        return Err(CommandError { kind, message: "interrupted: nothing was changed".to_owned(), hints: Vec::new() });
    };
    let found = findings(&pass, &Scope::All);
    if args.output.is_some() {
        let mut value = ui::plan::json(&snapshot, &script);
        value.insert("findings".to_owned(), json!(found));
        ui::result(&format!("{:#}\n", json!(value)));
    } else if script.is_empty() {
        ui::result(&format!("{}Nothing to do.\n", told(&found)));
    } else {
        let text = ui::plan::text(&snapshot, &script);
        ui::result(&if found.is_empty() { text } else { format!("{text}\n{}", told(&found)) });
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
    let patience = Patience { down_after: Duration::from_secs(8), brake: args.brake };
    let mut pass = Pass::new(NOBODY, Scope::All, control::leasing(patience, LEASE)?, snapshot.clone());
    let mut hosts = Imagined::of(&snapshot, down.iter().copied());
    let script = rehearsal::rehearse(&mut pass, &mut hosts, Clock::start().now());
    if args.output.is_some() {
        let mut value = ui::plan::json(&snapshot, &script);
        let homeless = pass.refused().iter().map(|(unit, why)| json!({"unit": unit, "why": why.to_string()}));
        value.insert("homeless".to_owned(), homeless.collect());
        value.insert("verdicts".to_owned(), json!(script.verdicts));
        ui::result(&format!("{:#}\n", json!(value)));
        return Ok(());
    }
    let verdicts = down.iter().filter_map(|id| verdict(&pass, &script, *id));
    let homeless = pass.refused().iter().map(|(unit, why)| format!("Unit {unit}: {}\n", why.tell()));
    let moves = ui::plan::text(&snapshot, &Script { moves: script.moves.clone(), ..Script::default() });
    let moves = if moves.is_empty() { "Nothing would move.\n".to_owned() } else { moves };
    ui::result(&format!("{}\n{moves}{}", verdicts.collect::<String>(), homeless.collect::<String>()));
    Ok(())
}

/// Says what would be thought of a machine, and why.
fn verdict(pass: &Pass, script: &Script, id: MachineId) -> Option<String> {
    let verdict = pass.seat(id)?.verdict.filter(|verdict| *verdict != Verdict::Alive)?;
    let name = &pass.snapshot().machines.get(&id)?.name;
    let why = script.verdicts.get(&id).or_else(|| pass.snapshot().health.get(&id));
    Some(format!("{name} would be {verdict}: {}\n", why.map_or("as before", |health| health.why.as_str())))
}
