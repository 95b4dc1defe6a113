//! The lines of a playbook's run, as `ansible-playbook` prints them.

use std::io;

use indexmap::IndexMap;
use serde::Serialize as _;
use serde_json::Serializer;
use serde_json::Value;
use serde_json::ser::Formatter;
use serde_json::ser::PrettyFormatter;

use super::Event;
use crate::playbook::outcome::Outcome;
use crate::playbook::outcome::Shown;
use crate::playbook::outcome::Status;
use crate::playbook::outcome::WARNINGS;
use crate::playbook::play_iterator::HostStats;

/// How wide headings are.
const WIDTH: usize = 79;

/// Returns the lines of an event. With `verbose` they have the results of all tasks, as with Ansible's `-v`.
pub fn render(event: &Event<'_>, verbose: bool) -> String {
    match event {
        Event::Play(play) => format!("\n{}\n", heading(&format!("PLAY [{}]", play.title))),
        Event::NoHosts => "skipping: no hosts matched\n".to_owned(),
        Event::NoHostsLeft => format!("\n{}\n", heading("NO MORE HOSTS LEFT")),
        Event::Task(task) => format!("\n{}\n", heading(&format!("TASK [{}]", task.title))),
        Event::Handler(task) => format!("\n{}\n", heading(&format!("RUNNING HANDLER [{}]", task.title))),
        Event::Item { host, item, outcome } => differences(outcome) + &item_line(host, item, (outcome, verbose)),
        Event::Host { host, outcome, looped } => {
            let mut line = differences(outcome) + &host_line(host, (outcome, verbose), *looped);
            if outcome.ignored {
                line.push_str("...ignoring\n");
            }
            line
        }
        Event::Retry { host, delegate, task, left } => {
            // As in Ansible, without the address.
            let host = delegated(host, delegate.map(|delegate| (delegate, None)));
            format!("FAILED - RETRYING: [{host}]: {task} ({left} retries left).\n")
        }
        Event::Notice(text) => format!("{text}\n"),
        Event::Included { title, hosts, item, .. } => {
            let item = item.map(|item| format!(" => (item={item})")).unwrap_or_default();
            format!("included: {title} for {}{item}\n", hosts.join(", "))
        }
        Event::Recap(stats) => recap(stats),
    }
}

fn heading(text: &str) -> String {
    let stars = WIDTH.saturating_sub(text.chars().count()).max(3);
    format!("{text} {}", "*".repeat(stars))
}

fn host_line(host: &str, (outcome, verbose): (&Outcome, bool), looped: bool) -> String {
    let host = &label(host, outcome);
    match outcome.status {
        Status::Skipped => format!("skipping: [{host}]{}\n", message(outcome, verbose)),
        Status::Unreachable => format!("fatal: [{host}]: UNREACHABLE! => {}\n", detail(outcome)),
        _ if looped => String::new(),
        Status::Ok => format!("ok: [{host}]{}\n", message(outcome, verbose)),
        Status::Changed => format!("changed: [{host}]{}\n", message(outcome, verbose)),
        Status::Failed => format!("fatal: [{host}]: FAILED! => {}\n", detail(outcome)),
    }
}

/// Returns the name of a host, with the host on which the task ran in its stead.
fn label(host: &str, outcome: &Outcome) -> String {
    let delegate = outcome.delegate.as_deref().filter(|_| outcome.status != Status::Skipped);
    delegated(host, delegate.map(|delegate| (delegate, outcome.delegate_address.as_deref())))
}

/// Returns the name of a host, with another host and its address.
pub fn delegated(host: &str, delegate: Option<(&str, Option<&str>)>) -> String {
    match delegate.filter(|(delegate, _)| *delegate != host) {
        Some((delegate, Some(address))) => format!("{host} -> {delegate}({address})"),
        Some((delegate, None)) => format!("{host} -> {delegate}"),
        None => host.to_owned(),
    }
}

/// Returns what a task changed.
pub(super) fn differences(outcome: &Outcome) -> String {
    if outcome.status == Status::Changed { outcome.diff.render() } else { String::new() }
}

fn item_line(host: &str, item: &str, (outcome, verbose): (&Outcome, bool)) -> String {
    let host = &label(host, outcome);
    match outcome.status {
        Status::Ok => format!("ok: [{host}] => (item={item}){}\n", message(outcome, verbose)),
        Status::Changed => format!("changed: [{host}] => (item={item}){}\n", message(outcome, verbose)),
        Status::Skipped => format!("skipping: [{host}] => (item={item}) {}\n", message(outcome, verbose)),
        Status::Failed | Status::Unreachable => format!("failed: [{host}] (item={item}) => {}\n", detail(outcome)),
    }
}

/// Returns the detail of a result that is shown although the task did not fail.
fn message(outcome: &Outcome, verbose: bool) -> String {
    if outcome.shown == Shown::IfFailed && !verbose { String::new() } else { format!(" => {}", detail(outcome)) }
}

/// Returns a result, sorted, on one line unless it is always shown. JSON escapes the control characters in a host's output.
fn detail(outcome: &Outcome) -> String {
    let mut vars: Vec<(String, Value)> = outcome
        .to_vars()
        .into_iter()
        .filter(|(key, _)| !matches!(key.as_str(), "failed" | "diff" | "skipped" | "results" | WARNINGS))
        .collect();
    vars.retain(|(key, _)| outcome.shown != Shown::Message || !matches!(key.as_str(), "changed" | "attempts"));
    vars.sort_by(|a, b| a.0.cmp(&b.0));
    let mut value = Value::Object(vars.into_iter().collect());
    value.sort_all_objects();
    if outcome.shown == Shown::IfFailed {
        written(&value, Spaced)
    } else {
        written(&value, PrettyFormatter::with_indent(b"    "))
    }
}

/// Returns a value as JSON in a format.
pub(super) fn written(value: &Value, format: impl Formatter) -> String {
    let mut text = Vec::new();
    let result = value.serialize(&mut Serializer::with_formatter(&mut text, format));
    // Writing a value to memory cannot fail.
    result.map_or_else(|_| String::new(), |()| String::from_utf8_lossy(&text).into_owned())
}

/// JSON on one line with blanks, as Python writes it.
struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, is_first: bool) -> io::Result<()> {
        if is_first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, is_first: bool) -> io::Result<()> {
        if is_first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

fn recap(stats: &IndexMap<String, HostStats>) -> String {
    let mut text = format!("\n{}\n", heading("PLAY RECAP"));
    let mut sorted: Vec<_> = stats.iter().collect();
    sorted.sort_by_key(|(host, _)| host.as_str());
    for (host, counts) in sorted {
        let counters = [
            ("ok", counts.ok),
            ("changed", counts.changed),
            ("unreachable", counts.unreachable),
            ("failed", counts.failed),
            ("skipped", counts.skipped),
            ("rescued", counts.rescued),
            ("ignored", counts.ignored),
        ];
        let counters: Vec<String> = counters.iter().map(|(name, count)| format!("{name}={count:<4}")).collect();
        text.push_str(&format!("{host:<26} : {}\n", counters.join(" ")));
    }
    text.push('\n');
    text
}
