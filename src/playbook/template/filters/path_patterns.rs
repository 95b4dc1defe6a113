//! Filters that fill in paths: from the files of this machine, and from its environment.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use globset::GlobBuilder;
use globset::GlobMatcher;
use minijinja::Error;
use minijinja::State;
use minijinja::Value;

use super::Table;
use crate::playbook::template::SCOPE;
use crate::playbook::template::Scope;
use crate::playbook::template::arguments::Arguments;
use crate::playbook::template::value;
use crate::playbook::template::value::text;
use crate::playbook::template::value::wrong;

pub(super) const FILTERS: Table = &[("expandvars", expandvars), ("fileglob", fileglob)];

/// The most paths that a pattern matches.
const PATHS: usize = 100_000;

/// Fills in variables of the environment, as Python's `os.path.expandvars` does: `$NAME` and `${NAME}`.
fn expandvars(state: &State<'_, '_>, value: &Value, _: &Arguments) -> Result<Value, Error> {
    let scope = state.lookup(SCOPE).unwrap_or_default();
    let scope = scope.downcast_object_ref::<Scope>().ok_or_else(|| wrong("`expandvars` needs variables"))?;
    Ok(Value::from(expanded(&text(value), &scope.surroundings()?.environment)))
}

/// Returns a text with the variables that are known. The others stay as they are.
fn expanded(text: &str, environment: &BTreeMap<String, String>) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        let braced =
            after.strip_prefix('{').and_then(|inner| inner.split_once('}')).map(|(name, _)| (name, name.len() + 2));
        let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(after.len());
        let (name, length) = braced.unwrap_or_else(|| (&after[..end], end));
        match environment.get(name) {
            Some(value) => expanded.push_str(value),
            None => expanded.push_str(&rest[before.len()..=before.len() + length]),
        }
        rest = &after[length..];
    }
    expanded + rest
}

/// Returns the files of this machine that match a pattern, by name.
fn fileglob(state: &State<'_, '_>, value: &Value, _: &Arguments) -> Result<Value, Error> {
    let pattern = text(value);
    let start = if pattern.starts_with('/') { "/" } else { "" };
    let mut paths = vec![PathBuf::from(start)];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        let Some(glob) = matcher(part)? else {
            paths = paths.iter().map(|path| path.join(part)).filter(|path| path.exists()).collect();
            continue;
        };
        let mut found = Vec::new();
        for path in paths {
            let names = names_in(&path);
            state.consume_fuel(1 + names.len() as u64)?;
            let is_match = |name: &String| glob.is_match(name) && (part.starts_with('.') || !name.starts_with('.'));
            found.extend(names.into_iter().filter(is_match).map(|name| path.join(name)));
        }
        if found.len() > PATHS {
            return Err(wrong(format!("the pattern `{pattern}` matches more than {PATHS} paths")));
        }
        paths = found;
    }
    let files = paths.iter().filter(|path| path.is_file()).map(|path| Value::from(path.to_string_lossy()));
    Ok(value::list(files.collect()))
}

/// Returns what matches a part of a path; `None` if the part is a name.
fn matcher(part: &str) -> Result<Option<GlobMatcher>, Error> {
    if !part.contains(['*', '?', '[']) {
        return Ok(None);
    }
    let glob = GlobBuilder::new(part).backslash_escape(false).build();
    glob.map(|glob| Some(glob.compile_matcher())).map_err(|error| wrong(error.to_string()))
}

/// Returns the names in a folder, sorted; none if it cannot be read.
fn names_in(folder: &Path) -> Vec<String> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}
