//! Renewing leases while the store is away: all that a leader still does that the store no longer answers.

use super::in_flight::Trips;
use super::sleep_until;
use crate::control::Office;
use crate::core::reconcile::Input;
use crate::core::reconcile::Output;
use crate::core::reconcile::Pass;

/// Renews leases until `lead` ends: somebody leads again. Whoever renews them does not lead, and does so only while most
/// machines answer, so that nobody else can have taken over unnoticed.
pub async fn keep<T>(pass: &mut Pass, office: &Office, lead: impl Future<Output = T>) -> T {
    pass.keep();
    let mut trips = Trips::new(office.remote.clone());
    let mut lead = std::pin::pin!(lead);
    let mut input = Input::Tick;
    loop {
        for output in pass.handle(input, office.clock.now()) {
            match output {
                Output::Deposed => return lead.await,
                Output::Visit { machine, visit, glance, through } => {
                    trips.visit(pass.snapshot(), machine, visit, glance, through);
                }
                Output::Leave(machine) => trips.leave(machine),
                Output::Commit(_) | Output::Probe { .. } | Output::Fence(_) => {}
            }
        }
        let wake = pass.wake_at().map(|at| office.clock.instant(at));
        input = tokio::select! {
            led = &mut lead => return led,
            input = trips.next() => input,
            () = sleep_until(wake) => Input::Tick,
        };
    }
}
