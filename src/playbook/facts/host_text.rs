//! The text that a script about facts prints: sections of lines.
//!
//! A section is a line of the mark with the section's name, then its lines. The mark is new for each run, so no content of
//! the host looks like one. The host is not trusted: everything has a limit, and what exceeds the limit is left out.

use std::collections::BTreeMap;

/// How many bytes of a text are read.
const TEXT_LIMIT: usize = 4 << 20;
/// How many sections are read.
const SECTION_LIMIT: usize = 1_000;
/// How many lines of a section are read.
const LINE_LIMIT: usize = 20_000;

/// The sections of a text by name.
pub struct HostText<'a> {
    sections: BTreeMap<&'a str, Vec<&'a str>>,
}

impl<'a> HostText<'a> {
    /// Reads a text whose sections have this mark.
    pub fn read(text: &'a str, mark: &str) -> Self {
        let text = text.get(..text.floor_char_boundary(TEXT_LIMIT)).unwrap_or_default();
        let mut sections: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for section in text.split(&format!("\n{mark}")).skip(1) {
            let (name, content) = section.split_once('\n').unwrap_or((section, ""));
            if sections.len() < SECTION_LIMIT || sections.contains_key(name) {
                let lines = sections.entry(name).or_default();
                lines.extend(content.split_terminator('\n').take(LINE_LIMIT.saturating_sub(lines.len())));
            }
        }
        Self { sections }
    }

    /// Reports whether there is a section, which may be empty.
    pub(super) fn has(&self, name: &str) -> bool {
        self.sections.contains_key(name)
    }

    /// Returns the lines of a section.
    pub(super) fn lines(&self, name: &str) -> impl Iterator<Item = &'a str> + use<'a, '_> {
        self.sections.get(name).into_iter().flatten().copied()
    }

    /// Returns the first line of a section without the blanks around it, unless it is empty.
    pub(super) fn line(&self, name: &str) -> Option<&'a str> {
        self.lines(name).next().map(str::trim).filter(|line| !line.is_empty())
    }

    /// Returns the lines of a section as one text without the blanks around it, unless it is empty.
    pub(super) fn content(&self, name: &str) -> Option<String> {
        let text = self.lines(name).collect::<Vec<_>>().join("\n").trim().to_owned();
        (!text.is_empty()).then_some(text)
    }

    /// Reports whether one line of a section is this one.
    pub(super) fn lists(&self, name: &str, line: &str) -> bool {
        self.lines(name).any(|it| it == line)
    }

    /// Reports whether a path exists on the host. The script looks for a fixed list of paths.
    pub(super) fn exists(&self, path: &str) -> bool {
        self.lists("exists", path)
    }

    /// Returns the names of the sections, sorted.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> + use<'a, '_> {
        self.sections.keys().copied()
    }
}
