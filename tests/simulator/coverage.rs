//! The points that some run must reach: a storm that never gets a controller into a state proves nothing about it.
//!
//! Each point is derived from what can be observed; the core knows nothing of it.

use std::collections::BTreeSet;

use muster::core::model::Action;
use muster::core::model::Failure;
use muster::core::model::FailureKind;
use muster::core::model::Health;
use muster::core::model::LeaseStatus;
use muster::core::model::Outcome;
use muster::core::model::Phase;
use muster::core::model::Reason;
use muster::core::model::Refused;
use muster::core::model::Report;
use muster::core::model::Write;
use muster::core::reconcile::Output;

use super::controller::failover_policy;
use super::network::Delivery;
use super::world::World;

/// Something that a run reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Point {
    /// A machine has this health, and the latest attempt failed like this.
    Health(Health, Phase, FailureKind),
    /// A step ended like this.
    Step(&'static str, &'static str),
    /// Something else, by its name.
    Named(&'static str),
}

pub(super) type Reached = BTreeSet<Point>;

const ACTIONS: [&str; 5] = ["unload", "load", "stop", "start", "restart"];

const NAMED: [&str; 47] = [
    "alive",
    "output: commit",
    "output: visit",
    "output: quick visit",
    "output: visit with steps",
    "output: visit through a relay",
    "output: visit with a barrier",
    "output: probe",
    "output: leave",
    "output: fence",
    "output: deposed",
    "leadership: taken",
    "leadership: lost",
    "leadership: leases only",
    "lease: granted",
    "lease: renewed",
    "lease: released",
    "lease: refused",
    "lease: ended on the host",
    "lease: its end is awaited",
    "lease: for a slow systemd",
    "lease: a slow end",
    "lease: a slow end that was not shown",
    "lease: written off",
    "lease: renewed while the store is away",
    "blocked: brake",
    "blocked: zone",
    "blocked: limit",
    "blocked: overridden",
    "hold-down",
    "relay: used",
    "relay: steps",
    "relay: given up",
    "fence: run",
    "fence: void",
    "fence: failed",
    "drain: over its deadline",
    "stall: reported",
    "refused: busy",
    "refused: too late",
    "refused: later leader",
    "refused: unfit",
    "progress: greeted",
    "progress: run",
    "soft-reboot: with a lease",
    "soft-reboot: without a lease",
    "unit: no machine for it",
];

/// How an attempt can fail, and what a machine can then be but suspect.
const FAILURES: [(Phase, FailureKind, &[Health]); 13] = {
    use FailureKind::{Denied, Local, NoRoute, Path, Refused, Reset, Sick as Unfit, Silent, Throttled};
    use Health::{Down, PathFault, Sick, SshdDown, Throttled as Penalised, Unreachable};
    [
        (Phase::Resolve, Local, &[Unreachable]),
        (Phase::Connect, Silent, &[Down, PathFault, Unreachable, Sick]),
        (Phase::Connect, NoRoute, &[Down, PathFault]),
        (Phase::Connect, Path, &[Down, PathFault, Unreachable]),
        (Phase::Connect, Refused, &[SshdDown, PathFault]),
        (Phase::KeyExchange, Silent, &[Down, PathFault, Unreachable, Sick]),
        (Phase::KeyExchange, Throttled, &[Penalised]),
        (Phase::Authenticate, Silent, &[Sick]),
        (Phase::Authenticate, Denied, &[Sick]),
        (Phase::Shell, Silent, &[Sick]),
        (Phase::Run, Silent, &[Sick]),
        (Phase::Run, Reset, &[]),
        (Phase::Run, Unfit, &[Sick]),
    ]
};

/// How a step can end. A stop that takes long has begun, and so has a restart of which it is a part; hosts that refuse a stop
/// are tested over the wire.
const fn endings(action: &str) -> &'static [&'static str] {
    match action.as_bytes() {
        b"unload" | b"stop" => &["done", "begun", "lost"],
        b"load" => &["done", "lost"],
        b"restart" => &["done", "begun", "failed", "lost"],
        _ => &["done", "failed", "lost"],
    }
}

/// Returns the points that were not reached.
pub(super) fn missed(reached: &Reached) -> Vec<Point> {
    let named = NAMED.into_iter().map(Point::Named);
    let steps = ACTIONS.into_iter().flat_map(|action| endings(action).iter().map(move |it| Point::Step(action, it)));
    let health = FAILURES.into_iter().flat_map(|(phase, kind, health)| {
        let healths = health.iter().copied().chain([Health::Suspect]);
        healths.map(move |health| Point::Health(health, phase, kind))
    });
    named.chain(steps).chain(health).filter(|point| !reached.contains(point)).collect()
}

impl World {
    /// Notes that a point was reached.
    pub(super) fn reach(&mut self, name: &'static str) {
        debug_assert!(NAMED.contains(&name), "{name} is not in the register");
        self.watch.reached.insert(Point::Named(name));
    }

