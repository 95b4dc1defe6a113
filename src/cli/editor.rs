//! Edits a text in the operator's editor. The file is in a private folder, which is removed unless the caller keeps it.

use std::ffi::OsStr;
use std::fs;
use std::fs::DirBuilder;
use std::fs::OpenOptions;
use std::io;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::Ordering;

use secrecy::SecretSlice;

use crate::cli::Context;
use crate::cli::error::CommandError;
use crate::core::secrets::SECRET_VARIABLES;

/// A folder that only this user can read. It is removed with what is in it, unless it is kept.
struct PrivateFolder {
    path: PathBuf,
    is_kept: bool,
}

impl PrivateFolder {
    fn make() -> io::Result<Self> {
        let number = getrandom::u64().map_err(|error| io::Error::other(error.to_string()))?;
        let path = std::env::temp_dir().join(format!("muster-edit-{number:016x}"));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self { path, is_kept: false })
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        if !self.is_kept {
            // Drop cannot report an error.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// A text as the operator left it. The file is removed with this value.
pub(super) struct Edited {
    /// The text.
    pub(super) text: SecretSlice<u8>,
    /// The file with the text.
    pub(super) file: PathBuf,
    folder: PrivateFolder,
}

impl Edited {
    /// Keeps the file, and returns its path.
    pub(super) fn keep(mut self) -> PathBuf {
        self.folder.is_kept = true;
        self.file
    }
}

/// Lets the operator edit a text with an editor, which is a command. The name of the file tells the editor its kind.
pub(super) fn edit(context: &Context, editor: &str, name: &OsStr, text: &[u8]) -> Result<Edited, CommandError> {
    context.is_unfinished.store(true, Ordering::Relaxed);
    let edited = in_folder(editor, name, text);
    context.is_unfinished.store(false, Ordering::Relaxed);
    edited
}

fn in_folder(editor: &str, name: &OsStr, text: &[u8]) -> Result<Edited, CommandError> {
    let failed = |error: io::Error| CommandError::failed("cannot edit the file").caused_by(error);
    let folder = PrivateFolder::make().map_err(failed)?;
    let copy = folder.path.join(name);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&copy).map_err(failed)?;
    file.write_all(text).map_err(failed)?;
    drop(file);
    let words = shlex::split(editor).unwrap_or_default();
    let none = || CommandError::usage(format!("the editor `{editor}` is no program"));
    let (program, arguments) = words.split_first().ok_or_else(none)?;
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
    let text = fs::read(&copy).map(SecretSlice::from).map_err(failed)?;
    Ok(Edited { text, file: copy, folder })
}
