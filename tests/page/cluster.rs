//! The records of a cluster that nothing leads in truth: machines of three sites, units of several applications, some trouble.

use std::sync::Arc;
use std::time::Duration;

use muster::core::model::ActiveState;
use muster::core::model::Address;
use muster::core::model::ChoiceReason;
use muster::core::model::DesiredState;
use muster::core::model::Event;
use muster::core::model::EventKind;
use muster::core::model::FailedAttempt;
use muster::core::model::Health;
use muster::core::model::HealthEvidence;
use muster::core::model::HealthRecord;
use muster::core::model::LoadState;
use muster::core::model::Machine;
use muster::core::model::MachineId;
use muster::core::model::ObservationTimes;
use muster::core::model::PeerReports;
use muster::core::model::Phase;
use muster::core::model::Placement;
use muster::core::model::PlacementReason;
use muster::core::model::SubState;
use muster::core::model::Timestamp;
use muster::core::model::Unit;
use muster::core::model::UnitState;
use muster::core::model::Verb;
use muster::core::model::Write;
use muster::core::unit::UnitFile;
use muster::core::unit::UnitName;
use muster::store::COMMIT_LIMIT;
use muster::store::Op;
use muster::store::SharedStore;
use muster::store::layout::Key;
use serde_json::json;

use crate::control::keys;

/// How many sites the machines are spread over.
const SITES: [&str; 3] = ["ams", "fra", "hel"];

/// The applications, each with its units.
const APPLICATIONS: [(&str, &[(&str, &str)]); 5] = [
    ("shop", &[("shop-web", "Shop front"), ("shop-cart", "Carts and orders"), ("shop-mail", "Order mails")]),
    ("search", &[("search-index", "Search index"), ("search-api", "Search queries")]),
    ("metrics", &[("prometheus", "Prometheus"), ("alertmanager", "Alerts"), ("grafana", "Dashboards")]),
    ("billing", &[("billing-api", "Invoices"), ("billing-worker", "Payment jobs")]),
    ("edge", &[("edge-proxy", "TLS and routing"), ("edge-cache", "Cache of static files")]),
];

/// Now, as the records tell it: later than the clock of a test ever is, so that the observations stay recent.
pub(super) fn observed() -> Timestamp {
    now() + Duration::from_hours(24)
}

pub(super) fn now() -> Timestamp {
    muster::runner::Clock::start().now()
}

fn id(number: usize) -> MachineId {
    MachineId::from_bits(0x6a1f_0000_0000_4000_8000_0000_0000_0000 + (number as u128 * 0x1_0001))
}

pub(super) fn machine_name(number: usize, count: usize) -> String {
    let width = if count > 99 { 3 } else { 2 };
    format!("{}-{:0width$}", SITES[number % SITES.len()], number / SITES.len() + 1)
}

fn machine(number: usize, count: usize) -> Machine {
    let name = machine_name(number, count);
    let ip = format!("10.{}.{}.{}", 20 + number % 3, number / 250, 10 + number % 240);
    let address = Address { host: ip.clone(), ..Address::default() };
    let role = if number % 4 == 3 { "storage" } else { "compute" };
    let metadata = [("site", SITES[number % 3]), ("role", role)];
    let metadata = metadata.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let os = "Debian GNU/Linux 13 (trixie)".to_owned();
    Machine {
        id: id(number),
        name,
        address,
        ip,
        metadata,
        os,
        systemd: 257,
        cordoned: number == 7,
        ..Machine::default()
    }
}

fn health(number: usize, count: usize) -> HealthRecord {
    let attempt = |phase, detail: &str| FailedAttempt { phase, detail: detail.to_owned(), hint: None };
    let (health, evidence) = match number {
        4 => {
            let not_reaching = [5, 6, 8].map(|number| machine_name(number, count)).to_vec();
            let peers = PeerReports { reaching: Vec::new(), not_reaching };
            let attempt = attempt(Phase::Connect, "the host does not answer");
            (Health::Down, HealthEvidence::NoAnswer { seconds: 94, attempt, peers, asked: false })
        }
        9 => (Health::Sick, HealthEvidence::VisitFailed(attempt(Phase::Run, "no space left on /run"))),
        _ => (Health::Alive, HealthEvidence::Answers),
    };
    let since = Timestamp::from_millis(now().as_millis() - 3_600_000 * (1 + number as u64 % 90));
    HealthRecord { health, since, last_seen: Some(since), reason: evidence.into(), outages: Vec::new() }
}

/// A unit of the cluster, where it is and how.
struct Row {
    name: UnitName,
    file: Arc<UnitFile>,
    desired: DesiredState,
    machine: usize,
    active: ActiveState,
    sub: SubState,
}

impl Row {
    fn ops(&self) -> Vec<Op> {
        let (keys, id) = (keys(), id(self.machine));
        let unit = Unit::new(self.file.hash(), self.desired);
        let mut ops = vec![keys.put(&Key::Unit(self.name.clone()), &unit)];
        if self.desired == DesiredState::Inactive {
            return ops;
        }
        let since = Timestamp::from_millis(now().as_millis() - 7_200_000);
        let reason = least_loaded();
        let placement = Placement { machine: id, epoch: 1, reason, since, failed_loads: Vec::new(), pull: None };
        let (active, sub) = (self.active, self.sub.clone());
        let launched = self.desired == DesiredState::Launched;
        let (load, hash) = (LoadState::Loaded, self.file.hash());
        let state = UnitState { load, active, sub, job: None, hash, launched, restarts: 0, restarted: false };
        ops.push(keys.put(&Key::Placement(self.name.clone()), &placement));
        ops.push(keys.put(&Key::State(self.name.clone(), id), &state));
        ops
    }
}

