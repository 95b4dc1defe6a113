//! The pages about one unit or one machine.

use std::collections::VecDeque;

use super::Cluster;
use super::rows::Subject;
use crate::core::explain;
use crate::core::model::Event;
use crate::core::model::MachineId;
use crate::core::model::Timestamp;
use crate::core::unit::UnitName;
use crate::store::leader_election::LeaderKind;
use crate::ui;
use crate::ui::event;
use crate::ui::event::repeats;
use crate::ui::explanation;
use crate::ui::messages;

/// How many events the first page has, as `why` and `machine show`.
const LATEST: usize = 10;

/// How many lines of a journal are kept.
const JOURNAL_LINES: usize = 2000;

/// A page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    Why,
    File,
    Machine,
    Events,
    Journal,
}

impl Page {
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Why => "Why",
            Self::File => "File",
            Self::Machine => "Machine",
            Self::Events => "Events",
            Self::Journal => "Journal",
        }
    }
}

/// A journal that is followed.
#[derive(Debug, Clone, Default)]
pub(super) struct Journal {
    /// Tells it from the journals that were followed before.
    pub(super) number: u64,
    lines: VecDeque<String>,
    end: Option<String>,
}

impl Journal {
    pub(super) fn new(number: u64) -> Self {
        Self { number, ..Self::default() }
    }

    /// Adds lines. Of too many the last ones are kept.
    pub(super) fn add(&mut self, lines: Vec<String>, end: Option<String>) {
        self.lines.extend(lines);
        let surplus = self.lines.len().saturating_sub(JOURNAL_LINES);
        self.lines.drain(..surplus);
        self.end = end.or(self.end.take());
    }

    fn text(&self) -> String {
        let lines = self.lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        match &self.end {
            Some(end) => format!("{lines}\n{end}\n"),
            None if lines.is_empty() => "waiting for the journal…\n".to_owned(),
            None => lines,
        }
    }
}

/// The open pages.
#[derive(Debug, Clone)]
pub(super) struct Detail {
    pub(super) subject: Subject,
    pub(super) page: Page,
    /// The first visible line.
    pub(super) first: usize,
    pub(super) journal: Option<Journal>,
}

impl Detail {
    pub(super) const fn new(subject: Subject, page: Page) -> Self {
        Self { subject, page, first: 0, journal: None }
    }

    /// Returns the pages that there are. Only a unit on a machine has a journal.
    pub(super) const fn pages(&self) -> &'static [Page] {
        match (&self.subject.unit, self.subject.machine) {
            (Some(_), Some(_)) => &[Page::Why, Page::File, Page::Events, Page::Journal],
            (Some(_), None) => &[Page::Why, Page::File, Page::Events],
            (None, _) => &[Page::Machine, Page::Events],
        }
    }

    /// Returns the page that is so many pages further.
    pub(super) fn further(&self, count: usize) -> Page {
        let pages = self.pages();
        let at = pages.iter().position(|page| *page == self.page).unwrap_or_default();
        pages.iter().copied().cycle().nth(at + count).unwrap_or(self.page)
    }

    /// Returns the name of the unit or the machine.
    pub(super) fn name(&self, cluster: &Cluster) -> String {
        let machine = self.subject.machine.map(|machine| cluster.snapshot.name_of(machine));
        match (&self.subject.unit, machine) {
            (Some(unit), Some(machine)) => format!("{unit} on {machine}"),
            (Some(unit), None) => unit.to_string(),
            (None, machine) => machine.unwrap_or_default(),
        }
    }

    /// Returns the text of the page.
    pub(super) fn text(&self, cluster: &Cluster, now: Timestamp) -> String {
        match (self.page, &self.subject) {
            (Page::Journal, _) => self.journal.as_ref().map(Journal::text).unwrap_or_default(),
            (Page::Why, Subject { unit: Some(unit), .. }) => why(cluster, unit, now),
            (Page::File, Subject { unit: Some(unit), .. }) => {
                let file = cluster.snapshot.file(unit).map(|file| file.text().to_owned());
                file.unwrap_or_else(|| messages::no_such_unit(unit))
            }
            (Page::Machine, Subject { machine: Some(machine), .. }) => show(cluster, *machine, now),
            (Page::Events, subject) => events(cluster, subject),
            _ => String::new(),
        }
    }
}

fn about(cluster: &Cluster, is_meant: impl Fn(&Event) -> bool) -> Vec<Event> {
    cluster.events.iter().filter(|event| is_meant(event)).cloned().collect()
}

/// Writes what `muster why` prints.
fn why(cluster: &Cluster, unit: &UnitName, now: Timestamp) -> String {
    let snapshot = &*cluster.snapshot;
    let Some(mut explanation) = explain::explain(snapshot, unit, now) else { return messages::no_such_unit(unit) };
    let events = repeats::latest(about(cluster, |event| event.subject.unit.as_ref() == Some(unit)), LATEST);
    let reasons = explanation.not_running.into_iter();
    explanation.not_running = reasons.map(|reason| reason.with_events(snapshot, unit, &events)).collect();
    explanation::unit(snapshot, unit, &explanation, &events, now)
}

/// Writes what `muster machine show` prints.
fn show(cluster: &Cluster, machine: MachineId, now: Timestamp) -> String {
    let snapshot = &*cluster.snapshot;
    let Some(record) = snapshot.machines.get(&machine) else {
        return format!("{} is no machine of the cluster any more", snapshot.name_of(machine));
    };
    let is_own = |event: &Event| event.subject.machine == Some(machine) && event.subject.unit.is_none();
    let has_controller = cluster.leader.as_ref().is_some_and(|leader| leader.kind == LeaderKind::Controller);
    let events = repeats::latest(about(cluster, is_own), LATEST);
    explanation::machine(snapshot, record, &events, now, has_controller, false)
}

/// Writes the events of a unit, or of a machine and the units there, the newest first.
fn events(cluster: &Cluster, subject: &Subject) -> String {
    let is_meant = |event: &&Event| match &subject.unit {
        Some(unit) => event.subject.unit.as_ref() == Some(unit),
        None => event.subject.machine == subject.machine,
    };
    let events = cluster.events.iter().rev().filter(is_meant);
    let lines = events.map(|it| format!("{} {}", ui::time(it.at), event::line(&cluster.snapshot, it)));
    Some(lines.collect::<String>()).filter(|text| !text.is_empty()).unwrap_or_else(|| "no events\n".to_owned())
}
