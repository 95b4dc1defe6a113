//! On which machines units run: `[X-Fleet]`, global units and units that are linked by `[Install]`.

use std::collections::BTreeSet;
use std::time::Duration;

use muster::lab::Lab;

use super::active;
use super::host;
use super::join_named;
use super::order;
use super::say;
use super::unit;
use crate::hosts::daemon::unit_file;
use crate::hosts::fleetctl;
use crate::hosts::lab;
use crate::hosts::muster;
use crate::hosts::ssh;
use crate::hosts::until;

const ALL: [&str; 3] = ["core-01", "core-02", "core-03"];

#[test]
fn units_run_where_the_functional_tests_of_fleet_expect_them() {
    let Some(lab) = lab(3) else { return };
    join_named(&lab);
    metadata_with_a_specifier(&lab);
    conflicts(&lab);
    several_conflicts(&lab);
    a_conflict_of_one_side(&lab);
    machine_ids(&lab);
    destroy(&lab);
    replaced_units(&lab);
    global_units(&lab);
    conflicts_of_global_units(&lab);
    destroy(&lab);
    a_unit_that_another_installs(&lab);
    a_machine_that_leaves(&lab);
}

/// Removes all units.
fn destroy(lab: &Lab) {
    let units: Vec<String> =
        say(lab, &["list-unit-files", "--no-legend", "--fields=unit"]).lines().map(str::to_owned).collect();
    order(lab, &["destroy"], &units);
}

/// Checks that three units whose names begin so run, each on a machine of its own.
fn assert_on_each_machine(lab: &Lab, prefix: &str) {
    let active = active(lab);
    let units: Vec<&String> = active.keys().filter(|unit| unit.starts_with(prefix)).collect();
    let hosts: BTreeSet<String> = units.iter().map(|unit| host(&active, unit)).collect();
    assert_eq!((units.len(), hosts.len()), (3, 3), "{active:?}");
}

/// 15: TestTemplatesWithSpecifiersInMetadata.
fn metadata_with_a_specifier(lab: &Lab) {
    say(lab, &["submit", &unit(lab, "metadata@.service", "MachineMetadata=hostname=%i")]);
    let instances = ALL.map(|name| format!("metadata@{name}.service"));
    order(lab, &["start"], &[instances[2].clone(), instances[1].clone(), instances[0].clone()]);
    let active = active(lab);
    assert_eq!(ALL.map(|name| host(&active, &format!("metadata@{name}.service"))), ALL);
    let none = fleetctl(lab, &["start", "--block-attempts=20", "metadata@invalid"]);
    assert_eq!(none.code, Some(1), "{none:#?}");
}

/// 19: TestScheduleConflicts.
fn conflicts(lab: &Lab) {
    let units = [0, 1, 2, 3, 4].map(|n| unit(lab, &format!("conflict.{n}.service"), "Conflicts=conflict.*.service"));
    let said = fleetctl(lab, &[&["start"][..], &units.each_ref().map(String::as_str)].concat());
    assert_eq!(said.code, Some(1), "two units have no place: {said:#?}");
    assert_on_each_machine(lab, "conflict.");
    let listed = say(lab, &["list-unit-files", "--no-legend"]);
    assert_eq!(listed.lines().filter(|line| line.starts_with("conflict.")).count(), 5, "{listed}");
}

/// 21: TestScheduleMultipleConflicts.
fn several_conflicts(lab: &Lab) {
    let one_line = "Conflicts=several.2.service several.1.service several.0.service";
    let lines = "Conflicts=several.2.service\nConflicts=several.1.service\nConflicts=several.0.service";
    let units = [one_line, one_line, lines];
    let units = [0, 1, 2].map(|n| unit(lab, &format!("several.{n}.service"), units[n]));
    order(lab, &["start"], &units);
    assert_on_each_machine(lab, "several.");
}

/// 20: TestScheduleOneWayConflict, on one of the machines.
fn a_conflict_of_one_side(lab: &Lab) {
    let here = "MachineMetadata=hostname=core-02";
    say(lab, &["start", &unit(lab, "against-hello.service", &format!("{here}\nConflicts=hello.service"))]);
    let blocked = fleetctl(lab, &["start", &unit(lab, "hello.service", here)]);
    assert_eq!(blocked.code, Some(1), "{blocked:#?}");
    let running = active(lab);
    assert!(running.contains_key("against-hello.service") && !running.contains_key("hello.service"), "{running:?}");
    say(lab, &["destroy", "against-hello.service"]);
    muster(lab, &["sweep"]);
    assert_eq!(host(&active(lab), "hello.service"), "core-02");
}

