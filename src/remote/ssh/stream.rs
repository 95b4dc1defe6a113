//! The stream of bytes to a host over any carrier. It keeps the first bytes, which tell a throttled sshd from another
//! server, counts reads, and can be cut at once.

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

/// How many of the first bytes of a host are kept.
const BANNER_LIMIT: usize = 512;

/// A carrier of bytes in both directions.
pub(super) trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// The first bytes that arrived from a host, and how often bytes arrived.
#[derive(Debug, Clone, Default)]
pub(super) struct Banner(Arc<Received>);

#[derive(Debug, Default)]
struct Received {
    first: Mutex<Vec<u8>>,
    reads: AtomicU64,
}

impl Banner {
    /// Takes bytes that have arrived, and reports whether they complete the start of an SSH greeting.
    fn record(&self, bytes: &[u8]) -> bool {
        self.0.reads.fetch_add(1, Ordering::Relaxed);
        let mut first = self.0.first.lock().unwrap_or_else(PoisonError::into_inner);
        let room = BANNER_LIMIT.saturating_sub(first.len());
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

    /// Returns how often bytes have arrived. The count grows with each sign of life.
    pub(super) fn reads(&self) -> u64 {
        self.0.reads.load(Ordering::Relaxed)
    }

    /// Reports whether an SSH server has greeted.
    pub(super) fn is_ssh(&self) -> bool {
        is_ssh(&self.bytes())
    }

    /// Reports whether more than the greeting has arrived: the key exchange has begun.
    pub(super) fn past_greeting(&self) -> bool {
        let bytes = self.bytes();
        let mut lines = bytes.split_inclusive(|byte| *byte == b'\n').skip_while(|line| !line.starts_with(b"SSH-"));
        lines.next();
        lines.next().is_some()
    }
}

/// Reports whether these bytes hold the greeting of an SSH server.
fn is_ssh(bytes: &[u8]) -> bool {
    bytes.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"SSH-"))
}

/// A stream to a host whose bytes are observed.
pub(super) struct TappedStream {
    stream: Box<dyn ByteStream>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    banner: Banner,
    /// The visits to which the greeting of sshd is reported.
    listeners: Arc<Listeners>,
    /// Bytes that were read before the SSH library asked for them.
    early: Vec<u8>,
}

impl TappedStream {
    /// Wraps a carrier. The stream fails as soon as `cut` is cancelled.
    pub(super) fn new(stream: Box<dyn ByteStream>, cut: CancellationToken, listeners: Arc<Listeners>) -> Self {
        let cut = Box::pin(cut.cancelled_owned());
        Self { stream, cut, banner: Banner::default(), listeners, early: Vec::new() }
    }

    /// Returns the record of the first bytes, which later bytes extend.
    pub(super) fn banner(&self) -> Banner {
        self.banner.clone()
    }

    /// Waits until the host has sent something or has closed the stream.
    pub(super) async fn listen(&mut self) -> io::Result<()> {
        let mut bytes = [0; BANNER_LIMIT];
        let count = self.stream.read(&mut bytes).await?;
        self.early = bytes.get(..count).unwrap_or_default().to_vec();
        self.record(&self.early);
        Ok(())
    }

    fn record(&self, bytes: &[u8]) {
        if !bytes.is_empty() && self.banner.record(bytes) {
            self.listeners.report(Phase::KeyExchange);
        }
    }
}

impl AsyncRead for TappedStream {
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
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.record(buffer.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TappedStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.cut.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
