//! Running a machine's fence command, on the host that muster runs on.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process_group;
use tokio::io::AsyncReadExt as _;
use tokio::process::Child;
use tokio::process::Command;

use crate::core::model::Machine;
use crate::core::sanitize::truncate;

/// How long a fence command may take: a management board that switches a host off and reports it needs seconds.
const LIMIT: Duration = Duration::from_secs(30);

/// How many characters of what a command complained of are passed on.
const COMPLAINT: usize = 200;

/// Runs a machine's fence command with `sh`, which finds the machine in `MUSTER_MACHINE` (its name), `MUSTER_MACHINE_ID`
/// and `MUSTER_ADDRESS`, and says why it failed: by its exit code and the last line of its stderr. Nothing of it goes on
/// when this ends or is given up: a machine that has answered since must not lose its power.
pub(super) async fn fence(machine: &Machine) -> Result<(), String> {
    let Some(command) = &machine.fence_command else { return Err("there is none".to_owned()) };
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(command).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    shell.env("MUSTER_MACHINE", &machine.name).env("MUSTER_MACHINE_ID", machine.id.to_string());
    shell.env("MUSTER_ADDRESS", &machine.address.host).process_group(0);
    let not_run = |error| format!("/bin/sh: {error}");
    let mut child = shell.spawn().map_err(not_run)?;
    let _group = Group::of(&child);
    let end = async {
        let mut said = Vec::new();
        if let Some(stderr) = &mut child.stderr {
            stderr.read_to_end(&mut said).await?;
        }
        child.wait().await.map(|status| (status, said))
    };
    let ended = tokio::time::timeout(LIMIT, end).await;
    let ended = ended.map_err(|_| format!("it did not end within {} s", LIMIT.as_secs()))?;
    let (status, said) = ended.map_err(not_run)?;
    if status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&said);
    let said = truncate(said.lines().last().unwrap_or_default(), COMPLAINT);
    Err(if said.is_empty() { status.to_string() } else { format!("{status}: {said}") })
}

/// A command and all that it has started, which end when this is dropped.
struct Group(Option<Pid>);

impl Group {
    /// Names the group of a child that was started as the first of its own.
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may have ended a moment ago; while any of it is left, its number is nobody else's.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read as _;

    use super::*;

    fn with(command: &str) -> Machine {
        Machine { name: "core-01".to_owned(), fence_command: Some(command.to_owned()), ..Machine::default() }
    }

    fn ended(command: &str) -> Result<(), String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(fence(&with(command)))
    }

    #[test]
    fn success_is_an_exit_code_of_zero() {
        assert_eq!(ended("[ \"$MUSTER_MACHINE\" = core-01 ]"), Ok(()));
        assert_eq!(ended("echo first >&2; echo no such plug >&2; exit 3").unwrap_err(), "exit status: 3: no such plug");
        assert_eq!(ended("kill -9 $$").unwrap_err(), "signal: 9 (SIGKILL)");
    }

    #[tokio::test]
    async fn what_a_command_has_started_ends_when_nobody_waits_for_it_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let machine = with(&format!("exec 3>'{}'; sleep 300 & echo up >&3; wait", pipe.display()));
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        // Whatever holds the other end of the pipe is still there.
        std::thread::spawn(move || {
            let mut file = File::open(pipe).unwrap();
            let mut up = [0; 3];
            file.read_exact(&mut up).unwrap();
            tell.send("up").unwrap();
            file.read_to_end(&mut Vec::new()).unwrap();
            tell.send("gone").unwrap();
        });
        tokio::select! {
            ended = fence(&machine) => panic!("{ended:?}"),
            up = told.recv() => assert_eq!(up, Some("up")),
        }
        let gone = tokio::time::timeout(Duration::from_secs(20), told.recv()).await;
        assert_eq!(gone, Ok(Some("gone")));
    }
}
