//! The latest events of a cluster, for readers that follow them at their own pace.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::core::model::Event;
use crate::store::Entry;
use crate::store::Revision;
use crate::store::WatchEvent;
use crate::store::layout;
use crate::store::layout::EVENTS_KEPT;
use crate::store::layout::Keyspace;

/// The log was pruned while the store was out of reach.
const PRUNED: &str = "events may be missing here: the log was pruned before they could be read";

/// The store has fewer revisions than before.
const RESTORED: &str = "events may be missing here: the store is an earlier copy of itself";

/// The reader is so slow that the events after its last one are no longer kept.
const SLOW: &str = "events are missing here: they came faster than they were read";

/// An entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogItem {
    /// An event, with the name by which a reader goes on after it.
    Event {
        /// Its name in the store.
        id: String,
        /// The event.
        event: Box<Event>,
    },
    /// Events may be missing here, for this reason.
    Gap(&'static str),
}

/// The latest events, in the order in which the store got them.
#[derive(Debug, Clone, Default)]
pub struct EventLog {
    items: VecDeque<Arc<LogItem>>,
    /// How many items there were before these.
    before: u64,
}

impl EventLog {
    /// Returns the place of the first item.
    pub const fn start(&self) -> u64 {
        self.before
    }

    /// Returns the place after the last item.
    pub fn end(&self) -> u64 {
        self.before + self.items.len() as u64
    }

    /// Returns the place after the event with this name, if it is still kept.
    pub fn after(&self, name: &str) -> Option<u64> {
        let is_it = |item: &Arc<LogItem>| matches!(&**item, LogItem::Event { id, .. } if id == name);
        self.items.iter().rposition(is_it).map(|index| self.before + index as u64 + 1)
    }

    /// Returns up to `count` items from a place on, and the place after them. A reader whose place is no longer kept gets a
    /// gap first.
    pub fn read(&self, place: u64, count: usize) -> (Vec<Arc<LogItem>>, u64) {
        let is_lost = place < self.before;
        let first = place.max(self.before);
        let index = usize::try_from(first - self.before).unwrap_or(usize::MAX);
        let items: Vec<Arc<LogItem>> = self.items.iter().skip(index).take(count).cloned().collect();
        let next = first + items.len() as u64;
        let gap = is_lost.then(|| Arc::new(LogItem::Gap(SLOW)));
        (gap.into_iter().chain(items).collect(), next)
    }

    /// Returns the events that are kept, oldest first.
    pub fn events(&self) -> impl DoubleEndedIterator<Item = &Event> {
        self.items.iter().filter_map(|item| match &**item {
            LogItem::Event { event, .. } => Some(&**event),
            LogItem::Gap(_) => None,
        })
    }

    pub(super) fn extend(&mut self, items: Vec<LogItem>) {
        self.items.extend(items.into_iter().map(Arc::new));
        let surplus = self.items.len().saturating_sub(EVENTS_KEPT);
        self.items.drain(..surplus);
        self.before += surplus as u64;
    }
}

/// Tells new events from those that were read before, when the store is listed again.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// The revision up to which everything was read; `None` before the first listing.
    after: Option<Revision>,
    /// Set once the log had an event.
    any: bool,
}

impl Reader {
    /// Returns the events that some changes added.
    pub(super) fn take_changes(&mut self, keys: &Keyspace, changes: &[WatchEvent]) -> Vec<LogItem> {
        self.after = self.after.max(changes.last().map(WatchEvent::revision));
        let items: Vec<LogItem> = changes.iter().filter_map(|change| item(keys, change)).collect();
        self.any |= !items.is_empty();
        items
    }

    /// Returns the events of a new listing of the log that were not read before, after the gap that there may be.
    pub(super) fn take_listing(
        &mut self,
        keys: &Keyspace,
        revision: Revision,
        mut entries: Vec<Entry>,
    ) -> Vec<LogItem> {
        let after = self.after.replace(revision);
        let is_restored = after.is_some_and(|after| revision < after);
        let is_new = |entry: &Entry| is_restored || after.is_none_or(|after| entry.modified > after);
        // Only the oldest events are pruned: if an event that was read is there, so are all after it.
        let is_pruned = self.any && !entries.is_empty() && entries.iter().all(is_new);
        self.any |= !entries.is_empty();
        let gap = after.and(if is_restored { Some(RESTORED) } else { is_pruned.then_some(PRUNED) });
        // Of an earlier copy, the events that were read cannot be told from the others.
        entries.retain(|entry| is_new(entry) && !is_restored);
        entries.sort_by_key(|entry| entry.modified);
        let items = entries.into_iter().filter_map(|entry| item(keys, &WatchEvent::Put(entry)));
        gap.map(LogItem::Gap).into_iter().chain(items).collect()
    }
}

fn item(keys: &Keyspace, change: &WatchEvent) -> Option<LogItem> {
    let event = Box::new(layout::logged_event(keys, change)?);
    let id = change.key().strip_prefix(&keys.events()).unwrap_or_default().to_owned();
    Some(LogItem::Event { id, event })
}
