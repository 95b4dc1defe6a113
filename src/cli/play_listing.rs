//! The listings of `muster play`: hosts, tasks and tags of each play, as ansible-playbook prints them.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use serde_json::json;

use crate::inventory::diagnostic::Position;
use crate::playbook::play::Node;
use crate::playbook::play::Playbook;

/// What to list instead of running the plays.
#[derive(Debug, clap::Args)]
pub(super) struct ListingArgs {
    /// List the hosts of each play and do nothing
    #[arg(long)]
    list_hosts: bool,
    /// List the tasks that would run and do nothing
    #[arg(long)]
    list_tasks: bool,
    /// List the tags of each play and do nothing
    #[arg(long)]
    list_tags: bool,
    /// Check the playbook and do nothing
    #[arg(long)]
    syntax_check: bool,
}

/// A playbook to list.
pub(super) struct Listed<'l> {
    /// The file, as the operator has named it.
    pub(super) file: &'l Path,
    pub(super) playbook: &'l Playbook,
    /// The hosts of each play.
    pub(super) hosts: &'l [Vec<String>],
    /// The tags of each play's tasks, selected or not.
    pub(super) tags: &'l [BTreeSet<String>],
}

impl ListingArgs {
    /// Reports whether something is to be listed.
    pub(super) const fn is_wanted(&self) -> bool {
        self.list_hosts || self.list_tasks || self.list_tags || self.syntax_check
    }

    /// Returns the listing of a playbook.
    pub(super) fn text(&self, &Listed { file, playbook, hosts, tags }: &Listed<'_>) -> String {
        let mut text = format!("\nplaybook: {}\n", file.display());
        if !self.list_hosts && !self.list_tasks && !self.list_tags {
            return text;
        }
        for (number, (play, (hosts, tags))) in (1..).zip(playbook.plays.iter().zip(hosts.iter().zip(tags))) {
            text.push_str(&format!("\n  play #{number} ({}): {}\tTAGS: {}\n", play.hosts, play.name, list(&play.tags)));
            if self.list_hosts {
                text.push_str(&format!("    pattern: ['{}']\n    hosts ({}):\n", play.hosts, hosts.len()));
                for host in hosts {
                    text.push_str(&format!("      {host}\n"));
                }
            }
            if self.list_tasks {
                text.push_str("    tasks:\n");
                play.tasks.iter().for_each(|node| list_tasks(node, &mut text));
            }
            if self.list_tags {
                text.push_str(&format!("      TASK TAGS: {}\n", list(tags)));
            }
        }
        text
    }
}

/// Lists the tasks of a node. As with Ansible, the tasks of rescue and always sections are left out.
fn list_tasks(node: &Node, text: &mut String) {
    match node {
        // Ansible does not list the task that gathers facts.
        Node::Task(task) if task.at == Position::default() => {}
        Node::Task(task) => text.push_str(&format!("      {}\tTAGS: {}\n", task.title(), list(&task.settings.tags))),
        Node::Block(block) => block.body.iter().for_each(|node| list_tasks(node, text)),
        Node::Flush => {}
    }
}

/// Returns tags as a sorted list.
fn list<'a>(tags: impl IntoIterator<Item = &'a String>) -> String {
    let tags: BTreeSet<&str> = tags.into_iter().map(String::as_str).collect();
    format!("[{}]", tags.into_iter().collect::<Vec<_>>().join(", "))
}

/// Returns the tags of each play's tasks.
pub(super) fn all_tags(playbook: &Playbook) -> Vec<BTreeSet<String>> {
    let tags =
        |nodes: &[Node]| nodes.iter().flat_map(Node::tasks).flat_map(|task| task.settings.tags.clone()).collect();
    playbook.plays.iter().map(|play| tags(&play.tasks)).collect()
}

/// Returns the plays with their hosts as JSON.
pub(super) fn listing_json<'l>(listed: impl Iterator<Item = Listed<'l>>) -> Value {
    let plays = listed.flat_map(|listed| listed.playbook.plays.iter().zip(listed.hosts));
    let plays = plays.map(|(play, hosts)| json!({"play": {"name": play.name, "pattern": play.hosts}, "hosts": hosts}));
    json!({"plays": plays.collect::<Vec<_>>()})
}
