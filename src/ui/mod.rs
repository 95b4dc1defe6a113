//! What a person reads: results on stdout, everything else on stderr, and no printing anywhere else.

pub mod event;
pub mod explanation;
pub mod lists;
mod output;
pub mod plan;
mod progress;
pub mod table;
pub mod warnings;

use std::io::Write as _;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::cli::error::CommandError;
use crate::core::explain;
use crate::core::model::Event;
use crate::core::model::MachineId;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;
use crate::core::sanitize;
use crate::core::unit::UnitName;

pub use event::line;
pub use output::Passing;
pub use output::is_written;
pub use output::json;
pub use output::outlive_reader;
pub use output::result;
pub use progress::Progress;

/// Prints an error and what to do about it.
pub fn report(error: &CommandError) {
    let mut text = String::new();
    if !error.message.is_empty() {
        text.push_str(&format!("Error: {}\n", clean(&error.message)));
    }
    for hint in &error.hints {
        text.push_str(&format!("Hint: {}\n", clean(hint)));
    }
    write(&text);
}

/// Prints a remark on stderr.
pub fn remark(text: &str) {
    write(&format!("{}\n", clean(text)));
}

/// Prints one line on stderr, whatever is in it.
fn say(text: &str) {
    write(&format!("{}\n", sanitize::line(text)));
}

fn write(text: &str) {
    // Nobody is left to tell if stderr is gone.
    let _ = progress::aside(|| std::io::stderr().write_all(text.as_bytes()));
}

/// Takes out what would steer a terminal: part of what is shown comes from hosts.
pub fn clean(text: &str) -> String {
    sanitize::text(text)
}

/// Writes a time in the operator's time zone.
pub fn time(at: Timestamp) -> String {
    let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(millis).unwrap_or_default().to_zoned_datetime(TimeZone::system());
    time.strftime("%F %T").to_string()
}

/// Writes the time of day of something that is near, in the operator's time zone, with its day if it is not that near.
pub fn clock(at: Timestamp, now: Timestamp) -> String {
    let whole = time(at);
    let near = at.since(now).max(now.since(at)) < Duration::from_hours(12);
    whole.split_once(' ').filter(|_| near).map_or_else(|| whole.clone(), |(_, clock)| clock.to_owned())
}

/// Says where a strict unit may still run and until when, one line for each machine.
pub fn may_still_run(snapshot: &Snapshot, unit: &UnitName, now: Timestamp) -> Vec<String> {
    let there = explain::may_still_run(snapshot, unit).into_iter().filter(|(_, until)| now < *until);
    let line = |(machine, until): (MachineId, Timestamp)| {
        let name = snapshot.name_of(machine);
        format!("Unit {unit} may still run on {name} until {}", clock(until, now))
    };
    there.map(line).collect()
}

/// Writes an event to the daemon's log.
pub fn log(snapshot: &Snapshot, event: &Event) {
    write(&line(snapshot, event));
}

/// Ends the process at once.
#[expect(clippy::exit, reason = "the one place where the process ends early")]
pub fn quit(code: i32) -> ! {
    std::process::exit(code)
}
