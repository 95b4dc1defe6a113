//! Stdout: results, and what becomes of a command when nobody takes them.
//!
//! Whoever only shows something ends with its reader (`| head`), quietly. A command that changes hosts goes on and says
//! nothing more. That stdout cannot be written for any other reason is an error.

use std::io;
use std::io::IsTerminal as _;
use std::io::Write as _;
use std::sync::Mutex;
use std::sync::PoisonError;

use serde::Serialize;

use super::error::ExitStatus;
use super::progress;
use super::quit;
use crate::core::sanitize;
use crate::remote::Sink;

/// What is known of whoever reads stdout.
#[derive(Debug)]
struct Output {
    /// Set for a command that goes on when its reader is gone.
    outlives: bool,
    /// Set when there is no point in writing more.
    over: bool,
    /// Set when that is an error.
    failed: bool,
}

static OUTPUT: Mutex<Output> = Mutex::new(Output { outlives: false, over: false, failed: false });

/// What a failed write comes to.
#[derive(Debug, PartialEq, Eq)]
enum Then {
    GoOn,
    Quit(ExitStatus),
}

impl Output {
    /// Takes note of a write that failed.
    fn fail(&mut self, error: &io::Error) -> Then {
        self.over = true;
        self.failed = error.kind() != io::ErrorKind::BrokenPipe;
        if self.outlives {
            Then::GoOn
        } else {
            Then::Quit(if self.failed { ExitStatus::Failed } else { ExitStatus::Done })
        }
    }
}

/// Lets the command go on to its end when nobody reads what it prints any more: it is changing hosts.
pub fn outlive_reader() {
    OUTPUT.lock().unwrap_or_else(PoisonError::into_inner).outlives = true;
}

/// Says whether all that was printed could be written, or was not wanted.
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

/// Prints a result on stdout as JSON.
pub fn json(value: &impl Serialize) {
    // What is printed is made of values that have a form in JSON.
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    write(format!("{}\n", sanitize::json(&text)).as_bytes());
}

fn write(bytes: &[u8]) {
    let then = {
        let mut output = OUTPUT.lock().unwrap_or_else(PoisonError::into_inner);
        if output.over {
            return;
        }
        let wrote = progress::aside(|| {
            let mut out = std::io::stdout().lock();
            out.write_all(bytes).and_then(|()| out.flush())
        });
        let Err(error) = wrote else { return };
        let then = output.fail(&error);
        if output.failed {
            super::say(&format!("Error: cannot write to stdout: {error}"));
        }
        then
    };
    if let Then::Quit(status) = then {
        quit(status);
    }
}

/// Passes a remote command's output on as it comes.
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
    fn a_reader_that_went_away_ends_what_only_shows_and_any_other_fault_is_an_error() {
        for (outlives, kind, expected, failed) in [
            (false, io::ErrorKind::BrokenPipe, Then::Quit(ExitStatus::Done), false),
            (false, io::ErrorKind::StorageFull, Then::Quit(ExitStatus::Failed), true),
            (true, io::ErrorKind::BrokenPipe, Then::GoOn, false),
            (true, io::ErrorKind::StorageFull, Then::GoOn, true),
        ] {
            let mut output = Output { outlives, over: false, failed: false };
            assert_eq!(output.fail(&kind.into()), expected, "{outlives} {kind}");
            assert_eq!((output.over, output.failed), (true, failed), "{outlives} {kind}");
        }
    }
}
