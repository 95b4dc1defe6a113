//! Hosts of several releases of Debian in one cluster: systemd 252 and 257, OpenSSH 9 and 10.

use std::time::Duration;

use muster::lab::Lab;

use super::bare;
use super::daemon::Daemon;
use super::daemon::join;
use super::daemon::really_on;
use super::daemon::runs_away_from;
use super::daemon::seen;
use super::daemon::unit_file;
use super::muster;
use super::options;
use super::place;
use super::releases;
use super::run;
use super::ssh;
use super::ssh_as;
use super::until;

const LIMIT: Duration = Duration::from_secs(30);

const BOTH: [&str; 2] = ["core-01", "core-02"];

const UNITS: [&str; 2] = ["one.service", "two.service"];

/// Returns what the journal of a host's sshd has on addresses that it rejects for a while. OpenSSH 9.8 and later punish
/// addresses whose connections end without a login.
fn penalties(lab: &Lab, host: &str) -> String {
    ssh(lab, host, "journalctl --quiet --no-pager --boot --unit ssh | grep -i penalt || :")
}

#[test]
fn units_move_between_hosts_of_two_releases() {
    let Some(mut options) = options(2) else { return };
    options.releases = releases("bookworm,trixie");
    let lab = Lab::temporary(&options).unwrap();
    let version =
        |host| ssh(&lab, host, ". /etc/os-release; echo $VERSION_CODENAME; systemctl is-system-running --wait");
    assert_eq!(BOTH.map(version), ["bookworm\nrunning", "trixie\nrunning"]);
    join(&lab);
    let controller = Daemon::controller(&lab, 4);
    for name in UNITS {
        let file = unit_file(&lab, name, "[Service]\nExecStart=/bin/sleep infinity\n");
        muster(&lab, &["start", &file]).ok();
    }
    let mut homes = UNITS.map(|unit| runs_away_from(&lab, unit, "", LIMIT));
    homes.sort();
    assert_eq!(homes, BOTH);
    let reload =
        |host| ssh(&lab, host, "systemctl show --property NeedDaemonReload one.service two.service | grep . | sort -u");
    assert_eq!(BOTH.map(reload), ["NeedDaemonReload=no"; 2], "systemctl warns no user of a missing reload");
    for (dead, other) in [("core-02", "core-01"), ("core-01", "core-02")] {
        lab.kill(dead).unwrap();
        let on_other = || UNITS.map(|unit| seen(&lab, unit));
        let expected = UNITS.map(|_| vec![(other.to_owned(), "active/running".to_owned())]);
        until(&format!("both units run on {other}"), LIMIT, on_other, |seen| *seen == expected);
        for unit in UNITS {
            assert_eq!(really_on(&lab, unit, &[other]), [other], "{unit}");
        }
        lab.boot(dead).unwrap();
        let listed = || muster(&lab, &["list-machines", "--no-legend"]).ok().lines().count();
        until("both machines are listed again", LIMIT, listed, |count| *count == 2);
    }
    assert_eq!(BOTH.map(|host| penalties(&lab, host)), ["", ""]);
    drop(controller);
}

#[test]
fn units_run_again_after_a_soft_reboot() {
    let Some(mut options) = options(1) else { return };
    options.releases = releases("trixie");
    let lab = Lab::temporary(&options).unwrap();
    join(&lab);
    let controller = Daemon::controller(&lab, 4);
    // The lease ends with a soft-reboot, also for a strict unit that asks to go on.
    let survives = "[Unit]\nDefaultDependencies=no\nIgnoreOnIsolate=yes\nSurviveFinalKillSignal=yes\n";
    for (name, unit, class) in [("one.service", "", "available"), ("two.service", survives, "strict")] {
        let text = format!("{unit}[Service]\nExecStart=/bin/sleep infinity\n[X-Muster]\nClass={class}\n");
        muster(&lab, &["start", &unit_file(&lab, name, &text)]).ok();
    }
    let running = || UNITS.map(|unit| seen(&lab, unit));
    let expected = UNITS.map(|_| vec![("core-01".to_owned(), "active/running".to_owned())]);
    until("both units run", LIMIT, running, |seen| *seen == expected);
    let pids = || UNITS.map(|unit| ssh_as(&lab, "root", "core-01", &format!("systemctl show -P MainPID {unit}")).out);
    let boot = || ssh_as(&lab, "root", "core-01", "cat /proc/sys/kernel/random/boot_id").out;
    let (before, same_boot) = (pids(), boot());
    ssh_as(&lab, "root", "core-01", "systemctl soft-reboot");
    let again =
        |now: &[String; 2]| now.iter().zip(&before).all(|(now, old)| !matches!(now.as_str(), "" | "0\n") && now != old);
    until("both units run again", LIMIT, pids, again);
    until("the controller has seen it", LIMIT, running, |seen| *seen == expected);
    assert_eq!(boot(), same_boot, "the host was not booted");
    assert_eq!(ssh(&lab, "core-01", "systemctl show -P SoftRebootsCount"), "1");
    drop(controller);
}

#[test]
fn the_command_line_chooses_releases_and_shows_them() {
    let Some(dir) = place() else { return };
    let lab = |args: &[&str]| run(bare().arg("lab").arg("--dir").arg(&dir).args(args));
    let bad = lab(&["up", "--release", "bookworm,buster"]);
    assert!(bad.code == Some(2) && bad.err.contains("expected bookworm or trixie"), "{bad:#?}");
    assert!(!dir.exists());
    lab(&["up", "--hosts", "3", "--etcd", "none", "--release", "trixie,bookworm"]).ok();
    let status: serde_json::Value = serde_json::from_str(&lab(&["status", "-o", "json"]).ok()).unwrap();
    let releases: Vec<&str> = (0..3).filter_map(|host| status[host]["release"].as_str()).collect();
    let table = lab(&["status"]).ok();
    let settings = dir.join("muster.toml");
    let vars = run(bare().env("MUSTER_CONFIG", &settings).args(["inventory", "host", "core-01"]));
    let same = lab(&["up", "--release", "trixie,bookworm"]);
    let other = lab(&["up", "--release", "trixie"]);
    lab(&["destroy"]).ok();
    assert_eq!(releases, ["trixie", "bookworm", "trixie"]);
    assert!(table.starts_with("NAME      STATE     RELEASE   ADDRESS\ncore-01   running   trixie    1"), "{table}");
    assert!(vars.ok().contains("\"lab_release\": \"trixie\""));
    assert_eq!(same.code, Some(0), "{same:#?}");
    assert!(other.err.contains("has the releases trixie,bookworm, not trixie"), "{other:#?}");
}
