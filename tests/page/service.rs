//! The service under test: the API and the page of a cluster, as `muster ui` serves them, on a store that can be taken away.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware;
use axum::middleware::Next;
use axum::response::IntoResponse as _;
use axum::response::Response;
use muster::api::Api;
use muster::api::one_time;
use muster::api::one_time::OneTimeAccess;
use muster::control::read_model::ReadModel;
use muster::control::read_model::View;
use muster::http::connections;
use muster::http::connections::Listener;
use muster::runner::ClusterContext;
use muster::store::Entry;
use muster::store::LeaseId;
use muster::store::Listing;
use muster::store::MemoryStore;
use muster::store::Op;
use muster::store::Precondition;
use muster::store::Revision;
use muster::store::SharedStore;
use muster::store::Store;
use muster::store::StoreError;
use muster::store::Watch;
use muster::store::WatchEvent;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::api::supervision;
use crate::control::Folder;
use crate::control::context;

/// A store that can be taken away.
#[derive(Debug)]
pub(super) struct Removable {
    store: MemoryStore,
    pub(super) is_away: watch::Sender<bool>,
}

fn away() -> StoreError {
    StoreError::Unavailable { store: "etcd://store.example".to_owned(), detail: "connection refused".to_owned() }
}

impl Removable {
    fn new() -> Arc<Self> {
        Arc::new(Self { store: MemoryStore::new(), is_away: watch::channel(false).0 })
    }

    fn check(&self) -> Result<(), StoreError> {
        if *self.is_away.borrow() { Err(away()) } else { Ok(()) }
    }
}

#[async_trait::async_trait]
impl Store for Removable {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        self.check()?;
        self.store.get(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Listing, StoreError> {
        self.check()?;
        self.store.list(prefix).await
    }

    async fn commit(&self, preconditions: Vec<Precondition>, ops: Vec<Op>) -> Result<Option<Revision>, StoreError> {
        self.check()?;
        self.store.commit(preconditions, ops).await
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        self.check()?;
        self.store.grant(ttl).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.check()?;
        self.store.keep_alive(lease).await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.check()?;
        self.store.revoke(lease).await
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, StoreError> {
        self.check()?;
        let (watch, is_away) = (self.store.watch(prefix, after).await?, self.is_away.subscribe());
        Ok(Box::new(RemovableWatch { watch, is_away }))
    }
}

struct RemovableWatch {
    watch: Box<dyn Watch>,
    is_away: watch::Receiver<bool>,
}

#[async_trait::async_trait]
impl Watch for RemovableWatch {
    async fn next(&mut self) -> Result<Vec<WatchEvent>, StoreError> {
        tokio::select! {
            changes = self.watch.next() => changes,
            _ = self.is_away.wait_for(|is_away| *is_away) => Err(away()),
        }
    }

    fn revision(&self) -> Revision {
        self.watch.revision()
    }
}

/// The API and the page of a cluster.
pub(super) struct Service {
    pub(super) removable: Arc<Removable>,
    pub(super) store: SharedStore,
    pub(super) view: View,
    pub(super) address: String,
    cluster: ClusterContext,
    port: u16,
    access: Arc<OneTimeAccess>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
    /// Whether the service says that the client may only read.
    reads_only: bool,
}

impl Service {
    /// Serves a cluster with this many machines and units.
    pub(super) async fn start(machines: usize, units: usize) -> Self {
        Self::with(machines, units, false).await
    }

    pub(super) async fn that_reads_only(machines: usize, units: usize) -> Self {
        Self::with(machines, units, true).await
    }

    async fn with(machines: usize, units: usize, reads_only: bool) -> Self {
        let removable = Removable::new();
        let store: SharedStore = removable.clone();
        super::cluster::store(&store, machines, units).await;
        super::cluster::history(&store, machines).await;
        let folder = Folder::new();
        folder.report("", "search-index: cannot open the index\n");
        let mut cluster = context(&store, &Arc::new(folder));
        "production in etcd://store.example, made on desk".clone_into(&mut cluster.name);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (access, address) = OneTimeAccess::new(port).unwrap();
        let access = Arc::new(access);
        let (view, stop, serving) = serve(listener, &cluster, &access, reads_only);
        assert!(view.until(Duration::from_secs(20), |it| it.is_read).await);
        Self { removable, store, view, address, cluster, port, access, stop, serving, reads_only }
    }

    /// Stops serving, as when the controller ends.
    pub(super) async fn stop(&mut self) {
        self.stop.cancel();
        (&mut self.serving).await.unwrap();
    }

    /// Serves again at the same port, as another controller would.
    pub(super) async fn start_again(&mut self) {
        let listener = loop {
            match TcpListener::bind(("127.0.0.1", self.port)).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        (self.view, self.stop, self.serving) = serve(listener, &self.cluster, &self.access, self.reads_only);
    }

    /// Returns the address of a view, for a page that has its token.
    pub(super) fn at(&self, route: &str) -> String {
        format!("http://127.0.0.1:{}/#/{route}", self.port)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn serve(
    listener: TcpListener,
    cluster: &ClusterContext,
    access: &Arc<OneTimeAccess>,
    reads_only: bool,
) -> (View, CancellationToken, JoinHandle<()>) {
    let stop = CancellationToken::new();
    let (model, view) = ReadModel::new(&cluster.store, &cluster.keys, cluster.clock);
    let api = Api::new(
        cluster.clone(),
        view.clone(),
        supervision(),
        tokio::sync::watch::channel(Arc::default()).1,
        stop.clone(),
    );
    let router = muster::api::router(Arc::new(api));
    let router = if reads_only { router.layer(middleware::from_fn(say_that_it_reads)) } else { router };
    let router: Router = one_time::guard(router, access.clone());
    let ended = stop.clone();
    let serving = tokio::spawn(async move {
        tokio::select! {
            () = model.run() => {}
            () = connections::serve(Listener::Tcp(listener), router, ended) => {}
        }
    });
    (view, stop, serving)
}

/// Answers that the client may only read.
async fn say_that_it_reads(request: Request, next: Next) -> Response {
    if request.uri().path() == "/api/v1/session" {
        return axum::Json(json!({"name": "ada@desk", "role": "read", "version": "0.1.0"})).into_response();
    }
    next.run(request).await
}
