//! Targets, slices, aliases and the variables of the machine on real hosts: units that have no process, units that are not in
//! system.slice, and names that the host has.

use std::fs;
use std::io::Write as _;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use muster::core::model::Cluster;
use muster::core::model::Report;
use muster::core::model::Visit;
use muster::lab::Lab;
use muster::remote::visit::VisitScript;

use super::daemon::Daemon;
use super::daemon::unit_file;
use super::lab;
use super::muster;
use super::ssh;
use super::until;

const LONG: &str = "[Service]\nExecStart=/bin/sleep 1000000\n";

/// Writes the files of an application and returns its folder.
fn folder(lab: &Lab, files: &[(&str, &str)]) -> String {
    let folder = lab.dir().join("shop");
    fs::create_dir_all(&folder).unwrap();
    for (name, text) in files {
        fs::write(folder.join(name), text).unwrap();
    }
    folder.to_str().unwrap().to_owned()
}

#[test]
fn an_application_with_a_target_and_a_slice_changes_both_without_a_stop_of_its_services() {
    let Some(lab) = lab(2) else { return };
    let say = |args: &[&str]| muster(&lab, args).ok();
    let service = format!("[Unit]\nPartOf=shop.target\n{LONG}Slice=shop-web.slice\n");
    let shop = folder(
        &lab,
        &[
            ("shop.target", "[Unit]\nDescription=Shop\nWants=web.service\n"),
            ("shop.slice", "[Slice]\nTasksMax=200\n"),
            ("shop-web.slice", "[Slice]\nTasksMax=100\n"),
            ("web.service", &service),
            ("db.service", &service),
        ],
    );
    say(&["join"]);
    let done = say(&["apply", &shop]);
    assert!(done.ends_with("Application shop: 5 new\n"), "{done}");
    let list = say(&["list-units", "--no-legend", "--fields=name,unit,active,sub"]);
    let home = list.split_whitespace().next().unwrap().to_owned();
    for line in ["db.service\tactive\trunning", "shop.slice\tactive\tactive", "shop.target\tactive\tactive"] {
        assert!(list.contains(&format!("{home}\t{line}")), "{list}");
    }
    let on = |command: &str| ssh(&lab, &home, command);
    let pids = || on("systemctl show -P MainPID web.service db.service");
    let before = pids();
    assert!(on("systemctl show -P ControlGroup web.service").ends_with("/shop.slice/shop-web.slice/web.service"));
    assert_eq!(say(&["why", "shop.slice"]).matches("active (active) on").count(), 1);
    assert_eq!(muster(&lab, &["status", "shop.target"]).code, Some(0));

    // A stop of the slice would stop its services, and so would a stop of the target.
    folder(
        &lab,
        &[("shop-web.slice", "[Slice]\nTasksMax=77\n"), ("shop.target", "[Unit]\nWants=web.service extra.service\n")],
    );
    folder(&lab, &[("extra.service", LONG)]);
    let done = say(&["apply", &shop]);
    assert!(done.ends_with("Application shop: 1 new, 2 changed, 3 unchanged\n"), "{done}");
    assert_eq!((pids(), on("systemctl show -P TasksMax shop-web.slice").as_str()), (before, "77"));
    assert_eq!(muster(&lab, &["sweep"]).code, Some(0));

    // A start of the target starts what it wants, and its stop stops what is a part of it.
    on("systemctl stop web.service");
    say(&["stop", "shop.target"]);
    assert_eq!(on("systemctl is-active web.service db.service; true"), "inactive\ninactive");
    say(&["start", "shop.target"]);
    until(
        "the target starts its service",
        Duration::from_secs(10),
        || on("systemctl is-active web.service; true"),
        |it| it == "active",
    );
    say(&["start", "db.service"]);
    say(&["restart", "shop.slice"]);
    say(&["start", "--application", "shop"]);
    assert_eq!(muster(&lab, &["sweep"]).code, Some(0));
    say(&["destroy", "--application", "shop"]);
    assert_eq!(on("ls /run/fleet/units /run/systemd/system"), "/run/fleet/units:\n\n/run/systemd/system:");
}

