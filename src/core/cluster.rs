//! The cluster as the store knows it: machines, units, what is wanted and where it was put.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use super::caution::Forced;
use super::judge::Health;
use super::lease::Grant;
use super::time::Timestamp;
use super::unit::Hash;
use super::unit::UnitFile;
use super::unit::UnitName;

/// A machine's identity: the 128 bits of its /etc/machine-id (machine-id(5)).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MachineId(u128);

impl MachineId {
    /// Makes an identity from its 128 bits.
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// Returns the first eight hex digits, which fleet prints for a machine (followed by `...`).
    pub fn short(self) -> String {
        format!("{:08x}", self.0 >> 96)
    }

    /// Returns a number that follows from two identities and looks like chance: it spreads work over machines, and each
    /// time the same way.
    pub const fn mixed_with(self, other: Self) -> u128 {
        let mixed = (self.0 ^ other.0.rotate_left(64)).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        (mixed ^ (mixed >> 67)).wrapping_mul(0xbf58_476d_1ce4_e5b9_94d0_49bb_1331_11eb)
    }
}

/// The text is not a machine-id. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a machine-id: 32 hexadecimal digits are")]
pub struct BadMachineId(String);

impl FromStr for MachineId {
    type Err = BadMachineId;

    fn from_str(text: &str) -> Result<Self, BadMachineId> {
        let valid = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let bits = valid.then(|| u128::from_str_radix(text, 16).ok()).flatten();
        bits.map(Self).ok_or_else(|| BadMachineId(text.chars().take(64).collect()))
    }
}

impl fmt::Display for MachineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for MachineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for MachineId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MachineId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A host that has joined the cluster. The store keeps it under `machines/<id>`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Machine {
    /// Its /etc/machine-id.
    pub id: MachineId,
    /// Its name in the inventory it joined from.
    pub name: String,
    /// How SSH reaches it.
    pub address: Address,
    /// Private keys to offer before any other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identity_files: Vec<PathBuf>,
    /// Jump hosts on the way, as in `ProxyJump`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jump: Option<String>,
    /// What `list-machines` shows: the address's IP if it has one, else its name.
    pub ip: String,
    /// What units select machines by (`MachineMetadata=`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Set when nothing new is to be placed here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cordoned: bool,
    /// Set when what is here is to go elsewhere.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub draining: bool,
    /// When what is still here stops, whether it could go elsewhere or not; never if there is no such time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_by: Option<Timestamp>,
    /// What a leader runs, on its own host, to make sure that the machine is off: success is proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence_command: Option<String>,
    /// `PRETTY_NAME` of its os-release(5).
    #[serde(default)]
    pub os: String,
    /// The major version of its systemd.
    #[serde(default)]
    pub systemd: u32,
}

impl Machine {
    /// Returns what fleet prints for a machine: `3f2f3dd0.../172.17.8.103`, or the whole identity if `full`.
    pub fn legend(&self, full: bool) -> String {
        let id = if full { self.id.to_string() } else { format!("{}...", self.id.short()) };
        if self.ip.is_empty() { id } else { format!("{id}/{}", self.ip) }
    }
}

/// How SSH reaches a host: `ssh://user@host:port`. What is not given is left to ssh_config(5).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Address {
    /// The user to log in as.
    pub user: Option<String>,
    /// A host name, an IP address or an alias of ssh_config(5).
    pub host: String,
    /// The port, 1 to 65535.
    pub port: Option<u16>,
}

/// The text is not an address of the form `ssh://[user@]host[:port]`. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an address: write ssh://[user@]host[:port]")]
pub struct BadAddress(String);

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let bad = || BadAddress(text.chars().take(256).collect());
        let rest = text.strip_prefix("ssh://").ok_or_else(bad)?;
        let (user, rest) = match rest.rsplit_once('@') {
            Some((user, rest)) if !user.is_empty() => (Some(user.to_owned()), rest),
            Some(_) => return Err(bad()),
            None => (None, rest),
        };
        let (host, port) = split_port(rest).ok_or_else(bad)?;
        let clean = |c: char| !c.is_whitespace() && !c.is_control() && c != '/';
        if host.is_empty() || host.starts_with('-') || !host.chars().all(clean) {
            return Err(bad());
        }
        if user.as_deref().is_some_and(|user| user.starts_with('-') || !user.chars().all(clean)) {
            return Err(bad());
        }
        Ok(Self { user, host: host.to_owned(), port })
    }
}

/// Splits `host`, `host:22`, `[v6]` or `[v6]:22`; a bare IPv6 address has no port.
fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    let number = |digits: &str| digits.parse::<u16>().ok().filter(|port| *port != 0);
    if let Some(rest) = text.strip_prefix('[') {
        let (host, tail) = rest.split_once(']')?;
        return match tail.strip_prefix(':') {
            Some(digits) => Some((host, Some(number(digits)?))),
            None if tail.is_empty() => Some((host, None)),
            None => None,
        };
    }
    match text.split_once(':') {
        Some((host, digits)) if !digits.contains(':') => Some((host, Some(number(digits)?))),
        _ => Some((text, None)),
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ssh://")?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?;
        } else {
            f.write_str(&self.host)?;
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl Serialize for Address {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What is wanted of a unit (DSTATE), in fleet's order: each state includes the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DesiredState {
    /// Known to the cluster, on no machine.
    Inactive,
    /// On a machine and known to its systemd, not started by us.
    Loaded,
    /// Started.
    Launched,
}

impl fmt::Display for DesiredState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inactive => "inactive",
            Self::Loaded => "loaded",
            Self::Launched => "launched",
        })
    }
}

/// A unit that was submitted. The store keeps it under `units/<name>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// Which file it is; the text is under `files/<hash>`.
    pub hash: Hash,
    /// What is wanted of it.
    #[serde(rename = "desired")]
    pub desired: DesiredState,
    /// How often a restart was asked for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub restarts: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Unit → machine, with the reason it was chosen. The store keeps it under `placements/<name>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// Where the unit is to be.
    pub machine: MachineId,
    /// The leader that chose it.
    pub epoch: u64,
    /// Why this machine, in words.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

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

/// Everything the store knows of a cluster, at one revision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// How many machines must have joined before anything is placed; 0 if the token was not made with a size.
    pub size: u32,
    /// Who has joined.
    pub machines: BTreeMap<MachineId, Machine>,
    /// What is thought of each machine.
    pub health: BTreeMap<MachineId, Health>,
    /// Whose units the operator wants moved although the leader would not.
    pub forced: BTreeMap<MachineId, Forced>,
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
        let Self { size, machines, forced, files, units, unreadable, .. } = newer;
        *self = Self {
            size,
            machines,
            forced,
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

    /// Says whether every record that a unit depends on could be read. One that is not must be left as it is: what is
    /// wanted of it is not known.
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
    Health(MachineId, Health),
    /// Notes what a machine reported of a unit.
    State(UnitName, MachineId, UnitState),
    /// Forgets what a machine reported of a unit.
    NoState(UnitName, MachineId),
    /// Notes that a machine may hold a lease.
    Lease(MachineId, Grant),
    /// Notes that a machine's lease has ended for sure.
    NoLease(MachineId),
    /// Sets the machines that vote.
    Voters(BTreeSet<MachineId>),
    /// Adds to the log of what was done, and why.
    Log(Event),
}

/// One line of the event log: what was done, to what, why, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// The machine it was done on, if one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<MachineId>,
    /// The unit it was done to, if one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitName>,
    /// What was done, why and how it ended, in one sentence.
    pub what: String,
    /// Set when it is not what was wanted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trouble: bool,
}
