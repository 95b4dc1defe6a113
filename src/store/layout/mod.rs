//! Which key holds what, and how a record is written.
//!
//! The store is shared with newer and older musters and with whoever can reach it: a record that does not parse is
//! kept apart and named, never taken for one that is not there.

mod events;
mod files;
mod slot;
mod snapshot;
#[cfg(test)]
mod tests;

pub use events::EVENTS_KEPT;
pub use events::event;
pub use events::prune_events;
pub use events::read_events;
pub use events::surplus_events;
pub use files::orphans;
pub use files::submit;
pub use slot::Slot;
pub use snapshot::apply;
pub use snapshot::list;
pub use snapshot::read;
pub use snapshot::read_revised;
pub use snapshot::snapshot;

use indexmap::IndexMap;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Change;
use crate::core::model::HealthRecord;
use crate::core::model::Placement;
use crate::core::model::Write;
use crate::core::sanitize::truncate;

/// How many characters of words a leader puts into one record. Hosts and unit files have their say in them, and a record
/// that no commit can take would end every pass.
const WORDS: usize = 4096;

/// The text is not a token. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a token: 1 to 64 of A-Z, a-z, 0-9, `_`, `.` and `-` are, without a dot in front")]
pub struct BadToken(String);

/// The keys of one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    token: String,
    registry: String,
    cluster: String,
    events: String,
}

impl Keys {
    /// Makes the keys of the cluster that a token names.
    pub fn new(token: &str) -> Result<Self, BadToken> {
        let clean = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        if token.is_empty() || token.len() > 64 || token.starts_with('.') || !token.bytes().all(clean) {
            return Err(BadToken(token.chars().take(80).collect()));
        }
        Ok(Self {
            token: token.to_owned(),
            registry: format!("{REGISTRY}{token}/"),
            cluster: format!("/muster/{token}/"),
            events: format!("/muster/.events/{token}/"),
        })
    }

    /// Returns the cluster's token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Returns the prefixes under which everything is that decisions are made from: the registry's and muster's own.
    /// The event log is elsewhere, so that nobody reads it who does not want it.
    pub fn prefixes(&self) -> Vec<String> {
        vec![self.registry.clone(), self.cluster.clone()]
    }

    /// Returns the prefix of what stands in the registry under the token.
    pub fn registry(&self) -> String {
        self.registry.clone()
    }

    /// Returns the prefix of the members in the registry.
    pub fn members(&self) -> String {
        format!("{}members/", self.registry)
    }

    /// Returns the prefix of the event log. No token starts with a dot, so it is no other cluster's.
    pub fn events(&self) -> String {
        self.events.clone()
    }

    /// Turns what a leader decided into changes to keys. Of two that set the same key, the later one counts.
    pub fn changes(&self, writes: &[Write]) -> Vec<Change> {
        let mut changes = IndexMap::new();
        for (index, write) in writes.iter().enumerate() {
            let change = self.change(write, index);
            // The later one also takes the later place, so that changes stay in the order they were decided.
            changes.shift_remove(change.key());
            changes.insert(change.key().to_owned(), change);
        }
        changes.into_values().collect()
    }

    fn change(&self, write: &Write, index: usize) -> Change {
        match write {
            Write::Place(unit, placement) => {
                let reason = placement.reason.clone().bounded(WORDS);
                self.put(&Slot::Placement(unit.clone()), &Placement { reason, ..placement.clone() })
            }
            Write::Unplace(unit) => self.delete(&Slot::Placement(unit.clone())),
            Write::Health(machine, health) => {
                let why = truncate(&health.why, WORDS);
                self.put(&Slot::Health(*machine), &HealthRecord { why, ..health.clone() })
            }
            Write::State(unit, machine, state) => self.put(&Slot::State(unit.clone(), *machine), state),
            Write::NoState(unit, machine) => self.delete(&Slot::State(unit.clone(), *machine)),
            Write::Lease(machine, grant) => self.put(&Slot::Lease(*machine), grant),
            Write::NoLease(machine) => self.delete(&Slot::Lease(*machine)),
            Write::Voters(voters) => self.put(&Slot::Voters, voters),
            Write::Log(event) => events::log(self, event, index),
        }
    }

    /// Sets a record.
    pub fn put<T: Serialize>(&self, slot: &Slot, record: &T) -> Change {
        Change::put(self.key(slot), encode(record))
    }

    /// Removes a record.
    pub fn delete(&self, slot: &Slot) -> Change {
        Change::Delete(self.key(slot))
    }
}

/// The prefix of etcd's own v3 discovery layout.
pub const REGISTRY: &str = "/_etcd/registry/";

/// Writes a record as JSON.
#[expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "records are structs with text keys, which JSON always holds"
)]
pub fn encode<T: Serialize>(record: &T) -> Vec<u8> {
    serde_json::to_vec(record).expect("a record is JSON")
}

/// Reads a record, or says in one sentence why it cannot be.
pub fn decode<T: DeserializeOwned>(value: &[u8]) -> Result<T, String> {
    serde_json::from_slice(value).map_err(|error| error.to_string())
}
