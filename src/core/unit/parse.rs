//! The parser of unit files: text to options, by the rules that fleet's HASH depends on.
//!
//! fleet's parser (go-systemd's `unit.Deserialize`) is not systemd's: comments inside a continued value are text,
//! and nothing is unescaped. If systemd would read the stored text differently from the submitted one, the file is
//! refused. Otherwise it would mean one thing in its author's editor and another on the host.

use super::directives;
use super::enumerations;
use super::podman;
use crate::core::sanitize::truncate;

/// How many warnings are given about one file.
const MAX_WARNINGS: usize = 20;

/// How many characters of a name a warning quotes.
const QUOTED: usize = 64;

/// The largest unit file, in bytes. systemd reads lines of up to 1 MiB, and etcd takes requests of up to 1.5 MiB.
pub(super) const MAX_BYTES: usize = 1024 * 1024;

/// One `Name=Value` with its section.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct UnitOption {
    /// The section's name, without brackets.
    pub section: String,
    /// The part before `=`, trimmed.
    pub name: String,
    /// The part after `=`, trimmed. A continued value keeps its backslashes and newlines.
    pub value: String,
}

/// The text is not a unit file. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {error}")]
pub struct BadUnitFile {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The error at that position.
    pub error: SyntaxError,
}

/// Why a text is not a unit file, with a hint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    /// The file is larger than a line of systemd or a request of etcd may be.
    #[error("the file is larger than 1 MiB: put data that large into a file of its own")]
    TooLarge,
    /// A NUL byte: systemd ends the line there.
    #[error("a NUL byte: a unit file is text")]
    Nul,
    /// The bytes are not UTF-8.
    #[error("not UTF-8: save the file as UTF-8")]
    NotUtf8,
    /// A section's header is not closed.
    #[error("this section's name has no `]` on its line: write it as `[Service]`")]
    UnclosedSection,
    /// Text follows a section's header.
    #[error("text after the section's name: start a new line here")]
    AfterSection,
    /// A line is not an option.
    #[error("no `=` in this line: write `Name=Value`; if it continues the line above, end that one in `\\`")]
    NoEquals,
    /// A comment in a continued value, after which the value does not continue.
    #[error(
        "a comment between the lines of a continued value: systemd skips it, and fleet took it for the last line of the \
         value; move the comment above the option"
    )]
    CommentInValue,
    /// A value's last line ends in a backslash that is followed by blanks (or by the `\r` of a `\r\n`).
    ///
    /// The blanks are not kept, so the stored file would continue a line that this one does not.
    #[error(
        "this backslash is followed by white space or a carriage return, so it does not continue the line: \
         remove what follows it (save the file with `\\n` line ends), or the backslash"
    )]
    AfterBackslash,
    /// The file's last line ends in a backslash.
    #[error("the file ends in a continued line: remove this backslash")]
    EndsContinued,
}

/// Text that is read as fleet read it, and that is probably a mistake.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {kind}")]
pub struct Warning {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The kind of the warning.
    pub kind: WarningKind,
}

/// The kind of a [`Warning`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WarningKind {
    /// Text before the first section.
    #[error("text before the first section is ignored")]
    BeforeFirstSection,
    /// `=value`.
    #[error("systemd ignores a line without a name before its `=`")]
    NoName,
    /// A carriage return within a line, where systemd starts a new one.
    #[error("systemd ends the line at this carriage return")]
    CarriageReturn,
    /// A file without options, which systemd takes for a masked unit.
    #[error("the unit file has no options, and systemd will not start it")]
    NoOptions,
    /// A section that systemd does not know.
    #[error("systemd ignores the section [{section}]{meant}", section = truncate(.0, QUOTED), meant = meant_section(.0))]
    UnknownSection(String),
    /// A directive that systemd does not know in its section.
    #[error("{reader} `{name}=` in [{section}]{meant}", reader = reader(.0), section = .0, name = truncate(.1, QUOTED), meant = meant_directive(.0, .1))]
    UnknownDirective(String, String),
    /// A value that systemd does not take for its directive.
    #[error(
        "systemd ignores `{name}={value}` in [{section}]: expected {words}",
        section = .0, name = .1, value = truncate(.2, QUOTED), words = words(.0, .1)
    )]
    UnknownValue(String, String, String),
}

