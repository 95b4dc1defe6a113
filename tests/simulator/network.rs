//! The network between controllers and hosts: it delays, loses, and delivers late.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use muster::core::model::Action;
use muster::core::model::Failure;
use muster::core::model::FailureKind;
use muster::core::model::MachineId;
use muster::core::model::Phase;
use muster::core::model::Report;
use muster::core::model::Snapshot;
use muster::core::model::Unit;
use muster::core::model::Visit;
use muster::core::unit::UnitName;

/// A visit on its way.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    pub(super) id: u64,
    pub(super) controller: usize,
    pub(super) life: u64,
    pub(super) host: usize,
    /// The host that it goes through, if it does not go directly.
    pub(super) through: Option<usize>,
    /// The boot that the connection belongs to, and the shell on it.
    pub(super) boot: u64,
    pub(super) shell: u64,
    pub(super) visit: Visit,
    pub(super) quick: bool,
    /// Set for a second delivery of it, whose reply is dropped.
    pub(super) echo: bool,
    /// When it was decided, and what was believed then of the units that it is about.
    pub(super) decided: u64,
    pub(super) view: BTreeMap<UnitName, View>,
}

/// A unit's record and where it is placed.
pub(super) type View = (Option<Unit>, Option<MachineId>);

pub(super) fn view(snapshot: &Snapshot, unit: &UnitName) -> View {
    let machine = snapshot.placements.get(unit).map(|placement| placement.machine);
    (snapshot.units.get(unit).copied(), machine)
}

/// What is on the wire.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "every parcel is in a box")]
pub(super) enum Parcel {
    There(Delivery),
    Back { delivery: Delivery, result: Result<Report, Failure> },
}

impl Parcel {
    pub(super) const fn delivery(&self) -> &Delivery {
        match self {
            Self::There(delivery) | Self::Back { delivery, .. } => delivery,
        }
    }
}

/// Which way nothing gets over a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drops {
    Both,
    There,
    Back,
}

/// A link that is cut. Parcels are lost on it, or wait until it heals.
#[derive(Debug)]
struct Cut {
    drops: Drops,
    held: Vec<Parcel>,
}

/// The links from controllers to hosts that are cut, and the hosts that do not reach each other.
#[derive(Debug, Default)]
pub(super) struct Network {
    cut: BTreeMap<(usize, usize), Cut>,
    apart: BTreeSet<(usize, usize)>,
}

impl Network {
    /// Says whether no answer comes over a link.
    pub(super) fn is_cut(&self, controller: usize, host: usize) -> bool {
        self.cut.contains_key(&(controller, host))
    }

    /// Says whether a link drops a parcel.
    pub(super) fn drops(&self, parcel: &Parcel, host: usize) -> bool {
        let cut = self.cut.get(&(parcel.delivery().controller, host));
        cut.is_some_and(|cut| match parcel {
            Parcel::There(_) => cut.drops != Drops::Back,
            Parcel::Back { .. } => cut.drops != Drops::There,
        })
    }

    pub(super) fn cut(&mut self, controller: usize, host: usize, drops: Drops) {
        self.cut.entry((controller, host)).or_insert_with(|| Cut { drops, held: Vec::new() }).drops = drops;
    }

    /// Says whether two hosts reach each other.
    pub(super) fn joins(&self, one: usize, other: usize) -> bool {
        !self.apart.contains(&(one.min(other), one.max(other)))
    }

    pub(super) fn part(&mut self, one: usize, other: usize) {
        self.apart.insert((one.min(other), one.max(other)));
    }

    pub(super) fn join(&mut self, one: usize, other: usize) {
        self.apart.remove(&(one.min(other), one.max(other)));
    }

    /// Heals a link and returns what waited for it.
    pub(super) fn heal(&mut self, controller: usize, host: usize) -> Vec<Parcel> {
        self.cut.remove(&(controller, host)).map(|cut| cut.held).unwrap_or_default()
    }

    /// Keeps a parcel for when the link heals; says no if the link is whole.
    pub(super) fn hold(&mut self, parcel: Parcel) {
        let delivery = parcel.delivery();
        let first = delivery.through.unwrap_or(delivery.host);
        if let Some(cut) = self.cut.get_mut(&(delivery.controller, first)) {
            cut.held.push(parcel);
        }
    }
}

pub(super) fn failure(host: usize, phase: Phase, kind: FailureKind) -> Failure {
    Failure { host: format!("h{host}"), phase, kind, detail: format!("{kind:?}"), hint: None }
}

/// How long a visit's script may take, in milliseconds.
pub(super) fn limit(visit: &Visit) -> u64 {
    if visit.steps.is_empty() {
        return if visit.lease.is_some() { 5_000 } else { 3_000 };
    }
    let stops = visit.steps.iter().any(|step| matches!(step.action, Action::Stop | Action::Unload));
    if stops { 50_000 } else { 30_000 }
}
