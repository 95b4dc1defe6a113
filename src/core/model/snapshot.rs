//! The records of a cluster at one revision of the store, and the writes of a leader. This module does not access the
//! store.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::Cluster;
use super::Event;
use super::FailoverOverride;
use super::ForeignUnits;
use super::Grant;
use super::Health;
use super::HealthRecord;
use super::Machine;
use super::MachineId;
use super::ObservationTimes;
use super::Placement;
use super::RECENT;
use super::Recipients;
use super::SecretRecord;
use super::Timestamp;
use super::Unit;
use super::UnitState;
use crate::core::secret_name::SecretName;
use crate::core::similar::similar;
use crate::core::unit::Contents;
use crate::core::unit::Hash;
use crate::core::unit::ImageDigest;
use crate::core::unit::UnitFile;
use crate::core::unit::UnitName;
use crate::core::unit::secrets;

/// All records of a cluster, at one revision of the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The identity of the cluster; `None` before the first host has joined.
    pub cluster: Option<Arc<Cluster>>,
    /// How many machines must have joined before units are placed; 0 if the token has no size.
    pub size: u32,
    /// The machines that have joined.
    pub machines: BTreeMap<MachineId, Machine>,
    /// The health of each machine.
    pub health: BTreeMap<MachineId, HealthRecord>,
    /// The machines whose units the operator wants moved against the failover policy.
    pub failover_overrides: BTreeMap<MachineId, FailoverOverride>,
    /// The unit files that [`Self::units`] name.
    pub files: BTreeMap<Hash, Arc<UnitFile>>,
    /// The contents of the files that go with units.
    pub contents: Contents,
    /// The units that were submitted.
    pub units: BTreeMap<UnitName, Unit>,
    /// The placements.
    pub placements: BTreeMap<UnitName, Placement>,
    /// The last state of each unit that each machine reported.
    pub states: BTreeMap<UnitName, BTreeMap<MachineId, UnitState>>,
    /// The unit files on each machine that muster did not write.
    pub foreign: BTreeMap<MachineId, ForeignUnits>,
    /// The leases of machines, granted by any leader.
    pub leases: BTreeMap<MachineId, Grant>,
    /// How many commits have changed units, placements or leases. Hosts remember it: a host that has seen a higher one shows
    /// that the store was restored from a backup.
    pub serial: u64,
    /// The machine that has shown that the store was restored, until a leader that keeps leases has heeded it.
    pub restored: Option<RestorationWitness>,
    /// The machines of which most must answer a leader that renews leases while the store is away.
    pub voters: BTreeSet<MachineId>,
    /// When the machines were last observed; `None` before a leader has observed them.
    pub observed: Option<ObservationTimes>,
    /// The secrets, without their values.
    pub secrets: BTreeMap<SecretName, SecretRecord>,
    /// The recipients of the secrets.
    pub recipients: Recipients,
    /// The records that could not be read, by key. They are missing above, and must not be taken for absent: see
    /// [`Self::is_readable`].
    pub unreadable: BTreeMap<String, Unreadable>,
}

/// A machine that has shown that the store was restored from a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RestorationWitness {
    /// The machine.
    pub machine: MachineId,
    /// The serial that it has seen.
    pub serial: u64,
}

/// A record that cannot be read: a newer muster wrote it, or it was edited by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The subject of the record.
    pub about: About,
    /// Why it cannot be read, in a few words.
    pub why: String,
}

impl Unreadable {
    /// Returns the message about the record with this key.
    pub fn message(&self, key: &str) -> String {
        format!("the record {key} of the store cannot be parsed and is ignored: {}", self.why)
    }
}

/// The subject of a record that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// The size of the cluster. [`Snapshot::size`] is then the largest number, so that no unit is placed.
    Size,
    /// A unit: the record of it, of its placement or of its state.
    Unit(UnitName),
    /// A machine.
    Machine(MachineId),
    /// A unit file.
    File(Hash),
    /// A secret.
    Secret(SecretName),
    /// The leases, or the machines that vote. No strict unit is started while they are not known.
    Leases,
    /// Something on which no unit depends.
    Unknown,
}

