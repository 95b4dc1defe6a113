//! Runs a playbook: does on the hosts what [`super::play_iterator`] says comes next.
//!
//! A host's units are never touched here. Tasks about units and membership go to the cluster.

mod background;
mod free;
mod hosts;
mod limit;
mod place;
mod play_tasks;
mod state;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::sync::mpsc;
use tokio::sync::mpsc::UnboundedSender;

use super::action::Action;
use super::action::MetaAction;
use super::callback::Begun;
use super::callback::Event;
use super::cluster::Cluster;
use super::cluster::JoinRequest;
use super::cluster_tasks;
use super::cluster_tasks::Answers;
use super::cluster_tasks::outcome_of;
use super::loop_item::ItemResult;
use super::loop_item::LoopItem;
use super::loop_item::all_items;
use super::loop_item::items_of;
use super::magic_variables;
use super::modules::RunsIn;
use super::outcome::Outcome;
use super::outcome::SetVars;
use super::outcome::Status;
use super::parse::Options;
use super::play::BatchSize;
use super::play::Play;
use super::play::Playbook;
use super::play::Role;
use super::play::Shared;
use super::play::Strategy;
use super::play::Task;
use super::play_iterator::Next;
use super::play_iterator::PlayIterator;
use super::play_iterator::Results;
use super::run_as;
use super::running::Running;
use super::settings::Become;
use super::settings::Flag;
use super::step::Step;
use super::tags::Selection;
use super::template;
use super::template::Layer;
use super::template::Scope;
use super::template::Surroundings;
use crate::inventory::Host;
use crate::inventory::Inventory;
use crate::inventory::Vars;
use crate::remote::Password;
use crate::remote::Remote;
use background::Jobs;
use background::Wait;
use hosts::RunHosts;
use limit::Limit;
use limit::limit;
use state::RunState;

/// Everything that a run needs beside the playbook.
pub struct Executor<'a> {
    /// The hosts.
    pub inventory: Arc<Inventory>,
    /// The connections to the hosts.
    pub remote: &'a dyn Remote,
    /// The cluster, if a task of the playbook needs it.
    pub cluster: Option<&'a dyn Cluster>,
    /// Variables that override all others (`-e`).
    pub extra: Arc<Vars>,
    /// Returns the hosts of a play. It is asked again when tasks have added hosts.
    pub choose: &'a (dyn Fn(&Inventory, &Play) -> Vec<String> + Sync),
    /// Set to predict changes without making them (`--check`).
    pub check: bool,
    /// Set to show what changes (`--diff`).
    pub diff: bool,
    /// The password for sudo, for hosts whose variables have none (`--ask-become-pass`).
    pub password: Option<Password>,
    /// The environment of muster itself, for `lookup('env', …)`.
    pub environment: BTreeMap<String, String>,
    /// What holds for tasks that say nothing else.
    pub options: &'a Options,
    /// Asks the operator before each task (`--step`).
    pub step: Option<Step>,
    /// The tasks that run (`--tags`).
    pub selection: Selection,
    /// How many hosts run a task at once.
    pub forks: usize,
    /// The pattern that limits the hosts (`--limit`), for templates.
    pub limit: Option<String>,
    /// How much is printed (`-v`), for templates.
    pub verbosity: u8,
    /// The tasks that are under way.
    pub running: Running,
}

/// A task on one host.
struct HostTask<'h, 'e> {
    host: &'h Host,
    scope: Scope,
    inventory: &'h Inventory,
    jobs: &'h Jobs<'e>,
}

/// What a task that is under way on a host has to say.
enum Note {
    /// It is about to run again, at most this often.
    Retry { host: String, delegate: Option<String>, left: u64 },
    /// It is about to do this.
    Notice { host: String, text: String },
    /// An item has ended.
    Item { host: String, result: Box<ItemResult> },
}

impl Note {
    fn host(&self) -> &str {
        let (Self::Retry { host, .. } | Self::Notice { host, .. } | Self::Item { host, .. }) = self;
        host
    }

    /// Shows it. `title` is that of the task.
    fn show(&self, state: &mut RunState<'_, '_>, (task, title): (&Task, &str)) {
        match self {
            Self::Retry { host, delegate, left } => {
                let (delegate, left) = (delegate.as_deref(), *left);
                (state.callback)(&Event::Retry { host, delegate, task: task.bare(title), left });
            }
            Self::Notice { text, .. } => (state.callback)(&Event::Notice(text)),
            Self::Item { host, result } => state.show_item(host, result),
        }
    }
}

