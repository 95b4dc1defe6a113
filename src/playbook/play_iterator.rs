//! Which task of a playbook runs next, and on which hosts, given the results so far.
//!
//! Values in, values out: no clock, no host and no terminal. The executor runs each step and reports its results back.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use indexmap::IndexMap;

use super::outcome::Outcome;
use super::outcome::Status;
use super::play::Play;
use super::play::Task;
use super::play::batch_sizes;
use crate::inventory::Vars;

/// The counts of one host's results, as in Ansible's recap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HostStats {
    /// Tasks that succeeded, with or without a change.
    pub ok: usize,
    /// Tasks that changed something.
    pub changed: usize,
    /// Tasks that could not reach the host.
    pub unreachable: usize,
    /// Tasks that failed.
    pub failed: usize,
    /// Tasks that did not run.
    pub skipped: usize,
    /// Tasks that failed under `ignore_errors`.
    pub ignored: usize,
}

/// The next step of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Next<'a> {
    /// A play begins on these hosts. Without hosts, its pattern matched none.
    Play(&'a Play, Vec<String>),
    /// A task runs on these hosts.
    Task(&'a Play, &'a Task, Vec<String>),
    /// A handler runs on the hosts that notified it.
    Handler(&'a Play, &'a Task, Vec<String>),
    /// The run has ended.
    End,
}

/// Some hosts of a play (`serial`), which run all of its tasks before the next batch begins.
#[derive(Debug)]
struct Batch<'a> {
    play: &'a Play,
    hosts: Vec<String>,
}

/// An iterator over the steps of a run, as Ansible's `PlayIterator` with the linear strategy.
#[derive(Debug)]
pub struct PlayIterator<'a> {
    batches: std::vec::IntoIter<Batch<'a>>,
    current: Option<Batch<'a>>,
    /// The index of the next task of the current play; handlers follow the tasks.
    next_index: usize,
    /// The hosts that notified each of the current play's handlers.
    notified: BTreeMap<usize, BTreeSet<String>>,
    /// Hosts that failed or could not be reached. They run nothing more.
    removed_hosts: BTreeSet<String>,
    registered: BTreeMap<String, Arc<Vars>>,
    stats: IndexMap<String, HostStats>,
}

impl<'a> PlayIterator<'a> {
    /// Makes an iterator over plays, each with its hosts.
    pub fn new(plays: impl IntoIterator<Item = (&'a Play, Vec<String>)>) -> Self {
        let mut batches = Vec::new();
        for (play, hosts) in plays {
            let mut rest = hosts.into_iter();
            let sizes = batch_sizes(&play.serial, rest.len());
            if sizes.is_empty() {
                batches.push(Batch { play, hosts: Vec::new() });
            }
            batches.extend(sizes.into_iter().map(|size| Batch { play, hosts: rest.by_ref().take(size).collect() }));
        }
        Self {
            batches: batches.into_iter(),
            current: None,
            next_index: 0,
            notified: BTreeMap::new(),
            removed_hosts: BTreeSet::new(),
            registered: BTreeMap::new(),
            stats: IndexMap::new(),
        }
    }

    /// Returns the next step. The results of the step before must have been recorded.
    pub fn advance(&mut self) -> Next<'a> {
        if let Some(batch) = self.current.take() {
            let hosts = self.remaining_hosts(&batch);
            if hosts.is_empty() {
                // A batch in which every host failed ends the run: the next batch would probably fail as well.
                self.batches = Vec::new().into_iter();
            } else if let Some(next) = self.next_task(batch.play, hosts) {
                self.current = Some(batch);
                return next;
            }
        }
        self.next_batch()
    }

    /// Returns the hosts of a batch that have not been removed.
    fn remaining_hosts(&self, batch: &Batch<'_>) -> Vec<String> {
        batch.hosts.iter().filter(|host| !self.removed_hosts.contains(*host)).cloned().collect()
    }

    /// Returns the next task of the play, or else the next handler that one of these hosts notified.
    fn next_task(&mut self, play: &'a Play, hosts: Vec<String>) -> Option<Next<'a>> {
        loop {
            let index = self.next_index;
            self.next_index += 1;
            if let Some(task) = play.tasks.get(index) {
                return Some(Next::Task(play, task, hosts));
            }
            let index = index - play.tasks.len();
            let handler = play.handlers.get(index)?;
            let notified = self.notified.remove(&index).unwrap_or_default();
            let hosts: Vec<String> = hosts.iter().filter(|host| notified.contains(*host)).cloned().collect();
            if !hosts.is_empty() {
                return Some(Next::Handler(play, handler, hosts));
            }
        }
    }

    /// Begins the next batch with remaining hosts, or a batch that never had a host, which the callback reports.
    fn next_batch(&mut self) -> Next<'a> {
        while let Some(batch) = self.batches.next() {
            let hosts = self.remaining_hosts(&batch);
            if hosts.is_empty() && !batch.hosts.is_empty() {
                continue;
            }
            for host in &hosts {
                self.stats.entry(host.clone()).or_default();
            }
            (self.next_index, self.notified) = (0, BTreeMap::new());
            let play = batch.play;
            self.current = Some(batch).filter(|_| !hosts.is_empty());
            return Next::Play(play, hosts);
        }
        Next::End
    }

    /// Records the outcome of a task or handler on a host. `notify` names the handlers that it notifies.
    pub fn record_result(&mut self, host: &str, task: &Task, outcome: &Outcome, notify: &[String]) {
        if let Some(name) = &task.register {
            let vars = self.registered.entry(host.to_owned()).or_default();
            Arc::make_mut(vars).insert(name.clone(), outcome.to_vars().into());
        }
        let counts = self.stats.entry(host.to_owned()).or_default();
        let ignored = outcome.status == Status::Failed && task.ignore_errors;
        match outcome.status {
            Status::Skipped => counts.skipped += 1,
            Status::Unreachable => counts.unreachable += 1,
            Status::Failed if !ignored => counts.failed += 1,
            Status::Ok | Status::Changed | Status::Failed => counts.ok += 1,
        }
        counts.ignored += usize::from(ignored);
        if matches!(outcome.status, Status::Failed | Status::Unreachable) && !ignored {
            self.removed_hosts.insert(host.to_owned());
            return;
        }
        counts.changed += usize::from(outcome.changed);
        // A failure notifies no handler, even if it is ignored.
        let Some(batch) = self.current.as_ref().filter(|_| outcome.status == Status::Changed) else { return };
        for name in notify {
            // Of several handlers with one name, the last one runs.
            if let Some(index) = batch.play.handlers.iter().rposition(|handler| handler.name == *name) {
                self.notified.entry(index).or_default().insert(host.to_owned());
            }
        }
    }

    /// Returns the variables that tasks registered for a host.
    pub fn registered(&self, host: &str) -> Arc<Vars> {
        self.registered.get(host).cloned().unwrap_or_default()
    }

    /// Returns the counts of each host.
    pub const fn stats(&self) -> &IndexMap<String, HostStats> {
        &self.stats
    }

    /// Returns Ansible's exit code: 4 if a host could not be reached, else 2 if one failed, else 0.
    pub fn exit_code(&self) -> u8 {
        let any = |count: fn(&HostStats) -> usize| self.stats.values().any(|counts| count(counts) > 0);
        if any(|counts| counts.unreachable) {
            4
        } else if any(|counts| counts.failed) {
            2
        } else {
            0
        }
    }
}
