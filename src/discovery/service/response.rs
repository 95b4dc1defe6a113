//! Responses in the format of etcd's v2 API.

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

/// The action of a response.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Action {
    Get,
    Create,
    Delete,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KeyResponse<'a> {
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

/// Returns the body that describes one key.
pub(super) fn text(action: Action, path: &str, entry: &Entry) -> Vec<u8> {
    encode(&KeyResponse { action, node: Node::leaf(path, entry), prev_node: None })
}

/// Returns a response with one key.
pub(super) fn one(action: Action, path: &str, entry: &Entry, index: Revision) -> Response {
    with_index(index, Body::from(text(action, path, entry)))
}

/// Returns a response with a directory, created when its size was set. Hidden keys are not listed.
pub(super) fn all(path: &str, size: &Entry, servers: &[(String, &Entry)], index: Revision) -> Response {
    let nodes = servers.iter().map(|(path, entry)| Node::leaf(path, entry)).collect();
    let (modified_index, created_index) = (size.modified, size.created);
    let node = Node { key: path, dir: true, value: None, nodes, modified_index, created_index };
    with_index(index, Body::from(encode(&KeyResponse { action: Action::Get, node, prev_node: None })))
}

/// Returns the response to the removal of a key.
pub(super) fn deleted(path: &str, entry: &Entry, index: Revision) -> Response {
    let node = Node { value: None, modified_index: index, ..Node::leaf(path, entry) };
    let response = KeyResponse { action: Action::Delete, node, prev_node: Some(Node::leaf(path, entry)) };
    with_index(index, Body::from(encode(&response)))
}

/// Returns a response with a JSON body. Its header has the index from which the client waits next.
pub(super) fn with_index(index: Revision, body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("x-etcd-index", HeaderValue::from(index));
    response
}

/// An error response, with the code and the message of etcd's v2 API.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ApiError {
    #[serde(skip)]
    status: StatusCode,
    error_code: u16,
    message: &'static str,
    cause: String,
    index: Revision,
}

impl ApiError {
    pub(super) fn not_found(path: &str, index: Revision) -> Self {
        Self::new(StatusCode::NOT_FOUND, 100, "Key not found", path, index)
    }

    pub(super) fn exists(path: &str, index: Revision) -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, 105, "Key already exists", path, index)
    }

    pub(super) fn invalid_index(index: Revision) -> Self {
        let message = "The given index in POST form is not a number";
        Self::new(StatusCode::BAD_REQUEST, 203, message, "waitIndex", index)
    }

    pub(super) fn invalid_field(cause: &str, index: Revision) -> Self {
        Self::new(StatusCode::BAD_REQUEST, 209, "Invalid field", cause, index)
    }

    /// The client is expected to try again.
    pub(super) fn unavailable(cause: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, 300, "Raft Internal Error", cause, 0)
    }

    fn new(status: StatusCode, error_code: u16, message: &'static str, cause: &str, index: Revision) -> Self {
        Self { status, error_code, message, cause: cause.to_owned(), index }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = with_index(self.index, Body::from(encode(&self)));
        *response.status_mut() = self.status;
        response
    }
}
