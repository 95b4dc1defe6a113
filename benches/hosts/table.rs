//! The table of results: how long each operation took, and on which machine.

use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;

/// The results so far.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<[String; 4]>,
    load: String,
}

impl Table {
    pub(crate) fn begin() -> Self {
        Self { rows: Vec::new(), load: load() }
    }

    /// Adds the times of several runs of one operation.
    pub(crate) fn times(&mut self, what: &str, runs: &[Duration], note: &str) {
        let seconds: Vec<f64> = runs.iter().map(Duration::as_secs_f64).collect();
        self.numbers(what, &seconds, "s", note);
    }

    /// Adds several values of one measurement.
    pub(crate) fn numbers(&mut self, what: &str, runs: &[f64], unit: &str, note: &str) {
        let mut sorted = runs.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (Some(low), Some(high)) = (sorted.first(), sorted.last()) else { return };
        let spread = format!("{low:.2}–{high:.2} ({})", sorted.len());
        let row = [what.to_owned(), format!("{:.2} {unit}", median(&sorted)), spread, note.to_owned()];
        eprintln!("{}", row.join("  "));
        self.rows.push(row);
    }

    /// Returns the table as Markdown.
    pub(crate) fn end(&self) -> String {
        let mut text = String::from("| work | median | spread (runs) | |\n|---|---|---|---|\n");
        for row in &self.rows {
            let _ = writeln!(text, "| {} |", row.join(" | "));
        }
        let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
        let _ = write!(
            text,
            "\nmuster {}, {cores} cores shared by muster and all hosts, load {} before and {} after; {}; {}; {}",
            env!("CARGO_PKG_VERSION"),
            self.load,
            load(),
            first_line(&["systemctl", "--version"]),
            first_line(&["ssh", "-V"]),
            first_line(&["uname", "-sr"]),
        );
        text
    }
}

/// Returns the median of sorted numbers.
pub(crate) fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) }
}

fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("?").to_owned()
}

fn first_line(words: &[&str]) -> String {
    let Ok(output) = Command::new(words[0]).args(&words[1..]).output() else { return format!("no {}", words[0]) };
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned()
}
