//! The discovery service: etcd's v2 discovery protocol over the registry, so that unmodified etcd servers find each
//! other (`etcd --discovery URL`).
//!
//! The service handles keys, not clusters: a client with the token may register. All state is in the store, so the service
//! can be restarted, and several can run at once. Requests are bounded and not trusted.

mod response;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::extract::Form;
use axum::extract::Path;
use axum::extract::Query;
use axum::extract::Request;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::extract::rejection::QueryRejection;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::http::header::HOST;
use axum::middleware;
use axum::middleware::Next;
use axum::response::IntoResponse as _;
use axum::response::Response;
use axum::routing::any;
use axum::routing::get;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::registry;
use super::registry::NewTokenError;
use super::registry::Registry;
use crate::http::connections;
use crate::http::connections::Client;
use crate::http::connections::Listener;
use crate::http::origin;
use crate::http::rate::ClientRate;
use crate::store::Entry;
use crate::store::Op;
use crate::store::Precondition;
use crate::store::Revision;
use crate::store::SharedStore;
use crate::store::StoreError;
use crate::store::WatchEvent;
use crate::store::layout::Key;
use crate::store::layout::Keyspace;
use crate::store::layout::REGISTRY;
use crate::store::leader_election::hostname;
use response::Action;
use response::ApiError;

/// The number of tokens in the registry from which on no more are created.
const TOKEN_LIMIT: usize = 10_000;

/// How many tokens one client may create within a minute.
const TOKENS_PER_CLIENT: usize = 20;

/// The number of requests that may wait at once.
const WAITING_LIMIT: usize = 1024;

/// How long a request may wait. Then it gets an empty body, and etcd sends it again.
const WAIT_TIMEOUT: Duration = Duration::from_mins(5);

/// How long a token without members lasts that a client of the service has created.
const UNUSED: Duration = Duration::from_hours(6);

/// The size limit of a request's body.
const BODY_BYTES: usize = 8 * 1024;

/// Runs the service until it is cancelled. Without a public URL, the URL of a token starts with the `Host` of its request.
pub async fn serve(
    listener: TcpListener,
    store: SharedStore,
    public_url: Option<String>,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let listener_url = format!("http://{}", listener.local_addr()?);
    let discovery = Discovery {
        store,
        listener_url,
        public_url: public_url.map(|url| url.trim_end_matches('/').to_owned()),
        waiting: Arc::new(Semaphore::new(WAITING_LIMIT)),
        rate: ClientRate::new(TOKENS_PER_CLIENT),
        hostname: hostname(),
        stop: stop.clone(),
    };
    let discovery = Arc::new(discovery);
    let router = Router::new()
        .route("/health", get(health))
        .route("/new", get(new).put(new))
        .route("/{token}", get(list))
        .route("/{token}/", get(list))
        .route("/{token}/_config/size", get(size))
        .route("/{token}/{member}", get(show).put(register).delete(deregister))
        .fallback(any(async || ApiError::not_found("/", 0)))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(middleware::from_fn_with_state(discovery.clone(), check_host))
        .with_state(discovery);
    connections::serve(Listener::Tcp(listener), router, stop).await;
    Ok(())
}

/// Rejects requests that name another host.
async fn check_host(State(discovery): State<Arc<Discovery>>, request: Request, next: Next) -> Response {
    if origin::is_addressed(request.headers(), discovery.public_url.as_deref(), &discovery.hostname) {
        return next.run(request).await;
    }
    let why = "this service has no such name: expected an IP address, the name of its host, or that of --public-url";
    (StatusCode::MISDIRECTED_REQUEST, why).into_response()
}

/// The state of the service.
struct Discovery {
    store: SharedStore,
    /// The URL of the listener.
    listener_url: String,
    public_url: Option<String>,
    waiting: Arc<Semaphore>,
    rate: ClientRate,
    hostname: String,
    stop: CancellationToken,
}

type Reply = Result<Response, ApiError>;

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::unavailable(&error.to_string())
    }
}

