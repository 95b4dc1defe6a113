//! One kept connection: made, used for channels, given up. It ends when its last owner drops it.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use russh::Channel;
use russh::ChannelMsg;
use russh::ChannelOpenFailure;
use russh::ChannelReadHalf;
use russh::ChannelWriteHalf;
use russh::Disconnect;
use russh::Preferred;
use russh::client;
use russh::client::Handle;
use russh::client::Msg;
use russh::keys::Algorithm;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::sync::DropGuard;

use super::agent_forwarding::ForwardedAgent;
use super::auth;
use super::destination::Destination;
use super::destination::Via;
use super::failure::ErrorContext;
use super::handshake::Carrier;
use super::handshake::handshake_failure;
use super::host_key::Client;
use super::host_key::CloseReason;
use super::host_key::KeyCheck;
use super::host_key::SessionError;
use super::host_key::SharedCloseReason;
use super::options::Options;
use super::stream::Banner;
use super::stream::ByteStream;
use super::stream::TappedStream;
use crate::core::model::Failure;
use crate::core::model::FailureKind;
use crate::core::model::Phase;
use crate::remote::progress::Listeners;

/// Session channels at once on one connection; sshd(8) allows ten (`MaxSessions`), and others may share the account.
const SESSIONS: usize = 8;

/// The pauses before a host that opens no session is asked again.
const PAUSES: [Duration; 6] = {
    let ms = Duration::from_millis;
    [ms(50), ms(100), ms(200), ms(400), ms(800), ms(1600)]
};

/// How long a host may take to close a channel before its session counts as free.
const CLOSING: Duration = Duration::from_secs(5);

/// How long a handshake that waits for its host keeps its permit.
const PERMIT_LIMIT: Duration = Duration::from_secs(1);

/// How long muster waits for the host's greeting before it greets first.
const GREETING: Duration = Duration::from_secs(2);

/// A connection on which muster is logged in.
pub(super) struct Connection {
    handle: Handle<Client>,
    over: CancellationToken,
    close_reason: SharedCloseReason,
    banner: Banner,
    sessions: Arc<Semaphore>,
    retired: AtomicBool,
    /// The agent that the host may use, if it may use one.
    pub(super) agent: Arc<ForwardedAgent>,
    /// Sessions that are closed if the host opens no more.
    spare: Weak<dyn SpareSessions>,
    /// Cuts the stream when the connection is dropped, even if the library's task is waiting.
    _cut: DropGuard,
    /// The connection to the jump host, which carries this one.
    _carried_by: Option<Arc<Self>>,
}

/// Sessions that wait, and without which the connection does as well.
pub(super) trait SpareSessions: Send + Sync {
    /// Closes them.
    fn close(&self);
}

/// The parameters of a handshake besides the stream.
pub(super) struct Handshake<'a> {
    pub(super) host: &'a str,
    pub(super) destination: &'a Destination,
    pub(super) options: &'a Options,
    pub(super) check: KeyCheck,
    /// Bounds the handshakes at once: they cost CPU here, and a jump host drops too many.
    pub(super) permits: &'a Semaphore,
    pub(super) carried_by: Option<Arc<Connection>>,
    /// The visits that receive the progress of the handshake.
    pub(super) listeners: &'a Arc<Listeners>,
    pub(super) spare: Weak<dyn SpareSessions>,
}

/// Returns the carrier of a connection to a destination, as it is now.
fn carrier(destination: &Destination, jump: Option<&Connection>) -> Carrier {
    match jump {
        Some(jump) if jump.is_over() => Carrier::EndedJump(jump.close_reason().map(|reason| reason.text.clone())),
        Some(_) => Carrier::Jump,
        None if matches!(destination.via, Via::Command(_)) => Carrier::Command,
        None => Carrier::Tcp,
    }
}

