//! Errors on real hosts: each error names the host or the unit and says what to do, no change is left incomplete, and the
//! next sweep repairs the units.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use muster::lab::Lab;

use super::Said;
use super::daemon::Daemon;
use super::daemon::join;
use super::daemon::main_pid;
use super::daemon::really_on;
use super::daemon::unit_file;
use super::lab;
use super::lab_with_etcd;
use super::muster;
use super::run;
use super::ssh;
use super::ssh_as;
use super::until;

const LIMIT: Duration = Duration::from_secs(30);

const SLEEPER: &str = "[Service]\nExecStart=/bin/sleep infinity\n";

/// Checks that a command failed with this exit code, and that its stderr contains these parts.
#[track_caller]
fn says(said: &Said, code: i32, parts: &[&str]) {
    assert_eq!(said.code, Some(code), "{said:#?}");
    for part in parts {
        assert!(said.err.contains(part), "no {part:?} in {said:#?}");
    }
}

/// Writes a copy of the lab's ssh_config with one text replaced, and returns its path.
fn ssh_config(lab: &Lab, name: &str, from: &str, to: &str) -> String {
    let text = fs::read_to_string(lab.ssh_config()).unwrap();
    assert!(text.contains(from), "{text}");
    let path = lab.dir().join("units").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text.replace(from, to)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_host_that_may_not_be_managed_does_not_join_and_the_others_do() {
    let Some(lab) = lab(3) else { return };
    let file = |name: &str| lab.dir().join(name).to_str().unwrap().to_owned();
    // A join that is refused makes no store.
    let machines = || muster(&lab, &["list-machines", "--no-legend"]).out.lines().count();

    // A key that the host does not accept.
    let key = unit_file(&lab, "key", "");
    fs::remove_file(&key).unwrap();
    run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &key])).ok();
    let config = ssh_config(&lab, "other-key", &file("key"), &key);
    let refused = muster(&lab, &["--ssh-config", &config, "join", "core-01"]);
    says(&refused, 3, &["core-01: authenticate: ", "Hint: "]);

    // An unknown host key, and a changed one.
    let known = lab.dir().join("units/known_hosts");
    fs::write(&known, "").unwrap();
    let config = ssh_config(&lab, "other-hosts", &file("known_hosts"), known.to_str().unwrap());
    let unknown = muster(&lab, &["--ssh-config", &config, "join", "core-01"]);
    says(&unknown, 3, &["core-01: key exchange: ", "is not known", "Hint: ", "accept-new"]);
    let other = fs::read_to_string(format!("{key}.pub")).unwrap();
    fs::write(&known, format!("core-01,{} {other}", lab.hosts()[0].address)).unwrap();
    for strict in ["yes", "accept-new"] {
        let args = ["--ssh-config", &config, "--strict-host-key-checking", strict, "join", "core-01"];
        says(&muster(&lab, &args), 3, &["core-01: key exchange: ", "is not the one in", "Hint: ", "known_hosts"]);
    }

    // A user with a sudo that asks for a password.
    let inventory =
        unit_file(&lab, "inventory", &format!("h ansible_host={} ansible_user=guest\n", lab.hosts()[0].address));
    let asks = muster(&lab, &["-i", &inventory, "join"]);
    says(&asks, 3, &["h: ", "sudo", "NOPASSWD"]);
    assert_eq!(machines(), 0, "no machine has joined");

    // A host that was not booted with systemd: here a namespace without /run/systemd.
    let other_world = "mount -t tmpfs none /run/systemd && exec /usr/sbin/sshd -p 2222";
    ssh(&lab, "core-02", &format!("unshare --mount sh -c '{other_world}'"));
    let address = lab.hosts()[1].address;
    let inventory = unit_file(&lab, "inventory", &format!("h ansible_host={address} ansible_port=2222\n"));
    let args = ["--ssh-config", &config, "--strict-host-key-checking", "accept-new", "-i", &inventory, "join"];
    says(&muster(&lab, &args), 1, &["h: run: it was not booted with systemd", "Hint: ", "Leave this host out"]);
    assert_eq!(machines(), 0, "no machine has joined");

    // A clone is rejected, and the others join.
    let id = lab.hosts()[0].machine;
    ssh(&lab, "core-03", &format!("umount /etc/machine-id 2>/dev/null; echo {id} >/etc/machine-id"));
    let clone = muster(&lab, &["join"]);
    says(&clone, 1, &["core-03: its machine-id", "is that of core-01", "Hint: ", "systemd-machine-id-setup"]);
    assert!(clone.out.contains("core-01 joined as ") && clone.out.contains("core-02 joined as "), "{clone:#?}");
    assert_eq!(machines(), 2);

    // A user with a sudo that does not ask can be used, and `accept-new` stores a new host key.
    fs::write(&known, "").unwrap();
    let inventory =
        unit_file(&lab, "inventory", &format!("core-02 ansible_host={} ansible_user=admin\n", lab.hosts()[1].address));
    let args = ["--ssh-config", &config, "--strict-host-key-checking", "accept-new", "-i", &inventory, "join"];
    let said = muster(&lab, &args).ok();
    assert!(said.starts_with("core-02 updated: address (was ssh://"), "{said}");
    assert!(fs::read_to_string(&known).unwrap().contains(&lab.hosts()[1].address.to_string()));
    let web = unit_file(&lab, "web.service", &format!("{SLEEPER}[X-Fleet]\nMachineID={}\n", lab.hosts()[1].machine));
    muster(&lab, &["start", &web]).ok();
    assert_eq!(really_on(&lab, "web.service", &["core-01", "core-02"]), ["core-02"]);
}