/// Returns which program reads a section, and that it does not read a directive there.
fn reader(section: &str) -> String {
    if podman::is_section(section) {
        format!("Podman {} does not know", podman::LATEST)
    } else {
        "systemd ignores".to_owned()
    }
}

/// Asks for the section that was probably meant, if there is one.
fn meant_section(section: &str) -> String {
    directives::meant_section(section).map(|name| format!(": did you mean [{name}]?")).unwrap_or_default()
}

/// Lists the words that a directive takes.
fn words(section: &str, name: &str) -> String {
    enumerations::words(section, name).unwrap_or_default().join(", ")
}

/// Asks for the directive that was probably meant, if there is one.
fn meant_directive(section: &str, name: &str) -> String {
    directives::meant_directive(section, name).map(|meant| format!(": did you mean {meant}?")).unwrap_or_default()
}

/// The result of the parser.
#[derive(Default)]
pub(super) struct Parsed {
    pub(super) options: Vec<UnitOption>,
    pub(super) warnings: Vec<Warning>,
}

/// Parses a whole file.
pub(super) fn parse(text: &str) -> Result<Parsed, BadUnitFile> {
    let mut parser = UnitFileParser { text, at: 0, comment_at: None, parsed: Parsed::default() };
    if text.len() > MAX_BYTES {
        return Err(parser.error(0, SyntaxError::TooLarge));
    }
    if let Some(at) = text.find('\0') {
        return Err(parser.error(at, SyntaxError::Nul));
    }
    let mut next = parser.first_section()?;
    while let Some(section) = next {
        next = parser.section(section)?;
    }
    if parser.parsed.options.is_empty() {
        parser.warn(0, WarningKind::NoOptions);
    }
    Ok(parser.parsed)
}

/// Returns the line and the column, both from 1, of a byte index in a text.
pub(super) fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

struct UnitFileParser<'a> {
    text: &'a str,
    at: usize,
    /// The comment that ended the last value.
    comment_at: Option<usize>,
    parsed: Parsed,
}

