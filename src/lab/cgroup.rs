//! The control groups of a host's processes, which separate, freeze and end them.
//!
//! Two systemds that share a group break each other. So each host has a group of its own in every hierarchy that systemd
//! uses: only the unified one on a pure cgroup2 machine, and `name=systemd` as well on a hybrid one. Freezing and killing
//! need no controller, and work through the unified hierarchy on both.

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use super::error;
use super::error::LabError;

/// How long the kernel may take to freeze or end processes.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A control group of this name in every hierarchy that systemd uses.
#[derive(Debug, Clone)]
pub(super) struct Cgroup {
    unified: PathBuf,
    named: Option<PathBuf>,
}

impl Cgroup {
    /// Returns the lab's group, which is created with a host's group.
    pub(super) fn of_lab(lab: &str) -> Result<Self, LabError> {
        let mounts = Path::new("/proc/self/mounts");
        let text = fs::read_to_string(mounts).map_err(LabError::file(mounts))?;
        let (unified, named) = hierarchies(&text).ok_or(LabError::Cgroups("no cgroup2 file system is mounted"))?;
        let whole = Self { unified, named };
        Ok(whole.child(&format!("muster-{lab}")))
    }

    /// Returns a group inside this one.
    pub(super) fn child(&self, name: &str) -> Self {
        Self { unified: self.unified.join(name), named: self.named.as_ref().map(|named| named.join(name)) }
    }

    /// Creates the group, and returns the files that a process writes its id to in order to join it.
    pub(super) fn create(&self) -> Result<Vec<String>, LabError> {
        for folder in self.folders() {
            fs::create_dir_all(folder).map_err(LabError::file(folder))?;
        }
        let kill = self.unified.join("cgroup.kill");
        if !kill.exists() {
            return Err(LabError::Cgroups("the kernel has no cgroup.kill: Linux 5.14 or later is needed"));
        }
        Ok(self.folders().map(|folder| folder.join("cgroup.procs").display().to_string()).collect())
    }

    /// Reports whether the group exists.
    pub(super) fn exists(&self) -> bool {
        self.folders().any(|folder| folder.exists())
    }

    /// Reports whether the group has a process.
    pub(super) fn is_populated(&self) -> bool {
        self.event("populated")
    }

    /// Reports whether the processes are frozen.
    pub(super) fn is_frozen(&self) -> bool {
        self.event("frozen")
    }

    /// Returns the process id of the systemd in the group.
    pub(super) fn systemd_pid(&self) -> Option<u32> {
        let scope = self.unified.join("payload/init.scope/cgroup.procs");
        fs::read_to_string(scope).ok()?.lines().next()?.parse().ok()
    }

    /// Freezes the processes, or continues them.
    pub(super) fn freeze(&self, on: bool) -> Result<(), LabError> {
        let file = self.unified.join("cgroup.freeze");
        fs::write(&file, if on { "1" } else { "0" }).map_err(LabError::file(&file))?;
        self.wait(if on { "frozen" } else { "thawed" }, TIMEOUT, || self.is_frozen() == on)
    }

    /// Kills all processes, frozen or not, and waits until they have ended.
    pub(super) fn kill(&self) -> Result<(), LabError> {
        if !self.is_populated() {
            return Ok(());
        }
        let file = self.unified.join("cgroup.kill");
        fs::write(&file, "1").map_err(LabError::file(&file))?;
        self.wait_empty(TIMEOUT)
    }

    /// Waits until the group has no process.
    pub(super) fn wait_empty(&self, limit: Duration) -> Result<(), LabError> {
        self.wait("empty", limit, || !self.is_populated())
    }

    /// Removes the group and the groups inside it. It must have no process.
    pub(super) fn remove(&self) -> Result<(), LabError> {
        error::first(self.folders().map(|folder| remove_tree(folder).map_err(LabError::file(folder))))
    }

    fn folders(&self) -> impl Iterator<Item = &PathBuf> {
        std::iter::once(&self.unified).chain(&self.named)
    }

    fn event(&self, name: &str) -> bool {
        let events = fs::read_to_string(self.unified.join("cgroup.events")).unwrap_or_default();
        events.lines().any(|line| line.strip_prefix(name).is_some_and(|rest| rest == " 1"))
    }

    fn wait(&self, expected: &'static str, limit: Duration, reached: impl Fn() -> bool) -> Result<(), LabError> {
        let start = Instant::now();
        while !reached() {
            if start.elapsed() > limit {
                return Err(LabError::Stuck { path: self.unified.clone(), expected, waited: limit });
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

/// Returns the mount points of the unified hierarchy and, on a hybrid machine, of `name=systemd`.
fn hierarchies(mounts: &str) -> Option<(PathBuf, Option<PathBuf>)> {
    let fields = || mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let find = |wanted: &dyn Fn(&str, &str) -> bool| {
        fields().find_map(|line| match line.as_slice() {
            [_, place, kind, options, ..] if wanted(kind, options) => Some(PathBuf::from(place)),
            _ => None,
        })
    };
    let unified = find(&|kind, _| kind == "cgroup2")?;
    let named = find(&|kind, options| kind == "cgroup" && options.split(',').any(|option| option == "name=systemd"));
    Some((unified, named))
}

/// Removes a group after those inside it. The files of a group cannot be removed, only the group.
fn remove_tree(folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hybrid_machine_has_two_hierarchies_for_systemd() {
        let mounts = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
            cgroup /sys/fs/cgroup/systemd cgroup rw,name=systemd 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        let expected = (PathBuf::from("/sys/fs/cgroup/unified"), Some(PathBuf::from("/sys/fs/cgroup/systemd")));
        assert_eq!(hierarchies(mounts), Some(expected));
    }

    #[test]
    fn a_unified_machine_has_one_and_a_legacy_machine_none() {
        let unified = "cgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0\n";
        assert_eq!(hierarchies(unified), Some((PathBuf::from("/sys/fs/cgroup"), None)));
        assert_eq!(hierarchies("cgroup /sys/fs/cgroup/systemd cgroup rw,name=systemd 0 0\n"), None);
    }
}
