//! Failover overrides: an operator's decision against the failover policy. Assessment applies them; nothing is decided
//! here.

use serde::Deserialize;
use serde::Serialize;

use super::Timestamp;

/// An operator's order that the units of a machine move unless it is alive, whatever the failover policy says. The store
/// keeps it under `failover-overrides/<id>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailoverOverride {
    /// When it ends.
    pub until: Timestamp,
    /// The operator that gave it.
    pub by: String,
}
