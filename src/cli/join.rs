//! `muster join` and `muster leave`: which hosts are machines of the cluster.

use std::time::Duration;

use serde_json::json;

use super::Context;
use super::error::CommandError;
use super::error::CommandResult;
use super::error::ExitStatus;
use super::verb::Told;
use super::verb::WaitArgs;
use super::verb::errors;
use crate::control::membership;
use crate::control::membership::Candidate;
use crate::control::membership::Joined;
use crate::control::membership::SchedulingMode;
use crate::ui;

#[derive(Debug, clap::Args)]
pub(super) struct JoinArgs {
    /// Which hosts of the inventory
    #[arg(default_value = "all")]
    pattern: String,
    /// Print as JSON
    #[arg(long, short = 'o', value_name = "FORMAT", value_parser = ["json"])]
    output: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct LeaveArgs {
    /// A machine: its name, its machine-id or the beginning of it
    machine: String,
    /// Take it out even if it does not answer; what runs there goes on until somebody stops it
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct MachineArgs {
    /// A machine: its name, its machine-id or the beginning of it
    machine: String,
    /// Print as JSON
    #[arg(long, short = 'o', value_name = "FORMAT", value_parser = ["json"])]
    output: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct DrainArgs {
    /// A machine: its name, its machine-id or the beginning of it
    machine: String,
    /// Stop what is still there after so many seconds, even if it runs nowhere else
    #[arg(long, value_name = "SECONDS")]
    deadline: Option<u64>,
    #[command(flatten)]
    wait: WaitArgs,
}

/// Runs `muster cordon` and `muster uncordon`.
pub(super) async fn cordon(context: &Context, args: &MachineArgs, cordoned: bool) -> CommandResult {
    let mode = if cordoned { SchedulingMode::Cordoned } else { SchedulingMode::Open };
    let machine = membership::set_duty(&context.cluster().await?, &args.machine, mode).await?;
    if args.output.is_some() {
        ui::json(&json!({ "machine": machine.id, "name": machine.name, "cordoned": cordoned }));
        return Ok(ExitStatus::Done);
    }
    let word = if cordoned { "cordoned: nothing new is placed there" } else { "uncordoned" };
    ui::result(&format!("{} {word}\n", machine.name));
    Ok(ExitStatus::Done)
}

/// Runs `muster drain`.
pub(super) async fn drain(context: &Context, args: &DrainArgs) -> CommandResult {
    let cluster = context.cluster().await?;
    let mut told = Told::new(args.wait.json());
    let timeouts = args.wait.timeouts(context);
    let deadline = args.deadline.map(Duration::from_secs);
    let drained =
        membership::drain(&cluster, &args.machine, deadline, timeouts, &mut |notice| told.notice(&notice)).await;
    cluster.remote.close(Duration::from_millis(200)).await;
    told.finish();
    let (machine, found) = drained?;
    let errors = errors(&found);
    if errors.is_empty() && !args.wait.json() {
        let word = if timeouts.block { "drained" } else { "cordoned: what is there goes elsewhere" };
        ui::result(&format!("{} {word}\n", machine.name));
    }
    Ok(ui::report(&errors))
}

/// Runs `muster join`.
pub(super) async fn join(context: &Context, args: &JoinArgs) -> CommandResult {
    let inventory = context.inventory(None)?;
    let hosts = inventory.select(&args.pattern)?;
    let candidates = hosts.into_iter().map(|host| {
        host.notes().iter().for_each(|note| ui::remark(&format!("Note: {note}")));
        let (target, metadata) = (host.target()?, host.metadata()?);
        Ok(Candidate { target, metadata, fence_command: host.fence_command()? })
    });
    let candidates = candidates.collect::<Result<Vec<_>, crate::inventory::InventoryError>>()?;
    let cluster = context.cluster().await?;
    let joined = membership::join(&cluster, &candidates).await;
    cluster.remote.close(Duration::from_millis(200)).await;
    let (mut machines, mut errors) = (Vec::new(), Vec::new());
    for joined in joined? {
        let (machine, outcome) = match joined {
            Joined::New(machine) => (machine, "joined"),
            Joined::Changed(machine) => (machine, "updated"),
            Joined::Known(machine) => (machine, "known"),
            Joined::Refused(error) => {
                errors.push(CommandError::from(error));
                continue;
            }
        };
        match (args.output.is_some(), outcome) {
            (true, _) => machines.push(json!({ "machine": machine.id, "name": machine.name, "outcome": outcome })),
            (_, "joined") => ui::result(&format!("{} joined as {}\n", machine.name, machine.legend(false))),
            (_, "updated") => ui::result(&format!("{} updated\n", machine.name)),
            _ => ui::remark(&format!("{} has joined already", machine.name)),
        }
    }
    if args.output.is_some() {
        ui::json(&machines);
    }
    Ok(ui::report(&errors))
}

/// Runs `muster leave`.
pub(super) async fn leave(context: &Context, args: &LeaveArgs) -> CommandResult {
    let cluster = context.cluster().await?;
    let mut told = Told::new(args.wait.json());
    let timeouts = args.wait.timeouts(context);
    let left =
        membership::leave(&cluster, &args.machine, args.force, timeouts, &mut |notice| told.notice(&notice)).await;
    cluster.remote.close(Duration::from_millis(200)).await;
    told.finish();
    let (machine, found) = left?;
    if found.is_empty() || args.force {
        for finding in &found {
            ui::remark(&format!("Warning: {finding}"));
        }
        if !args.wait.json() {
            ui::result(&format!("{} left\n", machine.name));
        }
        return Ok(ExitStatus::Done);
    }
    let mut errors = errors(&found);
    let last =
        errors.pop().map(|last| last.hint("The machine is still in the cluster. `--force` takes it out anyway."));
    errors.extend(last);
    Ok(ui::report(&errors))
}
