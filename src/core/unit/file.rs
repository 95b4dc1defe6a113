//! Unit files: parsed and serialised as in fleet, so that the HASH is the same.

use indexmap::IndexMap;
use indexmap::IndexSet;

use super::hash::Hash;
use super::parse;
use super::parse::BadUnitFile;
use super::parse::SyntaxError;
use super::parse::UnitOption;
use super::parse::Warning;

/// A unit file in fleet's serialised form.
#[derive(Debug, Clone)]
pub struct UnitFile {
    options: Vec<UnitOption>,
    warnings: Vec<Warning>,
    text: String,
    hash: Hash,
}

impl UnitFile {
    /// Parses a unit file.
    pub fn parse(text: &str) -> Result<Self, BadUnitFile> {
        let parse::Parsed { options, warnings } = parse::parse(text)?;
        let text = serialise(&options);
        let hash = Hash::of(text.as_bytes());
        Ok(Self { options, warnings, text, hash })
    }

    /// Makes a unit file of options.
    pub fn of_options(options: &[UnitOption]) -> Result<Self, BadOptions> {
        let file = Self::parse(&serialise(options))?;
        let sections: IndexSet<&str> = options.iter().map(|option| option.section.as_str()).collect();
        let ordered = sections.iter().flat_map(|section| options.iter().filter(|option| option.section == **section));
        let mut read = file.options.iter();
        // systemd ignores an option without a name, or in a section without one.
        let is_named = |option: &UnitOption| !option.section.is_empty() && !option.name.is_empty();
        let mut is_same = |option: &UnitOption| read.next() == Some(option) && is_named(option);
        // Text that a parser reads in another way would become other options, or another section.
        match ordered.into_iter().find(|option| !is_same(option)) {
            None => Ok(file),
            Some(UnitOption { section, name, value }) => {
                Err(BadOptions::Changed { section: section.clone(), name: name.clone(), value: value.clone() })
            }
        }
    }

    /// Parses a unit file from bytes, which may not be text.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadUnitFile> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let (line, column) = parse::position(&String::from_utf8_lossy(valid), valid.len());
            BadUnitFile { line, column, error: SyntaxError::NotUtf8 }
        })?;
        Self::parse(text)
    }

    /// Returns the options in the order of the parsed text.
    pub fn options(&self) -> &[UnitOption] {
        &self.options
    }

    /// Returns the values of an option, in order.
    pub fn values(&self, section: &str, name: &str) -> impl DoubleEndedIterator<Item = &str> {
        let named = move |option: &&UnitOption| option.section == section && option.name == name;
        self.options.iter().filter(named).map(|option| option.value.as_str())
    }

    /// Returns the warnings about the parsed text, the first of each kind.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Returns the serialised text, which the store and the hosts hold.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the hash of the serialised text.
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// Returns the first `Description=` of `[Unit]`, which fleet lists.
    pub fn description(&self) -> Option<&str> {
        self.values("Unit", "Description").next()
    }

    /// Reports whether the file has an `[Install]` section, so that loading it enables it as well.
    pub fn has_install(&self) -> bool {
        self.options.iter().any(|option| option.section == "Install")
    }

    /// Returns how long systemd lets a service stop before it kills the service, as the file says it.
    pub fn stop_limit(&self) -> Option<&str> {
        let named = |option: &&UnitOption| {
            option.section == "Service" && matches!(option.name.as_str(), "TimeoutStopSec" | "TimeoutSec")
        };
        let last = self.options.iter().rfind(named)?;
        Some(last.value.as_str()).filter(|value| !value.is_empty())
    }

    /// Reports whether the unit is a `Type=oneshot` service, which is done when it has run. Podman makes one of a `.build` file.
    pub fn is_oneshot(&self) -> bool {
        let is_build = || self.options.iter().any(|option| option.section == "Build");
        self.values("Service", "Type").next_back().map_or_else(is_build, |kind| kind == "oneshot")
    }
}

/// The options are not those of a unit file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadOptions {
    /// Their text is not a unit file.
    #[error(transparent)]
    Text(#[from] BadUnitFile),
    /// A unit file cannot have this option: its text means something else.
    #[error("the option {name:?} = {value:?} of section {section:?} is not one line of a unit file")]
    Changed {
        /// Its section.
        section: String,
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
}

/// Two files are equal if their serialised texts are.
impl PartialEq for UnitFile {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for UnitFile {}

/// Serialises options as fleet did: each section once, in order of first appearance, with a blank line between them.
fn serialise(options: &[UnitOption]) -> String {
    let mut sections = IndexMap::<&str, String>::new();
    for UnitOption { section, name, value } in options {
        let text = sections.entry(section).or_insert_with(|| format!("[{section}]\n"));
        text.extend([name.as_str(), "=", value.as_str(), "\n"]);
    }
    let texts: Vec<String> = sections.into_values().collect();
    texts.join("\n")
}

#[cfg(test)]
mod tests;