impl Snapshot {
    /// Returns the submitted units whose names are similar to a name, the most similar first, at most three.
    pub fn similar_units(&self, name: &UnitName) -> Vec<UnitName> {
        let similar = similar(name.stem(), self.units.keys().map(UnitName::stem));
        let units = similar.into_iter().flat_map(|stem| self.units.keys().filter(move |unit| unit.stem() == stem));
        units.take(3).cloned().collect()
    }

    /// Returns the file of a unit that was submitted.
    pub fn file(&self, name: &UnitName) -> Option<&Arc<UnitFile>> {
        self.files.get(&self.units.get(name)?.hash)
    }

    /// Returns the units that name each secret, whether it is set or not.
    pub fn units_by_secret(&self) -> BTreeMap<SecretName, BTreeSet<UnitName>> {
        let mut units: BTreeMap<SecretName, BTreeSet<UnitName>> = BTreeMap::new();
        for unit in self.units.keys() {
            for secret in self.file(unit).map(|file| secrets(file)).unwrap_or_default() {
                units.entry(secret).or_default().insert(unit.clone());
            }
        }
        units
    }

    /// Returns a machine's name, or the beginning of its machine-id if it is not in the cluster.
    pub fn name_of(&self, machine: MachineId) -> String {
        self.machines.get(&machine).map_or_else(|| format!("{}...", machine.short()), |machine| machine.name.clone())
    }

    /// Returns a machine's name, or its whole machine-id if it is not in the cluster.
    pub fn full_name_of(&self, machine: MachineId) -> String {
        self.machines.get(&machine).map_or_else(|| machine.to_string(), |machine| machine.name.clone())
    }

    /// Returns the submitted unit that systemd knows by the name by which it knows this one, or else this one.
    pub fn unit_of_service(&self, unit: &UnitName) -> UnitName {
        let submitted = unit.with_same_service().into_iter().find(|other| self.units.contains_key(other));
        submitted.unwrap_or_else(|| unit.clone())
    }

    /// Returns when a machine was last observed; `None` if never, as far as the records say.
    pub fn observed_at(&self, machine: MachineId) -> Option<Timestamp> {
        self.health.get(&machine)?;
        self.observed.as_ref()?.of(machine)
    }

    /// Reports whether the states of a machine's units are those that it has now: it was observed just now, and has answered
    /// the last visit.
    pub fn is_current(&self, machine: MachineId, now: Timestamp) -> bool {
        let answers = |record: &HealthRecord| matches!(record.health, Health::Alive | Health::PathFault);
        let is_behind = self.observed.as_ref().is_some_and(|times| times.behind.contains_key(&machine));
        let is_answered = self.health.get(&machine).is_some_and(answers) && !is_behind;
        is_answered && self.observed_at(machine).is_some_and(|at| now.since(at) <= RECENT)
    }

    /// Takes the records that other processes than the leader write from a newer snapshot.
    pub fn renew(&mut self, newer: Self) {
        *self = Self {
            cluster: newer.cluster,
            size: newer.size,
            machines: newer.machines,
            failover_overrides: newer.failover_overrides,
            files: newer.files,
            contents: newer.contents,
            units: newer.units,
            secrets: newer.secrets,
            recipients: newer.recipients,
            unreadable: newer.unreadable,
            // A machine that leaves takes these records with it. If it has joined again, they are written anew.
            health: kept(&mut self.health, &newer.health),
            placements: std::mem::take(&mut self.placements),
            states: std::mem::take(&mut self.states),
            foreign: kept(&mut self.foreign, &newer.foreign),
            leases: std::mem::take(&mut self.leases),
            serial: self.serial,
            restored: self.restored,
            voters: std::mem::take(&mut self.voters),
            observed: self.observed.take(),
        };
    }

