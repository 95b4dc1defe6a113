//! The effects of faults on units of both classes, measured from outside of muster.
//!
//! The faults on which the safety of units depends are part of every check. This runs all of them, for the table of
//! `docs/failover.md`: `cargo test --locked --test main hosts::faults -- --ignored --nocapture --test-threads=1`.
//! `FAULT=freeze,store` selects faults, `RUNS=3` repeats each one, and `MUSTER_LEASE=12` sets another lease.

mod acts;
mod containers;
mod disk;
mod intruders;
mod slowness;
mod tally;
mod watch;

use std::fs;
use std::time::Duration;
use std::time::Instant;

use muster::lab::Lab;
use muster::lab::TemporaryLab;

use super::daemon::Daemon;
use super::daemon::join;
use super::daemon::unit_file;
use super::lab;
use super::lab_with_etcd;
use super::muster;
use super::ssh;
use super::until;
use acts::Act;
use acts::Fault;
use disk::Disk;
use tally::Fate;
use watch::Sample;
use watch::Watch;

const UNITS: [&str; 6] = [
    "available-1.service",
    "available-2.service",
    "available-3.service",
    "strict-1.service",
    "strict-2.service",
    "strict-3.service",
];

/// How long a strict unit may take until it runs elsewhere: a lease of 20 s that may have been renewed at the moment of
/// the fault, 10 s to stop, 2 s of margin, and a start. The promise is 45 s.
const STRICT_BOUND: Duration = Duration::from_secs(45);

/// How long an available unit may take until it runs elsewhere.
const AVAILABLE_BOUND: Duration = Duration::from_secs(15);

/// The same for a host that accepts connections and sends nothing, which may only be slow: twice `--down-after`, and a
/// start.
const HUNG_BOUND: Duration = Duration::from_secs(20);

const LIMIT: Duration = Duration::from_mins(1);

/// Three hosts, one unit of each class on each, and a controller.
struct Ground {
    lab: TemporaryLab,
    controller: Option<Daemon>,
    watch: Watch,
    /// The store's disk, if the store is a file.
    disk: Option<Disk>,
    /// A command that prepares a host which was off.
    prepare: Option<&'static str>,
}

/// Reports whether all servers of etcd have about as many records: some are written meanwhile.
fn is_together(indexes: &[Option<u64>]) -> bool {
    let known: Vec<u64> = indexes.iter().copied().flatten().collect();
    known.len() == indexes.len()
        && known.iter().max().zip(known.iter().min()).is_some_and(|(most, least)| most - least < 5)
}

/// Writes the file of a unit and returns its path.
type WriteUnit = fn(&Lab, &str) -> String;

impl Ground {
    fn begin() -> Option<Self> {
        Some(Self::on(lab_with_etcd(3)?, None, file, None))
    }

    /// Begins with the store in a file.
    fn begin_with_file() -> Option<Self> {
        let lab = lab(3)?;
        let disk = Disk::beside(&lab);
        Some(Self::on(lab, Some(disk), file, None))
    }

    fn on(lab: TemporaryLab, disk: Option<Disk>, write: WriteUnit, prepare: Option<&'static str>) -> Self {
        join(&lab);
        for host in lab.hosts().iter().filter(|_| prepare.is_some()) {
            ssh(&lab, &host.name, prepare.unwrap_or_default());
        }
        let controller = Some(control(&lab));
        for classes in [&UNITS[..3], &UNITS[3..]] {
            let files: Vec<String> = classes.iter().map(|name| write(&lab, name)).collect();
            let args: Vec<&str> = std::iter::once("start").chain(files.iter().map(String::as_str)).collect();
            muster(&lab, &args).ok();
        }
        let watch = Watch::begin(&lab, &UNITS);
        let ground = Self { lab, controller, watch, disk, prepare };
        ground.settle();
        ground.check_witness();
        ground
    }

    /// Checks that the lock of a strict unit is seen on a host that does not run the unit.
    fn check_witness(&self) {
        let at = self.place_of(UNITS[3]);
        let other = self.lab.hosts().iter().find(|host| host.name != at).expect("another host").name.clone();
        let take = format!("flock -n /mnt/shared/{}.lock true || echo locked", UNITS[3]);
        assert_eq!(ssh(&self.lab, &other, &take), "locked");
    }

    fn disk(&mut self) -> &mut Disk {
        self.disk.as_mut().expect("the store is a file")
    }

