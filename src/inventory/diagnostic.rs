//! Diagnostics: errors with their position in a file that a user wrote.

use std::fmt;
use std::path::Path;
use std::path::PathBuf;

use crate::core::similar::similar;
use crate::vault::VaultError;

/// A position in a file. Lines and columns count from 1; 0 means the whole file or the whole line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Position {
    /// The line.
    pub line: u64,
    /// The column, in characters.
    pub column: u64,
}

impl Position {
    /// Makes a position from a line and a column.
    pub const fn new(line: u64, column: u64) -> Self {
        Self { line, column }
    }
}

/// An error in a file, with its position. Nothing was done with the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file, as the user named it.
    pub file: PathBuf,
    /// The position in the file.
    pub at: Position,
    /// The error, without a full stop.
    pub what: String,
    /// A hint that says what to do, a sentence.
    pub hint: Option<String>,
    /// Set if the file may be right, and muster has no such module, argument or keyword.
    pub is_unimplemented: bool,
}

impl Diagnostic {
    /// Makes a diagnostic at a position.
    pub fn new(file: &Path, at: Position, what: impl Into<String>) -> Self {
        Self { file: file.to_owned(), at, what: what.into(), hint: None, is_unimplemented: false }
    }

    /// Makes the diagnostic of an encrypted file that cannot be opened.
    pub fn of_vault(file: &Path, error: &VaultError) -> Self {
        let (line, column) = error.position().unwrap_or((1, 1));
        Self::new(file, Position::new(line, column), format!("the file {error}"))
    }

    /// Names a file below a folder as it is seen from there.
    #[must_use]
    pub fn seen_from(mut self, folder: &Path) -> Self {
        if let Ok(file) = self.file.strip_prefix(folder) {
            self.file = file.to_owned();
        }
        self
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        match self.at {
            Position { line: 0, .. } => {}
            Position { line, column: 0 } => write!(f, "{line}:")?,
            Position { line, column } => write!(f, "{line}:{column}:")?,
        }
        write!(f, " {}", self.what)
    }
}

impl std::error::Error for Diagnostic {}

/// Returns a hint that names similar candidates, if there are any.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let names: Vec<String> = similar(word, candidates).into_iter().map(|name| format!("`{name}`")).collect();
    (!names.is_empty()).then(|| format!("Did you mean {}?", names.join(" or ")))
}
