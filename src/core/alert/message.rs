//! The message to a receiver: one for all incidents that are due together.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::core::model::Timestamp;
use crate::core::unit::Hash;

/// How many machines a line names.
const NAMED: usize = 5;

/// How many lines a text has. The rest is counted.
const LINES: usize = 20;

/// How many digits an id has.
const ID_DIGITS: usize = 12;

/// What a message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Problems are there.
    Problem,
    /// Problems have ended.
    Clear,
    /// Problems are still there.
    Reminder,
    /// Nothing: it is a test.
    Test,
}

impl Status {
    /// Returns the word that a receiver gets.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Problem => "problem",
            Self::Clear => "clear",
            Self::Reminder => "reminder",
            Self::Test => "test",
        }
    }
}

/// What a message says about one incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The id of the incident, the same in its alert, its reminders and its all-clear.
    pub id: String,
    /// The kind of the problem.
    pub kind: String,
    /// The name of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// The name of the unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Since when the problem is there.
    pub since: Timestamp,
    /// When the problem ended, if it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// The problem and its cause.
    pub text: String,
    /// The trouble of a machine without its name: machines with the same one share a line of the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<String>,
}

/// A message to a receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Its id: a message that is sent again has the same one.
    pub id: String,
    /// What it says.
    pub status: Status,
    /// The token of the cluster.
    pub cluster: String,
    /// When it was made.
    pub at: Timestamp,
    /// The incidents.
    pub incidents: Vec<Notice>,
    /// How many more incidents it stands for.
    pub omitted: usize,
}

/// Returns the id of a text.
pub(super) fn id_of(text: &str) -> String {
    Hash::of(text.as_bytes()).to_string().chars().take(ID_DIGITS).collect()
}

impl Message {
    /// Returns the message of `muster notify test`.
    pub fn test(cluster: &str, receiver: &str, at: Timestamp) -> Self {
        let id = id_of(&format!("test {cluster} {receiver} {}", at.as_millis()));
        let cluster = cluster.to_owned();
        Self { id, status: Status::Test, cluster, at, incidents: Vec::new(), omitted: 0 }
    }

    /// Returns the subject of the message, in one line.
    pub fn title(&self) -> String {
        let count = self.incidents.len() + self.omitted;
        let problems = if count == 1 { "problem" } else { "problems" };
        let cluster = &self.cluster;
        match self.status {
            Status::Problem => format!("muster {cluster}: {count} {problems}"),
            Status::Clear => format!("muster {cluster}: {count} {problems} ended"),
            Status::Reminder if count == 1 => format!("muster {cluster}: {count} problem remains"),
            Status::Reminder => format!("muster {cluster}: {count} problems remain"),
            Status::Test => format!("muster {cluster}: test"),
        }
    }

    /// Returns the text of the message: a line for each incident, or for several machines with the same trouble, and the id.
    pub fn text(&self) -> String {
        if self.status == Status::Test {
            return format!("This is a test of `muster notify test`. Nothing is wrong.\n(message {})", self.id);
        }
        let mut groups: BTreeMap<&str, Vec<&Notice>> = BTreeMap::new();
        for notice in &self.incidents {
            groups.entry(notice.shared.as_deref().unwrap_or(&notice.id)).or_default().push(notice);
        }
        let mut lines = Vec::new();
        let mut shown = 0;
        for notice in &self.incidents {
            if lines.len() == LINES {
                break;
            }
            let group = groups.remove(notice.shared.as_deref().unwrap_or(&notice.id)).unwrap_or_default();
            shown += group.len();
            lines.extend(line(&group));
        }
        let left = self.incidents.len() - shown + self.omitted;
        lines.extend((left > 0).then(|| format!("and {left} more")));
        lines.push(format!("(message {})", self.id));
        lines.join("\n")
    }
}

/// Returns the line of incidents with the same trouble; `None` for none.
fn line(group: &[&Notice]) -> Option<String> {
    let first = group.first()?;
    let text = match (&first.shared, group.len()) {
        (Some(shared), count @ 2..) => {
            let names: Vec<&str> = group.iter().filter_map(|it| it.machine.as_deref()).take(NAMED).collect();
            let more = count.saturating_sub(NAMED);
            let more = if more == 0 { String::new() } else { format!(" and {more} more machines") };
            format!("{}{more} are {shared}", names.join(", "))
        }
        _ => format!("{} [{}]", first.text, first.id),
    };
    let Some(ended) = group.iter().filter_map(|it| it.ended).max() else { return Some(text) };
    Some(format!("ended after {}: {text}", span(ended.since(first.since))))
}

/// Writes a time in its largest unit.
fn span(time: Duration) -> String {
    match time.as_secs() {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ ..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}
