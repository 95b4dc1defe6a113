//! The report of a run for a mail: which tasks failed and which changed something, the hosts of each in one line.
//!
//! Its length is bounded, whatever the hosts say.

use std::collections::BTreeSet;
use std::path::PathBuf;

use indexmap::IndexMap;
use serde_json::Value;

use super::Event;
use super::failures::named;
use super::failures::place;
use crate::core::sanitize::truncate;
use crate::playbook::outcome::Outcome;
use crate::playbook::outcome::Status;
use crate::playbook::play_iterator::HostStats;

/// How many lines each section has at most.
const LINES: usize = 50;

/// How many characters of a message are shown.
const MESSAGE: usize = 400;

/// What a run has done, as far as a report tells it.
#[derive(Debug, Default)]
pub struct Report {
    task: String,
    /// The task that goes on, after its place.
    placed: String,
    /// Files below this folder are named from there.
    folder: PathBuf,
    failed: IndexMap<String, BTreeSet<String>>,
    changed: IndexMap<String, BTreeSet<String>>,
    /// The counts of the last recap, which has those of the playbooks before.
    stats: IndexMap<String, HostStats>,
}

/// The sums over all hosts of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Totals {
    /// The hosts of the run.
    pub hosts: usize,
    /// The hosts on which something changed.
    pub changed: usize,
    /// The hosts on which a task failed.
    pub failed: usize,
    /// The hosts that could not be reached.
    pub unreachable: usize,
}

impl Report {
    /// Makes a report that names the files below a folder from there.
    pub fn beside(folder: PathBuf) -> Self {
        Self { folder, ..Self::default() }
    }

    /// Takes in an event.
    pub fn handle(&mut self, event: &Event<'_>) {
        self.task = event.heading().unwrap_or_else(|| std::mem::take(&mut self.task));
        match event {
            Event::Task(task) | Event::Handler(task) => {
                self.placed = place(task.file, task.at, &self.folder, &self.task);
            }
            Event::Host { host, outcome, .. } => self.note(host, outcome),
            Event::Recap(stats) => self.stats.clone_from(stats),
            _ => {}
        }
    }

    fn note(&mut self, host: &str, outcome: &Outcome) {
        let (task, placed) = (&self.task, &self.placed);
        let (lines, line) = match outcome.status {
            Status::Failed | Status::Unreachable if outcome.ignored => return,
            Status::Failed => (&mut self.failed, format!("{placed}: {}", message(outcome))),
            Status::Unreachable => (&mut self.failed, format!("{placed}: unreachable: {}", message(outcome))),
            Status::Changed => (&mut self.changed, task.clone()),
            Status::Ok | Status::Skipped => return,
        };
        lines.entry(line).or_default().insert(host.to_owned());
    }

    /// Returns the sums.
    pub fn totals(&self) -> Totals {
        let count = |of: fn(&HostStats) -> usize| self.stats.values().filter(|counts| of(counts) > 0).count();
        Totals {
            hosts: self.stats.len(),
            changed: count(|counts| counts.changed),
            failed: count(|counts| counts.failed),
            unreachable: count(|counts| counts.unreachable),
        }
    }

    /// Reports whether there is nothing to tell: nothing changed, and no task failed, not even one that was rescued.
    pub fn is_quiet(&self) -> bool {
        self.failed.is_empty() && self.changed.is_empty()
    }

    /// Returns the text of the report.
    pub fn text(&self) -> String {
        section("Failed", &self.failed) + &section("Changed", &self.changed)
    }
}

/// Returns the message of an outcome, with the last line of stderr if a command has failed.
fn message(outcome: &Outcome) -> String {
    let text = |key: &str| outcome.detail.get(key).and_then(Value::as_str).map(str::trim).unwrap_or_default();
    let last = text("stderr").lines().next_back().unwrap_or_default();
    let censored = text("censored");
    let parts = [text("msg"), last, censored].into_iter().filter(|part| !part.is_empty());
    truncate(&parts.collect::<Vec<_>>().join(": "), MESSAGE)
}

