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
use crate::store::Entry;
use crate::store::Listing;
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
    let keys = context.keys()?;
    let mut follower = Follower::new(context.store().await?, vec![keys.events()]);
    let mut unread = Reader::default();
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
        let Unread { changes, gap } = unread.take(update);
        if let Some(gap) = gap {
            ui::warn(gap);
        }
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
struct Reader {
    /// The revision up to which everything was printed; `None` before the first listing.
    after: Option<Revision>,
    /// Set once the log had an event.
    any: bool,
}

/// The changes that were not printed yet.
#[derive(Debug, Default)]
struct Unread {
    changes: Vec<WatchEvent>,
    /// The warning about events before them that were lost.
    gap: Option<&'static str>,
}

/// The log was pruned while the store was out of reach.
const PRUNED: &str = "events may be missing here: the log was pruned before they could be read";

/// The store has fewer revisions than before.
const RESTORED: &str = "events may be missing here: the store is an earlier copy of itself";

impl Reader {
    /// Returns the changes in an update that were not in an earlier one.
    fn take(&mut self, update: Update) -> Unread {
        match update {
            Update::Unavailable(_) => Unread::default(),
            Update::Reset(listing) => self.take_listing(listing),
            Update::Events(changes) => {
                self.after = self.after.max(changes.last().map(WatchEvent::revision));
                self.any |= !changes.is_empty();
                Unread { changes, gap: None }
            }
        }
    }

    fn take_listing(&mut self, listing: Listing) -> Unread {
        let after = self.after.replace(listing.revision);
        let restored = after.is_some_and(|after| listing.revision < after);
        let is_new = |entry: &Entry| restored || after.is_none_or(|after| entry.modified > after);
        // Only the oldest events are pruned: if an event that was printed is there, so are all after it.
        let pruned = self.any && !listing.entries.is_empty() && listing.entries.iter().all(is_new);
        self.any |= !listing.entries.is_empty();
        let gap = after.and(if restored { Some(RESTORED) } else { pruned.then_some(PRUNED) });
        let changes = listing.entries.into_iter().filter(is_new).map(WatchEvent::Put).collect();
        // Of an earlier copy, the events that were printed cannot be told from the others.
        Unread { changes: if restored { Vec::new() } else { changes }, gap }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreError;

    fn entry(key: &str, modified: Revision) -> Entry {
        Entry { key: key.to_owned(), value: Vec::new(), created: modified, modified }
    }

    fn listing(revision: Revision, entries: &[(&str, Revision)]) -> Update {
        let entries = entries.iter().map(|(key, modified)| entry(key, *modified)).collect();
        Update::Reset(Listing { revision, entries })
    }

    fn taken(reader: &mut Reader, update: Update) -> (Vec<String>, Option<&'static str>) {
        let Unread { changes, gap } = reader.take(update);
        (changes.iter().map(|change| change.key().to_owned()).collect(), gap)
    }

    fn new<const N: usize>(keys: [&'static str; N]) -> (Vec<String>, Option<&'static str>) {
        (keys.map(str::to_owned).to_vec(), None)
    }

    #[test]
    fn after_a_new_listing_only_the_events_that_are_new_are_left() {
        let mut reader = Reader::default();
        assert_eq!(taken(&mut reader, listing(5, &[("a", 2), ("b", 5)])), new(["a", "b"]));
        assert_eq!(taken(&mut reader, Update::Events(vec![WatchEvent::Put(entry("c", 7))])), new(["c"]));
        let away = StoreError::Unavailable { store: "etcd".to_owned(), detail: "no quorum".to_owned() };
        assert_eq!(taken(&mut reader, Update::Unavailable(away)), new([]));
        assert_eq!(taken(&mut reader, listing(9, &[("b", 5), ("c", 7), ("d", 8)])), new(["d"]));
        assert_eq!(taken(&mut reader, Update::Events(vec![WatchEvent::Put(entry("e", 10))])), new(["e"]));
    }

    #[test]
    fn a_new_listing_without_a_printed_event_says_that_events_may_be_missing() {
        let mut reader = Reader::default();
        assert_eq!(taken(&mut reader, listing(4, &[])), new([]));
        assert_eq!(taken(&mut reader, listing(5, &[("a", 5)])), new(["a"]), "the log was empty");
        let pruned = (vec!["x".to_owned()], Some(PRUNED));
        assert_eq!(taken(&mut reader, listing(900, &[("x", 800)])), pruned);
        assert_eq!(taken(&mut reader, listing(900, &[("x", 800)])), new([]));
    }

    #[test]
    fn events_of_a_store_that_was_restored_are_read_from_its_revision_on() {
        let mut reader = Reader::default();
        assert_eq!(taken(&mut reader, listing(50, &[("a", 50)])), new(["a"]));
        assert_eq!(taken(&mut reader, listing(20, &[("z", 20)])), (Vec::new(), Some(RESTORED)));
        assert_eq!(taken(&mut reader, Update::Events(vec![WatchEvent::Put(entry("b", 21))])), new(["b"]));
        assert_eq!(taken(&mut reader, listing(22, &[("z", 20), ("b", 21), ("c", 22)])), new(["c"]));
    }
}
