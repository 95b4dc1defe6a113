//! `muster submit`, `load`, `start`, `stop`, `unload`, `destroy`, `restart`: the desired state of units.

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::Context;
use super::duration;
use super::error::CommandError;
use super::error::CommandResult;
use super::error::ExitStatus;
use super::progress_printer::ProgressPrinter;
use super::settings::LockArgs;
use super::settings::SettleArgs;
use crate::application;
use crate::control::problems::Problem;
use crate::control::progress::OnProgress;
use crate::control::progress::OperationError;
use crate::control::progress::Progress;
use crate::control::progress::Timeouts;
use crate::control::verb;
use crate::core::command;
use crate::core::command::LocalFile;
use crate::core::command::UnitCommand;
use crate::core::model::Verb;
use crate::core::unit::Contents;
use crate::core::unit::UnitFile;
use crate::core::unit::UnitName;
use crate::runner::ClusterContext;
use crate::store::leader_election;
use crate::ui;
use crate::ui::messages;

/// How long one block attempt of fleet lasts.
const ATTEMPT: Duration = Duration::from_secs(2);

/// How long a command waits for leadership, unless a setting says otherwise.
pub(super) const LOCK_WAIT: Duration = Duration::from_secs(30);

/// The longest unit file that is read, in bytes: the limit of systemd for one line.
const FILE_LIMIT: u64 = 1 << 20;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Units: names, or paths of unit files; a name without a type is that of a `.service`
    #[arg(required_unless_present = "application", value_name = "UNIT")]
    units: Vec<String>,
    /// All units of this application
    #[arg(long, value_name = "NAME")]
    application: Option<String>,
    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct CreateArgs {
    /// Replace the submitted file if the local file differs from it
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    args: Args,
}

#[derive(Debug, Clone, clap::Args)]
pub(super) struct WaitArgs {
    /// Store the desired state and end; a controller or the next sweep carries it out
    #[arg(long)]
    no_block: bool,
    /// End after this long, and name the units that are not done; hosts finish the steps that they have received. 0 means the
    /// default [default: no limit with a controller, otherwise 90s for units that start or stop slowly]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, conflicts_with = "no_block")]
    wait: Option<Duration>,
    /// As --wait, but in units of two seconds, as in fleet; 0 means the default
    #[arg(long, value_name = "N", conflicts_with = "wait", hide_short_help = true)]
    block_attempts: Option<u32>,
    #[command(flatten)]
    settle: SettleArgs,
    #[command(flatten)]
    lock: LockArgs,
    /// Print as JSON
    #[arg(long, short = 'o', value_name = "FORMAT", value_parser = ["json"])]
    output: Option<String>,
}

impl WaitArgs {
    /// Returns how long to wait for leadership, for a controller and for started units.
    pub(super) fn timeouts(&self, context: &Context) -> Timeouts {
        let attempts = self.block_attempts.map(|attempts| ATTEMPT.saturating_mul(attempts));
        Timeouts {
            lock_wait: self.lock.wait(&context.settings, LOCK_WAIT),
            wait: self.wait.or(attempts).filter(|limit| !limit.is_zero()),
            settle: self.settle.time(&context.settings),
            block: !self.no_block,
        }
    }

    pub(super) const fn json(&self) -> bool {
        self.output.is_some()
    }
}

/// Runs a command that may submit units.
pub(super) async fn create(context: &Context, verb: Verb, create: &CreateArgs) -> CommandResult {
    let commands = create.args.units.iter().map(|text| {
        let unit = parse_unit(text)?;
        let file = read_local(text, &unit)?;
        // fleet took the submitted unit of the same name.
        if file.is_none() && !context.is_fleetctl {
            check_path(text, &unit)?;
        }
        Ok(UnitCommand { file, replace: create.replace, ..UnitCommand::new(verb, unit) })
    });
    let mut commands = commands.collect::<Result<Vec<_>, CommandError>>()?;
    commands.extend(of_application(context, verb, &create.args).await?);
    run(context, verb, commands, &create.args.wait).await
}

/// Runs a command for submitted units.
pub(super) async fn change(context: &Context, verb: Verb, args: &Args) -> CommandResult {
    let units = args.units.iter().map(|text| parse_unit(text)).collect::<Result<Vec<_>, _>>()?;
    let commands = units.into_iter().map(|unit| UnitCommand::new(verb, unit));
    let commands = commands.chain(of_application(context, verb, args).await?).collect();
    run(context, verb, commands, &args.wait).await
}

/// Returns the commands for the units of the application that is named. A template is no unit that runs.
async fn of_application(context: &Context, verb: Verb, args: &Args) -> Result<Vec<UnitCommand>, CommandError> {
    let Some(name) = &args.application else { return Ok(Vec::new()) };
    let snapshot = context.snapshot().await?;
    let is_meant = |unit: &&UnitName| matches!(verb, Verb::Submit | Verb::Destroy) || !unit.is_template();
    let units: Vec<&UnitName> = application::units_of(&snapshot, name).filter(is_meant).collect();
    if units.is_empty() {
        let hint = "`muster list-applications` lists the applications.";
        return Err(CommandError::failed(format!("there is no application {name}")).hint(hint));
    }
    Ok(command::commands_for_application(&snapshot, verb, &units))
}

/// Parses the name of a unit as fleet did: the last part of a path, `.service` if it has no type.
pub(super) fn parse_unit(text: &str) -> Result<UnitName, CommandError> {
    UnitName::from_argument(text).map_err(|error| CommandError::usage(format!("{text}: {error}")))
}

