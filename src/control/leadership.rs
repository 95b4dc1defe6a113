//! Rules about leadership for processes that act once: commands and sweeps.

use std::time::Duration;

use tokio::time::Instant;

use crate::core::model::Grant;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;
use crate::runner::ClusterContext;
use crate::store::StoreError;
use crate::store::leader_election;
use crate::store::leader_election::LeaderKind;
use crate::store::leader_election::Leadership;

/// How long commands and sweeps wait for a controller if leases are kept, from its last publication. The leadership of a
/// controller that was killed expires after 10 s, and the controller has been started again by then.
const CONTROLLER_GRACE: Duration = Duration::from_secs(15);

/// Returns for how long a controller may still come that keeps the leases of units that are submitted; `None` if no
/// controller keeps any. A process that does not renew leases must not lead for long. A controller publishes its
/// observations every 2 s. One that has not published them for long, or before a sweep did, does not come.
pub(super) fn controller_due(snapshot: &Snapshot, now: Timestamp) -> Option<Duration> {
    let known = |grant: &Grant| grant.unknown || grant.units.iter().any(|unit| snapshot.units.contains_key(unit));
    if !snapshot.leases.values().any(|grant| grant.is_open() && known(grant)) {
        return None;
    }
    let Some(published) = &snapshot.observed else { return Some(CONTROLLER_GRACE) };
    let left = CONTROLLER_GRACE.saturating_sub(now.since(published.at));
    (published.continuous && !left.is_zero()).then_some(left)
}

/// Releases the leadership and waits until a controller leads, for at most this long.
pub(super) async fn yield_to_controller(
    context: &ClusterContext,
    leadership: Leadership,
    limit: Duration,
) -> Result<(), StoreError> {
    leadership.resign().await;
    let _wait = tracing::info_span!("wait", what = "a controller to take over");
    let until = Instant::now() + limit;
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
    use crate::core::model::ObservationTimes;
    use crate::core::model::Unit;
    use crate::core::unit::Hash;

    #[test]
    fn a_controller_is_awaited_for_15_seconds_after_its_last_publication() {
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
        let seconds = Duration::from_secs;
        assert_eq!(controller_due(&snapshot, now), Some(seconds(15)));
        let mut published = |age: Duration, continuous| {
            let at = Timestamp::from_millis(now.as_millis() - u64::try_from(age.as_millis()).unwrap());
            snapshot.observed = Some(ObservationTimes { at, behind: BTreeMap::new(), continuous });
            controller_due(&snapshot, now)
        };
        assert_eq!(published(Duration::ZERO, true), Some(seconds(15)));
        assert_eq!(published(seconds(2), true), Some(seconds(13)));
        assert_eq!(published(seconds(15), true), None, "the controller is gone");
        assert_eq!(published(seconds(2), false), None, "a sweep has led since");
        snapshot.leases.clear();
        assert_eq!(controller_due(&snapshot, now), None, "no lease");
    }
}