impl Connection {
    /// Does the handshake over a stream that was just opened, and logs in.
    pub(super) async fn open(stream: Box<dyn ByteStream>, handshake: Handshake<'_>) -> Result<Self, Failure> {
        let Handshake { host, destination, options, check, permits, carried_by, listeners, spare } = handshake;
        let at = ErrorContext { host, phase: Phase::KeyExchange };
        let limit = options.deadlines.key_exchange;
        let (cut, over) = (CancellationToken::new(), CancellationToken::new());
        let guard = cut.clone().drop_guard();
        let mut stream = TappedStream::new(stream, cut, listeners.clone());
        let banner = stream.banner();
        let close_reason = SharedCloseReason::default();
        let config = Arc::new(config(destination, options, &check));
        let agent = Arc::<ForwardedAgent>::default();
        let (reason, forwarded) = (close_reason.clone(), agent.clone());
        let client = Client { check, close_reason: reason, agent: forwarded, _over: over.clone().drop_guard() };

        // Only a host that has greeted takes a permit: a silent one needs no CPU.
        let began = Instant::now();
        let failed = |error: &SessionError| {
            let carrier = carrier(destination, carried_by.as_deref());
            handshake_failure(error, &banner, &close_reason, &carrier, at)
        };
        let greeted = match tokio::time::timeout(GREETING.min(limit / 2), stream.listen()).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => return Err(failed(&SessionError::Ssh(error.into()))),
            Err(_) => false,
        };
        // The time until the greeting counts against the host; the time until the permit does not.
        let left = limit.saturating_sub(began.elapsed());
        let permit = if greeted { permits.acquire().await.ok() } else { None };
        let shake = async {
            let shake = client::connect_stream(config, stream, client);
            tokio::pin!(shake);
            tokio::select! {
                done = &mut shake => return done,
                () = tokio::time::sleep(PERMIT_LIMIT) => drop(permit),
            }
            shake.await
        };
        let shaken = tokio::time::timeout(left, shake).await.map_err(|_| at.silent(limit))?;
        let mut handle = shaken.map_err(|error| failed(&error))?;
        tracing::debug!(host, elapsed = ?began.elapsed(), "key exchange done");
        listeners.report(Phase::Authenticate);

        let (at, began) = (ErrorContext { host, phase: Phase::Authenticate }, Instant::now());
        at.within(options.deadlines.authenticate, auth::authenticate(&mut handle, destination, &close_reason, at))
            .await?;
        tracing::debug!(host, elapsed = ?began.elapsed(), "logged in");
        listeners.report(Phase::Shell);
        Ok(Self {
            handle,
            over,
            close_reason,
            banner,
            sessions: Arc::new(Semaphore::new(SESSIONS)),
            retired: AtomicBool::new(false),
            agent,
            spare,
            _cut: guard,
            _carried_by: carried_by,
        })
    }

    /// Reports whether another channel can be opened.
    pub(super) fn is_usable(&self) -> bool {
        !self.retired.load(Ordering::Relaxed) && !self.is_over()
    }

    /// Reports whether the connection has ended.
    pub(super) fn is_over(&self) -> bool {
        self.over.is_cancelled() || self.handle.is_closed()
    }

    /// Returns why the connection has ended, if that is known.
    pub(super) fn close_reason(&self) -> Option<&CloseReason> {
        self.close_reason.get()
    }

    /// Prevents further use of the connection. Channels that are open may go on.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }

    /// Makes a failure of a channel that has ended. `otherwise` is the detail if the connection itself has not ended.
    pub(super) fn lost(&self, at: ErrorContext<'_>, otherwise: &str) -> Failure {
        match self.close_reason.get() {
            Some(reason) => at.failure(reason.kind, &reason.text),
            None if self.over.is_cancelled() => at.failure(FailureKind::Reset, "the connection was closed"),
            None => at.failure(FailureKind::Reset, otherwise),
        }
    }

    /// Opens a session channel once one is free.
    pub(super) async fn session(self: &Arc<Self>, at: ErrorContext<'_>, limit: Duration) -> Result<Session, Failure> {
        let closed = || self.lost(at, "the connection was closed");
        let permit = self.sessions.clone().acquire_owned().await.map_err(|_| closed())?;
        let (read, write) = at.within(limit, self.open_session(at)).await?.split();
        let (read, permit) = (Some(read), Some(permit));
        Ok(Session { read, write: Arc::new(write), connection: self.clone(), permit })
    }

    async fn open_session(&self, at: ErrorContext<'_>) -> Result<Channel<Msg>, Failure> {
        let mut pauses = PAUSES.iter();
        loop {
            match self.handle.channel_open_session().await {
                Ok(channel) => return Ok(channel),
                // A command that was given up counts as a session on the host until it ends.
                Err(russh::Error::ChannelOpenFailure(_)) => match pauses.next() {
                    Some(pause) => {
                        if let Some(spare) = self.spare.upgrade() {
                            spare.close();
                        }
                        tokio::time::sleep(*pause).await;
                    }
                    None => return Err(at.failure(FailureKind::Sick, "the host opens no session")),
                },
                Err(_) => return Err(self.lost(at, "the connection was closed")),
            }
        }
    }

    /// Opens a stream from this host to another.
    pub(super) async fn tunnel(&self, host: &str, port: u16) -> Result<Box<dyn ByteStream>, TunnelError> {
        let opened = self.handle.channel_open_direct_tcpip(host, u32::from(port), "127.0.0.1", 0).await;
        match opened {
            Ok(channel) => Ok(Box::new(channel.into_stream())),
            Err(russh::Error::ChannelOpenFailure(ChannelOpenFailure::ConnectFailed)) => Err(TunnelError::ConnectFailed),
            Err(russh::Error::ChannelOpenFailure(_)) => Err(TunnelError::Forbidden),
            Err(_) => Err(TunnelError::Lost),
        }
    }

    /// Asks the host for a sign of life, waits without limit, and reports whether it came.
    pub(super) async fn ping(&self) -> bool {
        let sent = self.handle.send_ping().await;
        // The library returns without an error when the session has ended meanwhile, too.
        sent.is_ok() && !self.is_over()
    }

    /// Asks the host for a sign of life and waits for it without limit.
    pub(super) async fn answers(&self, at: ErrorContext<'_>) -> Result<(), Failure> {
        if self.ping().await { Ok(()) } else { Err(self.lost(at, "the connection was closed")) }
    }

    /// Returns how often bytes have arrived from the host. The count grows with each sign of life.
    pub(super) fn reads(&self) -> u64 {
        self.banner.reads()
    }

    /// Disconnects and waits without limit for the end of the session.
    pub(super) async fn disconnect(&self) {
        self.retire();
        if self.handle.disconnect(Disconnect::ByApplication, "", "").await.is_ok() {
            self.over.cancelled().await;
        }
    }
}

