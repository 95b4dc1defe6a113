//! `muster why` and `muster machine show`: a unit or a machine explained from the records of the store.

use super::Context;
use super::context::Looked;
use super::error::CommandError;
use super::error::CommandResult;
use super::error::ExitStatus;
use super::error::no_such_unit;
use super::unit_commands::parse_unit;
use crate::core::explain;
use crate::core::machine_lookup::find_machine;
use crate::core::model::Event;
use crate::core::model::Snapshot;
use crate::store::layout;
use crate::ui;
use crate::ui::event::repeats;
use crate::ui::explanation;
use crate::ui::terminal::stdout_has_color;

/// The number of latest events that are shown.
const LATEST: usize = 10;

#[derive(Debug, clap::Args)]
pub(super) struct WhyArgs {
    /// A unit
    unit: String,
    /// Print as JSON
    #[arg(long, short = 'o', value_name = "FORMAT", value_parser = ["json"])]
    output: Option<String>,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum MachineCommand {
    /// Show the facts of a machine, its health with the evidence, its units and its latest events
    Show {
        /// A machine: its name, its address, or the beginning of its machine-id
        machine: String,
        /// Print as JSON
        #[arg(long, short = 'o', value_name = "FORMAT", value_parser = ["json"])]
        output: Option<String>,
    },
}

/// Runs `muster why`.
pub(super) async fn why(context: &Context, args: &WhyArgs) -> CommandResult {
    let unit = parse_unit(&args.unit)?;
    let Looked { snapshot, now, .. } = context.look().await?;
    let missing = || no_such_unit(&snapshot, &unit);
    let mut explanation = explain::explain(&snapshot, &unit, now).ok_or_else(missing)?;
    let events = latest(context, |event| event.subject.unit.as_ref() == Some(&unit)).await?;
    let reasons = explanation.not_running.into_iter();
    explanation.not_running = reasons.map(|reason| reason.with_events(&snapshot, &unit, &events)).collect();
    match args.output {
        Some(_) => ui::json(&explanation::unit_json(&snapshot, &unit, &explanation, &events, now)),
        None => ui::result(&explanation::unit(&snapshot, &unit, &explanation, &events, now)),
    }
    Ok(ExitStatus::Done)
}

/// Runs `muster machine`.
pub(super) async fn machine(context: &Context, command: &MachineCommand) -> CommandResult {
    let MachineCommand::Show { machine: name, output } = command;
    let is_shown = |snapshot: &Snapshot, machine| find_machine(snapshot, name).is_ok_and(|shown| shown.id == machine);
    let Looked { snapshot, now, has_controller } = context.look_at(is_shown).await?;
    let machine = find_machine(&snapshot, name)?;
    let events =
        latest(context, |event| event.subject.machine == Some(machine.id) && event.subject.unit.is_none()).await?;
    if output.is_some() {
        ui::json(&explanation::machine_json(&snapshot, machine, &events, now));
    } else {
        ui::print_table(&explanation::machine(&snapshot, machine, &events, now, has_controller, stdout_has_color()));
    }
    Ok(ExitStatus::Done)
}

/// Returns the latest of some events, oldest first.
async fn latest(context: &Context, about: impl Fn(&Event) -> bool) -> Result<Vec<Event>, CommandError> {
    let mut events = layout::read_events(&*context.store().await?, &context.keys()?).await?;
    events.retain(about);
    Ok(repeats::latest(events, LATEST))
}
