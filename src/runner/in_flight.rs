//! What is on its way to hosts: visits, questions to neighbours, farewells.

use std::collections::BTreeMap;

use tokio::task::JoinSet;

use super::fence;
use super::visit;
use crate::core::health::peers::ANSWER_LIMIT;
use crate::core::health::peers::LOOK_LIMIT;
use crate::core::model::Failure;
use crate::core::model::MachineId;
use crate::core::model::Report;
use crate::core::model::Snapshot;
use crate::core::model::Visit;
use crate::core::reconcile::Input;
use crate::remote;
use crate::remote::SharedRemote;
use crate::remote::Target;

type Trip = (MachineId, Result<Report, Failure>);
type Probe = (MachineId, MachineId, Option<bool>);
type Fencing = (MachineId, Result<(), String>);

/// Everything that is under way.
#[derive(Debug)]
pub(super) struct InFlight {
    remote: SharedRemote,
    visits: JoinSet<Trip>,
    probes: JoinSet<Probe>,
    fencings: JoinSet<Fencing>,
    farewells: JoinSet<()>,
    /// The ways round that were taken.
    relays: BTreeMap<MachineId, Target>,
}

impl InFlight {
    pub(super) fn new(remote: SharedRemote) -> Self {
        let (visits, probes, farewells) = (JoinSet::new(), JoinSet::new(), JoinSet::new());
        Self { remote, visits, probes, fencings: JoinSet::new(), farewells, relays: BTreeMap::new() }
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

    /// Returns what else has come back by now, without waiting.
    pub(super) fn ready(&mut self) -> Vec<Input> {
        let visits = std::iter::from_fn(|| self.visits.try_join_next());
        visits.flatten().map(|(machine, report)| Input::Visited(machine, report)).collect()
    }

    /// Sets out on a visit, through a neighbour if the direct way fails.
    pub(super) fn visit(
        &mut self,
        snapshot: &Snapshot,
        machine: MachineId,
        visit: Visit,
        quick: bool,
        through: Option<MachineId>,
    ) {
        let Some(known) = snapshot.machines.get(&machine) else { return };
        let mut target = super::target(known);
        if let Some(neighbour) = through.and_then(|neighbour| snapshot.machines.get(&neighbour)) {
            target = target.through(super::target(neighbour));
            self.relays.insert(machine, target.clone());
        }
        let remote = self.remote.clone();
        self.visits.spawn(async move {
            let report = remote::guarded(&target.name, visit::visit(&*remote, &target, &visit, quick)).await;
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
                remote::guarded(&via.name, remote.reaches(&via, &target, LOOK_LIMIT)).await.ok()
            };
            // A neighbour that takes longer has something else the matter.
            let look = tokio::time::timeout(ANSWER_LIMIT, look).await;
            (machine, neighbour, look.ok().flatten())
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
        if let Some(target) = self.relays.remove(&machine) {
            let remote = self.remote.clone();
            self.farewells.spawn(async move { remote.forget(&target).await });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::core::model::FailureKind;
    use crate::core::model::Machine;
    use crate::remote::Command;
    use crate::remote::Exit;
    use crate::remote::Remote;
    use crate::remote::Sink;

    /// A way to hosts on which those called `bad` make us panic, and the others say something that is no report.
    #[derive(Debug)]
    struct Treacherous;

    #[async_trait::async_trait]
    impl Remote for Treacherous {
        async fn script(&self, target: &Target, _: &str, _: &str, _: Duration) -> Result<Vec<u8>, Failure> {
            tokio::task::yield_now().await;
            assert_ne!(target.name, "bad");
            Ok(b"nonsense".to_vec())
        }

        async fn run(&self, _: &Target, _: &Command, _: &mut dyn Sink) -> Result<Exit, Failure> {
            unreachable!()
        }

        async fn interact(&self, _: &Target, _: Option<&str>) -> Result<Exit, Failure> {
            unreachable!()
        }

        async fn reaches(&self, via: &Target, _: &Target, _: Duration) -> Result<bool, Failure> {
            assert_ne!(via.name, "bad");
            Ok(true)
        }

        async fn forget(&self, _: &Target) {}

        async fn close(&self, _: Duration) {}
    }

    #[tokio::test]
    async fn a_fault_of_our_own_on_the_way_to_a_host_is_told_of_that_host_and_the_others_go_on() {
        let (bad, good) = (MachineId::from_bits(1), MachineId::from_bits(2));
        let machine = |id, name: &str| (id, Machine { id, name: name.to_owned(), ..Machine::default() });
        let machines = BTreeMap::from([machine(bad, "bad"), machine(good, "good")]);
        let snapshot = Snapshot { machines, ..Snapshot::default() };
        let mut in_flight = InFlight::new(Arc::new(Treacherous));
        for machine in [bad, good] {
            in_flight.visit(&snapshot, machine, Visit::default(), false, None);
        }
        let mut failed = BTreeMap::new();
        while !in_flight.is_empty() {
            let Input::Visited(machine, Err(failure)) = in_flight.next().await else { panic!("no visit came back") };
            failed.insert(machine, failure);
        }
        assert_eq!(failed[&good].kind, FailureKind::Sick);
        assert_eq!(failed[&bad].kind, FailureKind::Local);
        assert_eq!(failed[&bad].to_string(), "bad: run: muster itself failed on the way: this is a bug");

        // A neighbour about whom that is so has nothing to say.
        for (neighbour, expected) in [(bad, None), (good, Some(true))] {
            in_flight.probe(&snapshot, good, neighbour);
            let Input::Probed { reached, .. } = in_flight.next().await else { panic!("no answer came back") };
            assert_eq!(reached, expected);
        }
    }
}
