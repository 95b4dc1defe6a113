//! One kept connection: made, used for channels, given up. It ends when the last who holds it lets go.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;
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

use super::auth;
use super::destination::Destination;
use super::destination::Via;
use super::failure::At;
use super::failure::hint;
use super::host_key::Broken;
use super::host_key::Client;
use super::host_key::KeyCheck;
use super::host_key::Why;
use super::line::Carrier;
use super::line::Heard;
use super::line::Line;
use super::options::Options;
use crate::core::model::Failure;
use crate::core::model::FailureKind;
use crate::core::model::Phase;
use crate::core::sanitize;
use crate::remote::progress::Listeners;

/// Session channels at once on one connection; sshd(8) allows ten (`MaxSessions`), and others may share the account.
const SESSIONS: usize = 8;

/// How long to wait before a host that opens no session is asked again.
const PAUSES: [Duration; 6] = {
    let ms = Duration::from_millis;
    [ms(50), ms(100), ms(200), ms(400), ms(800), ms(1600)]
};

/// How long a host may take to close a channel before its session is taken for free.
const CLOSING: Duration = Duration::from_secs(5);

/// How long a handshake that the host holds up keeps others waiting for their turn.
const TURN: Duration = Duration::from_secs(1);

/// How long a host may take to greet before it is tried whether it wants to be greeted first.
const GREETING: Duration = Duration::from_secs(2);

/// A connection on which we have proved who we are.
pub(super) struct Connection {
    handle: Handle<Client>,
    over: CancellationToken,
    why: Why,
    heard: Heard,
    sessions: Arc<Semaphore>,
    given_up: AtomicBool,
    /// Cuts the line when the connection is dropped, whatever the library's task is waiting for.
    _cut: DropGuard,
    /// The jump host's connection, which carries this one.
    _carried_by: Option<Arc<Self>>,
}

/// What a handshake needs besides the line.
pub(super) struct Terms<'a> {
    pub(super) host: &'a str,
    pub(super) destination: &'a Destination,
    pub(super) options: &'a Options,
    pub(super) check: KeyCheck,
    /// Where to queue for a turn: handshakes cost CPU here, and patience at a jump host.
    pub(super) turns: &'a Semaphore,
    pub(super) carried_by: Option<Arc<Connection>>,
    /// The visits that are told how far the handshake has come.
    pub(super) listeners: &'a Arc<Listeners>,
}

impl Connection {
    /// Shakes hands over a line that was just opened, and logs in.
    pub(super) async fn open(carrier: Box<dyn Carrier>, terms: Terms<'_>) -> Result<Self, Failure> {
        let Terms { host, destination, options, check, turns, carried_by, listeners } = terms;
        let at = At { host, phase: Phase::KeyExchange };
        let limit = options.deadlines.key_exchange;
        let (cut, over) = (CancellationToken::new(), CancellationToken::new());
        let guard = cut.clone().drop_guard();
        let mut line = Line::new(carrier, cut, listeners.clone());
        let heard = line.heard();
        let why = Why::default();
        let config = Arc::new(config(destination, options, &check));
        let client = Client { check, why: why.clone(), _over: over.clone().drop_guard() };

        // Only a host that has greeted takes a turn: a silent one has no need of the CPU.
        let began = Instant::now();
        let path = Path { is_command: matches!(destination.via, Via::Command(_)), jump: carried_by.as_deref() };
        let failed = |error: &Broken| refused(error, &heard, &why, &path, at);
        let greeted = match tokio::time::timeout(GREETING.min(limit / 2), line.listen()).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => return Err(failed(&Broken::Ssh(error.into()))),
            Err(_) => false,
        };
        // Waiting for a turn is not the host's fault; waiting for its greeting is.
        let left = limit.saturating_sub(began.elapsed());
        let turn = if greeted { turns.acquire().await.ok() } else { None };
        let shake = async {
            let shake = client::connect_stream(config, line, client);
            tokio::pin!(shake);
            tokio::select! {
                done = &mut shake => return done,
                () = tokio::time::sleep(TURN) => drop(turn),
            }
            shake.await
        };
        let shaken = tokio::time::timeout(left, shake).await.map_err(|_| at.silent(limit))?;
        let mut handle = shaken.map_err(|error| failed(&error))?;
        listeners.report(Phase::Authenticate);

