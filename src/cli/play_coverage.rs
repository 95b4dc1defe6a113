//! `muster play --coverage`: how much of a folder's playbooks muster could run.

use std::path::Path;

use super::error::CommandError;
use super::error::CommandResult;
use super::error::ExitStatus;
use crate::playbook::coverage::Coverage;
use crate::playbook::coverage::Tally;
use crate::playbook::coverage::folder;
use crate::ui;
use crate::ui::table;

/// Counts the tasks, roles and playbooks of a folder, and prints the counts.
pub(super) fn run(path: &Path, json: bool) -> CommandResult {
    let coverage = folder::read(path).map_err(|error| {
        let status = match error {
            folder::CoverageError::Unreadable(..) => ExitStatus::Failed,
            folder::CoverageError::TooMany(_) | folder::CoverageError::TooLarge(_) => ExitStatus::Usage,
        };
        CommandError::new(status, error)
    })?;
    if json {
        ui::json(&coverage.to_json());
    } else {
        ui::result(&text(&coverage));
    }
    Ok(ExitStatus::Done)
}

/// Returns the counts as tables.
fn text(coverage: &Coverage) -> String {
    let (whole, roles) = coverage.whole_roles();
    let mut rows = vec![["", "ACCEPTED", "ALL", "SHARE"].map(str::to_owned).to_vec()];
    let counts = |tally: &Tally| (tally.accepted, tally.all());
    for (name, (accepted, all)) in [
        ("tasks", counts(&coverage.tasks)),
        ("roles", (whole, roles)),
        ("playbooks", counts(&coverage.playbooks)),
        ("templates", counts(&coverage.templates)),
    ] {
        rows.push(vec![name.to_owned(), accepted.to_string(), all.to_string(), share(accepted, all)]);
    }
    let mut text = table::lay_out(&rows, false);
    if coverage.encrypted > 0 {
        text.push_str(&format!("\nencrypted files that were not read: {}\n", coverage.encrypted));
    }
    for (heading, tally) in [
        ("TASKS", &coverage.tasks),
        ("PLAYBOOKS", &coverage.playbooks),
        ("TEMPLATES", &coverage.templates),
        ("FILES", &coverage.unreadable),
    ] {
        text.push_str(&reasons(heading, tally));
    }
    text
}

/// Returns the table of the reasons for which things are refused.
fn reasons(heading: &str, tally: &Tally) -> String {
    let mut rows = vec![[heading, "EXAMPLE", "REFUSED BECAUSE"].map(str::to_owned).to_vec()];
    for (text, reason) in tally.reasons() {
        let line = if reason.line == 0 { String::new() } else { format!(":{}", reason.line) };
        rows.push(vec![reason.count.to_string(), format!("{}{line}", reason.file.display()), text.to_owned()]);
    }
    if rows.len() == 1 { String::new() } else { format!("\n{}", table::lay_out(&rows, false)) }
}

/// Returns a share in percent, rounded down so that 100 % means all.
fn share(part: usize, all: usize) -> String {
    match (part * 1000).checked_div(all) {
        Some(share) => format!("{}.{} %", share / 10, share % 10),
        None => "-".to_owned(),
    }
}