#[test]
fn a_unit_that_systemd_rejects_does_not_affect_others() {
    let Some(lab) = lab(1) else { return };
    join(&lab);
    let mut args = ["start", "--settle", "1s"].map(str::to_owned).to_vec();
    for name in ["a.service", "c.service"] {
        args.push(unit_file(&lab, name, SLEEPER));
    }
    args.push(unit_file(
        &lab,
        "b.service",
        "[Service]\nExecStart=sleep; relative\nType=nonsense\nExecStart=also/relative\n",
    ));
    args.push(unit_file(&lab, "d.service", "[Service]\nExecStart=/does/not/exist\n"));
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let started = muster(&lab, &args);
    says(&started, 1, &["Unit b.service: ", "core-01", "Hint: ", "muster why"]);
    assert!(started.err.contains("Unit d.service: failed (failed) on core-01"), "{started:#?}");
    assert!(started.out.contains("Unit a.service launched on") && started.out.contains("Unit c.service launched on"));
    assert!(!started.out.contains("Unit b.service launched"), "{started:#?}");
    for unit in ["a.service", "c.service"] {
        assert_ne!(main_pid(&lab, "core-01", unit), "0");
    }
    let sweep = muster(&lab, &["sweep"]);
    assert_eq!(sweep.code, Some(1), "{sweep:#?}");
    assert!(sweep.out.contains("Unit b.service: ") && sweep.out.contains("Unit d.service: "), "{sweep:#?}");
    assert!(!sweep.out.contains("a.service") && !sweep.out.contains("c.service"), "{sweep:#?}");
    // After the unit is corrected it runs. The others have not stopped.
    let pid = main_pid(&lab, "core-01", "a.service");
    muster(&lab, &["destroy", "b.service", "d.service"]).ok();
    muster(&lab, &["start", &unit_file(&lab, "b.service", SLEEPER)]).ok();
    assert_ne!(main_pid(&lab, "core-01", "b.service"), "0");
    assert_eq!(main_pid(&lab, "core-01", "a.service"), pid);
    assert_eq!(muster(&lab, &["sweep"]), Said { code: Some(0), out: String::new(), err: String::new() });
}

#[test]
fn a_full_run_folder_leaves_nothing_incomplete_and_a_sweep_repairs_it_when_there_is_room() {
    let Some(lab) = lab(1) else { return };
    join(&lab);
    muster(&lab, &["start", &unit_file(&lab, "old.service", SLEEPER)]).ok();
    let pid = main_pid(&lab, "core-01", "old.service");
    // The journal frees some of its own space in a full /run, and so does each session that ends. So /run is filled all the
    // time.
    let unkept = "printf '[Journal]\\nStorage=none\\n' >/etc/systemd/journald.conf.d/none.conf";
    ssh(&lab, "core-01", &format!("{unkept} && systemctl restart systemd-journald && rm -r /run/log/journal"));
    let fill = "while :; do cat /dev/zero >>/run/fill; sleep 0.05; done";
    let filler = format!("systemd-run --quiet --unit=filler sh -c '{fill}'");
    ssh(&lab, "core-01", &format!("mount -o remount,size=8M /run && {filler}"));
    let room = || ssh(&lab, "core-01", "df --output=avail /run | tail -n 1");
    until("/run is full", LIMIT, room, |room| room == "0");
    let full = muster(&lab, &["start", &unit_file(&lab, "new.service", SLEEPER)]);
    says(&full, 1, &["is /run full", "Unit new.service: "]);
    // One free page is enough for an observation. Then the unit's file fails.
    let phases = ["core-01 is sick: run: ", "load failed on core-01: cannot write to /run/muster: "];
    assert!(phases.iter().any(|phase| full.err.contains(phase)), "{full:#?}");
    let look = "ls /run/fleet/units /run/muster/new; systemctl is-enabled new.service 2>&1";
    let left = ssh_as(&lab, "root", "core-01", look).out;
    assert!(!left.contains("new.service\n") && left.contains("old.service"), "{left}");
    let sweep = muster(&lab, &["sweep", "--down-after", "1"]);
    assert!(sweep.code == Some(1) && sweep.out.contains("is /run full"), "{sweep:#?}");
    assert_eq!(main_pid(&lab, "core-01", "old.service"), pid);
    ssh(&lab, "core-01", "systemctl stop filler && rm /run/fill");
    assert_eq!(muster(&lab, &["sweep"]).code, Some(0));
    assert_ne!(main_pid(&lab, "core-01", "new.service"), "0");
    assert_eq!(main_pid(&lab, "core-01", "old.service"), pid);
}

