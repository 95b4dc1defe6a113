//! The errors of the API: the body is fleet's, with a hint beside the message.

use axum::Json;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::response::Response;
use serde::Serialize;

use crate::control::membership::MembershipError;
use crate::control::progress::OperationError;
use crate::core::command::InvalidCommand;
use crate::core::sanitize;
use crate::store::StoreError;

/// A request that was refused, or that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiError {
    status: StatusCode,
    message: String,
}

#[derive(Serialize)]
struct Body<'a> {
    error: Content<'a>,
}

#[derive(Serialize)]
struct Content<'a> {
    code: u16,
    message: &'a str,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }

    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let message = sanitize::text(&self.message);
        let body = Body { error: Content { code: self.status.as_u16(), message: &message } };
        (self.status, Json(body)).into_response()
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::unavailable(error.to_string())
    }
}

impl From<InvalidCommand> for ApiError {
    fn from(error: InvalidCommand) -> Self {
        let status = match error {
            InvalidCommand::NoFile(..) | InvalidCommand::Unknown(..) => StatusCode::NOT_FOUND,
            InvalidCommand::WrongState { .. }
            | InvalidCommand::SameService { .. }
            | InvalidCommand::SameName { .. }
            | InvalidCommand::ChangedMeanwhile(_)
            | InvalidCommand::ClassChanges { .. } => StatusCode::CONFLICT,
            InvalidCommand::Unreadable { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        };
        Self::new(status, error.to_string())
    }
}

impl From<MembershipError> for ApiError {
    fn from(error: MembershipError) -> Self {
        match error {
            MembershipError::Store(error) => error.into(),
            MembershipError::Operation(error) => error.into(),
            MembershipError::Machine(error) => Self::not_found(error.to_string()),
            error => Self::conflict(error.to_string()),
        }
    }
}

impl From<OperationError> for ApiError {
    fn from(error: OperationError) -> Self {
        match error {
            OperationError::Invalid(error) => error.into(),
            OperationError::Store(error) => error.into(),
            error @ (OperationError::Busy(_) | OperationError::Contended(_)) => Self::conflict(error.to_string()),
            error @ OperationError::NoController => Self::unavailable(error.to_string()),
            OperationError::Stopped => Self::unavailable("the controller is stopping"),
        }
    }
}
