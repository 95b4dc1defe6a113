//! The faults, and how each one is ended.

use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use super::super::Said;
use super::super::daemon::unit_file;
use super::super::muster;
use super::super::path_fault::drop_answers;
use super::super::path_fault::drop_large_answers;
use super::super::path_fault::let_answers_pass;
use super::super::run;
use super::super::ssh;
use super::super::ssh_as;
use super::super::until;
use super::Ground;
use super::NOTHING;
use super::control;
use super::start_controller;
use super::watch;

/// An action on a host, or on a part of muster.
pub(super) type Act = fn(&mut Ground, &str);

/// A fault.
#[derive(Clone, Copy)]
pub(super) struct Fault {
    pub(super) name: &'static str,
    pub(super) strike: Act,
    pub(super) mend: Act,
    pub(super) effect: Effect,
    /// Whether the hosts have a fence command.
    pub(super) fenced: bool,
}

/// The most that a fault may do to the units of its host. It does nothing to other units, and no strict unit ever runs twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// All units move. The fault lasts until they have moved.
    Moves,
    /// No unit is touched.
    Stays(Duration),
    /// The host is up for longer than its lease, which cannot be renewed: its strict units stop.
    EndsLease(Duration),
    /// The host is too slow to be told from a dead one: its units may stop or move.
    Doubt(Duration),
}

impl Effect {
    /// Returns how long the fault lasts; `None` if it lasts until units have moved.
    pub(super) const fn lasts(self) -> Option<Duration> {
        match self {
            Self::Moves => None,
            Self::Stays(time) | Self::EndsLease(time) | Self::Doubt(time) => Some(time),
        }
    }

    pub(super) fn moves(self) -> bool {
        self == Self::Moves
    }

    /// Says whether a unit of the host may stop.
    pub(super) const fn may_stop(self, strict: bool) -> bool {
        match self {
            Self::Moves | Self::Doubt(_) => true,
            Self::Stays(_) => false,
            Self::EndsLease(_) => strict,
        }
    }
}

const fn moves(name: &'static str, strike: Act, mend: Act) -> Fault {
    Fault { name, strike, mend, effect: Effect::Moves, fenced: false }
}

const fn fenced(name: &'static str, strike: Act, mend: Act) -> Fault {
    Fault { fenced: true, ..moves(name, strike, mend) }
}

pub(super) const fn stays(name: &'static str, strike: Act, mend: Act, seconds: u64) -> Fault {
    Fault { effect: Effect::Stays(Duration::from_secs(seconds)), ..moves(name, strike, mend) }
}

pub(super) const fn starves(name: &'static str, strike: Act, mend: Act, seconds: u64) -> Fault {
    Fault { effect: Effect::EndsLease(Duration::from_secs(seconds)), ..moves(name, strike, mend) }
}

pub(super) const fn doubt(name: &'static str, strike: Act, mend: Act, seconds: u64) -> Fault {
    Fault { effect: Effect::Doubt(Duration::from_secs(seconds)), ..moves(name, strike, mend) }
}

/// The faults of a store in a file.
pub(super) const OF_A_FILE: [Fault; 2] = [
    stays("store locked for 40 s", |at, _| at.disk().lock(), |at, _| at.disk().unlock(), 40),
    stays("store's disk full for 40 s", |at, _| at.disk().fill(), |at, _| at.disk().empty(), 40),
];

/// The other faults of hosts, the network, the store and the controller.
pub(super) const ALL: [Fault; 21] = [
    moves("power cut", |at, host| at.lab.kill(host).unwrap(), |at, host| at.lab.boot(host).unwrap()),
    moves("freeze and thaw", |at, host| at.lab.freeze(host).unwrap(), |at, host| at.lab.thaw(host).unwrap()),
    fenced("power cut, fence command", |at, host| at.lab.kill(host).unwrap(), |at, host| at.lab.boot(host).unwrap()),
    // The fence command kills the frozen host.
    fenced("freeze, fence command", |at, host| at.lab.freeze(host).unwrap(), |at, host| at.lab.boot(host).unwrap()),
    moves("cut cable", |at, host| at.lab.cut(host).unwrap(), |at, host| at.lab.heal(host).unwrap()),
    moves("cut cable of etcd's leader", cut_etcd_leader, |at, host| at.lab.heal(host).unwrap()),
    stays(
        "answers lost one way",
        |at, host| drop_answers(&at.lab, host),
        |at, host| let_answers_pass(&at.lab, host),
        40,
    ),
    stays(
        "large packets lost one way",
        |at, host| drop_large_answers(&at.lab, host),
        |at, host| let_answers_pass(&at.lab, host),
        40,
    ),
    starves("sshd stopped", stop_sshd, |at, host| start_sshd(at, host), 40),
    stays("PID 1 stopped for 6 s", |at, host| signal(at, host, "init.scope", "STOP"), continue_pid_1, 6),
    starves("PID 1 stopped for 40 s", |at, host| signal(at, host, "init.scope", "STOP"), continue_pid_1, 40),
    stays("overloaded", overload, NOTHING, 30),
    stays("/run full", fill_run, empty_run, 30),
    stays(
        "controller killed",
        |at, _| at.controller().kill(),
        |at, _| drop(at.controller.replace(control(&at.lab))),
        1,
    ),
    stays("controller killed in the middle of a reconcile", kill_busy_controller, restart_busy_controller, 1),
    stays("etcd leader killed", kill_etcd_leader, NOTHING, 20),
    stays("etcd leaders killed every 4 s, and the controller once", kill_etcd_leaders, NOTHING, 20),
    stays("etcd compacted and defragmented", compact_etcd, NOTHING, 20),
    stays("daemon-reload and daemon-reexec", reload, NOTHING, 20),
    stays("etcd slow", slow_etcd, NOTHING, 30),
    stays("store unavailable for 40 s", |at, _| etcd(at, "STOP"), |at, _| etcd(at, "CONT"), 40),
];

