//! What holds a failover back although a machine is down for all we can know: too many others went at the same time,
//! or one after another; and what keeps new units off a machine that goes and comes.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::core::health::AT_ONCE;
use crate::core::health::DetectionConfig;
use crate::core::model::Health;
use crate::core::model::HealthRecord;
use crate::core::model::MachineId;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;

/// How far back a machine's outages count when it comes up again.
const FLAP_WINDOW: Duration = Duration::from_hours(1);

/// How many of them are free: a machine may go down once without anybody thinking ill of it.
const FREE_OUTAGES: usize = 1;

/// How often the time for which a machine is held down doubles.
const DOUBLINGS: usize = 4;

/// Within this time only so many machines' units are moved.
pub const MOVES: Duration = Duration::from_mins(10);

/// How many outages of one machine are remembered.
const REMEMBERED: usize = 12;

/// How long the operator's word counts that units are to be moved all the same.
pub const OVERRIDE_FOR: Duration = Duration::from_hours(1);

/// How careful a leader is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailoverPolicy {
    /// For how long a machine that went down twice within an hour takes nothing new once it is up; twice as long after
    /// each further fall, up to sixteen times. Zero for not at all.
    pub hold_down: Duration,
    /// The units of so many machines are moved within ten minutes, or of the brake's share if that is more.
    pub limit: usize,
    /// The key of the metadata that tell machines apart that may fail together.
    pub zone_key: Option<String>,
}

impl Default for FailoverPolicy {
    fn default() -> Self {
        Self { hold_down: Duration::from_mins(1), limit: 3, zone_key: Some("zone".to_owned()) }
    }
}

/// Why the units of a machine that is down are not moved, and when to think again although nothing new has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailoverBlock {
    /// In words.
    pub why: String,
    /// When time alone changes it.
    pub again: Option<Timestamp>,
}

/// How often a machine fell within an hour before it came up, and until when it therefore takes nothing new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldDown {
    /// How often.
    pub outages: usize,
    /// Until then.
    pub until: Timestamp,
}

impl FailoverPolicy {
    /// Says whether a machine that is up takes nothing new because it went down too often.
    pub fn hold_down(&self, health: &HealthRecord, now: Timestamp) -> Option<HoldDown> {
        let outages = health.outages.iter().filter(|fall| health.since.since(**fall) < FLAP_WINDOW).count();
        let more = outages.checked_sub(FREE_OUTAGES + 1)?;
        let time = self.hold_down.saturating_mul(1 << more.min(DOUBLINGS));
        let until = health.since + time;
        (health.health == Health::Alive && now < until).then_some(HoldDown { outages, until })
    }

    /// Says why the units of a machine that has been silent since then are not moved, if they are not: `silent` has
    /// all that are silent, and since when, but for those that have been down for a while, `recent_outages` is what [`recent_outages`]
    /// returns, and `moved` is how many are given up at this moment.
    pub fn blocked_by(
        &self,
        snapshot: &Snapshot,
        detection: DetectionConfig,
        machine: MachineId,
        (silent, recent_outages, moved): (&BTreeMap<MachineId, Timestamp>, &[(MachineId, Timestamp)], usize),
        now: Timestamp,
    ) -> Option<FailoverBlock> {
        let since = silent.get(&machine)?;
        let at_once = |other: &Timestamp| other.since(*since).max(since.since(*other)) < AT_ONCE;
        let together = silent.iter().filter(|(_, other)| at_once(other)).map(|(id, _)| *id);
        let together: Vec<MachineId> = together.collect();
        let all = snapshot.machines.len();
        if detection.is_brake_on(together.len(), all) {
            let why = format!(
                "{} of {all} machines went silent at once: it is more likely us than them, and nothing is moved",
                together.len()
            );
            return Some(FailoverBlock { why, again: None });
        }
        self.zone(snapshot, detection, machine, &together)
            .or_else(|| self.pace(snapshot, detection, machine, (recent_outages, moved), now))
    }

