//! Sweeps, controllers and playbooks in one process, with a real store and hosts that are folders.

mod look;
mod membership;
mod playbook;
mod sweep;
mod verb;

use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use muster::control::controller;
use muster::control::controller::ControllerStatus;
use muster::control::sweep::SweepOptions;
use muster::core::health::BRAKE;
use muster::core::health::DetectionConfig;
use muster::core::health::failover::FailoverPolicy;
use muster::core::model::Address;
use muster::core::model::DesiredState;
use muster::core::model::Failure;
use muster::core::model::Machine;
use muster::core::model::MachineId;
use muster::core::model::Report;
use muster::core::model::Unit;
use muster::core::model::Visit;
use muster::core::reconcile::Timing;
use muster::core::unit::UnitFile;
use muster::core::unit::UnitName;
use muster::remote::Command;
use muster::remote::Exit;
use muster::remote::Facts;
use muster::remote::Progress;
use muster::remote::Remote;
use muster::remote::Sink;
use muster::remote::Target;
use muster::remote::visit::VisitScript;
use muster::runner::Clock;
use muster::runner::ClusterContext;
use muster::runner::LeaderSettings;
use muster::runner::SecretSource;
use muster::runner::Supervision;
use muster::store::Op;
use muster::store::SharedStore;
use muster::store::layout;
use muster::store::layout::Key;
use muster::store::layout::Keyspace;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::store::soon;
use crate::wire::visit::Host;
use crate::wire::visit::MACHINE;

/// A machine-id that sorts after the one of the first host.
pub(super) const OTHER: &str = "4f2f3dd01bc642c29d396c0eaa4a7139";

/// A host: a real `sh` runs the scripts of visits in its folder.
pub(super) struct Folder {
    host: Host,
    /// How many scripts have begun.
    visits: Mutex<usize>,
    /// Stops the first script before it reaches the host: reports that it has come, and waits to be opened.
    gate: Option<(Notify, Notify)>,
    /// Tells which visits never end.
    hangs: Mutex<fn(&Visit) -> bool>,
    /// The answer to commands.
    answer: Mutex<&'static str>,
}

impl std::fmt::Debug for Folder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Folder")
    }
}

impl Folder {
    pub(super) fn new() -> Self {
        Self {
            host: Host::new(),
            visits: Mutex::default(),
            gate: None,
            hangs: Mutex::new(|_| false),
            answer: Mutex::default(),
        }
    }

    /// Returns a host with this machine-id.
    pub(super) fn of(machine: &str) -> Self {
        let folder = Self::new();
        fs::write(folder.host.path("etc/machine-id"), format!("{machine}\n")).unwrap();
        folder
    }

    /// Returns a host whose first visit waits until [`Self::open`].
    pub(super) fn gated() -> Self {
        Self { gate: Some((Notify::new(), Notify::new())), ..Self::new() }
    }

    /// Lets some visits never end.
    pub(super) fn hang(&self, hangs: fn(&Visit) -> bool) {
        *self.hangs.lock().unwrap() = hangs;
    }

    /// Puts a unit on the host that runs and that muster has started.
    pub(super) fn run(&self, unit: &str, text: &str) {
        self.put(unit, text);
        for (folder, text) in [("run/muster/launched", "0\n"), ("active", "active\n")] {
            fs::create_dir_all(self.host.path(folder)).unwrap();
            fs::write(self.host.path(folder).join(unit), text).unwrap();
        }
    }

    /// Lets the host have seen a serial of the store.
    pub(super) fn remember_serial(&self, serial: u64) {
        fs::create_dir_all(self.host.path("run/muster")).unwrap();
        fs::write(self.host.path("run/muster/serial"), format!("{serial}\n")).unwrap();
    }

    /// Lets a verb of systemctl fail as if there were no bus.
    pub(super) fn refuse(&self, verb: &str) {
        fs::write(self.host.path("deaf").join(verb), "").unwrap();
    }

    /// Lets systemd report these lines about its units, and commands print this.
    pub(super) fn report(&self, listed: &str, answer: &'static str) {
        // The file must not be read half-written.
        fs::write(self.host.path("listed.new"), listed).unwrap();
        fs::rename(self.host.path("listed.new"), self.host.path("listed")).unwrap();
        *self.answer.lock().unwrap() = answer;
    }

