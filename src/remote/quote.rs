//! Words for a POSIX shell.

use std::borrow::Cow;

/// A word that no shell can be given, because it contains a NUL byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it contains a NUL byte")]
pub struct Unquotable;

/// Quotes one word for `sh`.
pub fn quote(word: &str) -> Result<Cow<'_, str>, Unquotable> {
    shlex::try_quote(word).map_err(|_| Unquotable)
}