async fn health(State(discovery): State<Arc<Discovery>>) -> Reply {
    discovery.store.get(REGISTRY).await?;
    Ok((StatusCode::OK, "OK").into_response())
}

#[derive(Deserialize)]
struct NewTokenQuery {
    #[serde(default)]
    size: Option<String>,
}

/// Creates a token and responds with its URL as text.
async fn new(
    State(discovery): State<Arc<Discovery>>,
    Extension(client): Extension<Client>,
    headers: HeaderMap,
    query: Result<Query<NewTokenQuery>, QueryRejection>,
) -> Result<Response, Response> {
    let bad = |cause: String| (StatusCode::BAD_REQUEST, cause).into_response();
    let Query(query) = query.map_err(|rejection| bad(rejection.to_string()))?;
    let text = query.size.as_deref().unwrap_or("3");
    let size = text.parse().map_err(|error| bad(format!("invalid size: expected a number of servers: {error}")))?;
    if origin::is_cross_site(&headers, None) {
        return Err((StatusCode::FORBIDDEN, "a web page cannot create tokens").into_response());
    }
    if !discovery.rate.allows(client) {
        return Err((StatusCode::TOO_MANY_REQUESTS, "too many new tokens: try again in a minute").into_response());
    }
    let tokens = discovery.store.list(REGISTRY).await.map_err(|error| ApiError::from(error).into_response())?;
    if tokens.entries.iter().filter(|entry| entry.key.ends_with("/_config/size")).count() >= TOKEN_LIMIT {
        return Err((StatusCode::SERVICE_UNAVAILABLE, "too many tokens are in use").into_response());
    }
    match registry::create(&*discovery.store, size, Some(UNUSED)).await {
        Ok(keyspace) => Ok(format!("{}/{}", discovery.url(&headers), keyspace.token()).into_response()),
        Err(error @ NewTokenError::Size(_)) => Err(bad(error.to_string())),
        Err(error) => Err(ApiError::unavailable(&error.to_string()).into_response()),
    }
}

impl Discovery {
    /// Returns the URL at which the client reaches the service: the public URL, or the `Host` of the request.
    fn url(&self, headers: &HeaderMap) -> String {
        let is_plain = |host: &&str| {
            !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte))
        };
        let requested = headers.get(HOST).and_then(|host| host.to_str().ok()).filter(is_plain);
        match (&self.public_url, requested) {
            (Some(url), _) => url.clone(),
            (None, Some(host)) => format!("http://{host}"),
            (None, None) => self.listener_url.clone(),
        }
    }

    /// Reads the registry of a token. Errors name `path`, the path of the request.
    async fn find(&self, token: &str, path: &str) -> Result<(Keyspace, Registry), ApiError> {
        let is_token = token.len() == 32 && token.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let keyspace = Keyspace::new(token).ok().filter(|_| is_token).ok_or_else(|| ApiError::not_found(path, 0))?;
        let revision = match registry::read(&*self.store, &keyspace).await? {
            Some(registry) => return Ok((keyspace, registry)),
            None => self.store.list(&keyspace.registry()).await?.revision,
        };
        Err(ApiError::not_found(path, revision))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyQuery {
    #[serde(default)]
    wait: Option<String>,
    #[serde(default)]
    wait_index: Option<String>,
    #[serde(default)]
    prev_exist: Option<String>,
}

impl KeyQuery {
    /// Returns the index from which the request waits, if it waits.
    fn waits_from(&self, now: Revision) -> Result<Option<Revision>, ApiError> {
        if self.wait.as_deref() != Some("true") {
            return Ok(None);
        }
        match self.wait_index.as_deref() {
            None | Some("" | "0") => Ok(Some(now.saturating_add(1))),
            Some(index) => match index.parse::<u64>().map(Revision::try_from) {
                Ok(Ok(index)) => Ok(Some(index)),
                Ok(Err(_)) | Err(_) => Err(ApiError::invalid_index(now)),
            },
        }
    }
}

/// Returns the id if it is that of an etcd server. Machines of muster have longer ones.
fn server_id(id: &str) -> Option<&str> {
    let is_hex = (1..=16).contains(&id.len()) && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_hex.then_some(id)
}

/// Returns the etcd servers among the members, each with its path.
fn servers<'a>(keyspace: &Keyspace, token: &str, entries: &'a [Entry]) -> Vec<(String, &'a Entry)> {
    let prefix = keyspace.members();
    let found = entries.iter().filter_map(|entry| Some((server_id(entry.key.strip_prefix(&prefix)?)?, entry)));
    found.map(|(id, entry)| (format!("/{token}/{id}"), entry)).collect()
}

