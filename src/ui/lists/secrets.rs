//! The lists of secrets and of their recipients. No row has a value.

use std::time::Duration;

use serde::Serialize;

use super::Column;
use super::Row;
use crate::core::model::RecipientKey;
use crate::core::model::SecretVersion;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;
use crate::core::sanitize;
use crate::core::secret_name::SecretName;
use crate::core::unit::UnitName;

/// A secret in `secret list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SecretRow {
    secret: SecretName,
    version: SecretVersion,
    size: u64,
    set_at: Timestamp,
    /// How long ago it was set, in seconds.
    age: u64,
    set_by: String,
    units: Vec<UnitName>,
    recipients: Vec<RecipientKey>,
    /// Set if it is encrypted for other recipients than the present ones.
    outdated: bool,
}

/// A recipient in `secret recipients list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecipientRow {
    key: RecipientKey,
    name: String,
    added_at: Timestamp,
    /// How long ago it was added, in seconds.
    age: u64,
    added_by: String,
    /// Whether this operator has accepted it.
    accepted: bool,
    /// Whether it is a key of this operator.
    own: bool,
    /// How many secrets it can read, as far as their records say.
    secrets: usize,
    #[serde(skip)]
    all_secrets: usize,
}

impl Row for SecretRow {
    const COLUMNS: &'static [Column<Self>] = &[
        Column { name: "secret", cell: |row, _| Some(row.secret.to_string()) },
        Column {
            name: "version",
            cell: |row, full| Some(if full { row.version.to_string() } else { row.version.short() }),
        },
        Column { name: "size", cell: |row, _| Some(row.size.to_string()) },
        Column { name: "set", cell: |row, _| Some(crate::ui::ago(Duration::from_secs(row.age))) },
        Column { name: "by", cell: |row, _| Some(row.set_by.clone()) },
        Column { name: "units", cell: |row, _| Some(row.unit_names()) },
    ];
    const USUAL: &'static str = "secret,version,size,set,by,units";
    const FLEET: &'static str = Self::USUAL;
}

impl Row for RecipientRow {
    const COLUMNS: &'static [Column<Self>] = &[
        Column { name: "name", cell: |row, _| Some(row.name.clone()) },
        Column { name: "key", cell: |row, _| Some(row.key.to_string()) },
        Column { name: "own", cell: |row, _| row.own.then(|| "own".to_owned()) },
        Column { name: "accepted", cell: |row, _| Some(if row.accepted { "yes" } else { "no" }.to_owned()) },
        Column { name: "secrets", cell: |row, _| Some(format!("{}/{}", row.secrets, row.all_secrets)) },
        Column { name: "added", cell: |row, _| Some(crate::ui::ago(Duration::from_secs(row.age))) },
        Column { name: "by", cell: |row, _| Some(row.added_by.clone()) },
    ];
    const USUAL: &'static str = "name,key,own,accepted,secrets,added,by";
    const FLEET: &'static str = Self::USUAL;
}

impl SecretRow {
    /// Returns the name of the secret.
    pub fn name(&self) -> &str {
        self.secret.as_str()
    }

    /// Reports whether the secret is encrypted for other recipients than the present ones.
    pub const fn is_outdated(&self) -> bool {
        self.outdated
    }

    fn unit_names(&self) -> String {
        self.units.iter().map(UnitName::as_str).collect::<Vec<_>>().join(",")
    }

    /// Writes all about the secret except its value, one fact in a line.
    pub fn text(&self, snapshot: &Snapshot) -> String {
        let ago = crate::ui::ago(Duration::from_secs(self.age));
        let units = if self.units.is_empty() { "-".to_owned() } else { self.unit_names() };
        let mut lines = vec![
            format!("Secret: {}", self.secret),
            format!("Version: {}", self.version),
            format!("Size: {} bytes", self.size),
            format!("Set: {} ({ago}) by {}", crate::ui::time(self.set_at), self.set_by),
            format!("Units: {units}"),
        ];
        lines.extend(self.recipients.iter().map(|key| {
            let name = snapshot.recipients.get(key).map_or("removed", |recipient| &recipient.name);
            format!("Recipient: {key} ({name})")
        }));
        lines.iter().map(|line| format!("{}\n", sanitize::line(line))).collect()
    }
}

/// Returns the secrets, by name.
pub fn secrets(snapshot: &Snapshot, now: Timestamp) -> Vec<SecretRow> {
    let mut units = snapshot.units_by_secret();
    let rows = snapshot.secrets.iter().map(|(name, record)| SecretRow {
        secret: name.clone(),
        version: record.version,
        size: record.size,
        set_at: record.set_at,
        age: now.since(record.set_at).as_secs(),
        set_by: record.set_by.clone(),
        units: units.remove(name).into_iter().flatten().collect(),
        recipients: record.recipients.iter().cloned().collect(),
        outdated: !record.recipients.iter().eq(snapshot.recipients.keys()),
    });
    rows.collect()
}

/// Returns the recipients, by key. `own` are the keys of this operator.
pub fn recipients(
    snapshot: &Snapshot,
    is_accepted: &dyn Fn(&RecipientKey) -> bool,
    own: &[RecipientKey],
    now: Timestamp,
) -> Vec<RecipientRow> {
    let rows = snapshot.recipients.iter().map(|(key, recipient)| RecipientRow {
        key: key.clone(),
        name: recipient.name.clone(),
        added_at: recipient.added_at,
        age: now.since(recipient.added_at).as_secs(),
        added_by: recipient.added_by.clone(),
        accepted: is_accepted(key),
        own: own.contains(key),
        secrets: snapshot.secrets.values().filter(|record| record.recipients.contains(key)).count(),
        all_secrets: snapshot.secrets.len(),
    });
    rows.collect()
}