        let at = At { host, phase: Phase::Authenticate };
        at.within(options.deadlines.authenticate, auth::authenticate(&mut handle, destination, &why, at)).await?;
        listeners.report(Phase::Shell);
        Ok(Self {
            handle,
            over,
            why,
            heard,
            sessions: Arc::new(Semaphore::new(SESSIONS)),
            given_up: AtomicBool::new(false),
            _cut: guard,
            _carried_by: carried_by,
        })
    }

    /// Says whether there is a point in opening another channel.
    pub(super) fn is_usable(&self) -> bool {
        !self.given_up.load(Ordering::Relaxed) && !self.is_over()
    }

    /// Reports whether the connection has ended.
    fn is_over(&self) -> bool {
        self.over.is_cancelled() || self.handle.is_closed()
    }

    /// Keeps the connection from being used again. What runs on it may go on.
    pub(super) fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }

    /// Makes a failure of a connection or a channel that has ended: `otherwise` if the connection itself has not.
    pub(super) fn lost(&self, at: At<'_>, otherwise: &str) -> Failure {
        match self.why.get() {
            Some(end) => at.failure(end.kind, &end.text),
            None if self.over.is_cancelled() => at.failure(FailureKind::Reset, "the connection was closed"),
            None => at.failure(FailureKind::Reset, otherwise),
        }
    }

    /// Opens a session channel, when one of the few is free.
    pub(super) async fn session(self: &Arc<Self>, at: At<'_>, limit: Duration) -> Result<Session, Failure> {
        let closed = || self.lost(at, "the connection was closed");
        let permit = self.sessions.clone().acquire_owned().await.map_err(|_| closed())?;
        let (read, write) = at.within(limit, self.open_session(at)).await?.split();
        let (read, permit) = (Some(read), Some(permit));
        Ok(Session { read, write: Arc::new(write), connection: self.clone(), permit })
    }

    async fn open_session(&self, at: At<'_>) -> Result<Channel<Msg>, Failure> {
        let mut pauses = PAUSES.iter();
        loop {
            match self.handle.channel_open_session().await {
                Ok(channel) => return Ok(channel),
                // A command that was given up counts as a session there until it ends, and it may be ending.
                Err(russh::Error::ChannelOpenFailure(_)) => match pauses.next() {
                    Some(pause) => tokio::time::sleep(*pause).await,
                    None => return Err(at.failure(FailureKind::Sick, "the host opens no session")),
                },
                Err(_) => return Err(self.lost(at, "the connection was closed")),
            }
        }
    }

    /// Opens a line from this host to another.
    pub(super) async fn tunnel(&self, host: &str, port: u16) -> Result<Box<dyn Carrier>, Tunnel> {
        let opened = self.handle.channel_open_direct_tcpip(host, u32::from(port), "127.0.0.1", 0).await;
        match opened {
            Ok(channel) => Ok(Box::new(channel.into_stream())),
            Err(russh::Error::ChannelOpenFailure(ChannelOpenFailure::ConnectFailed)) => Err(Tunnel::NoWay),
            Err(russh::Error::ChannelOpenFailure(_)) => Err(Tunnel::Forbidden),
            Err(_) => Err(Tunnel::Lost),
        }
    }

    /// Asks the host for a sign of life and reports whether it came, as long as that takes.
    pub(super) async fn ping(&self) -> bool {
        let sent = self.handle.send_ping().await;
        // The library says yes, too, when the session has ended meanwhile.
        sent.is_ok() && !self.is_over()
    }

    /// Waits for a sign of life, as long as that takes.
    pub(super) async fn answers(&self, at: At<'_>) -> Result<(), Failure> {
        if self.ping().await { Ok(()) } else { Err(self.lost(at, "the connection was closed")) }
    }

    /// Returns how often bytes have come from the host: a count that grows with each sign of life.
    pub(super) fn reads(&self) -> u64 {
        self.heard.reads()
    }

    /// Takes leave, as long as that takes.
    pub(super) async fn leave(&self) {
        self.give_up();
        if self.handle.disconnect(Disconnect::ByApplication, "", "").await.is_ok() {
            self.over.cancelled().await;
        }
    }
}