    /// Lets the fence command of the hosts switch them off, or fail.
    fn arm(&self, armed: bool) {
        let path = self.lab.dir().join("armed");
        if armed { fs::write(path, "").unwrap() } else { fs::remove_file(path).unwrap() }
    }

    fn controller(&mut self) -> &mut Daemon {
        self.controller.as_mut().expect("a controller")
    }

    /// Returns a host that runs units of both classes.
    fn victim(&self) -> String {
        let now = self.watch.now();
        let has = |host: &str, class: &str| {
            now.units.iter().any(|(unit, copies)| unit.starts_with(class) && copies.contains_key(host))
        };
        let names = self.lab.hosts().iter().map(|host| host.name.clone());
        names.into_iter().find(|host| has(host, "available") && has(host, "strict")).expect("a host with both")
    }

    /// Waits until every machine is alive and every unit runs once.
    fn settle(&self) {
        let listed = || muster(&self.lab, &["list-machines", "--all", "--no-legend", "--fields", "name,health"]).out;
        let alive = |said: &String| said.lines().filter(|line| line.ends_with("alive")).count() == 3;
        until("all machines are alive", LIMIT * 2, listed, alive);
        let once = |now: &Sample| now.units.values().all(|copies| copies.len() == 1);
        until("every unit runs once", LIMIT, || self.watch.now(), once);
        // A fault before a new leader has granted the leases would be two faults at once.
        let granted = || self.lab.hosts().iter().filter_map(|host| self.granted_by(&host.name)).collect::<Vec<_>>();
        let leader = || self.said(&["lock", "show"])["epoch"].as_u64();
        let all = |(leader, granted): &(Option<u64>, Vec<u64>)| granted.iter().all(|epoch| Some(*epoch) == *leader);
        until("the leader has granted all leases", LIMIT, || (leader(), granted()), all);
        // A server of etcd that was cut off takes long to find the others again. Until then it is a second fault.
        if self.disk.is_none() {
            let indexes = || self.lab.hosts().iter().map(|host| acts::etcd_index(self, &host.name)).collect::<Vec<_>>();
            until("all servers of etcd have the same records", LIMIT * 2, indexes, |all| is_together(all));
        }
    }

    /// Returns the epoch of the leader that granted a host's lease, if the host has a lease.
    fn granted_by(&self, host: &str) -> Option<u64> {
        self.said(&["machine", "show", host])["lease"]["epoch"].as_u64()
    }

    fn said(&self, args: &[&str]) -> serde_json::Value {
        serde_json::from_str(&muster(&self.lab, &[args, &["-o", "json"]].concat()).out).unwrap_or_default()
    }

    /// Causes a fault, ends it, and returns the fate of each unit, after checking it.
    fn outlive(&mut self, fault: &Fault) -> Vec<Fate> {
        let host = self.victim();
        self.witnessed();
        if fault.fenced {
            self.arm(true);
        }
        let start = Instant::now();
        (fault.strike)(self, &host);
        match fault.effect.lasts() {
            Some(time) => std::thread::sleep(time),
            None => self.wait_until_moved(&host, start),
        }
        (fault.mend)(self, &host);
        if let Some(command) = self.prepare {
            ssh(&self.lab, &host, command);
        }
        if fault.fenced {
            self.arm(false);
        }
        self.settle();
        let fates = tally::fates(&self.watch.since(start), &host, start);
        eprint!("{}", tally::rows(fault.name, &fates, fault.effect.moves()));
        let witnessed = self.witnessed();
        for fate in &fates {
            check(fault, fate, &witnessed);
        }
        fates
    }

    /// Returns the strict unit that runs on a host.
    fn strict_unit_on(&self, host: &str) -> String {
        let now = self.watch.now();
        let mut units = now.units.iter().filter(|(unit, _)| unit.starts_with("strict"));
        units.find(|(_, copies)| copies.contains_key(host)).expect("a strict unit").0.clone()
    }

    /// Returns the host on which a unit runs.
    fn place_of(&self, unit: &str) -> String {
        until("it runs once", LIMIT, || self.watch.now().units[unit].clone(), |copies| copies.len() == 1);
        self.watch.now().units[unit].keys().next().expect("a copy").clone()
    }

