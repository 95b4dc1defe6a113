//! Visits: the order that is sent to a host, and the report that comes back. These values must not depend on SSH: the
//! remote layer turns an order into a script and parses the report.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretSlice;
use serde::Deserialize;
use serde::Serialize;

use super::Action;
use super::Cluster;
use super::FailureKind;
use super::LeaseAction;
use super::LeaseStatus;
use super::Ownership;
use super::Phase;
use crate::core::model::Failure;
use crate::core::model::MachineId;
use crate::core::model::Step;
use crate::core::model::UnitState;
use crate::core::secret_name::SecretName;
use crate::core::unit::Contents;
use crate::core::unit::Hash;
use crate::core::unit::ImageDigest;
use crate::core::unit::UnitFile;
use crate::core::unit::UnitName;

/// One round trip to one host: steps, then an observation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Visit {
    /// The machine-id that the host must have. A host with another machine-id does nothing and says so.
    pub machine: Option<MachineId>,
    /// The cluster that visits. A host of another cluster does nothing and says so.
    pub cluster: Option<Arc<Cluster>>,
    /// What to do about the cluster that the host belongs to. A visit that changes it does nothing else.
    pub ownership: Ownership,
    /// The leader's epoch. A host that has seen a higher epoch does nothing and says so. Visits without steps carry it
    /// too.
    pub epoch: u64,
    /// The serial of the store, see [`super::Snapshot::serial`]. The host remembers the highest one.
    pub serial: u64,
    /// The number of the visit among those of this leader that may change something on the host; 0 for a visit that is
    /// not counted. A host that has begun this visit or a later one of the same leader does nothing. So a visit that is
    /// delivered twice is carried out once, and one that was overtaken is not carried out.
    pub number: u64,
    /// Set for a visit by a process that does not lead: it changes nothing on the host, not even the recorded leader.
    pub read_only: bool,
    /// When the visit is too late: the host refuses a script that was delayed until then.
    pub expires: Option<Expiry>,
    /// What to do about the machine's lease before the steps.
    pub lease: Option<LeaseAction>,
    /// Set when the visit must wait for the steps of an earlier visit that may still run there.
    pub barrier: bool,
    /// Set when the host's systemd must be reloaded for every new file, not only for files that it knew before.
    pub reload: bool,
    /// Set when the host had no room for a unit file: a visit without steps reports whether it has room again.
    pub asks_for_room: bool,
    /// The variables of the machine that the units of the host may read, see [`super::Machine::variables`]; empty if they are not
    /// known.
    pub machine_variables: String,
    /// The steps, in the order in which they are taken.
    pub steps: Vec<Step>,
    /// The unit files that the steps name.
    pub files: BTreeMap<Hash, Arc<UnitFile>>,
    /// The contents of the files that go with these units.
    pub contents: Contents,
    /// The secrets of these units.
    pub secrets: SecretValues,
}

/// The values of secrets, or for each the reason why there is none. They are not in a `Debug` output.
#[derive(Debug, Clone, Default)]
pub struct SecretValues(BTreeMap<SecretName, Result<Arc<SecretSlice<u8>>, String>>);

impl SecretValues {
    /// Adds a secret.
    pub fn insert(&mut self, name: SecretName, value: Result<Arc<SecretSlice<u8>>, String>) {
        self.0.insert(name, value);
    }

    /// Returns the value of a secret.
    pub fn get(&self, name: &SecretName) -> Option<&Result<Arc<SecretSlice<u8>>, String>> {
        self.0.get(name)
    }
}

/// Two are equal if they have the same secrets. The values are not compared.
impl PartialEq for SecretValues {
    fn eq(&self, other: &Self) -> bool {
        self.0.keys().eq(other.0.keys())
    }
}

impl Eq for SecretValues {}

impl Visit {
    /// Returns the units that the steps stop, which may take long.
    pub fn stops(&self) -> impl Iterator<Item = &UnitName> {
        let stops = |step: &&Step| {
            matches!(step.action, Action::Stop | Action::Unload | Action::Restart { .. } | Action::Reload { .. })
        };
        self.steps.iter().filter(stops).map(|step| &step.unit)
    }
}

/// A point in time on a host's own clock: its boot and its uptime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    /// The boot: /proc/sys/kernel/random/boot_id. In any other boot it is too late.
    pub boot: String,
    /// The uptime.
    pub uptime: Duration,
}

