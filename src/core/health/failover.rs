//! The failover policy: blocks a failover while too many machines are silent or too many units were moved recently, and
//! keeps new units off a machine that goes down repeatedly. It does not assess machines.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use crate::core::health::DetectionConfig;
use crate::core::model::FailoverBlock;
use crate::core::model::Health;
use crate::core::model::HealthRecord;
use crate::core::model::HoldDown;
use crate::core::model::MachineId;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;

/// How far back the outages of a machine count towards its hold-down.
const FLAP_WINDOW: Duration = Duration::from_hours(1);

/// How many outages within the window have no consequence.
const FREE_OUTAGES: usize = 1;

/// How often the hold-down doubles at most.
const DOUBLINGS: usize = 4;

/// The window of the failover limit: the units of only so many machines move within it.
pub const LIMIT_WINDOW: Duration = Duration::from_mins(10);

/// How many outages of one machine the store keeps.
const REMEMBERED: usize = 12;

/// How long a failover override is in force.
pub const OVERRIDE_FOR: Duration = Duration::from_hours(1);

/// The settings of the failover policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailoverPolicy {
    /// How long a machine that went down twice within an hour takes no new units once it is up. Each further outage
    /// doubles it, up to sixteen times. Zero disables it.
    pub hold_down: Duration,
    /// The most machines whose units move within ten minutes. If the brake's share of all machines is larger, that
    /// number counts.
    pub limit: usize,
    /// The metadata key whose value names the zone of a machine: machines that may fail together.
    pub zone_key: Option<String>,
}

impl Default for FailoverPolicy {
    fn default() -> Self {
        Self { hold_down: Duration::from_mins(1), limit: 3, zone_key: Some("zone".to_owned()) }
    }
}

/// A failover that the policy does not let happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockedFailover {
    /// Why.
    pub by: FailoverBlock,
    /// When time alone ends the block; `None` if only a change of other machines does.
    pub again: Option<Timestamp>,
}

impl FailoverPolicy {
    /// Returns the hold-down of a machine that is up, if it went down too often.
    pub fn hold_down(&self, health: &HealthRecord, now: Timestamp) -> Option<HoldDown> {
        let outages = health.outages.iter().filter(|outage| health.since.since(**outage) < FLAP_WINDOW).count();
        let more = outages.checked_sub(FREE_OUTAGES + 1)?;
        let time = self.hold_down.saturating_mul(1 << more.min(DOUBLINGS));
        let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
        let hold_down = HoldDown { outages, seconds };
        (health.health == Health::Alive && now < health.since + hold_down.length()).then_some(hold_down)
    }
}

/// The counts of the failover policy over all machines. They change only when a machine joins, leaves, goes down or
/// gets other metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailoverCounts {
    /// How many machines each zone has.
    zones: BTreeMap<String, usize>,
    /// When each machine last went down, earliest first.
    outages: Vec<(MachineId, Timestamp)>,
}

impl FailoverCounts {
    /// Counts the machines of a snapshot.
    pub fn of(policy: &FailoverPolicy, snapshot: &Snapshot) -> Self {
        let mut zones: BTreeMap<String, usize> = BTreeMap::new();
        for zone in snapshot.machines.keys().filter_map(|id| policy.zone_of(snapshot, *id)) {
            if let Some(machines) = zones.get_mut(zone) {
                *machines += 1;
            } else {
                zones.insert(zone.to_owned(), 1);
            }
        }
        let last = |(id, record): (&MachineId, &HealthRecord)| Some((*id, *record.outages.last()?));
        let mut outages: Vec<_> = snapshot.health.iter().filter_map(last).collect();
        outages.sort_unstable_by_key(|(_, outage)| *outage);
        Self { zones, outages }
    }
}

/// One round of decisions about machines that are down.
#[derive(Debug)]
pub struct FailoverRound<'a> {
    policy: &'a FailoverPolicy,
    counts: &'a FailoverCounts,
    snapshot: &'a Snapshot,
    detection: DetectionConfig,
    now: Timestamp,
    /// The silent machines that are not down already.
    silent: BTreeSet<MachineId>,
    /// The number of silent machines in each zone.
    silent_in_zone: BTreeMap<&'a str, usize>,
    /// The number of machines whose failover this round has allowed.
    failed_over: usize,
}

