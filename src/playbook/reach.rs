//! Carrying out on a host what a task requirements of the host itself: commands, files, waiting.

use std::time::Duration;

use serde_json::Value;
use shlex::QuoteError;

use super::action::CommandLine;
use super::file;
use super::file::File;
use super::kept::Kept;
use super::outcome::Outcome;
use super::outcome::Status;
use super::wait;
use super::wait::Wait;
use super::word::expanded;
use crate::inventory::Vars;
use crate::remote::Command;
use crate::remote::Exit;
use crate::remote::Remote;
use crate::remote::Target;

/// How much of what a command prints is kept, per stream.
const KEPT: usize = 8 << 20;

/// How long putting a file there may take.
const FILE_LIMIT: Duration = Duration::from_mins(2);

/// A way to one host, as root or as who we log in as.
#[derive(Debug, Clone, Copy)]
pub struct Reach<'a> {
    /// The way to all hosts.
    pub remote: &'a dyn Remote,
    /// The host.
    pub target: &'a Target,
    /// Whether to be root there.
    pub root: bool,
    /// Whether only to look.
    pub check: bool,
}

fn unquotable(error: QuoteError) -> Outcome {
    Outcome::failed(format!("it cannot be given to a shell: {error}"))
}

impl Reach<'_> {
    async fn send(&self, line: String, stdin: Vec<u8>, limit: Option<Duration>) -> Result<(Exit, Kept), Outcome> {
        let command = Command { line, stdin, root: self.root, limit };
        let mut kept = Kept::up_to(KEPT);
        let exit = self.remote.exec(self.target, &command, &mut kept).await;
        exit.map(|exit| (exit, kept)).map_err(|failure| Outcome::of_failure(&failure))
    }

    /// Runs a command unless it need not run; a check only says whether it would, as far as anybody knows.
    pub async fn command(&self, command: &CommandLine) -> Outcome {
        match self.try_command(command).await {
            Ok(outcome) | Err(outcome) => outcome,
        }
    }

    async fn try_command(&self, command: &CommandLine) -> Result<Outcome, Outcome> {
        let mut vars = Kept::up_to(0).into_vars();
        vars.insert("cmd".to_owned(), command.argv.clone().into());
        if let Some(path) = self.spared(command).await? {
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
            let known = command.creates.is_some() || command.removes.is_some();
            return Ok(if known { Outcome::done(true, vars) } else { Outcome::not_looked_at(vars) });
        }
        let words = command.argv.iter().map(|word| expanded(word)).collect::<Result<Vec<_>, _>>();
        let script = format!("{}exec {}", chdir(command).map_err(unquotable)?, words.map_err(unquotable)?.join(" "));
        let (exit, kept) = self.send(in_sh(&script).map_err(unquotable)?, command.stdin.clone(), None).await?;
        vars.extend(kept.into_vars());
        Ok(ended(&exit, vars))
    }

    /// Looks whether a command need not run, and says why: a sentence without a full stop.
    async fn spared(&self, command: &CommandLine) -> Result<Option<String>, Outcome> {
        if command.creates.is_none() && command.removes.is_none() {
            return Ok(None);
        }
        let line = guard(command).and_then(|script| in_sh(&script)).map_err(unquotable)?;
        let (exit, kept) = self.send(line, Vec::new(), Some(FILE_LIMIT)).await?;
        let named = |path: &Option<String>| path.clone().unwrap_or_default();
        match exit {
            Exit::Code(0) => Ok(None),
            Exit::Code(THERE) => Ok(Some(format!("{} exists", named(&command.creates)))),
            Exit::Code(NOT_THERE) => Ok(Some(format!("{} does not exist", named(&command.removes)))),
            _ => Err(Outcome::failed(reason(&kept.stderr))),
        }
    }

    /// Puts a file there, or says whether it would have to.
    pub async fn file(&self, file: &File) -> Outcome {
        match self.try_file(file).await {
            Ok(outcome) | Err(outcome) => outcome,
        }
    }

    async fn try_file(&self, file: &File) -> Result<Outcome, Outcome> {
        let line = file.command(self.check).map_err(unquotable)?;
        let (exit, kept) = self.send(line, file.content.clone(), Some(FILE_LIMIT)).await?;
        let said = String::from_utf8_lossy(&kept.stdout).into_owned();
        let (health, dest) = said.split_once('\n').unwrap_or_default();
        let vars = Vars::from_iter([("dest".to_owned(), dest.trim_end_matches('\n').into())]);
        match (exit, health) {
            (Exit::Code(0), file::SAME) => Ok(Outcome::done(false, vars)),
            (Exit::Code(0), file::CHANGED) => Ok(Outcome::done(true, vars)),
            _ => Err(Outcome::failed(format!("{}: {}", file.dest, reason(&kept.stderr)))),
        }
    }

    /// Timeouts until something is so.
    pub async fn wait(&self, wait: &Wait) -> Outcome {
        if self.check {
            let said = "what a task timeouts for may be made by what a check does not do";
            return Outcome::not_looked_at(Vars::from_iter([("msg".to_owned(), said.into())]));
        }
        let line = match wait.command() {
            Ok(line) => line,
            Err(error) => return unquotable(error),
        };
        let limit = Duration::from_secs(wait.timeout.saturating_add(30));
        match self.send(line, Vec::new(), Some(limit)).await {
            Ok((Exit::Code(0), _)) => Outcome::done(false, Vars::new()),
            Ok((Exit::Code(wait::TIMED_OUT), _)) => {
                Outcome::failed(format!("timed out after {} s waiting for {}", wait.timeout, wait.what()))
            }
            Ok((_, kept)) => Outcome::failed(reason(&kept.stderr)),
            Err(outcome) => outcome,
        }
    }
}

/// What the script that looks whether a command need not run exits with: what the command creates is there.
const THERE: u32 = 10;
/// Likewise: what the command removes is not there.
const NOT_THERE: u32 = 11;

/// Returns the script that looks whether a command need not run.
fn guard(command: &CommandLine) -> Result<String, QuoteError> {
    // A path that is there is meant as it is written, whatever else it could match.
    let mut script = "there() { [ -e \"$1\" ] || [ -L \"$1\" ]; }\n\
        any() { there \"$1\" && return; IFS=; for f in $1; do there \"$f\" && return; done; return 1; }\n"
        .to_owned();
    script.push_str(&chdir(command)?);
    if let Some(path) = &command.creates {
        script.push_str(&format!("p={}\nif any \"$p\"; then exit {THERE}; fi\n", expanded(path)?));
    }
    if let Some(path) = &command.removes {
        script.push_str(&format!("p={}\nany \"$p\" || exit {NOT_THERE}\n", expanded(path)?));
    }
    Ok(script + "exit 0\n")
}

fn chdir(command: &CommandLine) -> Result<String, QuoteError> {
    match &command.chdir {
        Some(folder) => Ok(format!("cd -- {} || exit 1\n", expanded(folder)?)),
        None => Ok(String::new()),
    }
}

/// Gives a script to sh, whatever the login shell is.
fn in_sh(script: &str) -> Result<String, QuoteError> {
    Ok(format!("exec sh -c {}", shlex::try_quote(script)?))
}

/// Says how a command ended that printed this.
pub fn ended(exit: &Exit, mut vars: Vars) -> Outcome {
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

/// Returns the last thing that was said on stderr, or that nothing was.
fn reason(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let last = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
    last.unwrap_or("it failed and did not say why").to_owned()
}
