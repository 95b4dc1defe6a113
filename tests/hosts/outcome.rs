//! Commands that start units say what became of the units, with and without a controller, and sweeps say which units do
//! not run.

use std::time::Duration;
use std::time::Instant;

use super::Said;
use super::bare;
use super::daemon::Daemon;
use super::daemon::unit_file;
use super::lab;
use super::muster;
use super::run;
use super::ssh;
use muster::lab::TemporaryLab;

const RUNS: &str = "[Service]\nExecStart=/bin/sleep infinity\n";

/// Each ends in its own way, with its last words: at once, after a moment, by a signal, and again and again.
const FAILING: [(&str, &str, &[&str]); 5] = [
    ("absent.service", "[Service]\nExecStart=/bin/absent\n", &["failed (failed) on core-0", "exit code 203"]),
    (
        "brief.service",
        "[Service]\nExecStart=/bin/sh -c 'sleep 0.5; echo its last words; exit 3'\n",
        &["failed (failed) on core-0", "exit code 3", "journal: its last words"],
    ),
    (
        "killed.service",
        "[Service]\nExecStart=/bin/sh -c 'kill -KILL $$$$'\n",
        &["failed (failed) on core-0", "signal 9"],
    ),
    (
        "loops.service",
        "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/false\nRestart=always\nRestartSec=5\n",
        &["activating (auto-restart) on core-0", "exit code 1"],
    ),
    (
        "swift.service",
        "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sh -c 'echo its last words; sleep 0.7'\n\
         Restart=always\nRestartSec=0\n",
        &["active (running), restarted by systemd a moment ago on core-0", "exit code 0", "journal: its last words"],
    ),
];

/// Runs muster with the time for which a started unit must run that users have.
fn watching(lab: &TemporaryLab, args: &[&str]) -> Said {
    run(bare().env_remove("MUSTER_SETTLE").env("MUSTER_CONFIG", lab.config()).args(args))
}

/// Starts each of the failing units, and checks what the command says.
fn check_failing(lab: &TemporaryLab, files: &[String]) {
    for ((unit, _, parts), file) in FAILING.iter().zip(files) {
        let said = watching(lab, &["start", file]);
        assert_eq!(said.code, Some(1), "{said:#?}");
        assert!(!said.out.contains("launched"), "{said:#?}");
        for part in *parts {
            assert!(said.err.contains(part), "no {part:?} in {said:#?}");
        }
        assert!(said.err.contains(&format!("`muster why {unit}`")), "{said:#?}");
    }
}

#[test]
fn a_start_of_a_unit_that_ends_is_an_error_and_a_second_start_starts_it_again() {
    let Some(lab) = lab(2) else { return };
    let say = |args: &[&str]| muster(&lab, args).ok();
    say(&["join"]);
    let files: Vec<String> = FAILING.iter().map(|(unit, text, _)| unit_file(&lab, unit, text)).collect();
    check_failing(&lab, &files);
    // A sweep repeats it for as long as it lasts.
    let swept = muster(&lab, &["sweep"]);
    assert_eq!(swept.code, Some(1), "{swept:#?}");
    for (unit, _, parts) in FAILING {
        // The sweep may come at the moment at which systemd starts a unit again.
        let states = [parts[0], "active (running), restarted by systemd a moment ago on core-0"];
        let is_said = |state: &str| swept.out.contains(&format!("Unit {unit}: {state}"));
        assert!(states.into_iter().any(is_said), "{unit} {swept:#?}");
    }
    let names = FAILING.map(|(unit, ..)| unit);
    say(&[&["destroy"][..], &names].concat());
    // A unit that runs is watched, and one that has ended is started again although its desired state is the same.
    let web = unit_file(&lab, "web.service", RUNS);
    let began = Instant::now();
    let said = watching(&lab, &["start", &web]);
    assert!(said.out.contains("web.service launched on") && began.elapsed() > Duration::from_secs(2), "{said:#?}");
    let shown = say(&["list-units", "--no-legend", "--fields=machine", "--full"]);
    let host = lab.hosts().iter().find(|host| shown.contains(&host.machine.to_string())).unwrap();
    ssh(&lab, &host.name, "systemctl stop web");
    // The store does not know yet that the unit has ended.
    assert!(say(&["start", "web"]).contains("launched on"));
    let main = ssh(&lab, &host.name, "systemctl is-active web; systemctl show -P MainPID web");
    assert!(main.starts_with("active"), "{main}");
    assert_eq!(say(&["start", "web"]), "", "there is nothing to do");
    assert_eq!(ssh(&lab, &host.name, "systemctl is-active web; systemctl show -P MainPID web"), main);
}

