//! Runs one command in a channel of its own and passes its output on as it arrives.

use std::time::Duration;

use russh::ChannelMsg;
use russh::Sig;

use super::connection::Session;
use super::failure::ErrorContext;
use super::failure::hint;
use crate::core::model::Failure;
use crate::core::model::FailureKind;
use crate::core::model::Phase;
use crate::core::sanitize;
use crate::remote::Command;
use crate::remote::Exit;
use crate::remote::Sink;

/// How long a command that has exited may leave the channel open and silent: a process it started may hold its stdout.
const GRACE: Duration = Duration::from_millis(500);

/// Runs a command and returns its exit.
pub(super) async fn run(
    session: &mut Session,
    command: &Command,
    sink: &mut dyn Sink,
    host: &str,
    start: Duration,
) -> Result<Exit, Failure> {
    let at = ErrorContext { host, phase: Phase::Run };
    let line = if command.root { as_root(&command.line, at)? } else { command.line.clone() };
    let asked = session.write.exec(true, line).await;
    asked.map_err(|_| session.connection.lost(at, "the connection was closed"))?;
    at.within(start, accepted(session, at)).await?;
    let write = session.write.clone();
    let stdin = command.stdin.clone();
    let send = async {
        // A command need not read its stdin.
        if write.data_bytes(stdin).await.is_ok() {
            let _ = write.eof().await;
        }
    };
    let mut watch = Watch { sink, sudo: command.root.then(Vec::new), printed: false };
    let exchange = async {
        let read = read(session, &mut watch, at);
        tokio::pin!(send, read);
        tokio::select! {
            exit = &mut read => exit,
            () = &mut send => read.await,
        }
    };
    let exit = match command.limit {
        None => exchange.await?,
        Some(limit) => {
            if let Ok(exit) = tokio::time::timeout(limit, exchange).await {
                exit?
            } else {
                let _ = write.signal(Sig::TERM).await;
                return Err(Failure {
                    detail: format!("the command did not end within {limit:?}"),
                    ..at.silent(limit)
                });
            }
        }
    };
    watch.denied(&exit, host).map_or(Ok(exit), Err)
}

/// Waits until the host reports whether it starts the command.
async fn accepted(session: &mut Session, at: ErrorContext<'_>) -> Result<(), Failure> {
    loop {
        match session.wait().await {
            Some(ChannelMsg::Success) => return Ok(()),
            Some(ChannelMsg::Failure) => return Err(at.failure(FailureKind::Sick, "the host runs no commands")),
            Some(_) => {}
            None => return Err(session.connection.lost(at, "the host closed the channel")),
        }
    }
}

async fn read(session: &mut Session, watch: &mut Watch<'_>, at: ErrorContext<'_>) -> Result<Exit, Failure> {
    let mut exit = None;
    loop {
        let message = if exit.is_some() {
            // The server chooses the order of exit status, end of file and close.
            tokio::time::timeout(GRACE, session.wait()).await.unwrap_or(None)
        } else {
            session.wait().await
        };
        match message {
            Some(ChannelMsg::Data { data }) => watch.stdout(&data),
            Some(ChannelMsg::ExtendedData { data, .. }) => watch.stderr(&data),
            Some(ChannelMsg::ExitStatus { exit_status }) => exit = Some(Exit::Code(exit_status)),
            Some(ChannelMsg::ExitSignal { signal_name, .. }) => exit = Some(Exit::Signal(name(&signal_name))),
            Some(ChannelMsg::Close) | None => break,
            Some(_) => {}
        }
    }
    exit.ok_or_else(|| {
        session.connection.lost(at, "the host closed the channel and did not report how the command ended")
    })
}

/// Returns the name of a signal. The host may send a name of its own.
pub(super) fn name(signal: &Sig) -> String {
    match signal {
        Sig::Custom(name) => sanitize::printable(name.as_bytes()),
        known => format!("{known:?}"),
    }
}

fn as_root(line: &str, at: ErrorContext<'_>) -> Result<String, Failure> {
    let quoted = shlex::try_quote(line).map_err(|_| at.local("the command contains a NUL byte"))?;
    Ok(format!(r#"sh -c 'test "$(id -u)" = 0 && exec sh -c "$0"; exec sudo -n sh -c "$0"' {quoted}"#))
}

/// Passes output on and detects a `sudo` that refused.
struct Watch<'a> {
    sink: &'a mut dyn Sink,
    /// The first bytes of stderr, while sudo may have written them.
    sudo: Option<Vec<u8>>,
    printed: bool,
}

impl Watch<'_> {
    fn stdout(&mut self, data: &[u8]) {
        self.printed = true;
        self.sink.stdout(data);
    }

    fn stderr(&mut self, data: &[u8]) {
        if let Some(start) = self.sudo.as_mut().filter(|start| start.len() < 256) {
            start.extend_from_slice(data);
        }
        self.sink.stderr(data);
    }

    /// Returns the failure if sudo refused to run the command: sudo itself exits with 1 and prints the reason.
    fn denied(&self, exit: &Exit, host: &str) -> Option<Failure> {
        let said = self.sudo.as_ref().filter(|said| said.starts_with(b"sudo: ") && !self.printed)?;
        if *exit != Exit::Code(1) {
            return None;
        }
        let at = ErrorContext { host, phase: Phase::Shell };
        let failure =
            at.failure(FailureKind::Denied, format!("the host does not allow root: {}", sanitize::printable(said)));
        Some(hint(
            failure,
            "Log in as root, or allow the user to run `sudo` without a password (NOPASSWD in sudoers(5)).",
        ))
    }
}
