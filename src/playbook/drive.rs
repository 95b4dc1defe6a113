//! Running a playbook: the shell that carries out what [`super::run`] says comes next.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;
use serde_json::Value;
use serde_json::json;

use super::action::Action;
use super::cluster::Cluster;
use super::cluster::Fulfilled;
use super::cluster::JoinOrder;
use super::cluster::Unfulfilled;
use super::cluster::UnitOrder;
use super::lines::Event;
use super::module::Kind;
use super::outcome::Outcome;
use super::outcome::Status;
use super::play::Play;
use super::play::Playbook;
use super::play::Task;
use super::reach::Reach;
use super::run::Next;
use super::run::Run;
use super::template::Scope;
use crate::inventory::Host;
use crate::inventory::Inventory;
use crate::inventory::Vars;
use crate::remote::Remote;
use crate::remote::Target;

/// Everything a run needs beside the playbook.
pub struct Crew<'a> {
    /// The hosts.
    pub inventory: &'a Inventory,
    /// How SSH reaches each of them.
    pub targets: BTreeMap<String, Target>,
    /// The way to the hosts.
    pub remote: &'a dyn Remote,
    /// The cluster, if the playbook asks it for anything.
    pub cluster: Option<&'a dyn Cluster>,
    /// Variables that win over all others (`-e`).
    pub extra: Vars,
    /// Only say what would be done.
    pub check: bool,
    /// How many hosts at once.
    pub forks: usize,
}

/// An item of a loop (or the one time that a task without a loop runs), ready or ended already.
struct Turn {
    item: Option<Value>,
    scope: Scope,
    state: Result<Action, Outcome>,
}

