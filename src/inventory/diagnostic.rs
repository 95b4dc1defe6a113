//! Diagnostics: errors with their position in a file that a user wrote.

use std::fmt;
use std::path::Path;
use std::path::PathBuf;

/// A position in a file. Lines and columns count from 1; 0 means the whole file or the whole line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
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
}

impl Diagnostic {
    /// Makes a diagnostic at a position.
    pub fn new(file: &Path, at: Position, what: impl Into<String>) -> Self {
        Self { file: file.to_owned(), at, what: what.into(), hint: None }
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

/// Returns the candidates that are most similar to `word`, the most similar first, at most three.
pub fn similar<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let similarity = |candidate: &&'a str| (strsim::normalized_damerau_levenshtein(word, candidate) * 1000.0).round();
    let mut scored: Vec<_> = candidates.into_iter().map(|name| (similarity(&name), name)).collect();
    scored.retain(|(score, _)| *score >= 500.0);
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.dedup();
    scored.into_iter().take(3).map(|(_, name)| name).collect()
}

/// Returns a hint that names similar candidates, if there are any.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let names: Vec<String> = similar(word, candidates).into_iter().map(|name| format!("`{name}`")).collect();
    (!names.is_empty()).then(|| format!("Did you mean {}?", names.join(" or ")))
}
