//! Units that need others on real hosts: systemd stops them when one of those gets another file, and muster starts them again.

use super::daemon::Daemon;
use super::daemon::unit_file;
use super::lab;
use super::muster;
use super::ssh;

/// Returns the file of a service that runs for this many seconds.
fn service(unit: &str, seconds: u32) -> String {
    format!("[Unit]\n{unit}\n[Service]\nExecStart=/bin/sleep {seconds}\n")
}

#[test]
fn units_that_systemd_stops_because_one_that_they_need_is_replaced_start_again() {
    let Some(lab) = lab(1) else { return };
    let say = |args: &[&str]| muster(&lab, args).ok();
    say(&["join"]);
    let job = "[Unit]\nRequires=db.service\nAfter=db.service\n[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo ran >>/run/ran'\n";
    let files = [
        ("db.service", service("Description=The database", 1_000_000)),
        ("api.service", service("Requires=db.service\nAfter=db.service", 1_000_000)),
        ("web.service", service("BindsTo=api.service\nAfter=api.service", 1_000_000)),
        ("job.service", job.to_owned()),
        ("other.service", service("Wants=db.service\nAfter=db.service", 1_000_000)),
    ];
    let paths: Vec<String> = files.iter().map(|(name, text)| unit_file(&lab, name, text)).collect();
    say(&[&["start"], &*paths.iter().map(String::as_str).collect::<Vec<_>>()].concat());
    let pids = || ssh(&lab, "core-01", "systemctl show -P MainPID db api web other job").replace("\n\n", " ");
    let pids = || pids().split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<u32>>();
    let mut before = pids();
    let mut replace = |seconds| {
        let db = unit_file(&lab, "db.service", &service("Description=The database", seconds));
        let said = muster(&lab, &["start", "--replace", &db]);
        assert!(said.code == Some(0), "{said:#?}");
        for unit in ["api", "web"] {
            let warning = format!("WARNING: Unit {unit}.service needs db.service, so it stops and starts with it.");
            assert!(said.err.contains(&warning), "{said:#?}");
            assert!(said.out.contains(&format!("Unit {unit}.service launched on ")), "{said:#?}");
        }
        assert_eq!((said.err.lines().count(), said.out.lines().count()), (2, 3), "{said:#?}");
        let now = pids();
        for unit in 0..3 {
            assert!(now[unit] != 0 && now[unit] != before[unit], "{before:?} {now:?}");
        }
        assert_eq!((now[3], now[4]), (before[3], 0), "the other one went on");
        assert_eq!(ssh(&lab, "core-01", "cat /run/ran"), "ran", "the job that had ended did not run again");
        before = now;
    };
    replace(1_000_001);
    let _controller = Daemon::controller(&lab, 8);
    replace(1_000_002);
    say(&["sweep"]);
}
