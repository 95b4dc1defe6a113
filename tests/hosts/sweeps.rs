//! Strict units without a controller: each sweep renews the leases until the next one.

use std::time::Duration;
use std::time::Instant;

use super::daemon::main_pid;
use super::daemon::really_on;
use super::daemon::unit_file;
use super::lab;
use super::muster;
use super::until;

const STRICT: &str = "[Service]\nExecStart=/bin/sleep infinity\n[X-Muster]\nClass=strict\n";

/// The duration of the leases, in seconds: the shortest for sweeps that are four seconds apart.
const LEASE: u64 = 12;

#[test]
fn a_strict_unit_runs_from_sweep_to_sweep_and_stops_when_they_end() {
    let Some(lab) = lab(2) else { return };
    let hosts = ["core-01", "core-02"];
    muster(&lab, &["join"]).ok();
    let written = muster(&lab, &["start", &unit_file(&lab, "once.service", STRICT)]);
    assert_eq!(written.code, Some(1), "{written:#?}");
    assert!(written.err.contains("it is strict, and "), "{written:#?}");
    let short = muster(&lab, &["sweep", "--sweep-every", "60", "--lease", "100"]);
    assert!(
        short.code == Some(2) && short.err.contains("it must last at least 180 s, which is 3 sweeps"),
        "{short:#?}"
    );
    let plain = muster(&lab, &["sweep"]);
    assert!(plain.code == Some(1) && plain.out.contains("it is strict, and "), "{plain:#?}");
    assert_eq!(really_on(&lab, "once.service", &hosts), [""; 0]);

    let sweep = || muster(&lab, &["sweep", "--sweep-every", "4", "--lease", &LEASE.to_string()]).ok();
    sweep();
    let [at] = &really_on(&lab, "once.service", &hosts)[..] else { panic!("it runs nowhere, or twice") };
    let pid = main_pid(&lab, at, "once.service");
    let began = Instant::now();
    let mut last = began;
    // This takes longer than a lease, which only the sweeps renew.
    while began.elapsed() < Duration::from_secs(LEASE + 3) {
        last = Instant::now();
        sweep();
        let due = || last.elapsed();
        until("the next sweep is due", Duration::from_secs(10), due, |since| *since >= Duration::from_secs(4));
    }
    assert_eq!(main_pid(&lab, at, "once.service"), pid, "the unit was not restarted");

    // Without another sweep the host stops the unit by itself.
    let gone = || really_on(&lab, "once.service", &hosts);
    until("it has stopped", Duration::from_secs(LEASE + 15), gone, Vec::is_empty);
    let ran = last.elapsed();
    assert!(ran >= Duration::from_secs(LEASE - 2), "its lease is {LEASE} s long, and it stopped after {ran:?}");
    sweep();
    assert_eq!(really_on(&lab, "once.service", &hosts), [at.as_str()], "the next sweep starts it again");
}
