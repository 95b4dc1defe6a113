//! Failover overrides: an operator's decision against the failover policy. Assessment applies them; nothing is decided
//! here.

use serde::Deserialize;
use serde::Serialize;

use super::Timestamp;

/// An operator's order that the units of a machine move unless it is alive, whatever the failover policy says. The store
/// keeps it under `failover-overrides/<id>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailoverOverride {
    /// When it was given. It ends as soon as the machine has answered after this.
    pub given: Timestamp,
    /// When it ends at the latest.
    pub until: Timestamp,
    /// The operator that gave it.
    pub by: String,
}
