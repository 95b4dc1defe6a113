//! The errors of a request to etcd, sorted by what the client does next.

use std::error::Error as _;

use etcd_client::Error;
use tonic::Code;
use tonic::ConnectError;
use tonic::Status;

use super::super::StoreError;

/// Whether a request that may have arrived can be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Idempotency {
    /// Sending it twice has the effect of sending it once.
    Idempotent,
    /// It is sent again only if it certainly has not arrived.
    AtMostOnce,
}

/// A request that failed. The texts name the server.
#[derive(Debug)]
pub(super) enum EtcdError {
    /// The server was not reached. Nothing was sent.
    NotSent(String),
    /// The TLS handshake failed because a certificate was not accepted. Nothing was sent.
    Untrusted(String),
    /// The request was sent, and the server did not answer or the connection broke. It may have been carried out.
    NoAnswer(String),
    /// The server is cut off from the others, or they are electing a leader. The request may have been carried out.
    NoLeader(String),
    /// The authentication token has expired, or the roles were changed since it was issued. Nothing was done.
    TokenExpired(String),
    /// The revision was compacted. Nothing was done.
    Compacted,
    /// The lease does not exist. Nothing was done.
    LeaseNotFound,
    /// The answer was larger than the client's limit.
    AnswerTooLarge(String),
    /// The server has no room for the request now: its database is full, or it has too many requests. Nothing was done.
    NoRoom(String),
    /// The server rejected the request. Nothing was done.
    Refused(String),
}

impl EtcdError {
    /// Converts the error of a request that was sent.
    pub(super) fn new(server: &str, error: Error) -> Self {
        match error {
            Error::GRpcStatus(status) => Self::of_status(server, &status),
            Error::LeaseKeepAliveError(_) => Self::LeaseNotFound,
            Error::TransportError(error) => Self::NoAnswer(format!("{server}: {}", root(&error))),
            error => Self::NoAnswer(format!("{server}: {error}")),
        }
    }

    /// Converts an error from before the request was sent: connecting, logging in.
    pub(super) fn before_request(server: &str, error: Error) -> Self {
        match Self::new(server, error) {
            Self::NoAnswer(text) | Self::NoLeader(text) => Self::NotSent(text),
            error => error,
        }
    }

    fn of_status(server: &str, status: &Status) -> Self {
        let message = status.message().strip_prefix("etcdserver: ").unwrap_or(status.message());
        let text = format!("{server}: {message}");
        if let Some(connect) = connect_error(status) {
            let cause = root(connect);
            // Before a connection is established, `InvalidData` comes from rustls, and it means a certificate.
            let io_error = connect.0.downcast_ref::<std::io::Error>();
            return if io_error.is_some_and(|error| error.kind() == std::io::ErrorKind::InvalidData) {
                Self::Untrusted(format!("{server}: {cause}"))
            } else {
                Self::NotSent(format!("{server}: {cause}"))
            };
        }
        match status.code() {
            Code::OutOfRange if message.contains("compacted") => Self::Compacted,
            Code::OutOfRange if message.contains("message length too large") => Self::AnswerTooLarge(text),
            Code::NotFound if message.contains("lease") => Self::LeaseNotFound,
            Code::InvalidArgument if message.contains("auth store is old") => Self::TokenExpired(text),
            Code::Unavailable | Code::DeadlineExceeded
                if message.contains("leader") || message.contains("timed out") =>
            {
                Self::NoLeader(text)
            }
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Aborted | Code::Internal => {
                Self::NoAnswer(if status.source().is_some() { format!("{server}: {}", root(status)) } else { text })
            }
            // A connection that broke while a request was under way.
            Code::Unknown if status.source().is_some() => Self::NoAnswer(format!("{server}: {}", root(status))),
            Code::ResourceExhausted => Self::NoRoom(text),
            Code::Unauthenticated => Self::TokenExpired(text),
            Code::PermissionDenied => Self::Refused(format!("{text}: the user has no permission for these keys")),
            _ if message.contains("user name is empty") => {
                Self::Refused(format!("{server}: etcd requires a user: set --etcd-username"))
            }
            _ => Self::Refused(text),
        }
    }

    /// Reports whether the request may be sent to another server.
    pub(super) fn may_try_another_server(&self, idempotency: Idempotency) -> bool {
        match self {
            Self::NotSent(_) | Self::Untrusted(_) => true,
            Self::NoAnswer(_) | Self::NoLeader(_) => idempotency == Idempotency::Idempotent,
            Self::TokenExpired(_)
            | Self::Compacted
            | Self::LeaseNotFound
            | Self::AnswerTooLarge(_)
            | Self::NoRoom(_)
            | Self::Refused(_) => false,
        }
    }

    /// Reports whether the server did not answer, so that the next request goes to another one.
    pub(super) const fn is_no_answer(&self) -> bool {
        matches!(self, Self::NoAnswer(_) | Self::NoLeader(_))
    }

    /// Converts it to the store's error. `certificate_hint` follows the text of a connection that broke.
    pub(super) fn into_store_error(self, store: String, certificate_hint: &str) -> StoreError {
        match self {
            Self::NoAnswer(detail) => StoreError::Unavailable { store, detail: format!("{detail}{certificate_hint}") },
            Self::NotSent(detail) | Self::NoLeader(detail) | Self::NoRoom(detail) => {
                StoreError::Unavailable { store, detail }
            }
            Self::Untrusted(detail)
            | Self::TokenExpired(detail)
            | Self::AnswerTooLarge(detail)
            | Self::Refused(detail) => StoreError::Refused { store, detail },
            Self::Compacted => StoreError::Unavailable {
                store,
                detail: "etcd was compacted during each attempt to list it".to_owned(),
            },
            Self::LeaseNotFound => StoreError::Refused { store, detail: "the lease does not exist".to_owned() },
        }
    }
}

fn connect_error(status: &Status) -> Option<&ConnectError> {
    let mut cause = status.source();
    while let Some(error) = cause {
        if let Some(connect) = error.downcast_ref::<ConnectError>() {
            return Some(connect);
        }
        cause = error.source();
    }
    None
}

/// Returns the text of the innermost error: the cause, without the layers above it.
fn root(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etcd_whose_database_is_full_is_out_of_reach_and_not_misconfigured() {
        let full = Status::resource_exhausted("etcdserver: mvcc: database space exceeded");
        let error = EtcdError::of_status("h1:2379", &full).into_store_error("etcd://h1:2379".to_owned(), "");
        assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
        assert_eq!(error.to_string(), "store etcd://h1:2379: h1:2379: mvcc: database space exceeded");
    }
}
