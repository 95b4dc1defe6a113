//! The strategy `free`: each host goes through the play as fast as it can, and waits for no other host.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::sync::mpsc::UnboundedSender;

use super::Executor;
use super::HostTask;
use super::Note;
use super::state::RunState;
use super::throttle;
use crate::playbook::callback::Begun;
use crate::playbook::callback::Event;
use crate::playbook::loop_item::ItemResult;
use crate::playbook::modules::RunsIn;
use crate::playbook::play::Play;
use crate::playbook::play::Task;
use crate::playbook::play_iterator::HostStep;
use crate::playbook::settings::Flag;

/// A task that has ended on a host.
struct Ended {
    step: HostStep,
    title: String,
    results: Vec<ItemResult>,
}

type Running<'e> = FuturesUnordered<BoxFuture<'e, Ended>>;

/// The task whose heading was printed last.
#[derive(Default)]
struct Heading(Option<(Arc<Task>, bool, String)>);

impl Heading {
    /// Prints the heading of a task unless it is the last one. Results of several tasks come mixed.
    fn print(&mut self, state: &mut RunState<'_, '_>, step: &HostStep, title: &str) {
        let is_last = self.0.as_ref().is_some_and(|(task, is_handler, last)| {
            Arc::ptr_eq(task, &step.task) && *is_handler == step.is_handler && last == title
        });
        if !is_last {
            let begun = Begun::task(title, &step.task);
            (state.callback)(&if step.is_handler { Event::Handler(begun) } else { Event::Task(begun) });
            self.0 = Some((Arc::clone(&step.task), step.is_handler, title.to_owned()));
        }
    }
}

/// Reports the results of a task on a host, and records them if the host is still there.
fn end(state: &mut RunState<'_, '_>, play: &Play, step: &HostStep, results: Vec<ItemResult>) {
    state.iterator.begin_step();
    if !state.iterator.is_at(step) {
        for result in &results {
            state.show_item(&step.host, result);
        }
        state.report(&step.host, &step.task, results);
        return;
    }
    state.record_result(&step.host, &step.task, results);
    let is_fatal = step.task.settings.any_errors_fatal == Flag::On;
    if state.iterator.ends_early(is_fatal, play.max_fail_percentage) {
        (state.callback)(&Event::NoHostsLeft);
    }
}

impl Executor<'_> {
    /// Runs the rest of a batch. Tasks that do not run on the host itself are run one after the other.
    pub(super) async fn run_free<'e>(&'e self, state: &mut RunState<'e, '_>, play: &'e Play) {
        let (notes, mut noted) = mpsc::unbounded_channel();
        let (mut running, mut busy, mut heading) = (Running::new(), BTreeMap::new(), Heading::default());
        loop {
            self.begin(state, play, (&mut running, &mut busy, &mut heading), &notes).await;
            tokio::select! {
                biased;
                Some(note) = noted.recv() => {
                    // Items are shown under the heading of their task, when it ends.
                    let task: Option<&Arc<Task>> = busy.get(note.host());
                    if let Some(task) = task.filter(|_| !matches!(note, Note::Item { .. })) {
                        note.show(state, (task, &task.title()));
                    }
                }
                ended = running.next() => match ended {
                    Some(Ended { step, title, results }) => {
                        busy.remove(&step.host);
                        heading.print(state, &step, &title);
                        end(state, play, &step, results);
                    }
                    None => break,
                },
            }
        }
    }

    /// Begins the next task of each host that has none under way.
    async fn begin<'e>(
        &'e self,
        state: &mut RunState<'e, '_>,
        play: &'e Play,
        (running, busy, heading): (&mut Running<'e>, &mut BTreeMap<String, Arc<Task>>, &mut Heading),
        notes: &UnboundedSender<Note>,
    ) {
        let (mut held, mut full): (BTreeSet<String>, Vec<Arc<Task>>) = Default::default();
        while busy.len() < self.forks.max(1) {
            let is_taken = |host: &str| busy.contains_key(host) || held.contains(host);
            let Some(step) = state.iterator.next_of_a_host(is_taken) else { return };
            if step.task.module.runs_in() != RunsIn::Host {
                *heading = Heading::default();
                state.iterator.begin_step();
                let hosts = vec![step.host.clone()];
                self.run_allowed(state, (play, &step.task, hosts), step.is_handler).await;
                continue;
            }
            if full.iter().any(|task| Arc::ptr_eq(task, &step.task)) {
                held.insert(step.host);
                continue;
            }
            let at_once = busy.values().filter(|task| Arc::ptr_eq(task, &step.task)).count();
            let (host, task) = (step.host.clone(), Arc::clone(&step.task));
            if let Some(future) = self.on_one_host(state, play, step, at_once, notes) {
                busy.insert(host, task);
                running.push(future);
            } else {
                held.insert(host);
                full.push(task);
            }
        }
    }

    /// Returns a run of a task on one host; `None` if the task runs on as many hosts as its `throttle` allows.
    fn on_one_host<'e>(
        &'e self,
        state: &mut RunState<'e, '_>,
        play: &Play,
        step: HostStep,
        at_once: usize,
        notes: &UnboundedSender<Note>,
    ) -> Option<BoxFuture<'e, Ended>> {
        let inventory = Arc::clone(&state.inventory);
        self.prepare(state, &step.task);
        let scope = self.task_scope(state, (play, &step.task), inventory.hosts.get(&step.host)?);
        let title = step.task.title_in(&scope);
        if at_once >= throttle(&step.task, Some(&scope)) {
            return None;
        }
        let (shared, jobs, notes) = (state.iterator.shared().clone(), Arc::clone(&state.jobs), notes.clone());
        let run = async move {
            let results = match inventory.hosts.get(&step.host) {
                Some(host) => {
                    let host_task = HostTask { host, scope, inventory: &inventory, jobs: &jobs };
                    self.run_items((&shared, &step.task), host_task, &notes).await
                }
                None => Vec::new(),
            };
            Ended { step, title, results }
        };
        Some(Box::pin(run))
    }
}
