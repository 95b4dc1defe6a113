//! What others do to a host or to a cluster: a second cluster, a local user, a host whose answers are hostile, and units
//! that fail beside those that are watched.

use std::time::Instant;

use super::super::daemon::unit_file;
use super::super::muster;
use super::super::ssh;
use super::Ground;
use super::NOTHING;
use super::acts::Fault;
use super::acts::ssh_less;
use super::acts::starves;
use super::acts::stays;

pub(super) const ALL: [Fault; 6] = [
    stays("second cluster", second_cluster, NOTHING, 20),
    stays("local user wants the lock", lock_as_a_user, NOTHING, 10),
    starves("root holds the lock", lock_as_root, NOTHING, 40),
    starves("host answers with an endless flood", flood, end_flood, 40),
    stays("crash loop", crash_loop, |at, _| destroy(at, LOOP), 20),
    stays("global unit that fails on one host", failing_global, |at, _| destroy(at, EVERYWHERE), 20),
];

const IDLE: &str = "[Service]\nExecStart=/bin/sleep infinity\n";

/// The unit that crashes again and again, and the global unit.
const LOOP: &str = "loop.service";
const EVERYWHERE: &str = "everywhere.service";

/// Lets a second cluster try to join all hosts, to start a unit on them and to sweep them.
fn second_cluster(at: &mut Ground, host: &str) {
    let store = format!("sqlite:{}", at.lab.dir().join("other.db").display());
    let other = |args: &[&str]| muster(&at.lab, &[&["--store", &store, "--token", "default"], args].concat());
    let join = other(&["join"]);
    assert!(join.code == Some(1) && join.err.contains("it belongs to another cluster"), "{join:#?}");
    other(&["start", "--no-block", &unit_file(&at.lab, "theirs.service", IDLE)]).ok();
    let sweep = other(&["sweep"]);
    assert!(sweep.code == Some(2) && sweep.err.contains("no machine has joined"), "{sweep:#?}");
    assert_eq!(ssh(&at.lab, host, "ls /run/fleet/units | grep -c theirs || true"), "0");
}

/// Lets a user without root try to take the lock that each visit takes.
fn lock_as_a_user(at: &mut Ground, host: &str) {
    let take = "su guest -s /bin/sh -c 'flock -n -x /run/muster/lock true' 2>&1 || echo refused";
    assert!(ssh(&at.lab, host, take).contains("refused"));
}

fn lock_as_root(at: &mut Ground, host: &str) {
    ssh(&at.lab, host, "systemd-run -q flock -x /run/muster/lock sleep 40");
}

/// Lets a host answer each command with an endless stream, and ends the connections that it has.
fn flood(at: &mut Ground, host: &str) {
    ssh(
        &at.lab,
        host,
        "printf 'ForceCommand yes flood\\n' >/etc/ssh/sshd_config.d/flood.conf; systemctl reload ssh.service",
    );
    ssh_less(at, host, &["pkill", "-f", "sshd: .*@|priv\\]"]);
}

fn end_flood(at: &mut Ground, host: &str) {
    ssh_less(at, host, &["rm", "/etc/ssh/sshd_config.d/flood.conf"]);
    ssh_less(at, host, &["systemctl", "reload", "ssh.service"]);
}

/// Starts a unit, and measures how long the controller takes to report that it does not run.
fn reported(at: &mut Ground, name: &str, text: &str, words: &str) {
    let (file, start) = (unit_file(&at.lab, name, text), Instant::now());
    muster(&at.lab, &["start", "--no-block", &file]).ok();
    at.controller().says(&format!("{name}: {words}"));
    eprintln!("{name}: reported after {:.1} s", start.elapsed().as_secs_f64());
    let sweep = muster(&at.lab, &["sweep"]);
    assert!(sweep.code == Some(1) && sweep.out.contains(name), "{sweep:#?}");
}

fn crash_loop(at: &mut Ground, _: &str) {
    let text = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sleep 0.3\nRestart=always\nRestartSec=0\n";
    reported(at, LOOP, text, "ended, and systemd starts it again");
}

/// Starts a global unit that works on all hosts but one.
fn failing_global(at: &mut Ground, host: &str) {
    let text = format!(
        "[Service]\nExecStart=/bin/sh -c 'test \"$(hostname)\" != {host} && exec sleep infinity'\n[X-Fleet]\nGlobal=true\n"
    );
    reported(at, EVERYWHERE, &text, "failed");
}

fn destroy(at: &Ground, unit: &str) {
    muster(&at.lab, &["destroy", unit]).ok();
}
