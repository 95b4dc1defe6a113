//! The text that an operator reads: results on stdout, everything else on stderr. Nothing else in muster prints.
//!
//! This layer renders values. It does not decide anything, and knows nothing of `cli`, `control` or `playbook`.

pub mod error;
pub mod event;
pub mod explanation;
pub mod keys;
pub mod lists;
pub mod log;
pub mod messages;
mod output;
pub mod plan;
mod progress;
pub mod screen;
pub mod table;
pub mod terminal;
pub mod top;
mod waits;

use std::io::Write as _;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::core::explain;
use crate::core::model::Event;
use crate::core::model::MachineId;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;
use crate::core::sanitize;
use crate::core::unit::UnitName;

use error::CommandError;
use error::ExitStatus;
pub use event::line;
pub use output::Passing;
pub use output::is_written;
pub use output::json;
pub use output::outlive_reader;
pub use output::print_table;
pub use output::result;
pub use output::result_bytes;
pub use progress::ProgressLine;
use terminal::Priority;
use terminal::Tone;
use terminal::appearance;
use terminal::stderr_has_color;

/// Prints errors with their causes and hints on stderr, and returns how the process ends with them.
pub fn report(errors: &[CommandError]) -> ExitStatus {
    write_as(Priority::Error, &error::text(errors, stderr_has_color()));
    error::worst(errors)
}

/// Prints on stderr what the command does, unless results and errors only are asked for.
pub fn status(text: &str) {
    if !appearance().quiet {
        write(&format!("{}\n", clean(text)));
    }
}

/// Prints a warning on stderr, unless results and errors only are asked for.
pub fn warn(text: &str) {
    if !appearance().quiet {
        let label = Tone::Warning.paint("Warning:", stderr_has_color());
        write_as(Priority::Warning, &format!("{label} {}\n", clean(text)));
    }
}

/// Prints a note on stderr, unless results and errors only are asked for.
pub fn note(text: &str) {
    status(&format!("Note: {text}"));
}

/// Prints on stderr what to do, unless results and errors only are asked for.
pub fn hint(text: &str) {
    status(&format!("Hint: {text}"));
}

/// Prints on stderr what a host printed there, or how its command failed.
pub fn error_output(text: &str) {
    write(&format!("{}\n", clean(text)));
}

/// Writes lines on stderr. The journal gets their priority.
fn write_as(priority: Priority, text: &str) {
    if appearance().journal { write(&priority.mark(text)) } else { write(text) }
}

fn write(text: &str) {
    if screen::keep(text) {
        return;
    }
    // If stderr is gone there is nowhere to report it.
    let _ = progress::suspended(|| std::io::stderr().write_all(text.as_bytes()));
}

/// Asks a question on stderr, and returns the line that is typed on stdin.
pub fn ask(question: &str) -> std::io::Result<String> {
    write(&clean(question));
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Replaces the characters that would steer a terminal: hosts write part of the text.
pub fn clean(text: &str) -> String {
    sanitize::text(text)
}

/// Writes a time in the operator's time zone.
pub fn time(at: Timestamp) -> String {
    let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(millis).unwrap_or_default().to_zoned_datetime(TimeZone::system());
    time.strftime("%F %T").to_string()
}

/// Writes the time of day in the operator's time zone, with the date if it is more than 12 hours from now.
pub fn clock(at: Timestamp, now: Timestamp) -> String {
    let whole = time(at);
    let near = at.since(now).max(now.since(at)) < Duration::from_hours(12);
    whole.split_once(' ').filter(|_| near).map_or_else(|| whole.clone(), |(_, clock)| clock.to_owned())
}

/// Writes how long ago something was.
pub fn ago(age: Duration) -> String {
    match age.as_secs() {
        seconds @ ..120 => format!("{seconds} s ago"),
        seconds @ ..7200 => format!("{} min ago", seconds / 60),
        seconds @ ..172_800 => format!("{} h ago", seconds / 3600),
        seconds => format!("{} days ago", seconds / 86_400),
    }
}

/// Writes where a strict unit may still run and until when, one line for each machine.
pub fn may_still_run(snapshot: &Snapshot, unit: &UnitName, now: Timestamp) -> Vec<String> {
    let there = explain::may_still_run(snapshot, unit).into_iter().filter(|(_, until)| now < *until);
    let line = |(machine, until): (MachineId, Timestamp)| {
        let name = snapshot.name_of(machine);
        format!("Unit {unit} may still run on {name} until {}", clock(until, now))
    };
    there.map(line).collect()
}

/// Writes an event to the log of the controller. If results and errors only are asked for, those are the troubles.
pub fn log_event(snapshot: &Snapshot, event: &Event) {
    if event.kind.is_trouble() {
        write_as(Priority::Warning, &line(snapshot, event));
    } else if !appearance().quiet {
        write(&line(snapshot, event));
    }
}

/// Ends the process at once.
#[expect(clippy::exit, reason = "the one place where the process ends early")]
pub fn quit(status: ExitStatus) -> ! {
    std::process::exit(status.code().into())
}