async fn size(State(discovery): State<Arc<Discovery>>, Path(token): Path<String>) -> Reply {
    let path = format!("/{token}/_config/size");
    let (_, registry) = discovery.find(&token, &path).await?;
    Ok(response::one(Action::Get, &path, &registry.size, registry.revision))
}

async fn list(
    State(discovery): State<Arc<Discovery>>,
    Path(token): Path<String>,
    Query(query): Query<KeyQuery>,
) -> Reply {
    let path = format!("/{token}");
    let (keyspace, registry) = discovery.find(&token, &path).await?;
    let servers = servers(&keyspace, &token, &registry.members);
    match query.waits_from(registry.revision)? {
        None => Ok(response::all(&path, &registry.size, &servers, registry.revision)),
        Some(from) => wait(&discovery, &keyspace, &token, &servers, from, registry.revision),
    }
}

async fn show(
    State(discovery): State<Arc<Discovery>>,
    Path((token, id)): Path<(String, String)>,
    Query(query): Query<KeyQuery>,
) -> Reply {
    let path = format!("/{token}/{id}");
    let (keyspace, registry) = discovery.find(&token, &path).await?;
    let all = servers(&keyspace, &token, &registry.members);
    let this: Vec<_> = all.into_iter().filter(|(server, _)| *server == path).collect();
    match (query.waits_from(registry.revision)?, this.first()) {
        (None, Some((_, entry))) => Ok(response::one(Action::Get, &path, entry, registry.revision)),
        (Some(from), _) if server_id(&id).is_some() => {
            wait(&discovery, &keyspace, &path, &this, from, registry.revision)
        }
        _ => Err(ApiError::not_found(&path, registry.revision)),
    }
}

/// Responds with the first change from an index on: at once if there was one, or else when it is made.
fn wait(
    discovery: &Arc<Discovery>,
    keyspace: &Keyspace,
    path: &str,
    servers: &[(String, &Entry)],
    from: Revision,
    now: Revision,
) -> Reply {
    let first = servers.iter().filter(|(_, entry)| entry.modified >= from).min_by_key(|(_, entry)| entry.modified);
    if let Some((path, entry)) = first {
        return Ok(response::one(Action::Create, path, entry, now));
    }
    let permit = Arc::clone(&discovery.waiting).try_acquire_owned();
    let permit = permit.map_err(|_| ApiError::unavailable("too many requests are waiting"))?;
    let (discovery, keyspace) = (Arc::clone(discovery), keyspace.clone());
    let (path, after) = (path.trim_start_matches('/').to_owned(), now.max(from.saturating_sub(1)));
    // As etcd does, the service sends the head at once, and the body with the change.
    let body = futures_util::stream::once(async move {
        let _permit = permit;
        let change = async {
            tokio::select! {
                change = next(&discovery, &keyspace, &path, now, after) => change.ok(),
                () = tokio::time::sleep(WAIT_TIMEOUT) => None,
                () = discovery.stop.cancelled() => None,
            }
        };
        Ok::<_, Infallible>(change.await.unwrap_or_default())
    });
    Ok(response::with_index(now, Body::from_stream(body)))
}

