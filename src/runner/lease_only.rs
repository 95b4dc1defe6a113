//! Renewing leases while the store is away: all that a leader still does that the store no longer answers.

use super::in_flight::InFlight;
use super::sleep_until;
use crate::control::ClusterContext;
use crate::core::reconcile::Input;
use crate::core::reconcile::Output;
use crate::core::reconcile::Reconciler;

/// Renews leases until `lead` ends: somebody leads again. Whoever renews them does not lead, and does so only while most
/// machines answer, so that nobody else can have taken over unnoticed.
pub async fn lease_only<T>(reconciler: &mut Reconciler, context: &ClusterContext, lead: impl Future<Output = T>) -> T {
    reconciler.enter_lease_only();
    let mut in_flight = InFlight::new(context.remote.clone());
    let mut lead = std::pin::pin!(lead);
    let mut input = Input::Tick;
    loop {
        for output in reconciler.handle(input, context.clock.now()) {
            match output {
                Output::Deposed => return lead.await,
                Output::Visit { machine, visit, quick, through } => {
                    in_flight.visit(reconciler.snapshot(), machine, visit, quick, through);
                }
                Output::Leave(machine) => in_flight.leave(machine),
                Output::Commit(_) | Output::Probe { .. } | Output::Fence(_) => {}
            }
        }
        let wake = reconciler.wake_at().map(|at| context.clock.instant(at));
        input = tokio::select! {
            led = &mut lead => return led,
            input = in_flight.next() => input,
            () = sleep_until(wake) => Input::Tick,
        };
    }
}
