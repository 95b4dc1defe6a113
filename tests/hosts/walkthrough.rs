//! The walk-through: three machines, one unit, a power cut, and the complete output of each command.

use std::time::Duration;
use std::time::Instant;

use muster::lab::Lab;

use super::daemon::Daemon;
use super::daemon::laid_out;
use super::daemon::legend;
use super::daemon::really_on;
use super::daemon::unit_file;
use super::fleetctl;
use super::lab;
use super::lab_with_etcd;
use super::ssh;
use super::until;

const UNIT: &str = "[Unit]\nDescription=myhost\n\n[Service]\n\
                    ExecStart=/bin/bash -c \"while true; do uname -n; sleep 1; done\"\n";

/// How long it may take until a dead machine is detected and its unit runs elsewhere.
const FAILOVER: Duration = Duration::from_secs(30);

#[test]
fn the_walk_through_has_its_exact_output_with_the_store_in_a_file() {
    let Some(lab) = lab(3) else { return };
    walk_through(&lab, "sqlite");
}

#[test]
fn the_walk_through_has_its_exact_output_with_etcd_on_the_hosts() {
    let Some(lab) = lab_with_etcd(3) else { return };
    walk_through(&lab, "etcd");
}

fn walk_through(lab: &Lab, store: &str) {
    let say = |args: &[&str]| fleetctl(lab, args).ok();
    let joined: Vec<String> =
        lab.hosts().iter().map(|host| format!("{} joined as {}\n", host.name, legend(host))).collect();
    assert_eq!(say(&["join"]), joined.concat());
    assert_eq!(say(&["list-machines", "-l"]), machines(lab, ""));

    let file = unit_file(lab, "myhost.service", UNIT);
    assert_eq!(say(&["submit", &file]), "Unit myhost.service inactive\n");
    assert_eq!(say(&["cat", "myhost"]), UNIT);
    assert_eq!(say(&["list-unit-files"]), unit_files("inactive", "-"));
    assert_eq!(say(&["list-units"]), "UNIT\tMACHINE\tACTIVE\tSUB\n");

    // While no machine has a unit, the machine with the lowest machine-id is chosen.
    let first = lab.hosts().iter().min_by_key(|host| host.machine).unwrap();
    assert_eq!(say(&["load", "myhost"]), format!("Unit myhost.service loaded on {}\n", legend(first)));
    assert_eq!(say(&["list-unit-files"]), unit_files("loaded", &legend(first)));
    assert_eq!(say(&["list-units"]), units(&legend(first), "inactive", "dead"));
    // From here on the controller does the work, and the output is the same.
    let controller = Daemon::controller(lab, 8);
    assert_eq!(say(&["start", "myhost"]), format!("Unit myhost.service launched on {}\n", legend(first)));
    let runs = units(&legend(first), "active", "running");
    until("the unit runs", Duration::from_secs(10), || say(&["list-units"]), |text| *text == runs);
    assert_eq!(say(&["list-unit-files"]), unit_files("launched", &legend(first)));

    let status = say(&["status", "myhost"]);
    for part in ["myhost.service - myhost", "; linked-runtime;", "active (running)"] {
        assert!(status.contains(part), "no {part} in {status}");
    }
    let fragment = "readlink -f $(systemctl show --value --property FragmentPath myhost)";
    assert_eq!(ssh(lab, &first.name, fragment), "/run/fleet/units/myhost.service");
    let journal = || say(&["journal", "myhost"]);
    until("its output is in the journal", Duration::from_secs(10), journal, |text| {
        text.lines().any(|line| line.contains("bash[") && line.ends_with(&format!(": {}", first.name)))
    });
    assert_eq!(ssh(lab, &first.name, "cat /run/fleet/units/myhost.service") + "\n", UNIT);

    lab.kill(&first.name).unwrap();
    let began = Instant::now();
    let second = fail_over(lab, &first.name);
    eprintln!("{store}: ran elsewhere {:.1} s after the power cut", began.elapsed().as_secs_f64());
    assert_eq!(say(&["list-machines", "-l"]), machines(lab, &first.name));

    lab.boot(&first.name).unwrap();
    let listed = || say(&["list-machines", "-l"]);
    until("the machine is listed again", FAILOVER, listed, |text| *text == machines(lab, ""));
    let moved = units(&second, "active", "running");
    until("only the new copy is listed", FAILOVER, || say(&["list-units"]), |text| *text == moved);
    let names: Vec<&str> = lab.hosts().iter().map(|host| host.name.as_str()).collect();
    assert_eq!(really_on(lab, "myhost", &names).len(), 1);
    assert_eq!(ssh(lab, &first.name, "ls -A /run/fleet/units 2>/dev/null | wc -l"), "0");

    assert_eq!(say(&["stop", "myhost"]), format!("Unit myhost.service loaded on {second}\n"));
    assert_eq!(say(&["list-unit-files"]), unit_files("loaded", &second));
    assert_eq!(say(&["unload", "myhost"]), "Unit myhost.service inactive\n");
    assert_eq!(say(&["list-unit-files"]), unit_files("inactive", "-"));
    assert_eq!(say(&["destroy", "myhost"]), "Destroyed myhost.service\n");
    assert_eq!(say(&["list-unit-files"]), "UNIT\tHASH\tDSTATE\tSTATE\tTARGET\n");
    assert_eq!(really_on(lab, "myhost", &names), Vec::<String>::new());
    drop(controller);
}

/// Waits until the unit runs elsewhere, and returns the machine as fleet shows it.
fn fail_over(lab: &Lab, dead: &str) -> String {
    let others: Vec<String> = lab.hosts().iter().filter(|host| host.name != dead).map(legend).collect();
    let shown = || fleetctl(lab, &["list-units"]).ok();
    let at = |text: &String| others.iter().find(|other| *text == units(other, "active", "running")).cloned();
    let text = until("the unit runs elsewhere", FAILOVER, shown, |text| at(text).is_some());
    at(&text).unwrap()
}

/// Returns the output of `list-machines -l` without one of the hosts.
fn machines(lab: &Lab, missing: &str) -> String {
    let hosts = lab.hosts().iter().filter(|host| host.name != missing);
    let mut hosts: Vec<[String; 2]> = hosts.map(|host| [host.machine.to_string(), host.address.to_string()]).collect();
    hosts.sort();
    let mut rows = vec![vec!["MACHINE", "IP", "METADATA"]];
    rows.extend(hosts.iter().map(|[machine, ip]| vec![machine.as_str(), ip.as_str(), "-"]));
    laid_out(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

fn unit_files(state: &str, target: &str) -> String {
    let head = ["UNIT", "HASH", "DSTATE", "STATE", "TARGET"];
    laid_out(&[&head, &["myhost.service", "febc229", state, state, target]])
}

fn units(machine: &str, active: &str, sub: &str) -> String {
    laid_out(&[&["UNIT", "MACHINE", "ACTIVE", "SUB"], &["myhost.service", machine, active, sub]])
}