impl<'a> UnitFileParser<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Returns the rest of the line, and whether a newline ended it. As in fleet, a carriage return stays unless the file
    /// ends with it.
    fn line(&mut self) -> (&'a str, bool) {
        let rest = self.rest();
        if let Some((line, _)) = rest.split_once('\n') {
            self.at += line.len() + 1;
            (line, true)
        } else {
            self.at = self.text.len();
            (rest.strip_suffix('\r').unwrap_or(rest), false)
        }
    }

    /// Skips to the first section. As in fleet, text before it is ignored.
    fn first_section(&mut self) -> Result<Option<&'a str>, BadUnitFile> {
        while let Some(c) = self.rest().chars().next() {
            match c {
                '[' => return self.section_name().map(Some),
                '#' | ';' => self.skip_comment(),
                _ => {
                    if !c.is_whitespace() && c != '\u{feff}' {
                        self.warn(self.at, WarningKind::BeforeFirstSection);
                    }
                    self.at += c.len_utf8();
                }
            }
        }
        Ok(None)
    }

    /// Reads the options of a section and returns the name of the next one.
    fn section(&mut self, section: &str) -> Result<Option<&'a str>, BadUnitFile> {
        loop {
            let rest = self.rest();
            self.at += rest.len() - rest.trim_start().len();
            match self.rest().chars().next() {
                None => return Ok(None),
                Some('[') => return self.section_name().map(Some),
                Some('#' | ';') => self.skip_comment(),
                Some(_) => {
                    let start = self.at;
                    let name = self.option_name()?;
                    if !name.is_empty() && !directives::is_directive(section, &name) {
                        self.warn(start, WarningKind::UnknownDirective(section.to_owned(), name.clone()));
                    }
                    let value = self.option_value()?;
                    if !enumerations::is_value(section, &name, &value) {
                        self.warn(start, WarningKind::UnknownValue(section.to_owned(), name.clone(), value.clone()));
                    }
                    self.parsed.options.push(UnitOption { section: section.to_owned(), name, value });
                }
            }
        }
    }

    fn section_name(&mut self) -> Result<&'a str, BadUnitFile> {
        let bracket = self.at;
        self.at += 1;
        // fleet accepted a name of several lines. systemd does not, and the cause is a forgotten bracket.
        let closed = self.rest().split_once(']').map(|(name, _)| name).filter(|name| !name.contains('\n'));
        let name = closed.ok_or_else(|| self.error(bracket, SyntaxError::UnclosedSection))?;
        self.at += name.len() + 1;
        let after = self.at;
        let (garbage, _) = self.line();
        let blank = garbage.len() - garbage.trim_start().len();
        if blank < garbage.len() {
            return Err(self.error(after + blank, SyntaxError::AfterSection));
        }
        if !directives::is_section(name) {
            self.warn(bracket, WarningKind::UnknownSection(name.to_owned()));
        }
        Ok(name)
    }

    /// Skips a comment. A backslash at its end continues it on the next line.
    fn skip_comment(&mut self) {
        loop {
            let (line, ended) = self.line();
            let continued = line.strip_suffix(' ').unwrap_or(line).ends_with('\\');
            if !continued || !ended {
                return;
            }
        }
    }

    fn option_name(&mut self) -> Result<String, BadUnitFile> {
        let start = self.at;
        let rest = self.rest();
        let stop = rest.find(['=', '\n', '\r']).and_then(|stop| rest.split_at_checked(stop));
        let named = stop.filter(|(_, after)| after.starts_with('='));
        let (name, _) = named.ok_or_else(|| match self.comment_at {
            Some(comment) => self.error(comment, SyntaxError::CommentInValue),
            None => self.error(start, SyntaxError::NoEquals),
        })?;
        self.at += name.len() + 1;
        let name = name.trim();
        if name.is_empty() {
            self.warn(start, WarningKind::NoName);
        }
        Ok(name.to_owned())
    }

    fn option_value(&mut self) -> Result<String, BadUnitFile> {
        let mut value = String::new();
        loop {
            let start = self.at;
            let (line, ended) = self.line();
            self.comment_at = Some(start).filter(|_| !value.is_empty() && line.trim_start().starts_with(['#', ';']));
            let shown = line.trim_end();
            if shown.is_empty() {
                break;
            }
            if line.trim().contains('\r') {
                self.warn(start, WarningKind::CarriageReturn);
            }
            value.push_str(line);
            if line.ends_with('\\') && ended {
                value.push('\n');
            } else if shown.ends_with('\\') {
                // If they were stored and parsed again, these lines would join the next one or have another hash.
                let error = if ended { SyntaxError::AfterBackslash } else { SyntaxError::EndsContinued };
                return Err(self.error(start + shown.len() - 1, error));
            } else {
                break;
            }
        }
        let newline = if value.ends_with('\n') { "\n" } else { "" };
        Ok(format!("{}{newline}", value.trim()))
    }

    fn error(&self, at: usize, error: SyntaxError) -> BadUnitFile {
        let (line, column) = position(self.text, at);
        BadUnitFile { line, column, error }
    }

    /// Records the first warning of each kind.
    fn warn(&mut self, at: usize, kind: WarningKind) {
        let given = &self.parsed.warnings;
        if given.len() < MAX_WARNINGS && given.iter().all(|warning| warning.kind != kind) {
            let (line, column) = position(self.text, at);
            self.parsed.warnings.push(Warning { line, column, kind });
        }
    }
}
