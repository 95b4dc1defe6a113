//! Path faults: both ends work, and the path between them does not. The units stay, and the machine is managed through a
//! relay.

use std::process::Command;
use std::time::Duration;

use muster::lab::Lab;

use super::daemon::Daemon;
use super::daemon::join;
use super::daemon::main_pid;
use super::daemon::really_on;
use super::daemon::runs_away_from;
use super::daemon::unit_file;
use super::fleetctl;
use super::lab;
use super::lab::id;
use super::muster;
use super::run;
use super::until;

const LIMIT: Duration = Duration::from_secs(40);

/// Drops all packets from a host to this machine, and none to the host.
pub(super) fn drop_answers(lab: &Lab, host: &str) {
    drop_some(lab, host, "");
}

/// Drops large packets from a host to this machine, as a tunnel with an unknown MTU does: connections open, and no key
/// exchange completes.
pub(super) fn drop_large_answers(lab: &Lab, host: &str) {
    drop_some(lab, host, "meta length > 300");
}

fn drop_some(lab: &Lab, host: &str, which: &str) {
    let gateway = run(Command::new("ip").args(["-4", "-o", "address", "show", "dev", &format!("muster{}", id(lab))]));
    let gateway = gateway.ok().split_whitespace().nth(3).unwrap().split('/').next().unwrap().to_owned();
    let rules = format!(
        "add table inet oneway\n\
         add chain inet oneway out {{ type filter hook output priority 0; }}\n\
         add rule inet oneway out ip daddr {gateway} {which} drop\n"
    );
    in_namespace(lab, host, &["nft", &rules]);
}

/// Removes the rules of [`drop_answers`] and [`drop_large_answers`].
pub(super) fn let_answers_pass(lab: &Lab, host: &str) {
    in_namespace(lab, host, &["nft", "delete table inet oneway"]);
}

fn in_namespace(lab: &Lab, host: &str, command: &[&str]) {
    let namespace = format!("muster-{}-{host}", id(lab));
    run(Command::new("ip").args(["netns", "exec", &namespace]).args(command)).ok();
}

fn health(lab: &Lab, host: &str) -> String {
    let listed = muster(lab, &["list-machines", "--all", "--no-legend", "--fields", "name,health"]).ok();
    let line = listed.lines().find(|line| line.starts_with(host)).unwrap_or_default();
    line.trim_start_matches(host).trim().to_owned()
}

#[test]
fn a_host_whose_answers_are_lost_keeps_its_units_and_is_managed_through_a_relay() {
    let Some(lab) = lab(3) else { return };
    join(&lab);
    let sleeper = |name| unit_file(&lab, name, "[Service]\nExecStart=/bin/sleep infinity\n");
    let controller = Daemon::controller(&lab, 4);
    muster(&lab, &["start", &sleeper("web.service")]).ok();
    let at = runs_away_from(&lab, "web.service", "", LIMIT);
    let pid = main_pid(&lab, &at, "web.service");

    drop_answers(&lab, &at);
    until("it has a path fault", LIMIT, || health(&lab, &at), |health| health == "path fault");
    controller.says("2 of 2 peers reach its sshd");
    // Commands reach the host through the relay.
    let restarted = muster(&lab, &["restart", "web.service"]);
    assert_eq!(restarted.code, Some(0), "{restarted:#?}\n{}", controller.said());
    let shown = || fleetctl(&lab, &["list-units", "--no-legend"]).ok();
    until("the restarted unit runs", LIMIT, shown, |units| units.contains("\tactive\trunning"));
    let peers = || lab.hosts().iter().filter(|host| host.name != at);
    let through = |args: &[&str]| {
        let said = muster(&lab, args);
        let names = |name: &str| said.err == format!("{at} has a path fault: going through {name}\n");
        assert!(said.code == Some(0) && peers().any(|host| names(&host.name)), "{args:?}: {said:#?}");
        said.out
    };
    assert!(through(&["status", "web.service"]).contains("active (running)"));
    assert!(through(&["journal", "web.service"]).contains("web.service"));
    assert_eq!(through(&["ssh", &at, "cat", "/etc/hostname"]).trim(), at);
    muster(&lab, &["stop", "web.service"]).ok();
    muster(&lab, &["start", "web.service"]).ok();
    assert!(!controller.said().contains(": down: "), "{}", controller.said());

    let_answers_pass(&lab, &at);
    until("it is alive", LIMIT * 2, || health(&lab, &at), |health| health == "alive");
    let all: Vec<&str> = lab.hosts().iter().map(|host| host.name.as_str()).collect();
    assert_eq!(really_on(&lab, "web.service", &all), [at.as_str()], "the unit did not move");
    assert_ne!(main_pid(&lab, &at, "web.service"), pid, "the unit was restarted on its machine");
}
