//! Hosts that belong to another cluster, or that another program manages.

use super::daemon::Daemon;
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

    let join = second(&["join", "core-02", "--take-over"]);
    assert_eq!(join.code, Some(0), "{join:#?}");
    assert!(join.err.contains("core-02 was taken from the cluster default in sqlite:"), "{join:#?}");
    let sweep = muster(&lab, &["sweep"]);
    let sick = "core-02 is sick: run: it belongs to another cluster: default in sqlite:";
    assert!(sweep.out.contains(sick) && sweep.out.contains("there is unknown"), "{sweep:#?}");
    let hint = "`muster leave --force` forgets the machine, `muster failover --force` moves its units";
    let list = muster(&lab, &["list-units"]);
    assert!(sweep.out.contains(hint) && list.err.contains(hint), "{sweep:#?} {list:#?}");
    let start = muster(&lab, &["start", "web@1", "web@2"]);
    assert!(start.err.contains("`muster failover --force core-02` moves the units of core-02"), "{start:#?}");
    let sweep = second(&["sweep"]);
    assert_eq!(sweep.code, Some(0), "{sweep:#?}");
    assert_eq!(ssh(&lab, "core-02", "ls -A /run/fleet/units"), "", "what was not submitted is gone");

    // A host that has left is free.
    assert_eq!(second(&["leave", "core-02"]).code, Some(0));
    say(&["join", "core-02"]);
    assert_eq!(muster(&lab, &["sweep"]).code, Some(0));

    // A cluster moves to the store of a controller: no process is restarted, and the old store has no machine.
    let pids = || both.map(|host| ssh(&lab, host, "systemctl show -P MainPID web@1 web@2"));
    let before = pids();
    for host in both {
        assert!(say(&["leave", "--force", "--no-block", host]).ends_with(&format!("{host} left\n")));
    }
    let new = format!("sqlite:{}", lab.dir().join("new.db").display());
    let moved = |args: &[&str]| muster(&lab, &[&["--store", &new], args].concat());
    let controller = Daemon::start(&lab, &["--store", &new, "controller"]);
    let join = moved(&["join", "--adopt"]);
    assert_eq!(join.code, Some(0), "{join:#?} {}", controller.said());
    let units = moved(&["list-units", "--no-legend", "--fields", "unit,active,sub"]).ok();
    assert_eq!(units, "web@1.service\tactive\trunning\nweb@2.service\tactive\trunning\n");
    assert_eq!((pids(), moved(&["sweep"]).code), (before, Some(0)));
    assert_eq!(say(&["list-machines", "--no-legend"]), "");
}

#[test]
fn what_another_program_runs_on_a_host_is_reported_and_left_alone() {
    let Some(lab) = lab(2) else { return };
    let both = ["core-01", "core-02"];
    let make = "mkdir -p /run/fleet/units; printf '[Service]\\nExecStart=/bin/sleep 1000\\n' >/run/fleet/units/prod-db.service; \
                systemctl link --runtime /run/fleet/units/prod-db.service; systemctl start prod-db";
    ssh(&lab, "core-01", make);
    let pid = || ssh(&lab, "core-01", "systemctl show -P MainPID prod-db");
    let before = pid();
    let files = "/run/fleet/units has 1 unit file that muster did not write: prod-db.service";
    let join = muster(&lab, &["join"]);
    assert!(join.code == Some(0) && join.err.contains(&format!("core-01: {files}")), "{join:#?}");
    let sweeps = [(); 2].map(|()| muster(&lab, &["sweep"]));
    assert!(sweeps[0].out.contains(files) && !sweeps[1].out.contains(files), "once: {sweeps:#?}");
    assert!(muster(&lab, &["machine", "show", "core-01"]).ok().contains("1 unit file that muster did not write"));
    // The name is free elsewhere.
    muster(&lab, &["start", &unit_file(&lab, "prod-db.service", UNIT)]).ok();
    assert_eq!(really_on(&lab, "prod-db.service", &both), both);
    muster(&lab, &["cordon", "core-02"]).ok();
    let again = muster(&lab, &["join", "core-02"]);
    let note = "Note: core-02 is cordoned and takes no new units: `muster uncordon core-02` ends that\n";
    assert!(again.code == Some(0) && again.err.contains(note), "{again:#?}");
    muster(&lab, &["unload", "prod-db"]).ok();
    let refused = muster(&lab, &["start", "prod-db"]);
    assert!(refused.code == Some(1) && refused.err.contains("muster did not write"), "{refused:#?}");
    let why = muster(&lab, &["why", "prod-db"]).ok();
    assert!(why.contains("muster did not write the unit file of this name in /run/fleet/units there"), "{why}");
    muster(&lab, &["destroy", "prod-db"]).ok();
    muster(&lab, &["sweep"]).ok();
    assert_eq!((really_on(&lab, "prod-db.service", &both), pid()), (vec!["core-01".to_owned()], before));
}

