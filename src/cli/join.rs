//! `muster join` and `muster leave`: which hosts are machines of the cluster.

use std::time::Duration;

use serde_json::json;

use super::Context;
use super::error::CommandError;
use super::error::ErrorKind;
use super::verb::Told;
use super::verb::WaitArgs;
use super::verb::conclude;
use crate::control::membership;
use crate::control::membership::Candidate;
use crate::control::membership::JoinError;
use crate::control::membership::Joined;
use crate::control::membership::Left;
use crate::control::membership::MembershipError;
use crate::control::membership::SchedulingMode;
use crate::core::machine_lookup::FindMachineError;
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
pub(super) async fn cordon(context: &Context, args: &MachineArgs, cordoned: bool) -> Result<(), CommandError> {
    let mode = if cordoned { SchedulingMode::Cordoned } else { SchedulingMode::Open };
    let machine = membership::set_scheduling_mode(&context.cluster().await?, &args.machine, mode).await?;
    if args.output.is_some() {
        ui::json(&json!({ "machine": machine.id, "name": machine.name, "cordoned": cordoned }));
        return Ok(());
    }
    let word = if cordoned { "cordoned: nothing new is placed there" } else { "uncordoned" };
    ui::result(&format!("{} {word}\n", machine.name));
    Ok(())
}

/// Runs `muster drain`.
pub(super) async fn drain(context: &Context, args: &DrainArgs) -> Result<(), CommandError> {
    let cluster = context.cluster().await?;
    let mut told = Told::new(args.wait.json());
    let timeouts = args.wait.timeouts(context);
    let deadline = args.deadline.map(Duration::from_secs);
    let drained =
        membership::drain(&cluster, &args.machine, deadline, timeouts, &mut |notice| told.notice(&notice)).await;
    cluster.remote.close(Duration::from_millis(200)).await;
    told.finish();
    let (machine, found) = drained?;
    conclude(&found)?;
    if !args.wait.json() {
        let word = if timeouts.block { "drained" } else { "cordoned: what is there goes elsewhere" };
        ui::result(&format!("{} {word}\n", machine.name));
    }
    Ok(())
}

/// Runs `muster join`.
pub(super) async fn join(context: &Context, args: &JoinArgs) -> Result<(), CommandError> {
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
    CommandError::all(errors)
}

/// Runs `muster leave`.
pub(super) async fn leave(context: &Context, args: &LeaveArgs) -> Result<(), CommandError> {
    let cluster = context.cluster().await?;
    let mut told = Told::new(args.wait.json());
    let timeouts = args.wait.timeouts(context);
    let left =
        membership::leave(&cluster, &args.machine, args.force, timeouts, &mut |notice| told.notice(&notice)).await;
    cluster.remote.close(Duration::from_millis(200)).await;
    told.finish();
    match left? {
        Left::Removed(machine, problems) => {
            for problem in &problems {
                ui::remark(&format!("Warning: {problem}"));
            }
            if !args.wait.json() {
                ui::result(&format!("{} left\n", machine.name));
            }
            Ok(())
        }
        Left::Draining(machine) => {
            let name = &machine.name;
            ui::remark(&format!("{name} is drained: `muster leave {name}` removes it once its units run elsewhere"));
            Ok(())
        }
        Left::Kept(_, problems) => conclude(&problems)
            .map_err(|error| error.hint("It is still a machine of the cluster; `--force` takes it out all the same.")),
    }
}

impl From<JoinError> for CommandError {
    fn from(error: JoinError) -> Self {
        match error {
            JoinError::Host(failure) => failure.into(),
            JoinError::Duplicate { ref other, joined, .. } => {
                let one = if joined {
                    format!("If {other} was renumbered and is this host now: `muster leave {other}`, and join again.")
                } else {
                    "If they are one host by two names: join it by one of them.".to_owned()
                };
                Self::failed(error.to_string())
                    .hint("Give the clone a new one: `rm /etc/machine-id && systemd-machine-id-setup`, and restart it.")
                    .hint(one)
            }
            JoinError::Unreadable { .. } => Self::failed(error.to_string()).hint("A newer muster may have written it."),
            JoinError::Contended { .. } => Self::failed(error.to_string()).hint("Join again."),
        }
    }
}

impl From<MembershipError> for CommandError {
    fn from(error: MembershipError) -> Self {
        match error {
            MembershipError::Store(error) => error.into(),
            MembershipError::Operation(error) => error.into(),
            MembershipError::Stopped => {
                Self { kind: ErrorKind::Interrupted, message: error.to_string(), hints: Vec::new() }
            }
            MembershipError::UnknownToken(_) => Self::usage(error.to_string()).hint(
                "Make one with `muster discovery new --size N`, or leave `--token` out for the cluster `default`.",
            ),
            MembershipError::Machine(error) => error.into(),
            MembershipError::Contended(_) => Self::failed(error.to_string()).hint("Try again."),
            MembershipError::Uncordoned(_) => Self::failed(error.to_string()),
        }
    }
}

impl From<FindMachineError> for CommandError {
    fn from(error: FindMachineError) -> Self {
        let hint = match &error {
            FindMachineError::Ambiguous { .. } => {
                "Use its name, its machine-id or its address with the port.".to_owned()
            }
            FindMachineError::Unknown { similar, .. } if !similar.is_empty() => {
                let similar: Vec<String> = similar.iter().map(|name| format!("`{name}`")).collect();
                format!("Did you mean {}? `muster list-machines` shows all.", similar.join(" or "))
            }
            FindMachineError::Unknown { .. } => "`muster list-machines` shows which there are.".to_owned(),
        };
        Self::usage(error.to_string()).hint(hint)
    }
}
