//! A socket of this host at a path. One process serves it at a time: a lock beside it says which, so that the socket of a
//! process that was killed is taken over, and that of one that lives is not.

use std::fs::DirBuilder;
use std::fs::Permissions;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::FlockOperation;
use rustix::fs::Mode;
use rustix::fs::OFlags;

/// The user and the group of this process may connect.
const MODE: u32 = 0o660;

/// A socket, which is removed when this is dropped.
#[derive(Debug)]
pub struct UnixSocket {
    path: PathBuf,
    _lock: OwnedFd,
}

impl UnixSocket {
    /// Makes the socket, and its folder if there is none.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if another process serves it, [`io::ErrorKind::AddrInUse`] if something else has the path.
    pub fn bind(path: &Path) -> io::Result<(Self, UnixListener)> {
        if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
            DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
            // The umask of a service may be narrower.
            std::fs::set_permissions(folder, Permissions::from_mode(0o755))?;
        }
        // Another user may be able to write to the folder, and may have put a link there.
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let lock = rustix::fs::open(lock_of(path), flags, Mode::RUSR | Mode::WUSR)?;
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        if std::fs::symlink_metadata(path).is_ok_and(|there| there.file_type().is_socket()) {
            std::fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        let socket = Self { path: path.to_owned(), _lock: lock };
        std::fs::set_permissions(path, Permissions::from_mode(MODE))?;
        listener.set_nonblocking(true)?;
        Ok((socket, listener))
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        // The lock stays: a process that waits for it has opened it.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn lock_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_serves_a_socket_and_the_next_takes_over_what_a_killed_one_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("muster/default.sock");
        let (socket, listener) = UnixSocket::bind(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        assert_eq!(UnixSocket::bind(&path).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop((socket, listener));
        assert!(!path.exists());
        // What a killed process leaves: a socket without a listener.
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        UnixSocket::bind(&path).unwrap();
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes");
        std::fs::write(&path, "mine").unwrap();
        assert_eq!(UnixSocket::bind(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
        // A link in the place of the lock is not followed.
        let (elsewhere, path) = (folder.path().join("elsewhere"), folder.path().join("api.sock"));
        std::os::unix::fs::symlink(&elsewhere, folder.path().join("api.sock.lock")).unwrap();
        assert!(UnixSocket::bind(&path).is_err() && !elsewhere.exists());
    }
}
