//! What went wrong on the way to a host, in the words the rest of muster shares. Errors in, [`Failure`]s out.

use std::io;
use std::time::Duration;

use crate::core::model::Failure;
use crate::core::model::FailureKind;
use crate::core::model::Phase;
use crate::core::sanitize;
use crate::core::sanitize::MESSAGE_LIMIT;
use crate::remote::OUR_FAULT;

/// Where an error happened: enough to make a [`Failure`] of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) host: &'a str,
    pub(super) phase: Phase,
}

impl At<'_> {
    /// Makes a failure.
    pub(super) fn failure(self, kind: FailureKind, detail: impl Into<String>) -> Failure {
        Failure { host: self.host.to_owned(), phase: self.phase, kind, detail: detail.into(), hint: None }
    }

    /// Makes a failure of an error in the configuration or on this machine.
    pub(super) fn local(self, error: impl std::fmt::Display) -> Failure {
        self.failure(FailureKind::Local, error.to_string())
    }

    /// Makes a failure of a deadline that has passed.
    pub(super) fn silent(self, limit: Duration) -> Failure {
        self.failure(FailureKind::Silent, format!("nothing came back within {}", seconds(limit)))
    }

    /// Makes a failure of what the network said.
    pub(super) fn io(self, error: &io::Error) -> Failure {
        self.failure(kind_of(error.kind()), plain(error))
    }

    /// Makes a failure of what the SSH library said.
    pub(super) fn ssh(self, error: &russh::Error) -> Failure {
        use russh::Error;
        match error {
            Error::IO(error) => self.io(error),
            Error::KeepaliveTimeout | Error::InactivityTimeout => {
                self.failure(FailureKind::Silent, "the host stopped answering")
            }
            Error::HUP | Error::Disconnect | Error::SendError | Error::RecvError => {
                self.failure(FailureKind::Reset, "the connection was closed")
            }
            // The library's own task is no more: nothing was learned about the host.
            Error::Join(_) => self.failure(FailureKind::Local, OUR_FAULT),
            Error::NoCommonAlgo { kind, ours, theirs } => {
                let theirs = sanitize::truncate(&theirs.join(" "), MESSAGE_LIMIT);
                let detail = format!("no {kind:?} algorithm in common: we have {}, it has {theirs}", ours.join(" "));
                self.failure(FailureKind::Sick, detail)
            }
            other => self.failure(FailureKind::Sick, format!("it does not speak SSH as it should: {other}")),
        }
    }

    /// Gives a step of the way its deadline.
    pub(super) async fn within<T>(
        self,
        limit: Duration,
        step: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::time::timeout(limit, step).await.unwrap_or_else(|_| Err(self.silent(limit)))
    }
}

/// Adds what to do about it.
pub(super) fn hint(mut failure: Failure, hint: impl Into<String>) -> Failure {
    failure.hint = Some(hint.into());
    failure
}

fn kind_of(kind: io::ErrorKind) -> FailureKind {
    use io::ErrorKind;
    match kind {
        ErrorKind::ConnectionRefused => FailureKind::Refused,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => FailureKind::NoRoute,
        ErrorKind::TimedOut => FailureKind::Silent,
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof
        | ErrorKind::NotConnected => FailureKind::Reset,
        _ => FailureKind::Local,
    }
}

/// Says what the system said, without its number and in lower case.
fn plain(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return "the connection was closed".to_owned();
    }
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

/// Writes a time as a person would.
fn seconds(limit: Duration) -> String {
    if limit.subsec_millis() == 0 { format!("{} s", limit.as_secs()) } else { format!("{} ms", limit.as_millis()) }
}
