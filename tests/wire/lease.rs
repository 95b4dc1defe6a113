//! Leases and strict units in a real `sh`, on a host that is a folder: see [`super::visit`].

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::Duration;

use muster::core::model::Action;
use muster::core::model::LeaseAction;
use muster::core::model::LeaseRefusal;
use muster::core::model::LeaseStatus;
use muster::core::model::Outcome;
use muster::core::model::Visit;

use super::visit::Host;
use super::visit::launch;
use super::visit::look;
use super::visit::step;

const LENGTH: Duration = Duration::from_secs(20);

/// An uptime that no host has reached.
const LATER: u64 = 4_000_000_000;

const SERVICE: &str = "[Service]\nExecStart=/bin/true\n";

const ASK: &str = "is-active muster-lease.target muster-lease.service";

const RENEW: &str = "restart muster-lease.service";

fn hold(until: u64, length: Duration) -> Visit {
    Visit { lease: Some(LeaseAction::Hold { until: Duration::from_secs(until), length }), ..look(5) }
}

/// Returns the status of a lease that is to last until then.
fn held(host: &Host, until: u64, length: Duration) -> Option<LeaseStatus> {
    host.visit(&hold(until, length)).observation.unwrap().lease
}

/// A visit that loads and starts units that are strict.
fn launch_strict(names: &[&str], text: &str) -> Visit {
    let mut visit = launch(names, text);
    for step in &mut visit.steps {
        if let Action::Load { strict, .. } = &mut step.action {
            *strict = true;
        }
    }
    visit
}

#[test]
fn a_renewal_says_how_long_systemd_took() {
    let host = Host::new();
    let renewal = host.visit(&hold(LATER, LENGTH)).observation.unwrap().renewal;
    assert!(renewal.is_some_and(|took| took < Duration::from_mins(1)), "{renewal:?}");
    assert_eq!(host.visit(&look(5)).observation.unwrap().renewal, None);
}

fn unload(host: &Host, names: &[&str]) -> Vec<Outcome> {
    let mut visit = look(5);
    visit.steps = names.iter().map(|name| step(name, Action::Unload)).collect();
    host.visit(&visit).outcomes
}

fn is_marked(host: &Host, name: &str) -> bool {
    host.path("run/muster/launched").join(name).exists()
}

fn end_on(host: &Host) -> String {
    fs::read_to_string(host.path("run/muster/lease")).unwrap()
}

#[test]
fn a_lease_is_granted_once_and_held_by_one_restart() {
    let host = Host::new();
    assert_eq!(held(&host, LATER, LENGTH), Some(LeaseStatus::Granted));
    let granting = [
        ASK,
        "daemon-reload",
        "stop muster-fence.target",
        "reset-failed muster-lease.service muster-fence.target",
        "start muster-lease.target",
        RENEW,
        ASK,
    ];
    assert_eq!(host.asked(), granting);
    assert_eq!(held(&host, LATER + 5, LENGTH), Some(LeaseStatus::Held));
    assert_eq!(host.asked(), [ASK, RENEW, ASK], "nothing is written or told anew");
    assert_eq!(end_on(&host), format!("{}\n", LATER + 5));

    assert_eq!(held(&host, LATER + 6, LENGTH * 2), Some(LeaseStatus::Held));
    assert_eq!(host.asked(), [ASK, RENEW, "daemon-reload", ASK], "the time limit counts from the restart");
    let service = fs::read_to_string(host.path("run/systemd/system/muster-lease.service")).unwrap();
    assert!(service.contains("\nRuntimeMaxSec=41\n"), "{service}");
}