#[test]
fn a_controller_changes_nothing_about_what_a_start_says() {
    let Some(lab) = lab(2) else { return };
    let say = |args: &[&str]| muster(&lab, args).ok();
    say(&["join"]);
    let _controller = Daemon::controller(&lab, 8);
    let files: Vec<String> = FAILING.iter().map(|(unit, text, _)| unit_file(&lab, unit, text)).collect();
    check_failing(&lab, &files);
    // A unit without a place is refused at once, the first time and every other time.
    let nowhere = unit_file(&lab, "nowhere.service", &format!("{RUNS}[X-Fleet]\nMachineMetadata=no=where\n"));
    for verb in ["start", "start", "load", "restart"] {
        let began = Instant::now();
        let said = muster(&lab, &[verb, &nowhere]);
        assert!(said.code == Some(1) && said.err.contains("no metadata no=where"), "{verb} {said:#?}");
        assert!(began.elapsed() < Duration::from_secs(5), "{verb} took {:?}", began.elapsed());
    }
    let web = unit_file(&lab, "web.service", RUNS);
    assert!(watching(&lab, &["start", &web]).ok().contains("launched on"));
}

#[test]
fn a_global_unit_that_fails_on_one_host_is_named_with_the_host() {
    let Some(lab) = lab(3) else { return };
    let say = |args: &[&str]| muster(&lab, args).ok();
    say(&["join"]);
    ssh(&lab, "core-02", "touch /run/broken");
    let text = "[Unit]\nStartLimitIntervalSec=0\n[Service]\n\
                ExecStart=/bin/sh -c 'test ! -e /run/broken && exec sleep infinity'\n[X-Fleet]\nGlobal=true\n";
    let agent = unit_file(&lab, "agent.service", text);
    let said = watching(&lab, &["start", &agent]);
    assert_eq!((said.code, said.err.matches("failed (failed) on core-02").count()), (Some(1), 1), "{said:#?}");
    assert!(!said.err.contains("core-01") && !said.err.contains("core-03"), "{said:#?}");
    let swept = muster(&lab, &["sweep"]);
    assert!(swept.code == Some(1) && swept.out.contains("agent.service: failed (failed) on core-02"), "{swept:#?}");
    assert!(say(&["why", "agent"]).contains("it failed on core-02"));
    let others = || ["core-01", "core-03"].map(|host| ssh(&lab, host, "systemctl show -P MainPID agent"));
    let before = others();
    ssh(&lab, "core-02", "rm /run/broken");
    say(&["start", "agent"]);
    assert_eq!(ssh(&lab, "core-02", "systemctl is-active agent"), "active");
    assert_eq!(others(), before, "where it runs, it goes on running");
    say(&["sweep"]);
}

#[test]
fn a_controller_changes_nothing_about_a_global_unit_that_fails_on_one_host() {
    let Some(lab) = lab(2) else { return };
    muster(&lab, &["join"]).ok();
    let _controller = Daemon::controller(&lab, 8);
    ssh(&lab, "core-02", "touch /run/broken");
    let text = "[Service]\nExecStart=/bin/sh -c 'test ! -e /run/broken && exec sleep infinity; echo its last words; exit 3'\n\
                [X-Fleet]\nGlobal=true\n";
    let agent = unit_file(&lab, "agent.service", text);
    for args in [vec!["start", &agent], vec!["restart", "agent"]] {
        let said = watching(&lab, &args);
        assert_eq!((said.code, said.err.matches("failed (failed) on core-02").count()), (Some(1), 1), "{said:#?}");
        assert!(said.err.contains("exit code 3") && said.err.contains("journal: its last words"), "{said:#?}");
    }
    ssh(&lab, "core-02", "rm /run/broken");
    let said = watching(&lab, &["restart", "agent"]);
    assert_eq!(said.code, Some(0), "{said:#?}");
}

