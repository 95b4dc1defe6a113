//! What a lab has written down of itself: enough to find everything it made, also after a crash.

use std::fs;
use std::fs::File;
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;
use sha2::Digest as _;
use sha2::Sha256;

use super::error;
use super::error::LabError;
use super::subnet::Subnet;
use crate::core::model::MachineId;

const RECORD: &str = "lab.json";
const LOCK: &str = "lock";

/// A lab as it was made. Written before anything else is, and not changed afterwards.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    /// What every namespace, link and control group of the lab has in its name.
    pub(super) id: String,
    /// Which start of this machine it was made in.
    pub(super) boot: String,
    /// Its addresses.
    pub(super) subnet: Subnet,
    /// The image its hosts are made from.
    pub(super) image: PathBuf,
    /// The discovery token of its etcd, if it has one.
    pub(super) etcd: Option<String>,
    /// Its hosts, in order.
    pub(super) hosts: Vec<Host>,
}

/// A host of the lab.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// Its name, `core-01`.
    pub name: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// Its /etc/machine-id.
    pub machine: MachineId,
    /// Set if it runs an etcd member.
    pub etcd: bool,
}

impl Record {
    /// Reads the record of the lab in this directory, if there is one.
    pub(super) fn read(dir: &Path) -> Result<Option<Self>, LabError> {
        let path = dir.join(RECORD);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(LabError::file(&path))?,
        };
        let bad = |error: serde_json::Error| LabError::BadRecord { path, detail: error.to_string() };
        serde_json::from_str(&text).map(Some).map_err(bad)
    }

    /// Writes the record, whole or not at all.
    pub(super) fn write(&self, dir: &Path) -> Result<(), LabError> {
        let path = dir.join(RECORD);
        let draft = dir.join(format!("{RECORD}.new"));
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| LabError::BadRecord { path: path.clone(), detail: error.to_string() })?;
        fs::write(&draft, text).map_err(LabError::file(&draft))?;
        fs::rename(&draft, &path).map_err(LabError::file(&path))
    }
}

/// Says whether what is in the place of the record, whoever can read it, has the name of a lab in it.
pub(super) fn names(dir: &Path, id: &str) -> bool {
    fs::read(dir.join(RECORD)).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(id))
}

/// Returns what names the lab in this directory: eight hex digits, the same for as long as it is there.
pub(super) fn id(dir: &Path) -> String {
    let digest = Sha256::digest(dir.as_os_str().as_encoded_bytes());
    digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// Returns which start of this machine it is now.
pub(super) fn boot() -> Result<String, LabError> {
    kernel_uuid("boot_id")
}

/// Returns 128 random bits from the kernel, 32 hex digits.
pub(super) fn random() -> Result<String, LabError> {
    kernel_uuid("uuid")
}

fn kernel_uuid(name: &str) -> Result<String, LabError> {
    let path = Path::new("/proc/sys/kernel/random").join(name);
    let text = fs::read_to_string(&path).map_err(LabError::file(&path))?;
    Ok(text.trim().replace('-', ""))
}

/// Holds the lab in this directory: whoever else wants to change it waits. Ends when dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
    path: PathBuf,
    /// Set if the file was not there before.
    made: bool,
}

impl Lock {
    /// Waits for the lock of a lab whose directory is there.
    pub(super) fn take(dir: &Path) -> Result<Self, LabError> {
        let path = dir.join(LOCK);
        loop {
            // Somebody else may keep something in a file of this name.
            let open = |new: bool| File::options().write(true).create(true).truncate(false).create_new(new).open(&path);
            let (made, file) = match open(true) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => (false, open(false)),
                file => (true, file),
            };
            let file = file.map_err(LabError::file(&path))?;
            file.lock().map_err(LabError::file(&path))?;
            // Whoever held it may have destroyed the lab, and the file with it.
            let held = file.metadata().map_err(LabError::file(&path))?;
            if fs::metadata(&path).is_ok_and(|there| there.ino() == held.ino() && there.dev() == held.dev()) {
                return Ok(Self { _file: file, path, made });
            }
        }
    }

    /// Leaves no file behind that was not there before.
    pub(super) fn discard(&self) {
        if self.made {
            // It does no harm, and the directory shows that it is still there.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes files and folders that a lab keeps in its directory; they need not be there.
pub(super) fn remove_files(dir: &Path, names: &[&str]) -> Result<(), LabError> {
    error::first(names.iter().map(|name| {
        let path = dir.join(name);
        let result = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        gone(result).map_err(LabError::file(&path))
    }))
}

/// Removes the record and the lock of a lab of which nothing else is left.
pub(super) fn remove(dir: &Path) -> Result<(), LabError> {
    remove_files(dir, &["lab.json.new", RECORD, LOCK])
}

/// Removes the directory, unless somebody keeps files of their own there.
pub(super) fn remove_empty(dir: &Path) -> Result<(), LabError> {
    match fs::remove_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty => Ok(()),
        other => gone(other).map_err(LabError::file(dir)),
    }
}

fn gone(result: std::io::Result<()>) -> std::io::Result<()> {
    match result {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
