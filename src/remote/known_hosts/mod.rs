//! The host keys of known_hosts files (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT), with all markers.
//!
//! This module reads the files and appends to them. It decides nothing about connections. A file that cannot be read is
//! an error; a line that does not parse is a warning.

mod cache;
mod line;
mod record;

#[cfg(test)]
mod tests;

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use russh::keys::Algorithm;
use russh::keys::Certificate;
use russh::keys::HashAlg;
use russh::keys::PublicKey;
use russh::keys::ssh_key::certificate::CertType;

pub use cache::KnownHostsCache;
use line::Marker;
use line::Names;
pub use record::record;

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: Arc<Path>,
    /// The line, from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// A file that exists and cannot be read, so the trusted keys are not known. Nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read {file}: {why}", file = file.display())]
pub struct Unreadable {
    /// The file.
    pub file: PathBuf,
    /// The reason.
    pub why: String,
}

/// The status of a key that a host has shown, according to the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyStatus {
    /// The key is the host's.
    Trusted(Place),
    /// An authority for the host has certified the key.
    TrustedByAuthority(Place),
    /// No key of the host is known, or only these keys of other algorithms.
    Unknown(Vec<(Algorithm, Place)>),
    /// Another key of this algorithm is known for the host.
    Changed(Place),
    /// The key was revoked.
    Revoked(Place),
}

/// Why a certificate is not accepted, as the end of a sentence that starts with "its certificate".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadCertificate {
    /// No `@cert-authority` line for the host has the authority's key.
    #[error("is by no authority that known_hosts has for this host")]
    UnknownAuthority,
    /// The certificate is a user's.
    #[error("is for users")]
    NotHost,
    /// The certificate names no host, or other hosts.
    #[error("is for other hosts")]
    OtherHost,
    /// The time is not within the bounds of the certificate.
    #[error("is not valid now")]
    Expired,
    /// The certificate has critical options, none of which muster supports.
    #[error("has unknown critical options")]
    Critical,
    /// The signature is not valid, or uses SHA-1.
    #[error("has no valid signature")]
    Signature,
}

/// The name of a host in known_hosts: `core-01`, or `[core-01]:2222`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostName {
    bare: String,
    with_port: Option<String>,
}

impl HostName {
    /// Returns the name of a host that is reached on a port.
    pub fn new(host: &str, port: u16) -> Self {
        let bare = host.to_ascii_lowercase();
        let with_port = (port != 22).then(|| format!("[{bare}]:{port}"));
        Self { bare, with_port }
    }

    /// Returns a name that is independent of the port (`HostKeyAlias`).
    pub fn alias(alias: &str) -> Self {
        Self { bare: alias.to_ascii_lowercase(), with_port: None }
    }

    /// Returns the name under which a key is recorded.
    pub fn recorded_as(&self) -> &str {
        self.with_port.as_deref().unwrap_or(&self.bare)
    }
}

/// One line with a key.
#[derive(Debug, Clone)]
struct Entry {
    place: Place,
    marker: Marker,
    names: Names,
    key: PublicKey,
}

/// The content of known_hosts files.
#[derive(Debug, Clone, Default)]
pub struct KnownHosts {
    entries: Vec<Entry>,
}

