//! Where a controller serves the API, and for which clients of other hosts, as flags and settings say.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

use crate::api::access::AccessRule;
use crate::api::access::Proof;
use crate::api::access::Role;
use crate::core::fingerprint::Fingerprint;
use crate::core::sanitize::is_plain_name;

/// Where the API is served.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(in crate::cli) enum Listen {
    /// On a socket of this host.
    Unix(PathBuf),
    /// For other hosts, with TLS.
    Tls(SocketAddr),
    /// Nowhere.
    None,
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tls(address) => write!(f, "tls:{address}"),
            Self::None => f.write_str("none"),
        }
    }
}

/// Reads the flag.
pub(super) fn parse(text: &str) -> Result<Listen, String> {
    if text == "none" {
        return Ok(Listen::None);
    }
    let expected = || "expected unix:/PATH, tls:ADDRESS:PORT, or none".to_owned();
    match text.split_once(':') {
        Some(("unix", path)) if path.starts_with('/') => Ok(Listen::Unix(PathBuf::from(path))),
        Some(("tls", address)) => address.parse().map(Listen::Tls).map_err(|_| expected()),
        _ => Err(expected()),
    }
}

impl TryFrom<String> for Listen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse(&text)
    }
}

/// Reads a place or a list of places.
pub(super) fn one_or_more<'de, D: serde::Deserializer<'de>>(source: D) -> Result<Vec<Listen>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected unix:/PATH, tls:ADDRESS:PORT, none, or a list of these")]
    enum Places {
        One(Listen),
        More(Vec<Listen>),
    }
    Ok(match Places::deserialize(source)? {
        Places::One(place) => vec![place],
        Places::More(places) => places,
    })
}

/// Reads the name of a client.
pub(in crate::cli) fn client_name(name: &str) -> Result<String, String> {
    if !is_plain_name(name, 64) {
        return Err(
            "invalid name: expected 1 to 64 of A-Z, a-z, 0-9, `_`, `.` and `-`, and no dot at the start".to_owned()
        );
    }
    Ok(name.to_owned())
}

/// A table `[[access]]` of the settings file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct AccessTable {
    name: String,
    role: Role,
    token_sha256: Option<String>,
    certificate_sha256: Option<String>,
}

impl AccessTable {
    /// Returns the rule that the table is.
    pub(super) fn rule(self) -> Result<AccessRule, String> {
        let Self { name, role, token_sha256, certificate_sha256 } = self;
        let table = format!("[[access]] of {name:?}");
        let wrong = |why: String| format!("{table}: {why}");
        let name = client_name(&name).map_err(wrong)?;
        // openssl writes colons between the bytes.
        let parse =
            |text: String| text.replace(':', "").parse::<Fingerprint>().map_err(|error| wrong(error.to_string()));
        let proof = match (token_sha256, certificate_sha256) {
            (Some(token), None) => Proof::Token(parse(token)?),
            (None, Some(certificate)) => Proof::Certificate(parse(certificate)?),
            _ => return Err(wrong("expected either token-sha256 or certificate-sha256".to_owned())),
        };
        Ok(AccessRule { name, role, proof })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_path_from_the_root_or_an_address() {
        assert_eq!(parse("unix:/run/m.sock"), Ok(Listen::Unix(PathBuf::from("/run/m.sock"))));
        assert_eq!(parse("tls:[::]:8443"), Ok(Listen::Tls("[::]:8443".parse().unwrap())));
        assert_eq!(parse("none"), Ok(Listen::None));
        for wrong in ["", "/run/m.sock", "unix:m.sock", "127.0.0.1:80", "unix:", "tls:8443", "tls:desk:8443"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_rule_has_a_name_and_one_proof() {
        let digits = "ab".repeat(32);
        let rule = |text: &str| toml::from_str::<AccessTable>(text).map_err(|error| error.to_string())?.rule();
        let colons =
            digits.as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair)).collect::<Vec<_>>().join(":");
        let (name, role) = ("ci".to_owned(), Role::Read);
        let proof = Proof::Certificate(digits.parse().unwrap());
        let text = format!("name = \"ci\"\nrole = \"read\"\ncertificate-sha256 = \"{colons}\"");
        assert_eq!(rule(&text), Ok(AccessRule { name, role, proof }));
        for (text, expected) in [
            ("name = \"ci\"\nrole = \"read\"", "expected either token-sha256 or certificate-sha256"),
            ("name = \"a b\"\nrole = \"read\"\ntoken-sha256 = \"\"", "invalid name"),
            ("name = \"ci\"\nrole = \"read\"\ntoken-sha256 = \"12\"", "expected 64 hexadecimal digits"),
            ("name = \"ci\"\nrole = \"root\"\ntoken-sha256 = \"12\"", "unknown variant `root`"),
        ] {
            let error = rule(text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
