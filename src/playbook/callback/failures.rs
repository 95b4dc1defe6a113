//! Where the hosts of a run have failed: for each task one line with its place and its hosts.
//!
//! A failure that was rescued or ignored is none: a host is named only with the last task that failed there, and only if
//! the host has failed at the end.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;

use indexmap::IndexMap;
use indexmap::IndexSet;

use super::Event;
use crate::inventory::diagnostic::Diagnostic;
use crate::inventory::diagnostic::Position;
use crate::playbook::outcome::Status;
use crate::playbook::play_iterator::HostStats;

/// How many lines there are at most.
const LINES: usize = 20;

/// How many hosts a line names.
const HOSTS: usize = 10;

/// The last failure of each host.
#[derive(Debug, Default)]
pub struct Failures {
    task: FailedTask,
    last: BTreeMap<String, FailedTask>,
    /// The failures in the order in which they came.
    all: IndexSet<FailedTask>,
}

/// A task and how it failed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct FailedTask {
    file: PathBuf,
    at: Position,
    title: String,
    is_unreachable: bool,
}

impl Failures {
    /// Takes in an event.
    pub fn handle(&mut self, event: &Event<'_>) {
        match event {
            Event::Task(task) | Event::Handler(task) => {
                let (file, title) = (task.file.to_owned(), task.title.to_owned());
                self.task = FailedTask { file, at: task.at, title, is_unreachable: false };
            }
            Event::Host { host, outcome, .. } if !outcome.ignored => {
                let is_unreachable = match outcome.status {
                    Status::Failed => false,
                    Status::Unreachable => true,
                    Status::Ok | Status::Changed | Status::Skipped => return,
                };
                let failure = FailedTask { is_unreachable, ..self.task.clone() };
                self.all.insert(failure.clone());
                self.last.insert((*host).to_owned(), failure);
            }
            Event::Recap(stats) => self.last.retain(|host, _| stats.get(host).is_some_and(has_failed)),
            _ => {}
        }
    }

    /// Returns the lines. Files below the folder are named from there.
    pub fn lines(&self, folder: &Path) -> Vec<String> {
        let mut hosts: IndexMap<&FailedTask, BTreeSet<String>> = IndexMap::new();
        for failure in &self.all {
            let here = self.last.iter().filter(|(_, last)| *last == failure).map(|(host, _)| host.clone());
            hosts.insert(failure, here.collect());
        }
        hosts.retain(|_, hosts| !hosts.is_empty());
        let mut lines: Vec<String> =
            hosts.iter().take(LINES).map(|(failure, hosts)| failure.line(hosts, folder)).collect();
        let left = hosts.len().saturating_sub(LINES);
        lines.extend((left > 0).then(|| format!("{left} more tasks have failed")));
        lines
    }
}

impl FailedTask {
    fn line(&self, hosts: &BTreeSet<String>, folder: &Path) -> String {
        let (title, hosts) = (&self.title, named(hosts));
        let what = if self.is_unreachable {
            format!("task \"{title}\" did not reach {hosts}")
        } else {
            format!("task \"{title}\" failed on {hosts}")
        };
        place(&self.file, self.at, folder, &what)
    }
}

/// Returns a text after the place that it is about. Files below the folder are named from there.
pub(super) fn place(file: &Path, at: Position, folder: &Path, what: &str) -> String {
    Diagnostic::new(file, at, what).seen_from(folder).to_string()
}

const fn has_failed(stats: &HostStats) -> bool {
    stats.failed > 0 || stats.unreachable > 0
}

/// Returns the names of hosts, of which the first are written in full.
pub(super) fn named(hosts: &BTreeSet<String>) -> String {
    let first: Vec<&str> = hosts.iter().take(HOSTS).map(String::as_str).collect();
    match hosts.len().saturating_sub(HOSTS) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::playbook::callback::Begun;
    use crate::playbook::outcome::Outcome;

    fn begin(failures: &mut Failures, title: &str, line: u64) {
        let (file, at) = (Path::new("/play/site.yaml"), Position::new(line, 7));
        failures.handle(&Event::Task(Begun { title, action: "command", file, at }));
    }

    fn end(failures: &mut Failures, host: &str, outcome: &Outcome) {
        failures.handle(&Event::Host { host, outcome, looped: false });
    }

    fn recap(failures: &mut Failures, failed: &[(&str, usize)]) {
        let counts = |failed| HostStats { failed, ..HostStats::default() };
        failures
            .handle(&Event::Recap(&failed.iter().map(|(host, count)| ((*host).to_owned(), counts(*count))).collect()));
    }

    #[test]
    fn each_task_that_failed_has_a_line_with_its_place_and_its_hosts() {
        let mut failures = Failures::default();
        let failed = Outcome::failed("x");
        let unreachable = Outcome { status: Status::Unreachable, ..failed.clone() };
        begin(&mut failures, "Install", 12);
        end(&mut failures, "web2", &failed);
        end(&mut failures, "web1", &failed);
        end(&mut failures, "web3", &unreachable);
        begin(&mut failures, "Start", 14);
        end(&mut failures, "web4", &failed);
        end(&mut failures, "web5", &Outcome::default());
        recap(&mut failures, &[("web1", 1), ("web2", 1), ("web3", 1), ("web4", 1), ("web5", 0)]);
        let expected = [
            "site.yaml:12:7: task \"Install\" failed on web1, web2",
            "site.yaml:12:7: task \"Install\" did not reach web3",
            "site.yaml:14:7: task \"Start\" failed on web4",
        ];
        assert_eq!(failures.lines(Path::new("/play")), expected);
    }

    #[test]
    fn a_failure_that_was_rescued_or_ignored_has_no_line() {
        let mut failures = Failures::default();
        let failed = Outcome::failed("x");
        begin(&mut failures, "Install", 12);
        end(&mut failures, "web1", &failed);
        end(&mut failures, "web2", &failed);
        end(&mut failures, "web3", &Outcome { ignored: true, ..failed.clone() });
        begin(&mut failures, "Roll back", 14);
        end(&mut failures, "web2", &failed);
        recap(&mut failures, &[("web1", 0), ("web2", 1), ("web3", 0)]);
        assert_eq!(failures.lines(Path::new("/etc")), ["/play/site.yaml:14:7: task \"Roll back\" failed on web2"]);
    }

    #[test]
    fn the_lines_are_bounded() {
        let mut failures = Failures::default();
        let hosts: Vec<String> = (0..30).map(|number| format!("web{number:02}")).collect();
        for (line, host) in (1..).zip(&hosts) {
            begin(&mut failures, "Install", line);
            end(&mut failures, host, &Outcome::failed("x"));
        }
        let lines = failures.lines(Path::new("/play"));
        assert_eq!((lines.len(), lines.last().map(String::as_str)), (21, Some("10 more tasks have failed")));
    }
}
