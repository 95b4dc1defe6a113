//! What a visit to a host is asked to do, and what it brings back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use super::LeaseAction;
use super::LeaseStatus;
use crate::core::model::Failure;
use crate::core::model::MachineId;
use crate::core::model::Step;
use crate::core::model::UnitState;
use crate::core::unit::Hash;
use crate::core::unit::UnitFile;
use crate::core::unit::UnitName;

/// One trip to one host: steps, then an observation, in one round trip.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Visit {
    /// Who must be there: a host with another machine-id does nothing and says so.
    pub machine: Option<MachineId>,
    /// The leader's number. A host that has seen a higher one does nothing and says so. Visits without steps carry it too.
    pub epoch: u64,
    /// Which of this leader's visits it is, among those that may change something on the host; 0 for one that is not
    /// counted. A host that has begun this one or a later one of the same leader does nothing: what is delivered twice is
    /// done once, and what was overtaken is not done at all.
    pub number: u64,
    /// Set for a look by somebody who does not lead: it changes nothing on the host, and whoever led there still does.
    pub read_only: bool,
    /// When it is too late for the host to obey: a script that was stuck in a buffer is refused.
    pub expires: Option<Expiry>,
    /// What to do about the machine's lease, before the steps.
    pub lease: Option<LeaseAction>,
    /// Set when it must not wait long for units to stop: a lease has to be renewed meanwhile.
    pub no_wait: bool,
    /// Set when a look must wait for whatever an earlier visit still does there.
    pub barrier: bool,
    /// Whether the host's systemd must be told of every new file, or only of those that it knew before.
    pub reload: bool,
    /// What to do, in this order.
    pub steps: Vec<Step>,
    /// The texts of the files that the steps name.
    pub files: BTreeMap<Hash, Arc<UnitFile>>,
}

/// A moment in the life of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    /// The boot: /proc/sys/kernel/random/boot_id. In any other it is too late.
    pub boot: String,
    /// How long the host has then been up.
    pub uptime: Duration,
}

/// What a host said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// Its /etc/machine-id.
    pub machine: MachineId,
    /// Its boot: /proc/sys/kernel/random/boot_id.
    pub boot: String,
    /// How long it has been up.
    pub uptime: Duration,
    /// The highest epoch it has seen; 0 after a boot.
    pub epoch: u64,
    /// What came of its lease, if the visit was about it.
    pub lease: Option<LeaseStatus>,
    /// Every unit file under /run/fleet/units, with what systemd says of it; `None` if nothing seems to have changed
    /// since the last look over this connection.
    pub units: Option<BTreeMap<UnitName, UnitState>>,
}

/// Why a host did nothing of what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// Another machine answers at the address: its machine-id.
    OtherMachine(String),
    /// A leader with this higher number has been there.
    LaterLeader(u64),
    /// The visit came too late.
    TooLate,
    /// Another visit holds the host's lock.
    Busy,
    /// The host cannot be managed, and why.
    Unfit(&'static str),
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was true before.
    AlreadyTrue,
    /// It was begun, and the visit could not wait for its end.
    Begun,
    /// It was tried and refused; what the host said is attached.
    Failed(String),
    /// The connection died first. It may have been done; only the next observation tells.
    Lost(Failure),
}

/// What a visit brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How each step ended, in the order of [`Visit::steps`]; empty if the host refused.
    pub outcomes: Vec<Outcome>,
    /// Set when the host did nothing.
    pub refused: Option<Refused>,
    /// What the host looked like afterwards; missing only if it refused before it said who it is.
    pub observation: Option<Observation>,
}
