//! `muster why` and `muster machine`: a unit or a machine explained, from what the store knows.

use super::Context;
use super::error::CommandError;
use super::verb;
use crate::core::explain;
use crate::core::machine_lookup::find_machine;
use crate::core::model::Event;
use crate::runner::Clock;
use crate::store::layout;
use crate::ui;
use crate::ui::explanation;

/// How many of the latest events are shown.
const LATEST: usize = 10;

#[derive(Debug, clap::Args)]
pub(super) struct WhyArgs {
    /// A unit, by name
    unit: String,
    /// Print as JSON
    #[arg(long, short = 'o', value_name = "FORMAT", value_parser = ["json"])]
    output: Option<String>,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum MachineCommand {
    /// Show what is known of a machine, what is thought of it and why, and what is there
    Show {
        /// A machine: its name, its address, its machine-id or the beginning of it
        machine: String,
        /// Print as JSON
        #[arg(long, short = 'o', value_name = "FORMAT", value_parser = ["json"])]
        output: Option<String>,
    },
}

/// Runs `muster why`.
pub(super) async fn why(context: &Context, args: &WhyArgs) -> Result<(), CommandError> {
    let unit = verb::parse(&args.unit)?;
    let snapshot = context.snapshot().await?;
    let missing = || CommandError::failed(format!("Unit {unit} does not exist"));
    let explanation = explain::explain(&snapshot, &unit).ok_or_else(missing)?;
    let events = latest(context, |event| event.subject.unit.as_ref() == Some(&unit)).await?;
    match args.output {
        Some(_) => ui::json(&explanation::unit_json(&snapshot, &unit, &explanation, &events)),
        None => ui::result(&explanation::unit(&snapshot, &unit, &explanation, &events, Clock::start().now())),
    }
    Ok(())
}

/// Runs `muster machine`.
pub(super) async fn machine(context: &Context, command: &MachineCommand) -> Result<(), CommandError> {
    let MachineCommand::Show { machine: name, output } = command;
    let snapshot = context.snapshot().await?;
    let machine = find_machine(&snapshot, name)?;
    let events =
        latest(context, |event| event.subject.machine == Some(machine.id) && event.subject.unit.is_none()).await?;
    match output {
        Some(_) => ui::json(&explanation::machine_json(&snapshot, machine, &events)),
        None => ui::result(&explanation::machine(&snapshot, machine, &events, Clock::start().now())),
    }
    Ok(())
}

/// Returns the latest of some events, oldest first.
async fn latest(context: &Context, about: impl Fn(&Event) -> bool) -> Result<Vec<Event>, CommandError> {
    let mut events = layout::read_events(&*context.store().await?, &context.keys()?).await?;
    events.retain(about);
    let first = events.len().saturating_sub(LATEST);
    Ok(events.split_off(first))
}
