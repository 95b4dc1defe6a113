//! Errors as a person reads them, and the exit codes: one place for both.

use std::process::ExitCode;

use crate::core::lease::TooShort;
use crate::core::model::Failure;
use crate::core::model::FailureKind;
use crate::core::model::Phase;
use crate::store::StoreError;

/// How a command ends when it does not end well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Some host or unit failed: 1.
    Failed,
    /// The command line, a file or a setting is wrong; nothing was done: 2.
    Usage,
    /// The hosts or the store could not be reached: 3.
    Unreachable,
    /// The operator stopped it: 130.
    Interrupted,
    /// A remote command's own exit code, or Ansible's for `play` and `exec`.
    Code(u8),
}

/// What went wrong, why, and what to do.
#[derive(Debug)]
pub struct CommandError {
    /// Which exit code.
    pub kind: ErrorKind,
    /// What and why, a sentence without a full stop. Empty if everything has been said already.
    pub message: String,
    /// What to do about it.
    pub hints: Vec<String>,
}

impl CommandError {
    /// Some host or unit failed.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Failed, message)
    }

    /// The command line, a file or a setting is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message)
    }

    /// The hosts or the store could not be reached.
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unreachable, message)
    }

    /// Ends with this exit code, everything having been said.
    pub const fn code(code: u8) -> Self {
        Self { kind: ErrorKind::Code(code), message: String::new(), hints: Vec::new() }
    }

    /// Ends as this error does, everything having been said.
    #[must_use]
    pub fn said(self) -> Self {
        Self { message: String::new(), hints: Vec::new(), ..self }
    }

    fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hints: Vec::new() }
    }

    /// Makes one error of several: the worst decides the exit code, and a hint is given once.
    pub fn all(errors: Vec<Self>) -> Result<(), Self> {
        let Some(worst) = errors.iter().map(|error| error.kind).min_by_key(|kind| *kind != ErrorKind::Failed) else {
            return Ok(());
        };
        let mut hints: Vec<String> = Vec::new();
        for hint in errors.iter().flat_map(|error| &error.hints) {
            if !hints.contains(hint) {
                hints.push(hint.clone());
            }
        }
        let messages: Vec<String> = errors.into_iter().map(|error| error.message).collect();
        Err(Self { kind: worst, message: messages.join("\nError: "), hints })
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Returns the process's exit code.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self.kind {
            ErrorKind::Failed => 1,
            ErrorKind::Usage => 2,
            ErrorKind::Unreachable => 3,
            ErrorKind::Interrupted => 130,
            ErrorKind::Code(code) => code,
        })
    }
}

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        let message = error.to_string();
        match error {
            StoreError::Unavailable { .. } => Self::unreachable(message)
                .hint("Check where it is with `--store`, or wait until it is back: without it nothing is decided."),
            StoreError::Refused { .. } => Self::usage(message),
            StoreError::Compacted(_) | StoreError::LeaseExpired(_) => Self::failed(message),
        }
    }
}

impl From<TooShort> for CommandError {
    fn from(error: TooShort) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<Failure> for CommandError {
    fn from(failure: Failure) -> Self {
        let message = failure.to_string();
        let mut error = match failure.kind {
            _ if failure.phase == Phase::Configure => Self::usage(message),
            FailureKind::Sick => Self::failed(message),
            _ => Self::unreachable(message),
        };
        error.hints.extend(failure.hint);
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_wrong_with_the_configuration_is_a_usage_error() {
        for (phase, kind, expected) in [
            (Phase::Configure, FailureKind::Local, ErrorKind::Usage),
            (Phase::Resolve, FailureKind::Local, ErrorKind::Unreachable),
            (Phase::Connect, FailureKind::Local, ErrorKind::Unreachable),
            (Phase::KeyExchange, FailureKind::HostKey, ErrorKind::Unreachable),
            (Phase::Run, FailureKind::Sick, ErrorKind::Failed),
        ] {
            let failure = Failure { host: String::new(), phase, kind, detail: String::new(), hint: None };
            assert_eq!(CommandError::from(failure).kind, expected, "{phase} {kind:?}");
        }
    }
}
