//! `muster events`: the event log.

use super::Context;
use super::error::CommandResult;
use super::error::ExitStatus;
use crate::core::model::Event;
use crate::core::model::Snapshot;
use crate::store::Changed;
use crate::store::Revision;
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
    /// Only events of this unit or machine
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
    let about = args.about.as_deref();
    if args.follow {
        return follow(context, &snapshot, args).await;
    }
    let mut events = layout::read_events(&*store, &keys).await?;
    events.retain(|event| concerns(&snapshot, event, about));
    let events = latest(events, args.lines);
    if args.output.is_some() {
        ui::json(&events);
    } else {
        ui::result(&lines(&snapshot, &events));
    }
    Ok(ExitStatus::Done)
}

/// Prints the latest events and then each new one until the operator stops it.
async fn follow(context: &Context, snapshot: &Snapshot, args: &EventsArgs) -> CommandResult {
    let keys = context.keys()?;
    let mut follower = Follower::new(context.store().await?, vec![keys.events()]);
    let mut unprinted = Unprinted::default();
    let mut is_first = true;
    let mut is_away = false;
    loop {
        let update = tokio::select! {
            update = follower.next() => update,
            () = context.stop.cancelled() => return Ok(ExitStatus::Interrupted),
        };
        if let Update::Away(error) = &update {
            if !std::mem::replace(&mut is_away, true) {
                ui::warn(&format!("{error}; waiting until it is back"));
            }
            continue;
        }
        is_away = false;
        let changes = unprinted.take(update);
        let events = changes.iter().filter_map(|changed| layout::event(&keys, changed));
        let mut events: Vec<Event> = events.filter(|event| concerns(snapshot, event, args.about.as_deref())).collect();
        if std::mem::take(&mut is_first) {
            events = latest(events, args.lines);
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
    fn take(&mut self, update: Update) -> Vec<Changed> {
        let (changes, revision) = match update {
            Update::Away(_) => return Vec::new(),
            Update::Reset(listing) => {
                (listing.entries.into_iter().map(Changed::Set).collect::<Vec<_>>(), listing.revision)
            }
            Update::Changes(changes) => {
                let revision = changes.last().map_or(self.after, Changed::revision);
                (changes, revision)
            }
        };
        let after = self.after;
        self.after = after.max(revision);
        changes.into_iter().filter(|changed| changed.revision() > after).collect()
    }
}

/// Returns the last of some events, at most `count`.
fn latest(mut events: Vec<Event>, count: usize) -> Vec<Event> {
    events.split_off(events.len().saturating_sub(count))
}

/// Reports whether an event is about a unit or a machine.
fn concerns(snapshot: &Snapshot, event: &Event, about: Option<&str>) -> bool {
    let Some(about) = about else { return true };
    let unit = event.unit.as_ref().is_some_and(|unit| unit.as_str() == about || unit.stem() == about);
    let machine = event.machine.is_some_and(|id| {
        let name = snapshot.machines.get(&id).map(|machine| machine.name.as_str());
        name == Some(about) || id.to_string().starts_with(about.trim_end_matches("..."))
    });
    unit || machine
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
            changes.iter().map(|changed| changed.key().to_owned()).collect::<Vec<_>>()
        };
        let listing = |revision, entries| Update::Reset(Listing { revision, entries });
        assert_eq!(take(listing(5, vec![entry("a", 2), entry("b", 5)])), ["a", "b"]);
        assert_eq!(take(Update::Changes(vec![Changed::Set(entry("c", 7))])), ["c"]);
        let away = StoreError::Away { store: "etcd".to_owned(), detail: "no quorum".to_owned() };
        assert!(take(Update::Away(away)).is_empty());
        assert_eq!(take(listing(9, vec![entry("b", 5), entry("c", 7), entry("d", 8)])), ["d"]);
        assert_eq!(take(Update::Changes(vec![Changed::Set(entry("e", 10))])), ["e"]);
    }
}