/// A task of the cluster on one host.
struct ClusterTask<'h> {
    host: &'h Host,
    items: Vec<LoopItem>,
}

impl Executor<'_> {
    /// Runs each play on its hosts, reports every event to the callback, and returns the exit code.
    pub async fn play(
        &self,
        playbook: &Playbook,
        hosts: Vec<Vec<String>>,
        callback: &mut (dyn FnMut(&Event<'_>) + Send),
    ) -> u8 {
        self.play_after(&mut Results::default(), playbook, hosts, callback).await
    }

    /// Runs the plays of a playbook after others, whose results they go on with.
    pub async fn play_after(
        &self,
        results: &mut Results,
        playbook: &Playbook,
        hosts: Vec<Vec<String>>,
        callback: &mut (dyn FnMut(&Event<'_>) + Send),
    ) -> u8 {
        let playbook = &*self.with_batches(playbook);
        let (jobs, driver) = background::jobs();
        driver.drive(self.play_with((Arc::new(jobs), results), playbook, hosts, callback)).await
    }

    async fn play_with<'e>(
        &'e self,
        (jobs, results): (Arc<Jobs<'e>>, &mut Results),
        playbook: &'e Playbook,
        hosts: Vec<Vec<String>>,
        callback: &mut (dyn FnMut(&Event<'_>) + Send),
    ) -> u8 {
        let iterator = PlayIterator::new(playbook.plays.iter().zip(hosts)).after(std::mem::take(results));
        let (batch_vars, requested) = (Arc::default(), BTreeMap::new());
        let (inventory, folder) = (Arc::clone(&self.inventory), playbook.folder());
        let (hosts_now, surroundings) = (None, Arc::default());
        let mut state = RunState {
            iterator,
            inventory,
            batch_vars,
            losses: None,
            hosts: hosts_now,
            surroundings,
            local_files: Arc::default(),
            requested,
            last: None,
            jobs,
            folder,
            callback,
        };
        loop {
            match state.iterator.advance() {
                Next::End => break,
                Next::Play(play, hosts) => {
                    self.step.iter().for_each(Step::begin_play);
                    (state.callback)(&Event::Play(Begun::play(&self.title(play), play)));
                    if hosts.is_empty() {
                        (state.callback)(&Event::NoHosts);
                    }
                    state.folder = play.folder();
                    state.batch_vars = self.batch_vars(play, &state.inventory, (&hosts, &hosts));
                    state.losses = None;
                    self.name_handlers(&mut state, play);
                }
                Next::Task(play, ..) | Next::Handler(play, ..) if play.strategy == Strategy::Free => {
                    self.run_free(&mut state, play).await;
                }
                Next::Task(play, task, hosts) => self.run_allowed(&mut state, (play, &task, hosts), false).await,
                Next::Handler(play, task, hosts) => self.run_allowed(&mut state, (play, &task, hosts), true).await,
            }
        }
        (state.callback)(&Event::Recap(state.iterator.stats()));
        let code = state.iterator.exit_code();
        *results = state.iterator.into_results();
        code
    }

    /// Refuses a playbook whose `serial` is a template that cannot be filled in.
    pub fn check_serial(&self, playbook: &Playbook) -> Result<(), String> {
        playbook.plays.iter().try_for_each(|play| BatchSize::filled(&play.serial, &self.play_scope(play)).map(drop))
    }

    /// Fills in the sizes of the batches. Hosts have no say in them.
    fn with_batches<'p>(&self, playbook: &'p Playbook) -> Cow<'p, Playbook> {
        let has_template = |play: &Play| play.serial.iter().any(|size| matches!(size, BatchSize::Template(_)));
        if !playbook.plays.iter().any(has_template) {
            return Cow::Borrowed(playbook);
        }
        let mut playbook = playbook.clone();
        for play in &mut playbook.plays {
            let sizes = BatchSize::filled(&play.serial, &self.play_scope(play));
            // Templates were checked before. One host at a time does least.
            play.serial = sizes.unwrap_or_else(|_| vec![BatchSize::Count(1)]);
        }
        Cow::Owned(playbook)
    }

    /// Refuses a playbook that would have to become a user in a way that muster does not know. The error names the host.
    pub fn check_become(&self, playbook: &Playbook, hosts: &[Vec<String>]) -> Result<(), String> {
        for (play, names) in playbook.plays.iter().zip(hosts) {
            let mut tasks = play.all_tasks().filter(|task| task.module.runs_in() == RunsIn::Host).peekable();
            if tasks.peek().is_none() {
                continue;
            }
            let on = tasks.any(|task| task.settings.r#become.on == Flag::On).into();
            let wanted = Become { on, ..Become::default() };
            let batch_vars = self.batch_vars(play, &self.inventory, (names, names));
            for host in names.iter().filter_map(|name| self.inventory.hosts.get(name)) {
                let scope = self.scope(&batch_vars, (play, &play.shared), None, host, Default::default());
                run_as::run_as(&scope, &wanted, None).map_err(|why| format!("host {}: {why}", host.name))?;
            }
        }
        Ok(())
    }

    /// Fills in the names of the handlers from the variables that all hosts share.
    fn name_handlers(&self, state: &mut RunState<'_, '_>, play: &Play) {
        state.iterator.name_handlers(|shared, text| {
            let layers = [&shared.defaults, &play.vars, &shared.vars, &self.extra];
            let scope = Scope::new(layers.map(|vars| Layer::written(Arc::clone(vars))).to_vec());
            scope.with_vault(&self.inventory.vault).text(text).unwrap_or_else(|_| text.to_owned())
        });
    }

    fn title(&self, play: &Play) -> String {
        let name = self.play_scope(play).text(&play.name).unwrap_or_else(|_| play.name.clone());
        if name.is_empty() { play.hosts.clone() } else { name.trim().to_owned() }
    }

    /// Returns the variables that a play has before it has hosts.
    fn play_scope(&self, play: &Play) -> Scope {
        let layers = [&play.vars, &self.extra].map(|vars| Layer::written(Arc::clone(vars)));
        Scope::new(layers.to_vec()).with_vault(&self.inventory.vault)
    }

    /// Returns the variables that are the same for every host of a batch. `hosts` are those of the play and of the batch.
    fn batch_vars(&self, play: &Play, inventory: &Inventory, hosts: (&[String], &[String])) -> Arc<Vars> {
        let mut vars = magic_variables::of_all(inventory);
        vars.extend(magic_variables::of_play(play, &self.title(play)));
        vars.extend(magic_variables::of_hosts(hosts.0, hosts.1, |_| false));
        vars.insert("ansible_check_mode".to_owned(), self.check.into());
        vars.insert("ansible_diff_mode".to_owned(), self.diff.into());
        vars.insert("ansible_forks".to_owned(), self.forks.into());
        vars.insert("ansible_verbosity".to_owned(), self.verbosity.into());
        vars.insert("ansible_run_tags".to_owned(), self.selection.only().into());
        vars.insert("ansible_skip_tags".to_owned(), self.selection.skip().into());
        vars.extend(magic_variables::of_controller(self.options.config_file.as_deref(), &self.environment));
        vars.extend(self.limit.as_ref().map(|limit| ("ansible_limit".to_owned(), limit.clone().into())));
        Arc::new(vars)
    }

    /// Returns the variables of a host's templates: magic < role defaults < inventory < facts < play < role < included <
    /// task < files < registered < parameters of the role < those of includes < `-e`.
    fn scope(
        &self,
        batch_vars: &Arc<Vars>,
        (play, shared): (&Play, &Shared),
        task: Option<&Task>,
        host: &Host,
        (set, included): (SetVars, Vec<Arc<Vars>>),
    ) -> Scope {
        let role = task.and_then(|task| task.origin.role.as_deref());
        let of_role = |vars: fn(&Role) -> &Arc<Vars>| role.map(|role| Arc::clone(vars(role))).unwrap_or_default();
        let [facts, files, own] = set.layers();
        let mut layers = vec![
            Layer::data(Arc::clone(batch_vars)),
            Layer::written(Arc::clone(&shared.defaults)),
            Layer::written(of_role(|role| &role.defaults)),
            Layer::written(Arc::clone(&host.vars)),
            facts,
            Layer::of_play(Arc::clone(&play.vars)),
            Layer::of_play(Arc::clone(&shared.vars)),
            Layer::of_play(of_role(|role| &role.vars)),
        ];
        layers.extend(included.into_iter().map(Layer::data));
        layers.extend([
            Layer::of_play(task.map(|task| Arc::clone(&task.settings.vars)).unwrap_or_default()),
            files,
            own,
            Layer::of_play(of_role(|role| &role.params)),
            Layer::of_play(task.map(|task| Arc::clone(&task.settings.include_vars)).unwrap_or_default()),
            Layer::of_play(Arc::clone(&self.extra)),
            Layer::data(Arc::new(magic_variables::of_host(host))),
            Layer::data(Arc::new(role.map(magic_variables::of_role).unwrap_or_default())),
        ]);
        Scope::new(layers).with_vault(&self.inventory.vault)
    }

    /// Prepares what the templates of a task can read on every host: the variables of all hosts, and lookups.
    fn prepare(&self, state: &mut RunState<'_, '_>, task: &Task) {
        state.update_play_hosts();
        let (inventory, all) = (Arc::clone(&state.inventory), Arc::clone(&state.batch_vars));
        let (set, extra) = (state.iterator.set().clone(), Arc::clone(&self.extra));
        state.hosts = Some(Arc::new(RunHosts { inventory, all, set, extra }));
        let (folders, environment) = (task.origin.folders.clone(), self.environment.clone());
        let configuration = self.options.configuration(self.forks);
        state.surroundings = Arc::new(Surroundings { folders, environment, configuration });
    }

    /// Returns the variables of a task's templates on a host.
    fn task_scope(&self, state: &RunState<'_, '_>, (play, task): (&Play, &Task), host: &Host) -> Scope {
        let set = (state.iterator.set_by_tasks(&host.name), state.iterator.include_vars(&host.name));
        let scope = self.scope(&state.batch_vars, (play, state.iterator.shared()), Some(task), host, set);
        let scope = scope.with_surroundings(Arc::clone(&state.surroundings)).with_local_files(&state.local_files);
        match &state.hosts {
            Some(hosts) => scope.with_hosts(Arc::clone(hosts)),
            None => scope,
        }
    }

    /// Runs a task unless the operator refuses it. The hosts then go on without it.
    async fn run_allowed<'e>(
        &'e self,
        state: &mut RunState<'e, '_>,
        (play, task, names): (&Play, &Task, Vec<String>),
        handler: bool,
    ) {
        if let Some(step) = self.step.as_ref().filter(|_| task.module.runs_in() != RunsIn::Play)
            && !step.allows(task, handler).await
        {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            return state.iterator.act(&names, MetaAction::Noop);
        }
        self.run_task(state, (play, task, names), handler).await;
    }

    /// Runs a task on these hosts, or on the first of them if it runs once.
    async fn run_task<'e>(
        &'e self,
        state: &mut RunState<'e, '_>,
        (play, task, names): (&Play, &Task, Vec<String>),
        handler: bool,
    ) {
        let inventory = Arc::clone(&state.inventory);
        self.prepare(state, task);
        let host_of = |name: &String| inventory.hosts.get(name);
        let scope_of = |state: &RunState<'_, '_>, host: &Host| self.task_scope(state, (play, task), host);
        let Some(first) = names.first().and_then(host_of) else { return };
        let first_scope = scope_of(state, first);
        let once = task.module.runs_once() || task.settings.run_once.holds(&first_scope) == Ok(true);
        let others = names.get(1..).unwrap_or_default();
        let mut hosts = vec![(first, first_scope)];
        if !once {
            hosts.extend(others.iter().filter_map(host_of).map(|host| (host, scope_of(state, host))));
        }
        let title = hosts.first().map_or_else(|| task.title(), |(_, scope)| task.title_in(scope));
        if task.module.runs_in() == RunsIn::Play {
            let title = Some(title.as_str()).filter(|_| play.strategy == Strategy::Linear);
            return play_tasks::run_meta(state, (task, title), &hosts);
        }
        let begun = Begun::task(&title, task);
        (state.callback)(&if handler { Event::Handler(begun) } else { Event::Task(begun) });
        let is_fatal = task.settings.any_errors_fatal == Flag::On;
        if is_fatal || play.max_fail_percentage.is_some() {
            state.iterator.keep_places(&names);
        }
        match task.module.runs_in() {
            RunsIn::Cluster => self.run_for_cluster(state, task, hosts).await,
            RunsIn::Host => self.run_on_hosts(state, (task, &title), hosts).await,
            RunsIn::Tasks => {
                self.run_include(state, task, hosts).await;
                self.name_handlers(state, play);
            }
            RunsIn::Inventory => self.run_addition(state, task, hosts),
            RunsIn::Play => {}
        }
        if once {
            state.share_result(task, others);
        }
        if state.iterator.ends_early(is_fatal, play.max_fail_percentage) {
            // As Ansible does: for the hosts that have failed, and for the end of the play.
            (state.callback)(&Event::NoHostsLeft);
            (state.callback)(&Event::NoHostsLeft);
        }
    }

    /// Runs a task on the cluster, and records its results for the hosts.
    async fn run_for_cluster(&self, state: &mut RunState<'_, '_>, task: &Task, hosts: Vec<(&Host, Scope)>) {
        // Templates may take their time: between two hosts an interrupt is noticed.
        let cluster_tasks = hosts.into_iter().map(async |(host, scope)| {
            tokio::task::yield_now().await;
            ClusterTask { host, items: all_items(task, &scope) }
        });
        let cluster_tasks = stream::iter(cluster_tasks).buffered(self.forks.max(1)).collect().await;
        for (ClusterTask { host, items }, outcomes) in self.run_on_cluster(state, task, cluster_tasks).await {
            let judged = items.into_iter().zip(outcomes).map(|(item, outcome)| (item.judge(task, outcome), item));
            let shared = state.iterator.shared();
            let results = judged.map(|(outcome, item)| item.finish(shared, task, outcome)).collect();
            state.record_result(&host.name, task, results);
        }
    }

    /// Runs a task on hosts, and records each result as it comes.
    async fn run_on_hosts<'e>(
        &'e self,
        state: &mut RunState<'e, '_>,
        (task, title): (&Task, &str),
        hosts: Vec<(&Host, Scope)>,
    ) {
        let (notes, mut noted) = mpsc::unbounded_channel::<Note>();
        let forks = self.forks.min(throttle(task, hosts.first().map(|(_, scope)| scope))).max(1);
        let shared = state.iterator.shared().clone();
        let inventory = Arc::clone(&state.inventory);
        let jobs = Arc::clone(&state.jobs);
        let running = hosts.into_iter().map(async |(host, scope)| {
            tokio::task::yield_now().await;
            let host_task = HostTask { host, scope, inventory: &inventory, jobs: &jobs };
            (host, self.run_items((&shared, task), host_task, &notes).await)
        });
        let mut running = pin!(stream::iter(running).buffer_unordered(forks));
        loop {
            tokio::select! {
                biased;
                Some(note) = noted.recv() => note.show(state, (task, title)),
                ended = running.next() => match ended {
                    Some((host, results)) => {
                        while let Ok(note) = noted.try_recv() {
                            note.show(state, (task, title));
                        }
                        state.record_shown_result(&host.name, task, results);
                    }
                    None => break,
                },
            }
        }
    }

    /// Runs a host's items one after the other. An item sees the facts that the items before it have set. The first
    /// unreachable outcome is the last.
    async fn run_items<'e>(
        &'e self,
        (shared, task): (&Shared, &Task),
        host_task: HostTask<'_, 'e>,
        notes: &UnboundedSender<Note>,
    ) -> Vec<ItemResult> {
        let HostTask { host, scope, .. } = &host_task;
        let items = match items_of(task, scope) {
            Ok(items) => items,
            Err(outcome) => return vec![LoopItem::none(shared, task, scope, *outcome)],
        };
        let pause = task.looping.as_ref().map_or(Duration::ZERO, |looping| looping.pause);
        let (mut results, mut set) = (Vec::new(), SetVars::default());
        for item in &items {
            if !results.is_empty() && !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            let item = LoopItem::new(task, (item.as_ref(), &items), (scope, &set));
            let run = self.run_item(task, &host_task, &item, notes);
            let outcome = self.running.during(&host.name, &task.name, run).await;
            set.extend(&outcome.set);
            let (outcome, is_last) = match item.breaks(task, &outcome) {
                Ok(breaks) => (outcome, breaks),
                Err(why) => (Outcome::failed(why), true),
            };
            let lost = outcome.status == Status::Unreachable;
            let delegate_address = delegate_address(task, &host_task, &item);
            let outcome = Outcome { delegate_address, ..outcome };
            let result = item.finish(shared, task, outcome);
            if result.item.is_some() {
                let _ = notes.send(Note::Item { host: host.name.clone(), result: Box::new(result.clone()) });
            }
            results.push(result);
            if lost || is_last {
                break;
            }
        }
        results
    }

    /// Runs an item until it has succeeded or has been tried often enough.
    async fn run_item<'e>(
        &'e self,
        task: &Task,
        host_task: &HostTask<'_, 'e>,
        item: &LoopItem,
        notes: &UnboundedSender<Note>,
    ) -> Outcome {
        let action = match &item.state {
            Ok(action) => action,
            Err(outcome) => return item.judge(task, (**outcome).clone()),
        };
        let (attempts, delay) = match item.attempts(task) {
            Ok(attempts) => attempts,
            Err(why) => return Outcome::failed(why),
        };
        if let Action::Host(action) = action
            && let Some(text) = action.notice()
        {
            let _ = notes.send(Note::Notice { host: host_task.host.name.clone(), text });
        }
        let mut attempt = 1;
        loop {
            let mut outcome = item.judge(task, self.run_action(task, host_task, (item, action), notes).await);
            if attempts == 1 || outcome.status == Status::Unreachable {
                return outcome;
            }
            match item.is_done(task, &outcome) {
                Ok(true) => {
                    outcome.detail.insert("attempts".to_owned(), attempt.into());
                    return outcome;
                }
                Ok(false) if attempt < attempts => {}
                Ok(false) => {
                    outcome.detail.insert("attempts".to_owned(), (attempts - 1).into());
                    // `failed_when` has the last word.
                    let status = if task.failed_when.is_some() { outcome.status } else { Status::Failed };
                    return Outcome { status, ..outcome };
                }
                Err(why) => return Outcome::failed(why),
            }
            // The receiver ends after all senders.
            let (host, delegate) = (host_task.host.name.clone(), item.delegate(task).ok().flatten());
            let _ = notes.send(Note::Retry { host, delegate, left: attempts - attempt });
            tokio::time::sleep(delay).await;
            attempt += 1;
        }
    }

    async fn run_action<'e>(
        &'e self,
        task: &Task,
        host_task: &HostTask<'_, 'e>,
        (item, action): (&LoopItem, &Action),
        notes: &UnboundedSender<Note>,
    ) -> Outcome {
        let action = match action {
            Action::Done(outcome) => return (**outcome).clone(),
            Action::Job { id, is_over: false } => return host_task.jobs.status(id),
            Action::Job { id, is_over: true } => return host_task.jobs.forget(id),
            Action::Host(action) => action,
            Action::Unit(_)
            | Action::Application(_)
            | Action::Join
            | Action::Machine(_)
            | Action::Sweep
            | Action::Include(_)
            | Action::Add(_)
            | Action::Meta(_) => {
                return Outcome::failed("this module does not run on the host");
            }
        };
        let connection = match self.connection(task, host_task, item) {
            Ok(connection) => connection,
            Err(why) => return Outcome::failed(why),
        };
        let limit = match limit(task, item.scope()) {
            Ok(limit) => limit,
            Err(why) => return Outcome::failed(why),
        };
        if let Limit::Background(limit) = limit {
            return host_task.jobs.start(Arc::clone(action), connection, limit);
        }
        let run = async { action.run(&connection).await.unwrap_or_else(|failure| failure) };
        match limit {
            Limit::Seconds(limit, late) => {
                tokio::time::timeout(limit, run).await.unwrap_or_else(|_| Outcome::failed(late))
            }
            Limit::Awaited(limit, poll) => {
                let (host, censored) = (host_task.host.name.clone(), task.settings.no_log.may_hold(item.scope()));
                let wait = Wait { host, limit, poll, censored };
                let show = |text| drop(notes.send(Note::Notice { host: wait.host.clone(), text }));
                host_task.jobs.wait(run, &wait, show).await
            }
            Limit::None | Limit::Background(_) => run.await,
        }
    }

    /// Runs a task on the cluster, for all hosts at once.
    async fn run_on_cluster<'h>(
        &self,
        state: &mut RunState<'_, '_>,
        task: &Task,
        host_tasks: Vec<ClusterTask<'h>>,
    ) -> Vec<(ClusterTask<'h>, Vec<Outcome>)> {
        let joins: BTreeMap<&str, Result<JoinRequest, String>> = host_tasks
            .iter()
            .filter(|host_task| host_task.items.iter().any(|item| matches!(item.state, Ok(Action::Join))))
            .map(|host_task| (host_task.host.name.as_str(), join_request(host_task.host)))
            .collect();
        let requested = state.requested.entry((Arc::clone(&task.file), task.at)).or_default();
        let mut answers = Answers::default();
        if let Some(cluster) = self.cluster {
            let items =
                || host_tasks.iter().flat_map(|host_task| host_task.items.iter().map(|item| (host_task.host, item)));
            let requests = joins.values().flatten().cloned().collect();
            let first = host_tasks.iter().find_map(|host_task| host_task.items.first());
            let check = first.map_or(self.check, |item| self.is_check(task, item.scope()).unwrap_or(true));
            let run = async {
                Answers {
                    units: cluster_tasks::request_units(cluster, items(), requested, check).await,
                    applications: cluster_tasks::request_applications(cluster, items(), requested, check).await,
                    joins: cluster_tasks::request_joins(cluster, requests, check).await,
                    machines: cluster_tasks::request_machines(cluster, items(), check).await,
                    swept: cluster_tasks::sweep(cluster, items().map(|(_, item)| item), check).await,
                }
            };
            answers = self.running.during(CLUSTER, &task.name, run).await;
        }
        let outcome = |host: &Host, item: &LoopItem| match &item.state {
            Ok(Action::Unit(request)) => outcome_of(answers.units.get(&request.name)),
            Ok(Action::Application(request)) => {
                let is_shown =
                    requested.is_first(&host.name, request) && self.shows_diff(task, item.scope()) == Ok(true);
                cluster_tasks::outcome_of_applications(answers.applications.get(request), is_shown)
            }
            Ok(Action::Join) => match joins.get(host.name.as_str()) {
                Some(Err(why)) => Outcome::failed(why.clone()),
                _ => outcome_of(answers.joins.get(&host.name)),
            },
            Ok(Action::Machine(goal)) => outcome_of(answers.machines.get(&(host.name.clone(), *goal))),
            Ok(Action::Sweep) => cluster_tasks::outcome_of_sweep(answers.swept.as_ref()),
            Ok(_) => Outcome::failed("this module runs on the host, not on the cluster"),
            Err(outcome) => (**outcome).clone(),
        };
        let outcomes = host_tasks
            .iter()
            .map(|host_task| host_task.items.iter().map(|item| outcome(host_task.host, item)).collect());
        let outcomes: Vec<Vec<Outcome>> = outcomes.collect();
        host_tasks.into_iter().zip(outcomes).collect()
    }
}

