//! Hosts that get little processor time, as a virtual machine does whose processor is stolen.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use super::super::lab::id;
use super::super::ssh;
use super::super::until;
use super::Ground;
use super::LIMIT;
use super::acts::Fault;
use super::acts::doubt;
use super::watch;

pub(super) const ALL: [Fault; 3] = [
    doubt("host with 5 % of one core for 40 s", |at, host| slow(at, host, 5_000), quick, 40),
    doubt("host with 2 % of one core for 40 s", |at, host| slow(at, host, 2_000), quick, 40),
    doubt("host with 1 % of one core for 40 s", |at, host| slow(at, host, 1_000), quick, 40),
];

/// Leaves a host this many microseconds of processor time in each 0.1 s, and keeps it busy with two loops.
fn slow(at: &mut Ground, host: &str, quota: u32) {
    ssh(&at.lab, host, "for n in 1 2; do systemd-run -q timeout 40 sh -c 'while :; do :; done'; done");
    Processor::of(at, host).limit(&quota.to_string());
}

fn quick(at: &mut Ground, host: &str) {
    Processor::of(at, host).release();
}

/// The control group that limits a host's processor time.
enum Processor {
    /// The host's own group.
    Unified(PathBuf),
    /// On a hybrid machine: a group of the older hierarchy, and the host's group with the processes to be moved there.
    Older(PathBuf, PathBuf),
}

impl Processor {
    fn of(at: &Ground, host: &str) -> Self {
        let (older, group) = (Path::new("/sys/fs/cgroup/cpu"), watch::group(&at.lab, host));
        if older.join("cpu.cfs_quota_us").exists() || older.join("tasks").exists() {
            return Self::Older(older.join(format!("muster-{}-{host}", id(&at.lab))), group);
        }
        let parent = group.parent().expect("the lab's group");
        for folder in [parent.parent().expect("the root"), parent] {
            fs::write(folder.join("cgroup.subtree_control"), "+cpu").unwrap();
        }
        Self::Unified(group)
    }

    fn limit(&self, quota: &str) {
        match self {
            Self::Unified(group) => fs::write(group.join("cpu.max"), format!("{quota} 100000")).unwrap(),
            Self::Older(limited, group) => {
                fs::create_dir_all(limited).unwrap();
                fs::write(limited.join("cpu.cfs_quota_us"), quota).unwrap();
                move_all(group, limited);
            }
        }
    }

    fn release(&self) {
        match self {
            Self::Unified(group) => fs::write(group.join("cpu.max"), "max 100000").unwrap(),
            Self::Older(limited, _) => {
                fs::write(limited.join("cpu.cfs_quota_us"), "-1").unwrap();
                let leave = || {
                    move_all(limited, limited.parent().expect("the root"));
                    fs::remove_dir(limited).map_err(|error| error.to_string())
                };
                until("all processes have left the group", LIMIT, leave, Result::is_ok).unwrap();
            }
        }
    }
}

/// Moves the processes of a group and of the groups within it. Children stay with their parents.
fn move_all(from: &Path, to: &Path) {
    // A process that ends meanwhile cannot be moved.
    for pid in fs::read_to_string(from.join("cgroup.procs")).unwrap_or_default().lines() {
        let _ = fs::write(to.join("cgroup.procs"), pid);
    }
    for entry in fs::read_dir(from).unwrap().flatten().filter(|entry| entry.path().is_dir()) {
        move_all(&entry.path(), to);
    }
}