pub(super) fn named(name: &str) -> Fault {
    *ALL.iter().find(|fault| fault.name == name).expect("a fault of this name")
}

/// Sends a signal to all processes of a unit on a host, from outside of the host.
fn signal(at: &Ground, host: &str, unit: &str, name: &str) {
    for pid in watch::processes(&watch::group(&at.lab, host), unit) {
        run(Command::new("kill").args(["-s", name, &pid.to_string()])).ok();
    }
}

fn continue_pid_1(at: &mut Ground, host: &str) {
    signal(at, host, "init.scope", "CONT");
}

fn stop_sshd(at: &mut Ground, host: &str) {
    ssh_less(at, host, &["systemctl", "stop", "ssh.service"]);
    ssh_less(at, host, &["pkill", "-KILL", "sshd"]);
}

fn start_sshd(at: &Ground, host: &str) {
    ssh_less(at, host, &["systemctl", "start", "ssh.service"]);
}

/// Runs a command on a host without sshd.
pub(super) fn ssh_less(at: &Ground, host: &str, command: &[&str]) {
    let leader = watch::processes(&watch::group(&at.lab, host), "init.scope")[0].to_string();
    run(Command::new("nsenter").args(["--all", "--target", &leader, "--"]).args(command));
}

/// Keeps all processors busy from within a host during the fault.
fn overload(at: &mut Ground, host: &str) {
    let burner = "for n in 1 2 3 4 5 6 7 8; do systemd-run -q timeout 30 sh -c 'while :; do :; done'; done";
    ssh(&at.lab, host, burner);
}

fn fill_run(at: &mut Ground, host: &str) {
    ssh(&at.lab, host, "mount -o remount,size=8M /run");
    let fill = ssh_as(&at.lab, "root", host, "cat /dev/zero >/run/fill");
    assert!(fill.err.contains("No space left"), "{fill:#?}");
}

fn empty_run(at: &mut Ground, host: &str) {
    ssh(&at.lab, host, "rm /run/fill; mount -o remount,size=64M /run");
}

/// The units that a controller is about to start when it is killed.
const EXTRAS: std::ops::Range<u32> = 0..30;

fn extras() -> Vec<String> {
    EXTRAS.map(|number| format!("extra-{number}.service")).collect()
}

fn kill_busy_controller(at: &mut Ground, _: &str) {
    let text = "[Service]\nExecStart=/bin/sleep infinity\n";
    let files: Vec<String> = extras().iter().map(|name| unit_file(&at.lab, name, text)).collect();
    let args: Vec<&str> = ["start", "--no-block"].into_iter().chain(files.iter().map(String::as_str)).collect();
    muster(&at.lab, &args).ok();
    at.controller().says("extra-");
    at.controller().kill();
}

fn restart_busy_controller(at: &mut Ground, _: &str) {
    at.controller.replace(control(&at.lab));
    let listed = || muster(&at.lab, &["list-units", "--no-legend", "--fields", "unit,sub"]).out;
    let run = |said: &String| {
        let running = |unit| said.lines().filter(|line| line.split_whitespace().eq([unit, "running"])).count();
        extras().iter().all(|unit| running(unit.as_str()) == 1)
    };
    until("each unit that it was about to start runs once", super::LIMIT, listed, run);
    let names = extras();
    let args: Vec<&str> = std::iter::once("destroy").chain(names.iter().map(String::as_str)).collect();
    muster(&at.lab, &args).ok();
}

