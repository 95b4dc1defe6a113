//! Hosts that belong to another cluster, or that another program manages.

use super::daemon::really_on;
use super::daemon::unit_file;
use super::lab;
use super::muster;
use super::ssh;

const UNIT: &str = "[Service]\nExecStart=/bin/sleep infinity\n";

#[test]
fn a_second_store_cannot_take_the_hosts_of_the_first() {
    let Some(lab) = lab(2) else { return };
    let both = ["core-01", "core-02"];
    let say = |args: &[&str]| muster(&lab, args).ok();
    say(&["join"]);
    say(&["start", &unit_file(&lab, "web@1.service", UNIT), &unit_file(&lab, "web@2.service", UNIT)]);
    let other = format!("sqlite:{}", lab.dir().join("other.db").display());
    let second = |args: &[&str]| muster(&lab, &[&["--store", &other], args].concat());

    let refused = second(&["join"]);
    assert_eq!(refused.code, Some(1), "{refused:#?}");
    for host in both {
        assert!(refused.err.contains(&format!("{host}: it belongs to another cluster: default in ")), "{refused:#?}");
    }
    assert!(refused.err.contains("--take-over"), "{refused:#?}");
    let sweep = second(&["sweep"]);
    assert_eq!(really_on(&lab, "web@1.service", &both).len(), 1, "{sweep:#?}");

    assert_eq!(second(&["join", "core-02", "--take-over"]).code, Some(0));
    let sweep = muster(&lab, &["sweep"]);
    let sick = "core-02 is sick: run: it belongs to another cluster: default in sqlite:";
    assert!(sweep.out.contains(sick), "{sweep:#?}");
    let sweep = second(&["sweep"]);
    assert_eq!(sweep.code, Some(0), "{sweep:#?}");
    assert_eq!(ssh(&lab, "core-02", "ls -A /run/fleet/units"), "", "what was not submitted is gone");

    // A host that has left is free.
    assert_eq!(second(&["leave", "core-02"]).code, Some(0));
    say(&["join", "core-02"]);
    assert_eq!(muster(&lab, &["sweep"]).code, Some(0));
}

#[test]
fn a_host_that_another_program_manages_does_not_join() {
    let Some(lab) = lab(1) else { return };
    let make = "mkdir -p /run/fleet/units; printf '[Service]\\nExecStart=/bin/sleep 1000\\n' >/run/fleet/units/prod-db.service; \
                systemctl link --runtime /run/fleet/units/prod-db.service; systemctl start prod-db";
    ssh(&lab, "core-01", make);
    let refused = muster(&lab, &["join"]);
    assert_eq!(refused.code, Some(1), "{refused:#?}");
    assert!(refused.err.contains("core-01: muster did not write /run/fleet/units/prod-db.service"), "{refused:#?}");
    muster(&lab, &["sweep"]);
    assert_eq!(really_on(&lab, "prod-db.service", &["core-01"]), ["core-01"]);
}

#[test]
fn a_user_without_root_cannot_hold_the_lock_of_a_host() {
    let Some(lab) = lab(1) else { return };
    muster(&lab, &["join"]).ok();
    muster(&lab, &["start", &unit_file(&lab, "web.service", UNIT)]).ok();
    let take = "su guest -s /bin/sh -c 'flock -n -x /run/muster/lock true' 2>/dev/null && echo taken; \
                stat -c %a /run/muster /run/muster/lock";
    assert_eq!(ssh(&lab, "core-01", take), "700\n600");
}

#[test]
fn many_units_that_the_cluster_does_not_know_are_unloaded_with_few_events() {
    let Some(lab) = lab(1) else { return };
    muster(&lab, &["join"]).ok();
    muster(&lab, &["start", &unit_file(&lab, "web.service", UNIT)]).ok();
    let make = "cd /run/fleet/units; for n in $(seq 600); do \
                printf '[Service]\\nExecStart=/bin/true\\n' >x$n.service; done";
    ssh(&lab, "core-01", make);
    let sweep = muster(&lab, &["sweep"]);
    assert_eq!(sweep.code, Some(0), "{sweep:#?}");
    assert_eq!(ssh(&lab, "core-01", "ls -A /run/fleet/units"), "web.service");
    let portions: Vec<&str> =
        sweep.out.lines().filter(|line| line.contains("that the cluster does not know")).collect();
    assert_eq!(portions.len(), 3, "{sweep:#?}");
    assert!(portions[0].starts_with("core-01: unload of 256 units that the cluster does not know (x1.service, "));
    assert!(portions.iter().all(|line| !line.contains(": 0 done")), "{sweep:#?}");
    assert!(!muster(&lab, &["list-units"]).ok().contains("x1.service"));
}

#[test]
fn a_unit_with_the_name_of_a_service_of_the_host_touches_nothing_there() {
    let Some(lab) = lab(1) else { return };
    muster(&lab, &["join"]).ok();
    let sshd = || ssh(&lab, "core-01", "systemctl show -P MainPID -P FragmentPath ssh; ls /run/systemd/system");
    let before = sshd();
    let install = "[Install]\nWantedBy=multi-user.target\n";
    for text in [format!("{UNIT}{install}"), format!("{UNIT}[X-Muster]\nClass=strict\n")] {
        let said = muster(&lab, &["start", &unit_file(&lab, "ssh.service", &text)]);
        assert!(said.code == Some(1), "{said:#?}");
        muster(&lab, &["sweep"]);
        muster(&lab, &["destroy", "ssh"]).ok();
        assert_eq!(sshd(), before, "{text}");
    }
    let said = muster(&lab, &["start", &unit_file(&lab, "ssh.service", UNIT)]);
    assert!(said.err.contains("load failed on core-01: the host has a unit of this name"), "{said:#?}");
}
