//! What playbooks ask of the cluster: the same reconciler as the commands, so that there is no second path to a host's units.

use std::collections::BTreeMap;

use crate::core::unit::UnitFile;
use crate::core::unit::UnitName;
use crate::remote::Target;

/// What is wanted of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum UnitGoal {
    /// Known to the cluster, on no machine for all we care.
    Submitted,
    /// On a machine, known to its systemd.
    Loaded,
    /// Started.
    Started,
    /// On a machine, not running.
    Stopped,
    /// Not known to the cluster.
    Absent,
    /// Started, and started anew if it was before.
    Restarted,
}

/// A unit with what is wanted of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitOrder {
    /// Which unit.
    pub name: UnitName,
    /// What is wanted.
    pub goal: UnitGoal,
    /// Its file, if the playbook brings it; the cluster's own otherwise.
    pub file: Option<UnitFile>,
}

/// A host that is to be in the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinOrder {
    /// How SSH reaches it.
    pub target: Target,
    /// What units may select it by.
    pub metadata: BTreeMap<String, String>,
    /// What makes sure that it is off.
    pub fence_command: Option<String>,
}

/// What came of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fulfilled {
    /// Whether something changed.
    pub changed: bool,
    /// What is so now, a sentence without a full stop.
    pub what: String,
}

/// Why an order was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfulfilled {
    /// It was tried and did not work, or cannot.
    Failed(String),
    /// The store, or the host that it is about, cannot be reached.
    Unreachable(String),
}

/// The cluster, as playbooks see it.
#[async_trait::async_trait]
pub trait Cluster: Send + Sync {
    /// Makes all of these true in one reconciler, and says of each what came of it, in order. With `check` it only says what would.
    async fn units(&self, orders: &[UnitOrder], check: bool) -> Vec<Result<Fulfilled, Unfulfilled>>;

    /// Joins these hosts into the cluster, and says of each what came of it, in order. With `check` it only says what would.
    async fn join(&self, orders: &[JoinOrder], check: bool) -> Vec<Result<Fulfilled, Unfulfilled>>;
}
