//! Machines that are drained, and machines that leave.

use std::fs;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use muster::lab::Lab;

use super::daemon::Daemon;
use super::daemon::really_on;
use super::daemon::runs_away_from;
use super::daemon::unit_file;
use super::lab;
use super::muster;
use super::run;
use super::ssh;
use super::until;

const UNIT: &str = "[Service]\nExecStart=/bin/sleep infinity\n";

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn a_machine_is_drained_of_global_units_too_before_it_leaves() {
    let Some(lab) = lab(2) else { return };
    let both = ["core-01", "core-02"];
    let say = |args: &[&str]| muster(&lab, args).ok();
    let agents = || really_on(&lab, "agent.service", &both);
    say(&["join"]);
    say(&["start", &unit_file(&lab, "agent.service", &format!("{UNIT}[X-Fleet]\nGlobal=true\n"))]);
    say(&["start", &unit_file(&lab, "web.service", UNIT)]);
    assert_eq!(agents(), both);

    assert!(say(&["drain", "core-01"]).ends_with("core-01 drained\n"));
    assert_eq!(
        (agents(), really_on(&lab, "web.service", &both)),
        (vec!["core-02".to_owned()], vec!["core-02".to_owned()])
    );
    say(&["uncordon", "core-01"]);
    say(&["sweep"]);
    assert_eq!(agents(), both);

    // The same beside a controller, which carries it out.
    let controller = Daemon::controller(&lab, 4);
    assert!(say(&["leave", "core-02"]).ends_with("core-02 left\n"));
    assert_eq!(
        (agents(), really_on(&lab, "web.service", &both)),
        (vec!["core-01".to_owned()], vec!["core-01".to_owned()])
    );
    assert_eq!(ssh(&lab, "core-02", "ls -A /run/fleet/units"), "", "no unit remains there");
    assert_eq!(say(&["list-machines", "--no-legend"]).lines().count(), 1);
    say(&["join", "core-02"]);
    until("the global unit runs there again", LIMIT, agents, |on| *on == both);
    drop(controller);
}

/// Gives a host the identity of a new installation: a new machine-id, a new host key, and nothing in /run.
fn reinstall(lab: &Lab, host: &str) {
    ssh(
        lab,
        host,
        "umount /etc/machine-id 2>/dev/null; rm /etc/machine-id /etc/ssh/ssh_host_ed25519_key*; \
         systemd-id128 new >/etc/machine-id; ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key; sync",
    );
    lab.kill(host).unwrap();
    lab.boot(host).unwrap();
}

/// Replaces the key of a host in the lab's known_hosts, as an operator does after a new installation.
fn accept_new_key(lab: &Lab, host: &str) {
    let address = lab.host(host).unwrap().address.to_string();
    let known = lab.dir().join("known_hosts");
    let keys = run(Command::new("ssh-keyscan").args(["-t", "ed25519", &address])).ok();
    let key = keys.trim().split_once(' ').unwrap().1;
    let others = fs::read_to_string(&known).unwrap();
    let others: String =
        others.lines().filter(|line| !line.contains(&address)).map(|line| format!("{line}\n")).collect();
    fs::write(&known, format!("{others}{host},{address} {key}\n")).unwrap();
}

#[test]
fn commands_about_machines_that_are_cut_off_or_installed_anew_end_at_once() {
    let Some(lab) = lab(3) else { return };
    let all = ["core-01", "core-02", "core-03"];
    let say = |args: &[&str]| muster(&lab, args).ok();
    let promptly = |args: &[&str]| {
        let began = Instant::now();
        let said = muster(&lab, args);
        assert!(began.elapsed() < Duration::from_secs(10), "{args:?} took {:?}: {said:#?}", began.elapsed());
        said
    };
    say(&["join"]);
    let controller = Daemon::controller(&lab, 4);
    say(&["start", &unit_file(&lab, "web.service", UNIT), &unit_file(&lab, "old.service", UNIT)]);

    // A unit on a machine that is cut off is destroyed: the command does not wait for the machine.
    let cut = runs_away_from(&lab, "old.service", "", LIMIT);
    lab.cut(&cut).unwrap();
    let destroyed = promptly(&["destroy", "old"]);
    let what =
        format!("Unit old.service: still on {cut}, which is down: it is unloaded there as soon as {cut} answers");
    assert!(destroyed.code == Some(3) && destroyed.err.contains(&what), "{destroyed:#?}");
    lab.heal(&cut).unwrap();
    until("it is unloaded there", LIMIT, || really_on(&lab, "old.service", &all), Vec::is_empty);

    // The units of a host that was installed anew start elsewhere, and its old machine can be removed.
    let at = runs_away_from(&lab, "web.service", "", LIMIT);
    reinstall(&lab, &at);
    let next = runs_away_from(&lab, "web.service", &at, LIMIT);
    let forced = promptly(&["failover", "--force", &at]);
    assert!(forced.code == Some(0) && forced.out.starts_with(&format!("{at}: ")), "{forced:#?}");
    accept_new_key(&lab, &at);
    let refused = promptly(&["join", &at]);
    let before = lab.host(&at).unwrap().machine;
    let replaced = format!("{at} with the machine-id {before} has joined at its address");
    assert!(refused.code == Some(1) && refused.err.contains(&replaced), "{refused:#?}");
    let left = promptly(&["leave", "--force", &at]);
    assert!(left.code == Some(0) && left.out.ends_with(&format!("{at} left\n")), "{left:#?}");
    let joined = promptly(&["join", &at]).ok();
    assert!(joined.starts_with(&format!("{at} joined as ")), "{joined}");
    say(&["drain", &next]);
    assert_ne!(runs_away_from(&lab, "web.service", &next, LIMIT), next);
    assert_eq!(say(&["list-machines", "--no-legend"]).lines().count(), 3);
    drop(controller);
}
