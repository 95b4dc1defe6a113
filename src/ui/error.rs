//! Errors as an operator reads them, and the exit codes of the process.
//!
//! This module knows no error type of another layer: `cli` converts those.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use super::clean;
use super::terminal::Tone;

/// What to do if the system denied a file.
const DENIED: &str = "Run muster as the user that owns the file, or with `sudo`.";

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// Everything was done.
    Done,
    /// A host or a unit failed.
    Failed,
    /// The command line, a file or a setting is wrong. Nothing was done.
    Usage,
    /// The hosts or the store could not be reached.
    Unreachable,
    /// `plan --detailed-exitcode` found changes to make.
    ChangesPending,
    /// The operator stopped it.
    Interrupted,
    /// The exit code of a remote command, or Ansible's for `play` and `exec`.
    External(u8),
}

impl ExitStatus {
    /// Returns the exit code of the process.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Unreachable => 3,
            Self::ChangesPending => 4,
            Self::Interrupted => 130,
            Self::External(code) => code,
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}

/// Advice on what to do about an error: a full sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint(Cow<'static, str>);

impl<T: Into<Cow<'static, str>>> From<T> for Hint {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text with the error that caused it.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
struct Message {
    text: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// An error that ends a command or is one of several that do.
#[derive(Debug, Clone)]
pub struct CommandError {
    /// How the process ends if this is its only error.
    pub status: ExitStatus,
    /// What is wrong, with its causes.
    pub source: Arc<dyn Error + Send + Sync>,
    /// What to do about it.
    pub hints: Vec<Hint>,
}

impl CommandError {
    /// Makes an error of an error of another layer.
    pub fn new(status: ExitStatus, source: impl Error + Send + Sync + 'static) -> Self {
        Self { status, source: Arc::new(source), hints: Vec::new() }
    }

    /// Makes an error for a host or a unit that failed.
    pub fn failed(text: impl Into<String>) -> Self {
        Self::of_text(ExitStatus::Failed, text)
    }

    /// Makes an error for a wrong command line, file or setting.
    pub fn usage(text: impl Into<String>) -> Self {
        Self::of_text(ExitStatus::Usage, text)
    }

    /// Makes an error for hosts or a store that cannot be reached.
    pub fn unreachable(text: impl Into<String>) -> Self {
        Self::of_text(ExitStatus::Unreachable, text)
    }

    /// Makes an error for a command that the operator stopped.
    pub fn interrupted(text: impl Into<String>) -> Self {
        Self::of_text(ExitStatus::Interrupted, text)
    }

    fn of_text(status: ExitStatus, text: impl Into<String>) -> Self {
        Self::new(status, Message { text: text.into(), source: None })
    }

    /// Adds the cause of an error.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Arc::new(Message { text: self.source.to_string(), source: Some(cause.into()) });
        self
    }

    /// Adds advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Hint>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds advice if there is any.
    #[must_use]
    pub fn maybe_hint(mut self, hint: Option<impl Into<Hint>>) -> Self {
        self.hints.extend(hint.map(Into::into));
        self
    }

    /// Reports whether the system denied this process a file.
    fn is_denied(&self) -> bool {
        let mut cause: Option<&(dyn Error + 'static)> = Some(&*self.source);
        while let Some(error) = cause {
            let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
            // A store keeps only the text.
            if kind == Some(io::ErrorKind::PermissionDenied) || error.to_string().contains("(os error 13)") {
                return true;
            }
            cause = error.source();
        }
        false
    }

    /// Writes the error and those of its causes that say something new, each on a line.
    fn lines(&self, has_color: bool) -> String {
        let label = Tone::Error.paint("Error:", has_color);
        let mut text = format!("{label} {}\n", clean(&self.source.to_string()));
        let mut cause = self.source.source();
        while let Some(error) = cause {
            let line = clean(&error.to_string());
            // Many errors repeat their cause.
            if !text.contains(&line) {
                text.push_str(&format!("Caused by: {line}\n"));
            }
            cause = error.source();
        }
        text
    }
}

/// Writes errors and, after them, their hints, each hint once.
pub fn text(errors: &[CommandError], has_color: bool) -> String {
    let mut text: String = errors.iter().map(|error| error.lines(has_color)).collect();
    let mut hints: Vec<&Hint> = Vec::new();
    let denied = errors.iter().any(CommandError::is_denied).then(|| Hint::from(DENIED));
    for hint in errors.iter().flat_map(|error| &error.hints).chain(&denied) {
        if !hints.contains(&hint) {
            hints.push(hint);
            text.push_str(&format!("Hint: {}\n", clean(&hint.to_string())));
        }
    }
    text
}

/// Returns how the process ends with these errors: a failure counts more than a host that could not be reached.
pub(super) fn worst(errors: &[CommandError]) -> ExitStatus {
    let worst = errors.iter().map(|error| error.status).min_by_key(|status| *status != ExitStatus::Failed);
    worst.unwrap_or(ExitStatus::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_followed_by_the_causes_that_say_more_and_by_its_hints() {
        let cause = io::Error::other(Message { text: "quota".to_owned(), source: None });
        let outer = Message { text: "cannot write a.db: quota".to_owned(), source: Some(cause.into()) };
        let error = CommandError::failed("submit failed").caused_by(outer).hint("Free some space.");
        assert_eq!(
            text(&[error], false),
            "Error: submit failed\nCaused by: cannot write a.db: quota\nHint: Free some space.\n",
            "the text of the innermost cause is in the line above it"
        );
    }

    #[test]
    fn an_error_about_a_file_that_the_system_denied_says_which_user_may_have_it() {
        let denied = || io::Error::from_raw_os_error(13);
        let by_cause = CommandError::usage("cannot read a").caused_by(denied());
        let by_text = CommandError::usage(format!("store sqlite:a: {}", denied()));
        for error in [by_cause, by_text] {
            let shown = text(&[error.clone(), error], false);
            assert_eq!(shown.matches("Hint: Run muster as the user that owns the file, or with `sudo`.\n").count(), 1);
        }
        let other = CommandError::usage("cannot read a").caused_by(io::Error::from_raw_os_error(2));
        assert!(!text(&[other], false).contains("Hint"));
    }

    #[test]
    fn each_way_to_end_has_its_exit_code() {
        let all = [
            ExitStatus::Done,
            ExitStatus::Failed,
            ExitStatus::Usage,
            ExitStatus::Unreachable,
            ExitStatus::ChangesPending,
            ExitStatus::Interrupted,
            ExitStatus::External(77),
        ];
        assert_eq!(all.map(ExitStatus::code), [0, 1, 2, 3, 4, 130, 77]);
    }

    #[test]
    fn several_errors_are_several_lines_and_a_hint_is_printed_once() {
        let away = CommandError::unreachable("web1: connect: refused").hint("Wait.");
        let failed = CommandError::failed("web2: sick\u{1b}[2J").hint("Wait.").hint("Look.");
        let errors = [away.clone(), failed];
        let expected = "Error: web1: connect: refused\nError: web2: sick\u{fffd}[2J\nHint: Wait.\nHint: Look.\n";
        assert_eq!((text(&errors, false).as_str(), worst(&errors)), (expected, ExitStatus::Failed));
        let colored = text(&[CommandError::usage("x")], true);
        assert_eq!(colored, "\u{1b}[1;31mError:\u{1b}[0m x\n");
        assert_eq!((worst(&[away]), worst(&[])), (ExitStatus::Unreachable, ExitStatus::Done));
    }
}
