//! From the text of `--store` to a store.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use secrecy::SecretString;

use super::EtcdStore;
use super::MemoryStore;
use super::SharedStore;
use super::SqliteStore;
use super::StoreError;

/// Where a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// In this process, and gone with it.
    Memory,
    /// In a file.
    Sqlite(PathBuf),
    /// In etcd.
    Etcd(EtcdLocation),
}

/// Where an etcd cluster is, and which part of it is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdLocation {
    /// Whether to speak TLS (`etcds://`).
    pub tls: bool,
    /// Whom to log in as, if the text says.
    pub user: Option<String>,
    /// The servers, at least one, each `host:port` (`[v6]:port`).
    pub endpoints: Vec<String>,
    /// What all keys start with: empty, or `/…` without a slash at its end.
    pub prefix: String,
}

/// What proves to etcd who we are, and to us who it is.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// The CA that signed the servers' certificates (PEM).
    pub ca_file: Option<PathBuf>,
    /// Our certificate, if the servers ask for one (PEM).
    pub cert_file: Option<PathBuf>,
    /// Its key (PEM).
    pub key_file: Option<PathBuf>,
    /// Whom to log in as, unless the location says.
    pub username: Option<String>,
    /// The password.
    pub password: Option<SecretString>,
    /// Where the password is, if it is not given: the file's first line.
    pub password_file: Option<PathBuf>,
}

impl Credentials {
    /// Returns the password, or why its file cannot be read.
    pub(super) async fn password(&self) -> Result<Option<SecretString>, String> {
        let (None, Some(path)) = (&self.password, &self.password_file) else {
            return Ok(self.password.clone());
        };
        let text = tokio::fs::read_to_string(path).await;
        let text = text.map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        Ok(text.lines().next().map(SecretString::from))
    }
}

/// The text does not say where a store is. Nothing was opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: expected etcd://host:2379,host:2379 (etcds:// for TLS), sqlite:PATH or memory:")]
pub struct BadLocation {
    what: String,
}

impl BadLocation {
    fn new(what: impl Into<String>) -> Self {
        Self { what: what.into() }
    }
}

impl FromStr for Location {
    type Err = BadLocation;

    fn from_str(text: &str) -> Result<Self, BadLocation> {
        let (scheme, rest) = text.split_once(':').ok_or_else(|| BadLocation::new("this is not a store"))?;
        match scheme {
            "memory" if rest.is_empty() => Ok(Self::Memory),
            "memory" => Err(BadLocation::new("nothing may follow memory:")),
            "sqlite" if rest.is_empty() => Err(BadLocation::new("`sqlite:` names no file")),
            "sqlite" => Ok(Self::Sqlite(PathBuf::from(rest))),
            "etcd" => etcd(rest, false).map(Self::Etcd),
            "etcds" => etcd(rest, true).map(Self::Etcd),
            _ => Err(BadLocation::new(format!("there is no store called {scheme:?}"))),
        }
    }
}

fn etcd(rest: &str, tls: bool) -> Result<EtcdLocation, BadLocation> {
    let rest = rest.strip_prefix("//").ok_or_else(|| BadLocation::new("the // is missing"))?;
    let (authority, prefix) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let (user, hosts) = match authority.rsplit_once('@') {
        Some((user, _)) if user.contains(':') => {
            let what = "a password does not belong here, where everybody can read it (use MUSTER_ETCD_PASSWORD)";
            return Err(BadLocation::new(what));
        }
        Some(("", _)) => return Err(BadLocation::new("the user is missing")),
        Some((user, hosts)) => (Some(user.to_owned()), hosts),
        None => (None, authority),
    };
    let endpoints = hosts.split(',').map(endpoint).collect::<Result<_, _>>()?;
    Ok(EtcdLocation { tls, user, endpoints, prefix: prefix.trim_end_matches('/').to_owned() })
}

/// Checks one server; without a port it is etcd's.
fn endpoint(text: &str) -> Result<String, BadLocation> {
    let bad = || BadLocation::new(format!("{text:?} is not a server"));
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (text, "2379"),
    };
    let plain = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let good = match plain {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte)),
    };
    let port: u16 = port.parse().map_err(|_| bad())?;
    if good && port != 0 { Ok(format!("{host}:{port}")) } else { Err(bad()) }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory:"),
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Etcd(location) => location.fmt(f),
        }
    }
}

impl fmt::Display for EtcdLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.tls { "etcds://" } else { "etcd://" })?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        write!(f, "{}{}", self.endpoints.join(","), self.prefix)
    }
}

/// Opens the store that the text names. One in etcd connects when it is first used.
pub async fn open(text: &str, credentials: &Credentials) -> Result<SharedStore, StoreError> {
    // The text is not repeated: a password may have been typed into it.
    let location = text.parse().map_err(|error: BadLocation| StoreError::Refused {
        store: "from --store".to_owned(),
        detail: error.to_string(),
    })?;
    match location {
        Location::Memory => Ok(Arc::new(MemoryStore::new())),
        Location::Sqlite(path) => Ok(Arc::new(SqliteStore::open(&path).await?)),
        Location::Etcd(location) => Ok(Arc::new(EtcdStore::open(&location, credentials).await?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_written_as_it_is_read() {
        let cases = [
            ("memory:", "memory:"),
            ("sqlite:/var/lib/muster.db", "sqlite:/var/lib/muster.db"),
            ("sqlite:muster.db", "sqlite:muster.db"),
            ("etcd://a:2379,b:4001", "etcd://a:2379,b:4001"),
            ("etcd://a", "etcd://a:2379"),
            (
                "etcds://muster@a,[::1]:2379,[fe80::1]/team/one/",
                "etcds://muster@a:2379,[::1]:2379,[fe80::1]:2379/team/one",
            ),
            ("etcd://a/", "etcd://a:2379"),
        ];
        for (text, written) in cases {
            let location: Location = text.parse().unwrap();
            assert_eq!(location.to_string(), written);
            assert_eq!(written.parse(), Ok(location));
        }
    }

    #[test]
    fn what_is_no_location_says_what_would_be() {
        let cases = [
            "",
            "muster.db",
            "sqlite:",
            "memory:x",
            "redis://a",
            "etcd:a",
            "etcd://",
            "etcd://a,",
            "etcd://a:0",
            "etcd://a:99999",
            "etcd://a b",
            "etcd://@a",
            "etcd://[::g]",
            "etcd://a:1:2",
            "etcd://http://a",
        ];
        for text in cases {
            let error = text.parse::<Location>().unwrap_err().to_string();
            assert!(error.contains("expected etcd://host:2379"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_password_in_the_location_is_refused_and_not_repeated() {
        let error = open("etcd://root:hunter2@a:2379", &Credentials::default()).await.unwrap_err().to_string();
        assert!(error.contains("MUSTER_ETCD_PASSWORD") && !error.contains("hunter2"), "{error}");
    }
}
