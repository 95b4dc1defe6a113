//! The keys of a cluster's records.

use super::Keyspace;
use crate::core::model::MachineId;
use crate::core::secret_name::SecretName;
use crate::core::unit::Hash;
use crate::core::unit::UnitName;
use crate::store::WatchEvent;

/// The key of one record, by the kind of the record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// The number of machines that the cluster starts with, in decimal.
    Size,
    /// The cluster's identity: a [`crate::core::model::Cluster`].
    Cluster,
    /// A machine in the registry: `name=ssh://address`.
    Member(MachineId),
    /// A [`crate::core::model::Machine`].
    Machine(MachineId),
    /// A [`crate::core::model::HealthRecord`].
    Health(MachineId),
    /// A [`crate::core::model::FailoverOverride`].
    FailoverOverride(MachineId),
    /// The text of a unit file.
    File(Hash),
    /// The content of a file that goes with units.
    Content(Hash),
    /// A [`crate::core::model::Unit`].
    Unit(UnitName),
    /// A [`crate::core::model::Placement`].
    Placement(UnitName),
    /// A [`crate::core::model::UnitState`].
    State(UnitName, MachineId),
    /// The [`crate::core::model::ForeignUnits`] of a machine.
    Foreign(MachineId),
    /// A [`crate::core::model::Grant`].
    Lease(MachineId),
    /// How many commits were counted, in decimal.
    Serial,
    /// A [`crate::core::model::RestorationWitness`].
    Restored,
    /// The machines that vote, as a list.
    Voters,
    /// A [`crate::core::model::ObservationTimes`].
    Observed,
    /// A [`crate::store::leader_election::LeaderRecord`], which a lease holds.
    Leader,
    /// The highest epoch so far, in decimal.
    Epoch,
    /// A [`crate::core::model::SecretRecord`].
    Secret(SecretName),
    /// The encrypted value of a secret, as [`crate::secret::seal`] makes it.
    SecretValue(SecretName),
    /// The [`crate::core::model::Recipients`] of the secrets.
    SecretRecipients,
    /// A [`crate::core::model::Event`], under a name that sorts by time.
    Event(String),
    /// The [`crate::core::alert::Ledger`] of the receiver of alerts with this name.
    Alerts(String),
    /// A file that a unit had before, with the contents of the files that went with it.
    Version(UnitName, Hash),
    /// The digest of the image with which a container ran whose file had this hash.
    Image(UnitName, Hash),
}

impl Keyspace {
    /// Returns the text of a key.
    pub fn key(&self, key: &Key) -> String {
        let (registry, cluster, events, values) = (&self.registry, &self.cluster, &self.events, &self.secret_values);
        match key {
            Key::Size => format!("{registry}_config/size"),
            Key::Cluster => format!("{cluster}identity"),
            Key::Member(id) => format!("{registry}members/{id}"),
            Key::Machine(id) => format!("{}{id}", self.machines()),
            Key::Health(id) => format!("{cluster}health/{id}"),
            Key::FailoverOverride(id) => format!("{cluster}failover-overrides/{id}"),
            Key::File(hash) => format!("{cluster}files/{hash}"),
            Key::Content(hash) => format!("{cluster}contents/{hash}"),
            Key::Unit(name) => format!("{}{name}", self.units()),
            Key::Placement(name) => format!("{cluster}placements/{name}"),
            Key::State(name, id) => format!("{cluster}states/{name}/{id}"),
            Key::Foreign(id) => format!("{cluster}foreign/{id}"),
            Key::Lease(id) => format!("{cluster}leases/{id}"),
            Key::Serial => format!("{cluster}serial"),
            Key::Restored => format!("{cluster}restored"),
            Key::Voters => format!("{cluster}voters"),
            Key::Observed => format!("{cluster}observed"),
            Key::Leader => format!("{cluster}leader"),
            Key::Epoch => format!("{cluster}epoch"),
            Key::Secret(name) => format!("{}{name}", self.secrets()),
            Key::SecretValue(name) => format!("{values}{name}"),
            Key::SecretRecipients => format!("{cluster}secret-recipients"),
            Key::Event(name) => format!("{events}{name}"),
            Key::Alerts(receiver) => format!("{}{receiver}", self.alerts),
            Key::Version(name, hash) => format!("{}{hash}", self.versions(name)),
            Key::Image(name, hash) => format!("{}{hash}{IMAGE}", self.versions(name)),
        }
    }

    /// Reports whether a change removes what only a leader writes because a machine has left.
    pub fn has_left(&self, change: &WatchEvent) -> bool {
        let WatchEvent::Delete { key, .. } = change else { return false };
        matches!(self.parse(key), Ok(Some(Key::Health(_) | Key::Foreign(_))))
    }