/// Why a host opened no stream to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TunnelError {
    /// The host tried and could not connect.
    ConnectFailed,
    /// The host does not forward connections (`AllowTcpForwarding no`).
    Forbidden,
    /// The connection to the host ended.
    Lost,
}

/// A session channel. It is closed when it is dropped.
pub(super) struct Session {
    read: Option<ChannelReadHalf>,
    pub(super) write: Arc<ChannelWriteHalf<Msg>>,
    pub(super) connection: Arc<Connection>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Session {
    /// Waits for the next message from the host; `None` when the channel is closed.
    pub(super) async fn wait(&mut self) -> Option<ChannelMsg> {
        self.read.as_mut()?.wait().await
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let (write, connection) = (self.write.clone(), self.connection.clone());
        let (read, permit) = (self.read.take(), self.permit.take());
        // The library leaves a dropped channel open. Without a runtime there is no connection left either.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let closed = async {
                    let _ = write.close().await;
                    // The permit is kept until the host has closed the channel.
                    if let Some(mut read) = read {
                        while read.wait().await.is_some() {}
                    }
                };
                let _ = tokio::time::timeout(CLOSING, closed).await;
                drop((permit, connection));
            });
        }
    }
}

fn config(destination: &Destination, options: &Options, check: &KeyCheck) -> client::Config {
    let asked = destination.config.alive_interval;
    client::Config {
        // An unread channel holds at most this much, on each of a thousand hosts.
        window_size: 256 << 10,
        channel_buffer_size: 16,
        preferred: preferred(check),
        keepalive_interval: Some(if asked.is_zero() { options.alive_interval } else { asked }),
        keepalive_max: usize::try_from(destination.config.alive_count.max(1)).unwrap_or(3),
        nodelay: true,
        ..client::Config::default()
    }
}

/// Prefers the algorithms of the known keys. Otherwise each host of which only the RSA key is known would seem to have
/// changed its key.
fn preferred(check: &KeyCheck) -> Preferred {
    let usual = Preferred::default();
    // SHA-1 signatures are forgeable.
    let (weak, mut all): (Vec<_>, Vec<_>) =
        usual.key.iter().cloned().partition(|algorithm| matches!(algorithm, Algorithm::Rsa { hash: None }));
    drop(weak);
    let known = check.known.algorithms(&check.host);
    // An RSA key is the same key with each of its hashes.
    let rsa = |algorithm: &Algorithm| matches!(algorithm, Algorithm::Rsa { .. });
    let is_known =
        |algorithm: &Algorithm| known.iter().any(|known| known == algorithm || (rsa(known) && rsa(algorithm)));
    all.sort_by_key(|algorithm| !is_known(algorithm));
    let certificates = if check.known.has_authority(&check.host) { all.clone() } else { Vec::new() };
    Preferred { key: Cow::Owned(all), host_key_certificates: Cow::Owned(certificates), ..usual }
}
