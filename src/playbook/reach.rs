//! Carrying out on a host what a task asks of the host itself: commands, files, waiting.

use std::time::Duration;

use serde_json::Value;

use super::action::CommandLine;
use super::file;
use super::file::File;
use super::outcome::Outcome;
use super::wait;
use super::wait::Wait;
use crate::inventory::Vars;
use crate::remote::Command;
use crate::remote::Exit;
use crate::remote::Remote;
use crate::remote::Sink;
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

/// Keeps what a command prints, up to a bound.
#[derive(Debug, Default)]
struct Kept {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    lost: bool,
}

impl Kept {
    fn keep(into: &mut Vec<u8>, bytes: &[u8]) -> bool {
        let room = KEPT.saturating_sub(into.len());
        into.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        bytes.len() > room
    }

    fn lines(text: &str) -> Value {
        text.lines().map(Value::from).collect()
    }

    fn into_vars(self) -> Vars {
        let mut vars = Vars::new();
        for (name, bytes) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            let text = String::from_utf8_lossy(bytes);
            let text = text.trim_end_matches(['\r', '\n']);
            vars.insert(name.to_owned(), text.into());
            vars.insert(format!("{name}_lines"), Self::lines(text));
        }
        if self.lost {
            vars.insert("msg".to_owned(), format!("only the first {} MiB of its output are kept", KEPT >> 20).into());
        }
        vars
    }
}

impl Sink for Kept {
    fn stdout(&mut self, bytes: &[u8]) {
        self.lost |= Self::keep(&mut self.stdout, bytes);
    }

    fn stderr(&mut self, bytes: &[u8]) {
        self.lost |= Self::keep(&mut self.stderr, bytes);
    }
}

fn unquotable(error: shlex::QuoteError) -> Outcome {
    Outcome::failed(format!("it cannot be given to a shell: {error}"))
}

impl Reach<'_> {
    async fn send(&self, line: String, stdin: Vec<u8>, limit: Option<Duration>) -> Result<(Exit, Kept), Outcome> {
        let command = Command { line, stdin, root: self.root, limit };
        let mut kept = Kept::default();
        let exit = self.remote.run(self.target, &command, &mut kept).await;
        exit.map(|exit| (exit, kept)).map_err(|failure| Outcome::of_failure(&failure))
    }

    /// Runs a command; a check only says that it was skipped, since nobody knows what it would do.
    pub async fn command(&self, command: &CommandLine) -> Outcome {
        match self.try_command(command).await {
            Ok(outcome) | Err(outcome) => outcome,
        }
    }

    async fn try_command(&self, command: &CommandLine) -> Result<Outcome, Outcome> {
        if let Some(path) = &command.creates {
            let path = shlex::try_quote(path).map_err(unquotable)?;
            let (exit, _) = self.send(format!("test -e {path}"), Vec::new(), Some(FILE_LIMIT)).await?;
            if exit == Exit::Code(0) {
                let said = format!("skipped, since {path} exists");
                let vars = Vars::from_iter([("stdout".to_owned(), said.into()), ("rc".to_owned(), 0.into())]);
                return Ok(Outcome::done(false, vars));
            }
        }
        if self.check {
            return Ok(Outcome::skipped());
        }
        let words = command.argv.iter().map(String::as_str);
        let mut line = shlex::try_join(words).map_err(unquotable)?;
        if let Some(folder) = &command.chdir {
            let folder = shlex::try_quote(folder).map_err(unquotable)?;
            line = format!("cd -- {folder} && {line}");
        }
        let (exit, kept) = self.send(line, Vec::new(), None).await?;
        let mut vars = kept.into_vars();
        vars.insert("cmd".to_owned(), command.argv.clone().into());
        let (code, why) = match exit {
            Exit::Code(code) => (Some(code), "non-zero return code".to_owned()),
            Exit::Signal(signal) => (None, format!("killed by signal {signal}")),
        };
        vars.insert("rc".to_owned(), code.into());
        if code == Some(0) {
            return Ok(Outcome::done(true, vars));
        }
        vars.insert("msg".to_owned(), why.clone().into());
        Ok(Outcome { changed: true, detail: vars, ..Outcome::failed(why) })
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
        let (verdict, dest) = said.split_once('\n').unwrap_or_default();
        let vars = Vars::from_iter([("dest".to_owned(), dest.trim_end_matches('\n').into())]);
        match (exit, verdict) {
            (Exit::Code(0), file::SAME) => Ok(Outcome::done(false, vars)),
            (Exit::Code(0), file::CHANGED) => Ok(Outcome::done(true, vars)),
            _ => Err(Outcome::failed(format!("{}: {}", file.dest, reason(&kept.stderr)))),
        }
    }

    /// Waits until something is so.
    pub async fn wait(&self, wait: &Wait) -> Outcome {
        if self.check {
            return Outcome::skipped();
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

/// Returns the last thing that was said on stderr, or that nothing was.
fn reason(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let last = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
    last.unwrap_or("it failed and did not say why").to_owned()
}
