//! Metrics of a cluster in the text format of Prometheus. They are made of records and troubles that others have found: nothing is
//! found out and nothing is decided here.
//!
//! Names follow the conventions of Prometheus (prometheus.io/docs/practices/naming): base units, the unit at the end of the name.

mod instruments;
#[cfg(test)]
mod tests;

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde::Serialize;

use crate::core::explain::TroubleKind;
use crate::core::model::DesiredState;
use crate::core::model::Health;
use crate::core::model::MachineId;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;
use crate::core::unit::UnitName;
pub use instruments::Instruments;

/// How many troubles have a series of their own. The number of all is a metric too.
const TROUBLES: usize = 1000;

/// A number that belongs to these labels.
type Numbers = Family<Vec<(&'static str, String)>, Gauge<f64, AtomicU64>>;

/// A machine or a unit that is not as desired.
#[derive(Debug, Clone, Copy)]
pub struct Trouble<'a> {
    /// The kind of the trouble.
    pub kind: TroubleKind,
    /// The machine that has the trouble, or that the unit is on.
    pub machine: Option<MachineId>,
    /// The unit that has the trouble.
    pub unit: Option<&'a UnitName>,
}

/// A sweep that has ended.
#[derive(Debug, Clone, Copy)]
pub struct Sweep {
    /// When it ended.
    pub at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// The exit code of its process.
    pub exit_code: u8,
}

/// The records of a cluster, and the troubles of its machines and units.
#[derive(Debug, Clone, Copy)]
pub struct State<'a> {
    /// The records.
    pub snapshot: &'a Snapshot,
    /// The troubles.
    pub troubles: &'a [Trouble<'a>],
}

/// Returns the metrics of a sweep, and of the cluster if the sweep has observed it.
pub fn of_sweep(sweep: &Sweep, state: Option<State<'_>>) -> String {
    let mut metrics = Metrics(Registry::with_prefix("muster"));
    metrics.one("sweep_timestamp_seconds", "When the last sweep ended", seconds(sweep.at));
    metrics.one("sweep_duration_seconds", "How long the last sweep took", sweep.took.as_secs_f64());
    metrics.one("sweep_exit_code", "The exit code of the last sweep", f64::from(sweep.exit_code));
    if let Some(state) = state {
        metrics.machines(state.snapshot);
        metrics.units(state.snapshot);
        metrics.troubles(state);
    }
    metrics.text()
}

/// What a controller knows of itself and of the store.
#[derive(Debug, Clone, Copy)]
pub struct Controller<'a> {
    /// The epoch of the process that leads, if one does.
    pub leader_epoch: Option<u64>,
    /// For how long the store has not answered; zero if it answers.
    pub stale: Duration,
    /// What it has measured.
    pub instruments: &'a Instruments,
}

/// Returns the metrics of a cluster as a controller sees it.
pub fn of_controller(controller: &Controller<'_>, state: State<'_>) -> String {
    let mut metrics = Metrics(Registry::with_prefix("muster"));
    metrics.one("has_leader", "1 while a process leads", flag(controller.leader_epoch.is_some()));
    if let Some(epoch) = controller.leader_epoch.and_then(|epoch| u32::try_from(epoch).ok()) {
        metrics.one("leader_epoch", "The number of the process that leads, which only grows", f64::from(epoch));
    }
    metrics.one("store_stale_seconds", "For how long the store has not answered", controller.stale.as_secs_f64());
    if let Some(observed) = &state.snapshot.observed {
        metrics.one("observed_timestamp_seconds", "When a leader last observed the machines", seconds(observed.at));
    }
    metrics.machines(state.snapshot);
    metrics.units(state.snapshot);
    metrics.troubles(state);
    controller.instruments.register(&mut metrics.0);
    metrics.text()
}

struct Metrics(Registry);

impl Metrics {
    /// Adds a metric without labels.
    fn one(&mut self, name: &str, help: &str, value: f64) {
        self.family(name, help).get_or_create(&Vec::new()).set(value);
    }

    /// Adds a metric with labels.
    fn family(&mut self, name: &str, help: &str) -> Numbers {
        let numbers = Numbers::default();
        self.0.register(name, help, numbers.clone());
        numbers
    }

    fn machines(&mut self, snapshot: &Snapshot) {
        let count = self.family("machines", "Machines by their health");
        for health in Health::ALL {
            count.get_or_create(&vec![("health", word(&health))]).set(0.0);
        }
        let health = self.family("machine_health", "1 for the health that a machine has");
        let since = self.family("machine_health_since_timestamp_seconds", "Since when a machine has its health");
        let seen = self.family("machine_last_seen_timestamp_seconds", "When a machine that is not alive last answered");
        let cordoned = self.family("machine_cordoned", "1 for a machine that takes no new units");
        let draining = self.family("machine_draining", "1 for a machine that its units leave");
        let units = self.family("machine_units", "Units that are placed on a machine, without global ones");
        for machine in snapshot.machines.values() {
            let labels = vec![("machine", machine.name.clone())];
            cordoned.get_or_create(&labels).set(flag(machine.cordoned));
            draining.get_or_create(&labels).set(flag(machine.draining));
            units.get_or_create(&labels).set(0.0);
            let Some(record) = snapshot.health.get(&machine.id) else { continue };
            let word = word(&record.health);
            count.get_or_create(&vec![("health", word.clone())]).inc();
            since.get_or_create(&labels).set(seconds(record.since));
            if let Some(at) = record.last_seen.filter(|_| record.health != Health::Alive) {
                seen.get_or_create(&labels).set(seconds(at));
            }
            health.get_or_create(&[labels, vec![("health", word)]].concat()).set(1.0);
        }
        for machine in snapshot.placements.values().filter_map(|placement| snapshot.machines.get(&placement.machine)) {
            units.get_or_create(&vec![("machine", machine.name.clone())]).inc();
        }
    }

    fn units(&mut self, snapshot: &Snapshot) {
        let count = self.family("units", "Units by their desired state");
        for desired in [DesiredState::Inactive, DesiredState::Loaded, DesiredState::Launched] {
            count.get_or_create(&vec![("desired", desired.to_string())]).set(0.0);
        }
        for unit in snapshot.units.values() {
            count.get_or_create(&vec![("desired", unit.desired.to_string())]).inc();
        }
        let leases = u32::try_from(snapshot.leases.len()).unwrap_or(u32::MAX);
        self.one("leases", "Machines that may hold a lease for strict units", f64::from(leases));
    }

    fn troubles(&mut self, State { snapshot, troubles }: State<'_>) {
        let all = u32::try_from(troubles.len()).unwrap_or(u32::MAX);
        self.one("troubles", "Troubles of machines, of units and of the cluster", f64::from(all));
        let each = self.family("trouble", "1 for a trouble; the first 1000 of them");
        for trouble in troubles.iter().take(TROUBLES) {
            let machine = trouble.machine.map(|machine| ("machine", snapshot.name_of(machine)));
            let unit = trouble.unit.map(|unit| ("unit", unit.to_string()));
            let labels = std::iter::once(("kind", word(&trouble.kind))).chain(machine).chain(unit);
            each.get_or_create(&labels.collect()).set(1.0);
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        // Nothing that is written to a string fails.
        _ = prometheus_text::encode(&mut text, &self.0);
        text
    }
}

/// Returns the seconds since the Unix epoch.
fn seconds(at: Timestamp) -> f64 {
    at.since(Timestamp::ZERO).as_secs_f64()
}

const fn flag(is_set: bool) -> f64 {
    if is_set { 1.0 } else { 0.0 }
}

/// Returns the word that JSON has for a value.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}
