//! The servers of a cluster: which to ask, and when to ask another.
//!
//! The client library spreads requests over all its servers, also over one that is down. So each server has a client
//! of its own here, one is asked until it fails, and then the next.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use etcd_client::Certificate;
use etcd_client::Client;
use etcd_client::ConnectOptions;
use etcd_client::Identity;
use etcd_client::TlsOptions;
use secrecy::ExposeSecret as _;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio::time::timeout;

use super::super::StoreError;
use super::super::open::Credentials;
use super::super::open::EtcdLocation;
use super::error::Trouble;

/// How long a request may take, on however many servers: longer than they take to elect a leader.
const DEADLINE: Duration = Duration::from_secs(5);

/// How long a server may be silent before another is asked the same, if it does no harm to ask twice.
const SILENCE: Duration = Duration::from_secs(1);

/// How long to wait before asking a server again that has no leader to ask.
const PAUSE: Duration = Duration::from_millis(100);

/// How often to ask whether a quiet connection still stands; etcd hangs up on clients that ask more than every 5 s.
const PING: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(5));

/// Whether a request that may have arrived can be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nature {
    /// Doing it twice is doing it once.
    Repeatable,
    /// It is sent again only if it has certainly not arrived.
    OnceOnly,
}

/// A handle to the servers.
#[derive(Clone)]
pub(super) struct Cluster(Arc<Shared>);

struct Shared {
    name: String,
    servers: Vec<Server>,
    options: ConnectOptions,
    /// Set when we speak TLS without a certificate of our own.
    anonymous: bool,
    /// The server that answered last.
    preferred: AtomicUsize,
}

struct Server {
    /// `host:port`, as errors name it.
    name: String,
    url: String,
    client: Mutex<Option<Client>>,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.name)
    }
}

impl Cluster {
    pub(super) async fn new(location: &EtcdLocation, credentials: &Credentials) -> Result<Self, StoreError> {
        let refused = |detail| StoreError::Refused { store: location.to_string(), detail };
        let options = options(location, credentials).await.map_err(refused)?;
        let scheme = if location.tls { "https" } else { "http" };
        let server =
            |name: &String| Server { name: name.clone(), url: format!("{scheme}://{name}"), client: Mutex::new(None) };
        Ok(Self(Arc::new(Shared {
            name: location.to_string(),
            servers: location.endpoints.iter().map(server).collect(),
            options,
            anonymous: location.tls && credentials.cert_file.is_none(),
            preferred: AtomicUsize::new(0),
        })))
    }

    /// Returns what errors call this store.
    pub(super) fn name(&self) -> String {
        self.0.name.clone()
    }

