//! The event log: the latest events as JSON, or each new one as it comes (server-sent events). A client that was cut off goes
//! on after the last event that it has seen.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

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

use crate::api::Api;
use crate::api::Reply;
use crate::api::error::ApiError;
use crate::control::read_model::LogItem;
use crate::control::read_model::View;
use crate::core::model::Snapshot;
use crate::ui::event;

/// How many events a stream reads at once.
const BATCH: usize = 100;

/// How many events the list has without a number.
const LINES: usize = 20;

#[derive(Deserialize)]
pub(super) struct Parameters {
    /// How many of the latest events.
    lines: Option<usize>,
}

pub(super) async fn events(
    State(api): State<Arc<Api>>,
    Query(Parameters { lines }): Query<Parameters>,
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
        let stream = futures_util::StreamExt::take_until(follow(api.view.clone(), place), ended);
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

/// Returns the events from a place on, at the pace of their reader.
fn follow(view: View, place: u64) -> impl Stream<Item = Result<sse::Event, Infallible>> {
    let ready = VecDeque::<sse::Event>::new();
    stream::unfold((view, place, ready), async |(mut view, mut place, mut ready)| {
        loop {
            if let Some(event) = ready.pop_front() {
                return Some((Ok(event), (view, place, ready)));
            }
            let published = view.now();
            let (items, next) = published.events.read(place, BATCH);
            if items.is_empty() {
                if !view.changed().await {
                    return None;
                }
                continue;
            }
            let snapshot = published.snapshot();
            ready.extend(items.iter().map(|item| sent(&snapshot, item)));
            place = next;
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