    /// Applies a write.
    pub fn apply(&mut self, write: Write) {
        match write {
            Write::Place(unit, placement) => {
                self.placements.insert(unit, placement);
            }
            Write::Unplace(unit) => {
                self.placements.remove(&unit);
            }
            Write::Health(machine, health) => {
                self.health.insert(machine, health);
            }
            Write::NoFailoverOverride(machine) => {
                self.failover_overrides.remove(&machine);
            }
            Write::State(unit, machine, state) => {
                self.states.entry(unit).or_default().insert(machine, state);
            }
            Write::NoState(unit, machine) => {
                if let Some(states) = self.states.get_mut(&unit) {
                    states.remove(&machine);
                    if states.is_empty() {
                        self.states.remove(&unit);
                    }
                }
            }
            Write::Foreign(machine, foreign) if foreign.count == 0 => drop(self.foreign.remove(&machine)),
            Write::Foreign(machine, foreign) => drop(self.foreign.insert(machine, foreign)),
            Write::Lease(machine, grant) => {
                self.leases.insert(machine, grant);
            }
            Write::NoLease(machine) => {
                self.leases.remove(&machine);
            }
            Write::Serial(serial) => self.serial = serial,
            Write::Restored(witness) => self.restored = witness,
            Write::Voters(voters) => self.voters = voters,
            Write::Observed(times) => self.observed = Some(times),
            Write::Image(..) | Write::Log(_) => {}
        }
    }

    /// Reports whether every record that a unit depends on could be read. A unit with an unreadable record must be left
    /// as it is, because its desired state is not known.
    pub fn is_readable(&self, unit: &UnitName) -> bool {
        self.unreadable_of(unit).next().is_none()
    }

    /// Returns the records that a unit depends on and that could not be read.
    pub fn unreadable_of<'a>(&'a self, unit: &UnitName) -> impl Iterator<Item = (&'a String, &'a Unreadable)> {
        let any = !self.unreadable.is_empty();
        let hash = any.then(|| self.units.get(unit)).flatten().map(|unit| unit.hash);
        let machine = any.then(|| self.placements.get(unit)).flatten().map(|placement| placement.machine);
        self.unreadable.iter().filter(move |(_, record)| match &record.about {
            About::Unit(name) => name == unit,
            About::Machine(id) => Some(*id) == machine,
            About::File(file) => Some(*file) == hash,
            About::Secret(name) => self.file(unit).is_some_and(|file| secrets(file).contains(name)),
            About::Size | About::Leases | About::Unknown => false,
        })
    }
}

/// Returns the records of the machines that have one in a newer snapshot too.
fn kept<V>(known: &mut BTreeMap<MachineId, V>, newer: &BTreeMap<MachineId, V>) -> BTreeMap<MachineId, V> {
    let mut known = std::mem::take(known);
    known.retain(|machine, _| newer.contains_key(machine));
    known
}

/// A change to the store that a leader decided. It is written only while the leader still leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Places a unit on a machine.
    Place(UnitName, Placement),
    /// Takes a unit off its machine.
    Unplace(UnitName),
    /// Records the health of a machine.
    Health(MachineId, HealthRecord),
    /// Records the state of a unit that a machine reported.
    State(UnitName, MachineId, UnitState),
    /// Removes the state of a unit on a machine.
    NoState(UnitName, MachineId),
    /// Records the foreign units of a machine, or that it has none.
    Foreign(MachineId, ForeignUnits),
    /// Records that a machine may hold a lease.
    Lease(MachineId, Grant),
    /// Removes the record of a lease that has certainly ended.
    NoLease(MachineId),
    /// Records how many commits were counted, see [`Snapshot::serial`].
    Serial(u64),
    /// Records or removes the sign that the store was restored, see [`Snapshot::restored`].
    Restored(Option<RestorationWitness>),
    /// Records the machines that vote, see [`Snapshot::voters`].
    Voters(BTreeSet<MachineId>),
    /// Records when the machines were last observed.
    Observed(ObservationTimes),
    /// Removes a failover override whose machine has answered.
    NoFailoverOverride(MachineId),
    /// Records with which image a container has run whose file had this hash.
    Image(UnitName, Hash, ImageDigest),
    /// Adds an event to the log.
    Log(Event),
}
