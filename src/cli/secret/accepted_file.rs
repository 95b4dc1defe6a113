//! The file with the recipients that the operator has accepted for one cluster.

use std::fs;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::path::PathBuf;

use crate::cli::error::CommandError;
use crate::cli::vault::files;
use crate::control::secrets::SecretError;
use crate::core::model::Recipients;
use crate::secret::Accepted;

/// The file with the accepted recipients.
#[derive(Debug)]
pub(super) struct AcceptedFile {
    path: PathBuf,
    /// The cluster, for messages.
    pub(super) cluster: String,
}

impl AcceptedFile {
    pub(super) const fn new(path: PathBuf, cluster: String) -> Self {
        Self { path, cluster }
    }

    /// Reads the file; `None` if the operator has not accepted any recipient of the cluster.
    pub(super) fn read(&self) -> Result<Option<Accepted>, CommandError> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(CommandError::usage(format!("cannot read {}", self.path.display())).caused_by(error));
            }
        };
        let accepted = Accepted::parse(&text);
        accepted.map(Some).map_err(|why| CommandError::usage(format!("{}: {why}", self.path.display())))
    }

    /// Writes the file.
    pub(super) fn write(&self, accepted: &Accepted) -> Result<(), CommandError> {
        let folder = self.path.parent().unwrap_or_else(|| Path::new("."));
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| CommandError::failed(format!("cannot make {}", folder.display())).caused_by(error))?;
        files::write(&self.path, accepted.text(&self.cluster).as_bytes())
    }

    /// Returns the accepted recipients, without those that the store does not name any more.
    pub(super) fn current(&self, listed: &Recipients) -> Result<Accepted, CommandError> {
        let Some(accepted) = self.read()? else { return Ok(Accepted::default()) };
        let mut current = accepted.clone();
        current.retain(listed);
        if current != accepted {
            self.write(&current)?;
        }
        Ok(current)
    }

    /// Returns the same. Every recipient in the store must have been accepted.
    pub(super) fn checked(&self, listed: &Recipients) -> Result<Accepted, CommandError> {
        if listed.is_empty() {
            return Err(SecretError::NoRecipients.into());
        }
        let accepted = self.current(listed)?;
        let missing = accepted.missing(listed);
        if missing.is_empty() { Ok(accepted) } else { Err(SecretError::NotAccepted(missing).into()) }
    }
}
