//! Applications: a folder on the operator's machine becomes units. Its drop-ins are merged into them, and the files that they
//! name by `./PATH` go to the hosts with them. This module reads the folder; it does not access the store or hosts.

mod changes;
mod companions;
mod differences;
mod folder;
mod summary;
mod templates;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

pub use changes::OtherApplication;
pub use changes::UnitChange;
pub use changes::changes;
pub use changes::commands;
pub use changes::units_of;
pub use changes::with_secrets;
pub use differences::differences;
pub use summary::summary;
pub use templates::Templates;

use crate::core::unit::BadUnitFile;
use crate::core::unit::BadUnitName;
use crate::core::unit::Contents;
use crate::core::unit::UnitFile;
use crate::core::unit::UnitName;

/// Where the files of a unit are on a host, without the unit's name.
pub const FOLDER: &str = "/run/fleet/files";

/// A unit of an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationUnit {
    /// The unit file, with its drop-ins.
    pub file: Arc<UnitFile>,
    /// The path of the unit file, for messages.
    pub path: PathBuf,
    /// The contents of the files that go with it.
    pub contents: Contents,
}

/// An application, as its folder has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// The name: that of the folder.
    pub name: String,
    /// The units.
    pub units: BTreeMap<UnitName, ApplicationUnit>,
}

impl Application {
    /// Reads an application from its folder.
    pub fn read(folder: &std::path::Path, templates: &dyn Templates) -> Result<Self, BadApplication> {
        folder::read(folder, templates)
    }
}

/// A folder that is no application. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum BadApplication {
    /// A file or a folder cannot be read.
    #[error("cannot read {}", .0.display())]
    Unreadable(PathBuf, #[source] std::io::Error),
    /// It is not a folder.
    #[error("{}: not a folder", .0.display())]
    NoFolder(PathBuf),
    /// The folder's name cannot be that of an application.
    #[error(
        "{}: the name of the folder is that of the application: expected 1 to 64 of A-Z, a-z, 0-9, `_`, `.` and `-`, and no \
         dot at the start", .0.display()
    )]
    Name(PathBuf),
    /// There is no unit file in it.
    #[error("{}: no unit file in this folder", .0.display())]
    NoUnits(PathBuf),
    /// A unit file or a drop-in has an error.
    #[error("{}:{error}", .path.display())]
    Invalid {
        /// Its path.
        path: PathBuf,
        /// The error, with its place.
        error: BadUnitFile,
    },
    /// A template cannot be rendered.
    #[error("{}: {error}", .path.display())]
    Template {
        /// Its path.
        path: PathBuf,
        /// The error.
        error: String,
    },
    /// Two files make one unit.
    #[error("{} and {} are both for one unit: remove one of them", .other.display(), .path.display())]
    Twice {
        /// The path of the second file.
        path: PathBuf,
        /// The path of the first one.
        other: PathBuf,
    },
    /// A file in the folder is too long.
    #[error("{}: longer than {limit} bytes", .path.display())]
    TooLong {
        /// Its path.
        path: PathBuf,
        /// How long it may be.
        limit: u64,
    },
    /// The files that go with one unit are too long together.
    #[error("{unit}: the files that go with it have {bytes} bytes: expected at most {limit}")]
    TooMuch {
        /// The unit.
        unit: UnitName,
        /// How many bytes they have.
        bytes: usize,
        /// How many they may have.
        limit: usize,
    },
    /// Too many files are named.
    #[error("{}: one unit names more than {limit} files", .path.display())]
    TooMany {
        /// One of the files.
        path: PathBuf,
        /// How many it may name.
        limit: usize,
    },
    /// A drop-in folder belongs to a unit that the folder does not have.
    #[error("{}: there is no {unit} in the folder", .path.display())]
    NoSuchUnit {
        /// The path of the drop-in folder.
        path: PathBuf,
        /// The unit.
        unit: UnitName,
    },
    /// A file has the ending of a unit and an invalid name.
    #[error("{}: {error}", .path.display())]
    BadName {
        /// Its path.
        path: PathBuf,
        /// The error.
        error: BadUnitName,
    },
    /// The folder has no file of this path.
    #[error("{}: {option}={value}: the folder has no ./{word}; write the path without `./` if it is one of the host", .path.display())]
    NoSuchFile {
        /// The unit file.
        path: PathBuf,
        /// The option.
        option: String,
        /// Its value.
        value: String,
        /// The path.
        word: String,
    },
    /// A symbolic link leads out of the folder.
    #[error("{}: the link leads out of the folder", .0.display())]
    Link(PathBuf),
    /// The name of a file has a character that a unit file cannot have.
    #[error("{:?}: the name has a control character", .0)]
    FileName(PathBuf),
    /// systemd reads a backslash in a path as an escape.
    #[error("{}: a unit with a backslash in its name can have no files", .0.display())]
    Backslash(PathBuf),
    /// A path leaves the folder.
    #[error("{}: {option}={value}: the path leaves the folder", .path.display())]
    Outside {
        /// The unit file.
        path: PathBuf,
        /// The option.
        option: String,
        /// Its value.
        value: String,
    },
    /// `muster apply` writes these options itself.
    #[error("{}: [X-Muster] {option}=: remove it: `muster apply` writes it", .path.display())]
    Written {
        /// The unit file.
        path: PathBuf,
        /// The option.
        option: String,
    },
}
