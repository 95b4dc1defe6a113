//! `muster apply` and `muster diff`: makes the cluster as folders say, or shows where it differs from them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::Context;
use super::error::CommandError;
use super::error::CommandResult;
use super::error::ExitStatus;
use super::progress_printer::ProgressPrinter;
use super::unit_commands::WaitArgs;
use super::unit_commands::errors;
use super::unit_commands::submit_to;
use crate::application;
use crate::application::Application;
use crate::application::UnitChange;
use crate::control::problems::Problem;
use crate::control::verb;
use crate::core::command;
use crate::core::command::UnitCommand;
use crate::core::model::Snapshot;
use crate::core::model::Verb;
use crate::core::unit::UnitName;
use crate::runner::ClusterContext;
use crate::store::layout;
use crate::ui;
use crate::ui::application_diff;

#[derive(Debug, clap::Args)]
pub(super) struct ApplyArgs {
    /// Folders: each is an application of its name
    #[arg(required = true, value_name = "FOLDER")]
    folders: Vec<PathBuf>,
    /// Destroy the units of these applications that are no longer in their folders
    #[arg(long)]
    prune: bool,
    /// Print what would change, and change nothing
    #[arg(long)]
    plan: bool,
    /// With --plan: end with exit code 4 if there are changes to make
    #[arg(long, requires = "plan")]
    detailed_exitcode: bool,
    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct DiffArgs {
    /// Folders: each is an application of its name
    #[arg(required = true, value_name = "FOLDER")]
    folders: Vec<PathBuf>,
}

/// What changes about the units of each application.
type Changes = Vec<(String, BTreeMap<UnitName, UnitChange>)>;

/// Runs `muster apply`.
pub(super) async fn apply(context: &Context, args: &ApplyArgs) -> CommandResult {
    let applications = read(&args.folders)?;
    if args.plan {
        let (_, changes) = checked(&known(context).await?, applications)?;
        return Ok(print_plan(&changes, args));
    }
    let cluster = submit_to(context).await?;
    let snapshot = layout::read(&*cluster.store, &cluster.keys).await?;
    let (applications, changes) = checked(&snapshot, applications)?;
    let problems = carry_out(context, args, &cluster, &snapshot, &applications, &changes).await;
    cluster.remote.close(Duration::from_millis(200)).await;
    let (problems, is_pruned) = problems?;
    if !args.wait.json() {
        for (name, units) in &changes {
            ui::result(&summary(name, units, is_pruned));
        }
    }
    Ok(ui::report(&errors(&problems)))
}

/// Carries the changes out. Returns the problems, and whether units that are no longer in the folders were destroyed: only if
/// nothing else has failed.
async fn carry_out(
    context: &Context,
    args: &ApplyArgs,
    cluster: &ClusterContext,
    snapshot: &Snapshot,
    applications: &[Application],
    changes: &Changes,
) -> Result<(Vec<Problem>, bool), CommandError> {
    let (timeouts, mut printer) = (args.wait.timeouts(context), ProgressPrinter::new(args.wait.json()));
    let mut problems = Vec::new();
    for (verb, commands) in application::commands(snapshot, applications) {
        problems.extend(verb::execute(cluster, verb, &commands, timeouts, &mut |it| printer.print(&it)).await?);
    }
    let is_pruned = args.prune && problems.is_empty();
    let removed = removed(changes).filter(|_| is_pruned);
    let destroy = |unit: &UnitName| UnitCommand { verb: Verb::Destroy, unit: unit.clone(), file: None, replace: false };
    let removed: Vec<UnitCommand> = removed.map(destroy).collect();
    if removed.is_empty() {
        verb::collect_files(cluster).await?;
    } else {
        problems.extend(verb::execute(cluster, Verb::Destroy, &removed, timeouts, &mut |it| printer.print(&it)).await?);
    }
    printer.finish();
    Ok((problems, is_pruned))
}

/// Runs `muster diff`.
pub(super) async fn diff(context: &Context, args: &DiffArgs) -> CommandResult {
    let applications = read(&args.folders)?;
    let snapshot = known(context).await?;
    let (applications, changes) = checked(&snapshot, applications)?;
    let mut is_different = false;
    for (application, (_, units)) in applications.iter().zip(&changes) {
        let text = application_diff::text(&snapshot, application, units);
        is_different |= !text.is_empty();
        ui::result(&text);
    }
    Ok(if is_different { ExitStatus::ChangesPending } else { ExitStatus::Done })
}

/// Reads the applications of folders. No two have a unit of one name.
fn read(folders: &[PathBuf]) -> Result<Vec<Application>, CommandError> {
    let mut applications: Vec<Application> = Vec::new();
    for folder in folders {
        let application = Application::read(folder)?;
        if let Some(other) = applications.iter().find(|other| other.name == application.name) {
            let error = format!("{}: an application {} is named twice", folder.display(), other.name);
            return Err(CommandError::usage(error));
        }
        let shared =
            |other: &Application| other.units.keys().find(|unit| application.units.contains_key(*unit)).cloned();
        if let Some((unit, other)) = applications.iter().find_map(|other| Some((shared(other)?, &other.name))) {
            return Err(CommandError::usage(format!("Unit {unit}: {other} and {} both have it", application.name)));
        }
        applications.push(application);
    }
    command::check_services(applications.iter().flat_map(|it| it.units.keys()))?;
    Ok(applications)
}

/// Returns the records of the cluster; none if it has no store yet.
async fn known(context: &Context) -> Result<Snapshot, CommandError> {
    match context.existing_cluster().await? {
        Some(cluster) => Ok(layout::read(&*cluster.store, &cluster.keys).await?),
        None => Ok(Snapshot::default()),
    }
}

/// Returns the applications as the cluster stores them, and what changes about each. An error in any unit refuses all.
fn checked(snapshot: &Snapshot, applications: Vec<Application>) -> Result<(Vec<Application>, Changes), CommandError> {
    let applications = application::with_secrets(snapshot, applications);
    for command in application::commands(snapshot, &applications).iter().flat_map(|(_, commands)| commands) {
        command::decide(snapshot, command)?;
    }
    let changes =
        applications.iter().map(|it| Ok((it.name.clone(), application::changes(snapshot, it, &applications)?)));
    let changes = changes.collect::<Result<Changes, application::OtherApplication>>().map_err(|error| {
        let hint = format!("Name the folders of both in one `muster apply`, or `muster destroy {}` first.", error.unit);
        CommandError::usage(error.to_string()).hint(hint)
    })?;
    Ok((applications, changes))
}

/// Returns the units that are no longer in the folders of their applications.
fn removed(changes: &Changes) -> impl Iterator<Item = &UnitName> {
    let units = changes.iter().flat_map(|(_, units)| units);
    units.filter(|(_, change)| **change == UnitChange::Removed).map(|(unit, _)| unit)
}

fn print_plan(changes: &Changes, args: &ApplyArgs) -> ExitStatus {
    let rows = changes.iter().flat_map(|(name, units)| units.iter().map(move |(unit, change)| (name, unit, *change)));
    if args.wait.json() {
        let word = |change| word(change, args.prune);
        let records =
            rows.map(|(name, unit, change)| json!({ "application": name, "unit": unit, "change": word(change) }));
        ui::json(&records.collect::<Vec<_>>());
    } else {
        let header = ["UNIT", "APPLICATION", "CHANGE"].map(str::to_owned).to_vec();
        let row = |(name, unit, change): (&String, &UnitName, UnitChange)| {
            vec![unit.to_string(), name.clone(), word(change, args.prune).to_owned()]
        };
        let rows: Vec<Vec<String>> = std::iter::once(header).chain(rows.map(row)).collect();
        ui::print_table(&ui::table::lay_out(&rows, false));
    }
    let pending = changes.iter().flat_map(|(_, units)| units.values()).any(|change| match change {
        UnitChange::New | UnitChange::Changed | UnitChange::Start => true,
        UnitChange::Same => false,
        UnitChange::Removed => args.prune,
    });
    if args.detailed_exitcode && pending { ExitStatus::ChangesPending } else { ExitStatus::Done }
}

/// Returns the word for a change. Without --prune, units that a folder no longer has are left alone.
const fn word(change: UnitChange, prune: bool) -> &'static str {
    match change {
        UnitChange::New => "new",
        UnitChange::Changed => "changed",
        UnitChange::Start => "to start",
        UnitChange::Same => "unchanged",
        UnitChange::Removed if prune => "destroyed",
        UnitChange::Removed => "not in the folder",
    }
}

/// Sums up what was done to an application.
fn summary(name: &str, units: &BTreeMap<UnitName, UnitChange>, is_pruned: bool) -> String {
    let changes = [UnitChange::New, UnitChange::Changed, UnitChange::Start, UnitChange::Same, UnitChange::Removed];
    let parts = changes.into_iter().filter_map(|kind| {
        let count = units.values().filter(|change| **change == kind).count();
        let word = if kind == UnitChange::Start { "started" } else { word(kind, is_pruned) };
        (count > 0).then(|| format!("{count} {word}"))
    });
    let left = units.iter().filter(|(_, change)| **change == UnitChange::Removed && !is_pruned);
    let left: Vec<&str> = left.map(|(unit, _)| unit.as_str()).collect();
    let hint = if left.is_empty() { String::new() } else { format!(" (--prune destroys {})", left.join(", ")) };
    format!("Application {name}: {}{hint}\n", parts.collect::<Vec<_>>().join(", "))
}
