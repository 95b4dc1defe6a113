//! Rules about leadership for processes that act once: commands and sweeps.

use std::time::Duration;

use tokio::time::Instant;

use crate::core::model::Grant;
use crate::core::model::Snapshot;
use crate::runner::ClusterContext;
use crate::store::StoreError;
use crate::store::leader_election;
use crate::store::leader_election::LeaderKind;
use crate::store::leader_election::Leadership;

/// How long commands and sweeps wait for a controller if leases are kept. The leadership of a controller that was killed
/// expires after 10 s, and the controller has been started again by then.
const CONTROLLER_GRACE: Duration = Duration::from_secs(15);

/// Reports whether a controller keeps leases for units that are submitted. A process that does not renew them must not
/// lead for long.
pub(super) fn keeps_leases(snapshot: &Snapshot) -> bool {
    let known = |grant: &Grant| grant.unknown || grant.units.iter().any(|unit| snapshot.units.contains_key(unit));
    snapshot.leases.values().any(|grant| grant.is_open() && known(grant))
}

/// Releases the leadership and waits until a controller leads, for at most 15 s.
pub(super) async fn yield_to_controller(context: &ClusterContext, leadership: Leadership) -> Result<(), StoreError> {
    leadership.resign().await;
    let _wait = tracing::info_span!("wait", what = "a controller to take over");
    let until = Instant::now() + CONTROLLER_GRACE;
    while Instant::now() < until && !context.stop.is_cancelled() && !controller_leads(context).await? {
        tokio::time::sleep(leader_election::RETRY_INTERVAL).await;
    }
    Ok(())
}

/// Reports whether a controller leads.
pub(super) async fn controller_leads(context: &ClusterContext) -> Result<bool, StoreError> {
    let holder = leader_election::current_leader(&context.store, &context.keys).await?;
    Ok(holder.is_some_and(|holder| holder.kind == LeaderKind::Controller))
}
