//! A dry run on the real hosts: they are observed and not changed, and the store is not written.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use super::in_flight::InFlight;
use super::turn;
use super::turn::TurnTimer;
use crate::core::model::Report;
use crate::core::model::Snapshot;
use crate::core::model::Visit;
use crate::core::reconcile::Input;
use crate::core::reconcile::Output;
use crate::core::reconcile::Reconciler;
use crate::core::simulation::SimulatedHosts;
use crate::core::simulation::Simulation;
use crate::remote::SharedRemote;

/// Runs a reconciler until it has settled and returns the steps that it would take; `None` if it was stopped.
///
/// Each host is visited read-only until it answers once. From then on the host is simulated.
pub async fn dry_run(
    reconciler: &mut Reconciler,
    remote: &SharedRemote,
    clock: Clock,
    stop: &CancellationToken,
) -> Option<Simulation> {
    let in_flight = InFlight::new(remote.clone());
    let mut run = DryRun { in_flight, clock, hosts: SimulatedHosts::default(), simulation: Simulation::default() };
    let mut timer = TurnTimer::new(Arc::default());
    let mut inputs = VecDeque::from([Input::Tick]);
    loop {
        while let Some(input) = inputs.pop_front() {
            for output in turn::reconcile(reconciler, [input], clock.now()).0 {
                if !run.carry_out(reconciler, output, &mut inputs) {
                    return Some(run.simulation);
                }
            }
        }
        if reconciler.is_settled() {
            return Some(run.simulation);
        }
        let wake = reconciler.wake_at().map(|at| clock.instant(at));
        let event = async {
            tokio::select! {
                input = run.in_flight.next() => Ok(input),
                () = stop.cancelled() => Err(()),
            }
        };
        let woken = timer.wait(wake, event).await.transpose().ok()?;
        inputs.extend(woken.inputs().map(|input| run.observe(reconciler.snapshot(), input)));
    }
}

/// The visits in flight, the hosts that are simulated by now, and the steps so far.
struct DryRun {
    in_flight: InFlight,
    clock: Clock,
    hosts: SimulatedHosts,
    simulation: Simulation,
}

impl DryRun {
    /// Carries out one output without a change to anything. Reports whether the dry run goes on.
    fn carry_out(&mut self, reconciler: &Reconciler, output: Output, inputs: &mut VecDeque<Input>) -> bool {
        match output {
            Output::Commit(writes) => {
                self.simulation.note_writes(reconciler.snapshot(), &writes);
                inputs.push_back(Input::Committed(true));
            }
            Output::Visit { machine, visit, quick, .. } if self.hosts.knows(machine) => {
                self.simulation.note_visit(machine, &visit);
                let report = self.hosts.visit(machine, &visit, quick, self.clock.now());
                inputs.push_back(Input::Visited(machine, Box::new(report)));
            }
            Output::Visit { machine, visit, through, .. } => {
                self.in_flight.visit(reconciler.snapshot(), machine, read_only(*visit), false, through);
            }
            Output::Probe { machine, peer } => self.in_flight.probe(reconciler.snapshot(), machine, peer),
            Output::Leave(machine) => self.in_flight.leave(machine),
            // A simulated fence command always succeeds.
            Output::Fence(machine) => inputs.push_back(Input::Fenced(machine, Ok(()))),
            Output::Deposed => return false,
        }
        true
    }

    /// Makes a simulated host of a machine that has answered.
    fn observe(&mut self, snapshot: &Snapshot, input: Input) -> Input {
        if let Input::Visited(_, result) = &input
            && let Ok(Report { observation: Some(seen), .. }) = &**result
        {
            self.hosts.learn(snapshot, seen, self.clock.now());
        }
        input
    }
}

/// Returns the visit without its steps and its lease.
pub(super) fn read_only(visit: Visit) -> Visit {
    Visit { read_only: true, number: 0, steps: Vec::new(), expires: None, lease: None, barrier: false, ..visit }
}
