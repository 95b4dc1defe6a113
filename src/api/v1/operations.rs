//! Operations: verbs whose progress a client follows until the outcome is known. They live in the controller that began them.

use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use axum::Extension;
use axum::Json;
use axum::body::Body;
use axum::extract::Path;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use axum::response::sse;
use axum::response::sse::KeepAlive;
use axum::response::sse::Sse;
use futures_util::Stream;
use futures_util::stream;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;
use tokio::sync::watch;

use super::changes::VERBS;
use super::changes::known;
use super::events::wants_stream;
use super::no_such_unit;
use super::parse;
use crate::api::Api;
use crate::api::Reply;
use crate::api::access::Caller;
use crate::api::error::ApiError;
use crate::api::request;
use crate::control::problems::Problem;
use crate::control::progress::Progress;
use crate::control::progress::Timeouts;
use crate::control::verb;
use crate::core::command::UnitCommand;
use crate::core::model::Timestamp;
use crate::core::model::Verb;
use crate::core::unit::UnitName;
use crate::runner::ClusterContext;
use crate::ui;

/// How many operations may be under way at once.
const UNDER_WAY: usize = 32;

/// How many operations are kept.
const KEPT: usize = 128;

/// How many units one operation may have.
const UNITS: usize = 1000;

/// How many reports of an operation are kept.
const REPORTS: usize = 2000;

/// How long an operation waits for units unless its client says otherwise, and at most.
const WAIT: (u64, u64) = (90, 3600);

/// For how long a unit that was started must run, unless the client says otherwise.
const SETTLE: u64 = 2;

/// What a client asks for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wish {
    verb: String,
    units: BTreeSet<String>,
    /// In seconds.
    #[serde(default)]
    wait: Option<u64>,
    /// In seconds.
    #[serde(default)]
    settle: Option<u64>,
}

/// One operation.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Operation {
    id: String,
    verb: String,
    units: Vec<UnitName>,
    by: String,
    began_at: Timestamp,
    /// When the outcome was known.
    ended_at: Option<Timestamp>,
    /// What happened so far: each with `unit`, `event` or `warning`.
    progress: Vec<Value>,
    /// What is wrong with units, once the outcome is known.
    problems: Vec<Problem>,
    /// Why the operation ended early.
    error: Option<String>,
}

impl Operation {
    fn report(&mut self, report: Value) {
        if self.progress.len() < REPORTS {
            self.progress.push(report);
        }
    }
}

/// The operations of a controller.
#[derive(Debug, Default)]
pub(in crate::api) struct Operations(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    operations: VecDeque<watch::Receiver<Operation>>,
    count: u64,
}

impl Operations {
    /// Adds an operation, unless too many are under way. The eldest one that has ended is forgotten.
    fn add(&self, make: impl FnOnce(u64) -> Operation) -> Option<watch::Sender<Operation>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let has_ended = |operation: &watch::Receiver<Operation>| operation.borrow().ended_at.is_some();
        if kept.operations.iter().filter(|operation| !has_ended(operation)).count() >= UNDER_WAY {
            return None;
        }
        if kept.operations.len() >= KEPT
            && let Some(eldest) = kept.operations.iter().position(has_ended)
        {
            kept.operations.remove(eldest);
        }
        kept.count += 1;
        let (sender, receiver) = watch::channel(make(kept.count));
        kept.operations.push_back(receiver);
        Some(sender)
    }

    fn all(&self) -> Vec<watch::Receiver<Operation>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).operations.iter().cloned().collect()
    }

    fn find(&self, id: &str) -> Result<watch::Receiver<Operation>, ApiError> {
        let found = self.all().into_iter().find(|operation| operation.borrow().id == id);
        found.ok_or_else(|| ApiError::not_found(format!("this controller has no operation {id:?}")))
    }
}

