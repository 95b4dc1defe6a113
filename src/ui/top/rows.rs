//! The rows of the views: the columns and words of the lists that the commands print, with a few columns more.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::Cluster;
use super::text;
use crate::core::model::MachineId;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;
use crate::core::sanitize;
use crate::core::unit::UnitName;
use crate::ui;
use crate::ui::event;
use crate::ui::explanation;
use crate::ui::lists;
use crate::ui::terminal::Tone;

/// What a list shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum View {
    #[default]
    Machines,
    Units,
    Applications,
    Events,
    Problems,
}

impl View {
    /// The views, in the order of their keys.
    pub(super) const ALL: [Self; 5] = [Self::Machines, Self::Units, Self::Applications, Self::Events, Self::Problems];

    /// Returns the name of the view.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Machines => "Machines",
            Self::Units => "Units",
            Self::Applications => "Applications",
            Self::Events => "Events",
            Self::Problems => "Problems",
        }
    }

    /// Returns the view that is so many views further.
    pub(super) fn further(self, count: usize) -> Self {
        let at = Self::ALL.iter().position(|view| *view == self).unwrap_or_default();
        Self::ALL.into_iter().cycle().nth(at + count).unwrap_or_default()
    }
}

/// The part of the units that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scope {
    Machine(MachineId),
    Application(String),
}

/// What a row is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) machine: Option<MachineId>,
    pub(super) unit: Option<UnitName>,
    /// What else tells the row from others: an application, an event, a problem.
    pub(super) other: String,
}

/// A row of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) subject: Subject,
    /// The texts, sanitised.
    pub(super) cells: Vec<String>,
    /// The colours of cells, by column.
    pub(super) tones: Vec<(usize, Tone)>,
}

impl Row {
    /// Reports whether a text in lower case is in any of the cells.
    pub(super) fn contains(&self, text: &str) -> bool {
        text.is_empty() || self.cells.iter().any(|cell| cell.to_lowercase().contains(text))
    }
}

/// The rows of a view.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) header: Vec<&'static str>,
    pub(super) rows: Vec<Row>,
    /// How many columns of the terminal each column takes.
    pub(super) widths: Vec<usize>,
}

impl Listing {
    /// Makes the rows of a view, sorted by a column; without one in the view's own order.
    pub(super) fn of(
        view: View,
        scope: Option<&Scope>,
        sort: Option<usize>,
        cluster: &Cluster,
        now: Timestamp,
    ) -> Self {
        let mut listing = match view {
            View::Machines => machines(cluster, now),
            View::Units => units(cluster, scope, now),
            View::Applications => applications(cluster, now),
            View::Events => events(cluster),
            View::Problems => problems(cluster),
        };
        listing.leave_out_empty_columns();
        for cell in listing.rows.iter_mut().flat_map(|row| &mut row.cells) {
            if let Cow::Owned(clean) = clean(cell) {
                *cell = clean;
            }
        }
        if let Some(column) = sort.map(|sort| sort % listing.header.len().max(1)) {
            listing.rows.sort_by_cached_key(|row| order(row.cells.get(column).map_or("", String::as_str)));
        }
        listing.measure();
        listing
    }

    /// Leaves out the columns, except the first, that are empty in all rows.
    fn leave_out_empty_columns(&mut self) {
        let is_used = |column: usize| {
            column == 0 || self.rows.iter().any(|row| row.cells.get(column).is_some_and(|cell| cell != "-"))
        };
        let used: Vec<bool> = (0..self.header.len()).map(is_used).collect();
        if self.rows.is_empty() || used.iter().all(|used| *used) {
            return;
        }
        let place = |column: usize| used.iter().take(column).filter(|used| **used).count();
        let keep = |column: &usize| used.get(*column).copied().unwrap_or_default();
        self.header = self.header.iter().enumerate().filter(|(at, _)| keep(at)).map(|(_, name)| *name).collect();
        for row in &mut self.rows {
            let cells = std::mem::take(&mut row.cells).into_iter().enumerate();
            row.cells = cells.filter(|(at, _)| keep(at)).map(|(_, cell)| cell).collect();
            row.tones.retain(|(at, _)| keep(at));
            row.tones.iter_mut().for_each(|(at, _)| *at = place(*at));
        }
    }

