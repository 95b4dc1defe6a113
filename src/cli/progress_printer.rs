//! Prints the progress of an operation: lines as they come, or one JSON document at the end.

use serde_json::Value;

use crate::control::progress::Progress;
use crate::ui;
use crate::ui::messages;

/// Prints the progress of one operation.
pub(super) struct ProgressPrinter {
    /// The document so far, if JSON is asked for.
    document: Option<Vec<Value>>,
    line: ui::ProgressLine,
}

impl ProgressPrinter {
    /// Makes a printer of lines or of JSON.
    pub(super) fn new(json: bool) -> Self {
        Self { document: json.then(Vec::new), line: ui::ProgressLine::start() }
    }

    /// Prints one step of progress.
    pub(super) fn print(&mut self, progress: &Progress<'_>) {
        if let (Some(document), Some(record)) = (&mut self.document, progress.record()) {
            return document.push(record);
        }
        match progress {
            Progress::Warning(text) => ui::status(text),
            Progress::Event(snapshot, event) => self.line.show(&ui::line(snapshot, event)),
            Progress::Triggered(unit, verb, global) => ui::result(&messages::triggered(unit, *verb, *global)),
            Progress::Reached(unit, state, machine) => ui::result(&messages::reached(unit, *state, *machine)),
            Progress::Destroyed(unit) => ui::result(&messages::destroyed(unit)),
        }
    }

    /// Removes the progress line and prints the document.
    pub(super) fn finish(self) {
        if let Some(document) = self.document {
            ui::json(&document);
        }
    }
}
