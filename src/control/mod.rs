//! Who may act, and when: verbs, the sweep and the controller, each a reconciler with another stop_when.
//!
//! Whoever holds the lead acts. Nothing here reaches a host except through [`crate::runner::run`].

pub mod controller;
pub mod failover;
pub mod membership;
pub mod operation;
pub mod problems;
pub mod sweep;
pub mod verb;

#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::core::health::DetectionConfig;
use crate::core::lease::LeasePolicy;
use crate::core::lease::TooShort;
use crate::core::model::Grant;
use crate::core::model::Snapshot;
use crate::core::reconcile::Timing;
use crate::remote::SharedRemote;
use crate::runner::Clock;
use crate::store::SharedStore;
use crate::store::StoreError;
use crate::store::layout::Keyspace;
use crate::store::leader_election;
use crate::store::leader_election::LeaderKind;
use crate::store::leader_election::Leadership;

/// What every way of acting works with.
#[derive(Debug, Clone)]
pub struct ClusterContext {
    /// The store.
    pub store: SharedStore,
    /// The cluster's keys.
    pub keys: Keyspace,
    /// The way to the hosts.
    pub remote: SharedRemote,
    /// The clock.
    pub clock: Clock,
    /// Set when the operator wants it to end.
    pub stop: CancellationToken,
}

/// How often the records are read anew when others change them at the same time.
const ATTEMPTS: usize = 8;

/// How long commands and sweeps leave the lead to a controller where leases are kept: the lead of one that was killed is
/// free after 10 s, and it has been started again by then.
const FOR_A_CONTROLLER: Duration = Duration::from_secs(15);

/// Says whether a controller was renewing leases: nobody who acts once and does not renew them should lead for long.
fn keeps_leases(snapshot: &Snapshot) -> bool {
    snapshot.leases.values().any(Grant::is_open)
}

/// Gives the lead back and timeouts until a controller has it, for a while.
async fn yield_to_controller(context: &ClusterContext, lead: Leadership) -> Result<(), StoreError> {
    lead.resign().await;
    let until = Instant::now() + FOR_A_CONTROLLER;
    while Instant::now() < until && !context.stop.is_cancelled() {
        if leader_election::current_leader(&context.store, &context.keys)
            .await?
            .is_some_and(|holder| holder.kind == LeaderKind::Controller)
        {
            break;
        }
        tokio::time::sleep(leader_election::RETRY_INTERVAL).await;
    }
    Ok(())
}

/// How long a lease is that a controller renews, unless somebody says otherwise: another one has taken over within it from
/// one that was killed (the lead's 10 s, a look at every machine) although a quarter of it had passed.
pub const LEASE: Duration = Duration::from_secs(20);

/// The timing of a reconciler that renews leases all the time.
pub fn leasing(detection: DetectionConfig, length: Duration) -> Result<Timing, TooShort> {
    let timing = timing(detection);
    Ok(Timing {
        lease: Some(LeasePolicy::of_controller(length, timing.poll_interval, timing.retry_interval)?),
        ..timing
    })
}

/// The timing of a reconciler that is as patient as this with silent machines.
pub const fn timing(detection: DetectionConfig) -> Timing {
    Timing {
        poll_interval: Duration::from_secs(1),
        full_poll_interval: Duration::from_secs(10),
        retry_interval: Duration::from_millis(500),
        start_deadline: Duration::from_secs(10),
        detection,
        lease: None,
    }
}