    /// Notes how a controller assesses the machines.
    pub(super) fn reach_assessments(&mut self, index: usize) {
        let Some(reconciler) = &self.controllers[index].reconciler else { return };
        let clock = self.controllers[index].clock.read(self.now);
        let mut names = Vec::new();
        for (machine, view) in reconciler.views() {
            let Some(health) = view.health else { continue };
            if let Some(failure) = view.evidence.latest_failure() {
                self.watch.reached.insert(Point::Health(health, failure.phase, failure.kind));
            }
            let record = reconciler.snapshot().health.get(&machine);
            let forced = reconciler.snapshot().failover_overrides.get(&machine).is_some_and(|it| clock < it.until);
            let host = self.hosts.iter().position(|host| host.machine == machine);
            match health {
                Health::Alive if record.and_then(|it| failover_policy().hold_down(it, clock)).is_some() => {
                    names.push("hold-down");
                }
                Health::Alive => names.push("alive"),
                Health::Unreachable | Health::Down => {
                    let silent = |it: &usize| {
                        let view = reconciler.view(self.hosts[*it].machine);
                        view.is_some_and(|view| matches!(view.health, Some(Health::Unreachable | Health::Down)))
                    };
                    let silent: Vec<usize> = (0..self.hosts.len()).filter(silent).collect();
                    let block = host.and_then(|host| self.block_of(index, host, &silent));
                    match block {
                        Some(_) if health == Health::Down && forced => names.push("blocked: overridden"),
                        Some("brake") if health == Health::Unreachable => names.push("blocked: brake"),
                        Some("zone") if health == Health::Unreachable => names.push("blocked: zone"),
                        Some("limit") if health == Health::Unreachable => names.push("blocked: limit"),
                        _ => {}
                    }
                }
                _ => {}
            }
            if view.evidence.relay.as_ref().is_some_and(|relay| relay.works) {
                names.push("relay: used");
            }
        }
        if !reconciler.refused().is_empty() {
            names.push("unit: no machine for it");
        }
        for name in names {
            self.reach(name);
        }
    }

    /// Notes what a reconciler wants to be done.
    pub(super) fn reach_output(&mut self, output: &Output) {
        let name = match output {
            Output::Commit(_) => "output: commit",
            Output::Probe { .. } => "output: probe",
            Output::Leave(_) => {
                self.reach("relay: given up");
                "output: leave"
            }
            Output::Fence(_) => {
                self.reach("fence: run");
                "output: fence"
            }
            Output::Deposed => "output: deposed",
            Output::Visit { visit, quick, through, .. } => {
                if visit.steps.iter().any(|step| step.reason == Reason::Drained) {
                    self.reach("drain: over its deadline");
                }
                if visit.barrier {
                    self.reach("output: visit with a barrier");
                }
                match (through, visit.steps.is_empty()) {
                    (Some(_), false) => self.reach("relay: steps"),
                    (Some(_), true) => self.reach("output: visit through a relay"),
                    (None, false) => self.reach("output: visit with steps"),
                    (None, true) => {}
                }
                if *quick { "output: quick visit" } else { "output: visit" }
            }
        };
        self.reach(name);
    }

    /// Notes how a visit ended.
    pub(super) fn reach_report(&mut self, delivery: &Delivery, result: &Result<Report, Failure>) {
        let Ok(report) = result else {
            for step in &delivery.visit.steps {
                self.watch.reached.insert(Point::Step(name(step.action), "lost"));
            }
            return;
        };
        for (step, outcome) in delivery.visit.steps.iter().zip(&report.outcomes) {
            let ending = match outcome {
                Outcome::Done => "done",
                Outcome::Begun => "begun",
                Outcome::Failed(_) => "failed",
                Outcome::Lost(_) => "lost",
            };
            self.watch.reached.insert(Point::Step(name(step.action), ending));
        }
        match &report.refused {
            Some(Refused::TooLate) => self.reach("refused: too late"),
            Some(Refused::LaterLeader(_)) => self.reach("refused: later leader"),
            Some(Refused::Unfit(_)) => self.reach("refused: unfit"),
            Some(Refused::Busy | Refused::OtherMachine(_) | Refused::OtherCluster(_)) | None => {}
        }
        let away = self.controllers[delivery.controller].kept;
        match report.observation.as_ref().and_then(|seen| seen.lease) {
            Some(LeaseStatus::Granted) => self.reach("lease: granted"),
            Some(LeaseStatus::Held) if away => self.reach("lease: renewed while the store is away"),
            Some(LeaseStatus::Held) => self.reach("lease: renewed"),
            Some(LeaseStatus::Released) => self.reach("lease: released"),
            Some(LeaseStatus::Refused(_)) => self.reach("lease: refused"),
            None => {}
        }
    }

    /// Notes what a leader tells the store.
    pub(super) fn reach_write(&mut self, index: usize, write: &Write) {
        if matches!(write, Write::Lease(_, grant) if !grant.slack.is_zero()) {
            self.reach("lease: for a slow systemd");
        }
        match write {
            Write::Lease(_, grant) if grant.stopped_for_sure_at.is_some() => self.reach("lease: its end is awaited"),
            Write::NoLease(machine) => {
                let reconciler = self.controllers[index].reconciler.as_ref();
                if reconciler.and_then(|it| it.view(*machine)).is_some_and(|view| !view.answers()) {
                    self.reach("lease: written off");
                }
            }
            _ => {}
        }
    }
}

const fn name(action: Action) -> &'static str {
    match action {
        Action::Unload => "unload",
        Action::Load { .. } => "load",
        Action::Adopt { .. } => "adopt",
        Action::Stop => "stop",
        Action::Start { .. } => "start",
        Action::Restart { .. } => "restart",
        Action::Reload { .. } => "reload",
    }
}
