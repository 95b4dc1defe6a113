//! Renewal of leases while the store is away: the only task of a leader that the store no longer answers.

use std::sync::Arc;

use super::context::ClusterContext;
use super::in_flight::InFlight;
use super::supervision::Pulse;
use super::turn;
use super::turn::TurnTimer;
use crate::core::reconcile::Input;
use crate::core::reconcile::Output;
use crate::core::reconcile::Reconciler;

/// Renews leases until `campaign` ends, and returns what it returns. The process does not lead meanwhile. It renews
/// leases only while most machines answer, so that no other process can have become the leader unnoticed.
pub async fn lease_only<T>(
    reconciler: &mut Reconciler,
    context: &ClusterContext,
    pulse: Arc<Pulse>,
    campaign: impl Future<Output = T>,
) -> T {
    reconciler.enter_lease_only();
    let mut in_flight =
        InFlight::new(context.remote.clone()).with_instruments(pulse.instruments().clone(), context.clock);
    let mut campaign = std::pin::pin!(campaign);
    let mut timer = TurnTimer::new(pulse);
    let mut inputs = vec![Input::Tick];
    loop {
        for output in turn::reconcile(reconciler, inputs, context.clock.now()).0 {
            match output {
                Output::Deposed => return campaign.await,
                Output::Visit { machine, visit, quick, through } => {
                    in_flight.visit(reconciler.snapshot(), machine, *visit, quick, through);
                }
                Output::Leave(machine) => in_flight.leave(machine),
                Output::Commit(_) | Output::Probe { .. } | Output::Fence(_) => {}
            }
        }
        let wake = reconciler.wake_at().map(|at| context.clock.instant(at));
        // An `Err` is the end of the campaign.
        let event = async {
            tokio::select! {
                led = &mut campaign => Err(led),
                input = in_flight.next() => Ok(input),
            }
        };
        inputs = match timer.wait(wake, event).await.transpose() {
            Ok(woken) => woken.inputs().collect(),
            Err(led) => return led,
        };
    }
}
