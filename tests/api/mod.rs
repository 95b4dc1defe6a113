//! The API, served on a socket by this process: answers, refusals, and clients that are slow, many or hostile.

mod access;
mod alone;
mod clients;
mod events;
mod fleet;
mod hostile;
mod operations;
mod own;
mod records;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use muster::api::Api;
use muster::control::read_model::ReadModel;
use muster::control::read_model::View;
use muster::core::health::failover::FailoverPolicy;
use muster::core::model::DesiredState;
use muster::core::model::Unit;
use muster::http::connections::Listener;
use muster::runner::ClusterContext;
use muster::runner::LeaderSettings;
use muster::runner::Supervision;
use muster::store::GuestStore;
use muster::store::MemoryStore;
use muster::store::SharedStore;
use muster::store::layout::Key;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixListener;
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::control::Folder;
use crate::control::context;
use crate::control::found;
use crate::control::keys;
use crate::control::timing;
use crate::store::soon;

/// The API of a cluster with one machine, which nothing leads.
struct Served {
    cluster: ClusterContext,
    view: View,
    socket: PathBuf,
    stop: CancellationToken,
    _folder: TempDir,
}

/// An answer.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Returns the status and the message of an error.
    fn error(&self) -> (u16, String) {
        let error = &self.json()["error"];
        assert_eq!(error["code"], self.status, "{self:?}");
        (self.status, error["message"].as_str().unwrap().to_owned())
    }
}

impl Served {
    async fn start() -> Self {
        let store: SharedStore = Arc::new(MemoryStore::new());
        found(&store, &[]).await;
        Self::serve(context(&store, &Arc::new(Folder::new())))
    }

    fn serve(cluster: ClusterContext) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // The Python client of fleet turns the path into lower case.
        let name = format!("muster-api-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = tempfile::Builder::new().prefix(&name).rand_bytes(0).tempdir().unwrap();
        let (socket, stop) = (folder.path().join("api.sock"), CancellationToken::new());
        let (model, view) = ReadModel::new(&cluster.store, &cluster.keys, cluster.clock);
        let (_, access) = watch::channel(Arc::default());
        // As beside a controller, which is the one that leads.
        let guest = ClusterContext { store: Arc::new(GuestStore(cluster.store.clone())), ..cluster.clone() };
        let api = Arc::new(Api::new(guest, view.clone(), supervision(), access, stop.clone()));
        let listener = Listener::Unix(UnixListener::bind(&socket).unwrap());
        tokio::spawn(async move {
            tokio::select! {
                () = model.run() => {}
                () = muster::api::serve(listener, api) => {}
            }
        });
        Self { cluster, view, socket, stop, _folder: folder }
    }

    async fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.socket).await.unwrap()
    }

    /// Sends a request. Further lines of its head are in `head`, each with its end.
    async fn send(&self, line: &str, head: &str, body: &str) -> Answer {
        let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let request = format!("{line} HTTP/1.1\r\nHost: muster\r\nConnection: close\r\n{head}{length}\r\n{body}");
        let mut stream = self.connect().await;
        // A service that refuses a body reads no more of it.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        // What it has answered by then was received, although the connection was reset.
        let _ = soon(stream.read_to_end(&mut answer)).await;
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path}"), "", "").await
    }

    async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(&format!("PUT {path}"), "Content-Type: application/json\r\n", &body.to_string()).await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(&format!("POST {path}"), "Content-Type: application/json\r\n", &body.to_string()).await
    }

    /// Returns the record of a unit.
    async fn unit(&self, name: &str) -> Option<Unit> {
        let key = keys().key(&Key::Unit(name.parse().unwrap()));
        let entry = self.cluster.store.get(&key).await.unwrap()?;
        Some(serde_json::from_slice(&entry.value).unwrap())
    }

    async fn desired(&self, name: &str) -> Option<DesiredState> {
        self.unit(name).await.map(|unit| unit.desired)
    }
}

/// Returns the ties of a controller that does nothing.
pub(crate) fn supervision() -> Supervision {
    let failover_policy = FailoverPolicy::default();
    Supervision::fixed(LeaderSettings {
        timing: timing(),
        failover_policy,
        fence_commands: Arc::default(),
        receivers: std::collections::BTreeMap::default(),
    })
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
