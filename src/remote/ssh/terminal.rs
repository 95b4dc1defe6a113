//! An interactive session. The caller's terminal is raw while the session lasts and is restored on every path.

use std::io;
use std::io::IsTerminal as _;
use std::io::PipeWriter;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use russh::ChannelMsg;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::poll;
use rustix::io::Errno;
use rustix::termios::OptionalActions;
use rustix::termios::Termios;
use tokio::io::AsyncWriteExt as _;
use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::mpsc;

use super::command::name;
use super::connection::Session;
use super::failure::ErrorContext;
use super::failure::hint;
use crate::core::model::Failure;
use crate::core::model::FailureKind;
use crate::core::model::Phase;
use crate::remote::Exit;

/// A terminal in raw mode. Dropping it restores the mode.
struct Raw<F: AsFd> {
    terminal: F,
    before: Termios,
}

impl<F: AsFd> Raw<F> {
    fn new(terminal: F) -> rustix::io::Result<Self> {
        let before = rustix::termios::tcgetattr(&terminal)?;
        let mut raw = before.clone();
        raw.make_raw();
        rustix::termios::tcsetattr(&terminal, OptionalActions::Drain, &raw)?;
        Ok(Self { terminal, before })
    }
}

impl<F: AsFd> Drop for Raw<F> {
    fn drop(&mut self) {
        let _ = rustix::termios::tcsetattr(&self.terminal, OptionalActions::Drain, &self.before);
    }
}

/// Runs a command, or the login shell, with the stdin, stdout and stderr of this process.
pub(super) async fn interact(
    session: &mut Session,
    command: Option<&str>,
    kind: &str,
    host: &str,
    limit: Duration,
) -> Result<Exit, Failure> {
    let at = ErrorContext { host, phase: Phase::Shell };
    let stdin = std::io::stdin();
    // The stdout and stderr of a command stay separate and unchanged.
    let terminal = command.is_none() && stdin.is_terminal();
    at.within(limit, start(session, command, terminal.then_some(kind), at)).await?;
    let raw = if terminal { Some(Raw::new(&stdin).map_err(|error| at.local(error))?) } else { None };
    let exit = relay(session, ErrorContext { host, phase: Phase::Run }).await;
    drop(raw);
    exit
}

/// Lets the host of a session use the agent, before the command or the shell starts.
pub(super) async fn forward_agent(session: &mut Session, socket: PathBuf, at: ErrorContext<'_>) -> Result<(), Failure> {
    session.connection.agent.allow(socket);
    let lost = |session: &Session| session.connection.lost(at, "the connection was closed");
    if session.write.agent_forward(true).await.is_err() {
        return Err(lost(session));
    }
    loop {
        match session.wait().await {
            Some(ChannelMsg::Success) => return Ok(()),
            Some(ChannelMsg::Failure) => {
                let failure = at.failure(FailureKind::Sick, "the host takes no forwarded agent");
                return Err(hint(failure, "`AllowAgentForwarding yes` in its sshd_config(5) allows it."));
            }
            Some(_) => {}
            None => return Err(lost(session)),
        }
    }
}

async fn start(
    session: &mut Session,
    command: Option<&str>,
    kind: Option<&str>,
    at: ErrorContext<'_>,
) -> Result<(), Failure> {
    let lost = |session: &Session| session.connection.lost(at, "the connection was closed");
    let mut answers = 1;
    if let Some(kind) = kind {
        let (columns, rows) = size();
        let asked = session.write.request_pty(true, kind, columns, rows, 0, 0, &[]).await;
        asked.map_err(|_| lost(session))?;
        answers += 1;
    }
    let asked = match command {
        Some(command) => session.write.exec(true, command).await,
        None => session.write.request_shell(true).await,
    };
    asked.map_err(|_| lost(session))?;
    while answers > 0 {
        match session.wait().await {
            Some(ChannelMsg::Success) => answers -= 1,
            Some(ChannelMsg::Failure) => return Err(at.failure(FailureKind::Sick, "the host opens no terminal")),
            Some(_) => {}
            None => return Err(lost(session)),
        }
    }
    Ok(())
}

