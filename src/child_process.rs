//! A command of the operator that runs on this host, for a limited time: a fence command, a receiver of alerts.
//!
//! All processes that the command has started end with it.

use std::process::ExitStatus;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process_group;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Child;
use tokio::process::ChildStderr;
use tokio::process::ChildStdin;
use tokio::process::Command;

use crate::core::sanitize::truncate;
use crate::core::secrets::SECRET_VARIABLES;

/// How long stderr is still read after the command has ended: a process that it started may hold stderr open.
const STDERR_LIMIT: Duration = Duration::from_millis(100);

/// How many bytes of stderr are kept: the last ones.
const STDERR_KEPT: usize = 4096;

/// How many characters of the last line of stderr an error quotes.
const QUOTED: usize = 200;

/// Runs a command with this text as its stdin, or without stdin. An error quotes the exit status and the last line of stderr.
///
/// All processes that the command has started are killed when this returns or is dropped. They do not get the variables that hold
/// secrets of muster.
pub(crate) async fn run(mut command: Command, input: Option<&str>, limit: Duration) -> Result<(), String> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let not_run = |error: std::io::Error| format!("{program}: {error}");
    let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
    for name in SECRET_VARIABLES {
        command.env_remove(name);
    }
    command.stdin(stdin).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true).process_group(0);
    let mut child = command.spawn().map_err(not_run)?;
    let _group = Group::of(&child);
    let stdin = child.stdin.take().zip(input);
    let ended = tokio::time::timeout(limit, end_of(&mut child, stdin)).await;
    let ended = ended.map_err(|_| format!("it did not end within {} s", limit.as_secs()))?;
    let (status, stderr) = ended.map_err(not_run)?;
    if status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&stderr);
    let last = truncate(stderr.lines().last().unwrap_or_default(), QUOTED);
    Err(if last.is_empty() { status.to_string() } else { format!("{status}: {last}") })
}

/// Waits for the end of a command. Returns its exit status and the end of what it wrote to stderr.
async fn end_of(child: &mut Child, stdin: Option<(ChildStdin, &str)>) -> std::io::Result<(ExitStatus, Vec<u8>)> {
    let mut tail = Tail { stderr: child.stderr.take(), kept: Vec::new() };
    // The pipes are served meanwhile: a command that fills one would wait for a reader.
    let served = async {
        tokio::join!(tail.read_on(), feed(stdin));
    };
    let status = tokio::select! {
        status = child.wait() => status?,
        () = served => child.wait().await?,
    };
    let _ = tokio::time::timeout(STDERR_LIMIT, tail.read_on()).await;
    Ok((status, tail.kept))
}

/// Writes the input, and closes stdin. A command need not read it.
async fn feed(stdin: Option<(ChildStdin, &str)>) {
    if let Some((mut stdin, input)) = stdin {
        let _ = stdin.write_all(input.as_bytes()).await;
    }
}

/// The end of what a command has written to stderr so far.
struct Tail {
    stderr: Option<ChildStderr>,
    kept: Vec<u8>,
}

impl Tail {
    /// Reads until every process has closed stderr.
    async fn read_on(&mut self) {
        let mut chunk = [0; STDERR_KEPT];
        while let Some(stderr) = &mut self.stderr {
            match stderr.read(&mut chunk).await {
                Ok(length) if length > 0 => self.kept.extend(chunk.iter().take(length)),
                _ => self.stderr = None,
            }
            let excess = self.kept.len().saturating_sub(STDERR_KEPT);
            self.kept.drain(..excess);
        }
    }
}

/// The process group of a command. All its processes are killed when this is dropped.
struct Group(Option<Pid>);

impl Group {
    /// Returns the group of a child that was started as the first process of its own group.
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // The group may have ended by itself. As long as one of its processes is left, no other group has its number.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}
