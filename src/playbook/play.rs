//! What a playbook says: plays of tasks, typed, each with the place where it was written.

use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;

use super::module::Kind;
use crate::inventory::Vars;
use crate::inventory::fault::Place;

/// A file of plays.
#[derive(Debug, Clone, PartialEq)]
pub struct Playbook {
    /// The file; what its tasks copy is found beside it.
    pub file: PathBuf,
    /// Its plays, in order.
    pub plays: Vec<Play>,
}

impl Playbook {
    /// Returns the folder that it is in.
    pub fn folder(&self) -> &Path {
        self.file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    /// Says whether any task requirements the cluster for something.
    pub fn needs_cluster(&self) -> bool {
        let tasks = self.plays.iter().flat_map(|play| play.tasks.iter().chain(&play.handlers));
        tasks.into_iter().any(|task| task.kind.is_for_cluster())
    }
}

/// Some tasks for some hosts.
#[derive(Debug, Clone, PartialEq)]
pub struct Play {
    /// What it is called; its hosts' pattern if it was not given a name.
    pub name: String,
    /// Which hosts, as a pattern.
    pub hosts: String,
    /// Where the pattern stands.
    pub hosts_at: Place,
    /// How many hosts at a time; the last repeats. Empty means all at once.
    pub serial: Vec<Batch>,
    /// Variables of this play.
    pub vars: Vars,
    /// Whether tasks run as root unless they say otherwise.
    pub root: bool,
    /// The tasks, in order.
    pub tasks: Vec<Task>,
    /// Tasks that run at the end if they were notified, in this order.
    pub handlers: Vec<Task>,
}

/// A number of hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batch {
    /// So many; 0 means all.
    Count(usize),
    /// A share of the play's hosts in percent, at least one host.
    Percent(usize),
}

/// One thing to be true on each host.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Where it begins.
    pub at: Place,
    /// What it is called; its module's name if it was not given one. May be a template.
    pub name: String,
    /// Which module.
    pub kind: Kind,
    /// The module's arguments; text in them may be a template.
    pub args: Vars,
    /// Variables of this task.
    pub vars: Vars,
    /// Run only where all of these hold.
    pub when: Vec<String>,
    /// The variable that keeps the result.
    pub register: Option<String>,
    /// Handlers to run at the end if this changed something.
    pub notify: Vec<String>,
    /// Run once for each of these, as `item`: a list, or a template that makes one.
    pub items: Option<Value>,
    /// Go on with a host although this failed there.
    pub ignore_errors: bool,
    /// It counts as changed where all of these hold.
    pub changed_when: Option<Vec<String>>,
    /// It counts as failed where all of these hold.
    pub failed_when: Option<Vec<String>>,
    /// Whether it runs as root; the play's word if not said.
    pub root: Option<bool>,
    /// Whether it only says what it would do; as the run does if not said.
    pub check: Option<bool>,
}

/// Returns how many hosts each batch of a play has.
pub fn batches(serial: &[Batch], hosts: usize) -> Vec<usize> {
    let mut sizes = Vec::new();
    let mut left = hosts;
    let mut wanted = serial.iter().copied();
    let mut current = wanted.next().unwrap_or(Batch::Count(0));
    while left > 0 {
        let size = match current {
            Batch::Count(0) => left,
            Batch::Count(count) => count,
            Batch::Percent(share) => (hosts.saturating_mul(share) / 100).max(1),
        };
        sizes.push(size.min(left));
        left = left.saturating_sub(size);
        current = wanted.next().unwrap_or(current);
    }
    sizes
}

#[cfg(test)]
mod tests {
    use super::Batch::Count;
    use super::Batch::Percent;
    use super::batches;

    #[test]
    fn the_last_batch_size_repeats_until_no_host_is_left() {
        for (serial, hosts, expected) in [
            (vec![], 5, vec![5]),
            (vec![Count(0)], 5, vec![5]),
            (vec![Count(2)], 5, vec![2, 2, 1]),
            (vec![Count(1), Count(3)], 8, vec![1, 3, 3, 1]),
            (vec![Percent(30)], 10, vec![3, 3, 3, 1]),
            (vec![Percent(1)], 3, vec![1, 1, 1]),
            (vec![Count(1), Percent(100)], 4, vec![1, 3]),
            (vec![Count(9)], 0, vec![]),
        ] {
            assert_eq!(batches(&serial, hosts), expected, "{serial:?} of {hosts}");
        }
    }
}
