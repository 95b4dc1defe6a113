//! `muster events`: the event log.

use super::Context;
use super::error::CommandResult;
use super::error::ExitStatus;
use crate::core::machine_lookup::FindMachineError;
use crate::core::machine_lookup::find_machine;
use crate::core::machine_lookup::is_id_prefix;
use crate::core::model::Event;
use crate::core::model::MachineId;
use crate::core::model::Snapshot;
use crate::core::unit::UnitName;
use crate::store::Revision;
use crate::store::WatchEvent;
use crate::store::follow::Follower;
use crate::store::follow::Update;
use crate::store::layout;
use crate::ui;

#[derive(Debug, clap::Args)]
pub(super) struct EventsArgs {
    /// Print this many of the latest events first
    #[arg(long, short = 'n', default_value_t = 20)]
    lines: usize,
    /// Print new events as they come, until interrupted
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
    let keys = context.keys()?;
    let mut follower = Follower::new(context.store().await?, vec![keys.events()]);
    let mut unprinted = Unprinted::default();
    let mut is_first = true;
    let mut is_unavailable = false;
    loop {
        let update = tokio::select! {
            update = follower.next() => update,
            () = context.stop.cancelled() => return Ok(ExitStatus::Interrupted),
        };
        if let Update::Unavailable(error) = &update {
            if !std::mem::replace(&mut is_unavailable, true) {
                ui::warn(&format!("{error}; waiting until it is back"));
            }
            continue;
        }
        is_unavailable = false;
        let changes = unprinted.take(update);
        let events = changes.iter().filter_map(|change| layout::logged_event(&keys, change));
        let mut events: Vec<Event> = events.filter(|event| concerns(snapshot, event, about)).collect();
        if std::mem::take(&mut is_first) {
            events = latest(events, count);
        }
        ui::result(&lines(snapshot, &events));
    }
}

/// Tells new changes from those that were printed before, when the store is listed again.
#[derive(Debug, Default)]
struct Unprinted {
    /// The revision up to which everything was printed.
    after: Revision,
}

impl Unprinted {
    /// Returns the changes in an update that were not in an earlier one.
    fn take(&mut self, update: Update) -> Vec<WatchEvent> {
        let (changes, revision) = match update {
            Update::Unavailable(_) => return Vec::new(),
            Update::Reset(listing) => {
                (listing.entries.into_iter().map(WatchEvent::Put).collect::<Vec<_>>(), listing.revision)
            }
            Update::Events(changes) => {
                let revision = changes.last().map_or(self.after, WatchEvent::revision);
                (changes, revision)
            }
        };
        let after = self.after;
        self.after = after.max(revision);
        changes.into_iter().filter(|change| change.revision() > after).collect()
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Entry;
    use crate::store::Listing;
    use crate::store::StoreError;

    fn entry(key: &str, modified: Revision) -> Entry {
        Entry { key: key.to_owned(), value: Vec::new(), created: modified, modified }
    }

    #[test]
    fn after_a_new_listing_only_the_events_that_are_new_are_left() {
        let mut unprinted = Unprinted::default();
        let mut take = |update| {
            let changes = unprinted.take(update);
            changes.iter().map(|change| change.key().to_owned()).collect::<Vec<_>>()
        };
        let listing = |revision, entries| Update::Reset(Listing { revision, entries });
        assert_eq!(take(listing(5, vec![entry("a", 2), entry("b", 5)])), ["a", "b"]);
        assert_eq!(take(Update::Events(vec![WatchEvent::Put(entry("c", 7))])), ["c"]);
        let away = StoreError::Unavailable { store: "etcd".to_owned(), detail: "no quorum".to_owned() };
        assert!(take(Update::Unavailable(away)).is_empty());
        assert_eq!(take(listing(9, vec![entry("b", 5), entry("c", 7), entry("d", 8)])), ["d"]);
        assert_eq!(take(Update::Events(vec![WatchEvent::Put(entry("e", 10))])), ["e"]);
    }
}
