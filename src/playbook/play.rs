//! The typed form of a playbook: plays and tasks, each with its place in the file.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::modules::ModuleRef;
use crate::inventory::Vars;
use crate::inventory::diagnostic::Position;

/// A playbook.
#[derive(Debug, Clone, PartialEq)]
pub struct Playbook {
    /// The playbook's file. The files that tasks copy are found beside it.
    pub file: PathBuf,
    /// The plays, in order.
    pub plays: Vec<Play>,
}

impl Playbook {
    /// Returns the folder of the playbook's file.
    pub fn folder(&self) -> &Path {
        self.file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    /// Reports whether a task runs on the cluster.
    pub fn needs_cluster(&self) -> bool {
        self.plays.iter().flat_map(Play::all_tasks).any(|task| task.module.is_for_cluster())
    }
}

/// Tasks for the hosts of a pattern.
#[derive(Debug, Clone, PartialEq)]
pub struct Play {
    /// The play's name. The default is the pattern of its hosts.
    pub name: String,
    /// The pattern that selects the hosts.
    pub hosts: String,
    /// The place of the pattern in the file.
    pub hosts_at: Position,
    /// The sizes of the batches. The last one repeats. Empty means one batch of all hosts.
    pub serial: Vec<BatchSize>,
    /// The play's variables.
    pub vars: Vars,
    /// The tasks, in order, with the places at which notified handlers run.
    pub tasks: Arc<[Node]>,
    /// The handlers. Those that were notified run in this order.
    pub handlers: Arc<[Node]>,
}

impl Play {
    /// Returns the tasks and the handlers, with those in blocks.
    pub fn all_tasks(&self) -> impl Iterator<Item = &Arc<Task>> {
        self.tasks.iter().chain(self.handlers.iter()).flat_map(Node::tasks)
    }

    /// Returns the index of the handlers with a name, or that listen to it. Of several with the same name, the last one
    /// counts.
    pub fn handlers_called<'p>(&'p self, name: &'p str) -> impl Iterator<Item = usize> + 'p {
        let named = self.handlers.iter().rposition(|node| node.task().is_some_and(|task| task.name == name));
        let listens = move |node: &Node| node.task().is_some_and(|task| task.listen.iter().any(|topic| topic == name));
        let listening = self.handlers.iter().enumerate().filter(move |(_, node)| listens(node)).map(|(index, _)| index);
        named.into_iter().chain(listening.filter(move |index| Some(*index) != named))
    }
}

/// A part of a list of tasks.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// A task.
    Task(Arc<Task>),
    /// Tasks that are handled together when one of them fails.
    Block(Arc<Block>),
    /// The handlers that were notified run.
    Flush,
}

/// Tasks that are handled together when one of them fails.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// The tasks (`block`).
    pub body: Arc<[Node]>,
    /// The tasks that run where one of the body has failed (`rescue`). Then the block has not failed.
    pub rescue: Arc<[Node]>,
    /// The tasks that run in any case (`always`).
    pub always: Arc<[Node]>,
}

impl Node {
    /// Returns the task, unless the node is something else.
    pub const fn task(&self) -> Option<&Arc<Task>> {
        match self {
            Self::Task(task) => Some(task),
            Self::Block(_) | Self::Flush => None,
        }
    }

    /// Returns the task, or the tasks of the block.
    pub fn tasks(&self) -> Vec<&Arc<Task>> {
        match self {
            Self::Task(task) => vec![task],
            Self::Block(block) => [&block.body, &block.rescue, &block.always]
                .into_iter()
                .flat_map(|nodes| nodes.iter())
                .flat_map(Self::tasks)
                .collect(),
            Self::Flush => Vec::new(),
        }
    }
}

/// The number of hosts in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchSize {
    /// A number of hosts; 0 means all.
    Count(usize),
    /// A share of the play's hosts in percent, at least one host.
    Percent(usize),
}

/// A task: one module with its arguments.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// The place in the file where the task begins.
    pub at: Position,
    /// The task's name, which may be a template. The default is the module's name.
    pub name: String,
    /// The module.
    pub module: ModuleRef,
    /// The module's arguments. Text in them may be a template.
    pub args: Vars,
    /// The task's variables.
    pub vars: Vars,
    /// The task runs only where all of these conditions hold.
    pub when: Vec<String>,
    /// The variable that keeps the result.
    pub register: Option<String>,
    /// The handlers that a change notifies.
    pub notify: Vec<String>,
    /// The topics whose notifications run this handler, beside its name.
    pub listen: Vec<String>,
    /// The task runs once for each item of this list, or of the list that this template makes.
    pub items: Option<Value>,
    /// Set if a host runs the next task although this one failed there.
    pub ignore_errors: bool,
    /// The task counts as changed where all of these conditions hold.
    pub changed_when: Option<Vec<String>>,
    /// The task counts as failed where all of these conditions hold.
    pub failed_when: Option<Vec<String>>,
    /// Set if the task runs as root (`become`).
    pub root: bool,
    /// Whether the task only predicts its changes (`check_mode`). The default is the run's.
    pub check: Option<bool>,
}

/// Returns the number of hosts in each batch of a play.
pub fn batch_sizes(serial: &[BatchSize], hosts: usize) -> Vec<usize> {
    let mut sizes = Vec::new();
    let mut left = hosts;
    let mut serial = serial.iter().copied();
    let mut current = serial.next().unwrap_or(BatchSize::Count(0));
    while left > 0 {
        let size = match current {
            BatchSize::Count(0) => left,
            BatchSize::Count(count) => count,
            BatchSize::Percent(share) => (hosts.saturating_mul(share) / 100).max(1),
        };
        sizes.push(size.min(left));
        left = left.saturating_sub(size);
        current = serial.next().unwrap_or(current);
    }
    sizes
}

#[cfg(test)]
mod tests {
    use super::BatchSize::Count;
    use super::BatchSize::Percent;
    use super::batch_sizes;

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
            assert_eq!(batch_sizes(&serial, hosts), expected, "{serial:?} of {hosts}");
        }
    }
}
