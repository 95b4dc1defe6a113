//! The name of a secret: systemd's rules for the names of credentials, which are file names, and a few stricter ones.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::core::sanitize::is_plain_name;
use crate::core::text_record::text_record;

/// The longest file name on Linux, in bytes (`NAME_MAX`, limits.h(0p)).
const NAME_MAX: usize = 255;

/// The name of a secret. It is one path component, and cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretName(Arc<str>);

/// The text is not the name of a secret. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid name of a secret {0:?}: expected 1 to {NAME_MAX} of A-Z, a-z, 0-9, `_`, `.` and `-`, and no `.` or `-` at \
     the start"
)]
pub struct BadSecretName(String);

impl SecretName {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SecretName {
    type Err = BadSecretName;

    fn from_str(text: &str) -> Result<Self, BadSecretName> {
        if is_plain_name(text, NAME_MAX) && !text.starts_with('-') {
            Ok(Self(text.into()))
        } else {
            Err(BadSecretName(text.chars().take(64).collect()))
        }
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_record!(SecretName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_path_component_of_plain_characters() {
        for text in ["a", "db-password", "TLS_key.pem", "0", "_x", &"a".repeat(255)] {
            assert_eq!(text.parse::<SecretName>().unwrap().as_str(), text);
        }
        for text in ["", ".", "..", ".hidden", "-", "-x", "a/b", "a b", "ä", "a\n", "a:b", &"a".repeat(256)] {
            let error = text.parse::<SecretName>().unwrap_err().to_string();
            let shown: String = text.chars().take(64).collect();
            assert_eq!(
                error,
                format!(
                    "invalid name of a secret {shown:?}: expected 1 to 255 of A-Z, a-z, 0-9, `_`, `.` and `-`, and no \
                     `.` or `-` at the start"
                )
            );
        }
    }
}
