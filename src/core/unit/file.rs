//! Unit files: read and written as fleet did, so that the HASH is the same.

use super::hash::Hash;

/// One `Name=Value` line and the section it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitOption {
    /// The section's name, without brackets.
    pub section: String,
    /// The part before `=`.
    pub name: String,
    /// The part after `=`, trimmed.
    pub value: String,
}

/// A unit file in fleet's serialised form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitFile {
    options: Vec<UnitOption>,
    text: String,
    hash: Hash,
}

/// The text is not a unit file. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {what}")]
pub struct BadUnitFile {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// What is wrong with it.
    pub what: String,
}

impl UnitFile {
    /// Reads a unit file.
    pub fn parse(text: &str) -> Result<Self, BadUnitFile> {
        let mut options = Vec::new();
        let mut section = String::new();
        for line in text.lines() {
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                name.clone_into(&mut section);
            } else if let Some((name, value)) = line.split_once('=') {
                options.push(UnitOption {
                    section: section.clone(),
                    name: name.trim().to_owned(),
                    value: value.trim().to_owned(),
                });
            }
        }
        Ok(Self { options, text: text.to_owned(), hash: Hash::of(text.as_bytes()) })
    }

    /// Returns the options in order.
    pub fn options(&self) -> &[UnitOption] {
        &self.options
    }

    /// Returns the serialised text: what the store and the hosts hold.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the hash of the serialised text.
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// Says whether the file has an `[Install]` section, so that loading it enables it too.
    pub fn has_install(&self) -> bool {
        self.options.iter().any(|option| option.section == "Install")
    }
}
