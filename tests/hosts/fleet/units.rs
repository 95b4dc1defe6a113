//! The commands for units, on one machine.

use std::time::Duration;

use muster::lab::Lab;

use super::active;
use super::order;
use super::say;
use super::submitted;
use super::unit;
use crate::hosts::daemon::join;
use crate::hosts::daemon::unit_file;
use crate::hosts::fleetctl;
use crate::hosts::lab;
use crate::hosts::ssh;
use crate::hosts::until;

#[test]
#[ignore = "takes 16 s: scripts/night fleet"]
fn units_live_as_the_functional_tests_of_fleet_expect() {
    let Some(lab) = lab(1) else { return };
    join(&lab);
    the_flow_of_a_unit(&lab);
    the_only_active_unit(&lab);
    commands_and_their_opposites(&lab);
    replaced_files(&lab);
    restarted_units(&lab);
    the_order_of_unit_files(&lab);
}

/// Returns the names of instances.
fn instances(numbers: std::ops::RangeInclusive<u32>) -> Vec<String> {
    numbers.map(|number| format!("hello@{number}.service")).collect()
}

/// Returns the paths of units in the folder of the lab, where some have a file and some have that of their template.
fn paths(lab: &Lab, names: &[String]) -> Vec<String> {
    let folder = lab.dir().join("units");
    names.iter().map(|name| folder.join(name).to_str().unwrap().to_owned()).collect()
}

/// 30: TestSystemdUnitFlow, 41: TestUnitCat and 42: TestUnitStatus.
fn the_flow_of_a_unit(lab: &Lab) {
    let text = "[Service]\nExecStart=/bin/sleep 3000\n";
    let file = unit_file(lab, "flow.service", text);
    let state = || {
        let shown = ssh(lab, "core-01", "systemctl show -P LoadState -P ActiveState -P SubState flow");
        (shown.replace('\n', " "), ssh(lab, "core-01", "ls /run/fleet/units 2>/dev/null; true"))
    };
    let seen = |state: &str, files: &str| (state.to_owned(), files.to_owned());
    assert_eq!(ssh(lab, "core-01", "ls /run/fleet/units 2>/dev/null; true"), "");
    say(lab, &["load", &file]);
    assert_eq!(state(), seen("loaded inactive dead", "flow.service"));
    let status = fleetctl(lab, &["status", "flow.service"]);
    assert!(status.code == Some(3) && status.out.contains("Loaded: loaded"), "{status:#?}");
    say(lab, &["start", "flow.service"]);
    assert_eq!(state(), seen("loaded active running", "flow.service"));
    assert_eq!(say(lab, &["cat", "flow.service"]), text);
    say(lab, &["stop", "flow.service"]);
    say(lab, &["unload", "flow.service"]);
    assert_eq!(state(), seen("not-found inactive dead", ""));
    say(lab, &["destroy", "flow.service"]);
}

/// 32: TestUnitRunnable and 40: TestUnitSSHActions.
fn the_only_active_unit(lab: &Lab) {
    let talks = "[Service]\nExecStart=/bin/sh -c 'echo Hello, World; exec sleep infinity'\n";
    say(lab, &["start", &unit_file(lab, "hello.service", talks)]);
    assert_eq!(active(lab).into_keys().collect::<Vec<_>>(), ["hello.service"]);
    let free = "--strict-host-key-checking=false";
    assert_eq!(say(lab, &[free, "ssh", "hello.service", "echo", "foo"]), "foo\n");
    assert!(say(lab, &[free, "status", "hello.service"]).contains("Active: active"));
    let journal = || say(lab, &[free, "journal", "--sudo", "hello.service"]);
    until("the journal has its output", Duration::from_secs(10), journal, |text| text.contains("Hello, World"));
    say(lab, &["destroy", "hello.service"]);
}

/// 33: TestUnitSubmit, 34: TestUnitLoad and 35: TestUnitStart.
fn commands_and_their_opposites(lab: &Lab) {
    unit(lab, "hello@.service", "");
    let states = || -> Vec<String> {
        let table = say(lab, &["list-unit-files", "--no-legend", "--fields=state"]);
        table.lines().map(str::to_owned).collect()
    };
    for (command, reached, opposite, left, number) in [
        ("submit", "inactive", "destroy", "", 9),
        ("load", "loaded", "unload", "inactive", 6),
        ("start", "launched", "stop", "loaded", 3),
    ] {
        let names = instances(1..=number);
        let paths = paths(lab, &names);
        order(lab, &[command], &paths);
        assert_eq!(states(), vec![reached; paths.len()], "{command}");
        order(lab, &[opposite], &names);
        let count = if left.is_empty() { 0 } else { paths.len() };
        assert_eq!(states(), vec![left; count], "{opposite}");
        order(lab, &[command], &paths);
        assert_eq!(states(), vec![reached; paths.len()], "{command} again");
        order(lab, &["destroy"], &names);
    }
}

/// 36: TestUnitSubmitReplace, 37: TestUnitLoadReplace and 38: TestUnitStartReplace.
fn replaced_files(lab: &Lab) {
    for command in ["submit", "load", "start"] {
        let old = unit_file(lab, "changes.service", "[Service]\nExecStart=/bin/sleep 1000\n");
        say(lab, &[command, &old]);
        let text = "[Service]\nExecStart=/bin/sleep 2000\n";
        let new = unit_file(lab, "changes.service", text);
        say(lab, &[command, "--replace", &new]);
        assert_eq!((say(lab, &["cat", "changes.service"]).as_str(), submitted(lab)), (text, 1), "{command}");
        say(lab, &["destroy", "changes.service"]);
    }
}

/// 39: TestUnitRestart.
fn restarted_units(lab: &Lab) {
    let names = instances(1..=3);
    order(lab, &["start"], &paths(lab, &names));
    let pids = || -> Vec<String> {
        let shown = ssh(lab, "core-01", "systemctl show -P MainPID hello@1 hello@2 hello@3");
        shown.split_whitespace().map(str::to_owned).collect()
    };
    let before = pids();
    order(lab, &["restart"], &names);
    let after = pids();
    assert!(before.len() == 3 && before.iter().zip(&after).all(|(was, is)| was != is), "{before:?} {after:?}");
    assert_eq!(active(lab).len(), 3);
    order(lab, &["destroy"], &names);
}

/// 43: TestListUnitFilesOrder.
fn the_order_of_unit_files(lab: &Lab) {
    let mut names = instances(1..=20);
    names.reverse();
    order(lab, &["submit"], &paths(lab, &names));
    names.sort();
    let listed = say(lab, &["list-unit-files", "--no-legend", "--fields", "unit"]);
    assert_eq!(listed.lines().collect::<Vec<_>>(), names);
}