#[test]
fn a_host_holds_the_lease_of_the_last_visit_and_its_file_is_overwritten() {
    let host = Host::new();
    held(&host, LATER, LENGTH);
    let inode = || fs::metadata(host.path("run/muster/lease")).unwrap().ino();
    let before = inode();
    assert_eq!(held(&host, LATER - 100, LENGTH), Some(LeaseStatus::Held));
    assert_eq!(end_on(&host).lines().next(), Some(&*(LATER - 100).to_string()), "the next leader grants less");
    assert_eq!(held(&host, LATER + 1, LENGTH), Some(LeaseStatus::Held));
    assert_eq!(end_on(&host), format!("{}\n", LATER + 1));
    assert_eq!(inode(), before, "a full /run has no room for another file");
}

#[test]
fn a_lease_that_comes_late_is_refused_and_revives_nothing() {
    let host = Host::new();
    assert_eq!(held(&host, 1, LENGTH), Some(LeaseStatus::Refused(LeaseRefusal::TooLate)));
    assert_eq!(host.asked(), [""; 0]);
    assert!(!host.path("run/muster/lease").exists());
    assert!(!host.path("run/systemd/system/muster-lease.service").exists());
}

#[test]
fn a_lease_that_cannot_be_written_is_not_granted() {
    let refused = Some(LeaseStatus::Refused(LeaseRefusal::Unwritable));
    for path in ["run/muster/lease", "run/systemd/system/muster-lease.service"] {
        let host = Host::new();
        fs::create_dir_all(host.path("run/muster")).unwrap();
        symlink("/nowhere/at/all", host.path(path)).unwrap();
        let report = host.visit_unwritable(&hold(LATER, LENGTH));
        assert_eq!(report.observation.unwrap().lease, refused, "{path}");
        let asked = host.asked();
        assert!(!asked.iter().any(|line| line.starts_with("start") || line.starts_with("restart")), "{asked:?}");
    }
}

#[test]
fn a_lease_that_systemd_does_not_start_is_not_held() {
    let host = Host::new();
    // The lease's service cannot be started here: it is never active.
    symlink("/nowhere/at/all", host.path("active/muster-lease.service")).unwrap();
    let report = host.visit(&hold(LATER, LENGTH));
    let refused = LeaseStatus::Refused(LeaseRefusal::NotStarted);
    assert_eq!(report.observation.unwrap().lease, Some(refused));
}

#[test]
fn the_sleeper_ends_before_the_given_uptime_even_if_it_starts_late() {
    let host = Host::new();
    held(&host, LATER, LENGTH);
    let service = fs::read_to_string(host.path("run/systemd/system/muster-lease.service")).unwrap();
    let line = service.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    // As systemd reads it: systemd.service(5), "Command lines".
    let words = shlex::split(&line.replace("$$", "$").replace("%%", "%")).unwrap();
    let sleep = host.path("bin/sleep");
    fs::write(&sleep, "#!/bin/sh\necho \"$@\"\n").unwrap();
    fs::set_permissions(&sleep, fs::Permissions::from_mode(0o755)).unwrap();
    let uptime = || -> u64 {
        let text = fs::read_to_string("/proc/uptime").unwrap();
        text.split('.').next().unwrap().parse().unwrap()
    };
    let path = format!("{}:/usr/bin:/bin", host.path("bin").display());
    let earliest = uptime();
    let output = Command::new(&words[0]).args(&words[1..]).env("PATH", path).output().unwrap();
    let latest = uptime();
    let slept: u64 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
    assert!((LATER - latest - 1..=LATER - earliest - 1).contains(&slept), "{slept} at {earliest} to {latest}");
    assert_eq!(output.status.code(), Some(1), "that it ended is a failure, which stops the strict units");
}

#[test]
fn a_strict_unit_is_bound_to_the_lease() {
    let host = Host::new();
    let report = host.visit(&launch_strict(&["web.service"], SERVICE));
    assert_eq!(report.outcomes, [Outcome::Done, Outcome::Done]);
    let guard = fs::read_to_string(host.path("run/systemd/system/web.service.d/50-muster-strict.conf")).unwrap();
    let expected = "[Unit]\nRequisite=muster-lease.target\nAfter=muster-lease.target\n[Service]\nTimeoutStopSec=10\n\
                    KillMode=control-group\nSendSIGKILL=yes\nFinalKillSignal=SIGKILL\nTimeoutStopFailureMode=terminate\n";
    assert_eq!(guard, expected);
}

