//! What holds a failover back although a machine is down for all we can know: too many others went at the same time,
//! or one after another; and what keeps new units off a machine that goes and comes.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::core::health::AT_ONCE;
use crate::core::health::Patience;
use crate::core::model::Health;
use crate::core::model::MachineId;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;
use crate::core::model::Verdict;

/// How far back a machine's falls count when it comes up again.
const FLAPS: Duration = Duration::from_hours(1);

/// How many of them are free: a machine may go down once without anybody thinking ill of it.
const FREE_FALLS: usize = 1;

/// How often the time for which a machine is held down doubles.
const DOUBLINGS: usize = 4;

/// Within this time only so many machines' units are moved.
pub const MOVES: Duration = Duration::from_mins(10);

/// How many falls of one machine are remembered.
const REMEMBERED: usize = 12;

/// How long the operator's word counts that units are to be moved all the same.
pub const FORCED_FOR: Duration = Duration::from_hours(1);

/// How careful a leader is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caution {
    /// For how long a machine that went down twice within an hour takes nothing new once it is up; twice as long after
    /// each further fall, up to sixteen times. Zero for not at all.
    pub hold_down: Duration,
    /// The units of so many machines are moved within ten minutes, or of the brake's share if that is more.
    pub limit: usize,
    /// The key of the metadata that tell machines apart that may fail together.
    pub zone_key: Option<String>,
}

impl Default for Caution {
    fn default() -> Self {
        Self { hold_down: Duration::from_mins(1), limit: 3, zone_key: Some("zone".to_owned()) }
    }
}

/// Why the units of a machine that is down are not moved, and when to think again although nothing new has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restraint {
    /// In words.
    pub why: String,
    /// When time alone changes it.
    pub again: Option<Timestamp>,
}

/// How often a machine fell within an hour before it came up, and until when it therefore takes nothing new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// How often.
    pub falls: usize,
    /// Until then.
    pub until: Timestamp,
}

impl Caution {
    /// Says whether a machine that is up takes nothing new because it went down too often.
    pub fn hold(&self, health: &Health, now: Timestamp) -> Option<Hold> {
        let falls = health.falls.iter().filter(|fall| health.since.since(**fall) < FLAPS).count();
        let more = falls.checked_sub(FREE_FALLS + 1)?;
        let time = self.hold_down.saturating_mul(1 << more.min(DOUBLINGS));
        let until = health.since + time;
        (health.verdict == Verdict::Alive && now < until).then_some(Hold { falls, until })
    }

    /// Says why the units of a machine that has been silent since then are not moved, if they are not: `silent` has
    /// all that are silent, and since when, but for those that have been down for a while, `fallen` is what [`fallen`]
    /// returns, and `moved` is how many are given up at this moment.
    pub fn restrain(
        &self,
        snapshot: &Snapshot,
        patience: Patience,
        machine: MachineId,
        (silent, fallen, moved): (&BTreeMap<MachineId, Timestamp>, &[(MachineId, Timestamp)], usize),
        now: Timestamp,
    ) -> Option<Restraint> {
        let since = silent.get(&machine)?;
        let at_once = |other: &Timestamp| other.since(*since).max(since.since(*other)) < AT_ONCE;
        let together = silent.iter().filter(|(_, other)| at_once(other)).map(|(id, _)| *id);
        let together: Vec<MachineId> = together.collect();
        let all = snapshot.machines.len();
        if patience.is_brake_on(together.len(), all) {
            let why = format!(
                "{} of {all} machines went silent at once: it is more likely us than them, and nothing is moved",
                together.len()
            );
            return Some(Restraint { why, again: None });
        }
        self.zone(snapshot, patience, machine, &together)
            .or_else(|| self.pace(snapshot, patience, machine, (fallen, moved), now))
    }

    fn zone(
        &self,
        snapshot: &Snapshot,
        patience: Patience,
        machine: MachineId,
        silent: &[MachineId],
    ) -> Option<Restraint> {
        let key = self.zone_key.as_ref()?;
        let zone = |id: &MachineId| snapshot.machines.get(id)?.metadata.get(key);
        let here = zone(&machine)?;
        let all = snapshot.machines.keys().filter(|id| zone(id) == Some(here)).count();
        let silent = silent.iter().filter(|id| zone(id) == Some(here)).count();
        // A zone of one says nothing that its machine does not.
        (all > 1 && patience.is_brake_on(silent, all)).then(|| Restraint {
            why: format!(
                "{silent} of {all} machines of {key}={here} went silent at once: it is more likely the way there, and \
                 nothing is moved"
            ),
            again: None,
        })
    }

    fn pace(
        &self,
        snapshot: &Snapshot,
        patience: Patience,
        machine: MachineId,
        (fallen, moved): (&[(MachineId, Timestamp)], usize),
        now: Timestamp,
    ) -> Option<Restraint> {
        // What has been given up before has been counted before.
        if snapshot.health.get(&machine).is_some_and(|health| health.verdict == Verdict::Down) {
            return None;
        }
        let mut lately: Vec<Timestamp> =
            fallen.iter().filter(|(id, _)| *id != machine).map(|(_, fall)| *fall).collect();
        lately.extend(std::iter::repeat_n(now, moved));
        let limit = self.limit.max(snapshot.machines.len() * usize::from(patience.brake) / 100);
        // Room comes when so many of them are long enough ago that the limit is not reached.
        let over = lately.len().checked_sub(limit)?;
        Some(Restraint {
            why: format!(
                "the units of {} machines were moved within {} minutes: more are not moved now",
                lately.len(),
                MOVES.as_secs() / 60
            ),
            again: lately.get(over).map(|fall| *fall + MOVES),
        })
    }
}

