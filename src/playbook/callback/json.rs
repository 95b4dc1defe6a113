//! A playbook's run as one JSON document, in the shape of Ansible's callback `ansible.posix.json`:
//!
//! ```json
//! {
//!   "plays": [
//!     {
//!       "play": {"name": …, "id": "1", "path": "FILE:LINE", "duration": {"start": …, "end": …}},
//!       "tasks": [
//!         {
//!           "task": {"name": …, "id": "1-1", "path": "FILE:LINE", "duration": {"start": …, "end": …}},
//!           "hosts": {HOST: RESULT, …}
//!         }, …
//!       ]
//!     }, …
//!   ],
//!   "stats": {HOST: {"ok": 0, "changed": 0, "unreachable": 0, "failures": 0, "skipped": 0, "rescued": 0, "ignored": 0}, …},
//!   "custom_stats": {},
//!   "global_custom_stats": {}
//! }
//! ```
//!
//! Plays, tasks and handlers are in the order in which they ran. Hosts are in the order of their names, so that the
//! document does not depend on which host was faster. A RESULT holds the variables that `register` keeps, the module as
//! `action`, and `ignored` for a failure under `ignore_errors`.

use indexmap::IndexMap;
use serde_json::Value;
use serde_json::json;

use super::Begun;
use super::Event;
use crate::core::model::Timestamp;
use crate::inventory::Vars;
use crate::playbook::include::Include;
use crate::playbook::outcome::Outcome;
use crate::playbook::play_iterator::HostStats;

/// The document of a run, built from its events.
#[derive(Debug, Default)]
pub struct JsonCallback {
    plays: Vec<Value>,
    stats: Vars,
    /// The module of the task that goes on.
    action: String,
}

impl JsonCallback {
    /// Adds an event to the document. `now` is when it happened.
    pub fn handle(&mut self, event: &Event<'_>, now: Timestamp) {
        match event {
            Event::Play(play) => {
                let head = head(play, &(self.plays.len() + 1).to_string(), now);
                self.plays.push(json!({"play": head, "tasks": []}));
            }
            Event::Task(task) | Event::Handler(task) => self.begin(task, now),
            Event::Host { host, outcome, .. } => self.set_result(host, result(outcome), now),
            Event::Included { what, vars, hosts, .. } => {
                hosts.iter().for_each(|host| self.add_inclusion(host, (what, vars), now));
            }
            Event::Recap(stats) => self.stats = stats_to_json(stats),
            Event::NoHosts | Event::NoHostsLeft | Event::Item { .. } | Event::Notice(_) | Event::Retry { .. } => {}
        }
    }

    fn begin(&mut self, task: &Begun<'_>, now: Timestamp) {
        task.action.clone_into(&mut self.action);
        let play = self.plays.len();
        if let Some(tasks) = self.tasks() {
            let head = head(task, &format!("{play}-{}", tasks.len() + 1), now);
            tasks.push(json!({"task": head, "hosts": {}}));
        }
    }

    /// Adds the result of a host to the current task.
    fn set_result(&mut self, host: &str, mut result: Vars, now: Timestamp) {
        result.insert("action".to_owned(), self.action.clone().into());
        let task = self.tasks().and_then(|tasks| tasks.last_mut());
        if let Some(task) = task
            && let Some(hosts) = task.get_mut("hosts").and_then(Value::as_object_mut)
        {
            hosts.insert(host.to_owned(), result.into());
            // Hosts end in any order.
            hosts.sort_keys();
            end(task, "task", now);
        }
        if let Some(play) = self.plays.last_mut() {
            end(play, "play", now);
        }
    }

    /// Adds what a host goes on with to its result. Each item of a loop is an event of its own.
    fn add_inclusion(&mut self, host: &str, (what, vars): (&Include, &Vars), now: Timestamp) {
        let mut inclusion = Vars::from_iter([("include_args".to_owned(), what.shown_arguments().into())]);
        if let Include::Tasks(file) = what {
            inclusion.insert("include".to_owned(), file.clone().into());
        }
        let mut all = Vars::from_iter([("changed".to_owned(), false.into())]);
        if vars.is_empty() {
            all.append(&mut inclusion);
        } else {
            inclusion.extend(vars.iter().map(|(name, value)| (name.clone(), value.clone())));
            let last = self.tasks().and_then(|tasks| tasks.last()?.get("hosts")?.get(host)?.get("results").cloned());
            let mut results = last.and_then(|results| results.as_array().cloned()).unwrap_or_default();
            results.push(inclusion.into());
            all.insert("msg".to_owned(), "All items completed".into());
            all.insert("results".to_owned(), results.into());
        }
        self.set_result(host, all, now);
    }

    /// Returns the tasks of the current play.
    fn tasks(&mut self) -> Option<&mut Vec<Value>> {
        self.plays.last_mut()?.get_mut("tasks")?.as_array_mut()
    }

    /// Returns the document. Ansible shows the statistics of `set_stats` only if `show_custom_stats` is set.
    pub fn into_json(self) -> Value {
        json!({"plays": self.plays, "stats": self.stats, "custom_stats": {}, "global_custom_stats": {}})
    }
}

/// Returns what the document says of a play or task that begins.
fn head(begun: &Begun<'_>, id: &str, now: Timestamp) -> Value {
    let path = format!("{}:{}", begun.file.display(), begun.at.line);
    json!({"name": begun.title, "id": id, "path": path, "duration": {"start": time(now)}})
}

/// Notes when the last result of a play or task came.
fn end(of: &mut Value, key: &str, now: Timestamp) {
    if let Some(duration) = of.get_mut(key).and_then(|head| head.get_mut("duration")?.as_object_mut()) {
        duration.insert("end".to_owned(), time(now).into());
    }
}

fn time(at: Timestamp) -> String {
    let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    format!("{:.3}", jiff::Timestamp::from_millisecond(millis).unwrap_or_default())
}

fn result(outcome: &Outcome) -> Vars {
    let mut result = outcome.to_vars();
    if outcome.ignored {
        result.insert("ignored".to_owned(), true.into());
    }
    if let Some(delegate) = outcome.delegate.as_ref().filter(|_| !outcome.censored) {
        let address = outcome.delegate_address.as_ref().unwrap_or(delegate);
        result.insert("_ansible_delegated_vars".to_owned(), json!({"ansible_host": address}));
    }
    result
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

    /// Returns the document of a task that ends on the hosts in this order.
    fn document(hosts: [&str; 3]) -> String {
        let mut callback = JsonCallback::default();
        callback.handle(&Event::Play(Begun::titled("web")), Timestamp::ZERO);
        callback.handle(&Event::Task(Begun::titled("install")), Timestamp::ZERO);
        let outcome = Outcome::done(true, Vars::new());
        for host in hosts {
            callback.handle(&Event::Host { host, outcome: &outcome, looped: false }, Timestamp::ZERO);
        }
        let stats = hosts.map(|host| (host.to_owned(), HostStats { ok: 1, changed: 1, ..HostStats::default() }));
        callback.handle(&Event::Recap(&IndexMap::from(stats)), Timestamp::ZERO);
        callback.into_json().to_string()
    }

    #[test]
    fn the_document_does_not_depend_on_which_host_was_first() {
        assert_eq!(document(["h1", "h2", "h3"]), document(["h3", "h1", "h2"]));
    }
}
