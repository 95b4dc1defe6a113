//! A disk of its own for a store in a file, so that it can be filled, and the store locked, from outside.

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
    /// Who holds the store's lock.
    holder: Option<Connection>,
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.unlock();
        run(Command::new("umount").arg("--lazy").arg(self.folder.path()));
    }
}

impl Disk {
    /// Makes one and moves a lab's store there.
    pub(super) fn beside(lab: &Lab) -> Self {
        let folder = TempDir::new().unwrap();
        run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=8M", "tmpfs"]).arg(folder.path())).ok();
        let disk = Self { folder, holder: None };
        let config = fs::read_to_string(lab.config()).unwrap();
        let (first, rest) = config.split_once('\n').unwrap();
        assert!(first.starts_with("store = "), "{config}");
        fs::write(lab.config(), format!("store = \"sqlite:{}\"\n{rest}", disk.store().display())).unwrap();
        disk
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("muster.db")
    }

    /// Keeps everybody else from writing to the store.
    pub(super) fn lock(&mut self) {
        let holder = Connection::open(self.store()).unwrap();
        holder.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
        holder.execute_batch("BEGIN EXCLUSIVE").unwrap();
        self.holder = Some(holder);
    }

    pub(super) fn unlock(&mut self) {
        self.holder = None;
    }

    /// Leaves no room for another byte.
    pub(super) fn fill(&self) {
        let fill = run(Command::new("sh").args(["-c", "cat /dev/zero >\"$0\""]).arg(self.folder.path().join("fill")));
        assert!(fill.err.contains("No space left"), "{fill:#?}");
    }

    pub(super) fn empty(&self) {
        fs::remove_file(self.folder.path().join("fill")).unwrap();
    }
}
