//! The discovery service: etcd's v2 discovery protocol over the registry, so that unmodified etcd servers find each
//! other (`etcd --discovery URL`).
//!
//! It knows keyspace, not clusters: who has a token may register under it. Everything is in the store, so a restart, or a
//! second service beside this one, changes nothing. Requests are small and bounded; nothing of them is trusted.

mod answer;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::extract::Form;
use axum::extract::Path;
use axum::extract::Query;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::extract::rejection::QueryRejection;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::http::header::HOST;
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
use answer::Action;
use answer::Refusal;

/// How many tokens the registry may hold before no more are given out.
const TOKENS: usize = 10_000;

/// How many requests may wait at once.
const WAITS: usize = 1024;

/// How long a request may wait before it is answered with nothing, upon which etcd asks again.
const WAIT: Duration = Duration::from_mins(5);

/// How large a request's body may be, in bytes.
const BODY: usize = 8 * 1024;

/// Runs the service until it is cancelled. Without a public URL a token's URL is where it was asked for.
pub async fn serve(
    listener: TcpListener,
    store: SharedStore,
    public_url: Option<String>,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let own = format!("http://{}", listener.local_addr()?);
    let desk = Desk {
        store,
        own,
        public_url: public_url.map(|url| url.trim_end_matches('/').to_owned()),
        waits: Arc::new(Semaphore::new(WAITS)),
        stop: stop.clone(),
    };
    let router = Router::new()
        .route("/health", get(health))
        .route("/new", get(new).put(new))
        .route("/{token}", get(list))
        .route("/{token}/", get(list))
        .route("/{token}/_config/size", get(size))
        .route("/{token}/{member}", get(show).put(register).delete(withdraw))
        .fallback(any(async || Refusal::not_found("/", 0)))
        .layer(DefaultBodyLimit::max(BODY))
        .with_state(Arc::new(desk));
    axum::serve(listener, router).with_graceful_shutdown(async move { stop.cancelled().await }).await
}

struct Desk {
    store: SharedStore,
    own: String,
    public_url: Option<String>,
    waits: Arc<Semaphore>,
    stop: CancellationToken,
}

type Answer = Result<Response, Refusal>;

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::unavailable(&error.to_string())
    }
}

async fn health(State(desk): State<Arc<Desk>>) -> Answer {
    desk.store.get(REGISTRY).await?;
    Ok((StatusCode::OK, "OK").into_response())
}

#[derive(Deserialize)]
struct Sized {
    #[serde(default)]
    size: Option<String>,
}

/// Makes a token and answers with its URL, as text.
async fn new(
    State(desk): State<Arc<Desk>>,
    headers: HeaderMap,
    query: Result<Query<Sized>, QueryRejection>,
) -> Result<Response, Response> {
    let bad = |why: String| (StatusCode::BAD_REQUEST, why).into_response();
    let Query(asked) = query.map_err(|rejection| bad(rejection.to_string()))?;
    let text = asked.size.as_deref().unwrap_or("3");
    let size = text.parse().map_err(|error| bad(format!("the size is not a number of servers: {error}")))?;
    let tokens = desk.store.list(REGISTRY).await.map_err(|error| Refusal::from(error).into_response())?;
    if tokens.entries.iter().filter(|entry| entry.key.ends_with("/_config/size")).count() >= TOKENS {
        return Err((StatusCode::SERVICE_UNAVAILABLE, "too many tokens are in use").into_response());
    }
    match registry::create(&*desk.store, size).await {
        Ok(keyspace) => Ok(format!("{}/{}", desk.url(&headers), keyspace.token()).into_response()),
        Err(error @ NewTokenError::Size(_)) => Err(bad(error.to_string())),
        Err(error) => Err(Refusal::unavailable(&error.to_string()).into_response()),
    }
}

