//! The environment of the measurements: a lab, muster as a user runs it, and counters that use almost no time of the
//! hosts.

use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Child;
use std::process::ChildStdin;
use std::process::ChildStdout;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use muster::lab::Lab;
use muster::lab::Options;
use muster::lab::TemporaryLab;

/// How long one operation may take before the benchmark fails.
const LIMIT: Duration = Duration::from_mins(3);

/// Boots a lab in a directory of its own.
pub(crate) fn lab(name: &str, hosts: usize, etcd: bool) -> TemporaryLab {
    lab_with(name, hosts, etcd, &[])
}

/// Boots a lab whose hosts have these packages.
pub(crate) fn lab_with(name: &str, hosts: usize, etcd: bool, packages: &[&str]) -> TemporaryLab {
    let dir = PathBuf::from(format!("/tmp/muster-bench-{}-{name}", std::process::id()));
    let mut options = Options::new(dir);
    options.hosts = Some(hosts);
    options.etcd = Some(etcd);
    options.packages = packages.iter().map(|name| name.parse().expect("a package")).collect();
    options.notify = |text| eprintln!("{text}");
    let start = Instant::now();
    let lab = Lab::temporary(&options).expect("a lab");
    eprintln!("lab of {hosts} hosts: {:.1} s", start.elapsed().as_secs_f64());
    lab
}

/// Returns a muster command that uses the lab.
pub(crate) fn muster(lab: &Lab) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", "/nonexistent");
    // The time for which muster watches a started unit is a setting and says nothing about its speed.
    command.env("LC_ALL", "C.UTF-8").env("MUSTER_CONFIG", lab.config()).env("MUSTER_SETTLE", "0");
    command
}

/// Runs a command that must succeed, and returns how long it took.
pub(crate) fn timed(command: &mut Command) -> Duration {
    let start = Instant::now();
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    let took = start.elapsed();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    took
}

/// Returns an OpenSSH client command that runs a command on a host.
pub(crate) fn ssh(lab: &Lab, host: &str, command: &str) -> Command {
    let mut ssh = Command::new("ssh");
    ssh.arg("-F").arg(lab.ssh_config()).args(["-o", "BatchMode=yes", host, command]);
    ssh
}

/// Waits until the condition `so` is true, and returns the time since `start`.
pub(crate) fn wait(start: Instant, what: &str, mut so: impl FnMut() -> bool) -> Duration {
    while !so() {
        assert!(start.elapsed() < LIMIT, "waited {LIMIT:?} for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
    start.elapsed()
}

/// Counts the units that run on a host by their control groups, in a shell that stays open and starts no process.
#[derive(Debug)]
pub(crate) struct Counter {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Counter {
    pub(crate) fn open(lab: &Lab, host: &str) -> Self {
        let mut child = ssh(lab, host, "sh").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("ssh");
        let (ask, answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut counter = Self { child, ask, answers };
        counter.count();
        counter
    }

    /// Returns how many instances of `bench@.service` have a process on the host.
    pub(crate) fn count(&mut self) -> usize {
        let ask = "c=/sys/fs/cgroup/systemd; [ -d $c ] || c=/sys/fs/cgroup; n=0; \
                   for u in $c/system.slice/system-bench.slice/bench@*; do [ ! -d $u ] || n=$((n+1)); done; echo $n\n";
        self.ask.write_all(ask.as_bytes()).expect("the host listens");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the host answers");
        line.trim().parse().expect("a number")
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
