//! What a person reads: results on stdout, everything else on stderr, and no printing anywhere else.

pub mod lists;
pub mod table;

use std::io::Write as _;

use crate::cli::error::CommandError;

/// Prints an error and what to do about it.
pub fn report(error: &CommandError) {
    let mut text = String::new();
    if !error.message.is_empty() {
        text.push_str(&format!("Error: {}\n", error.message));
    }
    for hint in &error.hints {
        text.push_str(&format!("Hint: {hint}\n"));
    }
    // Nobody is left to tell if stderr is gone.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Prints a result on stdout. A reader that went away (`| head`) ends the process quietly.
pub fn result(text: &str) {
    let mut out = std::io::stdout().lock();
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

/// Prints a remark on stderr.
pub fn remark(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
