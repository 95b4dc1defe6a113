//! Failures of a handshake: they tell a path that failed from an sshd that limits connections and from a server that
//! does not speak SSH.

use super::failure::ErrorContext;
use super::failure::hint;
use super::host_key::SessionError;
use super::host_key::SharedCloseReason;
use super::stream::Banner;
use crate::core::model::Failure;
use crate::core::model::FailureKind;
use crate::core::model::Phase;
use crate::core::sanitize;

/// The carrier of a connection, which can fail without the host's doing.
pub(super) enum Carrier {
    /// A TCP connection.
    Tcp,
    /// A proxy command.
    Command,
    /// A connection to a jump host, which is open.
    Jump,
    /// A connection to a jump host, which has ended for this reason, if the reason is known.
    EndedJump(Option<String>),
}

impl Carrier {
    /// Returns why the path failed, if it failed before an SSH server at its end said anything.
    fn failed(&self, error: &russh::Error, banner: &Banner) -> Option<String> {
        if banner.is_ssh() {
            return None;
        }
        if let Self::EndedJump(why) = self {
            let why = why.as_ref().map(|why| format!(": {why}"));
            return Some(format!("the connection to the jump host was lost{}", why.unwrap_or_default()));
        }
        let said = sanitize::printable(&banner.bytes());
        if !matches!(self, Self::Command) || is_throttle(&said) {
            return None;
        }
        match error {
            russh::Error::IO(error) if said.is_empty() => Some(error.to_string()),
            russh::Error::IO(error) => Some(format!("{error}; it printed {said:?}")),
            russh::Error::Version => Some(format!("the proxy command printed something other than SSH: {said:?}")),
            _ => None,
        }
    }
}

/// Reports whether sshd prints this text when it limits connections.
fn is_throttle(said: &str) -> bool {
    ["Exceeded MaxStartups", "Not allowed at this time"].iter().any(|start| said.starts_with(start))
}

/// Makes a failure of an error during the handshake.
pub(super) fn handshake_failure(
    error: &SessionError,
    banner: &Banner,
    close_reason: &SharedCloseReason,
    carrier: &Carrier,
    at: ErrorContext<'_>,
) -> Failure {
    let error = match error {
        SessionError::HostKey { kind, detail, hint: advice } => {
            return hint(at.failure(*kind, detail), advice);
        }
        SessionError::Ssh(error) => error,
    };
    if let Some(detail) = carrier.failed(error, banner) {
        return ErrorContext { phase: Phase::Connect, ..at }.failure(FailureKind::Path, detail);
    }
    let mut failure = at.ssh(error);
    let said = sanitize::printable(&banner.bytes());
    if failure.kind == FailureKind::Reset && !banner.past_greeting() {
        if is_throttle(&said) {
            return throttled(&format!(": {said}"), at);
        }
        // Older versions of sshd print nothing when they limit connections.
        if (said.is_empty() || banner.is_ssh()) && !matches!(carrier, Carrier::Command) {
            return throttled("", at);
        }
        if !said.is_empty() && !banner.is_ssh() {
            failure.kind = FailureKind::Sick;
            failure.detail = format!("the server there does not speak SSH: it sent {said:?}");
        }
    } else if matches!(error, russh::Error::Version) {
        failure.detail = format!("the server there does not speak SSH: it sent {said:?}");
    } else if let Some(reason) = close_reason.get() {
        failure.detail.clone_from(&reason.text);
    }
    failure
}

fn throttled(said: &str, at: ErrorContext<'_>) -> Failure {
    let detail = format!("the host closed the connection before the key exchange{said}");
    hint(
        at.failure(FailureKind::Throttled, detail),
        "Check MaxStartups and PerSourcePenalties in sshd_config(5): sshd limits new connections.",
    )
}
