//! `muster status`, `journal` and `ssh`: commands that run on the machine of a unit.

use std::io;

use super::Context;
use super::error::CommandError;
use super::error::CommandResult;
use super::error::ExitStatus;
use super::error::no_such_unit;
use super::unit_commands::parse_unit;
use crate::api::EXIT_CODE;
use crate::control::look;
use crate::control::unit_output;
use crate::core::explain;
use crate::core::machine_lookup::FindMachineError;
use crate::core::machine_lookup::find_machine;
use crate::core::model::DesiredState;
use crate::core::model::Machine;
use crate::core::model::Snapshot;
use crate::core::sanitize;
use crate::core::schedule::RequirementsIndex;
use crate::core::unit::UnitName;
use crate::http::client;
use crate::http::client::ApiClient;
use crate::http::client::ClientError;
use crate::inventory::diagnostic::did_you_mean;
use crate::remote::Command;
use crate::remote::Exit;
use crate::remote::SharedRemote;
use crate::remote::Target;
use crate::remote::Unquotable;
use crate::runner;
use crate::runner::Clock;
use crate::ui;
use crate::ui::messages;

/// A question about a unit that only its machine answers.
struct Question {
    /// The command that answers it there.
    command: Command,
    /// The port of the machine that SSH connects to.
    port: PortArgs,
    /// The resource of the unit in the API that does the same.
    resource: &'static str,
    parameters: Vec<(&'static str, String)>,
}

#[derive(Debug, Clone, Copy, clap::Args)]
struct PortArgs {
    /// Connect to this port of the machine in place of the one with which the host joined
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    ssh_port: Option<u16>,
}

#[derive(Debug, clap::Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    port: PortArgs,
    /// Units
    #[arg(required = true, value_name = "UNIT")]
    units: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct JournalArgs {
    #[command(flatten)]
    port: PortArgs,
    /// A unit
    unit: String,
    /// Print this many of the latest lines first
    #[arg(long, short = 'n', default_value_t = 10)]
    lines: u32,
    /// Print new lines as they come, until interrupted
    #[arg(long, short = 'f')]
    follow: bool,
    /// Print in this output format of journalctl(1), such as `json`; it is the format of the lines, not that of other lists of
    /// muster
    #[arg(long, default_value = "short")]
    output: String,
    /// Accepted because fleet has it: the journal is always read as root
    #[arg(long, hide = true)]
    sudo: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct SshArgs {
    #[command(flatten)]
    port: PortArgs,
    /// Let the machine use the SSH agent of this one while the session lasts
    #[arg(long, short = 'A')]
    forward_agent: bool,
    /// Treat the name as that of a machine
    #[arg(long, short = 'm', conflicts_with = "unit")]
    machine: bool,
    /// Treat the name as that of a unit
    #[arg(long, short = 'u')]
    unit: bool,
    /// A machine (name, address or beginning of its machine-id), or a unit, which stands for its machine
    #[arg(value_name = "MACHINE|UNIT")]
    name: String,
    /// Run this command instead of a shell
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// Runs `muster status`. Each unit is shown, and the exit code is that of the first that is not active, as in systemctl.
pub(super) async fn status(context: &Context, args: &StatusArgs) -> CommandResult {
    let units = args.units.iter().map(|text| parse_unit(text)).collect::<Result<Vec<_>, _>>()?;
    if units.is_empty() {
        return Ok(ExitStatus::Done);
    }
    let snapshot = look::read(&context.cluster().await?).await?;
    let requirements = RequirementsIndex::of(&snapshot);
    let mut first = ExitStatus::Done;
    for (number, unit) in units.into_iter().enumerate() {
        if number > 0 {
            ui::result("\n");
        }
        let is_global = requirements.is_global(&unit);
        let status = status_of_unit(context, &snapshot, &unit, is_global, args.port).await;
        let status = status.unwrap_or_else(|error| ui::report(&[error]));
        if context.stop.is_cancelled() {
            return Ok(status);
        }
        if first == ExitStatus::Done {
            first = status;
        }
    }
    Ok(first)
}

/// Prints the status of a unit on its machines.
async fn status_of_unit(
    context: &Context,
    snapshot: &Snapshot,
    unit: &UnitName,
    is_global: bool,
    port: PortArgs,
) -> CommandResult {
    let machines = if is_global {
        machines_with(context, snapshot, unit)?
    } else {
        vec![machine_of(context, snapshot, unit, "loaded")?]
    };
    let now = Clock::start().now();
    let mut unsure = ui::may_still_run(snapshot, unit, now);
    let reasons = explain::ended_lease(snapshot, unit, now).into_iter().chain(explain::pulling(snapshot, unit, now));
    unsure.extend(reasons.map(|reason| format!("Unit {unit}: {reason}")));
    ui::result(&unsure.iter().map(|line| format!("{line}\n")).collect::<String>());
    let command = unit_output::status(unit).map_err(unquotable)?;
    let question = Question { command, port, resource: "status", parameters: Vec::new() };
    run_on(context, snapshot, unit, &machines, &question).await
}

/// Runs a command about a unit on each of these machines, and returns how the first that failed ended.
async fn run_on(
    context: &Context,
    snapshot: &Snapshot,
    unit: &UnitName,
    machines: &[&Machine],
    question: &Question,
) -> CommandResult {
    let client = context.api_client()?;
    let mut first = ExitStatus::Done;
    for (number, machine) in machines.iter().enumerate() {
        if number > 0 {
            ui::result("\n");
        }
        if machines.len() > 1 {
            ui::result(&format!("{}:\n", machine.name));
        }
        let shown = match &client {
            Some(client) => ask(context, client, unit, machine, question).await,
            None => run(context, snapshot, machine, question).await,
        };
        let last = || messages::last_observed(snapshot, unit, machine, Clock::start().now());
        let status = shown.unwrap_or_else(|error| ui::report(&[error.maybe_hint(last())]));
        if context.stop.is_cancelled() {
            return Ok(status);
        }
        if first == ExitStatus::Done {
            first = status;
        }
    }
    Ok(first)
}

/// Runs `muster journal`.
pub(super) async fn journal(context: &Context, args: &JournalArgs) -> CommandResult {
    let unit = parse_unit(&args.unit)?;
    let snapshot = context.snapshot().await?;
    let is_global = RequirementsIndex::of(&snapshot).is_global(&unit);
    if is_global && args.follow {
        let error = CommandError::failed(messages::journal_of_global_unit(&unit));
        return Err(error.hint(format!(
            "`muster exec --become HOST -- journalctl -f -u {}` follows it on one host.",
            unit.of_systemd()
        )));
    }
    let machines = if is_global {
        machines_with(context, &snapshot, &unit)?
    } else {
        vec![machine_of(context, &snapshot, &unit, "running")?]
    };
    let command = unit_output::journal(&unit, args.lines, &args.output, args.follow).map_err(unquotable)?;
    let parameters =
        vec![("lines", args.lines.to_string()), ("output", args.output.clone()), ("follow", args.follow.to_string())];
    let question = Question { command, port: args.port, resource: "journal", parameters };
    run_on(context, &snapshot, &unit, &machines, &question).await
}

/// Runs `muster ssh`.
pub(super) async fn ssh(context: &Context, args: &SshArgs) -> CommandResult {
    let snapshot = context.snapshot().await?;
    let machine = lookup(context, &snapshot, args)?;
    let remote = context.remote()?;
    let target = route(&remote, &snapshot, machine, args.port).await;
    let target = Target { forwards_agent: args.forward_agent, ..target };
    let command = (!args.command.is_empty()).then(|| args.command.join(" "));
    let exit = remote.interact(&target, command.as_deref()).await?;
    Ok(status_of(&exit))
}

/// Returns the error about a name of a unit or a format that no shell takes.
pub(super) fn unquotable(error: Unquotable) -> CommandError {
    CommandError::usage("invalid name or format").caused_by(error)
}

/// Finds the machines that have reported a global unit.
fn machines_with<'a>(
    context: &Context,
    snapshot: &'a Snapshot,
    unit: &UnitName,
) -> Result<Vec<&'a Machine>, CommandError> {
    let reported = snapshot.states.get(unit).into_iter().flat_map(|states| states.keys());
    let machines: Vec<&Machine> = reported.filter_map(|id| snapshot.machines.get(id)).collect();
    if machines.is_empty() {
        return Err(on_no_machine(context, snapshot, unit, "loaded"));
    }
    Ok(machines)
}

/// Finds the machine that a unit is placed on.
fn machine_of<'a>(
    context: &Context,
    snapshot: &'a Snapshot,
    unit: &UnitName,
    need: &str,
) -> Result<&'a Machine, CommandError> {
    if !snapshot.units.contains_key(unit) {
        return Err(no_such_unit(snapshot, unit));
    }
    let placement = snapshot.placements.get(unit);
    let machine = placement.and_then(|placement| snapshot.machines.get(&placement.machine));
    machine.ok_or_else(|| on_no_machine(context, snapshot, unit, need))
}

