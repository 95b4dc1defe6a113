//! The connection to one host on which the actions of tasks run their scripts.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use shlex::QuoteError;

use super::detached::Detached;
use super::outcome::Outcome;
use super::outcome::Status;
use crate::inventory::Vars;
use crate::remote::CapturedOutput;
use crate::remote::Command;
use crate::remote::Exit;
use crate::remote::Remote;
use crate::remote::RunAs;
use crate::remote::ScriptRunner;
use crate::remote::Target;

/// How many bytes of each output stream of a command are kept.
const OUTPUT_LIMIT: usize = 8 << 20;

/// How long a transfer of a file, or a look at one, may take.
pub(super) const FILE_TIMEOUT: Duration = Duration::from_mins(2);

/// A connection to one host, as one user.
#[derive(Debug, Clone)]
pub struct HostConnection<'a> {
    /// The connections to all hosts.
    pub remote: &'a dyn Remote,
    /// The host.
    pub target: Target,
    /// The user that scripts run as; `None` for the login user.
    pub run_as: Option<RunAs>,
    /// The lines of shell that set the variables of the environment.
    pub environment: String,
    /// Set to predict changes without making them.
    pub check: bool,
    /// Set to show what changes.
    pub diff: bool,
    /// Set if scripts go on by themselves.
    pub detached: Option<Detached>,
}

pub(super) fn unquotable(error: QuoteError) -> Outcome {
    Outcome::failed(format!("it cannot be given to a shell: {error}"))
}

impl HostConnection<'_> {
    /// Runs a script on the host, in a channel of its own, and returns how it ended and what it printed.
    pub(super) async fn exec(
        &self,
        script: String,
        limit: Option<Duration>,
    ) -> Result<(Exit, CapturedOutput), Outcome> {
        self.run(Command { script, limit, ..Command::default() }).await
    }

    /// Runs a script that reads its stdin, in a channel of its own, and returns how it ended and what it printed.
    pub(super) async fn exec_with_stdin(
        &self,
        script: String,
        stdin: Bytes,
    ) -> Result<(Exit, CapturedOutput), Outcome> {
        self.run(Command { script, stdin, ..Command::default() }).await
    }

    /// Runs a script that runs a program of the playbook, and returns how it ended and what it printed.
    pub(super) async fn exec_program(&self, script: String, stdin: Bytes) -> Result<(Exit, CapturedOutput), Outcome> {
        self.run(Command { script, stdin, runner: ScriptRunner::UserShellForPrograms, ..Command::default() }).await
    }

    /// Runs a script of muster that starts no process which outlives it, and returns how it ended and what it printed.
    pub(super) async fn exec_script(
        &self,
        script: String,
        texts: Vec<&'static str>,
        stdin: Bytes,
        limit: Option<Duration>,
    ) -> Result<(Exit, CapturedOutput), Outcome> {
        self.run(Command { script, texts, stdin, limit, runner: ScriptRunner::UserShell, ..Command::default() }).await
    }

    /// Runs a command as the user and in the environment of the task.
    async fn run(&self, mut command: Command) -> Result<(Exit, CapturedOutput), Outcome> {
        command.script.insert_str(0, &self.environment);
        command.run_as.clone_from(&self.run_as);
        if let Some(detached) = &self.detached {
            return self.exec_detached(detached, command).await;
        }
        let mut output = CapturedOutput::with_limit(OUTPUT_LIMIT);
        let exit = self.remote.exec(&self.target, &command, &mut output).await;
        exit.map(|exit| (exit, output)).map_err(|failure| Outcome::of_failure(&failure))
    }

    /// Runs a command that goes on if the connection ends.
    async fn exec_detached(&self, detached: &Detached, command: Command) -> Result<(Exit, CapturedOutput), Outcome> {
        let script = detached.script(&command.whole_script()).map_err(unquotable)?;
        let command = Command { script, stdin: command.stdin, run_as: command.run_as, ..Command::default() };
        let mut output = detached.sink(OUTPUT_LIMIT);
        let exit = self.remote.exec(&self.target, &command, &mut output).await;
        let exit = exit.map_err(|failure| Outcome::of_failure(&failure))?;
        let output = output.of_script().ok_or_else(|| Outcome::failed("Timeout exceeded"))?;
        Ok((exit, output))
    }
}

/// Returns the outcome of a command with this exit and output.
pub fn command_outcome(exit: &Exit, mut vars: Vars) -> Outcome {
    let (code, why) = match exit {
        Exit::Code(code) => (Some(*code), "non-zero return code".to_owned()),
        Exit::Signal(signal) => (None, format!("killed by signal {signal}")),
    };
    vars.insert("rc".to_owned(), code.into());
    if code == Some(0) {
        return Outcome::done(true, vars);
    }
    let dropped = vars.get("msg").and_then(Value::as_str).map(|dropped| format!("; {dropped}")).unwrap_or_default();
    vars.insert("msg".to_owned(), (why + &dropped).into());
    Outcome { status: Status::Failed, changed: true, detail: vars, ..Outcome::default() }
}

/// Returns the last line of stderr, or a text that says that there is none.
pub(super) fn reason(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let last = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
    last.unwrap_or("it failed and did not say why").to_owned()
}