    /// Waits until a unit runs elsewhere than on a machine that is cut off, heals the machine, and checks that the unit has
    /// not run twice since then.
    fn check_moved_once(&self, fault: &str, unit: &str, at: &str, start: Instant) {
        let moved = |now: &watch::Sample| now.units[unit].keys().any(|it| it != at);
        until("the unit runs elsewhere", LIMIT * 2, || self.watch.now(), moved);
        self.lab.heal(at).unwrap();
        self.settle();
        let fates = tally::fates(&self.watch.since(start), at, start);
        eprint!("{}", tally::rows(fault, &fates, true));
        let fate = fates.iter().find(|fate| fate.unit == unit).expect("a fate");
        assert_eq!(fate.twice, Duration::ZERO, "{unit}");
        assert!(!self.witnessed().contains(&unit.to_owned()), "a copy of {unit} found another one");
    }

    /// Returns the units of which a copy has found that another one runs, and forgets them.
    fn witnessed(&self) -> Vec<String> {
        let folder = self.lab.dir().join("disks/shared");
        let noted = |unit: &&str| fs::remove_file(folder.join(format!("{unit}.twice"))).is_ok();
        UNITS.into_iter().filter(noted).map(str::to_owned).collect()
    }

    fn wait_until_moved(&self, host: &str, start: Instant) {
        let struck: Vec<String> = {
            let before = &self.watch.since(start)[0].units;
            before.iter().filter(|(_, copies)| copies.contains_key(host)).map(|(unit, _)| unit.clone()).collect()
        };
        let away = |now: &Sample| struck.iter().all(|unit| now.units[unit].keys().any(|at| at != host));
        until("the units of that host run elsewhere", LIMIT, || self.watch.now(), away);
    }
}

/// Checks that a fault had no effect on a unit that it must not have.
fn check(fault: &Fault, fate: &Fate, witnessed: &[String]) {
    let (name, strict, moves) = (fault.name, fate.unit.starts_with("strict"), fault.effect.moves());
    // The processes of a host that was frozen for longer than its lease run for a moment after the thaw.
    let stood_still = name == "freeze and thaw" && fate.struck;
    assert!(!strict || stood_still || fate.twice == Duration::ZERO, "{name}: a strict unit ran twice: {fate:?}");
    assert!(stood_still || !witnessed.contains(&fate.unit), "{name}: a copy found another one: {fate:?}");
    assert!(!strict || fate.twice < Duration::from_secs(2), "{name}: {fate:?}");
    let may_stop = fate.struck && fault.effect.may_stop(strict);
    assert!(!fate.touched || may_stop, "{name}: a unit on a healthy host was affected: {fate:?}");
    if fate.struck && moves {
        let available = if name.starts_with("freeze") { HUNG_BOUND } else { AVAILABLE_BOUND };
        let bound = if strict { STRICT_BOUND } else { available };
        assert!(fate.elsewhere.is_some_and(|after| after <= bound), "{name}: not within {bound:?}: {fate:?}");
    }
}

/// Writes an inventory with a fence command that works while a file exists.
fn fenced(lab: &Lab) -> std::path::PathBuf {
    let (muster_is, dir) = (env!("CARGO_BIN_EXE_muster"), lab.dir().display());
    let off = format!(
        "[ -e {dir}/armed ] && {{ {muster_is} lab --dir {dir} kill $MUSTER_MACHINE || \
         {muster_is} lab --dir {dir} status | grep -q \"^$MUSTER_MACHINE *halted\"; }}"
    );
    let inventory = fs::read_to_string(lab.dir().join("inventory.yaml")).unwrap();
    let path = lab.dir().join("fenced.yaml");
    fs::write(&path, format!("{inventory}    muster_fence_command: '{off}'\n")).unwrap();
    path
}

fn control(lab: &Lab) -> Daemon {
    let daemon = start_controller(lab);
    daemon.says("leads (epoch ");
    daemon
}

/// Starts a controller that may have to wait before it leads.
fn start_controller(lab: &Lab) -> Daemon {
    // Several faults follow each other within minutes. They must not count as flapping.
    let lease = std::env::var("MUSTER_LEASE").unwrap_or_else(|_| "20".to_owned());
    let inventory = fenced(lab).display().to_string();
    let args =
        ["--inventory", &inventory, "controller", "--hold-down", "0", "--failover-limit", "100", "--lease", &lease];
    Daemon::start(lab, &args)
}

