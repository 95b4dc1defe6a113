//! A playbook's run as one JSON document, in the shape of Ansible's `json` callback (`ANSIBLE_STDOUT_CALLBACK=json`):
//!
//! ```json
//! {
//!   "plays": [{"play": {"name": …}, "tasks": [{"task": {"name": …}, "hosts": {HOST: RESULT, …}}, …]}, …],
//!   "stats": {HOST: {"ok": 0, "changed": 0, "unreachable": 0, "failures": 0, "skipped": 0, "rescued": counts.rescued, "ignored": 0}, …}
//! }
//! ```
//!
//! Plays, tasks and handlers are in the order in which they ran. Hosts are in the order of their names, so that the
//! document does not depend on which host was faster. A RESULT holds the variables that `register` keeps, and `ignored`
//! for a failure under `ignore_errors`.

use indexmap::IndexMap;
use serde_json::Value;
use serde_json::json;

use super::Event;
use crate::inventory::Vars;
use crate::playbook::play_iterator::HostStats;

/// The document of a run, built from its events.
#[derive(Debug, Default)]
pub struct JsonCallback {
    plays: Vec<Value>,
    stats: Vars,
}

impl JsonCallback {
    /// Adds an event to the document.
    pub fn handle(&mut self, event: &Event<'_>) {
        match event {
            Event::Play(name) => self.plays.push(json!({"play": {"name": name}, "tasks": []})),
            Event::Task(name) | Event::Handler(name) => {
                if let Some(tasks) = self.tasks() {
                    tasks.push(json!({"task": {"name": name}, "hosts": {}}));
                }
            }
            Event::Host { host, outcome, .. } => {
                let mut result = outcome.to_vars();
                if outcome.ignored {
                    result.insert("ignored".to_owned(), true.into());
                }
                let task = self.tasks().and_then(|tasks| tasks.last_mut());
                if let Some(hosts) = task.and_then(|task| task.get_mut("hosts")?.as_object_mut()) {
                    hosts.insert((*host).to_owned(), result.into());
                    // Hosts end in any order.
                    hosts.sort_keys();
                }
            }
            Event::Recap(stats) => self.stats = stats_to_json(stats),
            Event::NoHosts
            | Event::NoHostsLeft
            | Event::Item { .. }
            | Event::Included { .. }
            | Event::Notice(_)
            | Event::Retry { .. } => {}
        }
    }

    /// Returns the tasks of the current play.
    fn tasks(&mut self) -> Option<&mut Vec<Value>> {
        self.plays.last_mut()?.get_mut("tasks")?.as_array_mut()
    }

    /// Returns the document.
    pub fn into_json(self) -> Value {
        json!({"plays": self.plays, "stats": self.stats})
    }
}

fn stats_to_json(stats: &IndexMap<String, HostStats>) -> Vars {
    let to_json = |counts: &HostStats| {
        json!({
            "ok": counts.ok, "changed": counts.changed, "unreachable": counts.unreachable, "failures": counts.failed,
            "skipped": counts.skipped, "rescued": counts.rescued, "ignored": counts.ignored,
        })
    };
    let mut stats: Vars = stats.iter().map(|(host, counts)| (host.clone(), to_json(counts))).collect();
    stats.sort_keys();
    stats
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::playbook::outcome::Outcome;

    /// Returns the document of a task that ends on the hosts in this order.
    fn document(hosts: [&str; 3]) -> String {
        let mut callback = JsonCallback::default();
        callback.handle(&Event::Play("web"));
        callback.handle(&Event::Task("install"));
        let outcome = Outcome::done(true, Vars::new());
        for host in hosts {
            callback.handle(&Event::Host { host, outcome: &outcome, looped: false });
        }
        let stats = hosts.map(|host| (host.to_owned(), HostStats { ok: 1, changed: 1, ..HostStats::default() }));
        callback.handle(&Event::Recap(&IndexMap::from(stats)));
        callback.into_json().to_string()
    }

    #[test]
    fn the_document_does_not_depend_on_which_host_was_first() {
        assert_eq!(document(["h1", "h2", "h3"]), document(["h3", "h1", "h2"]));
    }
}