/// Waits for the next server that registers after an index: any server of a token, or that of `token/id`.
async fn next(
    discovery: &Discovery,
    keyspace: &Keyspace,
    path: &str,
    now: Revision,
    after: Revision,
) -> Result<Vec<u8>, StoreError> {
    let (token, id) = path.split_once('/').map_or((path, None), |(token, id)| (token, Some(id)));
    let mut watch = discovery.store.watch(&keyspace.members(), now).await?;
    loop {
        for event in watch.next().await? {
            let WatchEvent::Put(entry) = event else { continue };
            for (path, entry) in servers(keyspace, token, std::slice::from_ref(&entry)) {
                if entry.modified > after && id.is_none_or(|id| path.ends_with(&format!("/{id}"))) {
                    return Ok(response::text(Action::Create, &path, entry));
                }
            }
        }
    }
}

#[derive(Deserialize)]
struct Registration {
    value: String,
}

/// Registers a server, if its id is not registered.
async fn register(
    State(discovery): State<Arc<Discovery>>,
    Path((token, id)): Path<(String, String)>,
    Query(query): Query<KeyQuery>,
    form: Result<Form<Registration>, FormRejection>,
) -> Reply {
    let path = format!("/{token}/{id}");
    let (keyspace, registry) = discovery.find(&token, &path).await?;
    let bad = |cause: &str| ApiError::invalid_field(cause, registry.revision);
    let id = server_id(&id).ok_or_else(|| bad("invalid server id: expected 1 to 16 hexadecimal digits"))?;
    let Form(Registration { value }) = form.map_err(|rejection| bad(&rejection.to_string()))?;
    if !value.contains('=') || value.chars().any(|letter| letter.is_control() || letter.is_whitespace()) {
        return Err(bad("invalid value: expected name=URL"));
    }
    if query.prev_exist.as_deref() == Some("true") {
        return Err(bad("invalid prevExist: expected false, because a server registers once"));
    }
    // The members also include muster's machines.
    let servers = servers(&keyspace, &token, &registry.members);
    if servers.iter().any(|(taken, _)| *taken == path) {
        return Err(ApiError::exists(&path, registry.revision));
    }
    // More servers than the size may register at once: the surplus ones learn that from the list. Many more are an error.
    let limit = usize::try_from(registry.size().unwrap_or(0)).unwrap_or(0).saturating_mul(2).saturating_add(16);
    if servers.len() >= limit {
        return Err(bad("too many servers have registered"));
    }
    let key = format!("{}{id}", keyspace.members());
    let preconditions =
        vec![Precondition::Absent(key.clone()), Precondition::Created(keyspace.key(&Key::Size), registry.size.created)];
    let value = value.into_bytes();
    let lasts = registry.members.is_empty().then(|| registry::lasting(&keyspace, registry.size.value.clone()));
    let ops = lasts.into_iter().chain([Op::put(&key, value.clone())]).collect();
    match discovery.store.commit(preconditions, ops).await? {
        Some(revision) => {
            let entry = Entry { key, value, created: revision, modified: revision };
            let mut created = response::one(Action::Create, &path, &entry, revision);
            *created.status_mut() = StatusCode::CREATED;
            Ok(created)
        }
        None => Err(ApiError::exists(&path, registry.revision)),
    }
}

/// Removes a server from the registry.
async fn deregister(State(discovery): State<Arc<Discovery>>, Path((token, id)): Path<(String, String)>) -> Reply {
    let path = format!("/{token}/{id}");
    let (keyspace, registry) = discovery.find(&token, &path).await?;
    let all = servers(&keyspace, &token, &registry.members);
    let this = all.iter().find(|(server, _)| *server == path);
    let (_, entry) = this.ok_or_else(|| ApiError::not_found(&path, registry.revision))?;
    let unchanged = Precondition::Modified(entry.key.clone(), entry.modified);
    match discovery.store.commit(vec![unchanged], vec![Op::Delete(entry.key.clone())]).await? {
        Some(revision) => Ok(response::deleted(&path, entry, revision)),
        None => Err(ApiError::not_found(&path, registry.revision)),
    }
}
