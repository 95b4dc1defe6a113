//! Values that are encrypted: a map with the vault, as `ansible-inventory` prints it, and with its place in a file.

use serde_json::Map;
use serde_json::Value;

use super::Envelope;

/// The key of the vault's text, which is Ansible's.
const VAULT: &str = "__ansible_vault";

/// The key of the place. No listing has it.
const PLACE: &str = "__muster_place";

/// A value that is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClosedValue<'v> {
    /// The text of the vault.
    pub vault: &'v str,
    /// The place of the value in a file, if it is known: `FILE:LINE:COLUMN`.
    pub place: Option<&'v str>,
}

impl<'v> ClosedValue<'v> {
    /// Returns the value if it is encrypted.
    pub fn of(value: &'v Value) -> Option<Self> {
        let entries = value.as_object().filter(|entries| entries.len() <= 2)?;
        let place = entries.get(PLACE).and_then(Value::as_str);
        let vault = entries.get(VAULT).and_then(Value::as_str)?;
        (entries.len() == 1 || place.is_some()).then_some(Self { vault, place })
    }

    /// Makes the value of a vault at a place.
    pub fn at(vault: &str, place: String) -> Value {
        Value::Object(Map::from_iter([
            (VAULT.to_owned(), Value::String(vault.to_owned())),
            (PLACE.to_owned(), Value::String(place)),
        ]))
    }

    /// Returns the label of the vault, if it has one.
    pub fn label(&self) -> Option<String> {
        Envelope::parse(self.vault).ok().and_then(|vault| vault.label)
    }
}

/// Returns a value as a listing shows it: encrypted values stay encrypted, and have no place.
pub fn listed(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(listed).collect(),
        Value::Object(entries) => {
            let is_closed = ClosedValue::of(value).is_some();
            let shown = entries.iter().filter(|(key, _)| !is_closed || *key == VAULT);
            Value::Object(shown.map(|(key, value)| (key.clone(), listed(value))).collect())
        }
        other => other.clone(),
    }
}
