//! A user shell: one `sh` per user of a host that stays open and runs the scripts of commands, one after the other.
//!
//! Each script runs in a subshell without stdin: nothing of it reaches the next one. A channel of its own costs a script
//! several processes of sshd and of the login shell. The output of a script is marked: see [`reply`].
//!
//! A program of the playbook may leave a process behind that prints later. After the program, the shell looks at each process
//! that is newer than the program, without starting one itself. If such a process has the channel open, the shell ends, and
//! the next script gets another one. A shell that cannot do that gives each program pipes of its own, which two `cat` empty.

mod reply;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use russh::ChannelMsg;
use russh::Sig;
use tokio::time::Instant;

use futures_util::FutureExt as _;

use super::command;
use super::connection::Connection;
use super::connection::Session;
use super::failure::ErrorContext;
use super::started::Started;
use crate::core::model::Failure;
use crate::core::model::FailureKind;
use crate::core::model::Phase;
use crate::remote::Command;
use crate::remote::Exit;
use crate::remote::RunAs;
use crate::remote::ScriptRunner;
use crate::remote::Sink;
use crate::remote::quote;
use reply::Reply;
use reply::STARTS;

/// What makes a user shell of a shell.
const SETUP: &str = include_str!("user_shell/setup.sh");

/// The exit status of a shell in which [`SETUP`] does not work.
const IMPOSSIBLE: u32 = 97;

/// A shell that has waited for longer is asked for a sign of life before it gets a script: the host may be gone.
const TRUSTED: Duration = Duration::from_secs(1);

/// A shell that runs scripts.
pub(super) struct UserShell {
    session: Session,
    /// The texts that the shell has as functions.
    texts: Vec<&'static str>,
    /// When the shell has last answered; `None` before its first script.
    answered: Option<Instant>,
    /// Set if the shell finds the processes that a program has left behind.
    finds_processes: bool,
}

/// How a script ended.
pub(super) enum Ran {
    /// The shell waits for another one.
    ShellWaits(Exit),
    /// The shell cannot be used any more.
    ShellEnded(Exit),
    /// The script did not run: the shell had ended.
    TooLate,
    /// The script did not run: a shell of this host cannot be a user shell.
    Impossible,
}

impl UserShell {
    /// Opens a channel and asks for the shell.
    pub(super) async fn open(
        connection: &Arc<Connection>,
        run_as: Option<&RunAs>,
        host: &str,
        limit: Duration,
    ) -> Result<Self, Failure> {
        let at = ErrorContext { host, phase: Phase::Run };
        let mut session = connection.session(at, limit).await?;
        let asked = session.write.exec(true, &*command::line(run_as)).await;
        asked.map_err(|_| connection.lost(at, "the connection was closed"))?;
        at.within(limit, command::accepted(&mut session, at)).await?;
        Ok(Self { session, texts: Vec::new(), answered: None, finds_processes: false })
    }

    /// Reports whether the connection may get further commands.
    pub(super) fn is_usable(&self) -> bool {
        self.session.connection.is_usable()
    }

    /// Reports whether the shell waits for a script: it has not ended, and no process prints.
    pub(super) fn is_idle(&mut self) -> bool {
        loop {
            match self.session.wait().now_or_never() {
                None => return self.is_usable(),
                Some(Some(ChannelMsg::WindowAdjusted { .. } | ChannelMsg::Success)) => {}
                Some(_) => return false,
            }
        }
    }

    /// Runs the script of a command.
    pub(super) async fn run(
        &mut self,
        command: &Command,
        sink: &mut dyn Sink,
        host: &str,
        start: Duration,
    ) -> Result<Ran, Failure> {
        let at = ErrorContext { host, phase: Phase::Run };
        if self.answered.is_some_and(|answered| answered.elapsed() > TRUSTED) {
            at.within(start, self.session.connection.answers(at)).await?;
        }
        let nonce = getrandom::u64().map_err(|error| at.local(format!("no randomness: {error}")))?;
        let mark = format!("@{nonce:016x}");
        let request = self.request(command, &mark, at)?;
        let write = self.session.write.clone();
        let mut reply = Reply::new(sink, &mark);
        let exchange = self.exchange(request, command.run_as.as_ref(), &mut reply, at);
        let exchanged = match command.limit {
            None => Ok(exchange.await),
            Some(limit) => tokio::time::timeout(limit, exchange).await.map_err(|_| limit),
        };
        let (is_over, has_started) = (reply.is_over(), reply.has_started());
        self.finds_processes = reply.finds_processes();
        let exit = reply.end();
        match exchanged {
            Err(limit) => {
                let _ = write.signal(Sig::TERM).await;
                Err(Failure { detail: format!("the command did not end within {limit:?}"), ..at.silent(limit) })
            }
            Ok(Err(failure)) => Err(failure),
            Ok(Ok(_)) if self.answered.is_some() && !has_started && self.is_usable() => Ok(Ran::TooLate),
            Ok(Ok(ended)) => match (exit, ended) {
                (Some(exit), None) if is_over => {
                    self.answered = Some(Instant::now());
                    Ok(Ran::ShellWaits(exit))
                }
                (None, Some(Exit::Code(IMPOSSIBLE))) => Ok(Ran::Impossible),
                (Some(exit), _) | (None, Some(exit)) => Ok(Ran::ShellEnded(exit)),
                (None, None) => Err(self.session.connection.lost(at, command::NO_EXIT)),
            },
        }
    }