impl<'a> FailoverRound<'a> {
    /// Begins a round. Of the `silent` machines, those that are down already do not count.
    pub fn new(
        policy: &'a FailoverPolicy,
        counts: &'a FailoverCounts,
        snapshot: &'a Snapshot,
        detection: DetectionConfig,
        silent: impl IntoIterator<Item = MachineId>,
        now: Timestamp,
    ) -> Self {
        // A machine that is down only because of an override still counts: the override was about that machine alone.
        let ordered = |id: &MachineId| snapshot.failover_overrides.get(id).is_some_and(|it| now < it.until);
        let is_down = |id: &MachineId| {
            let down = snapshot.health.get(id).is_some_and(|record| record.health == Health::Down);
            down && !ordered(id)
        };
        let silent: BTreeSet<MachineId> = silent.into_iter().filter(|id| !is_down(id)).collect();
        let mut silent_in_zone: BTreeMap<&str, usize> = BTreeMap::new();
        for zone in silent.iter().filter_map(|id| policy.zone_of(snapshot, *id)) {
            *silent_in_zone.entry(zone).or_default() += 1;
        }
        Self { policy, counts, snapshot, detection, now, silent, silent_in_zone, failed_over: 0 }
    }

    /// Returns why the units of a machine that is down are not moved; `None` if they are moved.
    pub fn blocked_by(&self, machine: MachineId) -> Option<BlockedFailover> {
        if !self.silent.contains(&machine) {
            return None;
        }
        self.brake().or_else(|| self.zone(machine)).or_else(|| self.limit(machine))
    }

    /// Records that the units of a machine are moved.
    pub fn fail_over(&mut self, machine: MachineId) {
        let down = self.snapshot.health.get(&machine).is_some_and(|record| record.health == Health::Down);
        self.failed_over += usize::from(!down);
    }

    fn brake(&self) -> Option<BlockedFailover> {
        let (silent, all) = (self.silent.len(), self.snapshot.machines.len());
        self.detection
            .is_brake_on(silent, all)
            .then_some(BlockedFailover { by: FailoverBlock::Brake { silent, all }, again: None })
    }

    fn zone(&self, machine: MachineId) -> Option<BlockedFailover> {
        let zone = self.policy.zone_of(self.snapshot, machine)?;
        let silent = self.silent_in_zone.get(zone).copied()?;
        let all = self.counts.zones.get(zone).copied()?;
        let key = self.policy.zone_key.as_deref().unwrap_or_default();
        // A zone of one machine would block every failover of that machine.
        (all > 1 && self.detection.is_brake_on(silent, all)).then(|| BlockedFailover {
            by: FailoverBlock::ZoneBrake { zone: format!("{key}={zone}"), silent, all },
            again: None,
        })
    }

    fn limit(&self, machine: MachineId) -> Option<BlockedFailover> {
        let recent = |outage: &Timestamp| self.now < *outage + LIMIT_WINDOW;
        let before = self.counts.outages.iter().filter(|(id, outage)| *id != machine && recent(outage));
        let limit = self.policy.limit.max(self.snapshot.machines.len() * usize::from(self.detection.brake) / 100);
        let lately = before.clone().count() + self.failed_over;
        // The limit allows the next failover when enough of the earlier ones have left the window.
        let over = lately.checked_sub(limit)?;
        let room = before.map(|(_, outage)| *outage).chain(std::iter::repeat_n(self.now, self.failed_over)).nth(over);
        Some(BlockedFailover {
            by: FailoverBlock::Limit { moved: lately, minutes: LIMIT_WINDOW.as_secs() / 60 },
            again: room.map(|outage| outage + LIMIT_WINDOW),
        })
    }
}

impl FailoverPolicy {
    fn zone_of<'a>(&self, snapshot: &'a Snapshot, machine: MachineId) -> Option<&'a str> {
        let key = self.zone_key.as_ref()?;
        snapshot.machines.get(&machine)?.metadata.get(key).map(String::as_str)
    }
}

