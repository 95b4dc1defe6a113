//! The records of the cluster, for the command line at another host: it does with them what it does with a store of its own.
//! It cannot lead, and not write what only a leader writes. The event log names it as the API knows it.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::Json;
use axum::body::Body;
use axum::body::Bytes;
use axum::extract::Query;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse as _;
use futures_util::Stream;
use futures_util::stream;
use serde::Deserialize;

use crate::api::Api;
use crate::api::Reply;
use crate::api::access::Caller;
use crate::api::access::Role;
use crate::api::error::ApiError;
use crate::api::request;
use crate::store::ChangeLine;
use crate::store::CommitReply;
use crate::store::CommitRequest;
use crate::store::Entry;
use crate::store::Listing;
use crate::store::Op;
use crate::store::Revision;
use crate::store::StoreError;
use crate::store::Watch;
use crate::store::layout;
use crate::store::layout::Key;

/// How often a stream without changes sends a sign of life. The client waits longer for one.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// Which records.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Selection {
    /// The record with this key.
    key: Option<String>,
    /// All records whose keys begin so.
    prefix: Option<String>,
}

/// From when on which changes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Since {
    prefix: String,
    after: Revision,
}

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Query(selection): Query<Selection>,
) -> Reply {
    let listing = match (selection.key, selection.prefix) {
        (Some(key), None) => {
            check_readable(&api, &caller, &key)?;
            let entry = api.cluster.store.get(&key).await?;
            let revision = entry.as_ref().map(|entry| entry.modified).unwrap_or_default();
            Listing { revision, entries: entry.into_iter().collect() }
        }
        (None, Some(prefix)) => {
            check_readable(&api, &caller, &prefix)?;
            api.cluster.store.list(&prefix).await?
        }
        _ => return Err(ApiError::bad("expected ?key=KEY or ?prefix=PREFIX")),
    };
    Ok(Json(listing).into_response())
}

pub(super) async fn changes(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Query(Since { prefix, after }): Query<Since>,
) -> Reply {
    check_readable(&api, &caller, &prefix)?;
    let lines = match api.cluster.store.watch(&prefix, after).await {
        Ok(watch) => futures_util::future::Either::Left(follow(watch, after)),
        Err(StoreError::Compacted(revision)) => {
            let line = Ok(line(&ChangeLine::Compacted(revision)));
            futures_util::future::Either::Right(stream::iter([line]))
        }
        Err(error) => return Err(error.into()),
    };
    let ended = api.stop.clone().cancelled_owned();
    let body = Body::from_stream(futures_util::StreamExt::take_until(lines, ended));
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

/// Returns the lines of a watch: first one without changes, which says that they are there.
fn follow(watch: Box<dyn Watch>, after: Revision) -> impl Stream<Item = Result<Bytes, std::io::Error>> {
    let first = line(&ChangeLine::Events(Vec::new(), after));
    let rest = stream::unfold(Some(watch), async |watch| {
        let mut watch = watch?;
        let next = match tokio::time::timeout(SIGN_OF_LIFE, watch.next()).await {
            Ok(Ok(events)) => ChangeLine::Events(events, watch.revision()),
            Err(_) => ChangeLine::Events(Vec::new(), watch.revision()),
            Ok(Err(StoreError::Compacted(revision))) => {
                return Some((Ok(line(&ChangeLine::Compacted(revision))), None));
            }
            Ok(Err(error)) => return Some((Ok(line(&ChangeLine::Failed(error.to_string()))), None)),
        };
        Some((Ok(line(&next)), Some(watch)))
    });
    futures_util::StreamExt::chain(stream::iter([Ok(first)]), rest)
}

fn line(line: &ChangeLine) -> Bytes {
    let mut text = serde_json::to_vec(line).unwrap_or_default();
    text.push(b'\n');
    text.into()
}

pub(super) async fn commit(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    let CommitRequest { preconditions, ops } = request::json(&headers, body).await?;
    for precondition in &preconditions {
        check_readable(&api, &caller, precondition.key())?;
    }
    let ops = ops.into_iter().enumerate().map(|(index, op)| admit(&api, &caller, op, index));
    let ops = ops.collect::<Result<Vec<_>, _>>()?;
    let revision = api.cluster.store.commit(preconditions, ops).await?;
    Ok(Json(CommitReply { revision }).into_response())
}

/// Checks that a client may make a change. The event of it gets the name of the client and the present time.
fn admit(api: &Api, caller: &Caller, op: Op, index: usize) -> Result<Op, ApiError> {
    let keys = &api.cluster.keys;
    if let Op::Put { key, value, lease: None } = &op
        && key.starts_with(&keys.events())
    {
        let event = layout::decode(value).map_err(|error| ApiError::bad(format!("the event {key}: {error}")))?;
        return Ok(layout::log_as(keys, event, &caller.name, api.now(), index));
    }
    let has_lease = matches!(op, Op::Put { lease: Some(_), .. });
    // Hosts refuse a cluster with another identity.
    let is_identity = op.key() == keys.key(&Key::Cluster);
    if has_lease || is_identity || keys.is_written_by_leader(op.key()) || !keys.has(op.key()) {
        let why = format!("a client of the API cannot change {}", op.key());
        return Err(ApiError::new(StatusCode::FORBIDDEN, why));
    }
    if let Op::Put { key, value, .. } = &op {
        check_readable_record(api, key, value)?;
    }
    Ok(op)
}

/// Checks that a record can be read: one that cannot would block its unit or its machine.
fn check_readable_record(api: &Api, key: &str, value: &[u8]) -> Result<(), ApiError> {
    let entry = Entry { key: key.to_owned(), value: value.to_owned(), created: 1, modified: 1 };
    let read = layout::snapshot(&api.cluster.keys, &Listing { revision: 1, entries: vec![entry] });
    match read.unreadable.first_key_value() {
        Some((key, unreadable)) => Err(ApiError::bad(format!("the record {key}: {}", unreadable.why))),
        None => Ok(()),
    }
}

/// Checks that a client may read a key, or all keys with a prefix.
fn check_readable(api: &Api, caller: &Caller, key: &str) -> Result<(), ApiError> {
    let keys = &api.cluster.keys;
    if !keys.has(key) {
        let why = format!("this controller has the cluster with the token {}, and not {key}", keys.token());
        return Err(ApiError::not_found(why));
    }
    if key.starts_with(&keys.secret_values()) && caller.role < Role::Operate {
        return Err(ApiError::new(StatusCode::FORBIDDEN, "the values of secrets need the role operate"));
    }
    Ok(())
}
