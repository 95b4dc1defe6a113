//! Rules about leadership for processes that act once: commands and sweeps.

use std::time::Duration;

use tokio::time::Instant;

use crate::core::model::Grant;
use crate::core::model::ObservationTimes;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;
use crate::runner::ClusterContext;
use crate::store::StoreError;
use crate::store::leader_election;
use crate::store::leader_election::LeaderKind;
use crate::store::leader_election::Leadership;

/// How long commands and sweeps wait for a controller if leases are kept. The leadership of a controller that was killed
/// expires after 10 s, and the controller has been started again by then.
const CONTROLLER_GRACE: Duration = Duration::from_secs(15);

/// How long ago a controller last published its observations if no controller is going to renew its leases: they have ended.
const ABANDONED: Duration = Duration::from_mins(10);

/// Reports whether a controller keeps leases for units that are submitted. A process that does not renew them must not
/// lead for long. A controller that has not published its observations for long, or before a sweep did, keeps none.
pub(super) fn keeps_leases(snapshot: &Snapshot, now: Timestamp) -> bool {
    let is_abandoned = |times: &ObservationTimes| !times.continuous || now.since(times.at) > ABANDONED;
    if snapshot.observed.as_ref().is_some_and(is_abandoned) {
        return false;
    }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::core::model::DesiredState;
    use crate::core::model::MachineId;
    use crate::core::model::Unit;
    use crate::core::unit::Hash;

    #[test]
    fn leases_that_no_controller_has_renewed_for_long_are_not_kept() {
        let mut snapshot = Snapshot::default();
        let unit: crate::core::unit::UnitName = "db.service".parse().unwrap();
        snapshot.units.insert(unit.clone(), Unit::new(Hash::of(b""), DesiredState::Launched));
        let (length, stop, slack) = (Duration::from_secs(20), Duration::from_secs(10), Duration::ZERO);
        let grant = Grant {
            epoch: 1,
            length,
            stop,
            slack,
            units: [unit].into(),
            unknown: false,
            until: None,
            stopped_for_sure_at: None,
        };
        snapshot.leases.insert(MachineId::from_bits(1), grant);
        let now = Timestamp::from_millis(10_000_000);
        assert!(keeps_leases(&snapshot, now));
        let mut published = |age: Duration, continuous| {
            let at = Timestamp::from_millis(now.as_millis() - u64::try_from(age.as_millis()).unwrap());
            snapshot.observed = Some(ObservationTimes { at, behind: BTreeMap::new(), continuous });
            keeps_leases(&snapshot, now)
        };
        assert!(published(Duration::from_secs(2), true) && published(Duration::from_mins(9), true));
        assert!(!published(Duration::from_mins(11), true), "the controller is gone");
        assert!(!published(Duration::from_secs(2), false), "a sweep has led since");
    }
}
