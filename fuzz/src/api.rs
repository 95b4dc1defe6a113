//! The API: a request of any method, path and body.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::http::header::CONTENT_TYPE;
use muster::api;
use muster::api::Api;
use muster::api::access::AccessList;
use muster::control::LEASE;
use muster::control::leasing;
use muster::control::read_model::ReadModel;
use muster::core::health::BRAKE;
use muster::core::health::DetectionConfig;
use muster::core::health::failover::FailoverPolicy;
use muster::http::connections::Client;
use muster::http::connections::Transport;
use muster::notify::Receivers;
use muster::remote::ssh::Options;
use muster::remote::ssh::Ssh;
use muster::runner::Clock;
use muster::runner::ClusterContext;
use muster::runner::LeaderSettings;
use muster::runner::SecretSource;
use muster::runner::Supervision;
use muster::store::MemoryStore;
use muster::store::layout::Keyspace;
use tokio::runtime::Builder;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

fn access() -> watch::Receiver<Arc<AccessList>> {
    watch::channel(Arc::default()).1
}

thread_local! {
    /// The API of an empty cluster. What requests submit stays in it.
    static SERVED: (Runtime, Router) = serve();
}

fn serve() -> (Runtime, Router) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let cluster = ClusterContext {
        name: "default".to_owned(),
        store: Arc::new(MemoryStore::new()),
        keys: Keyspace::new("default").expect("a token"),
        remote: Arc::new(Ssh::new(Options::default())),
        clock: Clock::start(),
        fence_commands: Arc::default(),
        secrets: SecretSource::default(),
        operator: "op@desk".to_owned(),
        stop: CancellationToken::new(),
    };
    let detection = DetectionConfig { down_after: std::time::Duration::from_secs(8), brake: BRAKE };
    let timing = leasing(detection, LEASE).expect("a lease that is long enough");
    let settings = LeaderSettings {
        timing,
        failover_policy: FailoverPolicy::default(),
        fence_commands: Arc::default(),
        receivers: Receivers::default(),
    };
    let (model, view) = ReadModel::new(&cluster.store, &cluster.keys, cluster.clock);
    runtime.spawn(model.run());
    runtime.block_on(view.until(std::time::Duration::from_secs(5), |published| published.is_read));
    let api = Api::new(cluster, view, Supervision::fixed(settings), access(), CancellationToken::new());
    (runtime, api::router(Arc::new(api)))
}

/// Sends a request, whose first line is a method and a path, and the rest a body. The API must answer, and call nothing its
/// own fault.
pub fn api(data: &[u8]) {
    let (line, body) = data.split_at(data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len()));
    let Some((method, path)) = std::str::from_utf8(line).ok().and_then(|line| line.split_once(' ')) else { return };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(CONTENT_TYPE, "application/json")
        .extension(Client::User(0))
        .extension(Transport::Plain)
        .body(Body::from(body.to_vec()));
    let Ok(request) = request else { return };
    SERVED.with(|(runtime, router)| {
        let answer = runtime.block_on(router.clone().oneshot(request)).expect("an answer");
        assert!(answer.status().as_u16() < 500, "{answer:?}");
    });
}
