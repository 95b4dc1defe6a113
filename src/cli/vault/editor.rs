//! Edits a text in the operator's editor. The file is in a private folder, which is removed in any case.

use std::fs;
use std::fs::DirBuilder;
use std::fs::OpenOptions;
use std::io;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::Ordering;

use secrecy::SecretSlice;

use crate::cli::Context;
use crate::cli::error::CommandError;
use crate::cli::settings;
use crate::core::secrets::SECRET_VARIABLES;

/// A folder that only this user can read. It is removed with what is in it.
struct PrivateFolder(PathBuf);

impl PrivateFolder {
    fn make() -> io::Result<Self> {
        let number = getrandom::u64().map_err(|error| io::Error::other(error.to_string()))?;
        let path = std::env::temp_dir().join(format!("muster-vault-{number:016x}"));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        // Drop cannot report an error.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Lets the operator edit a text, and returns the new one. The name of the file tells the editor its kind.
pub(super) fn edit(context: &Context, path: &Path, text: &[u8]) -> Result<SecretSlice<u8>, CommandError> {
    context.is_unfinished.store(true, Ordering::Relaxed);
    let edited = in_folder(path, text);
    context.is_unfinished.store(false, Ordering::Relaxed);
    edited
}

fn in_folder(path: &Path, text: &[u8]) -> Result<SecretSlice<u8>, CommandError> {
    let failed = |error: io::Error| CommandError::failed("cannot edit the file").caused_by(error);
    let folder = PrivateFolder::make().map_err(failed)?;
    let copy = folder.0.join(path.file_name().unwrap_or_default());
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&copy).map_err(failed)?;
    file.write_all(text).map_err(failed)?;
    drop(file);
    let editor = settings::editor();
    let words = shlex::split(&editor).unwrap_or_default();
    let (program, arguments) = words.split_first().ok_or_else(|| CommandError::usage("EDITOR names no program"))?;
    let mut command = Command::new(program);
    for name in SECRET_VARIABLES {
        command.env_remove(name);
    }
    let status = command.args(arguments).arg(&copy).status();
    let status =
        status.map_err(|error| CommandError::usage(format!("cannot run the editor `{editor}`")).caused_by(error))?;
    if !status.success() {
        let error = CommandError::failed(format!("the editor `{editor}` ended with {status}"));
        return Err(error.hint("Nothing was changed."));
    }
    fs::read(&copy).map(SecretSlice::from).map_err(failed)
}