#[test]
fn a_new_file_that_systemd_would_take_for_a_masked_unit_is_refused_and_bad_lines_are_ignored() {
    let Some(lab) = lab(1) else { return };
    let say = |args: &[&str]| muster(&lab, args).ok();
    say(&["join"]);
    let units = [
        ("shop.target", "[Unit]\nDescription=Shop\n".to_owned()),
        ("shop.slice", "[Slice]\nTasksMax=200\n".to_owned()),
        ("web.service", format!("{LONG}Slice=shop.slice\n")),
    ];
    let paths = units.clone().map(|(name, text)| unit_file(&lab, name, &text));
    say(&[&["start"], &*paths.iter().map(String::as_str).collect::<Vec<_>>()].concat());
    let pid = || ssh(&lab, "core-01", "systemctl show -P MainPID web.service");
    let before = pid();
    for (name, text) in units {
        let said = muster(&lab, &["start", "--replace", &unit_file(&lab, name, "")]);
        let why = format!("systemd refuses its new file, so the earlier one stays: Unit {name} is masked.");
        assert!(said.code == Some(1) && said.err.contains(&why), "{name}: {said:#?}");
        say(&["start", "--replace", &unit_file(&lab, name, &text)]);
    }
    // No unit with this text is refused, and none is stopped: systemd says what it ignores in the journal of the host.
    for (name, text) in
        [("shop.target", "[Unit]\nRequires=c\n"), ("shop.slice", "[Slice]\nSlice=other.slice\nTasksMax=lots\n")]
    {
        say(&["start", "--replace", &unit_file(&lab, name, text)]);
    }
    assert_eq!(pid(), before);
    assert_eq!(
        ssh(&lab, "core-01", "systemctl is-active shop.target shop.slice web.service").replace('\n', " "),
        "active active active"
    );
    say(&["sweep"]);
}

#[test]
fn names_of_targets_and_slices_that_a_host_has_are_refused() {
    let Some(lab) = lab(1) else { return };
    muster(&lab, &["join"]).ok();
    let target = "[Unit]\nDescription=mine\n";
    for (unit, text) in [("multi-user.target", target), ("user.slice", "[Slice]\nTasksMax=9\n")] {
        let said = muster(&lab, &["load", &unit_file(&lab, unit, text)]);
        let expected = "load failed on core-01: the host has a unit of this name, which is not muster's: /";
        assert!(said.code == Some(1) && said.err.contains(expected), "{unit}: {said:#?}");
        muster(&lab, &["destroy", unit]).ok();
    }
    for (unit, expected) in
        [("system.slice", "systemd itself has this unit on every host"), ("-.slice", "unit name cannot start in \"-\"")]
    {
        let said = muster(&lab, &["load", "--", &unit_file(&lab, unit, "[Slice]\nTasksMax=9\n")]);
        assert!(said.code == Some(2) && said.err.contains(expected), "{unit}: {said:#?}");
    }
    assert_eq!(
        ssh(&lab, "core-01", "ls /run/systemd/system; systemctl show -P TasksMax user.slice | grep -x 9; true"),
        ""
    );
}

/// Makes quick visits to a host in one shell, with a command before each.
fn quick_looks(lab: &Lab, host: &str, commands: &[&str]) -> Vec<Report> {
    let owner = ssh(lab, host, "cat /run/muster/cluster");
    let (id, name) = owner.split_once(' ').unwrap();
    let cluster = Cluster { id: id.parse().unwrap(), name: name.to_owned() };
    let visit = Visit { cluster: Some(Arc::new(cluster)), read_only: true, ..Visit::default() };
    let scripts: Vec<VisitScript> =
        (1..).take(commands.len()).map(|nonce| VisitScript::write(&visit, nonce, true, "").unwrap()).collect();
    let text: String =
        commands.iter().zip(&scripts).map(|(command, script)| format!("{command}\n{}\n", script.text())).collect();
    let mut ssh = Command::new("ssh");
    ssh.arg("-F").arg(lab.ssh_config()).args(["-o", "BatchMode=yes", "-l", "root", "--", host, "sh"]);
    let mut shell = ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    shell.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let printed = String::from_utf8(shell.wait_with_output().unwrap().stdout).unwrap();
    let (mut reports, mut rest) = (Vec::new(), printed.as_str());
    for script in &scripts {
        let (own, after) = rest.split_once(&format!("{}\n", script.end())).unwrap_or_else(|| panic!("{printed}"));
        reports.push(script.read(own.as_bytes()).unwrap());
        rest = after;
    }
    reports
}

