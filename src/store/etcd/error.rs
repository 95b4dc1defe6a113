//! What etcd and the way to it can answer instead of an answer.

use std::error::Error as _;

use etcd_client::Error;
use tonic::Code;
use tonic::ConnectError;
use tonic::Status;

use super::super::StoreError;
use super::cluster::Cluster;
use super::cluster::Nature;

/// Why a request has no answer, as far as it decides what to do next. The texts name the server.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The server was not reached: nothing was sent.
    Unsent(String),
    /// The server was not reached because it or we are not who the certificates say: nothing was sent.
    Distrust(String),
    /// The server was sent the request and did not answer, or the connection broke.
    Silence(String),
    /// The server is cut off from the others, or they are electing a leader; the request may have been taken.
    NoLeader(String),
    /// The token has run out, or the roles were changed since it was given: nothing was done.
    OldToken(String),
    /// The revision is no longer kept.
    Compacted,
    /// There is no such lease.
    NoLease,
    /// The answer was larger than we take.
    AnswerTooLarge(String),
    /// It will not: nothing was done.
    Refused(String),
}

impl Trouble {
    /// Reads an error that a request ended in.
    pub(super) fn new(server: &str, error: Error) -> Self {
        match error {
            Error::GRpcStatus(status) => Self::of_status(server, &status),
            Error::LeaseKeepAliveError(_) => Self::NoLease,
            Error::TransportError(error) => Self::Silence(format!("{server}: {}", root(&error))),
            error => Self::Silence(format!("{server}: {error}")),
        }
    }

    /// Reads an error of getting ready: the request itself was not sent.
    pub(super) fn before_sending(server: &str, error: Error) -> Self {
        match Self::new(server, error) {
            Self::Silence(text) | Self::NoLeader(text) => Self::Unsent(text),
            trouble => trouble,
        }
    }

    fn of_status(server: &str, status: &Status) -> Self {
        let message = status.message().strip_prefix("etcdserver: ").unwrap_or(status.message());
        let text = format!("{server}: {message}");
        if let Some(connect) = connect_error(status) {
            let cause = root(connect);
            // rustls has no quarrel but with certificates before a connection stands.
            let distrust = connect.0.downcast_ref::<std::io::Error>();
            return if distrust.is_some_and(|error| error.kind() == std::io::ErrorKind::InvalidData) {
                Self::Distrust(format!("{server}: {cause}"))
            } else {
                Self::Unsent(format!("{server}: {cause}"))
            };
        }
        match status.code() {
            Code::OutOfRange if message.contains("compacted") => Self::Compacted,
            Code::OutOfRange if message.contains("message length too large") => Self::AnswerTooLarge(text),
            Code::NotFound if message.contains("lease") => Self::NoLease,
            Code::InvalidArgument if message.contains("auth store is old") => Self::OldToken(text),
            Code::Unavailable | Code::DeadlineExceeded
                if message.contains("leader") || message.contains("timed out") =>
            {
                Self::NoLeader(text)
            }
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Aborted | Code::Internal => {
                Self::Silence(if status.source().is_some() { format!("{server}: {}", root(status)) } else { text })
            }
            // What a broken connection looks like once a request was under way.
            Code::Unknown if status.source().is_some() => Self::Silence(format!("{server}: {}", root(status))),
            Code::Unauthenticated => Self::OldToken(text),
            Code::PermissionDenied => Self::Refused(format!("{text}: the user may not do this here")),
            _ if message.contains("user name is empty") => {
                Self::Refused(format!("{server}: a user is needed: set --etcd-username"))
            }
            _ => Self::Refused(text),
        }
    }

    /// Says whether another server may be asked.
    pub(super) fn may_go_elsewhere(&self, nature: Nature) -> bool {
        match self {
            Self::Unsent(_) | Self::Distrust(_) => true,
            Self::Silence(_) | Self::NoLeader(_) => nature == Nature::Repeatable,
            Self::OldToken(_) | Self::Compacted | Self::NoLease | Self::AnswerTooLarge(_) | Self::Refused(_) => false,
        }
    }

    /// Says whether the server is better left alone for now.
    pub(super) const fn is_silence(&self) -> bool {
        matches!(self, Self::Silence(_) | Self::NoLeader(_))
    }

    /// Tells it to whoever asked the store.
    pub(super) fn told(self, cluster: &Cluster) -> StoreError {
        let store = cluster.name();
        match self {
            Self::Silence(detail) => StoreError::Away { store, detail: format!("{detail}{}", cluster.suspicion()) },
            Self::Unsent(detail) | Self::NoLeader(detail) => StoreError::Away { store, detail },
            Self::Distrust(detail) | Self::OldToken(detail) | Self::AnswerTooLarge(detail) | Self::Refused(detail) => {
                StoreError::Refused { store, detail }
            }
            Self::Compacted => {
                StoreError::Away { store, detail: "it is compacted faster than it can be listed".to_owned() }
            }
            Self::NoLease => StoreError::Refused { store, detail: "there is no such lease".to_owned() },
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

/// Returns what lies at the bottom of an error: what happened, without how it came up.
fn root(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
