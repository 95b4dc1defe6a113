//! Finds the playbooks, task files and templates in a folder, and reads them within limits: the folder may hold anything.

use std::cell::Cell;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use super::Coverage;
use crate::inventory::diagnostic::Diagnostic;
use crate::inventory::diagnostic::Position;
use crate::playbook::parse;
use crate::playbook::parse::Options;

/// How many files and folders there may be.
const ENTRIES: usize = 200_000;

/// The largest file that is read, in bytes.
const FILE_LIMIT: u64 = 1 << 20;

/// How much one playbook may import, in bytes.
const PLAYBOOK_LIMIT: u64 = 16 << 20;

/// How much is read altogether, in bytes. A file that is imported several times counts each time.
const TOTAL_LIMIT: u64 = 1 << 30;

/// The folder cannot be counted.
#[derive(Debug, thiserror::Error)]
pub enum CoverageError {
    /// A folder cannot be listed.
    #[error("cannot read {}", .0.display())]
    Unreadable(PathBuf, #[source] io::Error),
    /// There are too many files.
    #[error("{} has more than {ENTRIES} files and folders", .0.display())]
    TooMany(PathBuf),
    /// The files are too large together.
    #[error("the playbooks in {} have more than {} MiB with all that they import", .0.display(), TOTAL_LIMIT >> 20)]
    TooLarge(PathBuf),
}

/// The bytes that were read, of one playbook or altogether.
type Total = Cell<u64>;

/// Counts what muster could run of a folder. Links are not followed, and `.git` is left out.
pub fn read(folder: &Path) -> Result<Coverage, CoverageError> {
    let mut coverage = Coverage::default();
    let total = Total::default();
    for path in files(folder)? {
        if has_ending(&path, &["j2", "yml", "yaml"]) {
            add(&mut coverage, folder, &path, &total);
        }
        if total.get() > TOTAL_LIMIT {
            return Err(CoverageError::TooLarge(folder.to_owned()));
        }
    }
    Ok(coverage)
}

/// Counts a file.
fn add(coverage: &mut Coverage, folder: &Path, path: &Path, total: &Total) {
    let name = path.strip_prefix(folder).unwrap_or(path);
    match read_file(path, &[total]) {
        Ok(text) if has_ending(path, &["j2"]) => coverage.add_template(name, &text),
        Ok(text) => {
            if coverage.add(name, &text) {
                let read = playbook(path, &text, total);
                coverage.add_playbook(name, read.as_ref().map(drop));
            }
        }
        Err(error) => {
            let fault = Diagnostic::new(name, Position::default(), format!("it cannot be read: {error}"));
            coverage.add_unreadable(name, &fault);
        }
    }
}

/// Reads a playbook with all that it imports.
fn playbook(path: &Path, text: &str, total: &Total) -> Result<(), Diagnostic> {
    let imported = Total::default();
    let read_file = |path: &Path| {
        let text = read_file(path, &[&imported, total])?;
        if imported.get() > PLAYBOOK_LIMIT {
            let why = format!("the playbook imports more than {} MiB", PLAYBOOK_LIMIT >> 20);
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
        }
        Ok(text)
    };
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    parse::read(&path, text, &read_file, &Options::default()).map(drop)
}

/// Reads a regular file that is not too large, and adds its length to the totals.
fn read_file(path: &Path, totals: &[&Total]) -> io::Result<String> {
    if fs::metadata(path)?.len() > FILE_LIMIT {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {} MiB", FILE_LIMIT >> 20)));
    }
    let text = parse::read_file(path)?;
    // A small file costs time too.
    let length = (text.len() as u64).max(1 << 10);
    for total in totals {
        total.set(total.get() + length);
    }
    Ok(text)
}

fn has_ending(path: &Path, endings: &[&str]) -> bool {
    path.extension().is_some_and(|own| endings.iter().any(|ending| own == *ending))
}

/// Returns the regular files of a folder and of the folders in it, in order.
fn files(folder: &Path) -> Result<Vec<PathBuf>, CoverageError> {
    let (mut open, mut files, mut entries) = (vec![folder.to_owned()], Vec::new(), 0);
    while let Some(next) = open.pop() {
        let failed = |error| CoverageError::Unreadable(next.clone(), error);
        for entry in fs::read_dir(&next).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            entries += 1;
            if entries > ENTRIES {
                return Err(CoverageError::TooMany(folder.to_owned()));
            }
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_file() {
                files.push(entry.path());
            } else if kind.is_dir() && entry.file_name() != ".git" {
                open.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}