#[test]
fn a_quick_look_sees_that_a_service_dies_or_restarts_also_in_a_slice_of_its_own() {
    let Some(lab) = lab(1) else { return };
    muster(&lab, &["join"]).ok();
    let restarts = "Restart=always\nRestartSec=100ms\n";
    let units = [
        ("plain.service", format!("{LONG}{restarts}")),
        ("own.service", format!("{LONG}{restarts}Slice=shop-web.slice\n")),
        ("root.service", format!("{LONG}{restarts}Slice=-.slice\n")),
        ("job@1.service", format!("{LONG}{restarts}")),
    ];
    let files: Vec<String> = units.iter().map(|(unit, text)| unit_file(&lab, unit, text)).collect();
    let files = files.iter().map(String::as_str);
    muster(&lab, &["start"].into_iter().chain(files).collect::<Vec<_>>()).ok();
    for (unit, _) in units {
        let kill = format!(
            "p=$(systemctl show -P MainPID {unit}); kill -9 $p; n=0; \
             until q=$(systemctl show -P MainPID {unit}); [ $q != $p ] && [ $q != 0 ] || [ $n = 100 ]; do n=$((n + 1)); sleep 0.1; done"
        );
        let stop = format!("systemctl stop {unit}");
        let reports = quick_looks(&lab, "core-01", &["true", "true", &kill, "true", &stop, "true"]);
        let seen = reports.iter().map(|report| report.observation.as_ref().unwrap().units.as_ref());
        let seen: Vec<_> = seen.map(|units| units.map(|units| units[unit].clone())).collect();
        let changed: Vec<bool> = seen.iter().map(Option::is_some).collect();
        assert_eq!(changed, [true, false, true, false, true, false], "{unit}");
        assert!(!seen[0].as_ref().unwrap().restarted && seen[2].as_ref().unwrap().restarted, "{unit}: {seen:#?}");
    }
}

#[test]
fn a_strict_service_in_a_slice_of_its_own_ends_with_its_lease() {
    let Some(lab) = lab(1) else { return };
    muster(&lab, &["join"]).ok();
    let strict = format!("{LONG}Slice=shop.slice\nKillMode=none\n[X-Muster]\nClass=strict\n");
    let shop = folder(&lab, &[("shop.slice", "[Slice]\nTasksMax=50\n"), ("job.service", &strict)]);
    let mut controller = Daemon::controller(&lab, 8);
    muster(&lab, &["apply", &shop]).ok();
    let on = |command: &str| ssh(&lab, "core-01", command);
    assert!(on("systemctl show -P ControlGroup job").ends_with("/shop.slice/job.service"));
    let pid = on("systemctl show -P MainPID job");
    controller.kill();
    let runs = || on(&format!("[ -d /proc/{pid} ] && echo runs; systemctl is-active muster-lease.target; true"));
    until("the lease ends the service", Duration::from_mins(1), runs, |it| it == "inactive");
    assert_eq!(on("systemctl is-active job.service; true"), "inactive");
}

