//! Parses one line of a known_hosts file: marker, names, key. This module is pure.

use hmac::KeyInit as _;
use hmac::Mac as _;
use russh::keys::PublicKey;
use russh::keys::parse_public_key_base64;
use russh::keys::ssh_key::known_hosts::HostPatterns;

use crate::remote::ssh_pattern::matches_any;

/// The meaning of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    /// The key of the host.
    Plain,
    /// The key of an authority that signs host keys.
    Authority,
    /// A key that must not be trusted.
    Revoked,
}

/// The hosts of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Names {
    /// Patterns, in lower case.
    Patterns(Vec<String>),
    /// `|1|SALT|HASH`: HMAC-SHA1 of the name.
    Hashed { salt: Vec<u8>, hash: [u8; 20] },
}

impl Names {
    /// Reports whether the line is about this host. `name` is in lower case.
    pub(super) fn include(&self, name: &str) -> bool {
        match self {
            Self::Patterns(patterns) => matches_any(name, patterns.iter().map(String::as_str)),
            Self::Hashed { salt, hash } => hash_name(name, salt) == *hash,
        }
    }
}

/// Hashes a name as `HashKnownHosts` does.
pub(super) fn hash_name(name: &str, salt: &[u8]) -> [u8; 20] {
    match hmac::Hmac::<sha1::Sha1>::new_from_slice(salt) {
        Ok(mut mac) => {
            mac.update(name.as_bytes());
            mac.finalize().into_bytes().into()
        }
        // HMAC accepts a key of any length, so this is not reached. No name has this hash.
        Err(_) => [0; 20],
    }
}

/// Reads a line; `None` for an empty one or a comment.
pub(super) fn parse(line: &str) -> Result<Option<(Marker, Names, PublicKey)>, String> {
    let mut words = line.split(|c: char| c.is_ascii_whitespace()).filter(|word| !word.is_empty());
    let Some(first) = words.next().filter(|word| !word.starts_with('#')) else { return Ok(None) };
    let marker = match first {
        "@cert-authority" => Marker::Authority,
        "@revoked" => Marker::Revoked,
        _ if first.starts_with('@') => {
            return Err(format!("unknown marker {first}: expected @cert-authority or @revoked"));
        }
        _ => Marker::Plain,
    };
    let names = if marker == Marker::Plain { Some(first) } else { words.next() };
    let names = read_names(names.ok_or("the line names no host")?)?;
    let (Some(algorithm), Some(blob)) = (words.next(), words.next()) else {
        return Err("the line has no key".to_owned());
    };
    Ok(Some((marker, names, read_key(algorithm, blob)?)))
}

/// Reads a line that is a public key and perhaps a comment; `None` for an empty one or a comment alone.
pub(super) fn parse_key(line: &str) -> Result<Option<PublicKey>, String> {
    let mut words = line.split_ascii_whitespace();
    match (words.next().filter(|word| !word.starts_with('#')), words.next()) {
        (None, _) => Ok(None),
        (Some(algorithm), Some(blob)) => read_key(algorithm, blob).map(Some),
        (Some(_), None) => Err("the line is not a public key".to_owned()),
    }
}

fn read_names(text: &str) -> Result<Names, String> {
    if !text.starts_with('|') {
        return Ok(Names::Patterns(text.split(',').map(str::to_ascii_lowercase).collect()));
    }
    match text.parse() {
        Ok(HostPatterns::HashedName { salt, hash }) => Ok(Names::Hashed { salt, hash }),
        _ => Err("the hashed name does not parse".to_owned()),
    }
}

/// Reads a key. The word before it must be its algorithm.
fn read_key(algorithm: &str, blob: &str) -> Result<PublicKey, String> {
    let key = parse_public_key_base64(blob).map_err(|error| format!("the {algorithm} key does not parse ({error})"))?;
    if key.algorithm().as_str() == algorithm {
        Ok(key)
    } else {
        Err(format!("the key does not have the algorithm {algorithm}"))
    }
}
