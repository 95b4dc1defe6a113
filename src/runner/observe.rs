//! A look at the real hosts: each machine is visited until it answers or fails, nothing is changed, and the store is not
//! written.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::clock::Clock;
use super::dry_run::read_only;
use super::in_flight::InFlight;
use super::turn;
use super::turn::TurnTimer;
use crate::core::reconcile::Input;
use crate::core::reconcile::Output;
use crate::core::reconcile::Reconciler;
use crate::core::reconcile::machine_view::MachineView;
use crate::remote::SharedRemote;

/// Lets a reconciler observe its machines, for at most `limit`. Its snapshot then has the states and the health that
/// were found. It decides nothing that takes effect: no commit is answered, and no visit is made to a machine that has
/// answered.
pub async fn observe(reconciler: &mut Reconciler, remote: &SharedRemote, clock: Clock, limit: Duration) {
    let mut in_flight = InFlight::new(remote.clone());
    let mut timer = TurnTimer::new(Arc::default());
    let deadline = Instant::now() + limit;
    let mut inputs = vec![Input::Tick];
    loop {
        for output in turn::reconcile(reconciler, inputs, clock.now()).0 {
            match output {
                Output::Visit { machine, visit, through, .. } => {
                    if !reconciler.view(machine).is_some_and(MachineView::answers) {
                        in_flight.visit(reconciler.snapshot(), machine, read_only(*visit), false, through);
                    }
                }
                Output::Probe { machine, peer } => in_flight.probe(reconciler.snapshot(), machine, peer),
                Output::Leave(machine) => in_flight.leave(machine),
                Output::Commit(_) | Output::Fence(_) => {}
                Output::Deposed => return,
            }
        }
        if in_flight.is_idle() || Instant::now() >= deadline {
            return;
        }
        let wake = reconciler.wake_at().map_or(deadline, |at| clock.instant(at).min(deadline));
        inputs = timer.wait(Some(wake), in_flight.next()).await.inputs().collect();
    }
}
