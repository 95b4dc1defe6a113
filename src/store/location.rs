//! The location of a store, parsed from the text of `--store`, and the credentials for it. Nothing here opens a store.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use secrecy::SecretString;

use super::api;
use crate::http::client::ApiCredentials;
use crate::http::client::ApiLocation;

/// The location of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// In the memory of this process.
    Memory,
    /// In a sqlite file.
    Sqlite(PathBuf),
    /// In an etcd cluster.
    Etcd(EtcdLocation),
    /// Behind the API of a controller.
    Api(ApiLocation),
}

/// The location of an etcd cluster, and the part of it that muster uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdLocation {
    /// Whether to speak TLS (`etcds://`).
    pub tls: bool,
    /// The user to log in as, if the text names one.
    pub user: Option<String>,
    /// The servers, at least one, each `host:port` (`[v6]:port`).
    pub endpoints: Vec<String>,
    /// The prefix of all keys: empty, or `/…` without a slash at its end.
    pub prefix: String,
}

/// The credentials for a store: they prove muster's identity to etcd or a controller, and the identity of either to muster.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// The CA that signed the servers' certificates (PEM).
    pub ca_file: Option<PathBuf>,
    /// The client certificate, if the servers ask for one (PEM).
    pub cert_file: Option<PathBuf>,
    /// The key of the client certificate (PEM).
    pub key_file: Option<PathBuf>,
    /// The user to log in as, unless the location names one.
    pub username: Option<String>,
    /// The password.
    pub password: Option<SecretString>,
    /// The file whose first line is the password, unless the password is given.
    pub password_file: Option<PathBuf>,
    /// The credentials for the API of a controller.
    pub api: ApiCredentials,
}

impl Credentials {
    /// Returns the password, if there is one, or why its file cannot be read.
    pub(super) async fn password(&self) -> Result<Option<SecretString>, String> {
        let (None, Some(path)) = (&self.password, &self.password_file) else {
            return Ok(self.password.clone());
        };
        let text = tokio::fs::read_to_string(path).await;
        let text = text.map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        Ok(text.lines().next().map(SecretString::from))
    }
}

/// The text of `--store` is not a location. Nothing was opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{what}: expected etcd://host:2379,host:2379 (etcds:// for TLS), sqlite:PATH, or the API of a controller at https://host:8443 or unix:/PATH"
)]
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
        let (scheme, rest) =
            text.split_once(':').ok_or_else(|| BadLocation::new("invalid location without a scheme"))?;
        match scheme {
            "memory" if rest.is_empty() => Ok(Self::Memory),
            "memory" => Err(BadLocation::new("invalid text after memory:")),
            "sqlite" if rest.is_empty() => Err(BadLocation::new("`sqlite:` names no file")),
            "sqlite" => Ok(Self::Sqlite(PathBuf::from(rest))),
            "unix" => Ok(Self::Api(ApiLocation::Unix(socket(rest)?))),
            "http" | "https" => url(scheme, rest).map(|url| Self::Api(ApiLocation::Url(url))),
            "etcd" => etcd(rest, false).map(Self::Etcd),
            "etcds" => etcd(rest, true).map(Self::Etcd),
            _ => Err(BadLocation::new(format!("unknown store {:?}", scheme.chars().take(64).collect::<String>()))),
        }
    }
}

/// Reads the path of a socket.
fn socket(path: &str) -> Result<PathBuf, BadLocation> {
    // fleet wrote unix:///PATH.
    let path = path.strip_prefix("//").unwrap_or(path);
    let path = Some(path).filter(|path| path.starts_with('/')).map(PathBuf::from);
    path.ok_or_else(|| BadLocation::new("`unix:` names no path from the root"))
}

/// Reads the URL of a controller: a host with a port, and no path.
fn url(scheme: &str, rest: &str) -> Result<String, BadLocation> {
    let authority = rest.strip_prefix("//").ok_or_else(|| BadLocation::new("`//` is missing after the scheme"))?;
    let authority = authority.trim_end_matches('/');
    let port = if scheme == "https" { "443" } else { "80" };
    let address = endpoint(authority, port).ok_or_else(|| BadLocation::new("invalid address of a controller"))?;
    if scheme == "http" && !is_loopback(&address) {
        let what = "without TLS, other hosts can read the access token and the records: use https://";
        return Err(BadLocation::new(what));
    }
    Ok(format!("{scheme}://{address}"))
}

fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

fn etcd(rest: &str, tls: bool) -> Result<EtcdLocation, BadLocation> {
    let rest = rest.strip_prefix("//").ok_or_else(|| BadLocation::new("`//` is missing after the scheme"))?;
    let (authority, prefix) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let (user, hosts) = match authority.rsplit_once('@') {
        Some((user, _)) if user.contains(':') => {
            let what = "a password in the location is visible to other users: set MUSTER_ETCD_PASSWORD instead";
            return Err(BadLocation::new(what));
        }
        Some(("", _)) => return Err(BadLocation::new("the user before `@` is missing")),
        Some((user, hosts)) => (Some(user.to_owned()), hosts),
        None => (None, authority),
    };
    let endpoint =
        |(index, text)| endpoint(text, "2379").ok_or_else(|| BadLocation::new(format!("invalid server {}", index + 1)));
    let endpoints = hosts.split(',').enumerate().map(endpoint).collect::<Result<_, _>>()?;
    Ok(EtcdLocation { tls, user, endpoints, prefix: prefix.trim_end_matches('/').to_owned() })
}

/// Returns one server as `host:port`, if it is valid. Errors do not quote the text: it may hold a part of a password.
fn endpoint(text: &str, port: &str) -> Option<String> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (text, port),
    };
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_valid = match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte)),
    };
    let port = port.parse::<u16>().ok().filter(|port| *port != 0 && is_valid)?;
    Some(format!("{host}:{port}"))
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory:"),
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Etcd(location) => location.fmt(f),
            Self::Api(location) => f.write_str(&api::name(location)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_reads_its_own_text() {
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
            ("unix:/run/m.sock", "unix:/run/m.sock"),
            ("unix:///run/m.sock", "unix:/run/m.sock"),
            ("https://desk", "https://desk:443"),
            ("https://desk:8443/", "https://desk:8443"),
            ("http://localhost:80", "http://localhost:80"),
            ("http://[::1]:8087", "http://[::1]:8087"),
        ];
        for (text, written) in cases {
            let location: Location = text.parse().unwrap();
            assert_eq!(location.to_string(), written);
            assert_eq!(written.parse(), Ok(location));
        }
    }

    #[test]
    fn an_invalid_location_is_answered_with_the_valid_ones() {
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
            "unix:m.sock",
            "https:desk",
            "https://desk/path",
            "https://user@desk",
            "http://desk:80",
        ];
        for text in cases {
            let error = text.parse::<Location>().unwrap_err().to_string();
            assert!(error.contains("expected etcd://host:2379"), "{error}");
        }
    }
}
