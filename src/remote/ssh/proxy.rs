//! A `ProxyCommand`: a command on this machine whose stdin and stdout carry the bytes of a connection.
//!
//! The end of the stream is an error that says how the command ended. The command is killed with the connection. Its
//! stderr never blocks it, and the last bytes of it are kept.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::pin::Pin;
use std::process::ExitStatus;
use std::process::Stdio;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use futures_util::future::BoxFuture;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process_group;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::process::Child;
use tokio::process::ChildStderr;
use tokio::process::ChildStdin;
use tokio::process::ChildStdout;
use tokio::process::Command;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::sync::DropGuard;

use super::failure::ErrorContext;
use super::tail::Tail;
use crate::core::model::Failure;
use crate::core::model::Phase;
use crate::core::sanitize;
use crate::core::secrets::SECRET_VARIABLES;

/// How long a command may take to end after it has closed its stdout.
const END_LIMIT: Duration = Duration::from_secs(1);

/// How long to wait for the end of stderr after the command has ended: a process that it started may hold it open.
const STDERR_LIMIT: Duration = Duration::from_millis(100);

/// How a proxy command ended. It is the inner error of the [`io::Error`] with which reads and writes fail from then on.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(super) struct ProxyEnded(String);

/// Starts a proxy command with `/bin/sh`.
pub(super) fn start(host: &str, line: &str) -> Result<ProxyStream, Failure> {
    let at = ErrorContext { host, phase: Phase::Connect };
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(format!("exec {line}")).process_group(0).kill_on_drop(true);
    for name in SECRET_VARIABLES {
        command.env_remove(name);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| at.local(format!("cannot start the proxy command: {error}")))?;
    let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(at.local("the proxy command has no stdin, stdout or stderr"));
    };
    tracing::debug!(host, "proxy command started");
    let (sender, receiver) = oneshot::channel();
    let closed = CancellationToken::new();
    tokio::spawn(supervise(Process(child), stderr, closed.clone(), sender));
    let end = async move {
        let end = tokio::time::timeout(END_LIMIT, receiver).await;
        let closed_stdout = || ProxyEnded("the proxy command closed its stdout".to_owned());
        end.ok().and_then(Result::ok).unwrap_or_else(closed_stdout)
    };
    let pipe = tokio::io::join(stdout, stdin);
    Ok(ProxyStream { pipe, end: Box::pin(end), ended: None, _closed: closed.drop_guard() })
}

/// The process of a proxy command. Dropping it kills the process group of the command.
struct Process(Child);

impl Process {
    fn kill(&self) {
        // A process that was waited for has no id any more.
        let pid = self.0.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        if let Some(pid) = pid {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits for the end of a command and reports it, or kills the command once its connection is closed.
async fn supervise(
    mut process: Process,
    mut stderr: ChildStderr,
    closed: CancellationToken,
    sender: oneshot::Sender<ProxyEnded>,
) {
    let mut tail = Tail::default();
    let ended = tokio::select! {
        status = process.0.wait() => Some(status),
        () = async {
            drain(&mut stderr, &mut tail).await;
            std::future::pending::<()>().await;
        } => None,
        () = closed.cancelled() => None,
    };
    let Some(status) = ended else {
        process.kill();
        let _ = process.0.wait().await;
        return;
    };
    let _ = tokio::time::timeout(STDERR_LIMIT, drain(&mut stderr, &mut tail)).await;
    let _ = sender.send(ProxyEnded(describe(status.ok(), tail.bytes())));
}

/// Reads until the end of the stream and keeps its last bytes.
async fn drain(stderr: &mut ChildStderr, tail: &mut Tail) {
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
        tail.add(buffer.get(..count).unwrap_or_default());
    }
}

fn describe(status: Option<ExitStatus>, stderr: &[u8]) -> String {
    let end = match status.map(|status| (status.code(), status.signal())) {
        Some((Some(code), _)) => format!("the proxy command ended with exit status {code}"),
        Some((None, Some(signal))) => format!("the proxy command was killed by signal {signal}"),
        _ => "the proxy command ended".to_owned(),
    };
    let last = stderr.rsplit(|byte| *byte == b'\n').map(sanitize::printable).find(|line| !line.is_empty());
    last.map_or_else(|| end.clone(), |last| format!("{end}: {last}"))
}

/// The stdin and stdout of a proxy command as one stream. The command ends with it.
pub(super) struct ProxyStream {
    pipe: tokio::io::Join<ChildStdout, ChildStdin>,
    /// Waits for the end of the command, for a while.
    end: BoxFuture<'static, ProxyEnded>,
    /// Set once the command has ended.
    ended: Option<ProxyEnded>,
    _closed: DropGuard,
}

impl ProxyStream {
    /// Waits until the end of the command is known.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let ended = match &self.ended {
            Some(ended) => ended.clone(),
            None => self.ended.insert(ready!(self.end.as_mut().poll(context))).clone(),
        };
        Poll::Ready(io::Error::new(io::ErrorKind::ConnectionReset, ended))
    }
}

impl AsyncRead for ProxyStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ended.is_none() {
            let before = buffer.filled().len();
            let read = ready!(Pin::new(&mut self.pipe).poll_read(context, buffer));
            if read.is_ok() && (buffer.filled().len() > before || buffer.remaining() == 0) {
                return Poll::Ready(Ok(()));
            }
        }
        self.poll_end(context).map(Err)
    }
}

impl AsyncWrite for ProxyStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match ready!(Pin::new(&mut self.pipe).poll_write(context, bytes)) {
            Ok(count) => Poll::Ready(Ok(count)),
            Err(_) => self.poll_end(context).map(Err),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(context)
    }
}
