//! Ownership: a host remembers the cluster to which it belongs, and refuses every other one.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;

use super::MembershipError;
use crate::core::model::Cluster;
use crate::core::model::ClusterId;
use crate::core::model::Failure;
use crate::core::model::Machine;
use crate::core::model::Observation;
use crate::core::model::Ownership;
use crate::core::model::Refused;
use crate::core::model::Snapshot;
use crate::core::model::UnitState;
use crate::core::model::Visit;
use crate::core::unit::UnitName;
use crate::remote::Progress;
use crate::runner;
use crate::runner::ClusterContext;
use crate::store::Precondition;
use crate::store::StoreError;
use crate::store::layout::Key;
use crate::store::leader_election;

/// How many hosts are asked at once.
pub(super) const HOSTS_AT_ONCE: usize = 64;

/// A host does not accept that it belongs to the cluster. Nothing was changed there.
#[derive(Debug, thiserror::Error)]
pub enum OwnershipError {
    /// The host could not be reached, or cannot be managed.
    #[error(transparent)]
    Host(#[from] Failure),
    /// The host belongs to another cluster.
    #[error("{name}: it belongs to another cluster: {cluster}")]
    OtherCluster {
        /// The host.
        name: String,
        /// The name and the id of the other cluster.
        cluster: String,
    },
    /// The host remembers a leader with a higher epoch than the next leader of this store would have.
    #[error("{name}: it has seen a leader with epoch {seen}, and would refuse the next leader, which has epoch {next}")]
    LaterLeader {
        /// The host.
        name: String,
        /// The highest epoch that the host has seen.
        seen: u64,
        /// The epoch of the next leader.
        next: u64,
    },
}

/// Returns the identity of the cluster, and makes one if the store has none. Returns `None` if another process has made one
/// meanwhile: the store must be read again.
pub(super) async fn identity(
    context: &ClusterContext,
    snapshot: &Snapshot,
) -> Result<Option<Arc<Cluster>>, MembershipError> {
    if snapshot.cluster.is_some() {
        return Ok(snapshot.cluster.clone());
    }
    let key = context.keys.key(&Key::Cluster);
    if let Some(record) = snapshot.unreadable.get(&key) {
        return Err(MembershipError::NoIdentity { key, why: record.why.clone() });
    }
    let bits = || getrandom::u64().map(u128::from).map_err(|error| MembershipError::NoRandomness(error.to_string()));
    let id = ClusterId::from_bits((bits()? << 64) | bits()?);
    let cluster = Cluster { id, name: context.name.clone() };
    let change = context.keys.put(&Key::Cluster, &cluster);
    let stored = context.store.commit(vec![Precondition::Absent(key)], vec![change]).await?;
    Ok(stored.map(|_| Arc::new(cluster)))
}

/// The unit files on a host that muster did not write, with their states.
pub type Foreign = BTreeMap<UnitName, UnitState>;

/// The units that a host had when it accepted that it belongs to the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Claimed {
    /// Those whose files muster did not write.
    pub(super) foreign: Foreign,
    /// Those whose files muster wrote, maybe for another cluster.
    pub(super) own: BTreeSet<UnitName>,
    /// The name and the id of the cluster from which the host was taken.
    pub(super) taken_from: Option<String>,
}

impl Claimed {
    fn of(seen: Observation) -> Self {
        let own = seen.units.into_iter().flat_map(BTreeMap::into_keys).collect();
        Self { own, foreign: seen.foreign, taken_from: seen.taken_from.map(|cluster| cluster.0) }
    }
}

/// Lets hosts remember the cluster. Returns the units of each in the order given; a place without a machine has none.
pub(super) async fn claim(
    context: &ClusterContext,
    cluster: &Arc<Cluster>,
    machines: impl Iterator<Item = Option<Machine>>,
    take_over: bool,
) -> Result<Vec<Result<Claimed, OwnershipError>>, StoreError> {
    let next = leader_election::check_epoch(&context.store, &context.keys).await?;
    let asked: Vec<_> = machines.map(|machine| claim_one(context, cluster, machine, take_over, next)).collect();
    Ok(stream::iter(asked).buffered(HOSTS_AT_ONCE).collect().await)
}

/// Lets a host remember the cluster. A host that is taken over forgets the leaders that it has seen.
async fn claim_one(
    context: &ClusterContext,
    cluster: &Arc<Cluster>,
    machine: Option<Machine>,
    take_over: bool,
    next: u64,
) -> Result<Claimed, OwnershipError> {
    let Some(machine) = machine else { return Ok(Claimed::default()) };
    let ownership = if take_over { Ownership::TakeOver } else { Ownership::Join };
    let observation = visit(context, cluster, &machine, ownership).await?;
    match observation.as_ref().map_or(0, |observation| observation.epoch) {
        seen if seen > next && !take_over => Err(OwnershipError::LaterLeader { name: machine.name, seen, next }),
        _ => Ok(observation.map_or_else(Claimed::default, Claimed::of)),
    }
}

/// Lets a host that has left forget the cluster. Returns the units that are still there: they belong to no cluster.
pub(super) async fn release(
    context: &ClusterContext,
    cluster: &Arc<Cluster>,
    machine: &Machine,
) -> Result<Foreign, OwnershipError> {
    let observation = visit(context, cluster, machine, Ownership::Leave).await?;
    Ok(observation.map(|seen| seen.foreign).unwrap_or_default())
}

async fn visit(
    context: &ClusterContext,
    cluster: &Arc<Cluster>,
    machine: &Machine,
    ownership: Ownership,
) -> Result<Option<Observation>, OwnershipError> {
    let visit = Visit { machine: Some(machine.id), cluster: Some(cluster.clone()), ownership, ..Visit::default() };
    let target = runner::target(machine);
    let name = || machine.name.clone();
    let report = context.remote.visit(&target, &visit, false, &Progress::default()).await?;
    match report.refused {
        None => Ok(report.observation),
        Some(Refused::OtherCluster(cluster)) => Err(OwnershipError::OtherCluster { name: name(), cluster }),
        Some(refused) => Err(refused.failure(name()).into()),
    }
}
