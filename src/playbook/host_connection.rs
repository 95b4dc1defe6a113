//! Runs the actions of tasks on a host: commands, files, waits.

use std::time::Duration;

use serde_json::Value;
use shlex::QuoteError;

use super::action::CommandLine;
use super::file;
use super::file::File;
use super::outcome::Outcome;
use super::outcome::Status;
use super::shell_expand::quote_expanding;
use super::wait;
use super::wait::Wait;
use crate::inventory::Vars;
use crate::remote::CapturedOutput;
use crate::remote::Command;
use crate::remote::Exit;
use crate::remote::Remote;
use crate::remote::Target;

/// How many bytes of each output stream of a command are kept.
const OUTPUT_LIMIT: usize = 8 << 20;

/// How long a file transfer may take.
const FILE_TIMEOUT: Duration = Duration::from_mins(2);

/// A connection to one host, as root or as the login user.
#[derive(Debug, Clone, Copy)]
pub struct HostConnection<'a> {
    /// The connections to all hosts.
    pub remote: &'a dyn Remote,
    /// The host.
    pub target: &'a Target,
    /// Set to run as root.
    pub root: bool,
    /// Set to predict changes without making them.
    pub check: bool,
}

fn unquotable(error: QuoteError) -> Outcome {
    Outcome::failed(format!("it cannot be given to a shell: {error}"))
}

impl HostConnection<'_> {
    async fn exec(
        &self,
        script: String,
        stdin: Vec<u8>,
        limit: Option<Duration>,
    ) -> Result<(Exit, CapturedOutput), Outcome> {
        let command = Command { script, stdin, root: self.root, limit };
        let mut output = CapturedOutput::with_limit(OUTPUT_LIMIT);
        let exit = self.remote.exec(self.target, &command, &mut output).await;
        exit.map(|exit| (exit, output)).map_err(|failure| Outcome::of_failure(&failure))
    }

    /// Runs a command unless `creates` or `removes` says that it is done. A check only predicts whether it would run.
    pub async fn run_command(&self, command: &CommandLine) -> Outcome {
        match self.try_run_command(command).await {
            Ok(outcome) | Err(outcome) => outcome,
        }
    }

    async fn try_run_command(&self, command: &CommandLine) -> Result<Outcome, Outcome> {
        let mut vars = CapturedOutput::with_limit(0).into_vars();
        vars.insert("cmd".to_owned(), command.argv.clone().into());
        if let Some(path) = self.skip_reason(command).await? {
            let not = if self.check { "Would" } else { "Did" };
            vars.insert("stdout".to_owned(), format!("skipped, since {path}").into());
            vars.insert("stdout_lines".to_owned(), vec![format!("skipped, since {path}")].into());
            vars.insert("msg".to_owned(), format!("{not} not run command since {path}").into());
            vars.insert("rc".to_owned(), 0.into());
            return Ok(Outcome::done(false, vars));
        }
        if self.check {
            vars.insert("msg".to_owned(), "Command would have run if not in check mode".into());
            vars.insert("rc".to_owned(), 0.into());
            let guarded = command.creates.is_some() || command.removes.is_some();
            return Ok(if guarded { Outcome::done(true, vars) } else { Outcome::not_checked(vars) });
        }
        let words = command.argv.iter().map(|word| quote_expanding(word)).collect::<Result<Vec<_>, _>>();
        let script = format!("{}exec {}", chdir(command).map_err(unquotable)?, words.map_err(unquotable)?.join(" "));
        let (exit, output) = self.exec(script, command.stdin.clone(), None).await?;
        vars.extend(output.into_vars());
        Ok(command_outcome(&exit, vars))
    }

    /// Returns why a command need not run, if it need not.
    async fn skip_reason(&self, command: &CommandLine) -> Result<Option<String>, Outcome> {
        if command.creates.is_none() && command.removes.is_none() {
            return Ok(None);
        }
        let script = guard(command).map_err(unquotable)?;
        let (exit, output) = self.exec(script, Vec::new(), Some(FILE_TIMEOUT)).await?;
        let named = |path: &Option<String>| path.clone().unwrap_or_default();
        match exit {
            Exit::Code(0) => Ok(None),
            Exit::Code(CREATES_EXISTS) => Ok(Some(format!("{} exists", named(&command.creates)))),
            Exit::Code(REMOVES_MISSING) => Ok(Some(format!("{} does not exist", named(&command.removes)))),
            _ => Err(Outcome::failed(reason(&output.stderr))),
        }
    }

    /// Writes a file unless it is there already. A check only predicts whether it would be written.
    pub async fn put_file(&self, file: &File) -> Outcome {
        match self.try_put_file(file).await {
            Ok(outcome) | Err(outcome) => outcome,
        }
    }

    async fn try_put_file(&self, file: &File) -> Result<Outcome, Outcome> {
        let script = file.script(self.check).map_err(unquotable)?;
        let (exit, output) = self.exec(script, file.content.clone(), Some(FILE_TIMEOUT)).await?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let (status, dest) = printed.split_once('\n').unwrap_or_default();
        let vars = Vars::from_iter([("dest".to_owned(), dest.trim_end_matches('\n').into())]);
        match (exit, status) {
            (Exit::Code(0), file::SAME) => Ok(Outcome::done(false, vars)),
            (Exit::Code(0), file::CHANGED) => Ok(Outcome::done(true, vars)),
            _ => Err(Outcome::failed(format!("{}: {}", file.dest, reason(&output.stderr)))),
        }
    }

    /// Waits until the condition holds, or the timeout is over.
    pub async fn wait(&self, wait: &Wait) -> Outcome {
        if self.check {
            let message = "not checked: the condition may depend on changes that a check does not make";
            return Outcome::not_checked(Vars::from_iter([("msg".to_owned(), message.into())]));
        }
        let script = match wait.script() {
            Ok(script) => script,
            Err(error) => return unquotable(error),
        };
        let limit = Duration::from_secs(wait.timeout.saturating_add(30));
        match self.exec(script, Vec::new(), Some(limit)).await {
            Ok((Exit::Code(0), _)) => Outcome::done(false, Vars::new()),
            Ok((Exit::Code(wait::TIMED_OUT), _)) => {
                Outcome::failed(format!("timed out after {} s waiting for {}", wait.timeout, wait.description()))
            }
            Ok((_, output)) => Outcome::failed(reason(&output.stderr)),
            Err(outcome) => outcome,
        }
    }
}

