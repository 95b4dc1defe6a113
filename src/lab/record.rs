//! The record of a lab, with which everything that the lab created is found, even after a crash.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::fs::File;
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;
use sha2::Digest as _;
use sha2::Sha256;

use super::error;
use super::error::LabError;
use super::image::PackageName;
use super::release::Release;
use super::subnet::Subnet;
use crate::core::hex;
use crate::core::model::MachineId;

const RECORD: &str = "lab.json";
const LOCK: &str = "lock";

/// The record of a lab. It is written before anything else is created, and never changed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    /// The part of the names of all namespaces, links and control groups of the lab.
    pub(super) id: String,
    /// The boot id of this machine when the lab was created.
    pub(super) boot: String,
    /// The subnet.
    pub(super) subnet: Subnet,
    /// The images that its hosts start from.
    pub(super) images: BTreeMap<Release, PathBuf>,
    /// The packages that the images have besides those of every lab.
    pub(super) packages: BTreeSet<PackageName>,
    /// The discovery token of its etcd, if it has one.
    pub(super) etcd: Option<String>,
    /// The hosts, in order.
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
    /// The release that it runs.
    pub release: Release,
    /// Whether it runs an etcd member.
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

    /// Returns the image that a host starts from.
    pub(super) fn image_of(&self, host: &Host) -> Result<&Path, LabError> {
        let image = self.images.get(&host.release).map(PathBuf::as_path);
        image.ok_or_else(|| LabError::NoImage { host: host.name.clone(), release: host.release.to_string() })
    }

    /// Writes the record atomically.
    pub(super) fn write(&self, dir: &Path) -> Result<(), LabError> {
        let path = dir.join(RECORD);
        let draft = dir.join(format!("{RECORD}.new"));
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| LabError::BadRecord { path: path.clone(), detail: error.to_string() })?;
        fs::write(&draft, text).map_err(LabError::file(&draft))?;
        fs::rename(&draft, &path).map_err(LabError::file(&path))
    }
}

/// Reports whether the file of the record contains the id of a lab, even if it cannot be parsed.
pub(super) fn mentions(dir: &Path, id: &str) -> bool {
    fs::read(dir.join(RECORD)).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(id))
}

/// Returns the id of the lab in this directory: eight hexadecimal digits, derived from the path.
pub(super) fn id(dir: &Path) -> String {
    let digest = Sha256::digest(dir.as_os_str().as_encoded_bytes());
    hex::digits(digest.iter().take(4))
}

/// Returns the boot id of this machine.
pub(super) fn boot() -> Result<String, LabError> {
    kernel_uuid("boot_id")
}

/// Returns 128 random bits from the kernel, as 32 hexadecimal digits.
pub(super) fn random() -> Result<String, LabError> {
    kernel_uuid("uuid")
}

fn kernel_uuid(name: &str) -> Result<String, LabError> {
    let path = Path::new("/proc/sys/kernel/random").join(name);
    let text = fs::read_to_string(&path).map_err(LabError::file(&path))?;
    Ok(text.trim().replace('-', ""))
}

/// The lock of a lab. Other processes that change the lab wait until it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
    path: PathBuf,
    /// Whether this lock created the file.
    is_new: bool,
}

/// Opens or creates the file of a lock. Any user who can open it could hold the lock.
pub(super) fn lock_file(path: &Path, new: bool) -> std::io::Result<File> {
    let file = File::options().write(true).create(true).truncate(false).create_new(new).mode(0o600).open(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    Ok(file)
}

impl Lock {
    /// Waits for the lock. The directory must exist.
    pub(super) fn take(dir: &Path) -> Result<Self, LabError> {
        let path = dir.join(LOCK);
        loop {
            // The file of this name may be that of another program.
            let open = |new: bool| lock_file(&path, new);
            let (is_new, file) = match open(true) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => (false, open(false)),
                file => (true, file),
            };
            let file = file.map_err(LabError::file(&path))?;
            file.lock().map_err(LabError::file(&path))?;
            // The process that held the lock may have destroyed the lab, and the file with it.
            let held = file.metadata().map_err(LabError::file(&path))?;
            if fs::metadata(&path).is_ok_and(|there| there.ino() == held.ino() && there.dev() == held.dev()) {
                return Ok(Self { _file: file, path, is_new });
            }
        }
    }

    /// Removes the file if this lock created it.
    pub(super) fn discard(&self) {
        if self.is_new {
            // A file that remains does no harm.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes files and folders from the directory of a lab. They need not exist.
pub(super) fn remove_files(dir: &Path, names: &[&str]) -> Result<(), LabError> {
    error::first(names.iter().map(|name| {
        let path = dir.join(name);
        let result = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        gone(result).map_err(LabError::file(&path))
    }))
}

/// Removes the record and the lock of a lab, after all else was removed.
pub(super) fn remove(dir: &Path) -> Result<(), LabError> {
    remove_files(dir, &["lab.json.new", RECORD, LOCK])
}

/// Removes the directory if it is empty.
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn no_other_user_can_hold_the_lock_of_a_lab() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(LOCK);
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(lock_file(&path, false).unwrap().metadata().unwrap().mode() & 0o777, 0o600);
    }
}
