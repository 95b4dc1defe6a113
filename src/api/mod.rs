//! The API: what programs and pages see of a cluster and do to it, over HTTP. Reads come from the read model, so that they ask
//! the store for nothing. A change is what the command of the same name does: it sets desired state, and the leader carries it
//! out.
//!
//! Requests are bounded and not trusted. Nothing here reaches a host.

pub mod access;
pub mod carrying_out;
mod error;
mod fleet;
pub mod one_time;
mod page;
mod request;
mod v1;

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::Router;
use axum::extract::Request;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::http::header::CONTENT_TYPE;
use axum::http::header::SERVER;
use axum::http::header::X_CONTENT_TYPE_OPTIONS;
use axum::middleware;
use axum::middleware::Next;
use axum::response::IntoResponse as _;
use axum::response::Response;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::sync::Semaphore;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::control::problems::Problem;
use crate::control::progress::Timeouts;
use crate::control::read_model::Published;
use crate::control::read_model::View;
use crate::control::sweep;
use crate::control::verb;
use crate::core::command::UnitCommand;
use crate::core::model::Event;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;
use crate::core::model::Unit;
use crate::core::unit::UnitName;
use crate::http::connections;
use crate::http::connections::Client;
use crate::http::connections::Listener;
use crate::http::connections::Transport;
use crate::http::origin;
use crate::http::origin::Scheme;
use crate::http::rate::ClientRate;
use crate::metrics;
use crate::metrics::Trouble;
use crate::runner::ClusterContext;
use crate::runner::Supervision;
use crate::store::layout;
use crate::store::layout::Key;
use crate::store::leader_election::LeaderKind;
use crate::store::leader_election::LeaderRecord;
use crate::store::leader_election::hostname;
use access::AccessList;
use access::Caller;
use carrying_out::CarryingOut;
use error::ApiError;
use one_time::OneTimeAccess;

/// How long a change waits until the read model has it, so that its client sees it in the next answer.
const SEEN_WITHIN: Duration = Duration::from_secs(2);

/// The header of an answer from records that may be out of date, because the store does not answer: since when, in seconds
/// since the Unix epoch.
const STALE: &str = "muster-stale-since";

/// The type of the metrics.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The header that says how a command on a machine ended.
pub const EXIT_CODE: &str = "muster-exit-code";

/// What the server calls itself.
const NAME: &str = concat!("muster/", env!("CARGO_PKG_VERSION"));

/// A cluster as the API serves it.
#[derive(Debug)]
pub struct Api {
    cluster: ClusterContext,
    view: View,
    hostname: String,
    /// The settings and the pulse of this controller, for plans and metrics.
    supervision: Supervision,
    /// The clients of other hosts that may use it.
    access: watch::Receiver<Arc<AccessList>>,
    /// The wrong access tokens that clients have sent.
    guesses: ClientRate,
    operations: v1::Operations,
    /// A permit for each command that runs on a machine for a client.
    commands: Arc<Semaphore>,
    /// Cancelled when the service ends, so that no client keeps it from ending.
    stop: CancellationToken,
    /// Carries out changes while no controller leads; `None` if that is left to a controller or a sweep.
    carrying_out: Option<CarryingOut>,
    /// Held while a plan is made.
    planning: Mutex<()>,
}

/// The answer to a request.
type Reply = Result<Response, ApiError>;

impl Api {
    /// Makes the API of a cluster. What clients begin goes on until `cluster` is told to stop, and leads if its store lets it.
    pub fn new(
        cluster: ClusterContext,
        view: View,
        supervision: Supervision,
        access: watch::Receiver<Arc<AccessList>>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            cluster,
            view,
            hostname: hostname(),
            supervision,
            access,
            guesses: ClientRate::new(access::GUESSES),
            operations: v1::Operations::default(),
            commands: Arc::new(Semaphore::new(v1::COMMANDS)),
            stop,
            carrying_out: None,
            planning: Mutex::new(()),
        }
    }

    /// Lets this process carry out changes while no controller leads.
    #[must_use]
    pub fn that_carries_out(self, carrying_out: CarryingOut) -> Self {
        Self { carrying_out: Some(carrying_out), ..self }
    }

    /// Returns what carries out changes, if no controller does.
    fn carrier(&self) -> Option<&CarryingOut> {
        let is_controller = |leader: &LeaderRecord| leader.kind == LeaderKind::Controller;
        let has_controller = self.view.now().leader.as_ref().is_some_and(is_controller);
        self.carrying_out.as_ref().filter(|_| !has_controller)
    }

    /// Returns the cluster of this moment, once the store was read.
    fn published(&self) -> Result<Published, ApiError> {
        let published = self.view.now();
        match &published.stale {
            _ if published.is_read => Ok(published),
            Some(stale) => Err(ApiError::unavailable(format!("the store was not read yet: {}", stale.why))),
            None => Err(ApiError::unavailable("the store was not read yet")),
        }
    }

    fn now(&self) -> Timestamp {
        self.cluster.clock.now()
    }

    /// Returns the handles of the cluster for what a client asks for.
    fn cluster_for(&self, caller: &Caller) -> ClusterContext {
        ClusterContext { operator: caller.name.clone(), ..self.cluster.clone() }
    }

    /// Stores the desired states of units, as the command of the same name does, and waits for nothing else.
    async fn store(&self, caller: &Caller, command: UnitCommand) -> Result<(), ApiError> {
        let cluster = self.cluster_for(caller);
        let (lock_wait, settle) = (Duration::ZERO, Duration::ZERO);
        let timeouts = Timeouts { lock_wait, wait: None, settle, block: false };
        let (verb, unit) = (command.verb, command.unit.clone());
        let problems = verb::execute(&cluster, verb, &[command], timeouts, &mut |_| ()).await?;
        if let Some(problem) = problems.first() {
            return Err(ApiError::not_found(problem.what.clone()));
        }
        self.see(&unit).await?;
        if let Some(carrier) = self.carrier() {
            carrier.change(cluster, verb, unit);
        }
        Ok(())
    }

    /// Waits until the read model has the present record of a unit.
    async fn see(&self, unit: &UnitName) -> Result<(), ApiError> {
        let key = self.cluster.keys.key(&Key::Unit(unit.clone()));
        let record = self.cluster.store.get(&key).await?.and_then(|entry| layout::decode::<Unit>(&entry.value).ok());
        self.view.until(SEEN_WITHIN, |published| published.unit(unit) == record).await;
        Ok(())
    }
}