/// 22: TestScheduleReplace and 23: TestScheduleCircularReplace, on two machines.
fn replaced_units(lab: &Lab) {
    muster(lab, &["cordon", "core-03"]).ok();
    say(lab, &["start", &unit(lab, "old.service", "")]);
    let before = host(&active(lab), "old.service");
    // The other machine gets more units.
    say(lab, &["start", &unit(lab, "first.service", "")]);
    say(lab, &["start", &unit(lab, "second.service", "MachineOf=first.service")]);
    say(lab, &["start", &unit(lab, "new.service", "Replaces=old.service")]);
    muster(lab, &["sweep"]);
    let after = active(lab);
    assert_eq!(host(&after, "new.service"), before, "{after:?}");
    assert_ne!(host(&after, "old.service"), before, "{after:?}");
    destroy(lab);

    say(lab, &["start", &unit(lab, "one.service", "Replaces=two.service")]);
    fleetctl(lab, &["start", &unit(lab, "two.service", "Replaces=one.service")]);
    let first = active(lab);
    muster(lab, &["sweep"]);
    assert_eq!(active(lab), first, "no unit moves to and fro");
    destroy(lab);
    muster(lab, &["uncordon", "core-03"]).ok();
}

/// 24: TestScheduleConditionMachineID.
fn machine_ids(lab: &Lab) {
    let units: Vec<String> = lab
        .hosts()
        .iter()
        .map(|host| unit(lab, &format!("pinned-{}.service", host.name), &format!("MachineID={}", host.machine)))
        .collect();
    order(lab, &["start"], &units);
    let active = active(lab);
    assert_eq!(ALL.map(|name| host(&active, &format!("pinned-{name}.service"))), ALL);
}

/// 25: TestScheduleGlobalUnits.
fn global_units(lab: &Lab) {
    let two = ["hello.service", "goodbye.service"].map(|name| unit(lab, name, ""));
    order(lab, &["start"], &two);
    say(lab, &["start", &unit(lab, "global.service", "Global=true")]);
    let count = || active(lab).values().map(Vec::len).sum::<usize>();
    assert_eq!((active(lab)["global.service"].clone(), count()), (ALL.map(str::to_owned).to_vec(), 5));
    say(lab, &["status", "global.service"]);
    let pid = || ssh(lab, "core-01", "systemctl show -P MainPID global");
    let before = pid();
    say(lab, &["restart", "global.service"]);
    assert_eq!(count(), 5);
    assert_ne!(pid(), before);
}

/// 26: TestScheduleGlobalConflicts.
fn conflicts_of_global_units(lab: &Lab) {
    let units = [0, 1].map(|n| unit(lab, &format!("all.{n}.service"), "Global=true\nConflicts=all.*.service"));
    say(lab, &["start", &units[0]]);
    let nowhere = fleetctl(lab, &["start", &units[1]]);
    assert!(nowhere.code == Some(0) && nowhere.err.contains("no machine fits it now"), "{nowhere:#?}");
    let running = active(lab);
    assert_eq!(running["all.0.service"], ALL);
    assert!(!running.contains_key("all.1.service"), "{running:?}");
}

/// 9: TestInstallUnit.
fn a_unit_that_another_installs(lab: &Lab) {
    let sidekick = "[Unit]\nBindsTo=hello.service\n\n[Service]\nExecStart=/bin/sleep infinity\n\n\
                    [Install]\nWantedBy=hello.service\n\n[X-Fleet]\nMachineOf=hello.service\n";
    let units = [unit(lab, "hello.service", ""), unit_file(lab, "discovery.service", sidekick)];
    order(lab, &["load"], &units);
    let state = || say(lab, &["ssh", "discovery.service", "systemctl show --property=ActiveState discovery.service"]);
    assert_eq!(state(), "ActiveState=inactive\n");
    for (command, expected) in [("start", "ActiveState=active\n"), ("stop", "ActiveState=inactive\n")] {
        say(lab, &[command, "hello.service"]);
        until("the sidekick follows", Duration::from_secs(10), state, |state| state == expected);
    }
}

/// 16: TestNodeShutdown. No process of muster runs on a host, so the operator takes the machine out.
fn a_machine_that_leaves(lab: &Lab) {
    let name = format!("pin@{}.service", lab.host("core-03").unwrap().machine);
    say(lab, &["submit", &unit(lab, "pin@.service", "MachineID=%i")]);
    say(lab, &["start", &name]);
    assert_eq!(host(&active(lab), &name), "core-03");
    muster(lab, &["leave", "--force", "core-03"]).ok();
    assert_eq!(say(lab, &["list-machines", "--no-legend"]).lines().count(), 2);
    assert!(!active(lab).contains_key(&name));
    assert_eq!(ssh(lab, "core-03", &format!("systemctl is-active {name}; ls /run/fleet/units")), "inactive");
}
