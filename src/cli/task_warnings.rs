//! The warnings of tasks, each of which is printed once in a run, on stderr.

use std::collections::BTreeSet;

use crate::playbook::callback::Event;
use crate::ui;

/// The warnings that were printed.
#[derive(Debug, Default)]
pub(super) struct TaskWarnings(BTreeSet<String>);

impl TaskWarnings {
    /// Prints the warnings of a result that are new.
    pub(super) fn show(&mut self, event: &Event<'_>) {
        for warning in event.warnings() {
            if self.0.insert(warning.to_owned()) {
                ui::status(&format!("[WARNING]: {warning}"));
            }
        }
    }
}