#[test]
fn a_unit_that_another_unit_has_started_is_not_stopped_in_silence() {
    let Some(lab) = lab(1) else { return };
    let say = |args: &[&str]| muster(&lab, args).ok();
    say(&["join"]);
    let helper = unit_file(&lab, "helper.service", RUNS);
    let main = unit_file(&lab, "main.service", &format!("[Unit]\nWants=helper.service\n{RUNS}"));
    say(&["load", &helper]);
    say(&["start", &main]);
    let refuse = || {
        let began = Instant::now();
        let said = muster(&lab, &["stop", "helper"]);
        let what = "Error: Unit helper.service: still runs on core-01: another unit has started it (a timer, a socket, \
                    `Wants=`). Stop that unit too; `muster exec --become core-01 -- systemctl stop helper.service` \
                    stops this one until another unit starts it";
        assert!(said.code == Some(1) && said.err.contains(what), "{said:#?}");
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        let why = say(&["why", "helper"]);
        assert!(why.contains("active (running) on core-01") && !why.contains("Not running"), "{why}");
    };
    refuse();
    let controller = Daemon::controller(&lab, 8);
    refuse();
    drop(controller);
    ssh(&lab, "core-01", "systemctl stop helper");
    assert!(say(&["stop", "helper"]).starts_with("Unit helper.service loaded on "));
}

#[test]
fn a_strict_unit_is_not_restarted_in_silence_without_a_controller() {
    let Some(lab) = lab(1) else { return };
    muster(&lab, &["join"]).ok();
    let controller = Daemon::controller(&lab, 8);
    let one = unit_file(&lab, "one.service", &format!("{RUNS}[X-Muster]\nClass=strict\n"));
    muster(&lab, &["start", &one]).ok();
    let main = || ssh(&lab, "core-01", "systemctl show --property=MainPID --value one");
    let before = main();
    drop(controller);
    let said = muster(&lab, &["restart", "one"]);
    let what = "strict units need a running controller, or sweeps with --sweep-every";
    assert!(said.code == Some(1) && said.err.contains(what), "{said:#?}");
    assert_eq!(main(), before);
}

/// journald writes words that it reads after the end of a run without the number of the run.
#[test]
fn the_last_words_of_a_unit_are_found_even_if_the_journal_is_late() {
    let Some(lab) = lab(1) else { return };
    muster(&lab, &["join"]).ok();
    let text = "[Service]\nExecStart=/bin/sh -c 'echo its last words; exit 3'\n";
    let brief = unit_file(&lab, "brief.service", text);
    let late = "pid=$(systemctl show --property=MainPID --value systemd-journald); kill -STOP $pid; \
                (until systemctl is-failed --quiet brief; do :; done; kill -CONT $pid) >/dev/null 2>&1 &";
    ssh(&lab, "core-01", late);
    let said = watching(&lab, &["start", &brief]);
    assert!(said.err.contains("journal: its last words") && !said.err.contains("Main process"), "{said:#?}");
}

#[test]
fn a_file_that_systemd_refuses_does_not_end_the_version_that_runs() {
    let Some(lab) = lab(2) else { return };
    let say = |args: &[&str]| muster(&lab, args).ok();
    say(&["join"]);
    let web = unit_file(&lab, "web.service", RUNS);
    assert!(say(&["start", &web]).contains("launched on"));
    let shown = say(&["list-units", "--no-legend", "--fields=machine", "--full"]);
    let host = lab.hosts().iter().find(|host| shown.contains(&host.machine.to_string())).unwrap();
    let main = || ssh(&lab, &host.name, "systemctl is-active web; systemctl show -P MainPID web");
    let before = main();
    let broken = [
        ("[Service]\nExecStart=relative/path\n", "stays: /run/fleet/units/web.service:2: "),
        ("[Service]\nEnvironment=A=b\n", "stays: web.service: Service has no ExecStart="),
    ];
    let refuse = || {
        for (text, why) in broken {
            unit_file(&lab, "web.service", text);
            let said = muster(&lab, &["start", "--replace", &web]);
            assert!(said.code == Some(1) && said.err.contains(why), "{said:#?}");
            assert_eq!(main(), before);
        }
    };
    refuse();
    let controller = Daemon::controller(&lab, 8);
    refuse();
    drop(controller);
    unit_file(&lab, "web.service", &format!("{RUNS}Environment=A=b\n"));
    assert!(say(&["start", "--replace", &web]).contains("launched on"));
    assert!(main().starts_with("active") && main() != before);
}
