//! Answers as etcd's v2 API writes them.

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::response::Response;
use serde::Serialize;

use crate::store::Entry;
use crate::store::Revision;
use crate::store::layout::encode;

/// What was done.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Action {
    Get,
    Create,
    Delete,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Done<'a> {
    action: Action,
    node: Node<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_node: Option<Node<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Node<'a> {
    key: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dir: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    nodes: Vec<Node<'a>>,
    modified_index: Revision,
    created_index: Revision,
}

impl<'a> Node<'a> {
    fn leaf(key: &'a str, entry: &Entry) -> Self {
        let value = Some(String::from_utf8_lossy(&entry.value).into_owned());
        let (modified_index, created_index) = (entry.modified, entry.created);
        Self { key, dir: false, value, nodes: Vec::new(), modified_index, created_index }
    }
}

/// Writes one key.
pub(super) fn text(action: Action, path: &str, entry: &Entry) -> Vec<u8> {
    encode(&Done { action, node: Node::leaf(path, entry), prev_node: None })
}

/// Answers with one key.
pub(super) fn one(action: Action, path: &str, entry: &Entry, index: Revision) -> Response {
    with_index(index, Body::from(text(action, path, entry)))
}

/// Answers with a folder that was made when its size was set. Hidden keyspace are not listed.
pub(super) fn all(path: &str, size: &Entry, servers: &[(String, &Entry)], index: Revision) -> Response {
    let nodes = servers.iter().map(|(path, entry)| Node::leaf(path, entry)).collect();
    let (modified_index, created_index) = (size.modified, size.created);
    let node = Node { key: path, dir: true, value: None, nodes, modified_index, created_index };
    with_index(index, Body::from(encode(&Done { action: Action::Get, node, prev_node: None })))
}

/// Answers that a key was removed.
pub(super) fn deleted(path: &str, entry: &Entry, index: Revision) -> Response {
    let node = Node { value: None, modified_index: index, ..Node::leaf(path, entry) };
    let done = Done { action: Action::Delete, node, prev_node: Some(Node::leaf(path, entry)) };
    with_index(index, Body::from(encode(&done)))
}

/// Answers with JSON; the header is what the client waits from.
pub(super) fn with_index(index: Revision, body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("x-etcd-index", HeaderValue::from(index));
    response
}

/// What is answered instead, in etcd's words and numbers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Refusal {
    #[serde(skip)]
    status: StatusCode,
    error_code: u16,
    message: &'static str,
    cause: String,
    index: Revision,
}

impl Refusal {
    pub(super) fn not_found(path: &str, index: Revision) -> Self {
        Self::new(StatusCode::NOT_FOUND, 100, "Key not found", path, index)
    }

    pub(super) fn exists(path: &str, index: Revision) -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, 105, "Key already exists", path, index)
    }

    pub(super) fn index_is_no_number(index: Revision) -> Self {
        let message = "The given index in POST form is not a number";
        Self::new(StatusCode::BAD_REQUEST, 203, message, "waitIndex", index)
    }

    pub(super) fn bad_field(why: &str, index: Revision) -> Self {
        Self::new(StatusCode::BAD_REQUEST, 209, "Invalid field", why, index)
    }

    /// The one who asks is to try again.
    pub(super) fn unavailable(why: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, 300, "Raft Internal Error", why, 0)
    }

    fn new(status: StatusCode, error_code: u16, message: &'static str, cause: &str, index: Revision) -> Self {
        Self { status, error_code, message, cause: cause.to_owned(), index }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = with_index(self.index, Body::from(encode(&self)));
        *response.status_mut() = self.status;
        response
    }
}