async fn relay(session: &mut Session, at: ErrorContext<'_>) -> Result<Exit, Failure> {
    let (write, (mut keys, _guard)) = (session.write.clone(), keys().map_err(|error| at.local(error))?);
    // A future of its own, so output is read even while the host accepts no input.
    let send = async {
        while let Some(bytes) = keys.recv().await {
            if write.data_bytes(bytes).await.is_err() {
                return;
            }
        }
        let _ = write.eof().await;
    };
    tokio::pin!(send);
    let mut typing = true;
    let mut resized = listen(SignalKind::window_change(), at)?;
    let mut ended = listen(SignalKind::terminate(), at)?;
    let mut hung_up = listen(SignalKind::hangup(), at)?;
    let (mut out, mut err) = (tokio::io::stdout(), tokio::io::stderr());
    let mut exit = None;
    loop {
        tokio::select! {
            message = session.wait() => match message {
                Some(ChannelMsg::Data { data }) => {
                    // The reader of the output has closed it.
                    if !put(&mut out, &data, at).await? {
                        return Ok(Exit::Code(0));
                    }
                }
                Some(ChannelMsg::ExtendedData { data, .. }) => {
                    put(&mut err, &data, at).await?;
                }
                Some(ChannelMsg::ExitStatus { exit_status }) => exit = Some(Exit::Code(exit_status)),
                Some(ChannelMsg::ExitSignal { signal_name, .. }) => exit = Some(Exit::Signal(name(&signal_name))),
                Some(ChannelMsg::Close) | None => break,
                Some(_) => {}
            },
            () = &mut send, if typing => typing = false,
            _ = resized.recv() => {
                let (columns, rows) = size();
                let _ = write.window_change(columns, rows, 0, 0).await;
            }
            _ = ended.recv() => return Ok(Exit::Signal("TERM".to_owned())),
            _ = hung_up.recv() => return Ok(Exit::Signal("HUP".to_owned())),
        }
    }
    exit.ok_or_else(|| session.connection.lost(at, "the host closed the channel"))
}

/// Writes bytes and reports whether the reader still accepts them.
async fn put<W: tokio::io::AsyncWrite + Unpin>(
    to: &mut W,
    bytes: &[u8],
    at: ErrorContext<'_>,
) -> Result<bool, Failure> {
    let wrote = async {
        to.write_all(bytes).await?;
        to.flush().await
    };
    match wrote.await {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(at.local(error)),
    }
}

fn listen(kind: SignalKind, at: ErrorContext<'_>) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| at.local(error))
}

/// Reads stdin in a thread of its own, because a read from a terminal cannot be cancelled and the runtime would wait for it. The
/// thread ends when the other value is dropped, so that it takes nothing that is typed after the session.
fn keys() -> io::Result<(mpsc::Receiver<Vec<u8>>, PipeWriter)> {
    let (ended, guard) = io::pipe()?;
    let (sender, receiver) = mpsc::channel(4);
    std::thread::spawn(move || {
        let (stdin, mut buffer) = (io::stdin(), [0; 4096]);
        loop {
            let mut sources = [PollFd::new(&ended, PollFlags::IN), PollFd::new(&stdin, PollFlags::IN)];
            match poll(&mut sources, None) {
                Err(Errno::INTR) => continue,
                Err(_) => return,
                Ok(_) => {}
            }
            if !sources.first().is_some_and(|ended| ended.revents().is_empty()) {
                return;
            }
            match rustix::io::read(&stdin, &mut buffer) {
                Err(Errno::INTR | Errno::AGAIN) => {}
                Ok(0) | Err(_) => return,
                Ok(count) => {
                    let bytes = buffer.get(..count).unwrap_or_default().to_vec();
                    if sender.blocking_send(bytes).is_err() {
                        return;
                    }
                }
            }
        }
    });
    Ok((receiver, guard))
}

/// Returns the columns and rows of the terminal.
fn size() -> (u32, u32) {
    let size = rustix::termios::tcgetwinsize(std::io::stdin());
    size.map_or((80, 24), |size| (u32::from(size.ws_col), u32::from(size.ws_row)))
}