    /// Waits until systemd was asked to start a unit.
    pub(super) async fn is_asked(&self) {
        while self.asked().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until the first visit has come.
    pub(super) async fn is_visited(&self) {
        self.gate.as_ref().unwrap().0.notified().await;
    }

    /// Lets the first visit reach the host.
    pub(super) fn open(&self) {
        self.gate.as_ref().unwrap().1.notify_one();
    }

    pub(super) fn visits(&self) -> usize {
        *self.visits.lock().unwrap()
    }

    /// Returns the file of a unit on the host, if it is there.
    pub(super) fn file(&self, unit: &str) -> Option<String> {
        fs::read_to_string(self.host.path("run/fleet/units").join(unit)).ok()
    }

    /// Puts a unit file on the host, with muster's mark.
    pub(super) fn put(&self, unit: &str, text: &str) {
        for (folder, text) in [("run/fleet/units", text), ("run/muster/files", "")] {
            fs::create_dir_all(self.host.path(folder)).unwrap();
            fs::write(self.host.path(folder).join(unit), text).unwrap();
        }
    }

    /// Makes the host one of another cluster.
    pub(super) fn belong(&self, cluster: &str, name: &str) {
        fs::write(self.host.path("run/muster/cluster"), format!("{cluster} {name}\n")).unwrap();
    }

    /// Reports whether no leader has visited the host.
    pub(super) fn has_no_leader(&self) -> bool {
        !self.host.path("run/muster/epoch").exists()
    }

    /// Returns the units that systemd was asked to start, one line for each call: the verb and the last unit.
    pub(super) fn asked(&self) -> Vec<String> {
        let text = fs::read_to_string(self.host.path("asked")).unwrap_or_default();
        let words =
            |line: &str| line.split('\0').filter(|word| !word.is_empty()).map(str::to_owned).collect::<Vec<_>>();
        let calls = text.lines().map(words).filter(|words| words.first().is_some_and(|verb| verb == "start"));
        calls.map(|words| format!("{} {}", words.first().unwrap(), words.last().unwrap())).collect()
    }

    /// Returns the epoch of the last leader that visited the host.
    pub(super) fn epoch(&self) -> u64 {
        fs::read_to_string(self.host.path("run/muster/epoch")).unwrap().split(' ').next().unwrap().parse().unwrap()
    }
}

#[async_trait::async_trait]
impl Remote for Folder {
    async fn visit(&self, _: &Target, visit: &Visit, quick: bool, _: &Progress) -> Result<Report, Failure> {
        let number = {
            let mut visits = self.visits.lock().unwrap();
            *visits += 1;
            *visits
        };
        if let Some((there, go)) = self.gate.as_ref().filter(|_| number == 1) {
            there.notify_one();
            go.notified().await;
        }
        let hangs = *self.hangs.lock().unwrap();
        if hangs(visit) {
            std::future::pending::<()>().await;
        }
        let root = self.host.path("").display().to_string();
        let root = root.trim_end_matches('/');
        let script = VisitScript::write(visit, 7, quick, root).unwrap();
        let mut shell = tokio::process::Command::new("sh");
        shell.env_clear().env("PATH", format!("{root}/bin:/usr/bin:/bin")).env("LC_ALL", "C").current_dir(root);
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut shell = shell.spawn().unwrap();
        shell.stdin.take().unwrap().write_all(script.text().as_bytes()).await.unwrap();
        Ok(script.read(&shell.wait_with_output().await.unwrap().stdout).unwrap())
    }

    async fn facts(&self, _: &Target) -> Result<Facts, Failure> {
        panic!("no host joins")
    }

    /// Only what became of units is asked like this: they are reached by visits.
    async fn exec(&self, _: &Target, _: &Command, sink: &mut dyn Sink) -> Result<Exit, Failure> {
        sink.stdout(self.answer.lock().unwrap().as_bytes());
        Ok(Exit::Code(0))
    }

    async fn interact(&self, _: &Target, _: Option<&str>) -> Result<Exit, Failure> {
        panic!("no test opens a terminal")
    }

    async fn probe(&self, _: &Target, _: &Target, _: Duration) -> Result<bool, Failure> {
        panic!("no test has a path fault")
    }

    async fn forget(&self, _: &Target) {}