fn etcdctl(at: &Ground, host: &str, args: &[&str]) -> Said {
    let end = format!("{}:2379", at.lab.host(host).unwrap().address);
    run(Command::new("etcdctl").env("ETCDCTL_API", "3").args(["--endpoints", &end]).args(args))
}

fn compact_etcd(at: &mut Ground, host: &str) {
    let status = etcdctl(at, host, &["endpoint", "status", "-w", "json"]).ok();
    let revision = status.split("\"revision\":").nth(1).unwrap().split([',', '}']).next().unwrap();
    etcdctl(at, host, &["compaction", "--physical", revision]).ok();
    for host in at.lab.hosts() {
        etcdctl(at, &host.name, &["defrag"]).ok();
    }
}

/// Returns the fields of an etcd member's status: its address, its id, …, and whether it is the leader.
fn etcd_status(at: &Ground, host: &str) -> Vec<String> {
    let status = etcdctl(at, host, &["endpoint", "status", "-w", "simple"]).ok();
    status.split(", ").map(str::to_owned).collect()
}

/// Returns how many entries an etcd member has in its log, if it answers.
pub(super) fn etcd_index(at: &Ground, host: &str) -> Option<u64> {
    let said = etcdctl(at, host, &["--command-timeout=1s", "endpoint", "status", "-w", "simple"]);
    said.out.split(", ").nth(7)?.parse().ok()
}

/// Returns the host of etcd's leader.
fn etcd_leader(at: &Ground) -> String {
    let leads = |host: &&muster::lab::Host| etcd_status(at, &host.name)[4] == "true";
    at.lab.hosts().iter().find(leads).expect("etcd has a leader").name.clone()
}

/// Kills etcd's leader. The systemd of its host may start it again.
fn kill_etcd_leader(at: &mut Ground, _: &str) {
    signal(at, &etcd_leader(at), "system.slice/etcd.service", "KILL");
}

/// Reports whether a host's etcd member answers and leads.
fn leads_etcd(at: &Ground, host: &str) -> bool {
    let end = format!("{}:2379", at.lab.host(host).unwrap().address);
    let args = ["--dial-timeout=1s", "--command-timeout=1s", "--endpoints", &end, "endpoint", "status", "-w", "simple"];
    let said = run(Command::new("etcdctl").env("ETCDCTL_API", "3").args(args));
    said.code == Some(0) && said.out.split(", ").nth(4) == Some("true")
}

/// Kills etcd's leaders one after the other for a minute, and the controller with the third.
fn kill_etcd_leaders(at: &mut Ground, _: &str) {
    let mut kills = 0;
    for number in 0..15 {
        let next = Instant::now() + Duration::from_secs(4);
        // While etcd elects one there is none.
        if let Some(leader) = at.lab.hosts().iter().find(|host| leads_etcd(at, &host.name)) {
            signal(at, &leader.name, "system.slice/etcd.service", "KILL");
            kills += 1;
        }
        if number == 2 {
            at.controller().kill();
            at.controller.replace(start_controller(&at.lab));
        }
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    assert!(kills >= 10, "{kills}");
}

/// Makes the etcd member of a host the leader, and cuts the host off. Its clients get no packet.
fn cut_etcd_leader(at: &mut Ground, host: &str) {
    let leader = etcd_leader(at);
    if leader != host {
        etcdctl(at, &leader, &["move-leader", &etcd_status(at, host)[1]]).ok();
    }
    at.lab.cut(host).unwrap();
}

fn reload(at: &mut Ground, host: &str) {
    ssh(&at.lab, host, "systemctl daemon-reload && systemctl daemon-reload");
    // systemd may close the connection before it reports success.
    ssh_less(at, host, &["systemctl", "daemon-reexec"]);
}

/// Lets all etcd members run for a quarter of the time only, during the fault.
fn slow_etcd(at: &mut Ground, _: &str) {
    let members =
        |host: &muster::lab::Host| watch::processes(&watch::group(&at.lab, &host.name), "system.slice/etcd.service");
    let pids: Vec<String> = at.lab.hosts().iter().flat_map(members).map(|pid| pid.to_string()).collect();
    let pids = pids.join(" ");
    let pulse = format!(
        "end=$(($(date +%s) + 28)); while [ $(date +%s) -lt $end ]; do \
         kill -s STOP {pids}; sleep 0.3; kill -s CONT {pids}; sleep 0.1; done"
    );
    std::thread::spawn(move || run(Command::new("sh").args(["-c", &pulse])));
}

/// Stops two of three etcd members, or continues them.
fn etcd(at: &Ground, name: &str) {
    for host in &at.lab.hosts()[1..] {
        signal(at, &host.name, "system.slice/etcd.service", name);
    }
}
