//! Real systemd hosts in the lab, real sshd, real etcd.
//!
//! Each test boots a lab of its own, which takes a second or two, and shares nothing with the others. The next test that
//! runs removes the lab of a test that was killed.

mod alerts;
mod api;
mod applications;
mod bad_days;
mod bad_plays;
mod containers;
mod daemon;
mod discovery;
mod edit;
mod explain;
mod failover;
mod faults;
mod fleet;
mod lab;
mod leaving;
mod liveness;
mod modules;
mod needing;
mod outcome;
mod ownership;
mod path_fault;
mod playbooks;
mod recorded_plays;
mod releases;
mod sweeps;
mod top;
mod unit_types;
mod walkthrough;

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use muster::lab::Lab;
use muster::lab::Options;
use muster::lab::Release;
use muster::lab::TemporaryLab;

/// The prefix of the directories of the tests' labs.
const PREFIX: &str = "/tmp/muster-test-lab-";

/// The number of labs that this process has requested.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// Returns a directory for a lab, if this machine can have hosts. If it cannot, reports why. With `CI` set that is a
/// failure.
pub(crate) fn place() -> Option<PathBuf> {
    if let Err(error) = muster::lab::check_prerequisites() {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "no real hosts here: {error}");
        eprintln!("skipped, no real hosts here: {error}");
        return None;
    }
    sweep();
    let me = std::process::id();
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    Some(PathBuf::from(format!("{PREFIX}{me}-{}-{number}", started(me).unwrap())))
}

/// Returns the releases of a list, such as `bookworm,trixie`.
pub(crate) fn releases(list: &str) -> Vec<Release> {
    list.split(',').map(|name| name.parse().unwrap()).collect()
}

/// Returns the options of a lab without etcd, if this machine can have hosts. `MUSTER_TEST_RELEASES` chooses what the hosts
/// run: `trixie`, or `bookworm,trixie` for hosts of both in turn.
pub(crate) fn options(hosts: usize) -> Option<Options> {
    let mut options = Options::new(place()?);
    options.hosts = Some(hosts);
    options.etcd = Some(false);
    if let Ok(list) = std::env::var("MUSTER_TEST_RELEASES") {
        options.releases = releases(&list);
    }
    Some(options)
}

/// Boots a lab whose store is a file, if this machine can have hosts.
pub(crate) fn lab(hosts: usize) -> Option<TemporaryLab> {
    Some(Lab::temporary(&options(hosts)?).unwrap())
}

/// Boots a lab whose store is etcd on the first three hosts, if this machine can have hosts.
pub(crate) fn lab_with_etcd(hosts: usize) -> Option<TemporaryLab> {
    let mut options = options(hosts)?;
    options.etcd = Some(true);
    Some(Lab::temporary(&options).unwrap())
}

/// Returns when a process was started, in ticks of the kernel. With its id this identifies the process.
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// Removes the labs of tests that have ended.
fn sweep() {
    for entry in fs::read_dir("/tmp").unwrap().flatten() {
        let path = entry.path();
        let Some(owner) = path.to_str().and_then(|path| path.strip_prefix(PREFIX)) else { continue };
        let mut parts = owner.split('-').map(str::parse::<u64>);
        if let (Some(Ok(pid)), Some(Ok(start))) = (parts.next(), parts.next())
            && started(u32::try_from(pid).unwrap()) != Some(start)
        {
            // Another test may be doing the same at this moment. Files of the test beside its lab are removed too.
            let _ = Lab::destroy(&path);
            let _ = fs::remove_dir_all(&path);
        }
    }
}

/// The exit code and output of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// Checks that the command succeeded, and returns its stdout.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self.out
    }
}

/// Runs a command and waits for its end.
pub(crate) fn run(command: &mut Command) -> Said {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
}

