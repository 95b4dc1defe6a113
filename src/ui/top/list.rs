//! The place of the operator in a list: which rows are shown, which one is chosen, and which part is visible.

use super::rows::Listing;
use super::rows::Row;
use super::rows::Subject;

/// The longest filter.
const FILTER_LIMIT: usize = 100;

/// The place in one list.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    pub(super) filter: String,
    /// The column that sorts the rows, if the operator chose one.
    pub(super) sort: Option<usize>,
    /// How many columns after the first are left out on the left.
    pub(super) skipped: usize,
    /// The indices of the rows that the filter lets through.
    pub(super) shown: Vec<usize>,
    /// The chosen row, as an index of `shown`.
    pub(super) chosen: usize,
    /// The first visible row, as an index of `shown`.
    pub(super) first: usize,
    subject: Option<Subject>,
}

impl Place {
    /// Finds the rows that are shown. The same row stays chosen; the first row stays the first if `follows` is set.
    pub(super) fn refresh(&mut self, listing: &Listing, visible: usize, follows: bool) {
        let filter = self.filter.to_lowercase();
        let rows = listing.rows.iter().enumerate();
        self.shown = rows.filter(|(_, row)| row.contains(&filter)).map(|(at, _)| at).collect();
        let is_first = follows && self.chosen == 0;
        let subject = self.subject.as_ref().filter(|_| !is_first);
        let is_it = |at: &usize| listing.rows.get(*at).is_some_and(|row| Some(&row.subject) == subject);
        if let Some(place) = subject.and_then(|_| self.shown.iter().position(is_it)) {
            self.chosen = place;
        }
        self.choose(self.chosen, listing, visible);
    }

    /// Chooses a row, or the last one if there are fewer, and scrolls to it.
    pub(super) fn choose(&mut self, at: usize, listing: &Listing, visible: usize) {
        let count = self.shown.len();
        self.chosen = at.min(count.saturating_sub(1));
        self.subject = self.row(listing).map(|row| row.subject.clone());
        let visible = visible.max(1);
        let last = count.saturating_sub(visible);
        let lowest = (self.chosen + 1).saturating_sub(visible);
        self.first = self.first.clamp(lowest, self.chosen.max(lowest)).min(last.max(lowest));
    }

    /// Returns the chosen row.
    pub(super) fn row<'a>(&self, listing: &'a Listing) -> Option<&'a Row> {
        self.shown.get(self.chosen).and_then(|at| listing.rows.get(*at))
    }

    /// Adds a character to the filter, unless the filter is full.
    pub(super) fn type_filter(&mut self, c: char) {
        if self.filter.chars().count() < FILTER_LIMIT {
            self.filter.push(c);
        }
    }
}
