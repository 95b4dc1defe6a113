//! Runs of playbooks under cron and timers: one run at a time, no output unless something changed or failed, and a history.
//!
//! The locks and the history are files of this user on this host, beside muster's other state.

use std::fs;
use std::fs::File;
use std::io;
use std::io::Read as _;
use std::io::Seek as _;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::cli::duration;
use crate::cli::error::CommandError;
use crate::core::model::Timestamp;
use crate::core::unit::Hash;
use crate::playbook::callback::report::Report;
use crate::playbook::callback::report::Totals;
use crate::ui;
use crate::ui::table;

/// How many runs the history keeps.
const KEPT: usize = 100;

/// Options for cron and timers.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Scheduled runs")]
pub(super) struct ScheduleArgs {
    /// Run as cron and timers need it: only one run of these playbooks at a time, and no output but a short report if
    /// something changed or failed
    ///
    /// A run that finds another one at work ends with an error. Each run is added to the history.
    #[arg(long)]
    pub(super) scheduled: bool,
    /// Wait for a random part of this time first, so that schedules do not all begin at once
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, requires = "scheduled")]
    pub(super) jitter: Option<Duration>,
    /// Print the last scheduled runs of these playbooks, and run nothing
    #[arg(long, conflicts_with = "scheduled")]
    pub(super) history: bool,
}

/// The files of the scheduled runs of some playbooks.
#[derive(Debug)]
pub(super) struct Schedule {
    lock: PathBuf,
    history: PathBuf,
}

/// A run of the history.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PastRun {
    /// When it began.
    at: Timestamp,
    /// How long it took, in seconds.
    seconds: u64,
    /// Its exit code.
    code: u8,
    #[serde(flatten)]
    totals: Totals,
    /// What changed and what failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    report: String,
}

/// The only run of some playbooks, until it is dropped.
#[derive(Debug)]
pub(super) struct OnlyRun {
    _lock: File,
}

impl Schedule {
    /// Returns the files for playbooks and the hosts to which a run is limited, in muster's state folder. Runs with other
    /// limits or inventories are other schedules.
    pub(super) fn new(folder: &Path, files: &[PathBuf], limit: Option<&str>, inventory: &[PathBuf]) -> Self {
        let place = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let all: Vec<String> = files.iter().chain(inventory).map(|path| place(path).display().to_string()).collect();
        let key = Hash::of(format!("{all:?} {limit:?}").as_bytes());
        let stem = files.first().and_then(|file| file.file_stem()).unwrap_or_default().to_string_lossy();
        let name = format!("{stem}-{}", key.short());
        let folder = folder.join("plays");
        Self { lock: folder.join(format!("{name}.lock")), history: folder.join(format!("{name}.jsonl")) }
    }

    /// Takes the lock of the playbooks, or says which run has it.
    pub(super) fn begin(&self, now: Timestamp) -> Result<OnlyRun, CommandError> {
        let failed =
            |error: io::Error| CommandError::failed(format!("cannot write {}", self.lock.display())).caused_by(error);
        if let Some(folder) = self.lock.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let mut options = File::options();
        let mut lock = options.read(true).write(true).create(true).mode(0o600).open(&self.lock).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // The line is only for the message.
                let _ = lock.read_to_string(&mut holder);
                let error = CommandError::failed(format!("another scheduled run of these playbooks {}", holder.trim()));
                return Err(
                    error.hint("Nothing was done. Schedule them less often, or look why that run takes so long.")
                );
            }
            Err(fs::TryLockError::Error(error)) => return Err(failed(error)),
        }
        let line = format!("goes on since {} (process {})\n", ui::time(now), std::process::id());
        let written = lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| lock.write_all(line.as_bytes()));
        written.map_err(failed)?;
        Ok(OnlyRun { _lock: lock })
    }

    /// Adds a run to the history, which keeps the last ones.
    pub(super) fn record(&self, run: &PastRun) -> io::Result<()> {
        let mut runs = self.runs()?;
        runs.drain(..(runs.len() + 1).saturating_sub(KEPT));
        let mut text = Vec::new();
        for run in runs.iter().chain([run]) {
            serde_json::to_writer(&mut text, run)?;
            text.push(b'\n');
        }
        let fresh = self.history.with_extension("new");
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(&text)?;
        fs::rename(fresh, &self.history)
    }

    /// Returns the runs of the history, the oldest first. A line that cannot be read is left out.
    pub(super) fn runs(&self) -> io::Result<Vec<PastRun>> {
        match fs::read_to_string(&self.history) {
            Ok(text) => Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

impl PastRun {
    /// Makes the record of a run that has ended.
    pub(super) fn new(at: Timestamp, took: Duration, code: u8, report: &Report) -> Self {
        Self { at, seconds: took.as_secs(), code, totals: report.totals(), report: report.text() }
    }

    /// Returns the line about the whole run.
    pub(super) fn summary(&self, files: &[PathBuf]) -> String {
        let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
        let Totals { hosts, changed, failed, unreachable } = self.totals;
        let ended =
            if self.code == 0 { "succeeded".to_owned() } else { format!("failed with exit code {}", self.code) };
        format!(
            "{} {ended} after {} s. Hosts: {hosts}, changed: {changed}, failed: {failed}, unreachable: {unreachable}\n",
            names.join(", "),
            self.seconds
        )
    }
}

/// Writes the history as a table, the latest run last.
pub(super) fn history(runs: &[PastRun]) -> String {
    let header = ["BEGAN", "SECONDS", "EXIT", "HOSTS", "CHANGED", "FAILED", "UNREACHABLE"].map(str::to_owned).to_vec();
    let row = |run: &PastRun| {
        let Totals { hosts, changed, failed, unreachable } = run.totals;
        let counts = [hosts, changed, failed, unreachable].map(|count| count.to_string());
        [ui::time(run.at), run.seconds.to_string(), run.code.to_string()].into_iter().chain(counts).collect()
    };
    let rows: Vec<Vec<String>> = std::iter::once(header).chain(runs.iter().map(row)).collect();
    table::lay_out(&rows, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn run(second: u64) -> PastRun {
        let at = NOW + Duration::from_secs(second);
        PastRun { at, seconds: 3, code: 0, totals: Totals::default(), report: String::new() }
    }

    #[test]
    fn a_second_run_ends_with_an_error_that_names_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let schedule = |limit| Schedule::new(folder.path(), &["site.yaml".into()], limit, &[]);
        let first = schedule(None).begin(NOW).unwrap();
        let error = format!("{:?}", schedule(None).begin(NOW).unwrap_err());
        let process = format!("(process {})", std::process::id());
        assert!(error.contains(" goes on since 20") && error.contains(&process), "{error}");
        schedule(Some("web")).begin(NOW).unwrap();
        drop(first);
        schedule(None).begin(NOW).unwrap();
    }

    #[test]
    fn the_history_keeps_the_last_runs_and_leaves_damaged_lines_out() {
        let folder = tempfile::tempdir().unwrap();
        let schedule = Schedule::new(folder.path(), &["site.yaml".into()], None, &[]);
        assert!(schedule.runs().unwrap().is_empty());
        schedule.begin(NOW).unwrap();
        fs::write(&schedule.history, "not json\n").unwrap();
        (0..110).for_each(|second| schedule.record(&run(second)).unwrap());
        let runs = schedule.runs().unwrap();
        assert_eq!((runs.len(), runs.first(), runs.last()), (KEPT, Some(&run(10)), Some(&run(109))));
        assert_eq!(history(&runs).lines().count(), KEPT + 1);
    }
}
