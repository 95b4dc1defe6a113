//! Unit files: read and written as fleet did, so that the HASH is the same.

use indexmap::IndexMap;

use super::hash::Hash;
use super::parse;

/// One `Name=Value` and the section it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitOption {
    /// The section's name, without brackets.
    pub section: String,
    /// The part before `=`, trimmed.
    pub name: String,
    /// The part after `=`, trimmed. A continued value keeps its backslashes and newlines.
    pub value: String,
}

/// A unit file in fleet's serialised form.
#[derive(Debug, Clone)]
pub struct UnitFile {
    options: Vec<UnitOption>,
    warnings: Vec<Warning>,
    text: String,
    hash: Hash,
}

/// The text is not a unit file. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {fault}")]
pub struct BadUnitFile {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong there.
    pub fault: Fault,
}

/// Why a text is not a unit file, and what to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// More than systemd reads in a line and etcd takes in a request.
    #[error("the file is larger than 1 MiB: put data that large into a file of its own")]
    TooLarge,
    /// A NUL byte: systemd ends the line there.
    #[error("a NUL byte: a unit file is text")]
    Nul,
    /// Bytes that are no character.
    #[error("not UTF-8: save the file as UTF-8")]
    NotUtf8,
    /// A section's header without its end.
    #[error("this section's name has no `]` on its line: write it as `[Service]`")]
    UnclosedSection,
    /// A section's header with something after it.
    #[error("text after the section's name: start a new line here")]
    AfterSection,
    /// A line that is no option.
    #[error("no `=` in this line: write `Name=Value`; if it continues the line above, end that one in `\\`")]
    NoEquals,
    /// A value's last line ends in a backslash that is followed by blanks (or by the `\r` of a `\r\n`).
    ///
    /// The blanks are not kept, so the stored file would continue a line that this one does not.
    #[error(
        "this backslash is followed by white space or a carriage return, so it does not continue the line: \
         remove what follows it (save the file with `\\n` line ends), or the backslash"
    )]
    AfterBackslash,
    /// The file's last line ends in a backslash.
    #[error("the file ends in a line that is to be continued: remove this backslash")]
    EndsContinued,
}

/// Something that is taken as fleet took it and is probably not what was meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {oddity}")]
pub struct Warning {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is odd there.
    pub oddity: Oddity,
}

/// What a [`Warning`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Oddity {
    /// Text that belongs to no section.
    #[error("what stands before the first section is ignored")]
    BeforeFirstSection,
    /// `=value`.
    #[error("systemd ignores a line with nothing before its `=`")]
    NoName,
    /// A carriage return within a line, where systemd starts a new one.
    #[error("systemd takes the carriage return in this line for the end of it")]
    CarriageReturn,
    /// A file without options, which systemd takes for a masked unit.
    #[error("there is nothing in this unit file, and systemd will not start it")]
    NoOptions,
}

impl UnitFile {
    /// Reads a unit file.
    pub fn parse(text: &str) -> Result<Self, BadUnitFile> {
        let parse::Parsed { options, warnings } = parse::parse(text)?;
        let text = serialise(&options);
        let hash = Hash::of(text.as_bytes());
        Ok(Self { options, warnings, text, hash })
    }

    /// Reads a unit file that may not even be text.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadUnitFile> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let (line, column) = parse::place(&String::from_utf8_lossy(valid), valid.len());
            BadUnitFile { line, column, fault: Fault::NotUtf8 }
        })?;
        Self::parse(text)
    }

    /// Returns the options in the order of the text they were read from.
    pub fn options(&self) -> &[UnitOption] {
        &self.options
    }

    /// Returns the values of an option, in order.
    pub fn values(&self, section: &str, name: &str) -> impl DoubleEndedIterator<Item = &str> {
        let named = move |option: &&UnitOption| option.section == section && option.name == name;
        self.options.iter().filter(named).map(|option| option.value.as_str())
    }

    /// Returns what is odd in the text it was read from, the first of each kind.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Returns the serialised text: what the store and the hosts hold.
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

    /// Says whether the file has an `[Install]` section, so that loading it enables it too.
    pub fn has_install(&self) -> bool {
        self.options.iter().any(|option| option.section == "Install")
    }

    /// Says whether the unit is a `Type=oneshot` service, which is done when it has run.
    pub fn is_oneshot(&self) -> bool {
        self.values("Service", "Type").next_back() == Some("oneshot")
    }
}

/// Two files are the same if what is stored of them is.
impl PartialEq for UnitFile {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for UnitFile {}

/// Writes options as fleet did: sections in the order they were first seen, each once, a blank line between them.
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