    /// Returns what may be behind a connection that broke: a server that asks for a certificate may just hang up.
    pub(super) fn suspicion(&self) -> &'static str {
        if self.0.anonymous { " (if it asks for a client certificate: --etcd-cert-file)" } else { "" }
    }

    /// Asks one server after another until one answers, for [`DEADLINE`] at most.
    pub(super) async fn call<T, F>(&self, nature: Nature, ask: impl Fn(Client) -> F + Sync) -> Result<T, Trouble>
    where
        F: Future<Output = Result<T, etcd_client::Error>> + Send,
    {
        let deadline = Instant::now() + DEADLINE;
        let mut left = self.0.servers.len();
        let mut at = self.0.preferred.load(Ordering::Relaxed);
        let mut electing = false;
        loop {
            // A silent server leaves time for the others.
            let share = deadline.saturating_duration_since(Instant::now()) / u32::try_from(left.max(1)).unwrap_or(1);
            let share = if nature == Nature::Repeatable && left > 1 { share.min(SILENCE) } else { share };
            let Some(server) = self.0.servers.get(at) else {
                return Err(Trouble::Unsent("no server is named".to_owned()));
            };
            let trouble = match server.ask(&self.0.options, share, &ask).await {
                Ok(answer) => {
                    self.0.preferred.store(at, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(trouble) => trouble,
            };
            let again = trouble.may_go_elsewhere(nature);
            if again || trouble.is_silence() {
                at = (at + 1) % self.0.servers.len();
                self.0.preferred.store(at, Ordering::Relaxed);
                left = left.saturating_sub(1);
            }
            if !again {
                return Err(trouble);
            }
            electing |= matches!(trouble, Trouble::NoLeader(_));
            if left == 0 {
                if !electing || Instant::now() + PAUSE >= deadline {
                    return Err(trouble);
                }
                // An election is on: it takes about a second.
                tokio::time::sleep(PAUSE).await;
                electing = false;
                left = self.0.servers.len();
            }
        }
    }

    /// Turns to another server, for a stream that this one let down.
    pub(super) fn turn_away(&self) {
        let next = (self.0.preferred.load(Ordering::Relaxed) + 1) % self.0.servers.len();
        self.0.preferred.store(next, Ordering::Relaxed);
    }
}

impl Server {
    async fn ask<T, F>(
        &self,
        options: &ConnectOptions,
        share: Duration,
        ask: &(impl Fn(Client) -> F + Sync),
    ) -> Result<T, Trouble>
    where
        F: Future<Output = Result<T, etcd_client::Error>> + Send,
    {
        let deadline = Instant::now() + share;
        let mut renewed = false;
        loop {
            let client = match timeout(share, self.client(options)).await {
                Ok(client) => client.map_err(|error| Trouble::before_sending(&self.name, error))?,
                Err(_) => return Err(Trouble::Unsent(format!("{}: no answer within {share:.1?}", self.name))),
            };
            let left = deadline.saturating_duration_since(Instant::now());
            let answer = timeout(left, ask(client)).await;
            let trouble = match answer {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => Trouble::new(&self.name, error),
                Err(_) => Trouble::Silence(format!("{}: no answer within {share:.1?}", self.name)),
            };
            // It was refused, so sending again is safe.
            if matches!(trouble, Trouble::OldToken(_)) && !renewed {
                renewed = true;
                *self.client.lock().await = None;
                continue;
            }
            return Err(trouble);
        }
    }

    async fn client(&self, options: &ConnectOptions) -> Result<Client, etcd_client::Error> {
        let mut client = self.client.lock().await;
        if let Some(client) = client.as_ref() {
            return Ok(client.clone());
        }
        let new = Client::connect([&self.url], Some(options.clone())).await?;
        Ok(client.insert(new).clone())
    }
}

async fn options(location: &EtcdLocation, credentials: &Credentials) -> Result<ConnectOptions, String> {
    let count = u32::try_from(location.endpoints.len()).unwrap_or(u32::MAX);
    let mut options = ConnectOptions::new()
        .with_connect_timeout(DEADLINE / count.saturating_add(1))
        .with_keep_alive(PING.0, PING.1)
        // A server that is cut off from the others must say so, not go on with what it last knew.
        .with_require_leader(true)
        .with_auto_token_refresh(true);
    let user = location.user.as_ref().or(credentials.username.as_ref());
    if let Some(user) = user {
        let password = credentials.password().await?;
        let password = password.ok_or("a user without a password: set MUSTER_ETCD_PASSWORD or --etcd-password-file")?;
        options = options.with_user(user, password.expose_secret());
    }
    if location.tls { Ok(options.with_tls(tls(credentials).await?)) } else { Ok(options) }
}

async fn tls(credentials: &Credentials) -> Result<TlsOptions, String> {
    let ca = credentials.ca_file.as_deref().ok_or("etcds:// needs --etcd-ca-file: the CA that signed the servers")?;
    let tls = TlsOptions::new().ca_certificate(Certificate::from_pem(read(ca).await?));
    match (credentials.cert_file.as_deref(), credentials.key_file.as_deref()) {
        (Some(cert), Some(key)) => Ok(tls.identity(Identity::from_pem(read(cert).await?, read(key).await?))),
        (None, None) => Ok(tls),
        _ => Err("--etcd-cert-file and --etcd-key-file belong together".to_owned()),
    }
}

async fn read(path: &Path) -> Result<Vec<u8>, String> {
    tokio::fs::read(path).await.map_err(|error| format!("cannot read {}: {error}", path.display()))
}
