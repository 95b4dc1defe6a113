//! `muster events`: the event log.

use super::Context;
use super::error::CommandResult;
use super::error::ExitStatus;
use crate::control::read_model::LogItem;
use crate::control::read_model::Published;
use crate::control::read_model::ReadModel;
use crate::core::machine_lookup::FindMachineError;
use crate::core::machine_lookup::find_machine;
use crate::core::machine_lookup::is_id_prefix;
use crate::core::model::Event;
use crate::core::model::MachineId;
use crate::core::model::Snapshot;
use crate::core::unit::UnitName;
use crate::runner::Clock;
use crate::store::layout;
use crate::ui;

#[derive(Debug, clap::Args)]
pub(super) struct EventsArgs {
    /// Print this many of the latest events first
    #[arg(long, short = 'n', default_value_t = 20)]
    lines: usize,
    /// Print new events as they come, as text, until interrupted
    #[arg(long, short = 'f', conflicts_with = "output")]
    follow: bool,
    /// Print only events of this unit or machine
    #[arg(value_name = "UNIT|MACHINE")]
    about: Option<String>,
    /// Print as JSON
    #[arg(long, short = 'o', value_name = "FORMAT", value_parser = ["json"])]
    output: Option<String>,
}

/// Runs `muster events`.
pub(super) async fn events(context: &Context, args: &EventsArgs) -> CommandResult {
    let (store, keys) = (context.store().await?, context.keys()?);
    let snapshot = layout::read(&*store, &keys).await?;
    let about = args.about.as_deref().map(|text| About::find(&snapshot, text)).transpose()?;
    if args.follow {
        return follow(context, &snapshot, about.as_ref(), args.lines).await;
    }
    let mut events = layout::read_events(&*store, &keys).await?;
    events.retain(|event| concerns(&snapshot, event, about.as_ref()));
    if let Some(about) = about.as_ref().filter(|about| events.is_empty() && !about.is_known(&snapshot)) {
        ui::warn(&format!("the cluster has no unit or machine called {}, and no event about one", about.text));
    }
    let events = latest(events, args.lines);
    if args.output.is_some() {
        ui::json(&events.iter().map(|event| ui::event::json(&snapshot, event)).collect::<Vec<_>>());
    } else {
        ui::result(&lines(&snapshot, &events));
    }
    Ok(ExitStatus::Done)
}

/// Prints the latest events and then each new one until the operator stops it.
async fn follow(context: &Context, snapshot: &Snapshot, about: Option<&About<'_>>, count: usize) -> CommandResult {
    let (model, mut view) = ReadModel::new(&context.store().await?, &context.keys()?, Clock::start());
    let print = async {
        let (mut place, mut is_stale) = (None, false);
        loop {
            let published = view.now();
            if let Some(stale) = published.stale.as_ref().filter(|_| !is_stale) {
                ui::warn(&format!("{}; waiting until it is back", stale.why));
            }
            is_stale = published.stale.is_some();
            if published.is_read {
                let concerns = |item: &LogItem| match item {
                    LogItem::Event { event, .. } => concerns(snapshot, event, about),
                    LogItem::Gap(_) => true,
                };
                place = Some(print_from(&published, place, count, concerns));
            }
            if !view.changed().await {
                return;
            }
        }
    };
    tokio::select! {
        () = model.run() => {}
        () = print => {}
        () = context.stop.cancelled() => {}
    }
    Ok(ExitStatus::Interrupted)
}

/// Prints the events from a place on, or else the latest ones. Returns the place after them.
fn print_from(published: &Published, place: Option<u64>, count: usize, concerns: impl Fn(&LogItem) -> bool) -> u64 {
    let (mut items, next) = published.events.read(place.unwrap_or(published.events.start()), usize::MAX);
    items.retain(|item| concerns(item));
    if place.is_none() {
        items.drain(..items.len().saturating_sub(count));
    }
    let snapshot = published.snapshot();
    for item in items {
        match &*item {
            LogItem::Event { event, .. } => ui::result(&lines(&snapshot, std::slice::from_ref(&**event))),
            LogItem::Gap(why) => ui::warn(why),
        }
    }
    next
}

/// Returns the last of some events, at most `count`.
fn latest(mut events: Vec<Event>, count: usize) -> Vec<Event> {
    events.split_off(events.len().saturating_sub(count))
}

/// The unit and the machine that an argument may name.
struct About<'a> {
    text: &'a str,
    machine: Option<MachineId>,
}

impl<'a> About<'a> {
    fn find(snapshot: &Snapshot, text: &'a str) -> Result<Self, FindMachineError> {
        let is_unit = snapshot.units.keys().any(|unit| is_called(unit, text));
        match find_machine(snapshot, text) {
            Ok(machine) => Ok(Self { text, machine: Some(machine.id) }),
            Err(error @ FindMachineError::Ambiguous { .. }) if !is_unit => Err(error),
            // The text may also name a unit or a machine that only the log still has.
            Err(_) => Ok(Self { text, machine: None }),
        }
    }

    fn is_known(&self, snapshot: &Snapshot) -> bool {
        self.machine.is_some() || snapshot.units.keys().any(|unit| is_called(unit, self.text))
    }

    fn is_machine(&self, snapshot: &Snapshot, id: MachineId) -> bool {
        let departed = !snapshot.machines.contains_key(&id);
        self.machine == Some(id) || (self.machine.is_none() && departed && is_id_prefix(id, self.text))
    }
}

fn is_called(unit: &UnitName, text: &str) -> bool {
    unit.as_str() == text || unit.stem() == text
}

/// Reports whether an event is about a unit or a machine.
fn concerns(snapshot: &Snapshot, event: &Event, about: Option<&About<'_>>) -> bool {
    let Some(about) = about else { return true };
    let unit = event.subject.unit.as_ref().is_some_and(|unit| is_called(unit, about.text));
    unit || event.subject.machine.is_some_and(|id| about.is_machine(snapshot, id))
}

/// Writes events, each with its time in the operator's time zone.
fn lines(snapshot: &Snapshot, events: &[Event]) -> String {
    events.iter().map(|event| format!("{} {}", ui::time(event.at), ui::line(snapshot, event))).collect()
}