/// The exit code of [`guard`] if the path of `creates` exists.
const CREATES_EXISTS: u32 = 10;
/// The exit code of [`guard`] if the path of `removes` does not exist.
const REMOVES_MISSING: u32 = 11;

/// Returns the script that checks `creates` and `removes` of a command.
fn guard(command: &CommandLine) -> Result<String, QuoteError> {
    // A path that exists literally is taken literally, even if it would match other paths as a glob.
    let mut script = "there() { [ -e \"$1\" ] || [ -L \"$1\" ]; }\n\
        any() { there \"$1\" && return; IFS=; for f in $1; do there \"$f\" && return; done; return 1; }\n"
        .to_owned();
    script.push_str(&chdir(command)?);
    if let Some(path) = &command.creates {
        script.push_str(&format!("p={}\nif any \"$p\"; then exit {CREATES_EXISTS}; fi\n", quote_expanding(path)?));
    }
    if let Some(path) = &command.removes {
        script.push_str(&format!("p={}\nany \"$p\" || exit {REMOVES_MISSING}\n", quote_expanding(path)?));
    }
    Ok(script + "exit 0\n")
}

fn chdir(command: &CommandLine) -> Result<String, QuoteError> {
    match &command.chdir {
        Some(folder) => Ok(format!("cd -- {} || exit 1\n", quote_expanding(folder)?)),
        None => Ok(String::new()),
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
    Outcome { status: Status::Failed, changed: true, detail: vars }
}

/// Returns the last line of stderr, or a text that says that there is none.
fn reason(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let last = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
    last.unwrap_or("it failed and did not say why").to_owned()
}
