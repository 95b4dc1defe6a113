//! The lookup `filetree` of the collection community.general: what is in a folder of the playbook.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use minijinja::Error;
use minijinja::Value;

use super::super::Scope;
use super::super::arguments::Arguments;
use super::super::value;
use super::super::value::text;
use super::super::value::wrong;

/// The most files of a folder.
const FILES: usize = 10_000;

pub(super) fn filetree(scope: &Scope, terms: &[Value], _: &Arguments) -> Result<Vec<Value>, Error> {
    let mut found = indexmap::IndexMap::new();
    for term in terms {
        let term = text(term);
        let (folder, name) = term.rsplit_once('/').unwrap_or(("", &term));
        let Some(folder) = scope.surroundings()?.find("files", folder) else { continue };
        let root = folder.join(name);
        walk(&root, Path::new(""), &mut found)?;
    }
    Ok(found.into_values().collect())
}

/// Adds what is below a folder. Of two files with the same path, the first one counts.
fn walk(root: &Path, below: &Path, found: &mut indexmap::IndexMap<PathBuf, Value>) -> Result<(), Error> {
    let Ok(entries) = fs::read_dir(root.join(below)) else { return Ok(()) };
    let mut paths: Vec<(bool, PathBuf)> =
        entries.filter_map(Result::ok).map(|entry| (!entry.path().is_dir(), below.join(entry.file_name()))).collect();
    // Folders come first.
    paths.sort();
    for (_, path) in &paths {
        if found.len() >= FILES {
            return Err(wrong(format!("{} has more than {FILES} files", root.display())));
        }
        if !found.contains_key(path)
            && let Some(properties) = properties(root, path)
        {
            found.insert(path.clone(), properties);
        }
    }
    for (_, path) in paths {
        if fs::symlink_metadata(root.join(&path)).is_ok_and(|data| data.is_dir()) {
            walk(root, &path, found)?;
        }
    }
    Ok(())
}

/// Describes a file. What is neither a file nor a folder nor a link has no description.
fn properties(root: &Path, path: &Path) -> Option<Value> {
    let full = root.join(path);
    let data = fs::symlink_metadata(&full).ok()?;
    let (state, src) = if data.is_symlink() {
        ("link", Some(fs::read_link(&full).ok()?))
    } else if data.is_dir() {
        ("directory", None)
    } else if data.is_file() {
        ("file", Some(full.clone()))
    } else {
        return None;
    };
    let seconds = |whole: i64, nanoseconds: i64| format!("{whole}.{nanoseconds:09}").parse::<f64>().unwrap_or_default();
    let mut properties = vec![
        ("root", Value::from(root.to_string_lossy())),
        ("path", Value::from(path.to_string_lossy())),
        ("state", Value::from(state)),
    ];
    properties.extend(src.map(|src| ("src", Value::from(src.to_string_lossy()))));
    properties.extend([
        ("uid", Value::from(data.uid())),
        ("gid", Value::from(data.gid())),
        ("owner", name_of("/etc/passwd", data.uid())),
        ("group", name_of("/etc/group", data.gid())),
        ("mode", Value::from(format!("0{:03o}", data.mode() & 0o7777))),
        ("size", Value::from(data.size())),
        ("mtime", Value::from(seconds(data.mtime(), data.mtime_nsec()))),
        ("ctime", Value::from(seconds(data.ctime(), data.ctime_nsec()))),
    ]);
    Some(value::map(properties.into_iter().map(|(name, value)| (Value::from(name), value))))
}

/// Returns the name of a user or a group, or else the number.
fn name_of(file: &str, number: u32) -> Value {
    let accounts = fs::read_to_string(file).unwrap_or_default();
    let mut fields = accounts.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let account = fields.find(|fields| fields.get(2).is_some_and(|field| *field == number.to_string()));
    account.and_then(|fields| fields.first().map(|name| Value::from(*name))).unwrap_or_else(|| Value::from(number))
}
