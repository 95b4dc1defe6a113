//! Which task of a playbook runs next, and on which hosts, given the results so far.
//!
//! Values in, values out: no clock, no host and no terminal. The executor runs each step and reports its results back.
//! Each host has a cursor (`cursor.rs`). The hosts that are least far in the play run their task next, as with Ansible's linear
//! strategy.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value;
use serde_json::json;

use super::action::MetaAction;
use super::cursor::At;
use super::cursor::Cursor;
use super::cursor::Inclusion;
use super::outcome::Outcome;
use super::outcome::SetVars;
use super::outcome::Status;
use super::play::Node;
use super::play::Play;
use super::play::Shared;
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
    /// Tasks that failed, and whose failure a `rescue` section caught.
    pub rescued: usize,
    /// Tasks that failed under `ignore_errors`.
    pub ignored: usize,
}

/// The next step of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Next<'a> {
    /// A play begins on these hosts. Without hosts, its pattern matched none.
    Play(&'a Play, Vec<String>),
    /// A task runs on these hosts.
    Task(&'a Play, Arc<Task>, Vec<String>),
    /// A handler runs on the hosts that notified it.
    Handler(&'a Play, Arc<Task>, Vec<String>),
    /// The run has ended.
    End,
}

/// The next task or handler of one host.
#[derive(Debug, Clone)]
pub struct HostStep {
    /// The host.
    pub host: String,
    /// The task.
    pub task: Arc<Task>,
    /// Set for a handler.
    pub is_handler: bool,
}

/// What the plays of a playbook leave to those of the next one.
#[derive(Debug, Default)]
pub struct Results {
    /// The variables that tasks have set for each host.
    set: BTreeMap<String, SetVars>,
    stats: IndexMap<String, HostStats>,
}

/// Some hosts of a play (`serial`), which run all of its tasks before the next batch begins.
#[derive(Debug)]
struct Batch<'a> {
    play: &'a Play,
    hosts: Vec<String>,
}

/// One host of the current batch.
#[derive(Debug)]
struct HostState {
    cursor: Cursor,
    /// The indices of the handlers that it has notified.
    notified: BTreeSet<usize>,
    /// Set if it has failed, or could not be reached. After the `always` sections it runs nothing more.
    failed: bool,
    /// Set if the play has ended for it alone (`end_host`).
    ended: bool,
}

/// An iterator over the steps of a run, as Ansible's `PlayIterator` with the linear strategy.
#[derive(Debug)]
pub struct PlayIterator<'a> {
    /// The plays that have not begun, with their hosts.
    plays: std::vec::IntoIter<(&'a Play, Vec<String>)>,
    /// The batches of the current play that have not begun.
    batches: std::vec::IntoIter<Batch<'a>>,
    current: Option<Batch<'a>>,
    /// All hosts of the current play.
    play_hosts: Vec<String>,
    /// The hosts of the current batch.
    hosts: BTreeMap<String, HostState>,
    /// What every task of the batch can use.
    shared: Shared,
    /// Hosts that failed or could not be reached. They take part in no other batch.
    removed_hosts: BTreeSet<String>,
    /// The variables that tasks have set for each host.
    set: BTreeMap<String, SetVars>,
    stats: IndexMap<String, HostStats>,
    /// Where hosts were before the current task, if its failure may end the play on all of them.
    places: BTreeMap<String, Cursor>,
    /// The hosts on which the current task has failed, or that it could not reach.
    failed_now: BTreeSet<String>,
    /// The hosts with a failure that no `rescue` section caught, and those that could not be reached.
    failed_hosts: BTreeSet<String>,
    lost_hosts: BTreeSet<String>,
}

impl<'a> PlayIterator<'a> {
    /// Makes an iterator over plays, each with its hosts.
    pub fn new(plays: impl IntoIterator<Item = (&'a Play, Vec<String>)>) -> Self {
        Self {
            plays: plays.into_iter().collect::<Vec<_>>().into_iter(),
            batches: Vec::new().into_iter(),
            current: None,
            play_hosts: Vec::new(),
            hosts: BTreeMap::new(),
            shared: Shared::default(),
            removed_hosts: BTreeSet::new(),
            set: BTreeMap::new(),
            stats: IndexMap::new(),
            places: BTreeMap::new(),
            failed_now: BTreeSet::new(),
            failed_hosts: BTreeSet::new(),
            lost_hosts: BTreeSet::new(),
        }
    }

    /// Goes on with the results of earlier plays.
    #[must_use]
    pub fn after(self, Results { set, stats }: Results) -> Self {
        Self { set, stats, ..self }
    }

    /// Returns the results for later plays.
    pub fn into_results(self) -> Results {
        Results { set: self.set, stats: self.stats }
    }

    /// Returns the next step. The results of the step before must have been recorded.
    pub fn advance(&mut self) -> Next<'a> {
        self.begin_step();
        if let Some(batch) = self.current.take() {
            if let Some(next) = self.next_task(&batch) {
                self.current = Some(batch);
                return next;
            }
            let failed = self.hosts.iter().filter(|(_, state)| state.failed).map(|(host, _)| host.clone());
            self.removed_hosts.extend(failed);
            if batch.hosts.iter().all(|host| self.removed_hosts.contains(host)) {
                // A batch in which every host failed ends the run: the next batch would probably fail as well.
                self.batches = Vec::new().into_iter();
                self.plays = Vec::new().into_iter();
            }
        }
        self.next_batch()
    }

    /// Returns the task or handler of the hosts that are least far in the play.
    fn next_task(&self, batch: &Batch<'a>) -> Option<Next<'a>> {
        let mut hosts: Vec<(Vec<usize>, &String, At<'_>)> = Vec::new();
        for host in &batch.hosts {
            let Some(HostState { cursor, .. }) = self.hosts.get(host) else { continue };
            let (at, key) = (cursor.at(), cursor.key());
            if matches!(at, At::End) {
                continue;
            }
            if hosts.first().is_some_and(|(first, ..)| key < *first) {
                hosts.clear();
            }
            if hosts.first().is_none_or(|(first, ..)| key == *first) {
                hosts.push((key, host, at));
            }
        }
        let at = hosts.first().map(|(.., at)| *at)?;
        let names = hosts.into_iter().map(|(_, host, _)| host.clone()).collect();
        match at {
            At::Task(task) => Some(Next::Task(batch.play, Arc::clone(task), names)),
            At::Handler(task) => Some(Next::Handler(batch.play, Arc::clone(task), names)),
            At::End => None,
        }
    }

    /// Returns the next task of one host of the batch: of those that are free, the one that is least far in the play.
    pub fn next_of_a_host(&self, is_taken: impl Fn(&str) -> bool) -> Option<HostStep> {
        let batch = self.current.as_ref()?;
        let free = batch.hosts.iter().filter(|host| !is_taken(host));
        let steps = free.filter_map(|host| {
            let cursor = &self.hosts.get(host)?.cursor;
            let (task, is_handler) = match cursor.at() {
                At::Task(task) => (task, false),
                At::Handler(task) => (task, true),
                At::End => return None,
            };
            Some((cursor.key(), HostStep { host: host.clone(), task: Arc::clone(task), is_handler }))
        });
        steps.min_by(|(one, _), (other, _)| one.cmp(other)).map(|(_, step)| step)
    }

    /// Reports whether a host is still at a step. A fatal failure of another host may have taken it elsewhere.
    pub fn is_at(&self, step: &HostStep) -> bool {
        let at = self.hosts.get(&step.host).map(|state| state.cursor.at());
        matches!(at, Some(At::Task(task) | At::Handler(task)) if Arc::ptr_eq(task, &step.task))
    }

    /// Begins to record the results of another step: the failures of those before do not count for it.
    pub fn begin_step(&mut self) {
        self.failed_now.clear();
        self.places.clear();
    }

    /// Keeps where hosts are before a task whose failure may end the play on all of them: a block around the task may catch
    /// the failure on each of them, even if the task is the last one of the block.
    pub fn keep_places(&mut self, hosts: &[String]) {
        let place = |host: &String| Some((host.clone(), self.hosts.get(host)?.cursor.clone()));
        self.places = hosts.iter().filter_map(place).collect();
    }

    /// Begins the next batch with remaining hosts, or a batch that never had a host, which the callback reports.
    fn next_batch(&mut self) -> Next<'a> {
        loop {
            let Some(batch) = self.batches.next() else {
                let Some((play, hosts)) = self.plays.next() else { return Next::End };
                self.play_hosts.clone_from(&hosts);
                self.batches = batches(play, hosts).into_iter();
                continue;
            };
            let remains = |host: &&String| !self.removed_hosts.contains(*host);
            let hosts: Vec<String> = batch.hosts.iter().filter(remains).cloned().collect();
            if hosts.is_empty() && !batch.hosts.is_empty() {
                continue;
            }
            self.hosts.clear();
            self.shared = batch.play.shared.clone();
            for host in &hosts {
                let mut notified = BTreeSet::new();
                let cursor = Cursor::new(Arc::clone(&batch.play.tasks), &self.shared.handlers, &mut notified);
                self.hosts.insert(host.clone(), HostState { cursor, notified, failed: false, ended: false });
            }
            let play = batch.play;
            self.current = Some(batch).filter(|_| !hosts.is_empty());
            return Next::Play(play, hosts);
        }
    }

    /// Chooses the hosts of the plays again that have not begun.
    pub fn choose_again(&mut self, choose: &dyn Fn(&Play) -> Vec<String>) {
        let plays = self.plays.by_ref().map(|(play, _)| (play, choose(play))).collect::<Vec<_>>();
        self.plays = plays.into_iter();
    }

    /// Records the outcome of a task on a host where it has not run itself (`run_once`). It counts in no statistic.
    pub fn record_shared_result(&mut self, host: &str, task: &Task, outcome: &Outcome) {
        let counts = self.stats.get(host).copied();
        self.record_result(host, task, outcome, &[]);
        match counts {
            Some(counts) => drop(self.stats.insert(host.to_owned(), counts)),
            None => drop(self.stats.shift_remove(host)),
        }
    }

    /// Records the outcome of a task or handler on a host. `notify` names the handlers that it notifies.
    pub fn record_result(&mut self, host: &str, task: &Task, outcome: &Outcome, notify: &[String]) {
        self.remember(host, task, outcome);
        let Some(state) = self.hosts.get_mut(host) else { return };
        let handlers = &self.shared.handlers;
        let counts = self.stats.entry(host.to_owned()).or_default();
        let ignored = outcome.ignored;
        if matches!(outcome.status, Status::Failed | Status::Unreachable) && !ignored {
            self.failed_now.insert(host.to_owned());
        }
        match outcome.status {
            Status::Unreachable if !ignored => {
                counts.unreachable += 1;
                self.lost_hosts.insert(host.to_owned());
                state.failed = true;
                return state.cursor.end();
            }
            Status::Failed if !ignored => {
                if state.cursor.fail(handlers, &mut state.notified) {
                    counts.rescued += 1;
                    let own = Arc::make_mut(&mut self.set.entry(host.to_owned()).or_default().own);
                    own.insert("ansible_failed_result".to_owned(), outcome.to_vars().into());
                    own.insert("ansible_failed_task".to_owned(), described(task));
                } else {
                    counts.failed += 1;
                    self.failed_hosts.insert(host.to_owned());
                    state.failed = true;
                }
                return;
            }
            Status::Skipped => counts.skipped += 1,
            Status::Ok | Status::Changed | Status::Failed | Status::Unreachable => counts.ok += 1,
        }
        counts.ignored += usize::from(ignored);
        counts.changed += usize::from(outcome.changed);
        // A failure notifies no handler, even if it is ignored.
        if outcome.status == Status::Changed {
            state.notified.extend(notify.iter().flat_map(|name| self.shared.notified_by(name)));
        }
        state.cursor.advance(handlers, &mut state.notified);
    }

    /// Records what a task includes on a host. The host goes on with it.
    pub(super) fn record_inclusions(&mut self, host: &str, task: &Task, outcome: &Outcome, list: Vec<Inclusion>) {
        self.remember(host, task, outcome);
        let Some(state) = self.hosts.get_mut(host) else { return };
        self.stats.entry(host.to_owned()).or_default().ok += list.len();
        state.cursor.include(list, &self.shared.handlers, &mut state.notified);
    }

    /// Acts on the play for some hosts, which then go on.
    pub fn act(&mut self, hosts: &[&str], action: MetaAction) {
        match action {
            MetaAction::EndPlay | MetaAction::EndBatch => {
                self.hosts.values_mut().for_each(|state| state.cursor.end());
                if action == MetaAction::EndPlay {
                    self.batches = Vec::new().into_iter();
                }
            }
            MetaAction::ClearHostErrors => {
                self.hosts.values_mut().for_each(|state| state.failed = false);
                for set in [&mut self.removed_hosts, &mut self.failed_hosts, &mut self.lost_hosts] {
                    set.clear();
                }
            }
            MetaAction::ClearFacts => {
                for host in hosts {
                    self.set.entry((*host).to_owned()).or_default().facts = Arc::default();
                }
            }
            MetaAction::FlushHandlers | MetaAction::EndHost | MetaAction::ResetConnection | MetaAction::Noop => {}
        }
        for host in hosts {
            let Some(state) = self.hosts.get_mut(*host) else { continue };
            let handlers = &self.shared.handlers;
            state.ended |= action == MetaAction::EndHost;
            match action {
                MetaAction::FlushHandlers => state.cursor.flush(handlers, &mut state.notified),
                MetaAction::EndHost | MetaAction::EndPlay | MetaAction::EndBatch => state.cursor.end(),
                _ => state.cursor.advance(handlers, &mut state.notified),
            }
        }
    }

    /// Sets variables of a host.
    pub fn set_vars(&mut self, host: &str, set: &SetVars) {
        self.set.entry(host.to_owned()).or_default().extend(set);
    }

    /// Keeps the variables that a task sets.
    fn remember(&mut self, host: &str, task: &Task, outcome: &Outcome) {
        if task.register.is_none() && outcome.set.is_empty() {
            return;
        }
        self.set_vars(host, &outcome.set);
        if let Some((name, set)) = task.register.as_ref().zip(self.set.get_mut(host)) {
            Arc::make_mut(&mut set.own).insert(name.clone(), outcome.to_vars().into());
        }
    }

    /// Ends the play on all hosts of the batch if a failure is fatal and one has failed, or if too many have. Reports
    /// whether too many have.
    pub fn ends_early(&mut self, is_fatal: bool, max_fail_percentage: Option<f64>) -> bool {
        let failed = self.hosts.values().filter(|state| state.failed).count();
        #[expect(clippy::cast_precision_loss, reason = "a batch has fewer than 2^52 hosts")]
        let share = failed as f64 / self.hosts.len().max(1) as f64 * 100.0;
        let are_too_many = max_fail_percentage.is_some_and(|most| failed > 0 && share > most);
        let is_over = is_fatal && !self.failed_now.is_empty();
        if !is_over && !are_too_many {
            return false;
        }
        let others = self.hosts.iter_mut().filter(|(host, state)| !state.failed && !self.failed_now.contains(*host));
        for (host, state) in others {
            if let Some(place) = self.places.remove(host) {
                state.cursor = place;
            }
            if !state.cursor.fail(&self.shared.handlers, &mut state.notified) {
                self.failed_hosts.insert(host.clone());
                state.failed = true;
            }
        }
        are_too_many
    }

    /// Fills in the templates in the names and topics of the handlers.
    pub fn name_handlers(&mut self, fill: impl Fn(&Shared, &str) -> String) {
        let is_named = |node: &Node| node.task().is_none_or(|task| !task.has_template_name());
        if self.shared.handlers.iter().all(is_named) {
            return;
        }
        let named = |node: &Node| {
            let Some(task) = node.task().filter(|task| task.has_template_name()) else { return node.clone() };
            let fill = |text: &String| fill(&self.shared, text);
            let (name, listen) = (fill(&task.name), task.listen.iter().map(fill).collect());
            Node::Task(Arc::new(Task { name, listen, ..Task::clone(task) }))
        };
        self.shared.handlers = self.shared.handlers.iter().map(named).collect();
    }

    /// Returns all hosts of the play, and those of the batch.
    pub fn play_hosts(&self) -> (&[String], &[String]) {
        (&self.play_hosts, self.current.as_ref().map_or(&[], |batch| &batch.hosts))
    }

    /// Reports whether a host takes no part in the play any more: it has failed, could not be reached, or has ended the play.
    pub fn is_out(&self, host: &str) -> bool {
        self.removed_hosts.contains(host) || self.hosts.get(host).is_some_and(|state| state.failed || state.ended)
    }

    /// Returns how many hosts take no part in the play any more.
    pub fn losses(&self) -> usize {
        self.removed_hosts.len() + self.hosts.values().filter(|state| state.failed || state.ended).count()
    }

    /// Adds what an included role brings into the play.
    pub fn add_shared(&mut self, more: Shared) {
        self.shared.extend(more);
    }

    /// Returns what every task of the batch can use.
    pub const fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Returns the variables that tasks have set for each host.
    pub const fn set(&self) -> &BTreeMap<String, SetVars> {
        &self.set
    }

    /// Returns the variables that tasks have set for a host.
    pub fn set_by_tasks(&self, host: &str) -> SetVars {
        self.set.get(host).cloned().unwrap_or_default()
    }

    /// Returns the variables that a host has from the tasks that included its current task.
    pub fn include_vars(&self, host: &str) -> Vec<Arc<Vars>> {
        self.hosts.get(host).map(|state| state.cursor.include_vars().cloned().collect()).unwrap_or_default()
    }

    /// Returns the counts of each host.
    pub const fn stats(&self) -> &IndexMap<String, HostStats> {
        &self.stats
    }

    /// Returns Ansible's exit code: 4 if a host could not be reached, else 2 if one failed, else 0.
    pub fn exit_code(&self) -> u8 {
        if !self.lost_hosts.is_empty() {
            4
        } else if !self.failed_hosts.is_empty() {
            2
        } else {
            0
        }
    }
}

/// Returns the batches of a play, at least one.
fn batches(play: &Play, hosts: Vec<String>) -> Vec<Batch<'_>> {
    let sizes = batch_sizes(&play.serial, hosts.len());
    if sizes.is_empty() {
        return vec![Batch { play, hosts }];
    }
    let mut rest = hosts.into_iter();
    sizes.into_iter().map(|size| Batch { play, hosts: rest.by_ref().take(size).collect() }).collect()
}

/// Describes a task for the `rescue` section that follows its failure.
fn described(task: &Task) -> Value {
    let name = if task.name == task.action { "" } else { &task.name };
    json!({"name": name, "action": task.action})
}
