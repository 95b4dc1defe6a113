//! The disk of a host: the files that it wrote over the image, in memory for as long as the lab exists.
//!
//! The overlay of image and disk is mounted in the host's own mount namespace, so nothing stays mounted on this machine
//! when the host ends.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;

use rustix::mount::MountFlags;
use rustix::mount::UnmountFlags;

use super::error::LabError;
use super::local_command::LocalCommand;
use super::record::Host;

/// The folder in the lab's directory that holds the disks.
pub(super) const DISKS: &str = "disks";

/// The source of the tmpfs mount that holds the disks.
const SOURCE: &str = "muster-lab";

/// Mounts the tmpfs that holds the disks of all hosts.
pub(super) fn mount(dir: &Path) -> Result<(), LabError> {
    let place = dir.join(DISKS);
    fs::create_dir_all(&place).map_err(LabError::file(&place))?;
    let flags = MountFlags::NOATIME | MountFlags::NODEV;
    rustix::mount::mount(SOURCE, &place, "tmpfs", flags, c"mode=0755,size=80%,nr_inodes=0")
        .map_err(|error| LabError::file(&place)(error.into()))
}

/// Reports whether the tmpfs of the disks is mounted.
pub(super) fn is_mounted(dir: &Path) -> Result<bool, LabError> {
    let mounts = Path::new("/proc/self/mounts");
    let text = fs::read_to_string(mounts).map_err(LabError::file(mounts))?;
    Ok(has_disks(&text, &dir.join(DISKS)))
}

/// Reports whether the last mount at a path is that of a lab.
fn has_disks(mounts: &str, place: &Path) -> bool {
    let mut sources = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        let (source, there) = (fields.next()?, fields.next()?);
        (Path::new(there) == place).then_some(source)
    });
    sources.next_back() == Some(SOURCE)
}

/// Unmounts the disks, if they are mounted.
pub(super) fn unmount(dir: &Path) -> Result<(), LabError> {
    if !is_mounted(dir)? {
        return Ok(());
    }
    let place = dir.join(DISKS);
    let unmounted = rustix::mount::unmount(&place, UnmountFlags::DETACH);
    unmounted.map_err(|error| LabError::file(&place)(error.into()))
}

/// The disk of one host.
#[derive(Debug)]
pub(super) struct Disk {
    folder: PathBuf,
}

impl Disk {
    pub(super) fn of(dir: &Path, host: &str) -> Self {
        Self { folder: dir.join(DISKS).join(host) }
    }

    /// Returns the folder that holds `upper`, `work` and `root`.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the file of the console's output.
    pub(super) fn console(&self) -> PathBuf {
        self.folder.join("console.log")
    }

    /// Creates the disk, with all files in which this host differs from the others. Returns the host's public key.
    pub(super) fn create(&self, host: &Host, hosts: &[Host], login_key: &str) -> Result<String, LabError> {
        for part in ["upper", "work", "root"] {
            make_folder(&self.folder.join(part))?;
        }
        let names: String = hosts.iter().map(|host| format!("{} {}\n", host.address, host.name)).collect();
        self.put("etc/machine-id", &format!("{}\n", host.machine))?;
        self.put("etc/hostname", &format!("{}\n", host.name))?;
        self.put("etc/hosts", &format!("127.0.0.1 localhost\n{names}"))?;
        self.put("etc/ssh/authorized_keys", login_key)?;
        make_key(&self.folder.join("upper/etc/ssh/ssh_host_ed25519_key"), &host.name)
    }

    /// Enables etcd on the host with these settings: environment variables, which etcd and its unit read.
    pub(super) fn enable_etcd(&self, settings: &str) -> Result<(), LabError> {
        self.put("etc/default/etcd", settings)?;
        let wants = self.folder.join("upper/etc/systemd/system/multi-user.target.wants");
        make_folder(&wants)?;
        let link = wants.join("etcd.service");
        symlink("/lib/systemd/system/etcd.service", &link).map_err(LabError::file(&link))
    }

    fn put(&self, name: &str, text: &str) -> Result<(), LabError> {
        let path = self.folder.join("upper").join(name);
        if let Some(folder) = path.parent() {
            make_folder(folder)?;
        }
        fs::write(&path, text).map_err(LabError::file(&path))?;
        set_mode(&path, 0o644)
    }
}

/// Creates an ed25519 key without a passphrase, and returns the public key.
pub(super) fn make_key(path: &Path, comment: &str) -> Result<String, LabError> {
    let file = path.display().to_string();
    LocalCommand::new("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", &file]).run()?;
    let public = path.with_extension("pub");
    fs::read_to_string(&public).map_err(LabError::file(&public))
}

/// Creates a folder and its parents with mode 0755, regardless of the umask: they replace the modes of the image.
fn make_folder(folder: &Path) -> Result<(), LabError> {
    if folder.exists() {
        return Ok(());
    }
    if let Some(above) = folder.parent() {
        make_folder(above)?;
    }
    fs::create_dir(folder).map_err(LabError::file(folder))?;
    set_mode(folder, 0o755)
}

fn set_mode(path: &Path, mode: u32) -> Result<(), LabError> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(LabError::file(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_mount_of_a_lab_counts() {
        let ours = "muster-lab /lab/disks tmpfs rw 0 0\n";
        let other = "tmpfs /lab/disks tmpfs rw 0 0\n";
        let beside = "muster-lab /lab2/disks tmpfs rw 0 0\n";
        for (mounts, expected) in [
            (ours.to_owned(), true),
            (format!("{other}{ours}{beside}"), true),
            (format!("{ours}{other}"), false),
            (beside.to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(has_disks(&mounts, Path::new("/lab/disks")), expected, "{mounts}");
        }
    }
}
