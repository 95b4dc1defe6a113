//! Which host keys are trusted: known_hosts files (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT), read with every marker.
//!
//! Reads and appends to files; asks nobody and decides nothing about connections. Nothing in a file is passed over in
//! silence: a file that cannot be read is an error, a line that does not parse a warning.

mod line;
mod note;

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

use line::Marker;
use line::Names;
pub use note::note;

/// A file and a line in it, from 1.
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

/// A file is there and cannot be read, so it is not known which keys are trusted. Nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read {file}: {why}", file = file.display())]
pub struct Unreadable {
    /// The file.
    pub file: PathBuf,
    /// What the system said.
    pub why: String,
}

/// What the files say about a key that a host has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is the host's.
    Trusted(Place),
    /// An authority that may speak for the host says that it is the host's.
    TrustedByAuthority(Place),
    /// Nothing is known of the host, or only keys of other algorithms: these.
    Unknown(Vec<(Algorithm, Place)>),
    /// The host has had another key of this algorithm.
    Changed(Place),
    /// It was revoked.
    Revoked(Place),
}

/// Why a certificate does not count, as the end of a sentence that starts with "its certificate".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadCertificate {
    /// No `@cert-authority` line for the host has its key.
    #[error("is by no authority that known_hosts has for this host")]
    Stranger,
    /// It is a user's.
    #[error("is one for users")]
    NotHost,
    /// It names no host or others.
    #[error("is for other hosts")]
    OtherHost,
    /// The time is not within its bounds.
    #[error("is not valid now")]
    Expired,
    /// It asks for something that nobody here understands.
    #[error("has critical options that are not known here")]
    Critical,
    /// The signature does not fit, or uses SHA-1.
    #[error("is not signed as it should be")]
    Signature,
}

/// A host as known_hosts names it: `core-01`, or `[core-01]:2222`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostName {
    bare: String,
    with_port: Option<String>,
}

impl HostName {
    /// The name of a host that is reached on a port.
    pub fn new(host: &str, port: u16) -> Self {
        let bare = host.to_ascii_lowercase();
        let with_port = (port != 22).then(|| format!("[{bare}]:{port}"));
        Self { bare, with_port }
    }

    /// A name that stands for itself whatever the port (`HostKeyAlias`).
    pub fn alias(alias: &str) -> Self {
        Self { bare: alias.to_ascii_lowercase(), with_port: None }
    }

    /// Returns the name that a key is noted under.
    pub fn noted(&self) -> &str {
        self.with_port.as_deref().unwrap_or(&self.bare)
    }
}

/// One line that names keys.
#[derive(Debug, Clone)]
struct Entry {
    place: Place,
    marker: Marker,
    names: Names,
    key: PublicKey,
}

/// The known_hosts files, read.
#[derive(Debug, Clone, Default)]
pub struct KnownHosts {
    entries: Vec<Entry>,
}

impl KnownHosts {
    /// Reads the files in order. A file that is not there knows nobody.
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

