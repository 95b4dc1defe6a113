//! The servers of an etcd cluster: which one is asked, and when another one is asked.
//!
//! The client library spreads requests over all its servers, including one that is down. Here each server has its own
//! client instead. One server is asked until it fails, then the next one.

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
use super::super::location::Credentials;
use super::super::location::EtcdLocation;
use super::error::EtcdError;
use super::error::Idempotency;

/// The deadline of a request, over all servers: longer than an election of etcd's leader takes.
const DEADLINE: Duration = Duration::from_secs(5);

/// How long a server may be silent before another one is sent the same idempotent request.
const SILENCE: Duration = Duration::from_secs(1);

/// The delay before a server that has no leader is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// The interval and timeout of pings on a quiet connection. etcd disconnects clients that ping more often than every 5 s.
const PING: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(5));

/// A handle to the servers of an etcd cluster.
#[derive(Clone)]
pub(super) struct Cluster(Arc<Shared>);

struct Shared {
    name: String,
    servers: Vec<Server>,
    options: ConnectOptions,
    /// Set for TLS without a client certificate.
    anonymous: bool,
    /// The index of the server that is asked first: the one that answered last.
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

    /// Returns the name of this store in errors.
    pub(super) fn name(&self) -> String {
        self.0.name.clone()
    }

    /// Converts an error of a request to the store's error.
    pub(super) fn store_error(&self, error: EtcdError) -> StoreError {
        // A server that requires a client certificate may close the connection without an error.
        let certificate_hint =
            if self.0.anonymous { " (if the server requires a client certificate, set --etcd-cert-file)" } else { "" };
        error.into_store_error(self.name(), certificate_hint)
    }

    /// Asks one server after another until one answers, for [`DEADLINE`] at most.
    pub(super) async fn call<T, F>(
        &self,
        idempotency: Idempotency,
        ask: impl Fn(Client) -> F + Sync,
    ) -> Result<T, EtcdError>
    where
        F: Future<Output = Result<T, etcd_client::Error>> + Send,
    {
        let _wait = tracing::info_span!("wait", what = format!("the store {}", self.0.name));
        let deadline = Instant::now() + DEADLINE;
        let mut left = self.0.servers.len();
        let mut at = self.0.preferred.load(Ordering::Relaxed);
        let mut electing = false;
        loop {
            // The share leaves time for the other servers if this one is silent.
            let share = deadline.saturating_duration_since(Instant::now()) / u32::try_from(left.max(1)).unwrap_or(1);
            let share = if idempotency == Idempotency::Idempotent && left > 1 { share.min(SILENCE) } else { share };
            let Some(server) = self.0.servers.get(at) else {
                return Err(EtcdError::NotSent("the location names no server".to_owned()));
            };
            let error = match server.ask(&self.0.options, share, &ask).await {
                Ok(answer) => {
                    self.0.preferred.store(at, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(error) => error,
            };
            let may_retry = error.may_try_another_server(idempotency);
            if may_retry || error.is_no_answer() {
                at = (at + 1) % self.0.servers.len();
                self.0.preferred.store(at, Ordering::Relaxed);
                left = left.saturating_sub(1);
            }
            if !may_retry {
                return Err(error);
            }
            electing |= matches!(error, EtcdError::NoLeader(_));
            if left == 0 {
                if !electing || Instant::now() + PAUSE >= deadline {
                    return Err(error);
                }
                // The servers are electing a leader, which takes about a second.
                tokio::time::sleep(PAUSE).await;
                electing = false;
                left = self.0.servers.len();
            }
        }
    }

    /// Prefers the next server, after a stream from the preferred one ended.
    pub(super) fn prefer_next_server(&self) {
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
    ) -> Result<T, EtcdError>
    where
        F: Future<Output = Result<T, etcd_client::Error>> + Send,
    {
        let deadline = Instant::now() + share;
        let mut renewed = false;
        loop {
            let client = match timeout(share, self.client(options)).await {
                Ok(client) => client.map_err(|error| EtcdError::before_request(&self.name, error))?,
                Err(_) => return Err(EtcdError::NotSent(format!("{}: no answer within {share:.1?}", self.name))),
            };
            let left = deadline.saturating_duration_since(Instant::now());
            let answer = timeout(left, ask(client)).await;
            let error = match answer {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => EtcdError::new(&self.name, error),
                Err(_) => EtcdError::NoAnswer(format!("{}: no answer within {share:.1?}", self.name)),
            };
            // The server rejected the request, so sending it again is safe.
            if matches!(error, EtcdError::TokenExpired(_)) && !renewed {
                renewed = true;
                *self.client.lock().await = None;
                continue;
            }
            return Err(error);
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
        // A server that is cut off from the others must answer with an error, not with old data.
        .with_require_leader(true)
        .with_auto_token_refresh(true);
    let user = location.user.as_ref().or(credentials.username.as_ref());
    if let Some(user) = user {
        if !location.tls {
            tracing::warn!("the password of the etcd user {user} is sent in the clear: use etcds://");
        }
        let password = credentials.password().await?;
        let password = password
            .ok_or("the password of the etcd user is missing: set MUSTER_ETCD_PASSWORD or --etcd-password-file")?;
        options = options.with_user(user, password.expose_secret());
    }
    if location.tls { Ok(options.with_tls(tls(credentials).await?)) } else { Ok(options) }
}

async fn tls(credentials: &Credentials) -> Result<TlsOptions, String> {
    let ca = credentials
        .ca_file
        .as_deref()
        .ok_or("etcds:// needs the CA of the servers' certificates: set --etcd-ca-file")?;
    let tls = TlsOptions::new().ca_certificate(Certificate::from_pem(read(ca).await?));
    match (credentials.cert_file.as_deref(), credentials.key_file.as_deref()) {
        (Some(cert), Some(key)) => Ok(tls.identity(Identity::from_pem(read(cert).await?, read(key).await?))),
        (None, None) => Ok(tls),
        _ => Err("the settings etcd-cert-file and etcd-key-file belong together: set both or neither".to_owned()),
    }
}

async fn read(path: &Path) -> Result<Vec<u8>, String> {
    tokio::fs::read(path).await.map_err(|error| format!("cannot read {}: {error}", path.display()))
}