/// Returns the error about a unit that is on no machine, as fleet wrote it under the name `fleetctl`.
fn on_no_machine(context: &Context, snapshot: &Snapshot, unit: &UnitName, need: &str) -> CommandError {
    let desired = snapshot.units.get(unit).map_or(DesiredState::Inactive, |unit| unit.desired);
    if context.is_fleetctl {
        return CommandError::failed(messages::not_on_a_machine(unit, need));
    }
    CommandError::failed(messages::on_no_machine(unit, desired)).hint(if desired == DesiredState::Inactive {
        format!("`muster start {unit}` starts it. `muster events {unit}` names the machines that it was on.")
    } else {
        format!("`muster why {unit}` says why it has no machine.")
    })
}

fn lookup<'a>(context: &Context, snapshot: &'a Snapshot, args: &SshArgs) -> Result<&'a Machine, CommandError> {
    let machine = (!args.unit).then(|| find_machine(snapshot, &args.name));
    let unit = (!args.machine).then(|| parse_unit(&args.name).ok()).flatten();
    let unit = unit.and_then(|unit| machine_of(context, snapshot, &unit, "loaded").ok());
    match (machine, unit) {
        (Some(Ok(_) | Err(FindMachineError::Ambiguous { .. })), Some(_)) => Err(CommandError::usage(format!(
            "Unable to proceed: ambiguous argument, both machine and unit found for `{}`.",
            args.name
        ))
        .hint("Please use flag `-m` or `-u` to refine the search.")),
        (Some(Ok(machine)), None) | (_, Some(machine)) => Ok(machine),
        (Some(Err(error @ FindMachineError::Ambiguous { .. })), None) => Err(error.into()),
        (Some(Err(FindMachineError::Unknown { .. })) | None, None) if is_global(snapshot, &args.name) => {
            Err(CommandError::failed(format!("unit {} is global: it has no machine of its own", args.name))
                .hint("Name one of the machines: `muster list-units` shows where the unit runs."))
        }
        (None, None) => machine_of(context, snapshot, &parse_unit(&args.name)?, "loaded"),
        (Some(Err(FindMachineError::Unknown { .. })), None) => Err(no_match(context, snapshot, &args.name)),
    }
}