/// Returns the address of the host on which a task runs instead, if it is another text than its name.
fn delegate_address(task: &Task, host_task: &HostTask<'_, '_>, item: &LoopItem) -> Option<String> {
    let name = item.delegate(task).ok()??;
    let host = host_task.inventory.host(&name);
    let address = host.vars.get("ansible_host").and_then(|address| item.scope().fill(address).ok());
    let address = address.filter(|address| !address.is_null()).map(|address| template::text_of(&address));
    address.filter(|address| *address != name)
}

fn join_request(host: &Host) -> Result<JoinRequest, String> {
    let target = host.machine_target().map_err(|error| error.to_string())?;
    let metadata = host.metadata().map_err(|error| error.to_string())?;
    // A leader reads the command in its own inventory; an invalid one is refused before the host joins.
    host.fence_command().map_err(|error| error.to_string())?;
    Ok(JoinRequest { target, metadata })
}

/// Stands for a host where a task runs on the cluster.
const CLUSTER: &str = "the cluster";

/// Returns on how many hosts a task runs at once at most.
fn throttle(task: &Task, scope: Option<&Scope>) -> usize {
    let value = task.settings.throttle.as_ref().zip(scope).and_then(|(value, scope)| scope.fill(value).ok());
    let count = value.and_then(|value| template::text_of(&value).parse().ok());
    count.filter(|count| *count > 0).unwrap_or(usize::MAX)
}
