//! Events that repeat: each sweep finds again that a unit fits on no machine.

use crate::core::model::Event;
use crate::core::model::EventKind;
use crate::core::model::Timestamp;

/// An event, and how often it was logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeated<'a> {
    /// The last of the events.
    pub event: &'a Event,
    /// How many events there are.
    pub times: usize,
    /// The time of the first one.
    pub since: Timestamp,
}

/// Makes one of the events that say of a unit that it fits on no machine for the same reason, unless something else happened
/// to the unit between them. The last event has the place.
pub fn fold(events: &[Event]) -> Vec<Repeated<'_>> {
    let mut folded: Vec<Repeated<'_>> = Vec::new();
    for event in events {
        let (mut times, mut since) = (1, event.at);
        if matches!(event.kind, EventKind::UnitUnschedulable(_)) {
            let same =
                folded.iter().rposition(|it| it.event.subject.unit == event.subject.unit && !is_refusal(it.event));
            let run = same.map_or(0, |at| at + 1);
            let is_same = |it: &Repeated<'_>| it.event.subject == event.subject && it.event.kind == event.kind;
            if let Some(at) = folded.iter().skip(run).position(is_same) {
                let before = folded.remove(run + at);
                (times, since) = (before.times + 1, before.since);
            }
        }
        folded.push(Repeated { event, times, since });
    }
    folded
}

const fn is_refusal(event: &Event) -> bool {
    matches!(event.kind, EventKind::UnitUnschedulable(_))
}

/// Returns the latest events that make at most this many after [`fold`].
pub fn latest(mut events: Vec<Event>, most: usize) -> Vec<Event> {
    let (mut low, mut high) = (0, events.len());
    while low < high {
        let middle = low.midpoint(high);
        if fold(events.get(middle..).unwrap_or_default()).len() > most { low = middle + 1 } else { high = middle }
    }
    events.split_off(low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::PlacementError;
    use crate::core::model::Verb;

    fn event(second: u64, kind: EventKind) -> Event {
        Event::new(Timestamp::from_millis(second * 1000), None, Some("a.service".parse().unwrap()), kind)
    }

    fn refused(second: u64, why: &str) -> Event {
        event(second, EventKind::UnitUnschedulable(PlacementError::InvalidRequirements(Some(why.to_owned()))))
    }

    #[test]
    fn refusals_for_the_same_reason_are_one_until_something_else_happens() {
        let asked = |second| event(second, EventKind::UnitRequested(Verb::Start));
        let events = [
            refused(1, "x"),
            asked(2),
            refused(3, "x"),
            refused(4, "y"),
            refused(5, "x"),
            refused(6, "x"),
            asked(7),
            asked(8),
        ];
        let folded = fold(&events);
        let shown: Vec<(u64, usize, u64)> =
            folded.iter().map(|it| (it.event.at.as_millis() / 1000, it.times, it.since.as_millis() / 1000)).collect();
        assert_eq!(shown, [(1, 1, 1), (2, 1, 2), (4, 1, 4), (6, 3, 3), (7, 1, 7), (8, 1, 8)]);
        let latest = |most| latest(events.to_vec(), most).first().map(|event| event.at.as_millis() / 1000);
        assert_eq!((latest(2), latest(3), latest(4), latest(9)), (Some(7), Some(5), Some(3), Some(1)));
    }
}
