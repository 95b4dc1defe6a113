//! A playbook that cannot be read: the error, and which files the operator may have meant.

use std::io;
use std::path::Path;

use crate::cli::error::CommandError;
use crate::core::similar::similar;

/// The endings of playbooks.
const ENDINGS: [&str; 2] = [".yml", ".yaml"];

/// Returns the error about a playbook that cannot be read. If there is no such file, it names the playbooks beside it that
/// have a similar name.
pub(super) fn unreadable(file: &Path, error: io::Error) -> CommandError {
    let similar = if error.kind() == io::ErrorKind::NotFound { similar_files(file) } else { Vec::new() };
    let names: Vec<String> = similar.iter().map(|name| format!("`{}`", file.with_file_name(name).display())).collect();
    let hint = (!names.is_empty()).then(|| format!("Did you mean {}?", names.join(" or ")));
    CommandError::failed(format!("cannot read the playbook {}", file.display())).caused_by(error).maybe_hint(hint)
}

/// Returns the names of the playbooks in the folder of a file that are similar to its name. Endings do not count.
fn similar_files(file: &Path) -> Vec<String> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let Some(name) = file.file_name().and_then(|name| name.to_str()) else { return Vec::new() };
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut books: Vec<String> = names.filter(|name| is_playbook(name)).collect();
    books.sort();
    let near = similar(stem(name), books.iter().map(|book| stem(book)));
    books.iter().filter(|book| near.contains(&stem(book))).cloned().collect()
}

fn is_playbook(name: &str) -> bool {
    ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// Returns the name of a file without the ending of playbooks.
fn stem(name: &str) -> &str {
    ENDINGS.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name)
}
