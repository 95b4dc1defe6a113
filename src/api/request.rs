//! The bodies of requests: bounded in size and in time.

use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;
use axum::http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// The largest body, in bytes: a unit file of 1 MiB, of which each byte takes two in JSON, and the words around it.
const BODY_BYTES: usize = 3 << 20;

/// How long a client may take to send a body.
const BODY_LIMIT: Duration = Duration::from_secs(30);

/// The type of bodies.
const JSON: &str = "application/json";

/// Reads a body of JSON.
pub(super) async fn json<T: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<T, ApiError> {
    check_type(headers)?;
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let too_large = || {
        let why = format!("the body is longer than {} MiB", BODY_BYTES >> 20);
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, why)
    };
    if length.is_some_and(|length| length > BODY_BYTES) {
        return Err(too_large());
    }
    let bytes = tokio::time::timeout(BODY_LIMIT, axum::body::to_bytes(body, BODY_BYTES)).await;
    let late = || {
        let why = format!("the body did not come within {} s", BODY_LIMIT.as_secs());
        ApiError::new(StatusCode::REQUEST_TIMEOUT, why)
    };
    let bytes = bytes.map_err(|_| late())?.map_err(|_| too_large())?;
    serde_json::from_slice(&bytes).map_err(|error| ApiError::bad(format!("unable to decode body: {error}")))
}

/// Checks that the body is JSON. A form of a web page cannot send this type unless the service allows its site to.
fn check_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let refuse = |why: String| Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
    let types: Vec<_> = headers.get_all(CONTENT_TYPE).iter().collect();
    let [only] = types.as_slice() else { return refuse(format!("expected 1 Content-Type, got {}", types.len())) };
    let media = only.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if media.eq_ignore_ascii_case(JSON) {
        return Ok(());
    }
    refuse(format!("only acceptable Content-Type is {JSON}"))
}
