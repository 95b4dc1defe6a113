//! Runs a playbook: does on the hosts what [`super::play_iterator`] says comes next.
//!
//! A host's units are never touched here. Tasks about units and membership go to the cluster.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;

use super::action::Action;
use super::become_root;
use super::callback::Event;
use super::cluster::Cluster;
use super::cluster::JoinRequest;
use super::cluster_tasks;
use super::cluster_tasks::RequestedUnits;
use super::cluster_tasks::outcome_of;
use super::host_connection::HostConnection;
use super::loop_item::ItemResult;
use super::loop_item::Items;
use super::loop_item::LoopItem;
use super::magic_variables;
use super::outcome::Outcome;
use super::outcome::Status;
use super::play::Play;
use super::play::Playbook;
use super::play::Task;
use super::play_iterator::Next;
use super::play_iterator::PlayIterator;
use super::running::Running;
use super::template::Layer;
use super::template::Scope;
use crate::inventory::Host;
use crate::inventory::Inventory;
use crate::inventory::Vars;
use crate::inventory::diagnostic::Position;
use crate::remote::Remote;
use crate::remote::Target;

/// Everything that a run needs beside the playbook.
pub struct Executor<'a> {
    /// The hosts.
    pub inventory: &'a Inventory,
    /// How SSH reaches each host, by the host's name.
    pub targets: BTreeMap<String, Target>,
    /// The connections to the hosts.
    pub remote: &'a dyn Remote,
    /// The cluster, if a task of the playbook needs it.
    pub cluster: Option<&'a dyn Cluster>,
    /// Variables that override all others (`-e`).
    pub extra: Vars,
    /// Set to predict changes without making them (`--check`).
    pub check: bool,
    /// How many hosts run a task at once.
    pub forks: usize,
    /// The tasks that are under way.
    pub running: Running,
}

/// The state of one run of a playbook.
struct RunState<'a, 't> {
    iterator: PlayIterator<'a>,
    /// The variables that are the same for every host of the batch.
    batch_vars: Arc<Vars>,
    /// The units that each task has requested, in all batches so far.
    requested: BTreeMap<Position, RequestedUnits>,
    callback: &'t mut (dyn FnMut(&Event<'_>) + Send),
}

