//! Paths in the values of unit files: which words are files of the folder, and where these files are on a host.

use crate::core::unit::UnitName;
use crate::core::unit::UnitOption;

/// The sections whose values name no files that a process reads.
const TEXTS: [&str; 4] = ["Unit", "Install", "X-Fleet", "X-Muster"];

/// A word `./PATH` in a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// Where it begins in the value, in bytes, and where it ends.
    pub(super) start: usize,
    pub(super) end: usize,
    /// The path without `./`.
    pub(super) path: String,
}

/// Returns the words of an option's value that begin with `./`. A word ends at a space, a quote, a colon, a comma, a semicolon
/// or a parenthesis.
pub(super) fn words(option: &UnitOption) -> Vec<Word> {
    let value = option.value.as_str();
    let is_inner = |c: char| c.is_alphanumeric() || matches!(c, '.' | '/' | '_' | '~' | '%' | '$' | '}');
    let starts = value.match_indices("./").map(|(start, _)| start);
    let starts = starts.filter(|start| !value.get(..*start).is_some_and(|before| before.ends_with(is_inner)));
    let words = starts.filter_map(|start| {
        let is_end = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ':' | ',' | ';' | ')');
        let word = value.get(start..)?.split(is_end).next()?.trim_end_matches('/');
        let parts: Vec<&str> = word.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        let path = parts.join("/");
        (!path.is_empty()).then(|| Word { start, end: start + word.len(), path })
    });
    if TEXTS.contains(&option.section.as_str()) { Vec::new() } else { words.collect() }
}

/// Reports whether a relative path stays in the folder.
pub(super) fn is_inside(path: &str) -> bool {
    path.split('/').all(|part| part != "..")
}

/// Returns the folder of a unit's files on its host. systemd fills in the name of an instance.
pub(super) fn folder_on_host(unit: &UnitName) -> String {
    let name = if unit.is_template() { "%n".into() } else { unit.of_systemd() };
    format!("{}/{name}", super::FOLDER)
}

/// Replaces words by paths below a folder. systemd would take `%` for a specifier.
pub(super) fn replace(value: &str, found: &[Word], folder: &str) -> String {
    let (mut text, mut done) = (String::new(), 0);
    for word in found {
        text.push_str(value.get(done..word.start).unwrap_or_default());
        text.push_str(&format!("{folder}/{}", word.path.replace('%', "%%")));
        done = word.end;
    }
    text.push_str(value.get(done..).unwrap_or_default());
    text
}
