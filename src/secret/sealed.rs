//! Encrypted values.
//!
//! The text that is encrypted begins with a line that names the secret and its version. A store that puts the value of one
//! secret in the place of another is found out by it.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::io::Write as _;

use secrecy::ExposeSecret as _;
use secrecy::SecretSlice;
use secrecy::zeroize::Zeroizing;

use super::Identity;
use super::VALUE_LIMIT;
use crate::core::model::RecipientKey;
use crate::core::model::SecretVersion;
use crate::core::secret_name::SecretName;

/// How the first line begins. The number is that of the format.
const FORMAT: &str = "muster-secret-1";

/// The most bytes of the first line: the format, a name, a version and the characters between them.
const LINE_LIMIT: usize = 320;

/// A value could not be encrypted. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The value is too long.
    #[error("the value has {0} bytes: expected at most {VALUE_LIMIT}")]
    TooLong(usize),
    /// A public key has a wrong checksum.
    #[error("invalid public key {0}: {1}")]
    Key(RecipientKey, &'static str),
    /// age failed.
    #[error("the value could not be encrypted: {0}")]
    Age(String),
}

/// A value could not be decrypted. Each text continues a sentence whose subject is the secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The value is encrypted for other keys.
    #[error("is not encrypted for a key of this identity")]
    NoKey,
    /// The value is that of another secret.
    #[error("has the value of another secret, {0}, in the store")]
    Misplaced(SecretName),
    /// The bytes are not those of an encrypted value.
    #[error("is damaged in the store: {0}")]
    Damaged(String),
}

/// Checks the checksum of a public key.
pub fn check(key: &RecipientKey) -> Result<(), SealError> {
    recipient(key).map(drop)
}

fn recipient(key: &RecipientKey) -> Result<age::x25519::Recipient, SealError> {
    key.as_str().parse().map_err(|why| SealError::Key(key.clone(), why))
}

/// Encrypts a value for recipients, of which there is at least one.
pub fn seal(
    name: &SecretName,
    version: SecretVersion,
    value: &SecretSlice<u8>,
    recipients: &BTreeSet<RecipientKey>,
) -> Result<Vec<u8>, SealError> {
    let value = value.expose_secret();
    if value.len() > VALUE_LIMIT {
        return Err(SealError::TooLong(value.len()));
    }
    let keys = recipients.iter().map(recipient).collect::<Result<Vec<_>, _>>()?;
    let failed = |error: &dyn std::fmt::Display| SealError::Age(error.to_string());
    let encryptor = age::Encryptor::with_recipients(keys.iter().map(|key| key as &dyn age::Recipient));
    let mut sealed = Vec::new();
    let mut writer =
        encryptor.map_err(|error| failed(&error))?.wrap_output(&mut sealed).map_err(|error| failed(&error))?;
    let written = writer.write_all(format!("{FORMAT} {name} {version}\n").as_bytes());
    written.and_then(|()| writer.write_all(value)).map_err(|error| failed(&error))?;
    writer.finish().map_err(|error| failed(&error))?;
    Ok(sealed)
}

/// Decrypts a value. Returns also its version.
pub fn open(
    name: &SecretName,
    sealed: &[u8],
    identity: &Identity,
) -> Result<(SecretVersion, SecretSlice<u8>), OpenError> {
    let text = decrypt(sealed, identity)?;
    let damaged = |what: &str| OpenError::Damaged(what.to_owned());
    let end = text.iter().take(LINE_LIMIT).position(|byte| *byte == b'\n');
    let (line, value) =
        end.and_then(|end| text.split_at_checked(end)).ok_or_else(|| damaged("it has no first line"))?;
    let words = std::str::from_utf8(line).unwrap_or_default().split(' ').collect::<Vec<_>>();
    let [FORMAT, named, version] = words.as_slice() else { return Err(damaged("its first line is of another format")) };
    let named: SecretName = named.parse().map_err(|_| damaged("its first line has no name"))?;
    if named != *name {
        return Err(OpenError::Misplaced(named));
    }
    let version = version.parse().map_err(|_| damaged("its first line has no version"))?;
    Ok((version, value.get(1..).unwrap_or_default().to_vec().into()))
}

fn decrypt(sealed: &[u8], identity: &Identity) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let failed = |error: age::DecryptError| match error {
        age::DecryptError::NoMatchingKeys => OpenError::NoKey,
        error => OpenError::Damaged(error.to_string()),
    };
    let decryptor = age::Decryptor::new_buffered(sealed).map_err(failed)?;
    let reader = decryptor.decrypt(identity.keys()).map_err(failed)?;
    // A buffer that grows would leave parts of the value in memory.
    let mut text = Zeroizing::new(Vec::with_capacity(sealed.len()));
    let limit = u64::try_from(VALUE_LIMIT + LINE_LIMIT).unwrap_or(u64::MAX);
    let read = reader.take(limit + 1).read_to_end(&mut text);
    read.map_err(|error| OpenError::Damaged(error.to_string()))?;
    if text.len() > VALUE_LIMIT + LINE_LIMIT {
        return Err(OpenError::Damaged("it is too long".to_owned()));
    }
    Ok(text)
}