/// Returns the machines that fell within the time in which only so many are moved, and when: the first one first.
pub fn fallen(snapshot: &Snapshot, now: Timestamp) -> Vec<(MachineId, Timestamp)> {
    let last = snapshot.health.iter().filter_map(|(id, health)| Some((*id, *health.falls.last()?)));
    let mut fallen: Vec<_> = last.filter(|(_, fall)| now < *fall + MOVES).collect();
    fallen.sort_unstable_by_key(|(_, fall)| *fall);
    fallen
}

/// Adds a fall to those that are remembered.
pub fn remember(falls: &[Timestamp], now: Timestamp) -> Vec<Timestamp> {
    let mut falls: Vec<_> = falls.iter().copied().filter(|fall| now.since(*fall) < FLAPS).chain([now]).collect();
    falls.drain(..falls.len().saturating_sub(REMEMBERED));
    falls
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::health::BRAKE;
    use crate::core::model::Machine;

    const PATIENCE: Patience = Patience { down_after: Duration::from_secs(8), brake: BRAKE };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn id(number: u128) -> MachineId {
        MachineId::from_bits(number)
    }

    fn health(verdict: Verdict, since: u64, falls: &[u64]) -> Health {
        let falls = falls.iter().map(|fall| at(*fall)).collect();
        Health { verdict, since: at(since), last_seen: at(since), why: String::new(), falls }
    }

    /// So many machines, of which the first few are in zone a and the others in zone b.
    fn cluster(machines: u128, in_a: u128) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for number in 1..=machines {
            let zone = if number <= in_a { "a" } else { "b" };
            let metadata = [("zone".to_owned(), zone.to_owned())].into();
            snapshot.machines.insert(id(number), Machine { id: id(number), metadata, ..Machine::default() });
        }
        snapshot
    }

    fn restraint(snapshot: &Snapshot, silent: &[u128], now: u64) -> Option<Restraint> {
        let silent = silent.iter().map(|number| (id(*number), at(now - 8))).collect();
        Caution::default().restrain(snapshot, PATIENCE, id(1), (&silent, &fallen(snapshot, at(now)), 0), at(now))
    }

    #[test]
    fn a_machine_that_goes_and_comes_is_held_down_for_ever_longer() {
        let held = |falls: &[u64]| {
            let health = health(Verdict::Alive, 3000, falls);
            Caution::default().hold(&health, at(3000)).map(|hold| hold.until.since(at(3000)).as_secs())
        };
        assert_eq!([held(&[]), held(&[2900])], [None, None], "once is nothing");
        assert_eq!([held(&[2800, 2900]), held(&[2700, 2800, 2900])], [Some(60), Some(120)]);
        assert_eq!(held(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]), Some(960), "a quarter of an hour at most");
        let long_ago = health(Verdict::Alive, 10_000, &[1, 2, 9_000]);
        assert_eq!(Caution::default().hold(&long_ago, at(10_000)), None);
        let up = health(Verdict::Alive, 3000, &[2800, 2900]);
        assert_eq!(Caution::default().hold(&up, at(3060)), None, "its time is over");
        assert_eq!(Caution { hold_down: Duration::ZERO, ..Caution::default() }.hold(&up, at(3000)), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let falls = (0..100).fold(Vec::new(), |falls, second| remember(&falls, at(second)));
        assert_eq!((falls.len(), falls.last()), (REMEMBERED, Some(&at(99))));
        assert_eq!(remember(&falls, at(9999)), [at(9999)]);
    }

    #[test]
    fn a_whole_zone_that_goes_at_once_is_not_moved() {
        let snapshot = cluster(9, 3);
        assert_eq!(restraint(&snapshot, &[1], 100), None);
        let why = restraint(&snapshot, &[1, 2, 3], 100).unwrap().why;
        assert!(why.starts_with("3 of 3 machines of zone=a went silent at once"), "{why}");
        // As many of two zones are the brake's business alone, and a zone of one is none.
        assert_eq!(restraint(&snapshot, &[1, 4, 5], 100), None);
        assert_eq!(restraint(&cluster(9, 1), &[1], 100), None);
        let why = restraint(&cluster(3, 3), &[1, 2], 100).unwrap().why;
        assert!(why.starts_with("2 of 3 machines went silent at once"), "{why}");
    }

    #[test]
    fn machines_that_fall_one_after_another_are_moved_up_to_a_limit() {
        let mut snapshot = cluster(5, 0);
        snapshot.health.insert(id(1), health(Verdict::Alive, 1, &[950]));
        for (number, fall) in [(2, 500), (3, 700)] {
            snapshot.health.insert(id(number), health(Verdict::Down, fall, &[fall]));
        }
        assert_eq!(restraint(&snapshot, &[1], 1000), None, "its own falls do not count");
        snapshot.health.insert(id(4), health(Verdict::Alive, 950, &[600, 900]));
        let restraint_now = restraint(&snapshot, &[1], 1000).unwrap();
        assert!(restraint_now.why.starts_with("the units of 3 machines were moved within 10 minutes"));
        assert_eq!(restraint_now.again, Some(at(1100)));
        assert_eq!(restraint(&snapshot, &[1], 1100), None, "the first is long enough ago");
        // Of a hundred, more may go.
        let mut many = cluster(100, 0);
        many.health = snapshot.health;
        assert_eq!(restraint(&many, &[1], 1000), None);
    }
}
