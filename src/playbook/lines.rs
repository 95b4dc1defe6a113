//! What a playbook's run looks like, line by line, as `ansible-playbook` prints it.

use indexmap::IndexMap;
use serde_json::Value;

use super::outcome::Outcome;
use super::outcome::Status;
use super::run::Tally;

/// How wide headings are.
const WIDTH: usize = 79;

/// Something that happened, to be shown or recorded.
#[derive(Debug)]
pub enum Event<'a> {
    /// A play begins.
    Play(&'a str),
    /// The play's pattern stands for no host.
    NoHosts,
    /// A task begins.
    Task(&'a str),
    /// A handler begins.
    Handler(&'a str),
    /// An item of a loop ended on a host.
    Item {
        /// The host.
        host: &'a str,
        /// The item.
        item: &'a Value,
        /// How it ended.
        outcome: &'a Outcome,
    },
    /// A task ended on a host.
    Host {
        /// The host.
        host: &'a str,
        /// How it ended.
        outcome: &'a Outcome,
        /// Whether it was a loop, whose items have been shown.
        looped: bool,
        /// Whether a failure is to be ignored.
        ignored: bool,
    },
    /// Everything has ended.
    Recap(&'a IndexMap<String, Tally>),
}

/// Returns the lines of an event.
pub fn lines(event: &Event<'_>) -> String {
    match event {
        Event::Play(name) => format!("\n{}\n", heading(&format!("PLAY [{name}]"))),
        Event::NoHosts => "skipping: no hosts matched\n".to_owned(),
        Event::Task(name) => format!("\n{}\n", heading(&format!("TASK [{name}]"))),
        Event::Handler(name) => format!("\n{}\n", heading(&format!("RUNNING HANDLER [{name}]"))),
        Event::Item { host, item, outcome } => item_line(host, item, outcome),
        Event::Host { host, outcome, looped, ignored } => {
            let mut line = host_line(host, outcome, *looped);
            if *ignored {
                line.push_str("...ignoring\n");
            }
            line
        }
        Event::Recap(tallies) => recap(tallies),
    }
}

fn heading(text: &str) -> String {
    let stars = WIDTH.saturating_sub(text.chars().count()).max(3);
    format!("{text} {}", "*".repeat(stars))
}

fn host_line(host: &str, outcome: &Outcome, looped: bool) -> String {
    match outcome.status {
        Status::Skipped => format!("skipping: [{host}]\n"),
        Status::Unreachable => format!("fatal: [{host}]: UNREACHABLE! => {}\n", detail(outcome)),
        _ if looped => String::new(),
        Status::Ok => format!("ok: [{host}]\n"),
        Status::Changed => format!("changed: [{host}]\n"),
        Status::Failed => format!("fatal: [{host}]: FAILED! => {}\n", detail(outcome)),
    }
}

fn item_line(host: &str, item: &Value, outcome: &Outcome) -> String {
    let item = match item {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match outcome.status {
        Status::Ok => format!("ok: [{host}] => (item={item})\n"),
        Status::Changed => format!("changed: [{host}] => (item={item})\n"),
        Status::Skipped => format!("skipping: [{host}] => (item={item}) \n"),
        Status::Failed | Status::Unreachable => format!("failed: [{host}] (item={item}) => {}\n", detail(outcome)),
    }
}

/// Returns a result on one line, sorted. Control characters of what a host said are escaped by JSON.
fn detail(outcome: &Outcome) -> String {
    let mut vars: Vec<(String, Value)> = outcome
        .to_vars()
        .into_iter()
        .filter(|(key, _)| !matches!(key.as_str(), "failed" | "stdout_lines" | "stderr_lines" | "results"))
        .collect();
    vars.sort_by(|a, b| a.0.cmp(&b.0));
    Value::Object(vars.into_iter().collect()).to_string()
}

fn recap(tallies: &IndexMap<String, Tally>) -> String {
    let mut text = format!("\n{}\n", heading("PLAY RECAP"));
    let mut sorted: Vec<_> = tallies.iter().collect();
    sorted.sort_by_key(|(host, _)| host.as_str());
    for (host, tally) in sorted {
        let counters = [
            ("ok", tally.ok),
            ("changed", tally.changed),
            ("unreachable", tally.unreachable),
            ("failed", tally.failed),
            ("skipped", tally.skipped),
            ("rescued", 0),
            ("ignored", tally.ignored),
        ];
        let counters: Vec<String> = counters.iter().map(|(name, count)| format!("{name}={count:<4}")).collect();
        text.push_str(&format!("{host:<26} : {}\n", counters.join(" ")));
    }
    text.push('\n');
    text
}
