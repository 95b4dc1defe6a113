//! The control groups that hold a host's processes: to start them apart, freeze them, and end them all at once.
//!
//! Two systemds that share a group break each other, so each host gets a group of its own in every hierarchy that
//! systemd uses: only the unified one on a pure cgroup2 machine, `name=systemd` as well on a hybrid one. Freezing and
//! killing need no controller and work through the unified hierarchy on both.

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
const LIMIT: Duration = Duration::from_secs(10);

/// A control group of this name in every hierarchy that systemd uses.
#[derive(Debug, Clone)]
pub(super) struct Cgroup {
    unified: PathBuf,
    named: Option<PathBuf>,
}

impl Cgroup {
    /// Names the lab's group. It is made when a host's is.
    pub(super) fn of_lab(lab: &str) -> Result<Self, LabError> {
        let mounts = Path::new("/proc/self/mounts");
        let text = fs::read_to_string(mounts).map_err(LabError::file(mounts))?;
        let (unified, named) = hierarchies(&text).ok_or(LabError::Cgroups("no cgroup2 file system is mounted"))?;
        let whole = Self { unified, named };
        Ok(whole.child(&format!("muster-{lab}")))
    }

    /// Names a group inside this one.
    pub(super) fn child(&self, name: &str) -> Self {
        Self { unified: self.unified.join(name), named: self.named.as_ref().map(|named| named.join(name)) }
    }

    /// Makes the group and returns the files that take a process into it.
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

    /// Says whether it is there.
    pub(super) fn exists(&self) -> bool {
        self.folders().any(|folder| folder.exists())
    }

    /// Says whether any process is in it.
    pub(super) fn populated(&self) -> bool {
        self.event("populated")
    }

    /// Says whether its processes are frozen.
    pub(super) fn frozen(&self) -> bool {
        self.event("frozen")
    }

    /// Returns the first process of the systemd that runs in it.
    pub(super) fn leader(&self) -> Option<u32> {
        let scope = self.unified.join("payload/init.scope/cgroup.procs");
        fs::read_to_string(scope).ok()?.lines().next()?.parse().ok()
    }

    /// Stops its processes where they are, or lets them go on.
    pub(super) fn freeze(&self, on: bool) -> Result<(), LabError> {
        let file = self.unified.join("cgroup.freeze");
        fs::write(&file, if on { "1" } else { "0" }).map_err(LabError::file(&file))?;
        self.wait(if on { "frozen" } else { "thawed" }, LIMIT, || self.frozen() == on)
    }

    /// Ends all its processes at once, frozen or not.
    pub(super) fn kill(&self) -> Result<(), LabError> {
        if !self.populated() {
            return Ok(());
        }
        let file = self.unified.join("cgroup.kill");
        fs::write(&file, "1").map_err(LabError::file(&file))?;
        self.wait_empty(LIMIT)
    }

    /// Waits until no process is left in it.
    pub(super) fn wait_empty(&self, limit: Duration) -> Result<(), LabError> {
        self.wait("empty", limit, || !self.populated())
    }

    /// Removes the group and those its systemd made inside; it must be empty of processes.
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

    fn wait(&self, wanted: &'static str, limit: Duration, reached: impl Fn() -> bool) -> Result<(), LabError> {
        let start = Instant::now();
        while !reached() {
            if start.elapsed() > limit {
                return Err(LabError::Stuck { path: self.unified.clone(), wanted, waited: limit });
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

/// Finds the unified hierarchy and, on a hybrid machine, systemd's own.
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

/// A group's files cannot be removed, only the group: from the innermost out.
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
