//! Runs a machine's fence command on the host where muster runs. The command comes from the settings of this process and
//! never from the store: a process that may write to the store must not be able to run commands here.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use tokio::process::Command;

use crate::child_process;
use crate::core::model::Machine;

/// How long a fence command may take. A management board needs seconds to switch a host off and to report it.
const LIMIT: Duration = Duration::from_secs(30);

/// The variables in which a fence command finds the name, the machine-id and the address of its machine.
pub const FENCE_VARIABLES: [&str; 3] = ["MUSTER_MACHINE", "MUSTER_MACHINE_ID", "MUSTER_ADDRESS"];

/// The fence commands that the settings of this process name, by the name of the machine.
#[derive(Debug, Clone, Default)]
pub struct FenceCommands(BTreeMap<String, String>);

impl FenceCommands {
    /// Takes the commands with the names of their machines.
    pub fn new(commands: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(commands.into_iter().collect())
    }

    /// Returns the names of the machines that have a command.
    pub fn machines(&self) -> BTreeSet<String> {
        self.0.keys().cloned().collect()
    }

    /// Returns the command of a machine.
    pub(super) fn of(&self, machine: &Machine) -> Option<&String> {
        self.0.get(&machine.name)
    }
}

/// Runs a machine's fence command with `sh`. The command finds the machine in the [`FENCE_VARIABLES`]. An error quotes the
/// exit status and the last line of stderr.
///
/// All processes that the command has started are killed when this returns or is dropped: a machine that has answered
/// since must not lose its power.
pub(super) async fn fence(machine: &Machine, command: &str) -> Result<(), String> {
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(command);
    let values = [machine.name.clone(), machine.id.to_string(), machine.address.host.clone()];
    shell.envs(FENCE_VARIABLES.into_iter().zip(values));
    child_process::run(shell, None, LIMIT).await
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read as _;

    use super::*;

    fn machine() -> Machine {
        Machine { name: "core-01".to_owned(), ..Machine::default() }
    }

    fn ended(command: &str) -> Result<(), String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(fence(&machine(), command))
    }

    #[test]
    fn success_is_an_exit_code_of_zero() {
        assert_eq!(ended("[ \"$MUSTER_MACHINE\" = core-01 ]"), Ok(()));
        assert_eq!(ended("[ -z \"$MUSTER_ETCD_PASSWORD\" ]"), Ok(()));
        assert_eq!(ended("echo first >&2; echo no such plug >&2; exit 3").unwrap_err(), "exit status: 3: no such plug");
        assert_eq!(ended("kill -9 $$").unwrap_err(), "signal: 9 (SIGKILL)");
    }

    #[test]
    fn a_process_left_behind_with_stderr_open_does_not_delay_the_outcome() {
        let began = std::time::Instant::now();
        assert_eq!(ended("sleep 300 & exit 0"), Ok(()));
        assert_eq!(ended("sleep 300 & echo no such plug >&2; exit 3").unwrap_err(), "exit status: 3: no such plug");
        assert!(began.elapsed() < LIMIT, "{:?}", began.elapsed());
    }

    #[test]
    fn stderr_is_read_without_a_limit_and_its_end_is_kept() {
        let filled = "dd if=/dev/zero bs=1024 count=1024 2>/dev/null | tr '\\0' x >&2; echo >&2; echo last >&2; exit 1";
        assert_eq!(ended(filled).unwrap_err(), "exit status: 1: last");
    }

    #[tokio::test]
    async fn processes_of_a_command_that_is_given_up_are_killed() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let (machine, command) = (machine(), format!("exec 3>'{}'; sleep 300 & echo up >&3; wait", pipe.display()));
        let (sender, mut received) = tokio::sync::mpsc::unbounded_channel();
        // As long as the pipe has another end, the process is alive.
        std::thread::spawn(move || {
            let mut file = File::open(pipe).unwrap();
            let mut up = [0; 3];
            file.read_exact(&mut up).unwrap();
            sender.send("up").unwrap();
            file.read_to_end(&mut Vec::new()).unwrap();
            sender.send("gone").unwrap();
        });
        tokio::select! {
            ended = fence(&machine, &command) => panic!("{ended:?}"),
            up = received.recv() => assert_eq!(up, Some("up")),
        }
        let gone = tokio::time::timeout(Duration::from_secs(20), received.recv()).await;
        assert_eq!(gone, Ok(Some("gone")));
    }
}
