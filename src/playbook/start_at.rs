//! `--start-at-task`: leaves out the tasks before the one with a name.

use std::sync::Arc;

use super::play::Block;
use super::play::Node;
use super::play::Play;
use super::play::Task;
use crate::inventory::ShellPattern;
use crate::inventory::diagnostic::Position;

/// The search for the task with which a run starts.
pub struct StartAt {
    /// The name, which may be a pattern such as `web*`.
    name: String,
    pattern: Option<ShellPattern>,
    is_found: bool,
}

impl StartAt {
    /// Begins the search for a task.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), pattern: ShellPattern::parse(name).ok(), is_found: false }
    }

    /// Reports whether the task was found.
    pub const fn is_found(&self) -> bool {
        self.is_found
    }

    /// Removes the tasks of a play that come before the task. The play still gathers its facts if it has the task. As with
    /// Ansible, tasks in included files are not found.
    pub fn apply(&mut self, play: &mut Play) {
        if self.is_found {
            return;
        }
        let is_gathering = |node: &&Node| node.task().is_some_and(|task| task.at == Position::default());
        let gathering = play.tasks.first().filter(is_gathering).cloned();
        let rest = self.rest(&play.tasks);
        let is_first = rest.first() == gathering.as_ref();
        let gathering = gathering.filter(|_| self.is_found && !is_first);
        play.tasks = gathering.into_iter().chain(rest).collect();
    }

    /// Returns the tasks from the one that is sought, or none.
    fn rest(&mut self, nodes: &[Node]) -> Vec<Node> {
        nodes.iter().filter_map(|node| self.kept(node)).collect()
    }

    fn kept(&mut self, node: &Node) -> Option<Node> {
        match node {
            _ if self.is_found => Some(node.clone()),
            Node::Flush => None,
            Node::Task(task) => {
                self.is_found = self.matches(task);
                self.is_found.then(|| node.clone())
            }
            Node::Block(block) => {
                let body = self.rest(&block.body);
                let always = self.rest(&block.always).into();
                let rescue = if body.is_empty() { Arc::default() } else { Arc::clone(&block.rescue) };
                self.is_found.then(|| Node::Block(Arc::new(Block { body: body.into(), rescue, always })))
            }
        }
    }

    fn matches(&self, task: &Task) -> bool {
        let matches = |name: &str| name == self.name || self.pattern.as_ref().is_some_and(|it| it.matches(name));
        matches(&task.name) || matches(&task.title())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::playbook::parse;

    /// Returns the names of the tasks that remain.
    fn remaining(name: &str) -> Vec<String> {
        let text = "- hosts: a\n  gather_facts: true\n  tasks:\n    - {name: one, ping: }\n    - block:\n        - {name: two, ping: }\n        \
                    - {name: three, ping: }\n      rescue:\n        - {name: rescue, ping: }\n      always:\n        \
                    - {name: always, ping: }\n- hosts: b\n  gather_facts: true\n  tasks:\n    - {name: four, ping: }\n";
        let nothing = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
        let mut playbook = parse::read(Path::new("p"), text, &nothing, &parse::Options::default()).unwrap();
        let mut start = StartAt::new(name);
        playbook.plays.iter_mut().for_each(|play| start.apply(play));
        playbook.plays.iter().flat_map(Play::all_tasks).map(|task| task.name.clone()).collect()
    }

    #[test]
    fn the_tasks_before_the_named_one_are_left_out() {
        let facts = "Gathering Facts";
        for (name, expected) in [
            ("one", &[facts, "one", "two", "three", "rescue", "always", facts, "four"][..]),
            ("th*", &[facts, "three", "rescue", "always", facts, "four"]),
            ("always", &[facts, "always", facts, "four"]),
            ("four", &[facts, "four"]),
            ("rescue", &[]),
            ("nothing", &[]),
        ] {
            assert_eq!(remaining(name), expected, "{name}");
        }
    }
}
