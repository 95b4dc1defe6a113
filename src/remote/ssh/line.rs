//! The bytes between us and a host, whatever carries them, with two things that SSH itself does not give: a look at the
//! first of them, which tell a throttled sshd from something that is no sshd, and a way to cut the line at once.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio_util::sync::CancellationToken;
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::core::model::Phase;
use crate::remote::progress::Listeners;

/// How much of what a host says first is kept.
const HEARD: usize = 512;

/// Anything that carries bytes both ways.
pub(super) trait Carrier: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Carrier for T {}

/// The first bytes that came from a host, and how often bytes came.
#[derive(Debug, Clone, Default)]
pub(super) struct Heard(Arc<Received>);

#[derive(Debug, Default)]
struct Received {
    first: Mutex<Vec<u8>>,
    reads: AtomicU64,
}

impl Heard {
    /// Takes bytes that have come, and reports whether an SSH server has said its name with them.
    fn note(&self, bytes: &[u8]) -> bool {
        self.0.reads.fetch_add(1, Ordering::Relaxed);
        let mut first = self.0.first.lock().unwrap_or_else(PoisonError::into_inner);
        let room = HEARD.saturating_sub(first.len());
        if room == 0 {
            return false;
        }
        let before = is_ssh(&first);
        first.extend(bytes.iter().take(room));
        !before && is_ssh(&first)
    }

    /// Returns the first bytes.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.first.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns how often bytes have come: a count that grows with each sign of life.
    pub(super) fn reads(&self) -> u64 {
        self.0.reads.load(Ordering::Relaxed)
    }

    /// Reports whether an SSH server has said its name.
    pub(super) fn is_ssh(&self) -> bool {
        is_ssh(&self.bytes())
    }

    /// Says whether the host has said more than its name: the key exchange has begun.
    pub(super) fn past_greeting(&self) -> bool {
        let bytes = self.bytes();
        let mut lines = bytes.split_inclusive(|byte| *byte == b'\n').skip_while(|line| !line.starts_with(b"SSH-"));
        lines.next();
        lines.next().is_some()
    }
}

/// Reports whether an SSH server has said its name in these bytes.
fn is_ssh(bytes: &[u8]) -> bool {
    bytes.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"SSH-"))
}

/// A line to a host.
pub(super) struct Line {
    carrier: Box<dyn Carrier>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    heard: Heard,
    /// The visits that are told when sshd greets.
    listeners: Arc<Listeners>,
    /// What was read before anybody asked for it.
    early: Vec<u8>,
}

impl Line {
    /// Wraps what carries the bytes. The line is dead as soon as `cut` is cancelled.
    pub(super) fn new(carrier: Box<dyn Carrier>, cut: CancellationToken, listeners: Arc<Listeners>) -> Self {
        let cut = Box::pin(cut.cancelled_owned());
        Self { carrier, cut, heard: Heard::default(), listeners, early: Vec::new() }
    }

    /// Returns what the host says first, also what it will have said later.
    pub(super) fn heard(&self) -> Heard {
        self.heard.clone()
    }

    /// Waits until the host has said something, or has hung up.
    pub(super) async fn listen(&mut self) -> io::Result<()> {
        let mut bytes = [0; HEARD];
        let count = self.carrier.read(&mut bytes).await?;
        self.early = bytes.get(..count).unwrap_or_default().to_vec();
        self.note(&self.early);
        Ok(())
    }

    fn note(&self, bytes: &[u8]) {
        if !bytes.is_empty() && self.heard.note(bytes) {
            self.listeners.report(Phase::KeyExchange);
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.cut.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if !self.early.is_empty() {
            let count = self.early.len().min(buffer.remaining());
            let early: Vec<u8> = self.early.drain(..count).collect();
            buffer.put_slice(&early);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.carrier).poll_read(context, buffer))?;
        self.note(buffer.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.cut.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.carrier).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.carrier).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.carrier).poll_shutdown(context)
    }
}