/// Returns a section: for each line the hosts that it is about.
fn section(title: &str, lines: &IndexMap<String, BTreeSet<String>>) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let shown = lines.iter().take(LINES).map(|(line, hosts)| format!("  {}: {line}\n", named(hosts)));
    let left = lines.len().saturating_sub(LINES);
    let rest = if left > 0 { format!("  … and {left} more lines\n") } else { String::new() };
    format!("{title}:\n{}{rest}", shown.collect::<String>())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::inventory::Vars;
    use crate::inventory::diagnostic::Position;
    use crate::playbook::callback::Begun;

    fn told(outcomes: &[(&str, Outcome)]) -> Report {
        let mut report = Report::beside("/play".into());
        let (file, at) = (Path::new("/play/site.yaml"), Position::new(12, 7));
        report.handle(&Event::Task(Begun { title: "web : install", action: "apt", file, at }));
        for (host, outcome) in outcomes {
            report.handle(&Event::Host { host, outcome, looped: false });
        }
        report
    }

    #[test]
    fn hosts_with_one_outcome_share_a_line() {
        let command = Vars::from_iter([
            ("msg".to_owned(), "non-zero return code".into()),
            ("stderr".to_owned(), "first\nno space left\n".into()),
        ]);
        let broken = Outcome { detail: command, ..Outcome::failed("") };
        let gone = Outcome { status: Status::Unreachable, ..Outcome::failed("connect: no answer for 10 s") };
        let ignored = Outcome { ignored: true, ..Outcome::failed("x") };
        let changed = Outcome::done(true, Vars::new());
        let report = told(&[
            ("web2", broken.clone()),
            ("web1", broken),
            ("web3", gone),
            ("web4", ignored),
            ("web5", changed),
            ("web6", Outcome::done(false, Vars::new())),
        ]);
        assert_eq!(
            report.text(),
            "Failed:\n\
             \x20 web1, web2: site.yaml:12:7: TASK [web : install]: non-zero return code: no space left\n\
             \x20 web3: site.yaml:12:7: TASK [web : install]: unreachable: connect: no answer for 10 s\n\
             Changed:\n\
             \x20 web5: TASK [web : install]\n"
        );
        assert!(!report.is_quiet());
    }

    #[test]
    fn a_run_without_a_change_and_without_a_failure_is_quiet() {
        let report = told(&[("web1", Outcome::done(false, Vars::new())), ("web2", Outcome::skipped())]);
        assert!(report.is_quiet() && report.text().is_empty());
    }

    #[test]
    fn a_report_is_short_whatever_the_hosts_say() {
        let names: Vec<String> = (0..500).map(|number| format!("web{number:03}")).collect();
        let outcomes: Vec<(&str, Outcome)> =
            names.iter().map(|name| (name.as_str(), Outcome::failed(format!("{name}{}", "x".repeat(5000))))).collect();
        let text = told(&outcomes).text();
        assert!(text.len() < 64 * 1024 && text.contains("… and 450 more lines"), "{}", text.len());
        let same: Vec<(&str, Outcome)> = names.iter().map(|name| (name.as_str(), Outcome::failed("full"))).collect();
        assert!(told(&same).text().contains("web008, web009 and 490 more: site.yaml:12:7: TASK"));
    }

    #[test]
    fn the_totals_count_hosts() {
        let mut report = Report::default();
        let counts = |changed, failed| HostStats { changed, failed, ..HostStats::default() };
        let stats = IndexMap::from([("a".to_owned(), counts(2, 1)), ("b".to_owned(), counts(0, 0))]);
        report.handle(&Event::Recap(&stats));
        assert_eq!(report.totals(), Totals { hosts: 2, changed: 1, failed: 1, unreachable: 0 });
    }
}
