//! The private keys of an operator or of a controller.

use std::collections::BTreeSet;
use std::fmt;

use secrecy::ExposeSecret as _;
use secrecy::SecretString;

use crate::core::model::RecipientKey;

/// The private keys that read secrets. age's own tools read and write the same files.
#[derive(Clone)]
pub struct Identity {
    keys: Vec<age::x25519::Identity>,
}

/// The text is not that of an identity file. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadIdentity {
    /// A line is neither a key nor a comment. It is not quoted, because it may be a damaged key.
    #[error("line {line} is no private key of age: {why}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// There is no key.
    #[error("there is no private key of age (`AGE-SECRET-KEY-1…`)")]
    Empty,
}

impl Identity {
    /// Makes a new private key.
    pub fn generate() -> Self {
        Self { keys: vec![age::x25519::Identity::generate()] }
    }

    /// Parses the text of an identity file: one private key in a line; lines that begin with `#` are comments.
    pub fn parse(text: &str) -> Result<Self, BadIdentity> {
        let lines = text.lines().map(str::trim).enumerate();
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let key = |(index, line): (usize, &str)| {
            line.parse::<age::x25519::Identity>().map_err(|why| BadIdentity::Line { line: index + 1, why })
        };
        let keys = lines.map(key).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() { Err(BadIdentity::Empty) } else { Ok(Self { keys }) }
    }

    /// Returns the text of the identity file.
    pub fn text(&self) -> SecretString {
        let mut text = String::new();
        for key in &self.keys {
            text.push_str(&format!("# public key: {}\n", key.to_public()));
            text.push_str(key.to_string().expose_secret());
            text.push('\n');
        }
        text.into()
    }

    /// Returns the public keys, in the order of the file.
    pub fn public_keys(&self) -> Vec<RecipientKey> {
        self.keys.iter().filter_map(|key| key.to_public().to_string().parse().ok()).collect()
    }

    /// Reports whether a value that is encrypted for these recipients can be read.
    pub fn reads(&self, recipients: &BTreeSet<RecipientKey>) -> bool {
        self.public_keys().iter().any(|key| recipients.contains(key))
    }

    /// Returns the keys as age takes them.
    pub(super) fn keys(&self) -> impl Iterator<Item = &dyn age::Identity> {
        self.keys.iter().map(|key| key as &dyn age::Identity)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("public_keys", &self.public_keys()).finish_non_exhaustive()
    }
}