/// A task on one host.
struct HostTask<'h> {
    host: &'h Host,
    scope: Scope,
    root: Result<bool, String>,
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
        let folder = playbook.folder();
        let iterator = PlayIterator::new(playbook.plays.iter().zip(hosts));
        let mut state = RunState { iterator, batch_vars: Arc::default(), requested: BTreeMap::new(), callback };
        loop {
            match state.iterator.advance() {
                Next::End => break,
                Next::Play(play, hosts) => {
                    (state.callback)(&Event::Play(&self.title(play)));
                    if hosts.is_empty() {
                        (state.callback)(&Event::NoHosts);
                    }
                    state.batch_vars = self.batch_vars(playbook, &hosts);
                }
                Next::Task(play, task, hosts) => self.run_task(&mut state, (play, &task, hosts), folder, false).await,
                Next::Handler(play, task, hosts) => self.run_task(&mut state, (play, &task, hosts), folder, true).await,
            }
        }
        (state.callback)(&Event::Recap(state.iterator.stats()));
        state.iterator.exit_code()
    }

    /// Refuses a playbook that would have to become a user other than root on a host. The error names host and user.
    pub fn check_become(&self, playbook: &Playbook, hosts: &[Vec<String>]) -> Result<(), String> {
        for (play, names) in playbook.plays.iter().zip(hosts) {
            let mut tasks = play.all_tasks().filter(|task| !task.module.is_for_cluster()).peekable();
            if tasks.peek().is_none() {
                continue;
            }
            let requested = tasks.any(|task| task.root);
            let batch_vars = self.batch_vars(playbook, names);
            for host in names.iter().filter_map(|name| self.inventory.hosts.get(name)) {
                let scope = self.scope(&batch_vars, play, &Vars::new(), host, Default::default());
                become_root::becomes_root(&scope, requested).map_err(|why| format!("host {}: {why}", host.name))?;
            }
        }
        Ok(())
    }

    fn title(&self, play: &Play) -> String {
        let layers = [&play.vars, &self.extra].map(|vars| Layer::written(Arc::new(vars.clone())));
        Scope::new(layers.to_vec()).text(&play.name).unwrap_or_else(|_| play.name.clone())
    }

    /// Returns the variables that are the same for every host of a batch.
    fn batch_vars(&self, playbook: &Playbook, hosts: &[String]) -> Arc<Vars> {
        let mut vars = magic_variables::of_all(self.inventory);
        vars.insert("playbook_dir".to_owned(), playbook.folder().display().to_string().into());
        vars.insert("ansible_check_mode".to_owned(), self.check.into());
        vars.insert("ansible_play_hosts".to_owned(), hosts.into());
        vars.insert("play_hosts".to_owned(), hosts.into());
        Arc::new(vars)
    }

    /// Returns the variables of a host's templates: magic < inventory < play < task < registered < facts < `-e`.
    fn scope(
        &self,
        batch_vars: &Arc<Vars>,
        play: &Play,
        task: &Vars,
        host: &Host,
        (registered, facts): (Arc<Vars>, Arc<Vars>),
    ) -> Scope {
        Scope::new(vec![
            Layer::data(Arc::clone(batch_vars)),
            Layer::written(Arc::new(host.vars.clone())),
            Layer::written(Arc::new(play.vars.clone())),
            Layer::written(Arc::new(task.clone())),
            Layer::data(registered),
            Layer::data(facts),
            Layer::written(Arc::new(self.extra.clone())),
            Layer::data(Arc::new(magic_variables::of_host(host))),
        ])
    }

    async fn run_task(
        &self,
        state: &mut RunState<'_, '_>,
        (play, task, names): (&Play, &Task, Vec<String>),
        folder: &Path,
        handler: bool,
    ) {
        let hosts: Vec<&Host> = names.iter().filter_map(|name| self.inventory.hosts.get(name)).collect();
        let scope = |host: &&Host| {
            self.scope(&state.batch_vars, play, &task.vars, host, state.iterator.set_by_tasks(&host.name))
        };
        let scopes: Vec<Scope> = hosts.iter().map(scope).collect();
        let title = scopes.first().and_then(|scope| scope.text(&task.name).ok());
        let title = title.as_ref().unwrap_or(&task.name);
        (state.callback)(&if handler { Event::Handler(title) } else { Event::Task(title) });
        let requested = task.root;
        // Templates may take their time: between two hosts an interrupt is noticed.
        let forks = self.forks.max(1);
        if task.module.is_for_cluster() {
            let cluster_tasks = hosts.into_iter().zip(scopes).map(async |(host, scope)| {
                tokio::task::yield_now().await;
                ClusterTask { host, items: all_items(task, &scope, folder) }
            });
            let cluster_tasks = stream::iter(cluster_tasks).buffered(forks).collect().await;
            for (ClusterTask { host, items }, outcomes) in self.run_on_cluster(state, task, cluster_tasks).await {
                let results = items.into_iter().zip(outcomes).map(|(item, outcome)| item.finish(play, task, outcome));
                state.record_result(&host.name, task, results.collect());
            }
            return;
        }
        let running = hosts.into_iter().zip(scopes).map(async |(host, scope)| {
            tokio::task::yield_now().await;
            let root = become_root::becomes_root(&scope, requested);
            (host, self.run_items(play, task, HostTask { host, scope, root }, folder).await)
        });
        let mut running = stream::iter(running).buffer_unordered(forks);
        while let Some((host, results)) = running.next().await {
            state.record_result(&host.name, task, results);
        }
    }

    /// Reports whether a task only predicts its changes.
    fn is_check(&self, task: &Task) -> bool {
        task.check.unwrap_or(self.check)
    }

    /// Runs a host's items one after the other. An item sees the facts that the items before it have set. The first
    /// unreachable outcome is the last.
    async fn run_items(&self, play: &Play, task: &Task, host_task: HostTask<'_>, folder: &Path) -> Vec<ItemResult> {
        let HostTask { host, scope, .. } = &host_task;
        let items = match Items::of(task, scope).into_vec() {
            Ok(items) => items,
            Err(outcome) => return vec![LoopItem::none(scope.clone(), *outcome.clone()).finish(play, task, *outcome)],
        };
        let (mut results, mut facts) = (Vec::new(), Vars::new());
        for item in items {
            let item = LoopItem::new(task, item, (scope, &facts), folder);
            let outcome = match &item.state {
                Ok(action) => {
                    let run = self.run_action(task, &host_task, action);
                    self.running.during(&host.name, &task.name, run).await
                }
                Err(outcome) => outcome.clone(),
            };
            facts.extend(outcome.facts.clone());
            let lost = outcome.status == Status::Unreachable;
            results.push(item.finish(play, task, outcome));
            if lost {
                break;
            }
        }
        results
    }

    async fn run_action(&self, task: &Task, host_task: &HostTask<'_>, action: &Action) -> Outcome {
        let action = match action {
            Action::Done(outcome) => return (**outcome).clone(),
            Action::Host(action) => action,
            Action::Unit(_) | Action::Join => {
                return Outcome::failed("this module runs on the cluster, not on the host");
            }
        };
        let Some(target) = self.targets.get(&host_task.host.name) else {
            return Outcome::failed(NO_TARGET);
        };
        let root = match &host_task.root {
            Ok(root) => *root,
            Err(why) => return Outcome::failed(why.clone()),
        };
        let connection = HostConnection { remote: self.remote, target, root, check: self.is_check(task) };
        action.run(&connection).await
    }

    /// Runs a task on the cluster, for all hosts at once.
    async fn run_on_cluster<'h>(
        &self,
        state: &mut RunState<'_, '_>,
        task: &Task,
        host_tasks: Vec<ClusterTask<'h>>,
    ) -> Vec<(ClusterTask<'h>, Vec<Outcome>)> {
        let (mut units, mut joins) = (BTreeMap::new(), BTreeMap::new());
        let requests: BTreeMap<&str, Result<JoinRequest, String>> = host_tasks
            .iter()
            .filter(|host_task| host_task.items.iter().any(|item| matches!(item.state, Ok(Action::Join))))
            .map(|host_task| (host_task.host.name.as_str(), join_request(host_task.host)))
            .collect();
        if let Some(cluster) = self.cluster {
            let items =
                host_tasks.iter().flat_map(|host_task| host_task.items.iter().map(|item| (host_task.host, item)));
            let requested = state.requested.entry(task.at).or_default();
            let requests = requests.values().flatten().cloned().collect();
            let run = async {
                let units = cluster_tasks::request_units(cluster, items, requested, self.is_check(task)).await;
                (units, cluster_tasks::request_joins(cluster, requests, self.is_check(task)).await)
            };
            (units, joins) = self.running.during(CLUSTER, &task.name, run).await;
        }
        let outcome = |host: &Host, item: &LoopItem| match &item.state {
            Ok(Action::Unit(request)) => outcome_of(units.get(&request.name)),
            Ok(Action::Join) => match requests.get(host.name.as_str()) {
                Some(Err(why)) => Outcome::failed(why.clone()),
                _ => outcome_of(joins.get(&host.name)),
            },
            Ok(_) => Outcome::failed("this module runs on the host, not on the cluster"),
            Err(outcome) => outcome.clone(),
        };
        let outcomes = host_tasks
            .iter()
            .map(|host_task| host_task.items.iter().map(|item| outcome(host_task.host, item)).collect());
        let outcomes: Vec<Vec<Outcome>> = outcomes.collect();
        host_tasks.into_iter().zip(outcomes).collect()
    }
}

