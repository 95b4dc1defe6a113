//! Leases: the records in the store, and what a visit does about the lease of a machine. [`crate::core::reconcile`]
//! decides which machine is granted a lease.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use super::Timestamp;
use crate::core::unit::UnitName;

/// The strict units for which a machine needs a lease.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Need {
    /// The strict units that belong there or run there.
    pub units: BTreeSet<UnitName>,
    /// Whether any other strict unit may run there too.
    pub unknown: bool,
    /// How long the slowest of them may take to stop.
    pub stop: Duration,
    /// How much longer the machine's systemd may take for all of that than a systemd that is not slow.
    pub slack: Duration,
}

impl Need {
    /// Adds a unit.
    pub fn add(&mut self, unit: UnitName, stop: Duration) {
        self.units.insert(unit);
        self.stop = self.stop.max(stop);
    }

    /// Adds the units that a record covers already.
    pub fn join(&mut self, grant: &Grant) {
        self.units.extend(grant.units.iter().cloned());
        self.unknown |= grant.unknown;
        self.stop = self.stop.max(grant.stop);
        self.slack = self.slack.max(grant.slack);
    }
}

/// A record that a machine may hold a lease, so that strict units may run there. The leader stores it before it sends
/// anything and removes it when the lease has certainly ended. The store keeps it under `leases/<id>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The leader that granted it.
    pub epoch: u64,
    /// How long a renewal lasts after it is sent.
    pub length: Duration,
    /// How long the strict units there may take to stop.
    pub stop: Duration,
    /// How much longer the machine's slow systemd may take.
    #[serde(default, skip_serializing_if = "Duration::is_zero")]
    pub slack: Duration,
    /// The strict units that may have been started there. Only these units wait for the end of this lease.
    pub units: BTreeSet<UnitName>,
    /// Whether the lease may be for any other strict unit too: the store was restored from a backup, which may lack the
    /// unit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unknown: bool,
    /// When it ends unless this record is renewed; `None` if its leader renews the lease without updating the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// When the strict units have certainly stopped; set only while the machine does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_for_sure_at: Option<Timestamp>,
}

impl Grant {
    /// Reports whether a controller may go on renewing the lease: no other leader has recorded when it ends.
    pub const fn is_open(&self) -> bool {
        self.until.is_none() && self.stopped_for_sure_at.is_none()
    }

    /// Reports whether the record covers all units of a need.
    pub fn covers(&self, need: &Need) -> bool {
        let times = self.stop >= need.stop && self.slack >= need.slack;
        times && self.unknown >= need.unknown && self.units.is_superset(&need.units)
    }

    /// Reports whether a unit may have been started there under this lease.
    pub fn may_run(&self, unit: &UnitName, is_strict: bool) -> bool {
        self.unknown && is_strict || self.units.contains(unit)
    }
}

/// What a visit does about a machine's lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseAction {
    /// Grants or renews it until this uptime of the host.
    Hold {
        /// The host's uptime at which it ends.
        until: Duration,
        /// How long after the visit arrives it ends at the latest.
        length: Duration,
    },
    /// Ends it, because no strict unit is on the machine any more.
    Release,
}

impl LeaseAction {
    /// Returns the status that a host without faults reports afterwards.
    pub const fn granted(&self) -> LeaseStatus {
        match self {
            Self::Hold { .. } => LeaseStatus::Held,
            Self::Release => LeaseStatus::Released,
        }
    }
}

/// The status of a lease on the host after a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseStatus {
    /// It was held and was renewed.
    Held,
    /// It was not held, and is now. The units that had stopped with the former lease count as not started.
    Granted,
    /// It is not held, as ordered.
    Released,
    /// The host refused it.
    Refused(LeaseRefusal),
}

/// Why a host refused a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseRefusal {
    /// The order came after the time until which the lease was to last.
    TooLate,
    /// /run cannot be written.
    Unwritable,
    /// systemd did not start the units that hold the lease.
    NotStarted,
}

impl fmt::Display for LeaseRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLate => "the visit came too late for it",
            Self::Unwritable => "/run cannot be written: is it full?",
            Self::NotStarted => "systemd did not start muster-lease.service",
        })
    }
}
