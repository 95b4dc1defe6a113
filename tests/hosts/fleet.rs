//! What the functional tests of fleet 1.0 show, on real hosts and under the name of fleet's client. `docs/fleet.md` has the
//! numbers of the tests. Many of them share a lab: each removes its units.

mod migration;
mod options;
mod placement;
mod units;

use std::collections::BTreeMap;

use muster::lab::Lab;

use super::daemon::unit_file;
use super::fleetctl;
use super::muster;

/// The body of a unit that runs until it is stopped.
const RUNS: &str = "[Service]\nExecStart=/bin/sleep infinity\n";

/// Writes a unit that runs, with lines for `[X-Fleet]`, and returns its path.
fn unit(lab: &Lab, name: &str, fleet: &str) -> String {
    unit_file(lab, name, &format!("{RUNS}\n[X-Fleet]\n{fleet}\n"))
}

/// Runs fleet's client, which must succeed.
#[track_caller]
fn say(lab: &Lab, args: &[&str]) -> String {
    fleetctl(lab, args).ok()
}

/// Runs a command of fleet's client for units, which must succeed.
#[track_caller]
fn order(lab: &Lab, command: &[&str], units: &[String]) -> String {
    let args: Vec<&str> = command.iter().copied().chain(units.iter().map(String::as_str)).collect();
    say(lab, &args)
}

/// Returns the hosts on which each active unit runs, read as the tests of fleet read them.
fn active(lab: &Lab) -> BTreeMap<String, Vec<String>> {
    let table = say(lab, &["list-units", "--no-legend", "--full", "--fields", "unit,active,machine"]);
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in table.lines() {
        let cells: Vec<&str> = line.split('\t').filter(|cell| !cell.is_empty()).collect();
        let [unit, state, machine] = cells[..] else { panic!("{table}") };
        let host = lab.hosts().iter().find(|host| machine == format!("{}/{}", host.machine, host.address)).unwrap();
        if state == "active" {
            found.entry(unit.to_owned()).or_default().push(host.name.clone());
        }
    }
    for hosts in found.values_mut() {
        hosts.sort();
    }
    found
}

/// Returns the host of a unit that runs on one host.
#[track_caller]
fn host(active: &BTreeMap<String, Vec<String>>, unit: &str) -> String {
    let [host] = &active[unit][..] else { panic!("{unit}: {active:?}") };
    host.clone()
}

/// Returns how many units are submitted.
fn submitted(lab: &Lab) -> usize {
    say(lab, &["list-unit-files", "--no-legend"]).lines().count()
}

/// Joins all hosts. The metadata of each has its name.
fn join_named(lab: &Lab) {
    let line = |name: &str| format!("    {name}: {{muster_metadata: {{hostname: {name}}}}}\n");
    let hosts: String = lab.hosts().iter().map(|host| line(&host.name)).collect();
    let path = lab.dir().join("named.yaml");
    std::fs::write(&path, format!("core:\n  hosts:\n{hosts}")).unwrap();
    let inventory = lab.dir().join("inventory.yaml");
    muster(lab, &["-i", inventory.to_str().unwrap(), "-i", path.to_str().unwrap(), "join"]).ok();
}
