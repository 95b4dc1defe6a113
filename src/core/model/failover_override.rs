//! The operator's decision to move units although the failover policy would not.

use serde::Deserialize;
use serde::Serialize;

use super::Timestamp;

/// The operator's word that a machine's units are to be moved. The store keeps it under `forced/<id>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailoverOverride {
    /// Until when it counts.
    pub until: Timestamp,
    /// Whose word it is.
    pub by: String,
}
