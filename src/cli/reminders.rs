//! The troubles that a sweep has reported, in a file beside muster's other state: cron sends mail for every line.
//!
//! The file is of this user on this host. It is not in the store, because a sweep beside a controller writes nothing there,
//! and because other readers of other sweeps have not seen these lines.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::core::model::Timestamp;

/// When each line was last printed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reminders {
    file: PathBuf,
    printed: BTreeMap<String, Timestamp>,
}

impl Reminders {
    /// Reads the file. One that is absent or damaged has no lines: everything is printed again.
    pub(super) fn read(file: PathBuf) -> Self {
        let printed = fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok());
        Self { file, printed: printed.unwrap_or_default() }
    }

    /// Returns the lines that were not printed within the time `every`. A line that is not among them is forgotten: the
    /// trouble has ended, and is new if it comes again.
    pub(super) fn due(&mut self, lines: Vec<String>, every: Duration, now: Timestamp) -> Vec<String> {
        let before = std::mem::take(&mut self.printed);
        let mut due = Vec::new();
        for line in lines {
            // A time in the future means that the clock was set back.
            let printed = before.get(&line).copied().filter(|at| *at <= now && now.since(*at) < every);
            self.printed.insert(line.clone(), printed.unwrap_or(now));
            if printed.is_none() {
                due.push(line);
            }
        }
        due
    }

    /// Writes the file.
    pub(super) fn write(&self) -> io::Result<()> {
        if let Some(folder) = self.file.parent() {
            fs::create_dir_all(folder)?;
        }
        let fresh = self.file.with_extension("new");
        fs::write(&fresh, serde_json::to_vec(&self.printed)?)?;
        fs::rename(fresh, &self.file)
    }

    /// Returns the name of the file.
    pub(super) fn file(&self) -> &std::path::Path {
        &self.file
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn due(reminders: &mut Reminders, lines: &[&str], minutes: u64) -> Vec<String> {
        let now = Timestamp::ZERO + Duration::from_mins(minutes);
        reminders.due(lines.iter().map(|line| (*line).to_owned()).collect(), HOUR, now)
    }

    #[test]
    fn a_line_is_printed_once_an_hour_and_again_when_its_trouble_is_new() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state/sweep.json");
        let mut reminders = Reminders::read(file.clone());
        assert_eq!(due(&mut reminders, &["a", "b"], 0), ["a", "b"]);
        assert!(due(&mut reminders, &["a", "b"], 59).is_empty());
        assert_eq!(due(&mut reminders, &["a", "b", "c"], 60), ["a", "b", "c"]);
        assert!(due(&mut reminders, &["a"], 61).is_empty());
        assert_eq!(due(&mut reminders, &["a", "b"], 62), ["b"], "it has ended and has come again");
        reminders.write().unwrap();
        let mut again = Reminders::read(file.clone());
        assert_eq!(again, reminders);
        assert!(due(&mut again, &["a", "b"], 63).is_empty());
        assert_eq!(due(&mut again, &["a"], 30), ["a"], "the clock was set back");
        fs::write(&file, "damaged").unwrap();
        assert_eq!(due(&mut Reminders::read(file), &["a"], 64), ["a"]);
    }
}
