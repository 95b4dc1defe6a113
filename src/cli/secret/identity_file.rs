//! The file with the private keys of an operator or of a controller.

use std::fs;
use std::fs::DirBuilder;
use std::fs::OpenOptions;
use std::io;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use secrecy::ExposeSecret as _;
use secrecy::zeroize::Zeroizing;

use crate::cli::error::CommandError;
use crate::secret::Identity;

/// Reads the keys; `None` if the file does not exist. No other user may be able to read it.
pub(super) fn read(path: &Path) -> Result<Option<Identity>, CommandError> {
    let failed =
        |error: io::Error| CommandError::usage(format!("cannot read the identity {}", path.display())).caused_by(error);
    let mode = match fs::metadata(path) {
        Ok(about) => about.permissions().mode(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if mode & 0o077 != 0 {
        let error = CommandError::usage(format!(
            "other users can use the identity {}: its mode is {:04o}, expected 0600",
            path.display(),
            mode & 0o7777
        ));
        return Err(error.hint(format!("Run `chmod 600 {}`.", path.display())));
    }
    let text = Zeroizing::new(fs::read_to_string(path).map_err(failed)?);
    let identity = Identity::parse(&text);
    identity.map(Some).map_err(|error| CommandError::usage(format!("{}: {error}", path.display())))
}

/// Makes a key in a new file.
pub(super) fn create(path: &Path) -> Result<Identity, CommandError> {
    let identity = Identity::generate();
    write(path, &identity)
        .map_err(|error| CommandError::failed(format!("cannot write {}", path.display())).caused_by(error))?;
    Ok(identity)
}

fn write(path: &Path, identity: &Identity) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(identity.text().expose_secret().as_bytes())?;
    file.sync_all()
}