#[test]
fn units_of_another_program_are_adopted_where_they_run_and_not_restarted() {
    let Some(lab) = lab(2) else { return };
    let put = |host: &str, name: &str, text: &str| {
        let text = text.replace('\n', "\\n");
        let make = format!(
            "mkdir -p /run/fleet/units; printf '{text}' >/run/fleet/units/{name}; \
                            systemctl link --runtime /run/fleet/units/{name}; systemctl start {name}"
        );
        ssh(&lab, host, &make);
    };
    let global = format!("{UNIT}\n[X-Fleet]\nGlobal=true\n");
    put("core-02", "web@1.service", UNIT);
    put("core-02", "same.service", UNIT);
    put("core-01", "twice.service", UNIT);
    put("core-02", "twice.service", UNIT);
    for host in ["core-01", "core-02"] {
        put(host, "agent.service", &global);
    }
    put("core-01", "other.service", UNIT);
    put("core-01", "bad.service", "[Service]\nExecStart=/bin/sleep infinity\n\n[X-Fleet]\nMachineID=x\n");
    muster(&lab, &["submit", &unit_file(&lab, "same.service", UNIT)]).ok();
    muster(&lab, &["submit", &unit_file(&lab, "other.service", "[Service]\nExecStart=/bin/true\n")]).ok();
    let pids = |host: &str| ssh(&lab, host, "systemctl show -P MainPID web@1 same twice agent other bad");
    let before = ["core-01", "core-02"].map(pids);
    let join = muster(&lab, &["join", "--adopt"]);
    assert_eq!(join.code, Some(1), "{join:#?}");
    for left in [
        "Unit bad.service: left alone on core-01: Unit bad.service: [X-Fleet] ",
        "Unit other.service: left alone on core-01: the submitted file differs",
        "Unit twice.service: left alone on core-0",
    ] {
        assert!(join.err.contains(left), "no {left} in {join:#?}");
    }
    assert!(!join.err.contains("web@1") && !join.err.contains("agent"), "{join:#?}");
    let units = muster(&lab, &["list-unit-files", "--fields", "unit,dstate,state", "--no-legend"]).ok();
    for unit in ["web@1.service", "same.service", "twice.service"] {
        assert!(units.lines().any(|line| line.starts_with(unit) && line.matches("launched").count() == 2), "{units}");
    }
    let sweeps = [(); 2].map(|()| muster(&lab, &["sweep"]));
    assert!(sweeps.iter().all(|sweep| sweep.code == Some(0)), "{sweeps:#?}");
    let why = muster(&lab, &["why", "web@1"]).ok();
    assert!(why.contains("core-02") || why.contains("it was found there when the machine joined"), "{why}");
    assert_eq!(["core-01", "core-02"].map(pids), before, "no process was restarted");
    // What is adopted is muster's.
    muster(&lab, &["destroy", "web@1", "agent"]).ok();
    assert_eq!(really_on(&lab, "web@1.service", &["core-02"]).len(), 0);
    assert_eq!(really_on(&lab, "agent.service", &["core-01", "core-02"]).len(), 0);
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
                printf '[Service]\\nExecStart=/bin/true\\n' >x$n.service; : >/run/muster/files/x$n.service; done";
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