/// Why a host opened no line to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tunnel {
    /// It tried and could not connect.
    NoWay,
    /// It does not do that (`AllowTcpForwarding no`).
    Forbidden,
    /// The connection to it ended.
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
    /// Waits for what comes next from the host; `None` when the channel is closed.
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
                    // Nobody else gets the place before the host has given it up.
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
        // An unread channel holds at most this much, times a thousand hosts.
        window_size: 256 << 10,
        channel_buffer_size: 16,
        preferred: preferred(check),
        keepalive_interval: Some(if asked.is_zero() { options.alive_interval } else { asked }),
        keepalive_max: usize::try_from(destination.config.alive_count.max(1)).unwrap_or(3),
        nodelay: true,
        ..client::Config::default()
    }
}

/// RequirementsIndex for the key that we know, or else every host with an RSA key on file would seem to have changed its key.
fn preferred(check: &KeyCheck) -> Preferred {
    let usual = Preferred::default();
    // SHA-1 signatures prove nothing any more.
    let (weak, mut all): (Vec<_>, Vec<_>) =
        usual.key.iter().cloned().partition(|algorithm| matches!(algorithm, Algorithm::Rsa { hash: None }));
    drop(weak);
    let known = check.known.algorithms(&check.host);
    // An RSA key is one key, whatever hash it signs with.
    let rsa = |algorithm: &Algorithm| matches!(algorithm, Algorithm::Rsa { .. });
    let is_known =
        |algorithm: &Algorithm| known.iter().any(|known| known == algorithm || (rsa(known) && rsa(algorithm)));
    all.sort_by_key(|algorithm| !is_known(algorithm));
    let certificates = if check.known.has_authority(&check.host) { all.clone() } else { Vec::new() };
    Preferred { key: Cow::Owned(all), host_key_certificates: Cow::Owned(certificates), ..usual }
}

/// What carries the bytes of a connection, apart from TCP.
struct Path<'a> {
    is_command: bool,
    jump: Option<&'a Connection>,
}

impl Path<'_> {
    /// Returns why the path ended, if it did before an SSH server at its far end said anything.
    fn failed(&self, error: &russh::Error, heard: &Heard) -> Option<String> {
        if heard.is_ssh() {
            return None;
        }
        if self.jump.is_some_and(Connection::is_over) {
            return Some("the connection to the jump host was lost".to_owned());
        }
        let said = sanitize::printable(&heard.bytes());
        if !self.is_command || is_throttle(&said) {
            return None;
        }
        match error {
            russh::Error::IO(error) if said.is_empty() => Some(error.to_string()),
            russh::Error::IO(error) => Some(format!("{error}; it printed {said:?}")),
            russh::Error::Version => Some(format!("the proxy command printed something other than SSH: {said:?}")),
            _ => None,
        }
    }
}

/// Reports whether text is what sshd says when it limits connections.
fn is_throttle(said: &str) -> bool {
    ["Exceeded MaxStartups", "Not allowed at this time"].iter().any(|start| said.starts_with(start))
}

/// Makes a failure of a handshake that came to nothing.
fn refused(error: &Broken, heard: &Heard, why: &Why, path: &Path<'_>, at: At<'_>) -> Failure {
    let error = match error {
        Broken::HostKey { detail, hint: advice } => return hint(at.failure(FailureKind::HostKey, detail), advice),
        Broken::Ssh(error) => error,
    };
    if let Some(detail) = path.failed(error, heard) {
        return At { phase: Phase::Connect, ..at }.failure(FailureKind::Path, detail);
    }
    let mut failure = at.ssh(error);
    let said = sanitize::printable(&heard.bytes());
    if failure.kind == FailureKind::Reset && !heard.past_greeting() {
        if is_throttle(&said) {
            return throttled(&format!(": {said}"), at);
        }
        // An sshd that limits connections closes them without a word.
        if (said.is_empty() || heard.is_ssh()) && !path.is_command {
            return throttled("", at);
        }
        if !said.is_empty() && !heard.is_ssh() {
            failure.kind = FailureKind::Sick;
            failure.detail = format!("what answers there is not SSH: it says {said:?}");
        }
    } else if matches!(error, russh::Error::Version) {
        failure.detail = format!("what answers there is not SSH: it says {said:?}");
    } else if let Some(end) = why.get() {
        failure.detail.clone_from(&end.text);
    }
    failure
}

fn throttled(said: &str, at: At<'_>) -> Failure {
    let detail = format!("it closed the connection before the key exchange{said}");
    hint(
        at.failure(FailureKind::Throttled, detail),
        "sshd limits new connections: see MaxStartups and PerSourcePenalties in sshd_config(5).",
    )
}