/// Returns the error about a name that is neither that of a machine nor that of a unit on a machine.
fn no_match(context: &Context, snapshot: &Snapshot, name: &str) -> CommandError {
    let unit = parse_unit(name).ok();
    if let Some(unit) = unit.as_ref().filter(|unit| snapshot.units.contains_key(*unit)) {
        return on_no_machine(context, snapshot, unit, "loaded");
    }
    let error = "Unable to proceed: could not find matching unit or machine";
    if context.is_fleetctl {
        return CommandError::failed(error);
    }
    let machines = snapshot.machines.values().map(|machine| machine.name.as_str());
    let names = machines.chain(snapshot.units.keys().map(UnitName::stem));
    let name = sanitize::truncate(name, sanitize::MESSAGE_LIMIT);
    CommandError::failed(format!("no machine and no unit is called {name:?}")).maybe_hint(did_you_mean(&name, names))
}

/// Reports whether a text names a global unit.
fn is_global(snapshot: &Snapshot, text: &str) -> bool {
    let unit = parse_unit(text).ok().filter(|unit| snapshot.units.contains_key(unit));
    unit.is_some_and(|unit| RequirementsIndex::of(snapshot).is_global(&unit))
}

/// Runs a command on a machine, prints its output as it comes and returns how it ended.
async fn run(context: &Context, snapshot: &Snapshot, machine: &Machine, question: &Question) -> CommandResult {
    let remote = context.remote()?;
    let mut out = ui::Passing::default();
    let exit = async {
        let target = route(&remote, snapshot, machine, question.port).await;
        remote.exec(&target, &question.command, &mut out).await
    };
    let exit = tokio::select! {
        exit = exit => exit?,
        // `journal -f` ends only so.
        () = context.stop.cancelled() => return Ok(ExitStatus::Interrupted),
    };
    Ok(status_of(&exit))
}

/// Asks the API of a controller about a unit on a machine, prints the answer as it comes and returns how the command ended
/// there.
async fn ask(
    context: &Context,
    client: &ApiClient,
    unit: &UnitName,
    machine: &Machine,
    question: &Question,
) -> CommandResult {
    let id = machine.id.to_string();
    let parameters = question.parameters.iter().map(|(name, value)| (*name, value.as_str()));
    let parameters: Vec<(&str, &str)> = parameters.chain([("machine", id.as_str())]).collect();
    let path = format!("/api/v1/units/{}/{}", client::encode(&unit.to_string()), question.resource);
    let failed = |error: ClientError| match error {
        ClientError::Unavailable(why) => CommandError::new(ExitStatus::Unreachable, io::Error::other(why)),
        ClientError::Refused { message, .. } => CommandError::failed(message),
    };
    let shown = async {
        let mut chunks = client.stream(&path, &parameters).await?;
        while let Some(chunk) = chunks.next().await? {
            ui::result_bytes(&chunk);
        }
        Ok(chunks.number(EXIT_CODE).unwrap_or_default())
    };
    let code = tokio::select! {
        code = shown => code.map_err(failed)?,
        () = context.stop.cancelled() => return Ok(ExitStatus::Interrupted),
    };
    Ok(status_of(&Exit::Code(code)))
}

/// Finds the route to a machine, and says so if it leads through a relay.
async fn route(remote: &SharedRemote, snapshot: &Snapshot, machine: &Machine, port: PortArgs) -> Target {
    let (mut target, relay) = runner::route(remote, snapshot, machine).await;
    target.address.port = port.ssh_port.or(target.address.port);
    if let Some(relay) = relay {
        ui::status(&messages::relayed(machine, relay));
    }
    target
}

fn status_of(exit: &Exit) -> ExitStatus {
    match exit {
        Exit::Code(0) => ExitStatus::Done,
        Exit::Code(code) => ExitStatus::External(u8::try_from(*code).unwrap_or(255)),
        Exit::Signal(_) => ExitStatus::External(255),
    }
}