impl Crew<'_> {
    /// Runs the plays, each for its hosts, tells what happens, and returns the exit code.
    pub async fn play(
        &self,
        playbook: &Playbook,
        hosts: Vec<Vec<String>>,
        tell: &mut (dyn FnMut(&Event<'_>) + Send),
    ) -> u8 {
        let folder = playbook.file.parent().unwrap_or(Path::new("."));
        let common = Arc::new(self.common(folder));
        let mut run = Run::new(playbook.plays.iter().zip(hosts));
        let mut batch: Arc<Vars> = Arc::default();
        loop {
            match run.proceed() {
                Next::End => break,
                Next::Play(play, hosts) => {
                    tell(&Event::Play(&play.name));
                    if hosts.is_empty() {
                        tell(&Event::NoHosts);
                    }
                    let mut vars = common.as_ref().clone();
                    vars.insert("ansible_play_hosts".to_owned(), hosts.clone().into());
                    vars.insert("play_hosts".to_owned(), hosts.into());
                    batch = Arc::new(vars);
                }
                Next::Task(play, task, hosts) => {
                    self.task(&mut run, &batch, (play, task, hosts), folder, false, tell).await;
                }
                Next::Handler(play, task, hosts) => {
                    self.task(&mut run, &batch, (play, task, hosts), folder, true, tell).await;
                }
            }
        }
        tell(&Event::Recap(run.tallies()));
        run.exit_code()
    }

    /// Returns the variables that are the same for every host.
    fn common(&self, folder: &Path) -> Vars {
        let groups: Vars = self
            .inventory
            .groups
            .iter()
            .map(|(name, group)| (name.clone(), group.hosts.iter().cloned().collect::<Value>()))
            .collect();
        let mut vars = Vars::new();
        vars.insert("groups".to_owned(), groups.into());
        vars.insert("playbook_dir".to_owned(), folder.display().to_string().into());
        vars.insert("ansible_check_mode".to_owned(), self.check.into());
        vars
    }

    /// Returns what a host's templates see: magic < inventory < play < registered < `-e`.
    fn scope(&self, run: &Run<'_>, batch: &Arc<Vars>, play: &Play, host: &Host) -> Scope {
        let short = host.name.split('.').next().unwrap_or_default();
        let own = json!({
            "inventory_hostname": host.name, "inventory_hostname_short": short, "group_names": host.groups,
        });
        let own = own.as_object().cloned().unwrap_or_default();
        Scope::new(vec![
            Arc::clone(batch),
            Arc::new(host.vars.clone()),
            Arc::new(play.vars.clone()),
            run.registered(&host.name),
            Arc::new(self.extra.clone()),
            Arc::new(own),
        ])
    }

    async fn task(
        &self,
        run: &mut Run<'_>,
        batch: &Arc<Vars>,
        (play, task, names): (&Play, &Task, Vec<String>),
        folder: &Path,
        handler: bool,
        tell: &mut (dyn FnMut(&Event<'_>) + Send),
    ) {
        let hosts: Vec<&Host> = names.iter().filter_map(|name| self.inventory.hosts.get(name)).collect();
        let scopes: Vec<Scope> = hosts.iter().map(|host| self.scope(run, batch, play, host)).collect();
        let title = scopes.first().and_then(|scope| scope.fill(&task.name.clone().into()).ok());
        let title = title.as_ref().and_then(Value::as_str).unwrap_or(&task.name);
        tell(&if handler { Event::Handler(title) } else { Event::Task(title) });
        let turns = hosts.iter().zip(scopes).map(|(host, scope)| (*host, turns(task, &scope, folder)));
        if matches!(task.kind, Kind::Unit | Kind::Join) {
            let ended = self.ask_cluster(task, turns.collect()).await;
            for (host, results) in ended {
                conclude(run, task, host, results, tell);
            }
            return;
        }
        let root = task.root.unwrap_or(play.root);
        let mut under_way = stream::iter(turns.map(|(host, turns)| self.on_host(host, task, turns, root)))
            .buffer_unordered(self.forks.max(1));
        while let Some((host, results)) = under_way.next().await {
            conclude(run, task, host, results, tell);
        }
    }

    async fn on_host<'h>(&self, host: &'h Host, task: &Task, turns: Vec<Turn>, root: bool) -> (&'h Host, Results) {
        let mut results = Vec::new();
        for turn in turns {
            let outcome = match &turn.state {
                Ok(action) => match self.targets.get(&host.name) {
                    Some(target) => {
                        let reach = Reach { remote: self.remote, target, root, check: self.check };
                        match action {
                            Action::Command(command) => reach.command(command).await,
                            Action::File(file) => reach.file(file).await,
                            Action::Wait(wait) => reach.wait(wait).await,
                            Action::Unit(_) | Action::Join => {
                                Outcome::failed("it is the cluster that is asked for this")
                            }
                        }
                    }
                    None => Outcome::failed("it is not known how to reach the host"),
                },
                Err(outcome) => outcome.clone(),
            };
            let lost = outcome.status == Status::Unreachable;
            results.push((turn.item, judge(task, &turn.scope, outcome)));
            if lost {
                break;
            }
        }
        (host, Results { items: results, looped: task.items.is_some() })
    }

    /// Asks the cluster for all hosts' units (or for all hosts) at once; what several hosts ask for alike is asked once.
    async fn ask_cluster<'h>(&self, task: &Task, turns: Vec<(&'h Host, Vec<Turn>)>) -> Vec<(&'h Host, Results)> {
        let mut units = Vec::new();
        let mut joins = Vec::new();
        for (host, turn) in turns.iter().flat_map(|(host, turns)| turns.iter().map(move |turn| (host, turn))) {
            match &turn.state {
                Ok(Action::Unit(order)) if !units.contains(order) => units.push(order.clone()),
                Ok(Action::Join) => joins.extend(self.join_order(host).ok()),
                _ => {}
            }
        }
        let (mut made, mut joined) = (Vec::new(), Vec::new());
        if let Some(cluster) = self.cluster {
            if !units.is_empty() {
                made = cluster.units(&units, self.check).await;
            }
            if !joins.is_empty() {
                joined = cluster.join(&joins, self.check).await;
            }
        }
        let of_unit = |order: &UnitOrder| units.iter().position(|other| other == order).and_then(|at| made.get(at));
        let of_join =
            |host: &Host| joins.iter().position(|order| order.target.name == host.name).and_then(|at| joined.get(at));
        let end = |host: &'h Host, turns: Vec<Turn>| {
            let items = turns.into_iter().map(|turn| {
                let outcome = match &turn.state {
                    Ok(Action::Unit(order)) => outcome_of(of_unit(order)),
                    Ok(Action::Join) => match self.join_order(host) {
                        Ok(_) => outcome_of(of_join(host)),
                        Err(why) => Outcome::failed(why),
                    },
                    Ok(_) => Outcome::failed("it is the host that is asked for this"),
                    Err(outcome) => outcome.clone(),
                };
                (turn.item, judge(task, &turn.scope, outcome))
            });
            (host, Results { items: items.collect(), looped: task.items.is_some() })
        };
        turns.into_iter().map(|(host, turns)| end(host, turns)).collect()
    }

    fn join_order(&self, host: &Host) -> Result<JoinOrder, String> {
        let target = self.targets.get(&host.name).ok_or("it is not known how to reach the host")?;
        let metadata = host.metadata().map_err(|error| error.to_string())?;
        let fence_command = host.fence_command().map_err(|error| error.to_string())?;
        Ok(JoinOrder { target: target.clone(), metadata, fence_command })
    }
}

/// How a task ended on a host: once, or once for each item of its loop.
struct Results {
    items: Vec<(Option<Value>, Outcome)>,
    looped: bool,
}

