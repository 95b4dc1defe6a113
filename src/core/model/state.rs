//! What a machine's systemd reports of a unit.

use serde::Deserialize;
use serde::Serialize;

use super::DesiredState;
use super::unit::is_zero;
use crate::core::unit::Hash;

/// What a machine's systemd last said of a unit. The store keeps it under `states/<unit>/<machine>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitState {
    /// systemd's LOAD: `loaded`, `not-found`, `bad-setting`, `error`, `masked` …
    pub load: String,
    /// systemd's ACTIVE: `active`, `inactive`, `failed`, `activating` …
    pub active: String,
    /// systemd's SUB: `running`, `dead`, `exited` …
    pub sub: String,
    /// The hash of the file on the machine.
    pub hash: Hash,
    /// Set when muster has started it there since the file was put there.
    pub launched: bool,
    /// The last of [`Unit::restarts`] that was carried out there.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub restarts: u64,
}

impl UnitState {
    /// Says whether something of the unit runs, or is about to.
    pub fn runs(&self) -> bool {
        matches!(self.active.as_str(), "active" | "activating" | "reloading" | "deactivating")
    }

    /// Says whether systemd is still on its way to another state.
    pub fn is_changing(&self) -> bool {
        matches!(self.active.as_str(), "activating" | "reloading" | "deactivating")
    }

    /// Says how far the unit has come on this machine, in fleet's words (STATE).
    pub const fn reached(&self) -> DesiredState {
        if self.launched { DesiredState::Launched } else { DesiredState::Loaded }
    }
}