pub(super) async fn begin(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    let wish: Wish = request::json(&headers, body).await?;
    let verb = known(&VERBS, &wish.verb)?;
    let units = wish.units.iter().map(|unit| parse(unit)).collect::<Result<Vec<_>, _>>()?;
    if units.is_empty() || units.len() > UNITS {
        return Err(ApiError::bad(format!("expected 1 to {UNITS} units, got {}", units.len())));
    }
    let published = api.published()?;
    if let Some(unknown) = units.iter().find(|unit| published.unit(unit).is_none()) {
        return Err(no_such_unit(unknown));
    }
    let (wait, settle) = (wish.wait.unwrap_or(WAIT.0), wish.settle.unwrap_or(SETTLE));
    if wait > WAIT.1 || settle > WAIT.1 {
        return Err(ApiError::bad(format!("wait and settle are at most {} seconds", WAIT.1)));
    }
    let (wait, settle) = (Duration::from_secs(wait), Duration::from_secs(settle));
    let timeouts = Timeouts { lock_wait: wait, wait: Some(wait), settle, block: true };
    let cluster = api.cluster_for(&caller);
    let operation = |number| Operation {
        id: format!("{}-{number}", cluster.clock.now().as_millis()),
        verb: verb.to_string(),
        units: units.clone(),
        by: caller.name.clone(),
        began_at: cluster.clock.now(),
        ended_at: None,
        progress: Vec::new(),
        problems: Vec::new(),
        error: None,
    };
    let busy = || {
        let why = format!("{UNDER_WAY} operations are under way: wait for the end of one");
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, why)
    };
    let operation = api.operations.add(operation).ok_or_else(busy)?;
    let begun = operation.borrow().clone();
    let stop = api.stop.clone();
    tokio::spawn(async move { stop.run_until_cancelled(carry_out(cluster, verb, units, timeouts, operation)).await });
    Ok((StatusCode::ACCEPTED, Json(begun)).into_response())
}

async fn carry_out(
    cluster: ClusterContext,
    verb: Verb,
    units: Vec<UnitName>,
    timeouts: Timeouts,
    operation: watch::Sender<Operation>,
) {
    let commands: Vec<UnitCommand> = units.into_iter().map(|unit| UnitCommand::new(verb, unit)).collect();
    let mut on_progress = |progress: Progress<'_>| {
        let report = match &progress {
            Progress::Warning(text) => json!({ "warning": text }),
            Progress::Event(snapshot, event) => json!({ "event": ui::event::json(snapshot, event) }),
            other => other.record().unwrap_or_default(),
        };
        operation.send_modify(|operation| operation.report(report));
    };
    let ended = verb::execute(&cluster, verb, &commands, timeouts, &mut on_progress).await;
    operation.send_modify(|operation| {
        operation.ended_at = Some(cluster.clock.now());
        match ended {
            Ok(problems) => operation.problems = problems,
            Err(error) => operation.error = Some(error.to_string()),
        }
    });
}

pub(super) async fn list(State(api): State<Arc<Api>>) -> Reply {
    let operations: Vec<Operation> = api.operations.all().iter().map(|operation| operation.borrow().clone()).collect();
    Ok(Json(operations).into_response())
}

pub(super) async fn show(State(api): State<Arc<Api>>, Path(id): Path<String>, headers: HeaderMap) -> Reply {
    let operation = api.operations.find(&id)?;
    if wants_stream(&headers) {
        let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse::<usize>().ok());
        let ended = api.stop.clone().cancelled_owned();
        let stream = futures_util::StreamExt::take_until(follow(operation, last.map_or(0, |last| last + 1)), ended);
        return Ok(Sse::new(stream).keep_alive(KeepAlive::default()).into_response());
    }
    Ok(Json(operation.borrow().clone()).into_response())
}

/// Returns the reports of an operation from one on, and then its end.
fn follow(operation: watch::Receiver<Operation>, from: usize) -> impl Stream<Item = Result<sse::Event, Infallible>> {
    stream::unfold(Some((operation, from)), async |place| {
        let (mut operation, next) = place?;
        let now = operation.wait_for(|it| it.progress.len() > next || it.ended_at.is_some()).await.ok()?.clone();
        let Some(report) = now.progress.get(next) else {
            let end = sse::Event::default().event("end").data(json!(now).to_string());
            return Some((Ok(end), None));
        };
        let event = sse::Event::default().id(next.to_string()).event("progress").data(report.to_string());
        Some((Ok(event), Some((operation, next + 1))))
    })
}