/// Returns a machine's outages with one more, without those that no longer count.
pub fn record_outage(outages: &[Timestamp], now: Timestamp) -> Vec<Timestamp> {
    let recent = outages.iter().copied().filter(|outage| now.since(*outage) < FLAP_WINDOW);
    let mut outages: Vec<_> = recent.chain([now]).collect();
    outages.drain(..outages.len().saturating_sub(REMEMBERED));
    outages
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::health::BRAKE;
    use crate::core::model::HealthEvidence;
    use crate::core::model::Machine;

    const DETECTION: DetectionConfig = DetectionConfig { down_after: Duration::from_secs(8), brake: BRAKE };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn id(number: u128) -> MachineId {
        MachineId::from_bits(number)
    }

    fn health(health: Health, since: u64, outages: &[u64]) -> HealthRecord {
        let outages = outages.iter().map(|outage| at(*outage)).collect();
        HealthRecord { health, since: at(since), last_seen: None, reason: HealthEvidence::Answers.into(), outages }
    }

    /// Makes a cluster whose first `in_a` machines are in zone a, and the others in zone b.
    fn cluster(machines: u128, in_a: u128) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for number in 1..=machines {
            let zone = if number <= in_a { "a" } else { "b" };
            let metadata = [("zone".to_owned(), zone.to_owned())].into();
            snapshot.machines.insert(id(number), Machine { id: id(number), metadata, ..Machine::default() });
        }
        snapshot
    }

    fn block(snapshot: &Snapshot, silent: &[u128], now: u64) -> Option<BlockedFailover> {
        let policy = FailoverPolicy::default();
        let silent = silent.iter().map(|number| id(*number));
        let counts = FailoverCounts::of(&policy, snapshot);
        FailoverRound::new(&policy, &counts, snapshot, DETECTION, silent, at(now)).blocked_by(id(1))
    }

    #[test]
    fn each_further_outage_doubles_the_hold_down() {
        let held = |outages: &[u64]| {
            let health = health(Health::Alive, 3000, outages);
            FailoverPolicy::default().hold_down(&health, at(3000)).map(|hold| hold.seconds)
        };
        assert_eq!([held(&[]), held(&[2900])], [None, None], "one outage costs nothing");
        assert_eq!([held(&[2800, 2900]), held(&[2700, 2800, 2900])], [Some(60), Some(120)]);
        assert_eq!(held(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]), Some(960), "16 minutes at most");
        let long_ago = health(Health::Alive, 10_000, &[1, 2, 9_000]);
        assert_eq!(FailoverPolicy::default().hold_down(&long_ago, at(10_000)), None);
        let up = health(Health::Alive, 3000, &[2800, 2900]);
        assert_eq!(FailoverPolicy::default().hold_down(&up, at(3060)), None, "the hold-down is over");
        assert_eq!(
            FailoverPolicy { hold_down: Duration::ZERO, ..FailoverPolicy::default() }.hold_down(&up, at(3000)),
            None
        );
    }

    #[test]
    fn only_the_latest_outages_are_remembered() {
        let outages = (0..100).fold(Vec::new(), |outages, second| record_outage(&outages, at(second)));
        assert_eq!((outages.len(), outages.last()), (REMEMBERED, Some(&at(99))));
        assert_eq!(record_outage(&outages, at(9999)), [at(9999)]);
    }

    #[test]
    fn a_zone_whose_machines_are_all_silent_does_not_fail_over() {
        let snapshot = cluster(9, 3);
        assert_eq!(block(&snapshot, &[1], 100), None);
        let why = block(&snapshot, &[1, 2, 3], 100).unwrap().by.to_string();
        assert!(why.starts_with("3 of 3 machines of zone=a are silent at the same time"), "{why}");
        // Silent machines of two zones concern the brake alone, and a zone of one machine blocks nothing.
        assert_eq!(block(&snapshot, &[1, 4, 5], 100), None);
        assert_eq!(block(&cluster(9, 1), &[1], 100), None);
        let why = block(&cluster(3, 3), &[1, 2], 100).unwrap().by.to_string();
        assert!(why.starts_with("2 of 3 machines are silent at the same time"), "{why}");
    }

    #[test]
    fn the_limit_counts_the_machines_that_went_down_recently() {
        let mut snapshot = cluster(5, 0);
        snapshot.health.insert(id(1), health(Health::Alive, 1, &[950]));
        for (number, outage) in [(2, 500), (3, 700)] {
            snapshot.health.insert(id(number), health(Health::Down, outage, &[outage]));
        }
        assert_eq!(block(&snapshot, &[1], 1000), None, "its own outages do not count");
        snapshot.health.insert(id(4), health(Health::Alive, 950, &[600, 900]));
        let block_now = block(&snapshot, &[1], 1000).unwrap();
        assert!(block_now.by.to_string().starts_with("the units of 3 machines were moved within 10 minutes"));
        assert_eq!(block_now.again, Some(at(1100)));
        assert_eq!(block(&snapshot, &[1], 1100), None, "the first outage has left the window");
        // The limit of a hundred machines is larger.
        let mut many = cluster(100, 0);
        many.health = snapshot.health;
        assert_eq!(block(&many, &[1], 1000), None);
    }

    #[test]
    fn a_machine_that_is_down_already_does_not_count_as_silent() {
        let mut snapshot = cluster(3, 0);
        assert!(block(&snapshot, &[1, 2], 100).is_some());
        snapshot.health.insert(id(2), health(Health::Down, 99, &[99]));
        assert_eq!(block(&snapshot, &[1, 2], 100), None);
    }

    #[test]
    fn machines_that_fail_over_in_one_round_count_towards_the_limit() {
        let snapshot = cluster(9, 0);
        let policy = FailoverPolicy { limit: 2, ..FailoverPolicy::default() };
        let detection = DetectionConfig { brake: 25, ..DETECTION };
        let counts = FailoverCounts::of(&policy, &snapshot);
        let mut round = FailoverRound::new(&policy, &counts, &snapshot, detection, [id(1), id(2)], at(100));
        for number in [1, 2] {
            assert_eq!(round.blocked_by(id(number)), None);
            round.fail_over(id(number));
        }
        assert_eq!(round.blocked_by(id(2)).unwrap().again, Some(at(700)));
    }
}