#[test]
fn a_unit_whose_file_was_removed_by_hand_is_stopped_or_gets_its_file_back() {
    let Some(lab) = lab(2) else { return };
    let say = |args: &[&str]| muster(&lab, args).ok();
    say(&["join"]);
    let [web, db] = ["web.service", "db.service"].map(|name| unit_file(&lab, name, SLEEPER));
    say(&["start", &web, &db]);
    let host = |unit: &str| {
        let text = say(&["list-units", "--no-legend", "--fields", "unit,name,active"]);
        let line = text.lines().find(|line| line.starts_with(unit)).expect("it is listed").to_owned();
        assert!(line.contains("active"), "{line}");
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    for unit in ["web.service", "db.service"] {
        ssh(&lab, &host(unit), &format!("rm /run/fleet/units/{unit}"));
    }
    let (web, db) = (host("web.service"), host("db.service"));
    say(&["destroy", "web"]);
    let left = "systemctl is-active web; ls /run/fleet/units /run/systemd/system | grep ^web";
    assert_eq!(ssh_as(&lab, "root", &web, left).out.trim(), "inactive");
    let pid = main_pid(&lab, &db, "db.service");
    say(&["sweep"]);
    assert_eq!(main_pid(&lab, &db, "db.service"), pid, "it was not restarted");
    assert_eq!(ssh(&lab, &db, "cat /run/fleet/units/db.service").lines().next(), Some("[Service]"));
}

/// The files of a lab's store.
fn store_files(lab: &Lab) -> [PathBuf; 2] {
    ["muster.db", "muster.db-wal"].map(|name| lab.dir().join(name))
}

#[test]
fn a_restored_store_stops_no_newer_unit_and_starts_none_twice() {
    let Some(lab) = lab(3) else { return };
    let say = |args: &[&str]| muster(&lab, args).ok();
    say(&["join"]);
    let [web, later] = ["web.service", "later.service"].map(|name| unit_file(&lab, name, SLEEPER));
    say(&["start", &web]);
    let backup = store_files(&lab).map(|file| fs::read(file).ok());
    say(&["start", &later]);
    let hosts = ["core-01", "core-02", "core-03"];
    let running = || hosts.map(|host| ssh_as(&lab, "root", host, "systemctl show -P MainPID later").out);
    let before = running();
    let _ = fs::remove_file(lab.dir().join("muster.db-shm"));
    for (file, text) in store_files(&lab).into_iter().zip(backup) {
        match text {
            Some(text) => fs::write(file, text).unwrap(),
            None => drop(fs::remove_file(file)),
        }
    }
    let said = muster(&lab, &["sweep"]);
    assert!(said.code == Some(1) && said.out.contains("the store was restored from a backup"), "{said:#?}");
    assert_eq!(running(), before);
    // Commands may count up to the serial of the host, and the sign stays.
    (0..3).for_each(|_| drop(say(&["restart", "web"])));
    assert_eq!(muster(&lab, &["sweep"]).code, Some(1));
    say(&["start", &later]);
    assert_eq!(running(), before, "it is placed where it runs");
}

#[test]
fn an_unavailable_store_affects_no_unit() {
    let Some(lab) = lab_with_etcd(3) else { return };
    join(&lab);
    let units = ["a.service", "b.service", "c.service"].map(|name| unit_file(&lab, name, SLEEPER));
    muster(&lab, &["start", &units[0], &units[1], &units[2]]).ok();
    let controller = Daemon::controller(&lab, 4);
    let hosts = ["core-01", "core-02", "core-03"];
    let look = "systemctl show --value --property MainPID a.service b.service c.service";
    let pids = || hosts.map(|host| ssh(&lab, host, look));
    let before = pids();
    for host in &hosts[1..] {
        ssh(&lab, host, "systemctl stop etcd");
    }
    let commands = [&["list-units"][..], &["stop", "a.service"], &["sweep"]];
    for mut command in commands.map(|args| Daemon::start(&lab, args)) {
        assert_eq!(command.ended(LIMIT).code(), Some(3), "{}", command.said());
        let said = command.said();
        assert!(said.starts_with("Error: store etcd://") && said.contains("Hint: Check `--store`"), "{said}");
    }
    controller.says("units are left as they are");
    assert_eq!(pids(), before);
    for host in &hosts[1..] {
        ssh(&lab, host, "systemctl start --no-block etcd");
    }
    let led = || controller.said().matches("leads (epoch ").count();
    until("the controller leads again", LIMIT, led, |count| *count == 2);
    muster(&lab, &["stop", "a.service"]).ok();
    muster(&lab, &["start", "a.service"]).ok();
    let after = pids();
    let changed = |at: usize| before[at].lines().zip(after[at].lines()).filter(|(was, is)| was != is).count();
    assert_eq!((0..3).map(changed).sum::<usize>(), 1, "only a.service was stopped: {before:?} {after:?}");
    assert_eq!(muster(&lab, &["list-machines", "--no-legend"]).ok().lines().count(), 3);
}
