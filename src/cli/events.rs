//! `muster events`: what was done, and why.

use super::Context;
use super::error::CommandError;
use crate::core::machine_lookup::FindMachineError;
use crate::core::machine_lookup::find_machine;
use crate::core::machine_lookup::is_id_prefix;
use crate::core::model::Event;
use crate::core::model::MachineId;
use crate::core::model::Snapshot;
use crate::core::unit::UnitName;
use crate::store::follow::Follower;
use crate::store::follow::Update;
use crate::store::layout;
use crate::ui;

#[derive(Debug, clap::Args)]
pub(super) struct EventsArgs {
    /// How many events to begin with
    #[arg(long, short = 'n', default_value_t = 20)]
    lines: usize,
    /// Go on as events come
    #[arg(long, short = 'f', conflicts_with = "output")]
    follow: bool,
    /// Only what was done to this unit or on this machine
    #[arg(value_name = "UNIT|MACHINE")]
    about: Option<String>,
    /// Print as JSON
    #[arg(long, short = 'o', value_name = "FORMAT", value_parser = ["json"])]
    output: Option<String>,
}

/// Runs `muster events`.
pub(super) async fn events(context: &Context, args: &EventsArgs) -> Result<(), CommandError> {
    let (store, keys) = (context.store().await?, context.keys()?);
    let snapshot = layout::read(&*store, &keys).await?;
    let about = args.about.as_deref().map(|text| About::find(&snapshot, text)).transpose()?;
    let mut follower = Follower::new(store.clone(), vec![keys.events()]);
    if args.follow {
        // Before what is there is read, so that nothing outages between the two.
        next(context, &mut follower).await?;
    }
    let mut events = layout::read_events(&*store, &keys).await?;
    events.retain(|event| concerns(&snapshot, event, about.as_ref()));
    let first = events.len().saturating_sub(args.lines);
    let events = events.split_off(first);
    if args.output.is_some() {
        ui::json(&events.iter().map(|event| ui::event::json(&snapshot, event)).collect::<Vec<_>>());
        return Ok(());
    }
    ui::result(&events.iter().map(|event| line(&snapshot, event)).collect::<String>());
    if !args.follow {
        return Ok(());
    }
    loop {
        if let Update::Events(changes) = next(context, &mut follower).await? {
            let events = changes.iter().filter_map(|changed| layout::logged_event(&keys, changed));
            let events = events.filter(|event| concerns(&snapshot, event, about.as_ref()));
            ui::result(&events.map(|event| line(&snapshot, &event)).collect::<String>());
        }
    }
}

/// Timeouts for what is logged next, until the operator has seen enough.
async fn next(context: &Context, follower: &mut Follower) -> Result<Update, CommandError> {
    let update = tokio::select! {
        update = follower.next() => update,
        () = context.stop.cancelled() => return Err(CommandError::code(130)),
    };
    match update {
        Update::Unavailable(error) => Err(error.into()),
        update => Ok(update),
    }
}

/// The unit and the machine that an argument may mean.
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
            // It may also be a unit or a machine that is known only from the log.
            Err(_) => Ok(Self { text, machine: None }),
        }
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

/// Writes an event with its time, in the operator's time zone.
fn line(snapshot: &Snapshot, event: &Event) -> String {
    format!("{} {}", ui::time(event.at), ui::line(snapshot, event))
}