impl KnownHosts {
    /// Reads the files in order. A file that does not exist has no keys.
    pub fn read<'a>(files: impl IntoIterator<Item = &'a Path>) -> Result<Self, Unreadable> {
        let mut known = Self::default();
        for file in files {
            match fs::read(file) {
                Ok(bytes) => known.take(file, &String::from_utf8_lossy(&bytes)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Unreadable { file: file.to_path_buf(), why: error.to_string() }),
            }
        }
        Ok(known)
    }

    /// Adds files of revoked keys (`RevokedHostKeys`), one key on a line. A file that cannot be read is an error.
    pub fn without<'a>(mut self, files: impl IntoIterator<Item = &'a Path>) -> Result<Self, Unreadable> {
        for file in files {
            let wrong = |why: String| Unreadable { file: file.to_path_buf(), why };
            let bytes = fs::read(file).map_err(|error| wrong(error.to_string()))?;
            if bytes.starts_with(b"SSHKRL\n\0") {
                return Err(wrong("it is a KRL: expected public keys, one on a line".to_owned()));
            }
            let text = String::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8 text".to_owned()))?;
            let file: Arc<Path> = file.into();
            for (number, text) in text.lines().enumerate() {
                let place = Place { file: file.clone(), line: number + 1 };
                let key = line::parse_key(text).map_err(|what| wrong(format!("line {}: {what}", place.line)))?;
                let names = Names::Patterns(vec!["*".to_owned()]);
                self.entries.extend(key.map(|key| Entry { place, marker: Marker::Revoked, names, key }));
            }
        }
        Ok(self)
    }

    /// Adds the lines of a file. A line that does not parse is skipped with a warning, as in OpenSSH.
    fn take(&mut self, file: &Path, text: &str) {
        let file: Arc<Path> = file.into();
        for (number, text) in text.split('\n').enumerate() {
            let place = Place { file: file.clone(), line: number + 1 };
            match line::parse(text) {
                Ok(None) => {}
                Ok(Some((marker, names, key))) => self.entries.push(Entry { place, marker, names, key }),
                Err(what) => tracing::warn!("{place}: {what}: the line is skipped"),
            }
        }
    }

    fn of<'a>(&'a self, name: &'a str, marker: Marker) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter(move |entry| entry.marker == marker && entry.names.include(name))
    }

    /// Returns the status of a plain key.
    pub fn check(&self, host: &HostName, key: &PublicKey) -> KeyStatus {
        if let Some(place) = self.revoked(host, key) {
            return KeyStatus::Revoked(place);
        }
        let status = self.check_as(host.recorded_as(), key);
        match status {
            // As in OpenSSH, a plain name counts for each port without an entry of its own.
            KeyStatus::Unknown(_) if host.with_port.is_some() => match self.check_as(&host.bare, key) {
                KeyStatus::Trusted(place) => KeyStatus::Trusted(place),
                _ => status,
            },
            _ => status,
        }
    }

    fn check_as(&self, name: &str, key: &PublicKey) -> KeyStatus {
        let mut others = Vec::new();
        let mut changed = None;
        for entry in self.of(name, Marker::Plain) {
            if entry.key.key_data() == key.key_data() {
                return KeyStatus::Trusted(entry.place.clone());
            }
            if entry.key.algorithm() == key.algorithm() {
                changed.get_or_insert_with(|| entry.place.clone());
            } else {
                others.push((entry.key.algorithm(), entry.place.clone()));
            }
        }
        changed.map_or(KeyStatus::Unknown(others), KeyStatus::Changed)
    }

    fn revoked(&self, host: &HostName, key: &PublicKey) -> Option<Place> {
        let mut revoked = self.of(host.recorded_as(), Marker::Revoked).chain(self.of(&host.bare, Marker::Revoked));
        revoked.find(|entry| entry.key.key_data() == key.key_data()).map(|entry| entry.place.clone())
    }

    /// Returns the status of a certificate at a time in seconds since the Unix epoch. It does not look up the key
    /// inside: a certificate that is not accepted says nothing about that key.
    pub fn check_certificate(
        &self,
        host: &HostName,
        certificate: &Certificate,
        now: u64,
    ) -> Result<KeyStatus, BadCertificate> {
        let authority = PublicKey::from(certificate.signature_key().clone());
        let inside = PublicKey::from(certificate.public_key().clone());
        if let Some(place) = self.revoked(host, &authority).or_else(|| self.revoked(host, &inside)) {
            return Ok(KeyStatus::Revoked(place));
        }
        let mut known = self.of(host.recorded_as(), Marker::Authority).chain(self.of(&host.bare, Marker::Authority));
        let known = known.find(|entry| entry.key.key_data() == authority.key_data());
        let place = known.ok_or(BadCertificate::UnknownAuthority)?.place.clone();
        if certificate.cert_type() != CertType::Host {
            return Err(BadCertificate::NotHost);
        }
        let named = |principal: &String| super::ssh_pattern::matches(&host.bare, &principal.to_ascii_lowercase());
        if !certificate.valid_principals().iter().any(named) {
            return Err(BadCertificate::OtherHost);
        }
        if !certificate.critical_options().is_empty() {
            return Err(BadCertificate::Critical);
        }
        if !(certificate.valid_after()..certificate.valid_before()).contains(&now) {
            return Err(BadCertificate::Expired);
        }
        if matches!(certificate.signature().algorithm(), Algorithm::Rsa { hash: None } | Algorithm::Dsa) {
            return Err(BadCertificate::Signature);
        }
        let print = authority.fingerprint(HashAlg::Sha256);
        certificate.validate_at(now, [&print]).map_err(|_| BadCertificate::Signature)?;
        Ok(KeyStatus::TrustedByAuthority(place))
    }

    /// Reports whether there is an authority for the host.
    pub fn has_authority(&self, host: &HostName) -> bool {
        self.of(host.recorded_as(), Marker::Authority).chain(self.of(&host.bare, Marker::Authority)).next().is_some()
    }

    /// Returns the algorithms of the known keys of a host, which the handshake should prefer.
    pub fn algorithms(&self, host: &HostName) -> Vec<Algorithm> {
        let of = |name| self.of(name, Marker::Plain).map(|entry| entry.key.algorithm()).collect::<Vec<_>>();
        let exact = of(host.recorded_as());
        if exact.is_empty() { of(&host.bare) } else { exact }
    }
}
