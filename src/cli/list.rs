//! `muster list-machines`, `list-unit-files`, `list-units` and `cat`: what the store knows.

use super::Context;
use super::error::CommandError;
use super::error::CommandResult;
use super::error::ExitStatus;
use super::verb;
use crate::core::model::Snapshot;
use crate::runner::Clock;
use crate::ui;
use crate::ui::lists;
use crate::ui::lists::Row;
use crate::ui::lists::View;

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Print machine-ids and hashes in full
    #[arg(long, short = 'l')]
    full: bool,
    /// Leave the header out
    #[arg(long)]
    no_legend: bool,
    /// Which columns to print, separated by commas
    #[arg(long, value_name = "FIELDS")]
    fields: Option<String>,
    /// Print as JSON
    #[arg(long, short = 'o', value_name = "FORMAT", value_parser = ["json"])]
    output: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct MachinesArgs {
    /// List machines that are down or unreachable, too
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct CatArgs {
    /// A unit, by name
    unit: String,
}

/// Runs `muster list-machines`.
pub(super) async fn machines(context: &Context, args: &MachinesArgs) -> CommandResult {
    show(&lists::machines(&read(context).await?, args.all), &args.list)
}

/// Runs `muster list-unit-files`.
pub(super) async fn unit_files(context: &Context, args: &ListArgs) -> CommandResult {
    let fields = args.fields.as_deref().unwrap_or_default();
    if fields.split(',').any(|field| field.trim() == "tmachine") {
        ui::remark("WARNING: The \"tmachine\" field is deprecated. Use \"target\" instead");
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
    show(&rows, args)?;
    // Fleet's columns stay fleet's: what it had no word for is said beside them.
    let lines = snapshot.units.keys().flat_map(|unit| ui::may_still_run(&snapshot, unit, now));
    lines.filter(|_| args.output.is_none()).for_each(|line| ui::remark(&line));
    Ok(ExitStatus::Done)
}

/// Runs `muster cat`.
pub(super) async fn cat(context: &Context, args: &CatArgs) -> CommandResult {
    let unit = verb::parse(&args.unit)?;
    let snapshot = read(context).await?;
    let file = snapshot.file(&unit).ok_or_else(|| CommandError::failed(format!("Unit {unit} not found")))?;
    ui::result(file.text());
    Ok(ExitStatus::Done)
}

/// Reads the cluster, and says which of its records cannot be read.
async fn read(context: &Context) -> Result<Snapshot, CommandError> {
    let snapshot = context.snapshot().await?;
    for (key, record) in &snapshot.unreadable {
        ui::remark(&format!("Warning: {key} cannot be read and is left alone: {}", record.why));
    }
    Ok(snapshot)
}

fn show<R: Row>(rows: &[R], args: &ListArgs) -> CommandResult {
    if args.output.is_some() {
        ui::result(&lists::json(rows));
        return Ok(ExitStatus::Done);
    }
    let fields = args.fields.clone().unwrap_or_else(|| R::USUAL.to_owned());
    let view = View { fields, full: args.full, no_legend: args.no_legend };
    ui::result(&lists::table(rows, &view)?);
    Ok(ExitStatus::Done)
}
