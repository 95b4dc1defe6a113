//! A rehearsal on the real hosts: they are looked at and left as they are, and nothing is written.

use std::collections::VecDeque;

use tokio_util::sync::CancellationToken;

use super::Clock;
use super::in_flight::InFlight;
use super::sleep_until;
use crate::core::model::Visit;
use crate::core::reconcile::Input;
use crate::core::reconcile::Output;
use crate::core::reconcile::Reconciler;
use crate::core::simulation::SimulatedHosts;
use crate::core::simulation::Simulation;
use crate::remote::SharedRemote;

/// Plays a reconciler until it has settled and returns what it would do; nothing if it was stopped.
///
/// Each host is looked at until it answers once; from then on it is imagined.
pub async fn dry_run(
    reconciler: &mut Reconciler,
    remote: &SharedRemote,
    clock: Clock,
    stop: &CancellationToken,
) -> Option<Simulation> {
    let (mut script, mut hosts) = (Simulation::default(), SimulatedHosts::default());
    let mut in_flight = InFlight::new(remote.clone());
    let mut inputs = VecDeque::from([Input::Tick]);
    loop {
        while let Some(input) = inputs.pop_front() {
            for output in reconciler.handle(input, clock.now()) {
                match output {
                    Output::Commit(writes) => {
                        script.note_writes(reconciler.snapshot(), &writes);
                        inputs.push_back(Input::Committed(true));
                    }
                    Output::Visit { machine, visit, .. } if hosts.knows(machine) => {
                        script.note_visit(machine, &visit);
                        inputs.push_back(Input::Visited(machine, hosts.visit(machine, &visit, clock.now())));
                    }
                    Output::Visit { machine, visit, through, .. } => {
                        let look = Visit {
                            read_only: true,
                            number: 0,
                            steps: Vec::new(),
                            expires: None,
                            lease: None,
                            barrier: false,
                            ..visit
                        };
                        in_flight.visit(reconciler.snapshot(), machine, look, false, through);
                    }
                    Output::Probe { machine, neighbour } => in_flight.probe(reconciler.snapshot(), machine, neighbour),
                    Output::Leave(machine) => in_flight.leave(machine),
                    // Only imagined.
                    Output::Fence(machine) => inputs.push_back(Input::Fenced(machine, Ok(()))),
                    Output::Deposed => return Some(script),
                }
            }
        }
        if in_flight.is_empty() && reconciler.is_settled() {
            return Some(script);
        }
        let wake = reconciler.wake_at().map(|at| clock.instant(at));
        let input = tokio::select! {
            input = in_flight.next() => {
                if let Input::Visited(machine, Ok(report)) = &input
                    && let Some(units) = report.observation.as_ref().and_then(|seen| seen.units.clone())
                {
                    hosts.learn(*machine, units);
                }
                input
            }
            () = sleep_until(wake) => Input::Tick,
            () = stop.cancelled() => return None,
        };
        inputs.push_back(input);
    }
}