fn least_loaded() -> PlacementReason {
    PlacementReason { choice: ChoiceReason::LeastLoaded { units: 3, next: Some(4) }, moved: None }
}

fn file(description: &str, application: &str) -> Arc<UnitFile> {
    let program = description.to_lowercase().replace(' ', "-");
    let text = format!(
        "[Unit]\nDescription={description}\nAfter=network-online.target\n\n[Service]\nExecStart=/opt/{application}/bin/{program} --listen :8080\nRestart=on-failure\nDynamicUser=yes\n\n[X-Fleet]\nMachineMetadata=role=compute\n\n[X-Muster]\nApplication={application}\nPlacement=spread\n"
    );
    Arc::new(UnitFile::parse(&text).unwrap())
}

/// Returns this many units over this many machines. A few have trouble.
fn units(count: usize, machines: usize) -> (Vec<Row>, Vec<Arc<UnitFile>>) {
    let kinds: Vec<_> = APPLICATIONS
        .iter()
        .flat_map(|(application, units)| units.iter().map(|(name, text)| (*name, file(text, application))))
        .collect();
    let hosts: Vec<usize> = (0..machines).filter(|number| !matches!(number % 12, 3 | 4 | 7 | 11)).collect();
    let row = |number: usize| {
        let (kind, file) = &kinds[number % kinds.len()];
        let name = format!("{kind}@{}.service", number / kinds.len() + 1).parse().unwrap();
        let desired = match number {
            17 => DesiredState::Loaded,
            23 => DesiredState::Inactive,
            _ => DesiredState::Launched,
        };
        let (active, sub) = match number {
            15 | 31 => (ActiveState::Failed, SubState::FAILED),
            19 => (ActiveState::Activating, SubState::START),
            17 => (ActiveState::Inactive, SubState::DEAD),
            _ => (ActiveState::Active, SubState::RUNNING),
        };
        Row { name, file: file.clone(), desired, machine: hosts[(number * 7) % hosts.len()], active, sub }
    };
    ((0..count).map(row).collect(), kinds.into_iter().map(|(_, file)| file).collect())
}

async fn commit(store: &SharedStore, ops: Vec<Op>) {
    for part in ops.chunks(COMMIT_LIMIT) {
        store.commit(vec![], part.to_vec()).await.unwrap();
    }
}

/// Stores the cluster.
pub(super) async fn store(store: &SharedStore, machines: usize, count: usize) {
    let keys = keys();
    let mut ops = Vec::new();
    for number in 0..machines {
        ops.push(keys.put(&Key::Machine(id(number)), &machine(number, machines)));
        ops.push(keys.put(&Key::Health(id(number)), &health(number, machines)));
    }
    let seen = |minutes: u64| Some(Timestamp::from_millis(now().as_millis() - 60_000 * minutes));
    let behind = [(id(4), seen(2)), (id(9), seen(0))].into_iter().filter(|(machine, _)| *machine < id(machines));
    let observed = ObservationTimes { at: observed(), behind: behind.collect(), continuous: true };
    ops.push(keys.put(&Key::Observed, &observed));
    let since = now().as_millis() - 86_400_000;
    let leader = json!({"kind": "controller", "host": "control-1", "pid": 812, "since": since, "epoch": 7});
    ops.push(Op::put(keys.key(&Key::Leader), leader.to_string()));
    let (rows, files) = units(count, machines);
    ops.extend(files.iter().map(|file| Op::put(keys.key(&Key::File(file.hash())), file.text())));
    ops.extend(rows.iter().flat_map(Row::ops));
    commit(store, ops).await;
}

/// Adds an event to the log.
pub(super) async fn log(store: &SharedStore, event: Event) {
    store.commit(vec![], keys().ops(&[Write::Log(event)])).await.unwrap();
}

/// Adds the events of an ordinary hour.
pub(super) async fn history(store: &SharedStore, machines: usize) {
    let (rows, _) = units(48, machines);
    let at = |seconds: u64| Timestamp::from_millis(now().as_millis() - 1000 * seconds);
    let about = |row: &Row, seconds, kind| Event::new(at(seconds), Some(id(row.machine)), Some(row.name.clone()), kind);
    for (number, row) in rows.iter().enumerate().take(30) {
        let kind = EventKind::UnitPlaced(least_loaded());
        log(store, about(row, 3600 - 60 * number as u64, kind)).await;
    }
    let asked = Event::new(at(420), None, Some(rows[19].name.clone()), EventKind::UnitRequested(Verb::Restart));
    log(store, asked.by("ada@desk")).await;
    let (active, sub) = (ActiveState::Failed, SubState::FAILED);
    log(store, about(&rows[15], 260, EventKind::UnitFailed { active, sub, lease_ended: false })).await;
    let HealthRecord { health: to, reason, .. } = health(4, machines);
    let down = EventKind::HealthChanged { from: Some(Health::Suspect), to, reason };
    log(store, Event::new(at(94), Some(id(4)), None, down)).await;
    log(store, about(&rows[2], 40, EventKind::UnitRecovered)).await;
}
