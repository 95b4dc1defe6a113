//! The cluster as the store knows it at one revision, and the changes that a leader decides.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::Event;
use super::FailoverOverride;
use super::Grant;
use super::HealthRecord;
use super::Machine;
use super::MachineId;
use super::Placement;
use super::Unit;
use super::UnitState;
use crate::core::unit::Hash;
use crate::core::unit::UnitFile;
use crate::core::unit::UnitName;

/// Everything the store knows of a cluster, at one revision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// How many machines must have joined before anything is placed; 0 if the token was not made with a size.
    pub size: u32,
    /// Who has joined.
    pub machines: BTreeMap<MachineId, Machine>,
    /// What is thought of each machine.
    pub health: BTreeMap<MachineId, HealthRecord>,
    /// Whose units the operator wants moved although the leader would not.
    pub failover_overrides: BTreeMap<MachineId, FailoverOverride>,
    /// The unit files that [`Self::units`] name.
    pub files: BTreeMap<Hash, Arc<UnitFile>>,
    /// What was submitted.
    pub units: BTreeMap<UnitName, Unit>,
    /// What was put where.
    pub placements: BTreeMap<UnitName, Placement>,
    /// What was last reported of each unit by each machine.
    pub states: BTreeMap<UnitName, BTreeMap<MachineId, UnitState>>,
    /// Which machines may run strict units, whoever granted it.
    pub leases: BTreeMap<MachineId, Grant>,
    /// The machines of which most must have answered a leader that renews leases while the store is away.
    pub voters: BTreeSet<MachineId>,
    /// Records that are there and could not be read, by their key. They are absent above, and must not be taken for
    /// absent: see [`Self::is_readable`].
    pub unreadable: BTreeMap<String, Unreadable>,
}

/// A record that a newer muster wrote, or somebody's hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// What it is about.
    pub about: About,
    /// Why it cannot be read, in a few words.
    pub why: String,
}

/// What a record is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// The size of the cluster; [`Snapshot::size`] is then the largest number there is, so that nothing is placed.
    Size,
    /// A unit: the record of it, of its placement or of its state.
    Unit(UnitName),
    /// A machine.
    Machine(MachineId),
    /// A unit file.
    File(Hash),
    /// Who may run strict units: while that is not known, none is started.
    Leases,
    /// Something on which no unit depends.
    Unknown,
}

impl Snapshot {
    /// Returns the file of a unit that was submitted.
    pub fn file(&self, name: &UnitName) -> Option<&Arc<UnitFile>> {
        self.files.get(&self.units.get(name)?.hash)
    }

    /// Returns a machine's name, or the beginning of its identity if it is none of the cluster's.
    pub fn name_of(&self, machine: MachineId) -> String {
        self.machines.get(&machine).map_or_else(|| format!("{}...", machine.short()), |machine| machine.name.clone())
    }

    /// Takes in what others than the leader write, from a newer snapshot.
    pub fn renew(&mut self, newer: Self) {
        let Self { size, machines, failover_overrides, files, units, unreadable, .. } = newer;
        *self = Self {
            size,
            machines,
            failover_overrides,
            files,
            units,
            unreadable,
            health: std::mem::take(&mut self.health),
            placements: std::mem::take(&mut self.placements),
            states: std::mem::take(&mut self.states),
            leases: std::mem::take(&mut self.leases),
            voters: std::mem::take(&mut self.voters),
        };
    }

    /// Takes in a write that the store has taken.
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
            Write::Lease(machine, grant) => {
                self.leases.insert(machine, grant);
            }
            Write::NoLease(machine) => {
                self.leases.remove(&machine);
            }
            Write::Voters(voters) => self.voters = voters,
            Write::Log(_) => {}
        }
    }

    /// Reports whether every record that a unit depends on could be read. One that is not must be left as it is: what
    /// is wanted of it is not known.
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
            About::Size | About::Leases | About::Unknown => false,
        })
    }
}

/// One change to the store that a leader decided. Each is written only while it still leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Puts a unit on a machine.
    Place(UnitName, Placement),
    /// Takes a unit off its machine.
    Unplace(UnitName),
    /// Notes what is thought of a machine.
    Health(MachineId, HealthRecord),
    /// Notes what a machine reported of a unit.
    State(UnitName, MachineId, UnitState),
    /// Forgets what a machine reported of a unit.
    NoState(UnitName, MachineId),
    /// Records that a machine may hold a lease.
    Lease(MachineId, Grant),
    /// Records that a machine's lease has ended for sure.
    NoLease(MachineId),
    /// Sets the machines that vote.
    Voters(BTreeSet<MachineId>),
    /// Adds to the log of what was done, and why.
    Log(Event),
}