/// Carries commands out, with the verb that was given. Those with another verb are for units that others start.
pub(super) async fn run(
    context: &Context,
    verb: Verb,
    mut commands: Vec<UnitCommand>,
    wait: &WaitArgs,
) -> CommandResult {
    if commands.is_empty() {
        return Ok(ExitStatus::Done);
    }
    commands.sort_by(|a, b| a.unit.cmp(&b.unit));
    commands.dedup_by(|a, b| a.unit == b.unit);
    let cluster = if verb == Verb::Submit { submit_to(context).await? } else { context.cluster().await? };
    let mut printer = ProgressPrinter::new(wait.json());
    let mut on_progress = |progress: Progress<'_>| printer.print(&progress);
    let result = carry_out(&cluster, verb, commands, wait.timeouts(context), &mut on_progress).await;
    cluster.remote.close(Duration::from_millis(200)).await;
    printer.finish();
    let problems = result?;
    // A store that does not answer now has taken the command.
    let leader = leader_election::current_leader(&cluster.store, &cluster.keys);
    if wait.no_block && verb != Verb::Submit && matches!(leader.await, Ok(None)) {
        ui::note(messages::NO_LEADER);
    }
    let destroyed = if verb == Verb::Destroy { hint_about_destroyed(&problems) } else { None };
    Ok(ui::report(&destroyed.unwrap_or_else(|| errors(&problems))))
}

/// Carries the commands out: first those with another verb than the one that was given, for units that others start.
async fn carry_out(
    cluster: &ClusterContext,
    verb: Verb,
    commands: Vec<UnitCommand>,
    timeouts: Timeouts,
    on_progress: &mut OnProgress<'_>,
) -> Result<Vec<Problem>, OperationError> {
    let mut problems = Vec::new();
    let others = [Verb::Submit, Verb::Load].into_iter().filter(|other| *other != verb);
    for verb in others.chain([verb]) {
        let commands: Vec<UnitCommand> = commands.iter().filter(|command| command.verb == verb).cloned().collect();
        if !commands.is_empty() {
            problems.extend(verb::execute(cluster, verb, &commands, timeouts, on_progress).await?);
        }
    }
    Ok(problems)
}

/// Returns the handles of a cluster that may be new. An operator who meant another store learns of it.
pub(super) async fn submit_to(context: &Context) -> Result<ClusterContext, CommandError> {
    if let Some(cluster) = context.existing_cluster().await? {
        return Ok(cluster);
    }
    let cluster = context.new_cluster().await?;
    if !context.is_fleetctl {
        ui::note(&messages::new_store(&context.settings.store));
    }
    Ok(cluster)
}

/// Returns the errors about units that are destroyed and still on a machine. No other command shows more about them.
fn hint_about_destroyed(problems: &[Problem]) -> Option<Vec<CommandError>> {
    let is_left = problems.iter().any(|problem| problem.unit.is_some() && !problem.unreachable);
    let mut errors: Vec<CommandError> = problems.iter().map(CommandError::from).collect();
    let last = errors.pop().filter(|_| is_left)?;
    errors.push(last.hint(
        "The cluster does not know the unit any more. `muster list-units` shows it until its machine has unloaded it.",
    ));
    Some(errors)
}

/// Returns the errors that problems are, the last with advice.
pub(super) fn errors(problems: &[Problem]) -> Vec<CommandError> {
    let mut errors: Vec<CommandError> = problems.iter().map(CommandError::from).collect();
    let hint = if problems.iter().all(|problem| problem.unreachable) {
        // Each problem says when that is.
        Some("The desired state is stored: `muster sweep` or a controller carries it out.".to_owned())
    } else {
        problems.iter().find(|problem| !problem.unreachable).and_then(Problem::commands)
    };
    if let Some(last) = errors.pop() {
        errors.push(last.maybe_hint(hint));
    }
    errors
}

/// Reads the unit file that an argument names, or the file of its template, if there is one.
pub(super) fn read_local(text: &str, unit: &UnitName) -> Result<Option<LocalFile>, CommandError> {
    let folder = Path::new(text).parent().unwrap_or_else(|| Path::new(""));
    let own = read(&folder.join(unit.as_str()), false)?;
    let template = unit.template().map(|template| folder.join(template.as_str()));
    match (own, template) {
        (None, Some(template)) => read(&template, true),
        (own, _) => Ok(own),
    }
}

/// Refuses a path at which there is no file: the submitted unit of the same name may be another one.
pub(super) fn check_path(text: &str, unit: &UnitName) -> Result<(), CommandError> {
    let path = Path::new(text);
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) else { return Ok(()) };
    let error = CommandError::usage(format!("{}: no such file", folder.join(unit.as_str()).display()));
    Err(error.hint(format!("Write `{unit}` without a path to name the submitted unit.")))
}

fn read(path: &PathBuf, template: bool) -> Result<Option<LocalFile>, CommandError> {
    let unreadable = |error: io::Error| CommandError::usage(format!("cannot read {}", path.display())).caused_by(error);
    match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
        Ok(data) if data.is_file() && data.len() > FILE_LIMIT => {
            return Err(CommandError::usage(format!("{}: longer than {FILE_LIMIT} bytes", path.display())));
        }
        Ok(data) if !data.is_file() => {
            return Err(CommandError::usage(format!("{}: not a file", path.display())));
        }
        Ok(_) => {}
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    let file =
        UnitFile::from_bytes(&bytes).map_err(|error| CommandError::usage(format!("{}:{error}", path.display())))?;
    Ok(Some(LocalFile { file: Arc::new(file), path: path.display().to_string(), template, contents: Contents::new() }))
}
