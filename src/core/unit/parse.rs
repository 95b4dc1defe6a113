//! Reads the text of a unit file into its options, by the rules that fleet's HASH depends on.
//!
//! fleet's parser (go-systemd's `unit.Deserialize`) is not systemd's: comments inside a continued value are text,
//! and nothing is unescaped. Where the two would read the stored text differently from what was submitted, the file
//! is refused here instead of meaning one thing in its author's editor and another on the host.

use super::file::BadUnitFile;
use super::file::Fault;
use super::file::Oddity;
use super::file::UnitOption;
use super::file::Warning;

/// How large a unit file may be. systemd reads lines of up to 1 MiB, and etcd takes requests of up to 1.5 MiB.
pub(super) const MAX_BYTES: usize = 1024 * 1024;

/// What was read.
#[derive(Default)]
pub(super) struct Parsed {
    pub(super) options: Vec<UnitOption>,
    pub(super) warnings: Vec<Warning>,
}

/// Reads a whole file.
pub(super) fn parse(text: &str) -> Result<Parsed, BadUnitFile> {
    let mut reader = Reader { text, at: 0, parsed: Parsed::default() };
    if text.len() > MAX_BYTES {
        return Err(reader.fault(0, Fault::TooLarge));
    }
    if let Some(at) = text.find('\0') {
        return Err(reader.fault(at, Fault::Nul));
    }
    let mut next = reader.first_section()?;
    while let Some(section) = next {
        next = reader.section(section)?;
    }
    if reader.parsed.options.is_empty() {
        reader.warn(0, Oddity::NoOptions);
    }
    Ok(reader.parsed)
}

/// Returns the line and the column, both from 1, of a place in a text.
pub(super) fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    parsed: Parsed,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Returns the rest of the line and whether a newline ended it. A carriage return stays, unless the file ends
    /// with it: so did fleet.
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

    /// Skips to the first section; what stands before it is ignored, as fleet did.
    fn first_section(&mut self) -> Result<Option<&'a str>, BadUnitFile> {
        while let Some(c) = self.rest().chars().next() {
            match c {
                '[' => return self.section_name().map(Some),
                '#' | ';' => self.skip_comment(),
                _ => {
                    if !c.is_whitespace() && c != '\u{feff}' {
                        self.warn(self.at, Oddity::BeforeFirstSection);
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
                    let name = self.option_name()?;
                    let value = self.option_value()?;
                    self.parsed.options.push(UnitOption { section: section.to_owned(), name, value });
                }
            }
        }
    }

    fn section_name(&mut self) -> Result<&'a str, BadUnitFile> {
        let bracket = self.at;
        self.at += 1;
        // fleet let a name run over several lines; systemd does not, and it is a forgotten bracket.
        let closed = self.rest().split_once(']').map(|(name, _)| name).filter(|name| !name.contains('\n'));
        let name = closed.ok_or_else(|| self.fault(bracket, Fault::UnclosedSection))?;
        self.at += name.len() + 1;
        let after = self.at;
        let (garbage, _) = self.line();
        let blank = garbage.len() - garbage.trim_start().len();
        if blank < garbage.len() {
            return Err(self.fault(after + blank, Fault::AfterSection));
        }
        Ok(name)
    }

    /// Skips a comment; one that ends in a backslash goes on in the next line.
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
        let (name, _) = named.ok_or_else(|| self.fault(start, Fault::NoEquals))?;
        self.at += name.len() + 1;
        let name = name.trim();
        if name.is_empty() {
            self.warn(start, Oddity::NoName);
        }
        Ok(name.to_owned())
    }

    fn option_value(&mut self) -> Result<String, BadUnitFile> {
        let mut value = String::new();
        loop {
            let start = self.at;
            let (line, ended) = self.line();
            let shown = line.trim_end();
            if shown.is_empty() {
                break;
            }
            if line.trim().contains('\r') {
                self.warn(start, Oddity::CarriageReturn);
            }
            value.push_str(line);
            if line.ends_with('\\') && ended {
                value.push('\n');
            } else if shown.ends_with('\\') {
                // Stored and read again, these lines would swallow the next one, or have another hash.
                let fault = if ended { Fault::AfterBackslash } else { Fault::EndsContinued };
                return Err(self.fault(start + shown.len() - 1, fault));
            } else {
                break;
            }
        }
        let newline = if value.ends_with('\n') { "\n" } else { "" };
        Ok(format!("{}{newline}", value.trim()))
    }

    fn fault(&self, at: usize, fault: Fault) -> BadUnitFile {
        let (line, column) = place(self.text, at);
        BadUnitFile { line, column, fault }
    }

    /// Notes the first of each kind: a file full of them is said once.
    fn warn(&mut self, at: usize, oddity: Oddity) {
        if self.parsed.warnings.iter().all(|warning| warning.oddity != oddity) {
            let (line, column) = place(self.text, at);
            self.parsed.warnings.push(Warning { line, column, oddity });
        }
    }
}
