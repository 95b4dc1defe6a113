//! The lines of one task on many hosts, as `ansible HOSTS -m MODULE` prints them.

use serde_json::Value;
use serde_json::ser::PrettyFormatter;

use super::Event;
use super::default::differences;
use super::default::written;
use crate::playbook::outcome::Outcome;
use crate::playbook::outcome::Shown;
use crate::playbook::outcome::Status;
use crate::playbook::outcome::WARNINGS;

/// The modules whose output is printed as it is.
const COMMANDS: [&str; 3] = ["command", "shell", "raw"];

/// Returns the lines of an event of a play that has one task with this module.
pub fn render(event: &Event<'_>, module: &str) -> String {
    match event {
        Event::Host { host, outcome, .. } => {
            differences(outcome) + &host_lines(host, outcome, COMMANDS.contains(&module))
        }
        Event::Notice(text) => format!("{text}\n"),
        Event::Retry { .. }
        | Event::Play(_)
        | Event::NoHosts
        | Event::NoHostsLeft
        | Event::Task(_)
        | Event::Handler(_)
        | Event::Item { .. }
        | Event::Included { .. }
        | Event::Recap(_) => String::new(),
    }
}

fn host_lines(host: &str, outcome: &Outcome, is_command: bool) -> String {
    let word = match outcome.status {
        Status::Skipped => return format!("{host} | SKIPPED\n"),
        Status::Unreachable => "UNREACHABLE!",
        Status::Failed if is_command && outcome.detail.contains_key("rc") => "FAILED",
        Status::Failed => "FAILED!",
        Status::Changed => "CHANGED",
        Status::Ok => "SUCCESS",
    };
    match outcome.detail.get("rc").filter(|_| is_command && outcome.status != Status::Unreachable) {
        Some(rc) => {
            let text = |name: &str| outcome.detail.get(name).and_then(Value::as_str).unwrap_or_default();
            let output = [text("stdout"), text("stderr"), text("msg")].concat();
            format!("{host} | {word} | rc={rc} >>\n{output}\n")
        }
        None => format!("{host} | {word} => {}\n", result(outcome)),
    }
}

/// Returns a result as sorted JSON.
fn result(outcome: &Outcome) -> String {
    let mut vars = outcome.to_vars();
    vars.retain(|key, _| !matches!(key.as_str(), "failed" | "diff" | WARNINGS));
    if outcome.shown == Shown::Message {
        vars.shift_remove("changed");
    }
    let mut value = Value::Object(vars);
    value.sort_all_objects();
    written(&value, PrettyFormatter::with_indent(b"    "))
}
