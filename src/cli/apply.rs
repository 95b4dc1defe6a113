//! `muster apply` and `muster diff`: makes the cluster as folders say, or shows where it differs from them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::Context;
use super::error::CommandError;
use super::error::CommandResult;
use super::error::ExitStatus;
use super::extra_vars::ExtraVars;
use super::progress_printer::ProgressPrinter;
use super::unit_commands::WaitArgs;
use super::unit_commands::errors;
use super::unit_commands::submit_to;
use crate::application;
use crate::application::Application;
use crate::application::UnitChange;
use crate::control::apply;
use crate::control::apply::Changes;
use crate::control::progress::Progress;
use crate::core::model::Snapshot;
use crate::core::unit::UnitName;
use crate::playbook::application_templates::ApplicationTemplates;
use crate::store::layout;
use crate::ui;
use crate::vault::Keyring;

#[derive(Debug, clap::Args)]
pub(super) struct ApplyArgs {
    /// Folders: each is an application of its name
    #[arg(required = true, value_name = "FOLDER")]
    folders: Vec<PathBuf>,
    #[command(flatten)]
    extra: ExtraVars,
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
    #[command(flatten)]
    extra: ExtraVars,
}

/// Runs `muster apply`.
pub(super) async fn apply(context: &Context, args: &ApplyArgs) -> CommandResult {
    let applications = read(&args.folders, &args.extra)?;
    if args.plan {
        let checked = apply::check(&known(context).await?, applications)?;
        return Ok(print_plan(&checked.changes, args));
    }
    let cluster = submit_to(context).await?;
    let snapshot = layout::read(&*cluster.store, &cluster.keys).await?;
    let checked = apply::check(&snapshot, applications)?;
    let (timeouts, mut printer) = (args.wait.timeouts(context), ProgressPrinter::new(args.wait.json()));
    let mut print = |progress: Progress<'_>| printer.print(&progress);
    let carried_out = apply::carry_out(&cluster, &snapshot, &checked, args.prune, timeouts, &mut print).await;
    cluster.remote.close(Duration::from_millis(200)).await;
    printer.finish();
    let (problems, is_pruned) = carried_out?;
    if args.prune && !is_pruned && checked.has_removals() {
        ui::warn("no unit was destroyed, because other units have failed");
    }
    if !args.wait.json() && problems.is_empty() {
        for (name, units) in &checked.changes {
            ui::result(&(application::summary(name, units, is_pruned, "--prune") + "\n"));
        }
    }
    Ok(ui::report(&errors(&problems)))
}

/// Runs `muster diff`.
pub(super) async fn diff(context: &Context, args: &DiffArgs) -> CommandResult {
    let applications = read(&args.folders, &args.extra)?;
    let snapshot = known(context).await?;
    let checked = apply::check(&snapshot, applications)?;
    let mut is_different = false;
    for (application, (_, units)) in checked.applications.iter().zip(&checked.changes) {
        let text = application::differences(&snapshot, application, units);
        is_different |= !text.is_empty();
        ui::result(&text);
    }
    Ok(if is_different { ExitStatus::ChangesPending } else { ExitStatus::Done })
}

/// Reads the applications of folders. Their templates get the variables of the command line.
fn read(folders: &[PathBuf], extra: &ExtraVars) -> Result<Vec<Application>, CommandError> {
    let vault = Arc::new(Keyring::default());
    let extra = Arc::new(extra.read(&vault)?);
    Ok(apply::read(folders, &ApplicationTemplates { extra, vault })?)
}

/// Returns the records of the cluster; none if it has no store yet.
async fn known(context: &Context) -> Result<Snapshot, CommandError> {
    match context.existing_cluster().await? {
        Some(cluster) => Ok(layout::read(&*cluster.store, &cluster.keys).await?),
        None => Ok(Snapshot::default()),
    }
}

fn print_plan(changes: &Changes, args: &ApplyArgs) -> ExitStatus {
    let rows = changes.iter().flat_map(|(name, units)| units.iter().map(move |(unit, change)| (name, unit, *change)));
    if args.wait.json() {
        let record = |(name, unit, change): (&String, &UnitName, UnitChange)| json!({ "application": name, "unit": unit, "change": change.word(args.prune) });
        ui::json(&rows.map(record).collect::<Vec<_>>());
    } else {
        let header = ["UNIT", "APPLICATION", "CHANGE"].map(str::to_owned).to_vec();
        let row = |(name, unit, change): (&String, &UnitName, UnitChange)| {
            vec![unit.to_string(), name.clone(), change.word(args.prune).to_owned()]
        };
        let rows: Vec<Vec<String>> = std::iter::once(header).chain(rows.map(row)).collect();
        ui::print_table(&ui::table::lay_out(&rows, false));
    }
    let pending = changes.iter().flat_map(|(_, units)| units.values()).any(|change| change.is_pending(args.prune));
    if args.detailed_exitcode && pending { ExitStatus::ChangesPending } else { ExitStatus::Done }
}
