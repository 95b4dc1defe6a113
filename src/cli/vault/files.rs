//! Reads and writes the files of `muster vault`. A file is replaced as a whole, and no other user can read it then.

use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;

use crate::cli::error::CommandError;
use crate::ui;

/// Stands for stdin and stdout.
pub(super) const STDIN: &str = "-";

/// Reads a file, or stdin.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, CommandError> {
    let mut bytes = Vec::new();
    let read = if path == Path::new(STDIN) {
        io::stdin().read_to_end(&mut bytes).map(drop)
    } else {
        File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)).map(drop)
    };
    read.map_err(|error| CommandError::usage(format!("cannot read {}", path.display())).caused_by(error))?;
    Ok(bytes)
}

/// Writes a file, or stdout.
pub(in crate::cli) fn write(path: &Path, bytes: &[u8]) -> Result<(), CommandError> {
    if path == Path::new(STDIN) {
        ui::result_bytes(bytes);
        return Ok(());
    }
    replace(path, bytes)
        .map_err(|error| CommandError::failed(format!("cannot write {}", path.display())).caused_by(error))
}

/// Replaces a file as a whole. It keeps its owner and group, and has the mode 0600 afterwards, as with `ansible-vault`. A
/// link stays, and its target is replaced.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let path = if path.exists() { fs::canonicalize(path)? } else { path.to_owned() };
    let draft = draft(&path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let filled = fill(&mut file, &path, bytes).and_then(|()| fs::rename(&draft, &path));
    if filled.is_err() {
        // The error is the first one.
        let _ = fs::remove_file(&draft);
    }
    filled
}

fn fill(file: &mut File, path: &Path, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    if let Ok(old) = fs::metadata(path) {
        let new = file.metadata()?;
        if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
            std::os::unix::fs::fchown(&*file, Some(old.uid()), Some(old.gid()))?;
        }
    }
    file.sync_all()
}

/// Returns a new name beside a file.
pub(in crate::cli) fn draft(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.new", std::process::id()))
}