#[test]
fn an_alias_is_linked_with_its_unit_and_goes_with_it() {
    let Some(lab) = lab(1) else { return };
    let say = |args: &[&str]| muster(&lab, args).ok();
    let on = |command: &str| ssh(&lab, "core-01", command);
    let web = |install: &str| unit_file(&lab, "web.service", &format!("{LONG}[Install]\n{install}\n"));
    let links = || on("cd /run/systemd/system; find . -type l -printf '%P\\n' | sort | tr '\\n' ' '");
    say(&["join"]);
    say(&["start", &web("Alias=www.service\nWantedBy=shop.target")]);
    assert_eq!(links(), "shop.target.wants/web.service web.service www.service");
    assert_eq!(on("systemctl show -P Id www.service"), "web.service");
    say(&["start", "--replace", &web("Alias=site.service")]);
    assert_eq!(links(), "site.service web.service");

    // Of two units that are enabled together, one goes and the other keeps its links.
    let other = unit_file(&lab, "other.service", &format!("{LONG}[Install]\nAlias=second.service\n"));
    say(&["start", &other]);
    say(&["start", "--replace", &web("Alias=www.service\nAlso=other.service absent.service\nDefaultInstance=x")]);
    assert_eq!(links(), "other.service second.service web.service www.service");
    say(&["unload", "web.service"]);
    assert_eq!(links(), "other.service second.service");
    assert_eq!(
        on("systemctl daemon-reload; systemctl show -P LoadState -P ActiveState second.service"),
        "loaded\nactive"
    );
    say(&["destroy", "web.service", "other.service"]);
    assert_eq!(links(), "");
}

#[test]
fn an_alias_that_the_host_or_another_unit_has_is_an_error_with_its_name() {
    let Some(lab) = lab(1) else { return };
    let say = |args: &[&str]| muster(&lab, args).ok();
    let on = |command: &str| ssh(&lab, "core-01", command);
    let web = |install: &str| unit_file(&lab, "web.service", &format!("{LONG}[Install]\n{install}\n"));
    say(&["join"]);
    let before = on("systemctl show -P FragmentPath -P MainPID ssh.service; ls -l /etc/systemd/system");
    for (install, expected) in [
        (
            "Alias=sshd.service",
            "load failed on core-01: [Install] Alias=sshd.service: the host has a unit of this name: /",
        ),
        ("Also=ssh.service", "load failed on core-01: [Install] Also=ssh.service: the host has a unit of this name: /"),
    ] {
        let said = muster(&lab, &["start", &web(install)]);
        assert!(said.code == Some(1) && said.err.contains(expected), "{said:#?}");
        say(&["destroy", "web.service"]);
        assert_eq!(on("systemctl show -P FragmentPath -P MainPID ssh.service; ls -l /etc/systemd/system"), before);
    }
    // A unit whose new file is refused goes on with the earlier one.
    say(&["start", &web("Alias=www.service")]);
    let pid = on("systemctl show -P MainPID www.service");
    let said = muster(&lab, &["start", "--replace", &web("Alias=sshd.service")]);
    assert!(said.code == Some(1) && said.err.contains("Alias=sshd.service"), "{said:#?}");
    assert_eq!(on("systemctl show -P MainPID www.service"), pid);
    say(&["start", "--replace", &web("Alias=www.service")]);
    let other = unit_file(&lab, "www.service", LONG);
    let said = muster(&lab, &["start", &other]);
    let expected = "Unit www.service: systemd would know it as www.service, and web.service has this name too";
    assert!(said.code == Some(1) && said.err.contains(expected), "{said:#?}");
}

#[test]
fn units_read_the_variables_of_their_machine() {
    let Some(lab) = lab(2) else { return };
    let say = |args: &[&str]| muster(&lab, args).ok();
    let text = "[Service]\nEnvironmentFile=/run/fleet/machine.env\nExecStart=/bin/sh -c 'env | grep MUSTER_ | sort; exec sleep 1000000'\n\
                [X-Fleet]\nGlobal=true\n";
    let unit = unit_file(&lab, "say.service", text);
    say(&["join"]);
    say(&["start", &unit]);
    for host in lab.hosts() {
        let on = |command: &str| ssh(&lab, &host.name, command);
        let id = on("cat /etc/machine-id");
        let expected = format!(
            "MUSTER_MACHINE_ADDRESS={}\nMUSTER_MACHINE_ID={id}\nMUSTER_MACHINE_NAME={}\n",
            host.address, host.name
        );
        let printed = || on("journalctl -u say -o cat | grep -v METADATA") + "\n";
        until("the unit has printed its variables", Duration::from_secs(20), printed, |text| text.contains(&expected));
        let list = on("stat -c '%a %U' /run/fleet/machine.env; ls /run/fleet");
        assert!(list.starts_with("644 root\n") && !list.contains("machine.env.new"), "{list}");
    }
}
