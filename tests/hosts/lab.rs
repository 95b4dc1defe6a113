//! The lab: hosts start, stop, go silent and freeze on request, and nothing of them remains.

use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use muster::lab::Destroyed;
use muster::lab::HostState;
use muster::lab::Lab;
use muster::lab::LabError;

use super::bare;
use super::lab;
use super::lab_with_etcd;
use super::muster;
use super::options;
use super::place;
use super::run;
use super::ssh;
use super::ssh_as;
use super::traces;
use super::until;

fn states(lab: &Lab) -> Vec<&'static str> {
    lab.status().unwrap().into_iter().map(|(_, state)| state.word()).collect()
}

fn record(lab: &Lab) -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(lab.dir().join("lab.json")).unwrap()).unwrap()
}

pub(super) fn id(lab: &Lab) -> String {
    record(lab)["id"].as_str().unwrap().to_owned()
}

/// Connects to a host's sshd without waiting for its greeting.
fn knock(lab: &Lab, host: &str) -> TcpStream {
    let stream = TcpStream::connect((lab.host(host).unwrap().address, 22)).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    stream
}

/// Reads once from a connection. Returns `None` if nothing arrives, and an error if the other side closed it.
fn hear(stream: &mut TcpStream) -> Result<Option<Vec<u8>>, String> {
    let mut bytes = [0; 256];
    match stream.read(&mut bytes) {
        Ok(0) => Err("closed".to_owned()),
        Ok(count) => Ok(Some(bytes[..count].to_vec())),
        Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

fn greeted(heard: Result<Option<Vec<u8>>, String>) -> bool {
    heard.unwrap().is_some_and(|bytes| bytes.starts_with(b"SSH-2.0-"))
}

#[test]
fn hosts_run_systemd_with_their_own_names_machine_ids_and_users() {
    let Some(lab) = lab(2) else { return };
    assert_eq!(states(&lab), ["running", "running"]);
    for host in lab.hosts() {
        assert_eq!(ssh(&lab, &host.name, "uname -n"), host.name);
        assert_eq!(ssh(&lab, &host.name, "cat /etc/machine-id"), host.machine.to_string());
        assert_eq!(ssh(&lab, &host.name, "systemctl is-system-running --wait"), "running");
        assert_eq!(ssh(&lab, &host.address.to_string(), "uname -n"), host.name);
    }
    assert_ne!(lab.hosts()[0].machine, lab.hosts()[1].machine);
    assert!(ssh(&lab, "core-01", "ssh-keyscan -t ed25519 core-02 2>/dev/null").contains("ssh-ed25519"));
    assert_eq!(ssh_as(&lab, "admin", "core-01", "sudo -n id -u").ok(), "0\n");
    let guest = ssh_as(&lab, "guest", "core-01", "sudo -n id -u");
    assert!(guest.code == Some(1) && guest.err.contains("a password is required"), "{guest:#?}");
}

#[test]
fn hosts_have_no_route_out_of_the_lab() {
    let Some(lab) = lab(1) else { return };
    assert!(!ssh(&lab, "core-01", "ip route").contains("default"));
    let refused = run(Command::new("ip").args(["-4", "route", "show", "type", "unreachable"])).ok();
    assert!(refused.contains(&lab.subnet().to_string()), "{refused}");
    // A host may change its own network, and this machine forwards nothing for it.
    ssh(
        &lab,
        "core-01",
        &format!("ip address add 192.0.2.1/32 dev lo && ip route add default via {}", lab.subnet().gateway()),
    );
    assert!(ssh(&lab, "core-01", "ip -4 address show dev lo").contains("192.0.2.1/32"));
    let route = run(Command::new("ip").args(["route", "get", &lab.hosts()[0].address.to_string()])).ok();
    let uplink = route.split_whitespace().skip_while(|word| *word != "dev").nth(1).unwrap();
    let forwards = std::fs::read_to_string(format!("/proc/sys/net/ipv4/conf/{uplink}/forwarding")).unwrap();
    assert_eq!(forwards, "0\n");
}

#[test]
fn a_host_keeps_its_disk_and_loses_its_memory() {
    let Some(lab) = lab(2) else { return };
    let look = "cat /root/kept; ls /run/forgotten 2>&1; cat /etc/machine-id /proc/sys/kernel/random/boot_id";
    ssh(&lab, "core-02", "echo kept >/root/kept; echo >/run/forgotten");
    let mut before = ssh(&lab, "core-02", look);
    for off in [Lab::halt, Lab::kill] {
        off(&lab, "core-02").unwrap();
        assert_eq!(states(&lab), ["running", "halted"]);
        assert!(matches!(off(&lab, "core-02"), Err(LabError::WrongState { state: "halted", .. })));
        lab.boot("core-02").unwrap();
        let after = ssh(&lab, "core-02", look);
        let lines: Vec<&str> = after.lines().collect();
        let machine = lab.host("core-02").unwrap().machine.to_string();
        assert_eq!(lines[..3], ["kept", "ls: cannot access '/run/forgotten': No such file or directory", &machine]);
        assert_ne!(before.lines().last(), Some(lines[3]), "each boot has its own id");
        ssh(&lab, "core-02", "echo >/run/forgotten");
        before = after;
    }
    assert!(matches!(lab.boot("core-02"), Err(LabError::WrongState { state: "running", .. })));
}

#[test]
fn a_shutdown_closes_connections_and_a_power_cut_does_not() {
    let Some(lab) = lab(2) else { return };
    let mut killed = knock(&lab, "core-01");
    let mut halted = knock(&lab, "core-02");
    assert!(greeted(hear(&mut killed)) && greeted(hear(&mut halted)));
    lab.kill("core-01").unwrap();
    assert_eq!(hear(&mut killed), Ok(None));
    lab.halt("core-02").unwrap();
    assert!(hear(&mut halted).is_err());
}

#[test]
fn a_host_that_is_cut_off_is_silent_until_it_is_healed() {
    let Some(lab) = lab(2) else { return };
    let mut kept = knock(&lab, "core-01");
    assert!(greeted(hear(&mut kept)));
    lab.cut("core-01").unwrap();
    assert_eq!(states(&lab), ["cut", "running"]);
    kept.write_all(b"SSH-2.0-test\r\n").unwrap();
    assert_eq!(hear(&mut kept), Ok(None));
    lab.heal("core-01").unwrap();
    assert_eq!(states(&lab), ["running", "running"]);
    // Data that was written in the meantime is sent again, and answered.
    until(
        "the kept connection goes on",
        Duration::from_secs(20),
        || hear(&mut kept.try_clone().unwrap()).unwrap(),
        Option::is_some,
    );
}

#[test]
fn a_frozen_host_accepts_connections_and_sends_nothing_until_it_is_thawed() {
    let Some(lab) = lab(1) else { return };
    lab.freeze("core-01").unwrap();
    assert_eq!(states(&lab), ["frozen"]);
    let mut stream = knock(&lab, "core-01");
    assert_eq!(hear(&mut stream), Ok(None));
    lab.thaw("core-01").unwrap();
    assert_eq!(states(&lab), ["running"]);
    until("it greets", Duration::from_secs(10), || hear(&mut stream.try_clone().unwrap()).unwrap(), Option::is_some);
    lab.freeze("core-01").unwrap();
    lab.halt("core-01").unwrap();
    assert_eq!(states(&lab), ["halted"]);
}

#[test]
fn a_host_can_reboot_and_power_itself_off() {
    let Some(lab) = lab(1) else { return };
    let boot = || ssh_as(&lab, "root", "core-01", "cat /proc/sys/kernel/random/boot_id").out;
    let before = boot();
    ssh_as(&lab, "root", "core-01", "systemctl reboot");
    until("it has started again", Duration::from_secs(20), boot, |now| !now.is_empty() && *now != before);
    ssh_as(&lab, "root", "core-01", "systemctl poweroff");
    until("it is off", Duration::from_secs(20), || lab.state("core-01").unwrap(), |state| *state == HostState::Halted);
    lab.boot("core-01").unwrap();
    assert_eq!(states(&lab), ["running"]);
}

#[test]
fn two_labs_run_side_by_side_and_each_leaves_nothing_when_destroyed() {
    let (Some(one), Some(two)) = (options(1), options(1)) else { return };
    let one = Lab::temporary(&one).unwrap();
    let two = Lab::temporary(&two).unwrap();
    assert_ne!(one.subnet(), two.subnet());
    assert_ne!(ssh(&one, "core-01", "cat /etc/machine-id"), ssh(&two, "core-01", "cat /etc/machine-id"));
    let (dir, id) = (one.dir().to_owned(), id(&one));
    let there = traces(&dir, &id);
    for kind in ["ip: muster", "unreachable", "mount: ", "cgroup: ", "process: ", "file: "] {
        assert!(there.iter().any(|trace| trace.contains(kind)), "no {kind} in {there:#?}");
    }
    drop(one);
    assert_eq!(traces(&dir, &id), Vec::<String>::new());
    assert_eq!(ssh(&two, "core-01", "uname -n"), "core-01");
}

#[test]
fn a_lab_without_a_readable_record_is_completely_destroyed() {
    let Some(lab) = lab(1) else { return };
    let (dir, id) = (lab.dir().to_owned(), id(&lab));
    lab.freeze("core-01").unwrap();
    std::fs::write(dir.join("lab.json"), "{ not a record").unwrap();
    assert!(matches!(Lab::open(&dir), Err(LabError::BadRecord { .. })));
    assert_eq!(Lab::destroy(&dir).unwrap(), Destroyed::Lab);
    assert_eq!(traces(&dir, &id), Vec::<String>::new());
    assert_eq!(Lab::destroy(&dir).unwrap(), Destroyed::Nothing);
}

#[test]
fn the_remains_of_a_lab_without_a_record_are_removed_and_files_are_not() {
    let Some(dir) = place() else { return };
    std::fs::create_dir(&dir).unwrap();
    std::fs::create_dir(dir.join("disks")).unwrap();
    let files = ["inventory.yaml", "muster.toml", "key", "lock", "lab.json", "disks/photo"];
    let write = || files.iter().for_each(|name| std::fs::write(dir.join(name), "mine").unwrap());
    let kept = || files.iter().all(|name| std::fs::read_to_string(dir.join(name)).is_ok_and(|text| text == "mine"));
    write();
    assert_eq!(Lab::destroy(&dir).unwrap(), Destroyed::Nothing);
    assert!(kept());
    // After a crash a network and a tmpfs of the lab remain.
    std::fs::remove_file(dir.join("lab.json")).unwrap();
    let digest = run(Command::new("sh").arg("-c").arg("printf %s \"$1\" | sha256sum").arg("sh").arg(&dir)).ok();
    let id = &digest[..8];
    run(Command::new("ip").args(["netns", "add", &format!("muster-{id}")])).ok();
    run(Command::new("mount").args(["-t", "tmpfs", "muster-lab"]).arg(dir.join("disks"))).ok();
    let there = traces(&dir, id);
    for kind in ["ip: muster", "mount: muster-lab"] {
        assert!(there.iter().any(|trace| trace.contains(kind)), "no {kind} in {there:#?}");
    }
    assert_eq!(Lab::destroy(&dir).unwrap(), Destroyed::Remains);
    assert_eq!(traces(&dir, id), [format!("file: {}", dir.display())]);
    std::fs::write(dir.join("lab.json"), "mine").unwrap();
    assert!(kept());
    // The record of another version's lab that ended with this machine's last start.
    std::fs::write(dir.join("lab.json"), format!("{{\"id\": \"{id}\", \"more\": true}}")).unwrap();
    assert_eq!(Lab::destroy(&dir).unwrap(), Destroyed::Lab);
    assert!(!dir.exists());
}

#[test]
fn a_lab_that_cannot_be_completed_is_removed() {
    let Some(mut options) = options(2) else { return };
    options.stop = || true;
    assert!(matches!(Lab::up(&options), Err(LabError::Interrupted)));
    assert!(!options.dir.exists());
}

#[test]
fn a_subnet_or_directory_in_use_is_rejected_before_anything_is_created() {
    let Some(lab) = lab(1) else { return };
    let Some(mut options) = options(1) else { return };
    options.subnet = Some(lab.subnet());
    let error = Lab::up(&options).unwrap_err();
    assert!(matches!(error, LabError::Overlap { .. }), "{error}");
    assert!(!options.dir.exists());
    options.dir = lab.dir().to_owned();
    options.hosts = Some(2);
    assert!(matches!(Lab::up(&options), Err(LabError::Differs { .. })));
    options.dir = tempfile::tempdir_in("/tmp").unwrap().keep();
    std::fs::write(options.dir.join("diary"), "mine").unwrap();
    options.subnet = None;
    assert!(matches!(Lab::up(&options), Err(LabError::BadDirectory { .. })));
    assert_eq!(std::fs::read_to_string(options.dir.join("diary")).unwrap(), "mine");
    assert!(!options.dir.join("lock").exists());
    std::fs::remove_dir_all(&options.dir).unwrap();
    assert_eq!(states(&lab), ["running"]);
}

#[test]
fn the_command_line_has_all_operations_of_the_lab() {
    let Some(dir) = place() else { return };
    let lab = |args: &[&str]| run(bare().arg("lab").arg("--dir").arg(&dir).args(args));
    let missing = lab(&["status"]);
    assert!(missing.code == Some(2) && missing.err.contains("there is no lab in"), "{missing:#?}");
    let up = lab(&["up", "--hosts", "2", "--etcd", "none"]);
    assert!(up.code == Some(0) && up.out.is_empty() && up.err.contains("2 hosts are up"), "{up:#?}");
    let first = Lab::open(&dir).unwrap().hosts()[0].address;
    let release = Lab::open(&dir).unwrap().hosts()[0].release.to_string();
    assert!(lab(&["status"]).ok().starts_with(&format!(
        "NAME      STATE     RELEASE   ADDRESS\ncore-01   running   {release:<10}{first}\ncore-02   running "
    )));
    assert_eq!(lab(&["ssh", "core-02", "uname", "-n"]).ok(), "core-02\n");
    assert_eq!(lab(&["ssh", "core-02", "exit 7"]).code, Some(7));
    assert_eq!(lab(&["env"]).ok(), format!("export MUSTER_CONFIG={}/muster.toml\n", dir.display()));
    for (verb, state) in [
        ("cut", "cut"),
        ("heal", "running"),
        ("freeze", "frozen"),
        ("thaw", "running"),
        ("halt", "halted"),
        ("up", "running"),
        ("kill", "halted"),
    ] {
        lab(&[verb, "core-02"]).ok();
        let status: serde_json::Value = serde_json::from_str(&lab(&["status", "-o", "json"]).ok()).unwrap();
        assert_eq!(status[1]["state"], state, "after {verb}");
        assert_eq!(status[0]["state"], "running", "after {verb}");
    }
    let unknown = lab(&["cut", "core-01", "core-09"]);
    assert!(unknown.code == Some(2) && unknown.err.contains("it has core-01 to core-02"), "{unknown:#?}");
    assert!(lab(&["status"]).ok().contains("core-01   running"), "a wrong name changes nothing");
    lab(&["up"]).ok();
    assert_eq!(lab(&["ssh", "core-02", "uname -n"]).ok(), "core-02\n");
    let destroyed = lab(&["destroy"]);
    assert!(!dir.exists() && destroyed.code == Some(0), "{destroyed:#?}");
    assert!(lab(&["destroy"]).err.contains("There was no lab"));
}

#[test]
fn a_lab_runs_on_a_machine_with_cgroup2_alone() {
    let Some(dir) = place() else { return };
    let script = "set -e
        umount -R /sys/fs/cgroup
        mount -t cgroup2 cgroup2 /sys/fs/cgroup
        \"$0\" lab up --hosts 1 --etcd none
        \"$0\" lab ssh core-01 systemctl is-system-running --wait
        \"$0\" lab freeze core-01; \"$0\" lab status | grep -c frozen; \"$0\" lab thaw core-01
        \"$0\" lab halt core-01; \"$0\" lab up core-01; \"$0\" lab kill core-01
        id=$(sed -n 's/.*\"id\": \"\\(.*\\)\".*/\\1/p' \"$MUSTER_LAB/lab.json\")
        ls -d /sys/fs/cgroup/muster-$id >/dev/null
        \"$0\" lab destroy
        ! ls -d /sys/fs/cgroup/muster-$id 2>/dev/null";
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "sh", "-c", script, env!("CARGO_BIN_EXE_muster")]).env("MUSTER_LAB", &dir);
    let said = run(&mut unshare);
    // If the script failed, the lab's control groups remain, in hierarchies that this namespace sees too.
    Lab::destroy(&dir).unwrap();
    assert_eq!(said.ok(), "running\n1\n");
}

#[test]
fn the_hosts_of_a_lab_keep_no_file_open_that_the_caller_had_open() {
    let Some(dir) = place() else { return };
    let lock = dir.with_extension("lock");
    let script = "exec 7>\"$1\" 12>\"$1\" 12>&7; flock --nonblock 7; exec \"$0\" lab up --hosts 1 --etcd none";
    let mut shell = Command::new("bash");
    let up = shell.args(["-c", script, env!("CARGO_BIN_EXE_muster")]).arg(&lock).env("MUSTER_LAB", &dir);
    let up = run(up);
    let free = run(Command::new("flock").arg("--nonblock").arg(&lock).arg("true"));
    Lab::destroy(&dir).unwrap();
    std::fs::remove_file(&lock).unwrap();
    assert_eq!((up.code, free.code), (Some(0), Some(0)), "{up:#?} {free:#?}");
}

#[test]
fn without_root_the_lab_fails_with_the_reason_and_does_nothing() {
    let Some(dir) = place() else { return };
    let mut unshare = Command::new("unshare");
    unshare.args(["--user", env!("CARGO_BIN_EXE_muster"), "lab", "up", "--dir"]).arg(&dir);
    let said = run(&mut unshare);
    assert!(said.code == Some(2) && said.err.contains("needs root") && said.err.contains("sudo"), "{said:#?}");
    assert!(!dir.exists());
}

#[test]
fn the_settings_of_a_lab_point_muster_at_its_hosts() {
    let Some(lab) = lab(2) else { return };
    assert_eq!(muster(&lab, &["inventory", "list"]).ok(), "core-01\ncore-02\n");
}

#[test]
fn the_etcd_of_a_lab_survives_the_loss_of_a_host_and_takes_it_back_with_its_data() {
    let Some(lab) = lab_with_etcd(3) else { return };
    let token = record(&lab)["etcd"].as_str().unwrap().to_owned();
    let settings = std::fs::read_to_string(lab.config()).unwrap();
    let ends: Vec<String> = lab.hosts().iter().map(|host| format!("{}:2379", host.address)).collect();
    assert!(settings.contains(&format!("store = \"etcd://{}\"\ntoken = \"{token}\"\n", ends.join(","))), "{settings}");
    let etcdctl = |end: &str, args: &[&str]| {
        run(Command::new("etcdctl").env("ETCDCTL_API", "3").arg("--endpoints").arg(end).args(args))
    };
    let told = ssh(&lab, "core-01", "grep DISCOVERY /etc/default/etcd");
    assert!(told.starts_with(&format!("ETCD_DISCOVERY=http://{}:", lab.subnet().gateway())), "{told}");
    let size = etcdctl(&ends[2], &["get", "--print-value-only", &format!("/_etcd/registry/{token}/_config/size")]);
    assert_eq!(size.ok(), "3\n");
    lab.kill("core-02").unwrap();
    let put = || etcdctl(&ends[0], &["put", "/kept", "1"]).code;
    until("two of three go on", Duration::from_secs(20), put, |code| *code == Some(0));
    lab.boot("core-02").unwrap();
    let get = || etcdctl(&ends[1], &["get", "--print-value-only", "/kept"]).out;
    until("the third has what it missed", Duration::from_secs(20), get, |value| value == "1\n");
    let data = ssh(&lab, "core-02", "ls /var/lib/etcd/default/member/wal/*.wal | wc -l");
    assert_eq!(data, "1", "the member kept its data");
}