/// What a host reported about itself.
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
    /// The highest serial that it has seen before; 0 after a boot.
    pub serial: u64,
    /// The status of its lease, if the visit was about the lease.
    pub lease: Option<LeaseStatus>,
    /// How long the host's systemd took to renew the lease, if the visit renewed it.
    pub renewal: Option<Duration>,
    /// Set if the visit asked and the host has room for unit files.
    pub has_room: bool,
    /// The other cluster from which the visit took the host.
    pub taken_from: Option<Box<ClusterOfHost>>,
    /// Every unit file under /run/fleet/units that muster wrote, with its state in systemd; `None` if nothing seems to
    /// have changed since the last observation over this connection.
    pub units: Option<BTreeMap<UnitName, UnitState>>,
    /// The unit files there that muster did not write, if `units` are known.
    pub foreign: BTreeMap<UnitName, UnitState>,
    /// The images with which the containers ran that the visit has unloaded.
    pub images: BTreeMap<UnitName, ImageDigest>,
}

impl Observation {
    /// Makes the observation of a host about which only this is known.
    pub fn new(machine: MachineId, boot: String, uptime: Duration, epoch: u64, serial: u64) -> Self {
        let (lease, renewal, has_room, taken_from) = (None, None, false, None);
        let (units, foreign, images) = (None, BTreeMap::new(), BTreeMap::new());
        Self { machine, boot, uptime, epoch, serial, lease, renewal, has_room, taken_from, units, foreign, images }
    }
}

/// The name and the id of a cluster, as a host remembers them. Another program may have written them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterOfHost(pub String);

/// Why a host did nothing that the visit ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// Another machine answers at the address: its machine-id.
    OtherMachine(String),
    /// The host belongs to another cluster: its id and name.
    OtherCluster(String),
    /// A leader with this higher epoch has visited the host.
    LaterLeader(u64),
    /// The visit came too late.
    TooLate,
    /// Another visit holds the host's lock.
    Busy,
    /// The host cannot be managed, for this reason.
    Unfit(&'static str),
}

impl Refused {
    /// Returns the failure of the visit to the host called `host`. Only the store decides which process leads and which
    /// cluster has a host, because a host may lie. So a host that refuses counts as sick.
    pub fn failure(&self, host: String) -> Failure {
        let (kind, detail) = match self {
            Self::OtherMachine(id) => (FailureKind::WrongMachine, format!("machine {id} answers at its address")),
            Self::OtherCluster(name) => (FailureKind::Sick, format!("it belongs to another cluster: {name}")),
            Self::LaterLeader(epoch) => (
                FailureKind::Sick,
                format!("a later leader, with epoch {epoch}, manages it, and the store does not know that leader"),
            ),
            Self::TooLate => (FailureKind::Sick, "the visit arrived too late".to_owned()),
            Self::Busy => (FailureKind::Sick, "another visit or program holds the host's lock".to_owned()),
            Self::Unfit(why) => (FailureKind::Sick, (*why).to_owned()),
        };
        let hint = match self {
            Self::OtherCluster(_) => Some(
                "`muster leave --force` forgets the machine, `muster failover --force` moves its units to other machines, and \
                 `muster join --take-over` takes it back.",
            ),
            Self::LaterLeader(_) => Some(
                "If no other muster manages the host: `muster join --take-over` with its name lets it obey this cluster again.",
            ),
            Self::Busy => Some(
                "A visit holds the lock while units stop. If it stays held: `fuser -v /run/muster/lock` on the host shows which \
                 process holds it.",
            ),
            _ => None,
        };
        Failure { host, phase: Phase::Run, kind, detail, hint: hint.map(str::to_owned) }
    }
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Done,
    /// It began, and the visit could not wait for its end.
    Begun,
    /// It was tried and failed; the text is the host's.
    Failed(String),
    /// The connection ended first. The step may have been done: the next observation shows it.
    Lost(Failure),
}

/// The report of a visit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How each step ended, in the order of [`Visit::steps`]; empty if the host refused.
    pub outcomes: Vec<Outcome>,
    /// Set when the host did nothing.
    pub refused: Option<Refused>,
    /// The state of the host afterwards; missing only if it refused before it gave its machine-id.
    pub observation: Option<Observation>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_obeys_a_later_leader_counts_as_sick_and_the_hint_names_the_way_out() {
        let failure = Refused::LaterLeader(9).failure("h1".to_owned());
        assert_eq!((failure.kind, failure.phase, failure.host.as_str()), (FailureKind::Sick, Phase::Run, "h1"));
        let detail = "a later leader, with epoch 9, manages it, and the store does not know that leader";
        assert_eq!(failure.detail, detail);
        assert!(failure.hint.unwrap().contains("`muster join --take-over`"));
    }
}