    /// Returns the text for the shell that runs the script of a command.
    fn request(&mut self, command: &Command, mark: &str, at: ErrorContext<'_>) -> Result<Vec<u8>, Failure> {
        let mut text = String::new();
        let script = quote(&command.script).map_err(|_| at.local("the command contains a NUL byte"))?;
        let _ = writeln!(text, "echo {mark} {STARTS} $muster_finds");
        let mut body = format!("eval {script}");
        for part in command.texts.iter().filter(|part| !part.is_empty()) {
            let known = self.texts.iter().position(|known| std::ptr::eq(*known, *part));
            let number = known.unwrap_or_else(|| {
                self.texts.push(part);
                let _ = write!(text, "muster_text_{}() {{\n{part}\n}}\n", self.texts.len() - 1);
                self.texts.len() - 1
            });
            let _ = write!(body, "\nmuster_text_{number}");
        }
        let _ = match command.runner {
            ScriptRunner::UserShellForPrograms if self.finds_processes => write!(
                text,
                "muster_begin\n\
                 ( {body}\n) </dev/null >/proc/self/fd/1 2>/proc/self/fd/4 4>&- 5<&- 6<&- 7<&-\n\
                 muster_end_program $? {mark}\n"
            ),
            ScriptRunner::UserShellForPrograms => write!(
                text,
                "{{ cat <&5 4>&- 5<&- 6<&- 7<&- 8>&- 9>&- & cat <&6 >&4 4>&- 5<&- 6<&- 7<&- 8>&- 9>&- &\n\
                 ( {body}\n) </dev/null >&8 2>&9 4>&- 5<&- 6<&- 7<&- 8>&- 9>&-\n\
                 muster_exit=$?; }} 8>/proc/self/fd/5 9>/proc/self/fd/6 || exit\n\
                 muster_end_pipes $muster_exit {mark}\n"
            ),
            _ => write!(text, "( {body}\n) </dev/null 2>&4 4>&- 5<&- 6<&- 7<&-\nmuster_end $? {mark}\n"),
        };
        if self.answered.is_some() {
            return Ok(text.into_bytes());
        }
        let shell = Command { script: "exec sh".to_owned(), run_as: command.run_as.clone(), ..Command::default() };
        Ok([command::head(&shell, at)?, SETUP.as_bytes().to_vec(), text.into_bytes()].concat())
    }

    /// Sends a request and reads the reply. Returns the exit of the shell if it ended.
    async fn exchange(
        &mut self,
        request: Vec<u8>,
        run_as: Option<&RunAs>,
        reply: &mut Reply<'_>,
        at: ErrorContext<'_>,
    ) -> Result<Option<Exit>, Failure> {
        let mut output = if self.answered.is_some() { Started::passed(reply) } else { Started::new(reply) };
        let write = self.session.write.clone();
        let new = run_as.filter(|_| self.answered.is_none());
        let refused = command::become_user(&mut self.session, new, &mut output, at).await?;
        let ended = if refused.is_some() {
            refused
        } else {
            let (send, read) = (write.data_bytes(request), read(&mut self.session, &mut output, at));
            tokio::pin!(send, read);
            // Both at once: a shell that ends in the middle reads no more.
            tokio::select! {
                ended = &mut read => ended?,
                _ = &mut send => read.await?,
            }
        };
        if output.has_started() {
            // A script ends the shell by a signal only. Otherwise its exit is not known.
            let is_new = self.answered.is_none();
            return Ok(
                ended.filter(|exit| matches!(exit, Exit::Signal(_)) || (is_new && *exit == Exit::Code(IMPOSSIBLE)))
            );
        }
        match (ended, run_as) {
            (None, _) => Err(self.session.connection.lost(at, command::NO_EXIT)),
            (Some(exit), run_as) => command::refusal(output, run_as, at.host).map_or(Ok(Some(exit)), Err),
        }
    }
}

/// Reads until the reply is complete or the shell ends, and returns the exit of the shell if it ended.
async fn read(
    session: &mut Session,
    output: &mut Started<'_, Reply<'_>>,
    at: ErrorContext<'_>,
) -> Result<Option<Exit>, Failure> {
    let mut ended = None;
    while !output.sink().is_over() {
        let message = if ended.is_some() || output.sink().exit().is_some() {
            // A process that the script started may hold its stdout.
            tokio::time::timeout(command::GRACE, session.wait()).await.unwrap_or(None)
        } else {
            session.wait().await
        };
        match message {
            Some(ChannelMsg::Data { data }) => output.stdout(&data),
            Some(ChannelMsg::ExtendedData { data, .. }) => output.stderr(&data),
            Some(ChannelMsg::ExitStatus { exit_status }) => ended = Some(Exit::Code(exit_status)),
            Some(ChannelMsg::ExitSignal { signal_name, .. }) => ended = Some(Exit::Signal(command::name(&signal_name))),
            Some(ChannelMsg::Close) | None => break,
            Some(_) => {}
        }
        if output.is_too_noisy() {
            return Err(at.failure(FailureKind::Sick, "the login shell prints without end"));
        }
    }
    Ok(ended)
}
