//! Running a machine's fence command, on the host that muster runs on.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::core::cluster::Machine;

/// How long a fence command may take: a management board that switches a host off and reports it needs seconds.
const LIMIT: Duration = Duration::from_secs(30);

/// How much of what a command complained of is passed on.
const COMPLAINT: usize = 200;

/// Runs a machine's fence command with `sh`, which finds the machine in `MUSTER_MACHINE` (its name), `MUSTER_MACHINE_ID`
/// and `MUSTER_ADDRESS`, and says why it failed: by its exit code and the last line of its stderr.
pub(super) async fn fence(machine: &Machine) -> Result<(), String> {
    let Some(command) = &machine.fence_command else { return Err("there is none".to_owned()) };
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(command).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    shell.env("MUSTER_MACHINE", &machine.name).env("MUSTER_MACHINE_ID", machine.id.to_string());
    shell.env("MUSTER_ADDRESS", &machine.address.host);
    let ended = tokio::time::timeout(LIMIT, shell.output()).await;
    let output = ended.map_err(|_| format!("it did not end within {} s", LIMIT.as_secs()))?;
    let output = output.map_err(|error| format!("/bin/sh: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said: String = said.lines().last().unwrap_or_default().chars().take(COMPLAINT).collect();
    Err(if said.is_empty() { output.status.to_string() } else { format!("{}: {said}", output.status) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(command: &str) -> Result<(), String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let machine =
            Machine { name: "core-01".to_owned(), fence_command: Some(command.to_owned()), ..Machine::default() };
        runtime.block_on(fence(&machine))
    }

    #[test]
    fn success_is_an_exit_code_of_zero() {
        assert_eq!(ended("[ \"$MUSTER_MACHINE\" = core-01 ]"), Ok(()));
        assert_eq!(ended("echo first >&2; echo no such plug >&2; exit 3").unwrap_err(), "exit status: 3: no such plug");
        assert_eq!(ended("kill -9 $$").unwrap_err(), "signal: 9 (SIGKILL)");
    }
}