/// Returns the runs of a task on a host, one for each item.
fn all_items(task: &Task, scope: &Scope, folder: &Path) -> Vec<LoopItem> {
    match Items::of(task, scope).into_vec() {
        Ok(items) => items.into_iter().map(|item| LoopItem::new(task, item, (scope, &Vars::new()), folder)).collect(),
        Err(outcome) => vec![LoopItem::none(scope.clone(), *outcome)],
    }
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

/// The error for a host without an SSH target.
const NO_TARGET: &str = "the host has no SSH target";

impl RunState<'_, '_> {
    /// Reports how a task ended on a host, and records it.
    fn record_result(&mut self, host: &str, task: &Task, mut results: Vec<ItemResult>) {
        let notify: Vec<String> = results.iter_mut().flat_map(|result| std::mem::take(&mut result.notify)).collect();
        for result in &results {
            if let Some(item) = &result.item {
                (self.callback)(&Event::Item { host, item, outcome: &result.outcome });
            }
        }
        // A loop whose list could not be made has one result, without an item.
        let looped = task.items.is_some() && results.iter().all(|result| result.item.is_some());
        let outcome = if looped {
            let items = results.into_iter().map(|result| (result.item.unwrap_or_default(), result.outcome));
            Outcome::of_items(&items.collect::<Vec<_>>())
        } else {
            results.into_iter().next().map_or_else(Outcome::skipped, |result| result.outcome)
        };
        let ignored = outcome.status == Status::Failed && task.ignore_errors;
        (self.callback)(&Event::Host { host, outcome: &outcome, looped, ignored });
        self.iterator.record_result(host, task, &outcome, &notify);
    }
}
