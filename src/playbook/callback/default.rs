//! The lines of a playbook's run, as `ansible-playbook` prints them.

use indexmap::IndexMap;
use serde_json::Value;

use super::Event;
use crate::playbook::outcome::Outcome;
use crate::playbook::outcome::Status;
use crate::playbook::play_iterator::HostStats;

/// How wide headings are.
const WIDTH: usize = 79;

/// Returns the lines of an event.
pub fn render(event: &Event<'_>) -> String {
    match event {
        Event::Play(name) => format!("\n{}\n", heading(&format!("PLAY [{name}]"))),
        Event::NoHosts => "skipping: no hosts matched\n".to_owned(),
        Event::Task(name) => format!("\n{}\n", heading(&format!("TASK [{name}]"))),
        Event::Handler(name) => format!("\n{}\n", heading(&format!("RUNNING HANDLER [{name}]"))),
        Event::Item { host, item, outcome } => warnings(outcome) + &item_line(host, item, outcome),
        Event::Host { host, outcome, looped, ignored } => {
            let mut line = warnings(outcome) + &host_line(host, outcome, *looped);
            if *ignored {
                line.push_str("...ignoring\n");
            }
            line
        }
        Event::Recap(stats) => recap(stats),
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

/// Returns the warnings of a result, one in a line.
fn warnings(outcome: &Outcome) -> String {
    let vars = outcome.to_vars();
    let warnings = vars.get("warnings").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    warnings.map(|warning| format!("[WARNING]: {warning}\n")).collect()
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

/// Returns a result on one line, sorted. JSON escapes the control characters in a host's output.
fn detail(outcome: &Outcome) -> String {
    let mut vars: Vec<(String, Value)> = outcome
        .to_vars()
        .into_iter()
        .filter(|(key, _)| !matches!(key.as_str(), "failed" | "stdout_lines" | "stderr_lines" | "results"))
        .collect();
    vars.sort_by(|a, b| a.0.cmp(&b.0));
    Value::Object(vars.into_iter().collect()).to_string()
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