    /// Reports whether only a leader writes the key.
    pub fn is_written_by_leader(&self, key: &str) -> bool {
        let by_leader = |key| {
            matches!(
                key,
                Key::Placement(_)
                    | Key::State(..)
                    | Key::Health(_)
                    | Key::Foreign(_)
                    | Key::Lease(_)
                    | Key::Serial
                    | Key::Restored
                    | Key::Voters
                    | Key::Observed
                    | Key::Leader
                    | Key::Epoch
                    | Key::Event(_)
                    | Key::Alerts(_)
                    | Key::Image(..)
            )
        };
        self.parse(key).ok().flatten().is_some_and(by_leader)
    }

    /// Parses the text of a key. Returns `None` for a key of another cluster or of an unknown kind, and an error for a key
    /// of a known kind whose name is invalid.
    pub fn parse(&self, key: &str) -> Result<Option<Key>, String> {
        if let Some(rest) = key.strip_prefix(&self.registry) {
            return Ok(registered(rest));
        }
        if let Some(name) = key.strip_prefix(&self.events) {
            return Ok(Some(Key::Event(name.to_owned())));
        }
        if let Some(receiver) = key.strip_prefix(&self.alerts) {
            return Ok(Some(Key::Alerts(receiver.to_owned())));
        }
        if let Some(name) = key.strip_prefix(&self.secret_values) {
            return Ok(Some(Key::SecretValue(secret(name)?)));
        }
        if let Some(rest) = key.strip_prefix(&self.versions) {
            return version(rest).map(Some);
        }
        let Some(rest) = key.strip_prefix(&self.cluster) else {
            return Ok(None);
        };
        let Some((kind, name)) = rest.split_once('/') else {
            return Ok(match rest {
                "identity" => Some(Key::Cluster),
                "leader" => Some(Key::Leader),
                "epoch" => Some(Key::Epoch),
                "serial" => Some(Key::Serial),
                "restored" => Some(Key::Restored),
                "voters" => Some(Key::Voters),
                "observed" => Some(Key::Observed),
                "secret-recipients" => Some(Key::SecretRecipients),
                _ => None,
            });
        };
        Ok(Some(match kind {
            "machines" => Key::Machine(machine(name)?),
            "health" => Key::Health(machine(name)?),
            "failover-overrides" => Key::FailoverOverride(machine(name)?),
            "foreign" => Key::Foreign(machine(name)?),
            "leases" => Key::Lease(machine(name)?),
            "files" => Key::File(name.parse().map_err(|error| format!("{error}"))?),
            "contents" => Key::Content(name.parse().map_err(|error| format!("{error}"))?),
            "secrets" => Key::Secret(secret(name)?),
            "units" => Key::Unit(unit(name)?),
            "placements" => Key::Placement(unit(name)?),
            "states" => {
                let (name, id) = name.rsplit_once('/').ok_or("invalid key: expected UNIT/MACHINE-ID")?;
                Key::State(unit(name)?, machine(id)?)
            }
            _ => return Ok(None),
        }))
    }
}

/// What the key of the image of a version ends with.
const IMAGE: &str = ".image";

fn version(rest: &str) -> Result<Key, String> {
    let (name, hash) = rest.rsplit_once('/').ok_or("invalid key: expected UNIT/HASH")?;
    let parse = |hash: &str| hash.parse().map_err(|error| format!("{error}"));
    match hash.strip_suffix(IMAGE) {
        Some(hash) => Ok(Key::Image(unit(name)?, parse(hash)?)),
        None => Ok(Key::Version(unit(name)?, parse(hash)?)),
    }
}

fn registered(rest: &str) -> Option<Key> {
    if rest == "_config/size" {
        return Some(Key::Size);
    }
    // etcd servers that form a cluster register under other names. They are not machines, and not errors.
    rest.strip_prefix("members/").and_then(|id| id.parse().ok()).map(Key::Member)
}

fn machine(text: &str) -> Result<MachineId, String> {
    let id: MachineId = text.parse().map_err(|error| format!("{error}"))?;
    // A machine has one key, so only one spelling of its machine-id is valid.
    if id.to_string() == text {
        Ok(id)
    } else {
        Err(format!("invalid machine-id {text:?}: expected lower-case hexadecimal digits"))
    }
}

fn secret(text: &str) -> Result<SecretName, String> {
    text.parse().map_err(|error| format!("{error}"))
}

fn unit(text: &str) -> Result<UnitName, String> {
    text.parse().map_err(|error| format!("{error}"))
}
