//! The network between controllers and hosts: it delays, loses, and delivers late what everybody has given up.

use std::collections::BTreeMap;
use std::time::Duration;

use muster::core::cluster::MachineId;
use muster::core::cluster::Snapshot;
use muster::core::cluster::Unit;
use muster::core::evidence::Failure;
use muster::core::evidence::FailureKind;
use muster::core::evidence::Phase;
use muster::core::plan::Action;
use muster::core::report::Report;
use muster::core::report::Visit;
use muster::core::unit::UnitName;

/// A visit on its way.
#[derive(Debug, Clone)]
pub(super) struct Trip {
    pub(super) id: u64,
    pub(super) controller: usize,
    pub(super) life: u64,
    pub(super) host: usize,
    /// The boot that the connection belongs to, and the shell on it.
    pub(super) boot: u64,
    pub(super) shell: u64,
    pub(super) visit: Visit,
    pub(super) glance: bool,
    /// When it was decided, and what was believed then of the units that it is about.
    pub(super) decided: u64,
    pub(super) view: BTreeMap<UnitName, View>,
}

/// What is wanted of a unit and where it is placed.
pub(super) type View = (Option<Unit>, Option<MachineId>);

pub(super) fn view(snapshot: &Snapshot, unit: &UnitName) -> View {
    let machine = snapshot.placements.get(unit).map(|placement| placement.machine);
    (snapshot.units.get(unit).copied(), machine)
}

/// What is on the wire.
#[derive(Debug, Clone)]
pub(super) enum Parcel {
    There(Trip),
    Back { trip: Trip, result: Result<Report, Failure> },
}

impl Parcel {
    pub(super) const fn trip(&self) -> &Trip {
        match self {
            Self::There(trip) | Self::Back { trip, .. } => trip,
        }
    }
}

/// The links that are cut. What is sent over them is lost, or waits until they heal.
#[derive(Debug, Default)]
pub(super) struct Network {
    cut: BTreeMap<(usize, usize), Vec<Parcel>>,
}

impl Network {
    pub(super) fn is_cut(&self, controller: usize, host: usize) -> bool {
        self.cut.contains_key(&(controller, host))
    }

    pub(super) fn cut(&mut self, controller: usize, host: usize) {
        self.cut.entry((controller, host)).or_default();
    }

    /// Heals a link and returns what waited for it.
    pub(super) fn heal(&mut self, controller: usize, host: usize) -> Vec<Parcel> {
        self.cut.remove(&(controller, host)).unwrap_or_default()
    }

    /// Keeps a parcel for when the link heals; says no if the link is whole.
    pub(super) fn hold(&mut self, parcel: Parcel) {
        let trip = parcel.trip();
        if let Some(held) = self.cut.get_mut(&(trip.controller, trip.host)) {
            held.push(parcel);
        }
    }
}

pub(super) fn failure(host: usize, phase: Phase, kind: FailureKind) -> Failure {
    Failure { host: format!("h{host}"), phase, kind, detail: format!("{kind:?}"), hint: None }
}

/// After how many milliseconds a trip is given up.
pub(super) fn limit(visit: &Visit) -> u64 {
    if visit.steps.is_empty() {
        return 5_000;
    }
    let stops = visit.steps.iter().any(|step| matches!(step.action, Action::Stop | Action::Unload));
    let limit = Duration::from_secs(if stops { 50 } else { 30 });
    u64::try_from(limit.as_millis()).unwrap()
}
