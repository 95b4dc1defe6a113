//! What is wrong with a file somebody wrote, and where.

use std::fmt;
use std::path::Path;
use std::path::PathBuf;

/// A place in a file. Lines and columns count from 1; 0 means the whole file or the whole line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// The line.
    pub line: u64,
    /// The column, in characters.
    pub column: u64,
}

impl Place {
    /// Makes a place from a line and a column.
    pub const fn new(line: u64, column: u64) -> Self {
        Self { line, column }
    }
}

/// Something in a file that cannot be what was meant. Nothing was done with the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file, as it was named.
    pub file: PathBuf,
    /// Where in the file.
    pub at: Place,
    /// What is wrong, without a full stop.
    pub what: String,
    /// What to do about it, a sentence.
    pub hint: Option<String>,
}

impl Fault {
    /// Says what is wrong at a place.
    pub fn new(file: &Path, at: Place, what: impl Into<String>) -> Self {
        Self { file: file.to_owned(), at, what: what.into(), hint: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        match self.at {
            Place { line: 0, .. } => {}
            Place { line, column: 0 } => write!(f, "{line}:")?,
            Place { line, column } => write!(f, "{line}:{column}:")?,
        }
        write!(f, " {}", self.what)
    }
}

impl std::error::Error for Fault {}

/// Returns the candidates that look most like `word`, the likest first, at most three.
pub fn near<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let likeness = |candidate: &&'a str| (strsim::normalized_damerau_levenshtein(word, candidate) * 1000.0).round();
    let mut scored: Vec<_> = candidates.into_iter().map(|name| (likeness(&name), name)).collect();
    scored.retain(|(score, _)| *score >= 500.0);
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.dedup();
    scored.into_iter().take(3).map(|(_, name)| name).collect()
}

/// Returns a question that names what was probably meant, if anything looks like it.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let near: Vec<String> = near(word, candidates).into_iter().map(|name| format!("`{name}`")).collect();
    (!near.is_empty()).then(|| format!("Did you mean {}?", near.join(" or ")))
}