/// Returns a command for the muster binary, with a minimal environment.
pub(crate) fn bare() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", "/nonexistent")
        .env("LC_ALL", "C.UTF-8")
        // Tests of other things need not watch each unit that they start.
        .env("ANSIBLE_GATHERING", "explicit")
        .env("MUSTER_LISTEN", "none")
        .env("MUSTER_SETTLE", "0");
    command
}

/// Runs muster against a lab's hosts and store.
pub(crate) fn muster(lab: &Lab, args: &[&str]) -> Said {
    run(bare().env("MUSTER_CONFIG", lab.config()).args(args))
}

/// Runs muster against a lab's hosts and store as an operator who has keys for secrets in the lab's folder.
pub(crate) fn with_identity(lab: &Lab, args: &[&str]) -> Said {
    let home = lab.dir().join("home");
    std::fs::create_dir_all(&home).unwrap();
    let mut command = bare();
    command.env("MUSTER_CONFIG", lab.config()).env("MUSTER_SECRET_IDENTITY", home.join("identity")).env("HOME", home);
    run(command.args(args))
}

/// Runs muster under the name of fleet's client, against a lab's hosts and store.
pub(crate) fn fleetctl(lab: &Lab, args: &[&str]) -> Said {
    run(bare().arg0("fleetctl").env("MUSTER_CONFIG", lab.config()).args(args))
}

/// Runs a command on a host, as a user, with OpenSSH's own client.
pub(crate) fn ssh_as(lab: &Lab, user: &str, host: &str, command: &str) -> Said {
    let mut ssh = Command::new("ssh");
    ssh.arg("-F").arg(lab.ssh_config()).args(["-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-l", user]);
    run(ssh.args(["--", host, command]))
}

/// Runs a command on a host as root and returns its stdout.
#[track_caller]
pub(crate) fn ssh(lab: &Lab, host: &str, command: &str) -> String {
    ssh_as(lab, "root", host, command).ok().trim().to_owned()
}

/// Waits until a condition holds. Fails after `limit` with the last value.
#[track_caller]
pub(crate) fn until<T: std::fmt::Debug>(
    what: &str,
    limit: Duration,
    see: impl Fn() -> T,
    so: impl Fn(&T) -> bool,
) -> T {
    let start = Instant::now();
    loop {
        let seen = see();
        if so(&seen) {
            return seen;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} until {what}, last saw {seen:#?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Returns all traces of a lab on this machine: namespaces, links, routes, mounts, groups, processes, files.
pub(crate) fn traces(dir: &Path, id: &str) -> Vec<String> {
    let ours = |line: &&str| line.contains(id) || line.contains(dir.to_str().unwrap());
    let metric = format!("metric {}", 0xf000_0000_u32 | u32::from_str_radix(id, 16).unwrap());
    let mut found = Vec::new();
    for args in [&["netns", "list"][..], &["-o", "link"], &["-4", "route"]] {
        let text = run(Command::new("ip").args(args)).ok();
        found
            .extend(text.lines().filter(|line| ours(line) || line.contains(&metric)).map(|line| format!("ip: {line}")));
    }
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    found.extend(mounts.lines().filter(ours).map(|line| format!("mount: {line}")));
    let groups = run(Command::new("find").args(["/sys/fs/cgroup", "-maxdepth", "2", "-name", &format!("*{id}*")]));
    found.extend(groups.out.lines().map(|line| format!("cgroup: {line}")));
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let groups = fs::read_to_string(process.path().join("cgroup")).unwrap_or_default();
        let words = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).replace('\0', " ");
        // A zombie process has no command line.
        if !words.is_empty() && (groups.contains(id) || words.contains(id)) {
            found.push(format!("process: {words}"));
        }
    }
    for folder in ["/run/systemd/nspawn", "/run/systemd/machines", "/run/netns"] {
        let text = run(Command::new("find").args([folder, "-name", &format!("*{id}*")]));
        found.extend(text.out.lines().map(|line| format!("file: {line}")));
    }
    if dir.exists() {
        found.push(format!("file: {}", dir.display()));
    }
    found
}
