//! Leases as records and as parts of a visit.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use super::Timestamp;
use crate::core::unit::UnitName;

/// What a machine needs a lease for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Need {
    /// The strict units that are to run there, or do.
    pub units: BTreeSet<UnitName>,
    /// How long the slowest of them may take to stop.
    pub stop: Duration,
}

impl Need {
    /// Adds a unit.
    pub fn add(&mut self, unit: UnitName, stop: Duration) {
        self.units.insert(unit);
        self.stop = self.stop.max(stop);
    }

    /// Adds what a record covers already.
    pub fn join(&mut self, grant: &Grant) {
        self.units.extend(grant.units.iter().cloned());
        self.stop = self.stop.max(grant.stop);
    }
}

/// The record that a machine may hold a lease, so that strict units may run there. It is written before anything is
/// sent and goes when the lease has ended for sure. The store keeps it under `leases/<id>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The leader that granted it.
    pub epoch: u64,
    /// How far beyond the moment it is sent a renewal may reach.
    pub length: Duration,
    /// How long the strict units there may take to stop.
    pub stop: Duration,
    /// Which strict units may have been told to run there: no others wait for the end of this lease.
    pub units: BTreeSet<UnitName>,
    /// Until when it lasts if it is not renewed in this record; `None` if its leader renews it without saying so here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Set while the machine does not answer: when its strict units are gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_for_sure_at: Option<Timestamp>,
}

impl Grant {
    /// Says whether a controller may go on renewing the lease: nobody counts on its end.
    pub const fn is_open(&self) -> bool {
        self.until.is_none() && self.stopped_for_sure_at.is_none()
    }

    /// Says whether the record allows all that is needed.
    pub fn covers(&self, need: &Need) -> bool {
        self.stop >= need.stop && self.units.is_superset(&need.units)
    }
}

/// What a visit does about a machine's lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseAction {
    /// Lets it last until this uptime of the host.
    Hold {
        /// The host's uptime at which it ends.
        until: Duration,
        /// How long after its arrival it ends in any case.
        length: Duration,
    },
    /// Ends it: no strict unit is left there.
    Release,
}

impl LeaseAction {
    /// Returns what comes of it on a host that does as it is told.
    pub const fn granted(&self) -> LeaseStatus {
        match self {
            Self::Hold { .. } => LeaseStatus::Held,
            Self::Release => LeaseStatus::Released,
        }
    }
}

/// What came of a lease on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseStatus {
    /// It was held and goes on.
    Held,
    /// It was not held, and is now: what had been stopped for want of it counts as never started.
    Granted,
    /// It is not held, as asked for.
    Released,
    /// The host would not: another boot, too late, or systemd refused.
    Refused(LeaseRefusal),
}

/// Why a host would not hold a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseRefusal {
    /// The order came after the time until which the lease was to last.
    TooLate,
    /// /run cannot be written.
    Unwritable,
    /// systemd would not start the units that hold the lease.
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