    fn measure(&mut self) {
        self.widths = self.header.iter().map(|name| text::width(name)).collect();
        for row in &self.rows {
            for (widest, cell) in self.widths.iter_mut().zip(&row.cells) {
                *widest = text::width(cell).max(*widest);
            }
        }
    }
}

fn clean(cell: &str) -> Cow<'_, str> {
    if cell.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return Cow::Borrowed(cell);
    }
    Cow::Owned(sanitize::line(cell))
}

/// Returns the order of a cell: numbers by their value, before texts.
fn order(cell: &str) -> (u64, String) {
    cell.parse().map_or_else(|_| (u64::MAX, cell.to_lowercase()), |number| (number, String::new()))
}

/// Returns the colour of a state of systemd.
fn tone_of_state(active: &str) -> Option<Tone> {
    match active {
        "failed" => Some(Tone::Error),
        "activating" | "deactivating" | "reloading" => Some(Tone::Warning),
        _ => None,
    }
}

fn tone_of_machine(snapshot: &Snapshot, machine: MachineId) -> Option<Tone> {
    snapshot.health.get(&machine).map(|record| Tone::of(record.health))
}

fn machines(cluster: &Cluster, now: Timestamp) -> Listing {
    let snapshot = &*cluster.snapshot;
    let mut counts = BTreeMap::<MachineId, usize>::new();
    for machine in snapshot.states.values().flat_map(BTreeMap::keys) {
        *counts.entry(*machine).or_default() += 1;
    }
    let machines = lists::machines(snapshot, true, now);
    let cells = lists::cells(&machines, &["name", "health", "observed", "scheduling", "ip", "metadata"]);
    let rows = machines.iter().zip(cells).map(|(row, mut cells)| {
        let id = row.machine();
        let record = snapshot.health.get(&id);
        let evidence = record.map_or_else(|| "not observed yet".to_owned(), |it| explanation::evidence(it, now));
        cells.insert(3, counts.get(&id).copied().unwrap_or_default().to_string());
        cells.push(evidence);
        let tones = tone_of_machine(snapshot, id).map(|tone| (1, tone)).into_iter().collect();
        Row { subject: Subject { machine: Some(id), ..Subject::default() }, cells, tones }
    });
    let mut rows: Vec<Row> = rows.collect();
    rows.sort_by(|one, other| one.cells.first().cmp(&other.cells.first()));
    let header = vec!["NAME", "HEALTH", "OBSERVED", "UNITS", "SCHEDULING", "IP", "METADATA", "EVIDENCE"];
    Listing { header, rows, ..Listing::default() }
}

/// The units on machines, and the submitted units that no machine has reported.
fn units(cluster: &Cluster, scope: Option<&Scope>, now: Timestamp) -> Listing {
    let snapshot = &*cluster.snapshot;
    let desired = |unit: &UnitName| {
        snapshot.units.get(unit).map_or_else(|| "not submitted".to_owned(), |record| record.desired.to_string())
    };
    let mut reported = lists::units(snapshot, now);
    reported.retain(|row| is_within(snapshot, scope, row.unit(), Some(row.machine())));
    let cells = lists::cells(&reported, &["unit", "name", "health", "active", "sub", "observed"]);
    let rows = reported.iter().zip(cells).map(|(row, mut cells)| {
        cells.insert(1, desired(row.unit()));
        let machine = Some(row.machine());
        let health = tone_of_machine(snapshot, row.machine()).map(|tone| (3, tone));
        let state = cells.get(4).and_then(|active| tone_of_state(active)).map(|tone| (4, tone));
        let subject = Subject { machine, unit: Some(row.unit().clone()), ..Subject::default() };
        Row { subject, cells, tones: health.into_iter().chain(state).collect() }
    });
    let mut rows: Vec<Row> = rows.collect();
    let known: BTreeSet<&UnitName> = reported.iter().map(lists::UnitRow::unit).collect();
    let others = snapshot.units.keys().filter(|unit| !known.contains(unit)).filter_map(|unit| {
        let machine = snapshot.placements.get(unit).map(|placement| placement.machine);
        if !is_within(snapshot, scope, unit, machine) {
            return None;
        }
        let name = machine.map_or_else(|| "-".to_owned(), |machine| snapshot.name_of(machine));
        let mut cells = vec![unit.to_string(), desired(unit), name];
        cells.resize(7, "-".to_owned());
        let subject = Subject { machine, unit: Some(unit.clone()), ..Subject::default() };
        Some(Row { subject, cells, tones: Vec::new() })
    });
    rows.extend(others);
    rows.sort_by(|one, other| one.subject.unit.cmp(&other.subject.unit));
    let header = vec!["UNIT", "DSTATE", "NAME", "HEALTH", "ACTIVE", "SUB", "OBSERVED"];
    Listing { header, rows, ..Listing::default() }
}