impl Desk {
    /// Returns where the one who asks can reach us: as told, else as it just did.
    fn url(&self, headers: &HeaderMap) -> String {
        let plain = |host: &&str| {
            !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte))
        };
        let asked = headers.get(HOST).and_then(|host| host.to_str().ok()).filter(plain);
        match (&self.public_url, asked) {
            (Some(url), _) => url.clone(),
            (None, Some(host)) => format!("http://{host}"),
            (None, None) => self.own.clone(),
        }
    }

    /// Finds what stands under a token; `path` is what was asked for.
    async fn find(&self, token: &str, path: &str) -> Result<(Keyspace, Registry), Refusal> {
        let is_token = token.len() == 32 && token.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let keyspace = Keyspace::new(token).ok().filter(|_| is_token).ok_or_else(|| Refusal::not_found(path, 0))?;
        let revision = match registry::read(&*self.store, &keyspace).await? {
            Some(registry) => return Ok((keyspace, registry)),
            None => self.store.list(&keyspace.registry()).await?.revision,
        };
        Err(Refusal::not_found(path, revision))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    #[serde(default)]
    wait: Option<String>,
    #[serde(default)]
    wait_index: Option<String>,
    #[serde(default)]
    prev_exist: Option<String>,
}

impl Asked {
    /// Returns from which index on to wait, if at all.
    fn waits_from(&self, now: Revision) -> Result<Option<Revision>, Refusal> {
        if self.wait.as_deref() != Some("true") {
            return Ok(None);
        }
        match self.wait_index.as_deref() {
            None | Some("" | "0") => Ok(Some(now.saturating_add(1))),
            Some(index) => match index.parse::<u64>().map(Revision::try_from) {
                Ok(Ok(index)) => Ok(Some(index)),
                Ok(Err(_)) | Err(_) => Err(Refusal::index_is_no_number(now)),
            },
        }
    }
}

/// Returns a server's name in the registry if this is one: machines of muster's have longer ones.
fn server(id: &str) -> Option<&str> {
    let is_hex = (1..=16).contains(&id.len()) && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_hex.then_some(id)
}

/// Returns the servers among what registered, each with its path.
fn servers<'a>(keyspace: &Keyspace, token: &str, entries: &'a [Entry]) -> Vec<(String, &'a Entry)> {
    let prefix = keyspace.members();
    let found = entries.iter().filter_map(|entry| Some((server(entry.key.strip_prefix(&prefix)?)?, entry)));
    found.map(|(id, entry)| (format!("/{token}/{id}"), entry)).collect()
}

async fn size(State(desk): State<Arc<Desk>>, Path(token): Path<String>) -> Answer {
    let path = format!("/{token}/_config/size");
    let (_, found) = desk.find(&token, &path).await?;
    Ok(answer::one(Action::Get, &path, &found.size, found.revision))
}

async fn list(State(desk): State<Arc<Desk>>, Path(token): Path<String>, Query(asked): Query<Asked>) -> Answer {
    let path = format!("/{token}");
    let (keyspace, found) = desk.find(&token, &path).await?;
    let servers = servers(&keyspace, &token, &found.members);
    match asked.waits_from(found.revision)? {
        None => Ok(answer::all(&path, &found.size, &servers, found.revision)),
        Some(from) => wait(&desk, &keyspace, &token, &servers, from, found.revision),
    }
}