/// Returns the file of a unit. Each copy of a strict unit holds a lock in the folder that all hosts share, and leaves a note
/// if another copy holds the lock: so a second copy is noticed however short it is.
fn file(lab: &Lab, name: &str) -> String {
    let class = name.split('-').next().unwrap();
    let witness = "exec 9>>/mnt/shared/%n.lock; flock -n 9 || hostname >>/mnt/shared/%n.twice; exec sleep infinity";
    let start = if class == "strict" { format!("/bin/sh -c '{witness}'") } else { "/bin/sleep infinity".to_owned() };
    unit_file(lab, name, &format!("[Service]\nExecStart={start}\n[X-Muster]\nClass={class}\n"))
}

#[test]
fn units_of_both_classes_survive_a_power_cut_and_a_cut_cable() {
    let Some(mut ground) = Ground::begin() else { return };
    ground.outlive(&acts::named("power cut"));
    ground.outlive(&acts::named("cut cable of etcd's leader"));
}

#[test]
fn units_of_both_classes_survive_a_freeze_and_an_unavailable_store() {
    let Some(mut ground) = Ground::begin() else { return };
    ground.outlive(&acts::named("freeze and thaw"));
    ground.outlive(&acts::named("store unavailable for 40 s"));
}

#[test]
#[ignore = "takes minutes: see the head of this file"]
fn every_fault_is_measured() {
    let of_a_file = measure(Ground::begin_with_file, &acts::OF_A_FILE);
    let rest = measure(Ground::begin, &[&intruders::ALL[..], &slowness::ALL].concat());
    let table = measure(Ground::begin, &acts::ALL) + &rest + &of_a_file;
    eprintln!(
        "| fault | class | runs elsewhere after s | ran nowhere for s | two copies for s | touched |\n\
         |---|---|---|---|---|---|\n{table}"
    );
}

#[test]
#[ignore = "takes minutes: see the head of this file"]
fn strict_units_run_once_although_the_store_has_forgotten_them() {
    let Some(mut ground) = Ground::begin_with_file() else { return };
    forget_by_a_restore(&mut ground);
    forget_by_a_destroy(&mut ground);
}

/// A strict unit moves after a backup of the store, and its machine is cut off when the backup is restored.
fn forget_by_a_restore(ground: &mut Ground) {
    ground.witnessed();
    let drained = ground.victim();
    let unit = ground.strict_unit_on(&drained);
    ground.disk().back_up();
    muster(&ground.lab, &["drain", &drained]).ok();
    let at = ground.place_of(&unit);
    assert_ne!(at, drained);
    let start = Instant::now();
    ground.lab.cut(&at).unwrap();
    ground.controller().kill();
    ground.disk().restore();
    ground.controller.replace(control(&ground.lab));
    ground.check_moved_once("store restored, cut cable", &unit, &at, start);
}

/// A strict unit is destroyed and submitted as an available one while its machine is cut off.
fn forget_by_a_destroy(ground: &mut Ground) {
    ground.witnessed();
    let (at, start) = (ground.victim(), Instant::now());
    let unit = ground.strict_unit_on(&at);
    ground.lab.cut(&at).unwrap();
    let health = || ground.said(&["machine", "show", &at])["health"]["health"].as_str().map(str::to_owned);
    until("the machine is suspect", LIMIT, health, |health| health.as_deref() != Some("alive"));
    muster(&ground.lab, &["destroy", "--no-block", &unit]).ok();
    let available = unit_file(&ground.lab, &unit, "[Service]\nExecStart=/bin/sleep infinity\n");
    muster(&ground.lab, &["start", "--no-block", &available]).ok();
    ground.check_moved_once("class changed, cut cable", &unit, &at, start);
}

/// Causes the selected faults, each `RUNS` times, and returns the worst result of each.
fn measure(begin: fn() -> Option<Ground>, faults: &[Fault]) -> String {
    let only = std::env::var("FAULT").unwrap_or_default();
    let runs: usize = std::env::var("RUNS").map_or(1, |runs| runs.parse().unwrap());
    let mut chosen = faults.iter().filter(|fault| only.split(',').any(|word| fault.name.contains(word))).peekable();
    let Some(mut ground) = chosen.peek().and_then(|_| begin()) else { return String::new() };
    let rows = chosen.map(|fault| {
        let fates: Vec<Fate> = (0..runs).flat_map(|_| ground.outlive(fault)).collect();
        tally::rows(fault.name, &fates, fault.effect.moves())
    });
    rows.collect()
}

/// Does nothing: the fault ends by itself.
const NOTHING: Act = |_, _| {};
