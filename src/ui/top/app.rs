//! The application: what is shown and what a key does.

mod keys;
mod summary;

use std::collections::BTreeMap;
use std::time::Duration;

use super::Change;
use super::Cluster;
use super::Effect;
use super::Message;
use super::detail::Detail;
use super::detail::Journal;
use super::detail::Page;
use super::help;
use super::list::Place;
use super::rows::Listing;
use super::rows::Scope;
use super::rows::Subject;
use super::rows::View;
use super::text;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;
use crate::core::sanitize;

/// How many lines of the screen are above the rows, and above the text of details.
pub(super) const HEAD: u16 = 5;

/// How many lines are at the foot.
pub(super) const FOOT: u16 = 1;

/// A text over everything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Popup {
    pub(super) title: String,
    text: String,
    /// The lines of the text, as wide as the screen allows.
    pub(super) lines: Vec<String>,
    pub(super) first: usize,
    /// The change that the text is a question about.
    pub(super) question: Option<Change>,
}

/// What `muster top` shows.
#[derive(Debug, Clone)]
pub struct App {
    /// The name of the cluster.
    pub(super) name: String,
    pub(super) has_color: bool,
    pub(super) size: (u16, u16),
    pub(super) cluster: Option<Cluster>,
    pub(super) now: Timestamp,
    pub(super) view: View,
    /// The part of the units that is shown.
    pub(super) scope: Option<Scope>,
    pub(super) listing: Listing,
    places: BTreeMap<View, Place>,
    pub(super) detail: Option<Detail>,
    /// The lines of the details, as wide as the screen.
    pub(super) body: Vec<String>,
    pub(super) popup: Option<Popup>,
    /// Set while the filter is typed.
    pub(super) is_typing: bool,
    pub(super) notice: Option<String>,
    /// How many journals were opened.
    journals: u64,
}

impl App {
    /// Makes the application for a cluster with this name, before anything is known of it.
    pub fn new(name: &str, has_color: bool, size: (u16, u16)) -> Self {
        Self {
            name: sanitize::line(name),
            has_color,
            size,
            cluster: None,
            now: Timestamp::ZERO,
            view: View::default(),
            scope: None,
            listing: Listing::default(),
            places: View::ALL.into_iter().map(|view| (view, Place::default())).collect(),
            detail: None,
            body: Vec::new(),
            popup: None,
            is_typing: false,
            notice: None,
            journals: 0,
        }
    }

    /// Takes a message and returns what is to be done about it.
    pub fn update(&mut self, message: Message) -> Vec<Effect> {
        match message {
            Message::Key(key) => return self.press(key),
            Message::Size(columns, rows) => self.size = (columns, rows),
            Message::Cluster(cluster, now) => {
                self.cluster = Some(*cluster);
                self.now = now;
            }
            Message::Tick(now) => self.now = now,
            Message::Notice(text) => {
                self.notice = Some(sanitize::line(text.trim_end()));
                return Vec::new();
            }
            Message::Text(title, text) => self.open(&title, text, None),
            Message::Plan(change, text) => {
                self.notice = None;
                self.open(&self.question(&change), text, Some(change));
            }
            Message::Journal(number, lines, end) => {
                self.add_to_journal(number, lines, end);
                return Vec::new();
            }
        }
        self.refresh();
        Vec::new()
    }

    /// Returns after how long the picture changes although nothing happens, because it shows an age; `None` if it does not.
    pub fn ages_in(&self) -> Option<Duration> {
        let snapshot = &self.cluster.as_ref()?.snapshot;
        let ages = snapshot.machines.keys().filter_map(|machine| Some(self.now.since(snapshot.observed_at(*machine)?)));
        let is_stale = self.cluster.as_ref().is_some_and(|cluster| cluster.stale.is_some());
        let youngest = ages.min()?;
        // Beyond two minutes, ages are written in minutes.
        let old = Duration::from_mins(2);
        Some(if youngest < old || is_stale { Duration::from_secs(1) } else { Duration::from_secs(30) })
    }

    /// Returns the place in the present list.
    pub(super) fn place(&self) -> Option<&Place> {
        self.places.get(&self.view)
    }

    /// Returns how many rows of a list are visible.
    pub(super) fn visible_rows(&self) -> usize {
        usize::from(self.size.1.saturating_sub(HEAD + FOOT))
    }