#[test]
fn a_strict_unit_that_cannot_be_guarded_is_not_loaded() {
    let host = Host::new();
    let folder = host.path("run/systemd/system/web.service.d");
    fs::create_dir(&folder).unwrap();
    symlink("/dev/full", folder.join("50-muster-strict.conf")).unwrap();
    let report = host.visit_unwritable(&launch_strict(&["web.service", "other.service"], SERVICE));
    let full = |outcome: &Outcome| matches!(outcome, Outcome::Failed(said) if said.contains("is /run full?"));
    assert!(full(&report.outcomes[0]), "{:?}", report.outcomes);
    assert_eq!(report.outcomes[1], Outcome::Done, "the others are");
    assert!(!host.path("run/fleet/units/web.service").exists());
}

#[test]
fn a_unit_that_stopped_because_the_lease_ended_counts_as_not_started() {
    let host = Host::new();
    host.visit(&launch_strict(&["gone.service", "kept.service"], SERVICE));
    host.visit(&launch_strict(&["once.service"], "[Service]\nType = oneshot\nExecStart=/bin/true\n"));
    host.visit(&launch(&["free.service"], SERVICE));
    for name in ["gone.service", "once.service", "free.service"] {
        fs::remove_file(host.path("active").join(name)).unwrap();
    }
    let names = ["gone.service", "kept.service", "once.service", "free.service"];
    let marked = || names.map(|name| is_marked(&host, name));
    assert_eq!(marked(), [true; 4]);
    assert_eq!(held(&host, LATER, LENGTH), Some(LeaseStatus::Granted));
    assert_eq!(marked(), [false, true, true, true], "not what runs, not what is meant to end, not what needs no lease");

    fs::remove_file(host.path("active/kept.service")).unwrap();
    assert_eq!(held(&host, LATER + 1, LENGTH), Some(LeaseStatus::Held));
    assert!(is_marked(&host, "kept.service"), "it stopped while the lease was held");
}

#[test]
fn a_lease_that_is_released_is_ended_at_once() {
    let host = Host::new();
    held(&host, LATER, LENGTH);
    host.asked();
    let release = Visit { lease: Some(LeaseAction::Release), ..look(5) };
    assert_eq!(host.visit(&release).observation.unwrap().lease, Some(LeaseStatus::Released));
    assert_eq!(host.asked(), ["stop muster-lease.target muster-lease.service"]);
    assert!(!host.path("run/muster/lease").exists(), "the next one may end earlier");
    assert_eq!(host.visit(&release).observation.unwrap().lease, Some(LeaseStatus::Released), "as it was");
    assert_eq!(held(&host, LATER - 1, LENGTH), Some(LeaseStatus::Granted));
    assert_eq!(end_on(&host), format!("{}\n", LATER - 1));
}

#[test]
fn an_unload_removes_the_drop_in_and_its_folder() {
    let host = Host::new();
    host.visit(&launch_strict(&["a.service", "b.service", "slow.service"], SERVICE));
    host.visit(&launch(&["free.service"], SERVICE));
    let folder = |name: &str| host.path("run/systemd/system").join(format!("{name}.d"));
    fs::write(folder("b.service").join("10-mine.conf"), "[Service]\nNice=5\n").unwrap();
    fs::create_dir(folder("free.service")).unwrap();
    unload(&host, &["a.service", "b.service", "slow.service", "free.service"]);
    assert!(!folder("a.service").exists());
    let left = |name: &str| -> Vec<String> {
        let entries = fs::read_dir(folder(name)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    assert_eq!(left("b.service"), ["10-mine.conf"], "files that are not muster's stay");
    assert_eq!(left("slow.service"), ["50-muster-strict.conf"], "it is bound to the lease until it has stopped");
    assert_eq!(left("free.service"), [""; 0], "it is not ours");
}
