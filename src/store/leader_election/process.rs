//! The identity of a process, by which another process on the same host can tell that it has ended.

use std::fs;

use rustix::process::Pid;
use rustix::process::test_kill_process;
use serde::Deserialize;
use serde::Serialize;

/// A process on one boot of one host. Numbers of processes are used again, so its start belongs to its identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ProcessIdentity {
    /// The id of the boot, a random number of the kernel.
    boot: String,
    /// The namespace in which the process has its number: a process in a container cannot tell about those outside.
    namespace: String,
    pid: u32,
    /// When it started, in ticks since boot.
    started: u64,
}

impl ProcessIdentity {
    /// Returns the identity of a process in this container, if /proc shows it.
    pub(super) fn of(pid: u32) -> Option<Self> {
        Some(Self { boot: boot()?, namespace: namespace()?, pid, started: stat(pid)?.1 })
    }

    /// Reports whether the process has certainly ended. A process of another host, another boot or another container may
    /// be alive.
    pub(super) fn has_ended(&self) -> bool {
        let is_here = boot().as_ref() == Some(&self.boot) && namespace().as_ref() == Some(&self.namespace);
        let has_changed = || stat(self.pid).is_some_and(|(state, started)| is_over(&state) || started != self.started);
        is_here && (is_absent(self.pid) || has_changed())
    }
}

/// Reports whether no process has this number. A /proc that hides the processes of other users does not matter here.
fn is_absent(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid) == Err(rustix::io::Errno::SRCH))
}

fn boot() -> Option<String> {
    Some(fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim_end().to_owned())
}

fn namespace() -> Option<String> {
    Some(fs::read_link("/proc/self/ns/pid").ok()?.to_string_lossy().into_owned())
}

/// Returns the state of a process and when it started (proc(5), `state` and `starttime`). The name of the program may hold
/// blanks and brackets.
fn stat(pid: u32) -> Option<(String, u64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.to_owned(), fields.nth(18)?.parse().ok()?))
}

/// Reports whether a process in this state runs no more. Its parent may not have asked for its end yet.
fn is_over(state: &str) -> bool {
    matches!(state, "Z" | "X" | "x")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_process_of_this_boot_and_this_container_has_certainly_ended() {
        let own = ProcessIdentity::of(std::process::id()).unwrap();
        assert!(own.started > 0 && !own.has_ended());
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let ended = ProcessIdentity::of(child.id()).unwrap();
        assert!(!ended.has_ended());
        child.kill().unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while !ended.has_ended() {
            assert!(std::time::Instant::now() < deadline, "its parent has not asked for its end yet");
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(ended.has_ended());
        assert!(!ProcessIdentity { boot: "another".to_owned(), ..ended.clone() }.has_ended());
        assert!(!ProcessIdentity { namespace: "pid:[1]".to_owned(), ..ended }.has_ended());
        assert!(ProcessIdentity { started: own.started - 1, ..own }.has_ended(), "another process has its number");
    }
}
