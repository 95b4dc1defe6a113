//! A playbook under way: what runs next and on whom, given how everything ended so far.
//!
//! Values in, values out: it knows no clock, no host and no terminal. Who carries a step out tells it how that ended.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use indexmap::IndexMap;

use super::outcome::Outcome;
use super::outcome::Status;
use super::play::Play;
use super::play::Task;
use super::play::batches;
use crate::inventory::Vars;

/// How often each thing happened on a host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Tasks that ended well, changed or not.
    pub ok: usize,
    /// Tasks that changed something.
    pub changed: usize,
    /// Tasks that could not reach the host.
    pub unreachable: usize,
    /// Tasks that failed.
    pub failed: usize,
    /// Tasks that were not tried.
    pub skipped: usize,
    /// Tasks that failed and were to be ignored.
    pub ignored: usize,
}

/// What comes next.
#[derive(Debug, Clone, PartialEq)]
pub enum Next<'a> {
    /// A play begins, for these hosts. None means that its pattern stands for no host.
    Play(&'a Play, Vec<String>),
    /// A task is to run on these hosts.
    Task(&'a Play, &'a Task, Vec<String>),
    /// A handler is to run on the hosts that notified it.
    Handler(&'a Play, &'a Task, Vec<String>),
    /// Nothing is left to do.
    End,
}

/// A part of a play: some of its hosts, through all of its tasks.
#[derive(Debug)]
struct Stage<'a> {
    play: &'a Play,
    hosts: Vec<String>,
}

/// A playbook under way.
#[derive(Debug)]
pub struct Run<'a> {
    stages: std::vec::IntoIter<Stage<'a>>,
    current: Option<Stage<'a>>,
    /// How many of the current play's tasks, then handlers, have begun.
    begun: usize,
    /// Which hosts notified which of the current play's handlers.
    notified: BTreeMap<usize, BTreeSet<String>>,
    /// Hosts that take no further part.
    out: BTreeSet<String>,
    registered: BTreeMap<String, Arc<Vars>>,
    tallies: IndexMap<String, Tally>,
}

impl<'a> Run<'a> {
    /// Begins with plays and the hosts that each is for.
    pub fn new(plays: impl IntoIterator<Item = (&'a Play, Vec<String>)>) -> Self {
        let mut stages = Vec::new();
        for (play, hosts) in plays {
            let mut left = hosts.into_iter();
            let sizes = batches(&play.serial, left.len());
            if sizes.is_empty() {
                stages.push(Stage { play, hosts: Vec::new() });
            }
            stages.extend(sizes.into_iter().map(|size| Stage { play, hosts: left.by_ref().take(size).collect() }));
        }
        Self {
            stages: stages.into_iter(),
            current: None,
            begun: 0,
            notified: BTreeMap::new(),
            out: BTreeSet::new(),
            registered: BTreeMap::new(),
            tallies: IndexMap::new(),
        }
    }

    /// Returns what comes next. Everything that was to run before must have been concluded.
    pub fn proceed(&mut self) -> Next<'a> {
        if let Some(stage) = self.current.take() {
            let hosts = self.left(&stage);
            if hosts.is_empty() {
                // A batch in which every host failed stops the rest: what breaks it would break the next one too.
                self.stages = Vec::new().into_iter();
            } else if let Some(next) = self.next_in(stage.play, hosts) {
                self.current = Some(stage);
                return next;
            }
        }
        self.next_stage()
    }

    /// Returns the hosts of a stage that still take part.
    fn left(&self, stage: &Stage<'_>) -> Vec<String> {
        stage.hosts.iter().filter(|host| !self.out.contains(*host)).cloned().collect()
    }

    /// Returns the next task of the play, or else the next of its handlers that some of these hosts notified.
    fn next_in(&mut self, play: &'a Play, hosts: Vec<String>) -> Option<Next<'a>> {
        loop {
            let begun = self.begun;
            self.begun += 1;
            if let Some(task) = play.tasks.get(begun) {
                return Some(Next::Task(play, task, hosts));
            }
            let index = begun - play.tasks.len();
            let handler = play.handlers.get(index)?;
            let notified = self.notified.remove(&index).unwrap_or_default();
            let hosts: Vec<String> = hosts.iter().filter(|host| notified.contains(*host)).cloned().collect();
            if !hosts.is_empty() {
                return Some(Next::Handler(play, handler, hosts));
            }
        }
    }

    /// Begins the next stage that has anybody left, or that never had anybody, which is to be said.
    fn next_stage(&mut self) -> Next<'a> {
        while let Some(stage) = self.stages.next() {
            let hosts = self.left(&stage);
            if hosts.is_empty() && !stage.hosts.is_empty() {
                continue;
            }
            for host in &hosts {
                self.tallies.entry(host.clone()).or_default();
            }
            (self.begun, self.notified) = (0, BTreeMap::new());
            let play = stage.play;
            self.current = Some(stage).filter(|_| !hosts.is_empty());
            return Next::Play(play, hosts);
        }
        Next::End
    }

    /// Notes how a task or handler ended on a host. `notify` are the names of the handlers to run because of it.
    pub fn conclude(&mut self, host: &str, task: &Task, outcome: &Outcome, notify: &[String]) {
        if let Some(name) = &task.register {
            let vars = self.registered.entry(host.to_owned()).or_default();
            Arc::make_mut(vars).insert(name.clone(), outcome.to_vars().into());
        }
        let tally = self.tallies.entry(host.to_owned()).or_default();
        let ignored = outcome.status == Status::Failed && task.ignore_errors;
        match outcome.status {
            Status::Skipped => tally.skipped += 1,
            Status::Unreachable => tally.unreachable += 1,
            Status::Failed if !ignored => tally.failed += 1,
            Status::Ok | Status::Changed | Status::Failed => tally.ok += 1,
        }
        tally.ignored += usize::from(ignored);
        if matches!(outcome.status, Status::Failed | Status::Unreachable) && !ignored {
            self.out.insert(host.to_owned());
            return;
        }
        tally.changed += usize::from(outcome.changed);
        // A failure notifies nobody, even if it is ignored.
        let Some(stage) = self.current.as_ref().filter(|_| outcome.status == Status::Changed) else { return };
        for name in notify {
            // Of several handlers of one name the last counts.
            if let Some(index) = stage.play.handlers.iter().rposition(|handler| handler.name == *name) {
                self.notified.entry(index).or_default().insert(host.to_owned());
            }
        }
    }

    /// Returns what tasks registered for a host.
    pub fn registered(&self, host: &str) -> Arc<Vars> {
        self.registered.get(host).cloned().unwrap_or_default()
    }

    /// Returns how often each thing happened, by host.
    pub const fn tallies(&self) -> &IndexMap<String, Tally> {
        &self.tallies
    }

    /// Returns Ansible's exit code: 4 if a host could not be reached, else 2 if one failed, else 0.
    pub fn exit_code(&self) -> u8 {
        let any = |count: fn(&Tally) -> usize| self.tallies.values().any(|tally| count(tally) > 0);
        if any(|tally| tally.unreachable) {
            4
        } else if any(|tally| tally.failed) {
            2
        } else {
            0
        }
    }
}
