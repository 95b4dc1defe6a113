//! A disk of its own for a store in a file, so that a test can fill the disk and lock the store.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use muster::lab::Lab;
use rusqlite::Connection;
use tempfile::TempDir;

use super::super::run;

/// A small file system with the store on it.
pub(super) struct Disk {
    folder: TempDir,
    /// The connection that holds the store's lock.
    lock: Option<Connection>,
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.unlock();
        run(Command::new("umount").arg("--lazy").arg(self.folder.path()));
    }
}

impl Disk {
    /// Mounts the disk and moves a lab's store to it.
    pub(super) fn beside(lab: &Lab) -> Self {
        let folder = TempDir::new().unwrap();
        run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=8M", "tmpfs"]).arg(folder.path())).ok();
        let disk = Self { folder, lock: None };
        let config = fs::read_to_string(lab.config()).unwrap();
        let (first, rest) = config.split_once('\n').unwrap();
        assert!(first.starts_with("store = "), "{config}");
        fs::write(lab.config(), format!("store = \"sqlite:{}\"\n{rest}", disk.store().display())).unwrap();
        disk
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("muster.db")
    }

    /// Locks the store, so that no other process can write to it.
    pub(super) fn lock(&mut self) {
        let connection = Connection::open(self.store()).unwrap();
        connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
        connection.execute_batch("BEGIN EXCLUSIVE").unwrap();
        self.lock = Some(connection);
    }

    pub(super) fn unlock(&mut self) {
        self.lock = None;
    }

    /// Makes a backup of the store.
    pub(super) fn back_up(&self) {
        let backup = self.folder.path().join("backup.db").display().to_string();
        Connection::open(self.store()).unwrap().execute("VACUUM INTO ?1", [backup]).unwrap();
    }

    /// Puts the backup in the place of the store, which no process may use now.
    pub(super) fn restore(&self) {
        for end in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{end}", self.store().display()));
        }
        fs::rename(self.folder.path().join("backup.db"), self.store()).unwrap();
    }

    /// Fills the disk completely.
    pub(super) fn fill(&self) {
        let fill = run(Command::new("sh").args(["-c", "cat /dev/zero >\"$0\""]).arg(self.folder.path().join("fill")));
        assert!(fill.err.contains("No space left"), "{fill:#?}");
    }

    pub(super) fn empty(&self) {
        fs::remove_file(self.folder.path().join("fill")).unwrap();
    }
}
