//! `muster list-machines`, `list-unit-files`, `list-units` and `cat`: the records of the store.

use super::Context;
use super::error::CommandError;
use super::error::CommandResult;
use super::error::ExitStatus;
use super::unit_commands::parse_unit;
use crate::core::model::Snapshot;
use crate::runner::Clock;
use crate::ui;
use crate::ui::lists;
use crate::ui::lists::Row;
use crate::ui::lists::View;
use crate::ui::messages;
use crate::ui::terminal::stdout_has_color;

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Print machine-ids and hashes in full
    #[arg(long, short = 'l')]
    full: bool,
    /// Print no header
    #[arg(long)]
    no_legend: bool,
    /// Print these columns, separated by commas
    ///
    /// Machines: machine, ip, metadata, name, health. Unit files: unit, hash, global, dstate, state, target, desc.
    /// Units: unit, load, active, sub, machine, hash.
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
    let snapshot = read(context).await?;
    warn_without_machines(context, &snapshot);
    show(&lists::machines(&snapshot, args.all), &args.list)
}

/// Runs `muster list-unit-files`.
pub(super) async fn unit_files(context: &Context, args: &ListArgs) -> CommandResult {
    let fields = args.fields.as_deref().unwrap_or_default();
    if fields.split(',').any(|field| field.trim() == "tmachine") {
        ui::status("WARNING: The \"tmachine\" field is deprecated. Use \"target\" instead");
    }
    show(&lists::unit_files(&read(context).await?), args)
}

/// Runs `muster list-units`.
pub(super) async fn units(context: &Context, args: &ListArgs) -> CommandResult {
    let (snapshot, now) = (read(context).await?, Clock::start().now());
    let mut rows = lists::units(&snapshot);
    if args.output.is_some() {
        rows.extend(lists::unseen(&snapshot, now));
    }
    if rows.is_empty() {
        warn_without_machines(context, &snapshot);
    }
    show(&rows, args)?;
    // The columns are those of fleet, which had no leases.
    let lines = snapshot.units.keys().flat_map(|unit| ui::may_still_run(&snapshot, unit, now));
    lines.filter(|_| args.output.is_none()).for_each(|line| ui::status(&line));
    Ok(ExitStatus::Done)
}

/// Runs `muster cat`.
pub(super) async fn cat(context: &Context, args: &CatArgs) -> CommandResult {
    let unit = parse_unit(&args.unit)?;
    let snapshot = read(context).await?;
    let file = snapshot.file(&unit).ok_or_else(|| CommandError::failed(messages::no_such_unit(&unit)))?;
    ui::result(file.text());
    Ok(ExitStatus::Done)
}

/// Says why a list is empty if no machine has joined.
fn warn_without_machines(context: &Context, snapshot: &Snapshot) {
    if snapshot.machines.is_empty() {
        ui::warn(&messages::no_machines(&context.settings.token, &context.settings.store));
    }
}

/// Reads the cluster, with a warning for each record that cannot be parsed.
async fn read(context: &Context) -> Result<Snapshot, CommandError> {
    let snapshot = context.snapshot().await?;
    for (key, record) in &snapshot.unreadable {
        ui::warn(&messages::unreadable_record(key, &record.why));
    }
    Ok(snapshot)
}

fn show<R: Row>(rows: &[R], args: &ListArgs) -> CommandResult {
    if args.output.is_some() {
        ui::result(&lists::json(rows));
        return Ok(ExitStatus::Done);
    }
    let fields = args.fields.clone().unwrap_or_else(|| R::USUAL.to_owned());
    let view = View { fields, full: args.full, no_legend: args.no_legend, has_color: stdout_has_color() };
    ui::print_table(&lists::table(rows, &view)?);
    Ok(ExitStatus::Done)
}
