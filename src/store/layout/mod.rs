//! The keys of a cluster's records, and their JSON.
//!
//! Records are input: other programs can write to the store. A record that does not parse is reported by its key. It must
//! never be treated as absent.

mod alerts;
mod events;
mod key;
mod snapshot;
#[cfg(test)]
mod tests;
mod unit_files;
mod versions;

pub use alerts::StoredLedger;
pub use alerts::put_ledger;
pub use alerts::read_ledger;
pub use alerts::read_ledgers;
pub use events::EVENTS_KEPT;
pub use events::log_as;
pub use events::logged_event;
pub use events::prune_ops;
pub use events::read_events;
pub use key::Key;
pub use snapshot::apply;
pub use snapshot::list;
pub use snapshot::read;
pub use snapshot::read_with_revisions;
pub use snapshot::snapshot;
pub use unit_files::orphans;
pub use unit_files::put_contents;
pub use unit_files::submit;
pub use versions::put_version;
pub use versions::read_versions;
pub use versions::surplus_versions;

use indexmap::IndexMap;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Op;
use crate::core::model::HealthRecord;
use crate::core::model::Placement;
use crate::core::model::Write;
use crate::core::sanitize::is_plain_name;
use crate::core::unit::UnitName;

/// The most characters of one text in a record. Hosts and unit files supply such texts, and a record that is too large for
/// a commit would block every reconcile.
const TEXT_LIMIT: usize = 4096;

/// The text is not a valid token. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid token {0:?}: expected 1 to 64 of A-Z, a-z, 0-9, `_`, `.` and `-`, and no dot at the start")]
pub struct BadToken(String);

/// The keys of one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyspace {
    token: String,
    registry: String,
    cluster: String,
    events: String,
    alerts: String,
    secret_values: String,
    versions: String,
}

impl Keyspace {
    /// Returns the keys of the cluster that a token names.
    pub fn new(token: &str) -> Result<Self, BadToken> {
        if !is_plain_name(token, 64) {
            return Err(BadToken(token.chars().take(80).collect()));
        }
        Ok(Self {
            token: token.to_owned(),
            registry: format!("{REGISTRY}{token}/"),
            cluster: format!("/muster/{token}/"),
            events: format!("/muster/.events/{token}/"),
            alerts: format!("/muster/.alerts/{token}/"),
            secret_values: format!("/muster/.secrets/{token}/"),
            versions: format!("/muster/.versions/{token}/"),
        })
    }

    /// Returns the cluster's token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Returns the prefixes of all records that decisions are made from: the registry's and muster's own. The event log has
    /// a prefix of its own, so that only its readers read it.
    pub fn prefixes(&self) -> Vec<String> {
        vec![self.registry.clone(), self.cluster.clone()]
    }

    /// Reports whether a key, or the prefix of some keys, is that of a record of this cluster.
    pub fn has(&self, key: &str) -> bool {
        let Self { token: _, registry, cluster, events, secret_values, versions, alerts } = self;
        let prefixes = [registry, cluster, events, secret_values, versions, alerts];
        prefixes.into_iter().any(|prefix| key.starts_with(prefix.as_str()))
    }

    /// Returns the prefix of the token in the registry.
    pub fn registry(&self) -> String {
        self.registry.clone()
    }

    /// Returns the prefix of the members in the registry.
    pub fn members(&self) -> String {
        format!("{}members/", self.registry)
    }

    /// Returns the prefix of the units.
    pub fn units(&self) -> String {
        format!("{}units/", self.cluster)
    }

    /// Returns the prefix of the machines.
    pub fn machines(&self) -> String {
        format!("{}machines/", self.cluster)
    }

    /// Returns the prefix of the secrets, which are without their values.
    pub fn secrets(&self) -> String {
        format!("{}secrets/", self.cluster)
    }

    /// Returns the prefix of the event log. No token starts with a dot, so no cluster has this prefix for its records.
    pub fn events(&self) -> String {
        self.events.clone()
    }

    /// Returns the prefix of the ledgers of alerts. Nothing that decides about units reads them.
    pub fn alerts(&self) -> String {
        self.alerts.clone()
    }

    /// Returns the prefix of the encrypted values of secrets. They are large, so only a process that needs one reads it.
    pub fn secret_values(&self) -> String {
        self.secret_values.clone()
    }

    /// Returns the prefix of the files that a unit had before. Only a command that goes back to one reads them.
    pub fn versions(&self, unit: &UnitName) -> String {
        format!("{}{unit}/", self.versions)
    }

    /// Converts a leader's decisions to operations. Of two that change the same key, the later one counts.
    pub fn ops(&self, writes: &[Write]) -> Vec<Op> {
        let mut ops = IndexMap::new();
        for (index, write) in writes.iter().enumerate() {
            let op = self.op(write, index);
            // The later operation also takes the later position, so that operations keep the order of the decisions.
            ops.shift_remove(op.key());
            ops.insert(op.key().to_owned(), op);
        }
        ops.into_values().collect()
    }

    fn op(&self, write: &Write, index: usize) -> Op {
        match write {
            Write::Place(unit, placement) => {
                let reason = placement.reason.clone().bounded(TEXT_LIMIT);
                self.put(&Key::Placement(unit.clone()), &Placement { reason, ..placement.clone() })
            }
            Write::Unplace(unit) => self.delete(&Key::Placement(unit.clone())),
            Write::Health(machine, health) => {
                let reason = health.reason.clone().bounded(TEXT_LIMIT);
                self.put(&Key::Health(*machine), &HealthRecord { reason, ..health.clone() })
            }
            Write::State(unit, machine, state) => self.put(&Key::State(unit.clone(), *machine), state),
            Write::NoState(unit, machine) => self.delete(&Key::State(unit.clone(), *machine)),
            Write::Foreign(machine, foreign) if foreign.count == 0 => self.delete(&Key::Foreign(*machine)),
            Write::Foreign(machine, foreign) => self.put(&Key::Foreign(*machine), foreign),
            Write::Lease(machine, grant) => self.put(&Key::Lease(*machine), grant),
            Write::NoFailoverOverride(machine) => self.delete(&Key::FailoverOverride(*machine)),
            Write::NoLease(machine) => self.delete(&Key::Lease(*machine)),
            Write::Serial(serial) => self.put(&Key::Serial, serial),
            Write::Restored(Some(witness)) => self.put(&Key::Restored, witness),
            Write::Restored(None) => self.delete(&Key::Restored),
            Write::Voters(voters) => self.put(&Key::Voters, voters),
            Write::Observed(times) => self.put(&Key::Observed, times),
            Write::Image(unit, hash, digest) => self.put(&Key::Image(unit.clone(), *hash), digest),
            Write::Log(event) => events::log(self, event, index),
        }
    }

    /// Returns the operation that sets a record.
    pub fn put<T: Serialize>(&self, key: &Key, record: &T) -> Op {
        Op::put(self.key(key), encode(record))
    }

    /// Returns the operation that removes a record.
    pub fn delete(&self, key: &Key) -> Op {
        Op::Delete(self.key(key))
    }
}

/// The prefix of etcd's own v3 discovery layout.
pub const REGISTRY: &str = "/_etcd/registry/";

/// Returns a record as JSON.
#[expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "records are structs with text keys, which JSON always holds"
)]
pub fn encode<T: Serialize>(record: &T) -> Vec<u8> {
    serde_json::to_vec(record).expect("a record is JSON")
}

/// Parses a record, or returns the reason in one sentence.
pub fn decode<T: DeserializeOwned>(value: &[u8]) -> Result<T, String> {
    serde_json::from_slice(value).map_err(|error| error.to_string())
}
