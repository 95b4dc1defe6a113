//! What a playbook's run looks like as one JSON document, in the shape of Ansible's own (`ANSIBLE_STDOUT_CALLBACK=json`):
//!
//! ```json
//! {
//!   "plays": [{"play": {"name": …}, "tasks": [{"task": {"name": …}, "hosts": {HOST: RESULT, …}}, …]}, …],
//!   "stats": {HOST: {"ok": 0, "changed": 0, "unreachable": 0, "failures": 0, "skipped": 0, "rescued": 0, "ignored": 0}, …}
//! }
//! ```
//!
//! Plays, tasks and handlers stand in the order in which they ran, hosts in that of their names: what was as fast as
//! before is told as before. A RESULT is what `register` keeps, with `ignored` if it failed and that was to be ignored.

use indexmap::IndexMap;
use serde_json::Value;
use serde_json::json;

use super::lines::Event;
use super::run::Tally;
use crate::inventory::Vars;

/// A run as it is written down.
#[derive(Debug, Default)]
pub struct Record {
    plays: Vec<Value>,
    stats: Vars,
}

impl Record {
    /// Takes down what happened.
    pub fn note(&mut self, event: &Event<'_>) {
        match event {
            Event::Play(name) => self.plays.push(json!({"play": {"name": name}, "tasks": []})),
            Event::Task(name) | Event::Handler(name) => {
                if let Some(tasks) = self.tasks() {
                    tasks.push(json!({"task": {"name": name}, "hosts": {}}));
                }
            }
            Event::Host { host, outcome, ignored, .. } => {
                let mut result = outcome.to_vars();
                if *ignored {
                    result.insert("ignored".to_owned(), true.into());
                }
                let task = self.tasks().and_then(|tasks| tasks.last_mut());
                if let Some(hosts) = task.and_then(|task| task.get_mut("hosts")?.as_object_mut()) {
                    hosts.insert((*host).to_owned(), result.into());
                    // They end as they end.
                    hosts.sort_keys();
                }
            }
            Event::Recap(tallies) => self.stats = stats(tallies),
            Event::NoHosts | Event::Item { .. } => {}
        }
    }

    /// Returns the tasks of the play that is under way.
    fn tasks(&mut self) -> Option<&mut Vec<Value>> {
        self.plays.last_mut()?.get_mut("tasks")?.as_array_mut()
    }

    /// Returns the document.
    pub fn into_json(self) -> Value {
        json!({"plays": self.plays, "stats": self.stats})
    }
}

fn stats(tallies: &IndexMap<String, Tally>) -> Vars {
    let one = |tally: &Tally| {
        json!({
            "ok": tally.ok, "changed": tally.changed, "unreachable": tally.unreachable, "failures": tally.failed,
            "skipped": tally.skipped, "rescued": 0, "ignored": tally.ignored,
        })
    };
    let mut stats: Vars = tallies.iter().map(|(host, tally)| (host.clone(), one(tally))).collect();
    stats.sort_keys();
    stats
}

#[cfg(test)]
mod tests {
    use super::super::outcome::Outcome;
    use super::*;

    /// Returns the document of a task that ends on hosts in this order.
    fn told(hosts: [&str; 3]) -> String {
        let mut record = Record::default();
        record.note(&Event::Play("web"));
        record.note(&Event::Task("install"));
        let outcome = Outcome::done(true, Vars::new());
        for host in hosts {
            record.note(&Event::Host { host, outcome: &outcome, looped: false, ignored: false });
        }
        let tallies = hosts.map(|host| (host.to_owned(), Tally { ok: 1, changed: 1, ..Tally::default() }));
        record.note(&Event::Recap(&IndexMap::from(tallies)));
        record.into_json().to_string()
    }

    #[test]
    fn it_does_not_depend_on_which_host_was_first() {
        assert_eq!(told(["h1", "h2", "h3"]), told(["h3", "h1", "h2"]));
    }
}
