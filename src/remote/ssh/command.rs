//! One command in a channel of its own, its output passed on as it comes.

use std::time::Duration;

use russh::ChannelMsg;
use russh::Sig;

use super::connection::Session;
use super::failure::At;
use super::failure::hint;
use crate::core::model::Failure;
use crate::core::model::FailureKind;
use crate::core::model::Phase;
use crate::core::sanitize;
use crate::remote::Command;
use crate::remote::Exit;
use crate::remote::Sink;

/// How long a command that has exited may leave the channel open and silent: what it left behind may hold its stdout.
const GRACE: Duration = Duration::from_millis(500);

/// Runs a command to its end.
pub(super) async fn run(
    session: &mut Session,
    command: &Command,
    sink: &mut dyn Sink,
    host: &str,
    start: Duration,
) -> Result<Exit, Failure> {
    let at = At { host, phase: Phase::Run };
    let line = if command.root { as_root(&command.line, at)? } else { command.line.clone() };
    let asked = session.write.exec(true, line).await;
    asked.map_err(|_| session.connection.lost(at, "the connection was closed"))?;
    at.within(start, accepted(session, at)).await?;
    let write = session.write.clone();
    let stdin = command.stdin.clone();
    let send = async {
        // A command need not read what it is given.
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
                return Err(Failure { detail: format!("it did not end within {limit:?}"), ..at.silent(limit) });
            }
        }
    };
    watch.denied(&exit, host).map_or(Ok(exit), Err)
}

/// Waits until the host says whether it starts the command.
async fn accepted(session: &mut Session, at: At<'_>) -> Result<(), Failure> {
    loop {
        match session.wait().await {
            Some(ChannelMsg::Success) => return Ok(()),
            Some(ChannelMsg::Failure) => return Err(at.failure(FailureKind::Sick, "it runs no commands")),
            Some(_) => {}
            None => return Err(session.connection.lost(at, "the host closed the channel")),
        }
    }
}

async fn read(session: &mut Session, watch: &mut Watch<'_>, at: At<'_>) -> Result<Exit, Failure> {
    let mut exit = None;
    loop {
        let message = if exit.is_some() {
            // The order of exit status, end of file and close is the server's to choose.
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
    exit.ok_or_else(|| session.connection.lost(at, "the host closed the channel and did not say how the command ended"))
}

/// Returns a signal's name, which may be the host's own word.
pub(super) fn name(signal: &Sig) -> String {
    match signal {
        Sig::Custom(name) => sanitize::printable(name.as_bytes()),
        known => format!("{known:?}"),
    }
}

fn as_root(line: &str, at: At<'_>) -> Result<String, Failure> {
    let quoted = shlex::try_quote(line).map_err(|_| at.local("the command has a NUL byte in it"))?;
    Ok(format!(r#"sh -c 'test "$(id -u)" = 0 && exec sh -c "$0"; exec sudo -n sh -c "$0"' {quoted}"#))
}

/// Passes output on, and looks out for a `sudo` that would not.
struct Watch<'a> {
    sink: &'a mut dyn Sink,
    /// The first of stderr, while it may be sudo's.
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

    /// sudo itself exits with 1 and says why; the command was not run then.
    fn denied(&self, exit: &Exit, host: &str) -> Option<Failure> {
        let said = self.sudo.as_ref().filter(|said| said.starts_with(b"sudo: ") && !self.printed)?;
        if *exit != Exit::Code(1) {
            return None;
        }
        let at = At { host, phase: Phase::Shell };
        let failure =
            at.failure(FailureKind::Denied, format!("it does not let us be root: {}", sanitize::printable(said)));
        Some(hint(failure, "Log in as root, or let the user `sudo` without a password (NOPASSWD in sudoers(5))."))
    }
}