    async fn close(&self, _: Duration) {}
}

/// Several hosts, by their names.
#[derive(Debug)]
pub(super) struct Fleet(pub(super) BTreeMap<&'static str, Folder>);

#[async_trait::async_trait]
impl Remote for Fleet {
    async fn visit(&self, target: &Target, visit: &Visit, quick: bool, progress: &Progress) -> Result<Report, Failure> {
        self.0[target.name.as_str()].visit(target, visit, quick, progress).await
    }

    async fn facts(&self, _: &Target) -> Result<Facts, Failure> {
        panic!("no host joins")
    }

    async fn exec(&self, target: &Target, command: &Command, sink: &mut dyn Sink) -> Result<Exit, Failure> {
        self.0[target.name.as_str()].exec(target, command, sink).await
    }

    async fn interact(&self, _: &Target, _: Option<&str>) -> Result<Exit, Failure> {
        panic!("no test opens a terminal")
    }

    async fn probe(&self, _: &Target, _: &Target, _: Duration) -> Result<bool, Failure> {
        panic!("no test has a path fault")
    }

    async fn forget(&self, _: &Target) {}

    async fn close(&self, _: Duration) {}
}

pub(super) fn keys() -> Keyspace {
    Keyspace::new("default").unwrap()
}

/// Returns the handles of a cluster with this store and this host. Each has a stop signal of its own.
pub(super) fn context(store: &SharedStore, folder: &Arc<Folder>) -> ClusterContext {
    let (store, remote, keys) = (store.clone(), folder.clone(), keys());
    ClusterContext {
        name: "default".to_owned(),
        store,
        keys,
        remote,
        clock: Clock::start(),
        fence_commands: Arc::default(),
        secrets: SecretSource::default(),
        operator: "op@desk".to_owned(),
        stop: CancellationToken::new(),
    }
}

/// Runs a controller until its context is stopped. Returns its epoch once it leads.
pub(super) async fn lead_on(leader: ClusterContext) -> (u64, JoinHandle<()>) {
    let (sender, mut leads) = tokio::sync::mpsc::unbounded_channel();
    let leading = tokio::spawn(async move {
        let mut on_status = |status: ControllerStatus<'_>| {
            if let ControllerStatus::Leads(epoch) = status {
                sender.send(epoch).unwrap();
            }
        };
        let failover_policy = FailoverPolicy::default();
        let settings = LeaderSettings {
            timing: timing(),
            failover_policy,
            fence_commands: Arc::default(),
            receivers: BTreeMap::default(),
        };
        controller::control(&leader, &Supervision::fixed(settings), &mut on_status, &mut |_, _| ()).await;
    });
    (soon(leads.recv()).await.unwrap(), leading)
}

pub(super) fn timing() -> Timing {
    muster::control::timing(DetectionConfig { down_after: Duration::from_secs(10), brake: BRAKE })
}

/// Stores the host as a machine, and these units with the desired state `launched`.
pub(super) async fn found(store: &SharedStore, units: &[&str]) {
    let id = MACHINE.parse().unwrap();
    let (name, ip) = ("core-01".to_owned(), "192.0.2.1".to_owned());
    let address = Address { host: ip.clone(), ..Address::default() };
    let machine = Machine { id, name, address, ip, systemd: 252, ..Machine::default() };
    let mut changes = vec![keys().put(&Key::Machine(id), &machine)];
    for unit in units {
        changes.extend(want(unit, "[Service]\nExecStart=/bin/sleep infinity\n"));
    }
    store.commit(Vec::new(), changes).await.unwrap();
}

/// Makes a cluster of two hosts: units run on the first, and the second has joined after that.
pub(super) async fn two_hosts(store: &SharedStore, units: &[&str]) -> (ClusterContext, Arc<Fleet>) {
    found(store, units).await;
    let fleet = Arc::new(Fleet(BTreeMap::from([("core-01", Folder::new()), ("core-02", Folder::of(OTHER))])));
    let context = ClusterContext { remote: fleet.clone(), ..context(store, &Arc::new(Folder::new())) };
    swept(&context).await;
    assert!(units.iter().all(|unit| fleet.0["core-01"].file(unit).is_some()));
    let (first, other): (MachineId, MachineId) = (MACHINE.parse().unwrap(), OTHER.parse().unwrap());
    let address = Address { host: "192.0.2.2".to_owned(), ..Address::default() };
    let machine = Machine { id: other, name: "core-02".to_owned(), address, systemd: 252, ..Machine::default() };
    let member = |id| Op::put(keys().key(&Key::Member(id)), "name=ssh://host");
    let records = vec![keys().put(&Key::Machine(other), &machine), member(first), member(other)];
    store.commit(vec![], records).await.unwrap();
    (context, fleet)
}

/// Makes one sweep, which starts what was submitted.
pub(super) async fn swept(context: &ClusterContext) {
    let options = SweepOptions { timing: timing(), settle: Duration::ZERO, lock_wait: Duration::ZERO };
    soon(muster::control::sweep::sweep(context, options, FailoverPolicy::default(), &mut |_, _| ())).await.unwrap();
}

/// Returns the changes that store a unit with the desired state `launched`.
pub(super) fn want(unit: &str, text: &str) -> Vec<Op> {
    let (name, file): (UnitName, _) = (unit.parse().unwrap(), UnitFile::parse(text).unwrap());
    layout::submit(&keys(), &name, &Unit::new(file.hash(), DesiredState::Launched), &file)
}
