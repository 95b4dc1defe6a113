//! `muster list-machines`, `list-unit-files`, `list-units` and `cat`: the records of the store, after a look at the
//! machines.

use super::Context;
use super::context::Looked;
use super::error::CommandError;
use super::error::CommandResult;
use super::error::ExitStatus;
use super::error::no_such_unit;
use super::unit_commands::parse_unit;
use crate::core::explain;
use crate::core::explain::NotRunning;
use crate::core::model::MachineId;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;
use crate::ui;
use crate::ui::lists;
use crate::ui::lists::Row;
use crate::ui::lists::View;
use crate::ui::messages;
use crate::ui::terminal::stdout_has_color;

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Print machine-ids, hashes and versions in full
    #[arg(long, short = 'l')]
    full: bool,
    /// Print no header
    #[arg(long)]
    no_legend: bool,
    /// Print these columns, separated by commas
    ///
    /// Machines: machine, ip, metadata, name, health, scheduling, observed. Unit files: unit, hash, global, dstate, state, target,
    /// name, observed, desc. Units: unit, load, active, sub, machine, hash, name, health, observed. Secrets: secret, version,
    /// size, set, by, units. Recipients: name, key, own, accepted, secrets, added, by. Applications: application, units, running,
    /// machines, missing. History: unit, hash, replaced, by, image, digest.
    #[arg(long, value_name = "FIELDS")]
    fields: Option<String>,
    /// Print as JSON
    #[arg(long, short = 'o', value_name = "FORMAT", value_parser = ["json"])]
    output: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct MachinesArgs {
    /// Also list the machines that are down or unreachable
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct CatArgs {
    /// A unit
    unit: String,
}

/// Runs `muster list-machines`.
pub(super) async fn machines(context: &Context, args: &MachinesArgs) -> CommandResult {
    let is_shown = |snapshot: &Snapshot, machine: MachineId| args.all || lists::is_present(snapshot, machine);
    let (snapshot, now) = warned(context.look_at(is_shown).await?);
    warn_without_machines(context, &snapshot);
    let hidden = snapshot.machines.keys().filter(|machine| !is_shown(&snapshot, **machine)).count();
    if hidden > 0 && !context.is_fleetctl {
        ui::note(&messages::hidden_machines(hidden));
    }
    show(context, lists::machines(&snapshot, args.all, now), &args.list)
}

/// Runs `muster list-unit-files`.
pub(super) async fn unit_files(context: &Context, args: &ListArgs) -> CommandResult {
    let fields = args.fields.as_deref().unwrap_or_default();
    if fields.split(',').any(|field| field.trim() == "tmachine") {
        ui::status("WARNING: The \"tmachine\" field is deprecated. Use \"target\" instead");
    }
    let (snapshot, now) = look(context).await?;
    show(context, lists::unit_files(&snapshot, now), args)
}

/// Runs `muster list-units`.
pub(super) async fn units(context: &Context, args: &ListArgs) -> CommandResult {
    let (snapshot, now) = look(context).await?;
    let rows = lists::units(&snapshot, now);
    if rows.is_empty() {
        warn_without_machines(context, &snapshot);
    }
    show(context, rows, args)?;
    // No column tells of leases or of pulls, as fleet had none.
    let lines = snapshot.units.keys().flat_map(|unit| ui::may_still_run(&snapshot, unit, now));
    let reasons = explain::units_not_running(&snapshot, now).into_iter();
    let is_told = |reason: &NotRunning| reason.needs_lease() || matches!(reason, NotRunning::Pulling { .. });
    let ended = reasons.filter(|(.., reason)| is_told(reason));
    let ended = ended.map(|(unit, _, reason)| format!("Unit {unit}: {reason}"));
    lines.chain(ended).filter(|_| args.output.is_none()).for_each(|line| ui::status(&line));
    Ok(ExitStatus::Done)
}

/// Runs `muster list-applications`.
pub(super) async fn applications(context: &Context, args: &ListArgs) -> CommandResult {
    let (snapshot, now) = look(context).await?;
    show(context, lists::applications::applications(&snapshot, now), args)
}

/// Runs `muster cat`.
pub(super) async fn cat(context: &Context, args: &CatArgs) -> CommandResult {
    let unit = parse_unit(&args.unit)?;
    let snapshot = context.snapshot().await?;
    let file = snapshot.file(&unit).ok_or_else(|| no_such_unit(&snapshot, &unit))?;
    ui::result(file.text());
    Ok(ExitStatus::Done)
}

/// Says why a list is empty if no machine has joined.
fn warn_without_machines(context: &Context, snapshot: &Snapshot) {
    if snapshot.machines.is_empty() {
        ui::warn(&messages::no_machines(context.token(), &context.settings.store));
    }
}

/// Reads the cluster and observes its machines, with a warning for each record that cannot be parsed. Returns also the
/// present time.
async fn look(context: &Context) -> Result<(Snapshot, Timestamp), CommandError> {
    Ok(warned(context.look().await?))
}

/// Warns of each record that cannot be parsed.
fn warned(Looked { snapshot, now, .. }: Looked) -> (Snapshot, Timestamp) {
    for (key, record) in &snapshot.unreadable {
        ui::warn(&record.message(key));
    }
    (snapshot, now)
}

/// Prints a list.
pub(super) fn show<R: Row>(context: &Context, mut rows: Vec<R>, args: &ListArgs) -> CommandResult {
    if args.output.is_some() {
        ui::result(&lists::json(&rows));
        return Ok(ExitStatus::Done);
    }
    if context.is_fleetctl {
        rows.retain(Row::is_in_fleet);
    }
    let usual = if context.is_fleetctl { R::FLEET } else { R::USUAL };
    let fields = args.fields.clone().unwrap_or_else(|| usual.to_owned());
    let view = View { fields, full: args.full, no_legend: args.no_legend, has_color: stdout_has_color() };
    ui::print_table(&lists::table(&rows, &view)?);
    Ok(ExitStatus::Done)
}