    fn zone(
        &self,
        snapshot: &Snapshot,
        detection: DetectionConfig,
        machine: MachineId,
        silent: &[MachineId],
    ) -> Option<FailoverBlock> {
        let key = self.zone_key.as_ref()?;
        let zone = |id: &MachineId| snapshot.machines.get(id)?.metadata.get(key);
        let here = zone(&machine)?;
        let all = snapshot.machines.keys().filter(|id| zone(id) == Some(here)).count();
        let silent = silent.iter().filter(|id| zone(id) == Some(here)).count();
        // A zone of one says nothing that its machine does not.
        (all > 1 && detection.is_brake_on(silent, all)).then(|| FailoverBlock {
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
        detection: DetectionConfig,
        machine: MachineId,
        (recent_outages, moved): (&[(MachineId, Timestamp)], usize),
        now: Timestamp,
    ) -> Option<FailoverBlock> {
        // What has been given up before has been counted before.
        if snapshot.health.get(&machine).is_some_and(|health| health.health == Health::Down) {
            return None;
        }
        let mut lately: Vec<Timestamp> =
            recent_outages.iter().filter(|(id, _)| *id != machine).map(|(_, fall)| *fall).collect();
        lately.extend(std::iter::repeat_n(now, moved));
        let limit = self.limit.max(snapshot.machines.len() * usize::from(detection.brake) / 100);
        // Room comes when so many of them are long enough ago that the limit is not reached.
        let over = lately.len().checked_sub(limit)?;
        Some(FailoverBlock {
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
pub fn recent_outages(snapshot: &Snapshot, now: Timestamp) -> Vec<(MachineId, Timestamp)> {
    let last = snapshot.health.iter().filter_map(|(id, health)| Some((*id, *health.outages.last()?)));
    let mut recent_outages: Vec<_> = last.filter(|(_, fall)| now < *fall + MOVES).collect();
    recent_outages.sort_unstable_by_key(|(_, fall)| *fall);
    recent_outages
}

/// Adds a fall to those that are remembered.
pub fn record_outage(outages: &[Timestamp], now: Timestamp) -> Vec<Timestamp> {
    let mut outages: Vec<_> =
        outages.iter().copied().filter(|fall| now.since(*fall) < FLAP_WINDOW).chain([now]).collect();
    outages.drain(..outages.len().saturating_sub(REMEMBERED));
    outages
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::health::BRAKE;
    use crate::core::model::Machine;

    const PATIENCE: DetectionConfig = DetectionConfig { down_after: Duration::from_secs(8), brake: BRAKE };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn id(number: u128) -> MachineId {
        MachineId::from_bits(number)
    }

    fn health(health: Health, since: u64, outages: &[u64]) -> HealthRecord {
        let outages = outages.iter().map(|fall| at(*fall)).collect();
        HealthRecord { health, since: at(since), last_seen: at(since), why: String::new(), outages }
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

    fn block(snapshot: &Snapshot, silent: &[u128], now: u64) -> Option<FailoverBlock> {
        let silent = silent.iter().map(|number| (id(*number), at(now - 8))).collect();
        FailoverPolicy::default().blocked_by(
            snapshot,
            PATIENCE,
            id(1),
            (&silent, &recent_outages(snapshot, at(now)), 0),
            at(now),
        )
    }

    #[test]
    fn a_machine_that_goes_and_comes_is_held_down_for_ever_longer() {
        let held = |outages: &[u64]| {
            let health = health(Health::Alive, 3000, outages);
            FailoverPolicy::default().hold_down(&health, at(3000)).map(|hold| hold.until.since(at(3000)).as_secs())
        };
        assert_eq!([held(&[]), held(&[2900])], [None, None], "once is nothing");
        assert_eq!([held(&[2800, 2900]), held(&[2700, 2800, 2900])], [Some(60), Some(120)]);
        assert_eq!(held(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]), Some(960), "a quarter of an hour at most");
        let long_ago = health(Health::Alive, 10_000, &[1, 2, 9_000]);
        assert_eq!(FailoverPolicy::default().hold_down(&long_ago, at(10_000)), None);
        let up = health(Health::Alive, 3000, &[2800, 2900]);
        assert_eq!(FailoverPolicy::default().hold_down(&up, at(3060)), None, "its time is over");
        assert_eq!(
            FailoverPolicy { hold_down: Duration::ZERO, ..FailoverPolicy::default() }.hold_down(&up, at(3000)),
            None
        );
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let outages = (0..100).fold(Vec::new(), |outages, second| record_outage(&outages, at(second)));
        assert_eq!((outages.len(), outages.last()), (REMEMBERED, Some(&at(99))));
        assert_eq!(record_outage(&outages, at(9999)), [at(9999)]);
    }

    #[test]
    fn a_whole_zone_that_goes_at_once_is_not_moved() {
        let snapshot = cluster(9, 3);
        assert_eq!(block(&snapshot, &[1], 100), None);
        let why = block(&snapshot, &[1, 2, 3], 100).unwrap().why;
        assert!(why.starts_with("3 of 3 machines of zone=a went silent at once"), "{why}");
        // As many of two zones are the brake's business alone, and a zone of one is none.
        assert_eq!(block(&snapshot, &[1, 4, 5], 100), None);
        assert_eq!(block(&cluster(9, 1), &[1], 100), None);
        let why = block(&cluster(3, 3), &[1, 2], 100).unwrap().why;
        assert!(why.starts_with("2 of 3 machines went silent at once"), "{why}");
    }

    #[test]
    fn machines_that_fall_one_after_another_are_moved_up_to_a_limit() {
        let mut snapshot = cluster(5, 0);
        snapshot.health.insert(id(1), health(Health::Alive, 1, &[950]));
        for (number, fall) in [(2, 500), (3, 700)] {
            snapshot.health.insert(id(number), health(Health::Down, fall, &[fall]));
        }
        assert_eq!(block(&snapshot, &[1], 1000), None, "its own outages do not count");
        snapshot.health.insert(id(4), health(Health::Alive, 950, &[600, 900]));
        let restraint_now = block(&snapshot, &[1], 1000).unwrap();
        assert!(restraint_now.why.starts_with("the units of 3 machines were moved within 10 minutes"));
        assert_eq!(restraint_now.again, Some(at(1100)));
        assert_eq!(block(&snapshot, &[1], 1100), None, "the first is long enough ago");
        // Of a hundred, more may go.
        let mut many = cluster(100, 0);
        many.health = snapshot.health;
        assert_eq!(block(&many, &[1], 1000), None);
    }
}