    /// Returns how many lines of details are visible.
    pub(super) fn visible_lines(&self) -> usize {
        usize::from(self.size.1.saturating_sub(HEAD - 1 + FOOT))
    }

    /// Returns the width and the height of the text of a popup, at most.
    pub(super) fn popup_size(&self) -> (usize, usize) {
        (usize::from(self.size.0.saturating_sub(6)), usize::from(self.size.1.saturating_sub(4)))
    }

    /// Makes the rows and the lines of what is shown now.
    fn refresh(&mut self) {
        let Some(cluster) = &self.cluster else { return };
        let (visible, place) = (self.visible_rows(), self.places.entry(self.view).or_default());
        self.listing = Listing::of(self.view, self.scope.as_ref(), place.sort, cluster, self.now);
        place.refresh(&self.listing, visible, self.view == View::Events);
        self.refresh_detail();
        self.refresh_popup();
    }

    fn refresh_detail(&mut self) {
        let visible = self.visible_lines();
        let (Some(cluster), Some(detail)) = (&self.cluster, &mut self.detail) else { return };
        let was_at_end = detail.first + visible >= self.body.len();
        self.body = text::wrap(&detail.text(cluster, self.now), self.size.0.into());
        let last = self.body.len().saturating_sub(visible);
        // The end of a journal stays visible.
        let follows = detail.page == Page::Journal && was_at_end;
        detail.first = if follows { last } else { detail.first.min(last) };
    }

    fn refresh_popup(&mut self) {
        let (width, height) = self.popup_size();
        if let Some(popup) = &mut self.popup {
            popup.lines = text::wrap(&popup.text, width);
            popup.first = popup.first.min(popup.lines.len().saturating_sub(height));
        }
    }

    /// Opens a text over everything else.
    fn open(&mut self, title: &str, text: String, question: Option<Change>) {
        let title = sanitize::line(title);
        self.popup = Some(Popup { title, text, lines: Vec::new(), first: 0, question });
        self.refresh_popup();
    }

    fn add_to_journal(&mut self, number: u64, lines: Vec<String>, end: Option<String>) {
        let journal = self.detail.as_mut().and_then(|detail| detail.journal.as_mut());
        if let Some(journal) = journal.filter(|journal| journal.number == number) {
            journal.add(lines, end);
            self.refresh_detail();
        }
    }

    /// Returns the unit and the machine that a command is about.
    fn subject(&self) -> Subject {
        if let Some(detail) = &self.detail {
            return detail.subject.clone();
        }
        let row = self.place().and_then(|place| place.row(&self.listing));
        row.map(|row| row.subject.clone()).unwrap_or_default()
    }

    fn snapshot(&self) -> Option<&Snapshot> {
        self.cluster.as_ref().map(|cluster| &*cluster.snapshot)
    }

    /// Returns the question whether to carry a change out.
    fn question(&self, change: &Change) -> String {
        match change {
            Change::Unit(verb, unit) => format!("{verb} {unit}?"),
            Change::Machine(verb, machine) => {
                let name = self.snapshot().map(|snapshot| snapshot.name_of(*machine)).unwrap_or_default();
                format!("{verb} {name}?")
            }
        }
    }

    /// Opens the pages about a unit or a machine.
    fn open_detail(&mut self, subject: Subject, page: Page) -> Vec<Effect> {
        let ends = self.close_detail();
        self.detail = Some(Detail::new(subject, page));
        self.body = Vec::new();
        let begins = self.turn_to(page);
        ends.into_iter().chain(begins).collect()
    }

    /// Shows a page of the open details.
    fn turn_to(&mut self, page: Page) -> Vec<Effect> {
        let Some(detail) = &mut self.detail else { return Vec::new() };
        (detail.page, detail.first) = (page, 0);
        let mut effects = Vec::new();
        if page == Page::Journal
            && detail.journal.is_none()
            && let Subject { unit: Some(unit), machine: Some(machine), .. } = &detail.subject
        {
            self.journals += 1;
            detail.journal = Some(Journal::new(self.journals));
            effects.push(Effect::Follow(self.journals, unit.clone(), *machine));
        }
        self.body = Vec::new();
        self.refresh_detail();
        effects
    }

    fn close_detail(&mut self) -> Vec<Effect> {
        let had_journal = self.detail.take().is_some_and(|detail| detail.journal.is_some());
        had_journal.then_some(Effect::EndJournal).into_iter().collect()
    }

    fn open_help(&mut self) {
        self.open("Keys", help::all(), None);
    }
}