/// Serves the API on a socket until it is stopped.
pub async fn serve(listener: Listener, api: Arc<Api>) {
    let stop = api.stop.clone();
    connections::serve(listener, router(api), stop).await;
}

/// Serves the API and the page to one browser of this host until it is stopped.
pub async fn serve_guarded(listener: TcpListener, api: Api, access: Arc<OneTimeAccess>) {
    let (stop, routes) = (api.stop.clone(), one_time::guard(router(Arc::new(api)), access));
    connections::serve(Listener::Tcp(listener), routes, stop).await;
}

/// Returns the routes. Each request must have its [`Client`] and its [`Transport`] as extensions.
pub fn router(api: Arc<Api>) -> Router {
    Router::new()
        .nest("/api/v1", v1::router())
        .route("/metrics", get(metrics))
        .nest("/fleet/v1", fleet::router())
        .nest("/v1-alpha", fleet::router())
        .merge(page::router())
        .fallback(async || ApiError::not_found("there is no such resource"))
        .layer(middleware::from_fn_with_state(api.clone(), access::check))
        .layer(middleware::from_fn_with_state(api.clone(), check_origin))
        .with_state(api)
}

/// Refuses what the page of another site makes a browser send, and what names another host. A link of another site may lead to the
/// page itself.
async fn check_origin(
    State(api): State<Arc<Api>>,
    Extension(client): Extension<Client>,
    Extension(transport): Extension<Transport>,
    request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    // Programs on a socket of this host write what they like as the host. A browser reaches it only through a port that is
    // forwarded to it. With TLS, a browser has compared the name with the certificate.
    let is_local = matches!(client, Client::User(_)) && !origin::is_of_page(headers);
    let is_tls = matches!(transport, Transport::Tls(_));
    let (is_exempt, scheme) = (is_local || is_tls, if is_tls { Scheme::Https } else { Scheme::Http });
    let is_for_file = page::is_for_file(request.method(), request.uri().path());
    let mut response = if !is_for_file && origin::is_cross_site(headers, Some(scheme)) {
        ApiError::new(StatusCode::FORBIDDEN, "a page of another site cannot use this API").into_response()
    } else if !is_exempt && !origin::is_addressed(headers, None, &api.hostname) {
        ApiError::new(StatusCode::MISDIRECTED_REQUEST, "this service has no such name").into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.insert(SERVER, HeaderValue::from_static(NAME));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Some(stale) = api.view.now().stale {
        headers.insert(STALE, HeaderValue::from(stale.since.as_millis() / 1000));
    }
    response
}

/// Returns the problems of a cluster, as its records show them.
fn problems(published: &Published, snapshot: &Snapshot, now: Timestamp) -> Vec<Problem> {
    let events: Vec<Event> = published.events.events().cloned().collect();
    let elsewhere = published.leader.as_ref().and_then(LeaderRecord::elsewhere);
    sweep::recorded_problems(snapshot, &events, elsewhere, now)
}

/// Answers with the metrics of the cluster, for Prometheus.
async fn metrics(State(api): State<Arc<Api>>) -> Reply {
    let published = api.published()?;
    let (snapshot, now) = (published.snapshot(), api.now());
    let problems = problems(&published, &snapshot, now);
    let troubles = problems.iter().map(|it| Trouble { kind: it.kind, machine: it.machine, unit: it.unit.as_ref() });
    let state = metrics::State { snapshot: &snapshot, troubles: &troubles.collect::<Vec<_>>() };
    let stale = published.stale.as_ref().map(|stale| now.since(stale.since)).unwrap_or_default();
    let leader_epoch = published.leader.as_ref().map(|leader| leader.epoch);
    let controller = metrics::Controller { leader_epoch, stale, instruments: api.supervision.pulse.instruments() };
    let text = metrics::of_controller(&controller, state);
    Ok(([(CONTENT_TYPE, METRICS)], text).into_response())
}
