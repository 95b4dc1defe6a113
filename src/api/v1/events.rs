//! The event log: the latest events as JSON, or each new one as it comes (server-sent events). A client that was cut off goes
//! on after the last event that it has seen. A stream may also say that records have changed, so that a page needs to ask for
//! nothing while they have not.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::hash::DefaultHasher;
use std::hash::Hash as _;
use std::hash::Hasher as _;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::Query;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use axum::response::IntoResponse as _;
use axum::response::sse;
use axum::response::sse::KeepAlive;
use axum::response::sse::Sse;
use futures_util::Stream;
use futures_util::stream;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use crate::api::Api;
use crate::api::Reply;
use crate::api::error::ApiError;
use crate::control::read_model::LogItem;
use crate::control::read_model::Published;
use crate::control::read_model::View;
use crate::core::model::RECENT;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;
use crate::runner::Clock;
use crate::ui::event;

/// How many events a stream reads at once.
const BATCH: usize = 100;

/// How often a stream says at most that records have changed.
const CHANGE_INTERVAL: Duration = Duration::from_millis(250);

/// How often the ages of observations are compared while the store says nothing.
const AGE_INTERVAL: Duration = Duration::from_secs(1);

/// How many events the list has without a number.
const LINES: usize = 20;

#[derive(Deserialize)]
pub(super) struct Parameters {
    /// How many of the latest events.
    lines: Option<usize>,
    /// Whether a stream also says that records have changed.
    #[serde(default)]
    changes: bool,
}

pub(super) async fn events(
    State(api): State<Arc<Api>>,
    Query(Parameters { lines, changes }): Query<Parameters>,
    headers: HeaderMap,
) -> Reply {
    let published = api.published()?;
    if wants_stream(&headers) {
        let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
        let end = published.events.end();
        let place = match last {
            // An event that is no longer kept: all that is kept came later.
            Some(last) => published.events.after(last).unwrap_or(0),
            None => end.saturating_sub(u64::try_from(lines.unwrap_or(0)).map_err(|_| ApiError::bad("too many lines"))?),
        };
        let ended = api.stop.clone().cancelled_owned();
        let (view, clock, told) = (api.view.clone(), api.cluster.clock, changes.then(Told::default));
        let following = Following { view, clock, place, ready: VecDeque::new(), told };
        let stream = futures_util::StreamExt::take_until(follow(following), ended);
        return Ok(Sse::new(stream).keep_alive(KeepAlive::default()).into_response());
    }
    let snapshot = published.snapshot();
    let mut latest: Vec<_> = published.events.events().rev().take(lines.unwrap_or(LINES)).collect();
    latest.reverse();
    Ok(Json(latest.iter().map(|it| event::json(&snapshot, it)).collect::<Vec<_>>()).into_response())
}

/// Reports whether a client wants news as they come.
pub(super) fn wants_stream(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/event-stream"))
}

/// A stream of events on its way.
struct Following {
    view: View,
    clock: Clock,
    /// The place after the last event that was read.
    place: u64,
    /// What was read and not sent yet.
    ready: VecDeque<sse::Event>,
    /// What the client was told of the records; `None` if it does not ask for that.
    told: Option<Told>,
}

/// The state of the records as a client was told.
#[derive(Default)]
struct Told {
    state: String,
    at: Option<Instant>,
}

impl Told {
    /// Says that the records have changed, unless the client knows or was told something a moment ago.
    fn renew(&mut self, published: &Published, now: Timestamp) -> Option<sse::Event> {
        let (revision, stale) = (revision(published, now), published.stale.as_ref());
        let state = json!({"revision": revision, "stale_since": stale.map(|it| it.since)}).to_string();
        if state == self.state || self.at.is_some_and(|at| at.elapsed() < CHANGE_INTERVAL) {
            return None;
        }
        (self.state, self.at) = (state, Some(Instant::now()));
        Some(sse::Event::default().event("change").data(&self.state))
    }

    /// Returns how long to wait until the records are compared again although the store has said nothing: the age of an
    /// observation grows.
    fn wait(&self) -> Duration {
        let since = self.at.map_or(CHANGE_INTERVAL, |at| at.elapsed());
        if since < CHANGE_INTERVAL { CHANGE_INTERVAL.saturating_sub(since) } else { AGE_INTERVAL }
    }
}

/// Returns a text that is another one whenever the lists of machines and units would show something else.
pub(super) fn revision(published: &Published, now: Timestamp) -> String {
    let snapshot = published.snapshot();
    let mut hasher = DefaultHasher::new();
    if let Some(observed) = &snapshot.observed {
        (now.since(observed.at) <= RECENT).hash(&mut hasher);
        observed.behind.keys().for_each(|machine| machine.hash(&mut hasher));
    }
    format!("{}-{:x}", published.revision, hasher.finish())
}

/// Returns the events from a place on, at the pace of their reader, and the changes of records if the reader asks for them.
fn follow(following: Following) -> impl Stream<Item = Result<sse::Event, Infallible>> {
    stream::unfold(following, async |mut it| {
        loop {
            if let Some(event) = it.ready.pop_front() {
                return Some((Ok(event), it));
            }
            let published = it.view.now();
            let (items, next) = published.events.read(it.place, BATCH);
            if !items.is_empty() {
                let snapshot = published.snapshot();
                it.ready.extend(items.iter().map(|item| sent(&snapshot, item)));
                it.place = next;
                continue;
            }
            if let Some(change) = it.told.as_mut().and_then(|told| told.renew(&published, it.clock.now())) {
                it.ready.push_back(change);
                continue;
            }
            let again = it.told.as_ref().map_or(Duration::MAX, Told::wait);
            if tokio::time::timeout(again, it.view.changed()).await == Ok(false) {
                return None;
            }
        }
    })
}

fn sent(snapshot: &Snapshot, item: &LogItem) -> sse::Event {
    match item {
        LogItem::Event { id, event } => {
            sse::Event::default().id(id).event("event").data(event::json(snapshot, event).to_string())
        }
        LogItem::Gap(why) => sse::Event::default().event("gap").data(json!({"why": why}).to_string()),
    }
}