fn outcome_of(answer: Option<&Result<Fulfilled, Unfulfilled>>) -> Outcome {
    match answer {
        Some(Ok(Fulfilled { changed, what })) => {
            Outcome::done(*changed, Vars::from_iter([("msg".to_owned(), what.clone().into())]))
        }
        Some(Err(Unfulfilled::Failed(why))) => Outcome::failed(why.clone()),
        Some(Err(Unfulfilled::Unreachable(why))) => {
            Outcome { status: Status::Unreachable, ..Outcome::failed(why.clone()) }
        }
        None => Outcome::failed("the cluster did not answer"),
    }
}

/// Works out what a task comes to on a host: its loop, its conditions, its arguments.
fn turns(task: &Task, scope: &Scope, folder: &Path) -> Vec<Turn> {
    let items = match &task.items {
        None => return vec![turn(task, None, scope.clone(), folder)],
        // Items may be anything; a condition that spares this host must not be hidden by a list it does not have.
        Some(items) => match scope.fill(items) {
            Ok(Value::Array(items)) => items,
            other => {
                let why = other.map_or_else(|why| why, |_| "`loop` is not a list".to_owned());
                let spared = task.when.iter().any(|condition| scope.holds(condition) == Ok(false));
                let outcome = if spared { Outcome::skipped() } else { Outcome::failed(why) };
                return vec![Turn { item: None, scope: scope.clone(), state: Err(outcome) }];
            }
        },
    };
    let with = |item: Value| scope.with(Arc::new(Vars::from_iter([("item".to_owned(), item)])));
    items.into_iter().map(|item| turn(task, Some(item.clone()), with(item), folder)).collect()
}

fn turn(task: &Task, item: Option<Value>, scope: Scope, folder: &Path) -> Turn {
    let state = match all(&task.when, &scope) {
        Ok(true) => scope
            .fill(&Value::Object(task.args.clone()))
            .and_then(|args| Action::new(task.kind, args.as_object().unwrap_or(&Vars::new()), &scope, folder))
            .map_err(Outcome::failed),
        Ok(false) => Err(Outcome::skipped()),
        Err(why) => Err(Outcome::failed(format!("`when`: {why}"))),
    };
    Turn { item, scope, state }
}

/// Says whether all conditions hold, stopping at the first that does not.
fn all(conditions: &[String], scope: &Scope) -> Result<bool, String> {
    for condition in conditions {
        if !scope.holds(condition)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Applies the task's own word on what counts as changed and as failed.
fn judge(task: &Task, scope: &Scope, mut outcome: Outcome) -> Outcome {
    if matches!(outcome.status, Status::Skipped | Status::Unreachable)
        || (task.changed_when.is_none() && task.failed_when.is_none())
    {
        return outcome;
    }
    let layer = |outcome: &Outcome| {
        let name = task.register.clone().unwrap_or_else(|| "result".to_owned());
        scope.with(Arc::new(Vars::from_iter([(name, Value::Object(outcome.to_vars()))])))
    };
    let mut failed = outcome.status == Status::Failed;
    if let Some(conditions) = &task.changed_when {
        match all(conditions, &layer(&outcome)) {
            Ok(changed) => outcome.changed = changed,
            Err(why) => return Outcome::failed(format!("`changed_when`: {why}")),
        }
    }
    if let Some(conditions) = &task.failed_when {
        match all(conditions, &layer(&outcome)) {
            Ok(fails) => failed = fails,
            Err(why) => return Outcome::failed(format!("`failed_when`: {why}")),
        }
    }
    outcome.status = match (failed, outcome.changed) {
        (true, _) => Status::Failed,
        (false, true) => Status::Changed,
        (false, false) => Status::Ok,
    };
    outcome
}

fn conclude(run: &mut Run<'_>, task: &Task, host: &Host, results: Results, tell: &mut (dyn FnMut(&Event<'_>) + Send)) {
    let Results { items, looped } = results;
    let host = host.name.as_str();
    let shown = |item: &Option<Value>| looped && item.is_some();
    for (item, outcome) in items.iter().filter(|(item, _)| shown(item)) {
        let item = item.as_ref().unwrap_or(&Value::Null);
        tell(&Event::Item { host, item, outcome });
    }
    let all_shown = looped && items.iter().all(|(item, _)| item.is_some());
    let outcome = match items.first() {
        Some((_, outcome)) if !all_shown => outcome.clone(),
        _ => {
            let items: Vec<(Value, Outcome)> =
                items.into_iter().map(|(item, outcome)| (item.unwrap_or_default(), outcome)).collect();
            Outcome::of_items(&items)
        }
    };
    let ignored = outcome.status == Status::Failed && task.ignore_errors;
    tell(&Event::Host { host, outcome: &outcome, looped: all_shown, ignored });
    run.conclude(host, task, &outcome, &task.notify);
}