async fn show(
    State(desk): State<Arc<Desk>>,
    Path((token, id)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Answer {
    let path = format!("/{token}/{id}");
    let (keyspace, found) = desk.find(&token, &path).await?;
    let all = servers(&keyspace, &token, &found.members);
    let this: Vec<_> = all.into_iter().filter(|(server, _)| *server == path).collect();
    match (asked.waits_from(found.revision)?, this.first()) {
        (None, Some((_, entry))) => Ok(answer::one(Action::Get, &path, entry, found.revision)),
        (Some(from), _) if server(&id).is_some() => wait(&desk, &keyspace, &path, &this, from, found.revision),
        _ => Err(Refusal::not_found(&path, found.revision)),
    }
}

/// Answers with the first change from an index on: at once if that has been, else when it comes.
fn wait(
    desk: &Arc<Desk>,
    keyspace: &Keyspace,
    path: &str,
    servers: &[(String, &Entry)],
    from: Revision,
    now: Revision,
) -> Answer {
    let first = servers.iter().filter(|(_, entry)| entry.modified >= from).min_by_key(|(_, entry)| entry.modified);
    if let Some((path, entry)) = first {
        return Ok(answer::one(Action::Create, path, entry, now));
    }
    let permit = Arc::clone(&desk.waits).try_acquire_owned();
    let permit = permit.map_err(|_| Refusal::unavailable("too many requests are waiting"))?;
    let (desk, keyspace) = (Arc::clone(desk), keyspace.clone());
    let (path, after) = (path.trim_start_matches('/').to_owned(), now.max(from.saturating_sub(1)));
    // The head goes out now, as etcd sends it, and the body when there is something to say.
    let body = futures_util::stream::once(async move {
        let _permit = permit;
        let change = async {
            tokio::select! {
                change = next(&desk, &keyspace, &path, now, after) => change.ok(),
                () = tokio::time::sleep(WAIT) => None,
                () = desk.stop.cancelled() => None,
            }
        };
        Ok::<_, Infallible>(change.await.unwrap_or_default())
    });
    Ok(answer::with_index(now, Body::from_stream(body)))
}

/// Waits for the next server that registers after an index: any under a token, or the one of `token/id`.
async fn next(
    desk: &Desk,
    keyspace: &Keyspace,
    path: &str,
    now: Revision,
    after: Revision,
) -> Result<Vec<u8>, StoreError> {
    let (token, id) = path.split_once('/').map_or((path, None), |(token, id)| (token, Some(id)));
    let mut watch = desk.store.watch(&keyspace.members(), now).await?;
    loop {
        for change in watch.next().await? {
            let WatchEvent::Put(entry) = change else { continue };
            for (path, entry) in servers(keyspace, token, std::slice::from_ref(&entry)) {
                if entry.modified > after && id.is_none_or(|id| path.ends_with(&format!("/{id}"))) {
                    return Ok(answer::text(Action::Create, &path, entry));
                }
            }
        }
    }
}

#[derive(Deserialize)]
struct Registration {
    value: String,
}

/// Registers a server, if its name is free.
async fn register(
    State(desk): State<Arc<Desk>>,
    Path((token, id)): Path<(String, String)>,
    Query(asked): Query<Asked>,
    form: Result<Form<Registration>, FormRejection>,
) -> Answer {
    let path = format!("/{token}/{id}");
    let (keyspace, found) = desk.find(&token, &path).await?;
    let bad = |why: &str| Refusal::bad_field(why, found.revision);
    let id = server(&id).ok_or_else(|| bad("a server's name is 1 to 16 hexadecimal digits"))?;
    let Form(Registration { value }) = form.map_err(|rejection| bad(&rejection.to_string()))?;
    if !value.contains('=') || value.chars().any(|letter| letter.is_control() || letter.is_whitespace()) {
        return Err(bad("the value is not name=URL"));
    }
    if asked.prev_exist.as_deref() == Some("true") {
        return Err(bad("a server registers once: prevExist=false"));
    }
    // Machines of muster's stand under the token, too.
    let servers = servers(&keyspace, &token, &found.members);
    if servers.iter().any(|(taken, _)| *taken == path) {
        return Err(Refusal::exists(&path, found.revision));
    }
    // More than fit may come at once and learn of it; many more is no cluster.
    let limit = usize::try_from(found.size().unwrap_or(0)).unwrap_or(0).saturating_mul(2).saturating_add(16);
    if servers.len() >= limit {
        return Err(bad("too many servers have registered"));
    }
    let key = format!("{}{id}", keyspace.members());
    let checks =
        vec![Precondition::Absent(key.clone()), Precondition::Created(keyspace.key(&Key::Size), found.size.created)];
    let value = value.into_bytes();
    match desk.store.commit(checks, vec![Op::put(&key, value.clone())]).await? {
        Some(revision) => {
            let entry = Entry { key, value, created: revision, modified: revision };
            let mut response = answer::one(Action::Create, &path, &entry, revision);
            *response.status_mut() = StatusCode::CREATED;
            Ok(response)
        }
        None => Err(Refusal::exists(&path, found.revision)),
    }
}

/// Takes a server out of the registry.
async fn withdraw(State(desk): State<Arc<Desk>>, Path((token, id)): Path<(String, String)>) -> Answer {
    let path = format!("/{token}/{id}");
    let (keyspace, found) = desk.find(&token, &path).await?;
    let all = servers(&keyspace, &token, &found.members);
    let this = all.iter().find(|(server, _)| *server == path);
    let (_, entry) = this.ok_or_else(|| Refusal::not_found(&path, found.revision))?;
    let check = Precondition::Modified(entry.key.clone(), entry.modified);
    match desk.store.commit(vec![check], vec![Op::Delete(entry.key.clone())]).await? {
        Some(revision) => Ok(answer::deleted(&path, entry, revision)),
        None => Err(Refusal::not_found(&path, found.revision)),
    }
}
