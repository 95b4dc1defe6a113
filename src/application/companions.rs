//! Paths in the values of unit files: which words are files of the folder, and where these files are on a host.

use std::path::Component;
use std::path::Path;

use crate::core::unit::UnitName;

/// A word `./PATH` in a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word<'a> {
    /// Where it begins in the value, in bytes.
    pub(super) start: usize,
    /// The path without `./`.
    pub(super) path: &'a str,
}

/// Returns the words of a value that begin with `./`. A word ends at a space, a quote, a colon, a comma or a semicolon.
pub(super) fn words(value: &str) -> Vec<Word<'_>> {
    let is_inner = |c: char| c.is_alphanumeric() || matches!(c, '.' | '/' | '_' | '~' | '%' | '$' | '}');
    let starts = value.match_indices("./").map(|(start, _)| start);
    let starts = starts.filter(|start| !value.get(..*start).is_some_and(|before| before.ends_with(is_inner)));
    let words = starts.filter_map(|start| {
        let rest = value.get(start + 2..)?;
        let is_end = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ':' | ',' | ';');
        let path = rest.split(is_end).next().unwrap_or_default().trim_end_matches('/');
        (!path.is_empty()).then_some(Word { start, path })
    });
    words.collect()
}

/// Reports whether a relative path stays in the folder.
pub(super) fn is_inside(path: &str) -> bool {
    let is_normal = |part: &str| Path::new(part).components().all(|it| matches!(it, Component::Normal(_)));
    path.split('/').all(|part| !part.is_empty() && part != "." && is_normal(part))
}

/// Returns the folder of a unit's files on its host. systemd fills in the name of an instance.
pub(super) fn folder_on_host(unit: &UnitName) -> String {
    let name = if unit.is_template() { "%n".into() } else { unit.of_systemd() };
    format!("{}/{name}", super::FOLDER)
}

/// Replaces these words by paths below a folder.
pub(super) fn replace(value: &str, found: &[Word<'_>], folder: &str) -> String {
    let (mut text, mut done) = (String::new(), 0);
    for Word { start, path } in found {
        text.push_str(value.get(done..*start).unwrap_or_default());
        text.push_str(&format!("{folder}/{path}"));
        done = start + 2 + path.len();
    }
    text.push_str(value.get(done..).unwrap_or_default());
    text
}
