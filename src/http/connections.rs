//! The connections of a service, with a bound for all clients and one for each, and a time limit for the head of each
//! request. So no client can keep the others from connecting.

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use axum::Extension;
use axum::Router;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::server::graceful::Watcher;
use hyper_util::service::TowerToHyperService;
use rustix::process::Resource;
use rustix::process::Rlimit;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::net::UnixListener;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;

use crate::core::fingerprint::Fingerprint;

/// How many connections there may be at most.
const CONNECTIONS: u64 = 2048;

/// How many open files are left for the store and the hosts.
const OTHER_FILES: u64 = 128;

/// How many connections one client may have.
pub const CONNECTIONS_PER_CLIENT: usize = 64;

/// How long a client may take to agree on keys.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// How long a client may take to send the head of a request.
const HEAD_LIMIT: Duration = Duration::from_secs(10);

/// How long the requests in flight may take when the service ends.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);

/// The delay after a connection could not be accepted.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// A socket on which clients connect.
#[derive(Debug)]
pub enum Listener {
    /// Clients of any host.
    Tcp(TcpListener),
    /// Clients of any host, with TLS as it is configured at the moment.
    Tls(TcpListener, watch::Receiver<Arc<ServerConfig>>),
    /// Processes of this host.
    Unix(UnixListener),
}

/// The client of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Client {
    /// A host.
    Address(IpAddr),
    /// A user of this host, by the number that the kernel tells.
    User(u32),
}

/// What carries the requests of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// A socket, as it is.
    Plain,
    /// TLS. The client may have shown a certificate that the CA of clients has signed.
    Tls(Option<Fingerprint>),
}

impl Listener {
    async fn accept(&self) -> io::Result<(Incoming, Client)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((Incoming::Ready(Box::new(stream)), Client::Address(peer.ip().to_canonical())))
            }
            Self::Tls(listener, config) => {
                let (stream, peer) = listener.accept().await?;
                let acceptor = TlsAcceptor::from(Arc::clone(&config.borrow()));
                Ok((Incoming::Tls(stream, acceptor), Client::Address(peer.ip().to_canonical())))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let user = stream.peer_cred()?.uid();
                Ok((Incoming::Ready(Box::new(stream)), Client::User(user)))
            }
        }
    }
}

/// A connection that was accepted.
enum Incoming {
    Ready(Box<dyn Stream>),
    /// The two sides have not agreed on keys yet.
    Tls(TcpStream, TlsAcceptor),
}

impl Incoming {
    /// Agrees on keys, if there is to be TLS.
    async fn open(self) -> io::Result<(Box<dyn Stream>, Transport)> {
        match self {
            Self::Ready(stream) => Ok((stream, Transport::Plain)),
            Self::Tls(stream, acceptor) => {
                let stream = tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await??;
                let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                let certificate = shown.map(|certificate| Fingerprint::of(certificate));
                Ok((Box::new(stream), Transport::Tls(certificate)))
            }
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Serves connections until the service is stopped. Each request has its [`Client`] and its [`Transport`] as
/// extensions.
pub async fn serve(listener: Listener, router: Router, stop: CancellationToken) {
    let (free, clients) = (Arc::new(Semaphore::new(limit())), Clients::default());
    let graceful = GracefulShutdown::new();
    loop {
        let next = async { (free.clone().acquire_owned().await, listener.accept().await) };
        let (permit, accepted) = tokio::select! {
            next = next => next,
            () = stop.cancelled() => break,
        };
        match (permit, accepted) {
            (Ok(permit), Ok((incoming, client))) => {
                if let Some(place) = clients.admit(client) {
                    answer(incoming, router.clone().layer(Extension(client)), &graceful, (permit, place));
                }
            }
            (_, Err(error)) => {
                tracing::warn!("a connection was not accepted: {error}");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
            (Err(_), _) => break,
        }
    }
    drop(listener);
    let _ = tokio::time::timeout(SHUTDOWN_LIMIT, graceful.shutdown()).await;
}

/// Answers the requests of one connection.
fn answer(incoming: Incoming, router: Router, graceful: &GracefulShutdown, held: (OwnedSemaphorePermit, Place)) {
    let watcher = graceful.watcher();
    tokio::spawn(async move {
        if let Err(error) = serve_connection(incoming, router, watcher).await {
            tracing::debug!("a connection ended: {error}");
        }
        drop(held);
    });
}

async fn serve_connection(
    incoming: Incoming,
    router: Router,
    watcher: Watcher,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let (stream, transport) = incoming.open().await?;
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_LIMIT);
    let service = TowerToHyperService::new(router.layer(Extension(transport)));
    watcher.watch(builder.serve_connection(TokioIo::new(stream), service).into_owned()).await
}

/// Returns how many connections there may be: fewer than this process may have open files, after it has raised that
/// limit.
fn limit() -> usize {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let _ = rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let files = rustix::process::getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(files.saturating_sub(OTHER_FILES).clamp(1, CONNECTIONS)).unwrap_or(1)
}

/// The number of connections of each client.
#[derive(Debug, Clone, Default)]
struct Clients(Arc<Mutex<BTreeMap<Client, usize>>>);

/// One connection of a client. The client has one less when this is dropped.
struct Place(Clients, Client);

impl Clients {
    /// Counts another connection of a client, unless the client has too many.
    fn admit(&self, client: Client) -> Option<Place> {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = clients.entry(client).or_default();
        if *count >= CONNECTIONS_PER_CLIENT {
            return None;
        }
        *count += 1;
        Some(Place(self.clone(), client))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut clients = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = clients.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                clients.remove(&self.1);
            }
        }
    }
}
