//! From the text of `--store` to a store.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use super::MemoryStore;
use super::SharedStore;
use super::SqliteStore;
use super::StoreError;

/// Where a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// In this process, and gone with it.
    Memory,
    /// In a file.
    Sqlite(PathBuf),
}

/// The text does not say where a store is. Nothing was opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: write sqlite:PATH or memory:")]
pub struct BadLocation {
    what: String,
}

impl BadLocation {
    fn new(what: impl Into<String>) -> Self {
        Self { what: what.into() }
    }
}

impl FromStr for Location {
    type Err = BadLocation;

    fn from_str(text: &str) -> Result<Self, BadLocation> {
        let (scheme, rest) = text.split_once(':').ok_or_else(|| BadLocation::new("this is not a store"))?;
        match scheme {
            "memory" if rest.is_empty() => Ok(Self::Memory),
            "memory" => Err(BadLocation::new("nothing may follow memory:")),
            "sqlite" if rest.is_empty() => Err(BadLocation::new("the file is missing")),
            "sqlite" => Ok(Self::Sqlite(PathBuf::from(rest))),
            _ => Err(BadLocation::new(format!("there is no store called {scheme:?}"))),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory:"),
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
        }
    }
}

/// Opens the store that the text names.
pub async fn open(text: &str) -> Result<SharedStore, StoreError> {
    // The text is not repeated: a password may have been typed into it.
    let location: Location = text.parse().map_err(|error: BadLocation| StoreError::Refused {
        store: "of --store".to_owned(),
        detail: error.to_string(),
    })?;
    match location {
        Location::Memory => Ok(Arc::new(MemoryStore::new())),
        Location::Sqlite(path) => Ok(Arc::new(SqliteStore::open(&path).await?)),
    }
}