    /// Adds files of keys that no host may have (`RevokedHostKeys`), one to a line. Not to know which those are is an error.
    pub fn without<'a>(mut self, files: impl IntoIterator<Item = &'a Path>) -> Result<Self, Unreadable> {
        for file in files {
            let wrong = |why: String| Unreadable { file: file.to_path_buf(), why };
            let bytes = fs::read(file).map_err(|error| wrong(error.to_string()))?;
            if bytes.starts_with(b"SSHKRL\n\0") {
                return Err(wrong(
                    "it is a KRL, and muster reads revoked keys one to a line: put their public halves there"
                        .to_owned(),
                ));
            }
            let text = String::from_utf8(bytes).map_err(|_| wrong("it is not text".to_owned()))?;
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

    /// Adds the lines of a file. A line that does not parse is passed over with a warning, as in OpenSSH.
    fn take(&mut self, file: &Path, text: &str) {
        let file: Arc<Path> = file.into();
        for (number, text) in text.split('\n').enumerate() {
            let place = Place { file: file.clone(), line: number + 1 };
            match line::parse(text) {
                Ok(None) => {}
                Ok(Some((marker, names, key))) => self.entries.push(Entry { place, marker, names, key }),
                Err(what) => tracing::warn!("{place}: {what}: the line is passed over"),
            }
        }
    }

    fn of<'a>(&'a self, name: &'a str, marker: Marker) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter(move |entry| entry.marker == marker && entry.names.include(name))
    }

    /// Judges a plain key.
    pub fn judge(&self, host: &HostName, key: &PublicKey) -> Verdict {
        if let Some(place) = self.revoked(host, key) {
            return Verdict::Revoked(place);
        }
        let verdict = self.judge_as(host.noted(), key);
        match verdict {
            // OpenSSH too lets a plain name speak for every port of which nothing is known.
            Verdict::Unknown(_) if host.with_port.is_some() => match self.judge_as(&host.bare, key) {
                Verdict::Trusted(place) => Verdict::Trusted(place),
                _ => verdict,
            },
            _ => verdict,
        }
    }

    fn judge_as(&self, name: &str, key: &PublicKey) -> Verdict {
        let mut others = Vec::new();
        let mut changed = None;
        for entry in self.of(name, Marker::Plain) {
            if entry.key.key_data() == key.key_data() {
                return Verdict::Trusted(entry.place.clone());
            }
            if entry.key.algorithm() == key.algorithm() {
                changed.get_or_insert_with(|| entry.place.clone());
            } else {
                others.push((entry.key.algorithm(), entry.place.clone()));
            }
        }
        changed.map_or(Verdict::Unknown(others), Verdict::Changed)
    }

    fn revoked(&self, host: &HostName, key: &PublicKey) -> Option<Place> {
        let mut revoked = self.of(host.noted(), Marker::Revoked).chain(self.of(&host.bare, Marker::Revoked));
        revoked.find(|entry| entry.key.key_data() == key.key_data()).map(|entry| entry.place.clone())
    }

    /// Judges a certificate, at a time in seconds since the Unix epoch. The key in it is not looked up here: a
    /// certificate that does not count says nothing about it.
    pub fn judge_certificate(
        &self,
        host: &HostName,
        certificate: &Certificate,
        now: u64,
    ) -> Result<Verdict, BadCertificate> {
        let authority = PublicKey::from(certificate.signature_key().clone());
        let inside = PublicKey::from(certificate.public_key().clone());
        if let Some(place) = self.revoked(host, &authority).or_else(|| self.revoked(host, &inside)) {
            return Ok(Verdict::Revoked(place));
        }
        let mut known = self.of(host.noted(), Marker::Authority).chain(self.of(&host.bare, Marker::Authority));
        let known = known.find(|entry| entry.key.key_data() == authority.key_data());
        let place = known.ok_or(BadCertificate::Stranger)?.place.clone();
        if certificate.cert_type() != CertType::Host {
            return Err(BadCertificate::NotHost);
        }
        let named = |principal: &String| super::pattern::matches(&host.bare, &principal.to_ascii_lowercase());
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
        Ok(Verdict::TrustedByAuthority(place))
    }

    /// Says whether some authority may speak for the host.
    pub fn has_authority(&self, host: &HostName) -> bool {
        self.of(host.noted(), Marker::Authority).chain(self.of(&host.bare, Marker::Authority)).next().is_some()
    }

    /// Returns the algorithms of the keys that are known of a host: those it should be asked for first.
    pub fn algorithms(&self, host: &HostName) -> Vec<Algorithm> {
        let of = |name| self.of(name, Marker::Plain).map(|entry| entry.key.algorithm()).collect::<Vec<_>>();
        let exact = of(host.noted());
        if exact.is_empty() { of(&host.bare) } else { exact }
    }
}
