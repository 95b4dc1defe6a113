//! `muster events`: what was done, and why.

use super::Context;
use super::error::CommandError;
use crate::core::model::Event;
use crate::core::model::Snapshot;
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
    let mut follower = Follower::new(store.clone(), vec![keys.events()]);
    if args.follow {
        // Before what is there is read, so that nothing outages between the two.
        next(context, &mut follower).await?;
    }
    let mut events = layout::read_events(&*store, &keys).await?;
    events.retain(|event| concerns(&snapshot, event, args.about.as_deref()));
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
        if let Update::Changes(changes) = next(context, &mut follower).await? {
            let events = changes.iter().filter_map(|changed| layout::event(&keys, changed));
            let events = events.filter(|event| concerns(&snapshot, event, args.about.as_deref()));
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
        Update::Away(error) => Err(error.into()),
        update => Ok(update),
    }
}

/// Says whether an event is about a unit or a machine.
fn concerns(snapshot: &Snapshot, event: &Event, about: Option<&str>) -> bool {
    let Some(about) = about else { return true };
    let unit = event.subject.unit.as_ref().is_some_and(|unit| unit.as_str() == about || unit.stem() == about);
    let machine = event.subject.machine.is_some_and(|id| {
        let name = snapshot.machines.get(&id).map(|machine| machine.name.as_str());
        name == Some(about) || id.to_string().starts_with(about.trim_end_matches("..."))
    });
    unit || machine
}

/// Writes an event with its time, in the operator's time zone.
fn line(snapshot: &Snapshot, event: &Event) -> String {
    format!("{} {}", ui::time(event.at), ui::line(snapshot, event))
}
