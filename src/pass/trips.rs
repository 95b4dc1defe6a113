//! What is on its way to hosts: visits, questions to neighbours, farewells.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use tokio::task::JoinSet;

use super::fence;
use super::visit;
use crate::core::cluster::MachineId;
use crate::core::cluster::Snapshot;
use crate::core::evidence::Failure;
use crate::core::judge::counsel::ANSWER_LIMIT;
use crate::core::judge::counsel::LOOK_LIMIT;
use crate::core::pass::Input;
use crate::core::report::Report;
use crate::core::report::Visit;
use crate::remote::SharedRemote;
use crate::remote::Target;

type Trip = (MachineId, Result<Report, Failure>);
type Probe = (MachineId, MachineId, Option<bool>);
type Fencing = (MachineId, Result<(), String>);

/// Everything that is under way.
#[derive(Debug)]
pub(super) struct Trips {
    remote: SharedRemote,
    visits: JoinSet<Trip>,
    probes: JoinSet<Probe>,
    fencings: JoinSet<Fencing>,
    farewells: JoinSet<()>,
    /// The ways round that were taken.
    detours: BTreeMap<MachineId, Target>,
}

impl Trips {
    pub(super) fn new(remote: SharedRemote) -> Self {
        let (visits, probes, farewells) = (JoinSet::new(), JoinSet::new(), JoinSet::new());
        Self { remote, visits, probes, fencings: JoinSet::new(), farewells, detours: BTreeMap::new() }
    }

    /// Says whether no visit is under way and no machine is being switched off; who only asks neighbours can stop asking
    /// at any time.
    pub(super) fn is_empty(&self) -> bool {
        self.visits.is_empty() && self.fencings.is_empty()
    }

    /// Waits for the next that comes back; forever if nothing is under way.
    pub(super) async fn next(&mut self) -> Input {
        tokio::select! {
            Some(Ok((machine, report))) = self.visits.join_next() => Input::Visited(machine, report),
            Some(Ok((machine, neighbour, reached))) = self.probes.join_next() => {
                Input::Probed { machine, neighbour, reached }
            }
            Some(Ok((machine, ended))) = self.fencings.join_next() => Input::Fenced(machine, ended),
            else => std::future::pending().await,
        }
    }

    /// Sets out on a visit, through a neighbour if the direct way fails.
    pub(super) fn visit(
        &mut self,
        snapshot: &Snapshot,
        machine: MachineId,
        visit: Visit,
        glance: bool,
        through: Option<MachineId>,
    ) {
        let Some(known) = snapshot.machines.get(&machine) else { return };
        let mut target = super::target(known);
        if let Some(neighbour) = through.and_then(|neighbour| snapshot.machines.get(&neighbour)) {
            target = target.through(super::target(neighbour));
            self.detours.insert(machine, target.clone());
        }
        let remote = self.remote.clone();
        self.visits.spawn(async move {
            let trip = AssertUnwindSafe(visit::visit(&*remote, &target, &visit, glance));
            // A fault of ours on the way to one host is no reason to give up the others.
            let report = trip.catch_unwind().await.unwrap_or_else(|_| Err(visit::broken(&target)));
            (machine, report)
        });
    }

    /// Asks a neighbour whether it reaches a machine.
    pub(super) fn probe(&mut self, snapshot: &Snapshot, machine: MachineId, neighbour: MachineId) {
        let machines = snapshot
            .machines
            .get(&machine)
            .map(super::target)
            .zip(snapshot.machines.get(&neighbour).map(super::target));
        let remote = self.remote.clone();
        self.probes.spawn(async move {
            let look = async {
                let (target, via) = machines?;
                remote.reaches(&via, &target, LOOK_LIMIT).await.ok()
            };
            // A neighbour that takes longer has something else the matter.
            let look = tokio::time::timeout(ANSWER_LIMIT, AssertUnwindSafe(look).catch_unwind()).await;
            (machine, neighbour, look.ok().and_then(Result::ok).flatten())
        });
    }

    /// Switches a machine off.
    pub(super) fn fence(&mut self, snapshot: &Snapshot, machine: MachineId) {
        let Some(known) = snapshot.machines.get(&machine).cloned() else { return };
        self.fencings.spawn(async move { (machine, fence::fence(&known).await) });
    }

    /// Closes what was opened for a way round.
    pub(super) fn leave(&mut self, machine: MachineId) {
        while self.farewells.try_join_next().is_some() {}
        if let Some(target) = self.detours.remove(&machine) {
            let remote = self.remote.clone();
            self.farewells.spawn(async move { remote.forget(&target).await });
        }
    }
}
