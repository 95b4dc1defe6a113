//! A host that has joined the cluster, and how SSH reaches it. Its health and its units are separate records.

mod variables;

pub use variables::MACHINE_VARIABLES;
pub use variables::METADATA_VARIABLE;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

use super::MachineId;
use super::Timestamp;
use crate::core::text_record::text_record;
use crate::core::unit::BadPodmanVersion;
use crate::core::unit::PodmanVersion;
use crate::core::unit::UnitName;

/// A host that has joined the cluster. The store keeps it under `machines/<id>`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Machine {
    /// Its /etc/machine-id.
    pub id: MachineId,
    /// Its name in the inventory it joined from.
    pub name: String,
    /// How SSH reaches it.
    pub address: Address,
    /// The private keys to offer first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identity_files: Vec<PathBuf>,
    /// The jump hosts, as in `ProxyJump`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jump: Option<String>,
    /// Options of ssh_config(5), as after `ssh -o`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ssh_options: Vec<String>,
    /// The address that `list-machines` shows: the IP address if it is known, otherwise the host name.
    pub ip: String,
    /// The metadata that units select machines by (`MachineMetadata=`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Set when the machine takes no new units.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cordoned: bool,
    /// Set when the units of the machine are to move to other machines.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub draining: bool,
    /// When the units that are still here stop, even if they fit on no other machine; `None` for no deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_by: Option<Timestamp>,
    /// The units there that muster did not load and takes over: those whose files are the submitted ones (`join --adopt`).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub adopts: BTreeSet<UnitName>,
    /// `PRETTY_NAME` of its os-release(5).
    #[serde(default)]
    pub os: String,
    /// The major version of its systemd.
    #[serde(default)]
    pub systemd: u32,
    /// Its Podman when it joined.
    #[serde(default, skip_serializing_if = "Podman::is_unknown")]
    pub podman: Podman,
}

/// The Podman of a host when it joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Podman {
    /// The host was not asked: an earlier muster wrote the record.
    #[default]
    Unknown,
    /// It has none.
    Missing,
    /// It has this version.
    Version(PodmanVersion),
}

impl Podman {
    const fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown)
    }

    /// Reports whether the host has at least a version, as far as is known.
    pub fn satisfies(self, least: PodmanVersion) -> bool {
        match self {
            Self::Unknown => true,
            Self::Missing => false,
            Self::Version(version) => version >= least,
        }
    }
}

impl fmt::Display for Podman {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("unknown"),
            Self::Missing => f.write_str("none"),
            Self::Version(version) => version.fmt(f),
        }
    }
}

impl FromStr for Podman {
    type Err = BadPodmanVersion;

    fn from_str(text: &str) -> Result<Self, BadPodmanVersion> {
        match text {
            "unknown" => Ok(Self::Unknown),
            "none" => Ok(Self::Missing),
            version => version.parse().map(Self::Version),
        }
    }
}

text_record!(Podman);

impl Machine {
    /// Returns the text that fleet prints for a machine: `3f2f3dd0.../172.17.8.103`, or with the whole machine-id if
    /// `full`.
    pub fn legend(&self, full: bool) -> String {
        let id = if full { self.id.to_string() } else { format!("{}...", self.id.short()) };
        if self.ip.is_empty() { id } else { format!("{id}/{}", self.ip) }
    }
}

impl Machine {
    /// Returns what differs from an earlier record, each with its earlier value if that is short.
    pub fn changes_since(&self, before: &Self) -> Vec<String> {
        let metadata = |machine: &Self| {
            let pairs: Vec<String> = machine.metadata.iter().map(|(key, value)| format!("{key}={value}")).collect();
            if pairs.is_empty() { "empty".to_owned() } else { pairs.join(",") }
        };
        let podman = |machine: &Self| match machine.podman {
            Podman::Version(version) => format!(", Podman {version}"),
            Podman::Unknown | Podman::Missing => String::new(),
        };
        let system = |machine: &Self| format!("{}, systemd {}{}", machine.os, machine.systemd, podman(machine));
        let jump = |machine: &Self| machine.jump.clone().unwrap_or_else(|| "none".to_owned());
        let values = [
            ("name", self.name.clone(), before.name.clone()),
            ("address", self.address.to_string(), before.address.to_string()),
            ("jump host", jump(self), jump(before)),
            ("metadata", metadata(self), metadata(before)),
            ("system", system(self), system(before)),
        ];
        let values = values.into_iter().filter(|(_, now, before)| now != before);
        let mut changes: Vec<String> = values.map(|(what, _, before)| format!("{what} (was {before})")).collect();
        let sets = [
            ("keys", self.identity_files != before.identity_files),
            ("SSH options", self.ssh_options != before.ssh_options),
        ];
        changes.extend(sets.into_iter().filter(|(_, differ)| *differ).map(|(what, _)| what.to_owned()));
        changes
    }
}

/// How SSH reaches a host: `ssh://user@host:port`. ssh_config(5) gives the parts that are missing.
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
        // A bracket in the host would end the host's part of the printed address.
        if host.is_empty() || host.starts_with('-') || !host.chars().all(clean) || host.contains(['[', ']']) {
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

text_record!(Address);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_names_what_has_changed_since_an_earlier_one() {
        let (name, address) = ("web1".to_owned(), "ssh://192.0.2.1".parse().unwrap());
        let before = Machine { name, address, os: "Debian 12".to_owned(), systemd: 252, ..Machine::default() };
        assert!(before.changes_since(&before).is_empty());
        let (address, metadata) = ("ssh://admin@192.0.2.1".parse().unwrap(), [("a".into(), "b".into())].into());
        let now = Machine { address, metadata, systemd: 257, ssh_options: vec!["Port=2".into()], ..before.clone() };
        assert_eq!(
            now.changes_since(&before),
            [
                "address (was ssh://192.0.2.1)",
                "metadata (was empty)",
                "system (was Debian 12, systemd 252)",
                "SSH options"
            ]
        );
    }

    #[test]
    fn brackets_stand_around_a_whole_host_only() {
        for (text, host, printed) in [
            ("ssh://[::1]:22", "::1", "ssh://[::1]:22"),
            ("ssh://fe80::1%eth0", "fe80::1%eth0", "ssh://[fe80::1%eth0]"),
            ("ssh://root@[web1]", "web1", "ssh://root@web1"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!((address.host.as_str(), address.to_string().as_str()), (host, printed));
        }
        for text in ["ssh://[[a]", "ssh://a:b]:c", "ssh://a]b", "ssh://[a", "ssh://[a]b", "ssh://a[1:2]"] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert_eq!(error, format!("{text:?} is not an address: write ssh://[user@]host[:port]"));
        }
    }
}
