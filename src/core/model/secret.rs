//! The records of secrets and of the keys that can read them. No record has a value: the store keeps the encrypted values
//! apart.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

use super::Timestamp;
use crate::core::hex::hex_identity;
use crate::core::text_record::text_record;

/// A random number that each `secret set` makes anew. Another encryption of the same value keeps it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SecretVersion(u128);

impl SecretVersion {
    /// Makes a version from its 128 bits.
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// Returns the first eight hexadecimal digits.
    pub fn short(self) -> String {
        format!("{:08x}", self.0 >> 96)
    }

    const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

hex_identity!(SecretVersion, "version of a secret");

/// A secret without its value. The store keeps it under `secrets/<name>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretRecord {
    /// The version of the value.
    pub version: SecretVersion,
    /// How many bytes the value has.
    pub size: u64,
    /// When the value was set.
    pub set_at: Timestamp,
    /// The operator that set it: `user@host`.
    pub set_by: String,
    /// The keys for which the value is encrypted.
    pub recipients: BTreeSet<RecipientKey>,
}

/// The public key of a recipient: an X25519 key of age, `age1…`. Its checksum is not checked here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecipientKey(String);

/// The text is not a public key of age. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid public key {0:?}: expected `age1` and 58 lower-case letters and digits")]
pub struct BadRecipientKey(String);

/// How many characters a public key has.
const KEY_LENGTH: usize = 62;

impl RecipientKey {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RecipientKey {
    type Err = BadRecipientKey;

    fn from_str(text: &str) -> Result<Self, BadRecipientKey> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if text.len() == KEY_LENGTH && text.starts_with("age1") && text.bytes().all(is_plain) {
            Ok(Self(text.to_owned()))
        } else {
            // The beginning tells a private key, which must not be printed, from a public one.
            Err(BadRecipientKey(text.chars().take(8).collect()))
        }
    }
}

impl fmt::Display for RecipientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_record!(RecipientKey);

/// A recipient: an operator or a controller that can read the secrets of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// Its name, for messages.
    pub name: String,
    /// When it was added.
    pub added_at: Timestamp,
    /// The operator that added it: `user@host`.
    pub added_by: String,
}

/// The recipients of the cluster's secrets. The store keeps them under `secret-recipients`.
pub type Recipients = BTreeMap<RecipientKey, Recipient>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_key_has_its_form_and_an_error_shows_only_the_beginning_of_a_text() {
        let key = format!("age1{}", "q".repeat(58));
        assert_eq!(key.parse::<RecipientKey>().unwrap().as_str(), key);
        for text in ["", "age1", "ssh-ed25519 AAAA", &key.to_uppercase(), &format!("{key}q")] {
            assert!(text.parse::<RecipientKey>().is_err(), "{text}");
        }
        let private = format!("AGE-SECRET-KEY-1{}", "Q".repeat(58));
        assert_eq!(
            private.parse::<RecipientKey>().unwrap_err().to_string(),
            "invalid public key \"AGE-SECR\": expected `age1` and 58 lower-case letters and digits"
        );
    }
}
