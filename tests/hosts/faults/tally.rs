//! The effects of one fault, computed from the samples of a watch.

use std::fmt::Write as _;
use std::time::Duration;
use std::time::Instant;

use super::watch::Sample;

/// The effects of a fault on one unit.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fate {
    pub(super) unit: String,
    /// Whether it ran on the host with the fault.
    pub(super) struck: bool,
    /// The time from the fault until it ran on another host, if it did.
    pub(super) elsewhere: Option<Duration>,
    /// The time without a running copy.
    pub(super) nowhere: Duration,
    /// The time with two running copies.
    pub(super) twice: Duration,
    /// Whether its process before the fault ended, or another one was there.
    pub(super) touched: bool,
}

/// Computes the fate of each unit from samples that begin before the fault.
pub(super) fn fates(record: &[Sample], host: &str, start: Instant) -> Vec<Fate> {
    let before = &record[0].units;
    let fate = |unit: &String| {
        let mut fate = Fate {
            unit: unit.clone(),
            struck: before[unit].contains_key(host),
            elsewhere: None,
            nowhere: Duration::ZERO,
            twice: Duration::ZERO,
            touched: false,
        };
        for pair in record.windows(2) {
            let (copies, lasted) = (&pair[1].units[unit], pair[1].at - pair[0].at);
            match copies.len() {
                0 => fate.nowhere += lasted,
                1 => {}
                _ => fate.twice += lasted,
            }
            fate.touched |= *copies != before[unit];
            if fate.elsewhere.is_none() && copies.keys().any(|at| !before[unit].contains_key(at)) {
                fate.elsewhere = Some(pair[1].at - start);
            }
        }
        fate
    };
    before.keys().map(fate).collect()
}

/// Returns one row of the table for each class: the worst values of the units on the host with the fault, and the number of
/// other units that were affected.
pub(super) fn rows(fault: &str, fates: &[Fate], may_move: bool) -> String {
    let mut text = String::new();
    for class in ["available", "strict"] {
        let ours = || fates.iter().filter(|fate| fate.unit.starts_with(class));
        let struck = || ours().filter(|fate| fate.struck);
        let seconds = |time: Duration| format!("{:.1}", time.as_secs_f64());
        let moved = struck().map(|fate| fate.elsewhere).max().flatten();
        let twice = ours().map(|fate| fate.twice).max().unwrap_or_default();
        let nowhere = struck().map(|fate| fate.nowhere).max().unwrap_or_default();
        let harmed = ours().filter(|fate| fate.touched && !(fate.struck && may_move)).count();
        let moved = moved.map_or_else(|| "stays".to_owned(), seconds);
        let (nowhere, twice) = (seconds(nowhere), seconds(twice));
        let _ = writeln!(text, "| {fault} | {class} | {moved} | {nowhere} | {twice} | {harmed} |");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn sample(at: Instant, copies: &[(&str, u32)]) -> Sample {
        let copies = copies.iter().map(|(host, pid)| ((*host).to_owned(), *pid)).collect();
        Sample { at, units: BTreeMap::from([("strict-1.service".to_owned(), copies)]) }
    }

    #[test]
    fn samples_show_when_a_unit_moved_ran_nowhere_and_ran_twice() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let record = [
            sample(start, &[("core-01", 7)]),
            sample(at(1), &[]),
            sample(at(3), &[("core-02", 8)]),
            sample(at(4), &[("core-01", 7), ("core-02", 8)]),
            sample(at(5), &[("core-02", 8)]),
        ];
        let [fate] = &fates(&record, "core-01", start)[..] else { panic!("one unit") };
        assert!(fate.struck && fate.touched);
        assert_eq!((fate.elsewhere, fate.nowhere), (Some(Duration::from_secs(3)), Duration::from_secs(1)));
        assert_eq!(fate.twice, Duration::from_secs(1));
        let [fate] = &fates(&record[..1], "core-02", start)[..] else { panic!("one unit") };
        assert!(!fate.struck && !fate.touched && fate.elsewhere.is_none());
    }

    #[test]
    fn another_process_on_the_same_host_counts_as_touched() {
        let start = Instant::now();
        let record = [sample(start, &[("core-01", 7)]), sample(start, &[("core-01", 9)])];
        assert!(fates(&record, "core-02", start)[0].touched);
    }
}
