//! The client of a request as this service sees it, so that a page knows what to offer.

use std::sync::Arc;

use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse as _;
use serde_json::json;

use crate::api::Api;
use crate::api::Reply;
use crate::api::access::Caller;

pub(super) async fn session(State(api): State<Arc<Api>>, Extension(caller): Extension<Caller>) -> Reply {
    let session = json!({
        "name": caller.name,
        "role": caller.role,
        "token": api.cluster.keys.token(),
        "version": env!("CARGO_PKG_VERSION"),
        "carries_out": api.carrying_out.is_some(),
    });
    Ok(Json(session).into_response())
}
