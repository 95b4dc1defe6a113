//! Turns errors of the network and the SSH library into [`Failure`]s.

use std::io;
use std::time::Duration;

use crate::core::model::Failure;
use crate::core::model::FailureKind;
use crate::core::model::Phase;
use crate::core::sanitize;
use crate::core::sanitize::MESSAGE_LIMIT;
use crate::remote::OUR_FAULT;
use crate::remote::RunAs;

/// The host and the phase of an error, from which a [`Failure`] is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct ErrorContext<'a> {
    pub(super) host: &'a str,
    pub(super) phase: Phase,
}

impl ErrorContext<'_> {
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

    /// Makes a failure of an error of the network.
    pub(super) fn io(self, error: &io::Error) -> Failure {
        self.failure(failure_kind(error.kind()), message(error))
    }

    /// Makes a failure of an error of the SSH library.
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
            // The library's own task panicked: nothing was learned about the host.
            Error::Join(_) => self.failure(FailureKind::Local, OUR_FAULT),
            Error::NoCommonAlgo { kind, ours, theirs } => {
                let theirs = sanitize::truncate(&theirs.join(" "), MESSAGE_LIMIT);
                let detail =
                    format!("no {kind:?} algorithm in common: muster has {}, the host has {theirs}", ours.join(" "));
                self.failure(FailureKind::Sick, detail)
            }
            other => self.failure(FailureKind::Sick, format!("the host violates the SSH protocol: {other}")),
        }
    }

    /// Runs a step with a deadline.
    pub(super) async fn within<T>(
        self,
        limit: Duration,
        step: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::time::timeout(limit, step).await.unwrap_or_else(|_| Err(self.silent(limit)))
    }
}

/// Adds a hint to a failure.
pub(super) fn hint(mut failure: Failure, hint: impl Into<String>) -> Failure {
    failure.hint = Some(hint.into());
    failure
}

/// Makes a failure of a `sudo` or `su` that refused, with the lines in which it says why.
pub(super) fn denied_user(said: &str, user: &RunAs, at: ErrorContext<'_>) -> Failure {
    let lines: Vec<&str> = said.lines().filter(|line| line.contains("sudo") || line.contains("su: ")).collect();
    let reason = sanitize::printable(lines.join(" ").as_bytes());
    let detail = format!("the host does not allow {}: {reason}", user.name());
    let advice = if said.contains("must have a tty") {
        "Exempt the user from requiretty in sudoers(5), for example with `Defaults:USER !requiretty`."
    } else {
        "Log in as root, or allow the user to run `sudo` without a password (NOPASSWD in sudoers(5))."
    };
    hint(at.failure(FailureKind::Denied, detail), advice)
}

/// Makes a failure of a `sudo` that refused the password of a user.
pub(super) fn refused_password(user: &str, at: ErrorContext<'_>) -> Failure {
    let of = if user.is_empty() { String::new() } else { format!(" of {user}") };
    let detail = format!("sudo refused the password{of}");
    let failure = ErrorContext { phase: Phase::Shell, ..at }.failure(FailureKind::Denied, detail);
    hint(failure, "Check the password of `--ask-become-pass`, `--become-password-file` or `ansible_become_password`.")
}

fn failure_kind(kind: io::ErrorKind) -> FailureKind {
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

/// Returns the system's message without its number and in lower case.
fn message(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return "the connection was closed".to_owned();
    }
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

/// Formats a time limit.
fn seconds(limit: Duration) -> String {
    if limit.subsec_millis() == 0 { format!("{} s", limit.as_secs()) } else { format!("{} ms", limit.as_millis()) }
}
