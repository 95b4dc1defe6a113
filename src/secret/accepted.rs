//! The recipients that an operator has accepted for one cluster, as the operator's configuration directory keeps them.

use std::collections::BTreeSet;

use crate::core::model::RecipientKey;
use crate::core::model::Recipients;

/// The recipients that an operator has accepted. A store that adds a recipient of its own gets no value encrypted for it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Accepted(BTreeSet<RecipientKey>);

impl Accepted {
    /// Parses the text of the file: one public key in a line; lines that begin with `#` are comments. An error names the
    /// line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut keys = BTreeSet::new();
        for (index, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            keys.insert(line.parse().map_err(|error| format!("line {}: {error}", index + 1))?);
        }
        Ok(Self(keys))
    }

    /// Returns the text of the file. age reads it as a file of recipients.
    pub fn text(&self, cluster: &str) -> String {
        let cluster: String = cluster.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let keys: String = self.0.iter().map(|key| format!("{key}\n")).collect();
        format!("# The recipients of secrets that were accepted for {cluster}.\n{keys}")
    }

    /// Reports whether a recipient was accepted.
    pub fn has(&self, key: &RecipientKey) -> bool {
        self.0.contains(key)
    }

    /// Accepts a recipient.
    pub fn insert(&mut self, key: RecipientKey) {
        self.0.insert(key);
    }

    /// Forgets the recipients that the store does not name any more: one that was removed must be accepted anew if it
    /// comes back.
    pub fn retain(&mut self, recipients: &Recipients) {
        self.0.retain(|key| recipients.contains_key(key));
    }

    /// Returns the recipients in the store that were not accepted, each with its name.
    pub fn missing(&self, recipients: &Recipients) -> Vec<(RecipientKey, String)> {
        let missing = recipients.iter().filter(|(key, _)| !self.has(key));
        missing.map(|(key, recipient)| (key.clone(), recipient.name.clone())).collect()
    }
}