/// Reports whether a unit is in the part that is shown.
fn is_within(snapshot: &Snapshot, scope: Option<&Scope>, unit: &UnitName, machine: Option<MachineId>) -> bool {
    match scope {
        None => true,
        Some(Scope::Machine(id)) => machine == Some(*id),
        Some(Scope::Application(name)) => {
            snapshot.file(unit).is_some_and(|file| file.application() == Some(name.as_str()))
        }
    }
}

fn applications(cluster: &Cluster, now: Timestamp) -> Listing {
    let applications = lists::applications::applications(&cluster.snapshot, now);
    let cells = lists::cells(&applications, &["application", "units", "running", "missing", "machines"]);
    let rows = applications.iter().zip(cells).map(|(row, cells)| {
        let subject = Subject { other: row.application().to_owned(), ..Subject::default() };
        let is_whole = cells.get(3).is_none_or(|missing| missing == "-");
        let tones = if is_whole { Vec::new() } else { vec![(2, Tone::Warning)] };
        Row { subject, cells, tones }
    });
    let header = vec!["APPLICATION", "UNITS", "RUNNING", "MISSING", "MACHINES"];
    Listing { header, rows: rows.collect(), ..Listing::default() }
}

/// The events, the newest first.
fn events(cluster: &Cluster) -> Listing {
    let snapshot = &*cluster.snapshot;
    let dash = || "-".to_owned();
    let rows = cluster.events.iter().rev().map(|it| {
        let (machine, unit) = (it.subject.machine, it.subject.unit.clone());
        let cells = vec![
            ui::time(it.at),
            machine.map_or_else(dash, |machine| snapshot.name_of(machine)),
            unit.as_ref().map_or_else(dash, ToString::to_string),
            event::text(snapshot, it),
        ];
        let tones = if it.kind.is_trouble() { vec![(3, Tone::Warning)] } else { Vec::new() };
        let other = format!("{} {}", it.at, cells.last().map_or("", String::as_str));
        Row { subject: Subject { machine, unit, other }, cells, tones }
    });
    Listing { header: vec!["TIME", "MACHINE", "UNIT", "EVENT"], rows: rows.collect(), ..Listing::default() }
}

fn problems(cluster: &Cluster) -> Listing {
    let snapshot = &*cluster.snapshot;
    let dash = || "-".to_owned();
    let rows = cluster.troubles.iter().map(|trouble| {
        let cells = vec![
            trouble.machine.map_or_else(dash, |machine| snapshot.name_of(machine)),
            trouble.unit.as_ref().map_or_else(dash, ToString::to_string),
            trouble.text.clone(),
        ];
        let subject = Subject { machine: trouble.machine, unit: trouble.unit.clone(), other: trouble.text.clone() };
        Row { subject, cells, tones: Vec::new() }
    });
    Listing { header: vec!["MACHINE", "UNIT", "PROBLEM"], rows: rows.collect(), ..Listing::default() }
}
