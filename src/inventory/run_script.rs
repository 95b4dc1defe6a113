//! Runs an inventory script within a bound of time and of memory. This module does not read the inventory that it prints.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use super::InventoryError;
use crate::core::secrets::SECRET_VARIABLES;

/// How long a script may run. A script that asks the interface of a large cloud takes a minute.
const LIMIT: Duration = Duration::from_mins(5);

/// How many bytes a script may print: about as many as 100,000 hosts with variables have.
const BYTES: u64 = 64 << 20;

/// Runs a script with these arguments and returns what it prints.
pub(super) fn run(path: &Path, arguments: &[&str]) -> Result<String, InventoryError> {
    run_within(path, arguments, LIMIT, BYTES)
}

fn run_within(path: &Path, arguments: &[&str], limit: Duration, bytes: u64) -> Result<String, InventoryError> {
    let failed = |detail: String| InventoryError::Script { path: path.to_owned(), detail };
    let program = fs::canonicalize(path).map_err(|error| InventoryError::unreadable(path, &error))?;
    let mut command = Command::new(program);
    for name in SECRET_VARIABLES {
        command.env_remove(name);
    }
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let hint = "if the file is not a program, remove its execute permission";
    let mut child = command.spawn().map_err(|error| failed(format!("{error}; {hint}")))?;
    let ended = wait(&mut child, limit, bytes);
    if ended.is_err() {
        // A program that has just ended cannot be killed, which is as well.
        _ = child.kill();
    }
    let status = child.wait().map_err(|error| failed(error.to_string()))?;
    let (stdout, stderr) = ended.map_err(failed)?;
    if !status.success() {
        return Err(failed(format!("{status}: {}", String::from_utf8_lossy(&stderr).trim())));
    }
    String::from_utf8(stdout).map_err(|_| failed("its output is not UTF-8".to_owned()))
}

/// Returns both outputs of a script after it has closed them.
fn wait(child: &mut Child, limit: Duration, bytes: u64) -> Result<(Vec<u8>, Vec<u8>), String> {
    let (stdout, stderr) =
        (child.stdout.take().map(|it| read(it, bytes)), child.stderr.take().map(|it| read(it, bytes)));
    let until = Instant::now() + limit;
    let take = |output: Option<Receiver<Vec<u8>>>| {
        let Some(output) = output else { return Ok(Vec::new()) };
        let output = output.recv_timeout(until.saturating_duration_since(Instant::now()));
        let output = output.map_err(|_| format!("it has not ended within {} s", limit.as_secs_f32()))?;
        let is_whole = u64::try_from(output.len()).is_ok_and(|length| length <= bytes);
        if is_whole { Ok(output) } else { Err(format!("it prints more than {} MiB", bytes >> 20)) }
    };
    Ok((take(stdout)?, take(stderr)?))
}

/// Reads an output to its end, or to one byte more than it may have.
fn read(output: impl Read + Send + 'static, bytes: u64) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut text = Vec::new();
        // What was read before an error counts, and the status of the program says more than the error.
        _ = output.take(bytes + 1).read_to_end(&mut text);
        _ = sender.send(text);
    });
    receiver
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// Runs a script of `sh` that may print two MiB.
    fn run_text(text: &str, limit: Duration) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hosts.sh");
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let said = run_within(&path, &["--list"], limit, 2 << 20).map_err(|error| error.to_string());
        said.map_err(|error| error.replace(&path.display().to_string(), "hosts.sh"))
    }

    #[test]
    fn a_script_that_hangs_or_prints_without_an_end_is_ended() {
        let failed = "the inventory script hosts.sh failed: ";
        for (text, limit, expected) in [
            ("echo \"$@\"", 60_000, Ok("--list\n".to_owned())),
            ("echo why >&2; exit 3", 60_000, Err(format!("{failed}exit status: 3: why"))),
            ("exec sleep 600", 200, Err(format!("{failed}it has not ended within 0.2 s"))),
            ("sleep 5 & echo more", 200, Err(format!("{failed}it has not ended within 0.2 s"))),
            ("exec yes", 60_000, Err(format!("{failed}it prints more than 2 MiB"))),
            ("exec yes >&2", 60_000, Err(format!("{failed}it prints more than 2 MiB"))),
        ] {
            let began = Instant::now();
            assert_eq!(run_text(text, Duration::from_millis(limit)), expected, "{text}");
            assert!(began.elapsed() < Duration::from_secs(30), "{text}");
        }
    }
}
