//! Stdout: results, and how a command ends that cannot write them.
//!
//! A command that only shows records ends quietly when its reader is gone (`| head`). A command that changes hosts goes
//! on and prints nothing more. Any other fault of stdout is an error.

use std::io;
use std::io::IsTerminal as _;
use std::io::Write as _;
use std::sync::Mutex;
use std::sync::PoisonError;

use serde::Serialize;

use super::error::CommandError;
use super::error::ExitStatus;
use super::progress;
use super::quit;
use crate::core::sanitize;
use crate::remote::Sink;

/// The state of stdout.
#[derive(Debug)]
struct Output {
    /// Set for a command that goes on when its reader is gone.
    outlives: bool,
    /// Set when nothing more can be written.
    is_closed: bool,
    /// Set when the reason is an error.
    failed: bool,
}

static OUTPUT: Mutex<Output> = Mutex::new(Output { outlives: false, is_closed: false, failed: false });

/// What follows from a failed write.
#[derive(Debug, PartialEq, Eq)]
enum Then {
    GoOn,
    Quit(ExitStatus),
}

impl Output {
    /// Records a failed write.
    fn fail(&mut self, error: &io::Error) -> Then {
        self.is_closed = true;
        self.failed = error.kind() != io::ErrorKind::BrokenPipe;
        if self.outlives {
            Then::GoOn
        } else {
            Then::Quit(if self.failed { ExitStatus::Failed } else { ExitStatus::Done })
        }
    }
}

/// Lets the command go on when its reader is gone, because it is changing hosts.
pub fn outlive_reader() {
    OUTPUT.lock().unwrap_or_else(PoisonError::into_inner).outlives = true;
}

/// Reports whether everything printed could be written, or its reader was gone.
pub fn is_written() -> bool {
    !OUTPUT.lock().unwrap_or_else(PoisonError::into_inner).failed
}

/// Prints a result on stdout.
pub fn result(text: &str) {
    if std::io::stdout().is_terminal() {
        write(sanitize::text(text).as_bytes());
    } else {
        write(text.as_bytes());
    }
}

/// Prints the content of a file on stdout.
pub fn result_bytes(bytes: &[u8]) {
    if std::io::stdout().is_terminal() {
        write(sanitize::text(&String::from_utf8_lossy(bytes)).as_bytes());
    } else {
        write(bytes);
    }
}

/// Prints a table on stdout. Its cells are sanitized, so that the only control characters are colours.
pub fn print_table(text: &str) {
    write(text.as_bytes());
}

/// Prints a result on stdout as JSON.
pub fn json(value: &impl Serialize) {
    // Every value that muster prints has a form in JSON.
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    write(format!("{}\n", sanitize::json(&text)).as_bytes());
}

fn write(bytes: &[u8]) {
    let then = {
        let mut output = OUTPUT.lock().unwrap_or_else(PoisonError::into_inner);
        if output.is_closed {
            return;
        }
        let wrote = progress::suspended(|| {
            let mut out = std::io::stdout().lock();
            out.write_all(bytes).and_then(|()| out.flush())
        });
        let Err(error) = wrote else { return };
        let then = output.fail(&error);
        if output.failed {
            super::report(&[CommandError::failed("cannot write to stdout").caused_by(error)]);
        }
        then
    };
    if let Then::Quit(status) = then {
        quit(status);
    }
}

/// Prints the output of a remote command as it comes.
#[derive(Debug, Default)]
pub struct Passing {
    out: sanitize::Stream,
    err: sanitize::Stream,
}

impl Sink for Passing {
    fn stdout(&mut self, bytes: &[u8]) {
        if std::io::stdout().is_terminal() {
            write(self.out.take(bytes).as_bytes());
        } else {
            write(bytes);
        }
    }

    fn stderr(&mut self, bytes: &[u8]) {
        let mut err = std::io::stderr();
        let shown = if err.is_terminal() { self.err.take(bytes).into_bytes() } else { bytes.to_vec() };
        let _ = err.write_all(&shown);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_reader_ends_commands_that_only_show_and_any_other_fault_is_an_error() {
        for (outlives, kind, expected, failed) in [
            (false, io::ErrorKind::BrokenPipe, Then::Quit(ExitStatus::Done), false),
            (false, io::ErrorKind::StorageFull, Then::Quit(ExitStatus::Failed), true),
            (true, io::ErrorKind::BrokenPipe, Then::GoOn, false),
            (true, io::ErrorKind::StorageFull, Then::GoOn, true),
        ] {
            let mut output = Output { outlives, is_closed: false, failed: false };
            assert_eq!(output.fail(&kind.into()), expected, "{outlives} {kind}");
            assert_eq!((output.is_closed, output.failed), (true, failed), "{outlives} {kind}");
        }
    }
}
