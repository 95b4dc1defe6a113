//! Machines that die and come back: only what was on them moves.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use muster::lab::Lab;

use super::active;
use super::host;
use super::order;
use super::unit;
use crate::hosts::daemon::join;
use crate::hosts::lab;
use crate::hosts::muster;
use crate::hosts::ssh;

/// 3: TestDynamicClusterNewMemberUnitMigration, 4: TestDynamicClusterMemberReboot and 18: TestScheduleMachineOf.
#[test]
#[ignore = "takes 20 s: scripts/night fleet"]
fn only_the_units_of_a_machine_that_dies_move_and_pairs_move_together() {
    let Some(lab) = lab(4) else { return };
    join(&lab);
    let conflicting: Vec<String> =
        (0..3).map(|n| unit(&lab, &format!("conflict.{n}.service"), "Conflicts=conflict.*.service")).collect();
    order(&lab, &["start"], &conflicting);
    for n in 0..3 {
        let pair = [
            unit(&lab, &format!("ping.{n}.service"), ""),
            unit(&lab, &format!("pong.{n}.service"), &format!("MachineOf=ping.{n}.service")),
        ];
        order(&lab, &["start"], &pair);
    }
    let before = active(&lab);
    assert_eq!(before.len(), 9);
    assert_pairs(&before);
    let hosts: BTreeSet<String> = (0..3).map(|n| host(&before, &format!("conflict.{n}.service"))).collect();
    assert_eq!(hosts.len(), 3);
    let pids = processes(&lab, &before);

    let dead = host(&before, "conflict.1.service");
    lab.kill(&dead).unwrap();
    let swept = muster(&lab, &["sweep", "--down-after", "4"]);
    assert!(swept.code == Some(1) && swept.out.contains(&format!("{dead} is down: ")), "{swept:#?}");
    let after = active(&lab);
    assert_eq!(after.len(), 9, "{after:?}");
    assert_pairs(&after);
    let free = lab.hosts().iter().find(|host| !hosts.contains(&host.name)).unwrap();
    assert_eq!(host(&after, "conflict.1.service"), free.name, "{after:?}");
    let stayed = before.iter().filter(|(_, hosts)| **hosts != [dead.clone()]);
    let stayed: BTreeMap<String, Vec<String>> = stayed.map(|(unit, on)| (unit.clone(), on.clone())).collect();
    assert!(stayed.iter().all(|(unit, on)| after[unit] == *on), "{before:?} {after:?}");
    let kept = processes(&lab, &stayed);
    assert!(kept.iter().all(|(unit, pid)| pids[unit] == *pid), "no other unit was restarted: {pids:?} {kept:?}");

    // A machine that reboots starts its own units again, and no other unit moves.
    lab.boot(&dead).unwrap();
    let rebooted = host(&after, "conflict.0.service");
    lab.kill(&rebooted).unwrap();
    lab.boot(&rebooted).unwrap();
    let swept = muster(&lab, &["sweep"]);
    assert_eq!(swept.code, Some(0), "{swept:#?}");
    assert_eq!(active(&lab), after);
}

/// Checks that the units of each pair are on one machine.
fn assert_pairs(active: &BTreeMap<String, Vec<String>>) {
    for n in 0..3 {
        let [ping, pong] = ["ping", "pong"].map(|name| host(active, &format!("{name}.{n}.service")));
        assert_eq!(ping, pong, "{active:?}");
    }
}

/// Returns the process of each unit.
fn processes(lab: &Lab, active: &BTreeMap<String, Vec<String>>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for at in lab.hosts() {
        let units: Vec<&String> = active.keys().filter(|unit| active[*unit] == [at.name.clone()]).collect();
        if units.is_empty() {
            continue;
        }
        let names: Vec<&str> = units.iter().map(|unit| unit.as_str()).collect();
        let pids = ssh(lab, &at.name, &format!("systemctl show -P MainPID {}", names.join(" ")));
        let pids = pids.lines().filter(|line| !line.is_empty()).map(str::to_owned);
        found.extend(units.into_iter().cloned().zip(pids));
    }
    assert_eq!(found.len(), active.len());
    found
}
