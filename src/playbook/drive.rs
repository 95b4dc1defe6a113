//! Running a playbook: the shell that carries out what [`super::run`] says comes next.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;

use super::action::Action;
use super::ask;
use super::ask::Asked;
use super::ask::outcome_of;
use super::become_root;
use super::cluster::Cluster;
use super::cluster::JoinOrder;
use super::lines::Event;
use super::magic;
use super::outcome::Outcome;
use super::outcome::Status;
use super::play::Play;
use super::play::Playbook;
use super::play::Task;
use super::reach::Reach;
use super::run::Next;
use super::run::Run;
use super::template::Layer;
use super::template::Scope;
use super::turn::Ended;
use super::turn::Turn;
use super::turn::turns;
use crate::inventory::Host;
use crate::inventory::Inventory;
use crate::inventory::Vars;
use crate::inventory::fault::Place;
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
    /// The cluster, if the playbook requirements it for anything.
    pub cluster: Option<&'a dyn Cluster>,
    /// Variables that win over all others (`-e`).
    pub extra: Vars,
    /// Only say what would be done.
    pub check: bool,
    /// How many hosts at once.
    pub forks: usize,
}

/// A playbook under way: what is known while it runs.
struct Course<'a, 't> {
    run: Run<'a>,
    /// The variables that are the same for every host of the batch.
    batch: Arc<Vars>,
    /// What each task asked the cluster for, in all batches so far.
    asked: BTreeMap<Place, Asked>,
    tell: &'t mut (dyn FnMut(&Event<'_>) + Send),
}

/// A task's way through a host: what it comes to there, and how to reach it.
struct Trip<'h> {
    host: &'h Host,
    turns: Vec<Turn>,
    root: Result<bool, String>,
}

impl Crew<'_> {
    /// Runs the plays, each for its hosts, tells what happens, and returns the exit code.
    pub async fn play(
        &self,
        playbook: &Playbook,
        hosts: Vec<Vec<String>>,
        tell: &mut (dyn FnMut(&Event<'_>) + Send),
    ) -> u8 {
        let folder = playbook.folder();
        let run = Run::new(playbook.plays.iter().zip(hosts));
        let mut course = Course { run, batch: Arc::default(), asked: BTreeMap::new(), tell };
        loop {
            match course.run.proceed() {
                Next::End => break,
                Next::Play(play, hosts) => {
                    (course.tell)(&Event::Play(&self.title(play)));
                    if hosts.is_empty() {
                        (course.tell)(&Event::NoHosts);
                    }
                    course.batch = self.batch(playbook, &hosts);
                }
                Next::Task(play, task, hosts) => self.task(&mut course, (play, task, hosts), folder, false).await,
                Next::Handler(play, task, hosts) => self.task(&mut course, (play, task, hosts), folder, true).await,
            }
        }
        (course.tell)(&Event::Recap(course.run.tallies()));
        course.run.exit_code()
    }

    /// Looks whether we would have to become somebody on a host whom we cannot become, and says on which host and whom.
    pub fn check_become(&self, playbook: &Playbook, hosts: &[Vec<String>]) -> Result<(), String> {
        for (play, names) in playbook.plays.iter().zip(hosts) {
            let mut tasks =
                play.tasks.iter().chain(&play.handlers).filter(|task| !task.kind.is_for_cluster()).peekable();
            if tasks.peek().is_none() {
                continue;
            }
            let said = tasks.any(|task| task.root.unwrap_or(play.root));
            let batch = self.batch(playbook, names);
            for host in names.iter().filter_map(|name| self.inventory.hosts.get(name)) {
                let scope = self.scope(&batch, play, &Vars::new(), host, Arc::default());
                become_root::wanted(&scope, said).map_err(|why| format!("host {}: {why}", host.name))?;
            }
        }
        Ok(())
    }

    fn title(&self, play: &Play) -> String {
        let layers = [&play.vars, &self.extra].map(|vars| Layer::written(Arc::new(vars.clone())));
        Scope::new(layers.to_vec()).text(&play.name).unwrap_or_else(|_| play.name.clone())
    }

    /// Returns the variables that are the same for every host of a batch.
    fn batch(&self, playbook: &Playbook, hosts: &[String]) -> Arc<Vars> {
        let mut vars = magic::of_all(self.inventory);
        vars.insert("playbook_dir".to_owned(), playbook.folder().display().to_string().into());
        vars.insert("ansible_check_mode".to_owned(), self.check.into());
        vars.insert("ansible_play_hosts".to_owned(), hosts.into());
        vars.insert("play_hosts".to_owned(), hosts.into());
        Arc::new(vars)
    }

    /// Returns what a host's templates see: magic < inventory < play < task < registered < `-e`.
    fn scope(&self, batch: &Arc<Vars>, play: &Play, task: &Vars, host: &Host, registered: Arc<Vars>) -> Scope {
        Scope::new(vec![
            Layer::data(Arc::clone(batch)),
            Layer::written(Arc::new(host.vars.clone())),
            Layer::written(Arc::new(play.vars.clone())),
            Layer::written(Arc::new(task.clone())),
            Layer::data(registered),
            Layer::written(Arc::new(self.extra.clone())),
            Layer::data(Arc::new(magic::of_host(host))),
        ])
    }

    async fn task(
        &self,
        course: &mut Course<'_, '_>,
        (play, task, names): (&Play, &Task, Vec<String>),
        folder: &Path,
        handler: bool,
    ) {
        let hosts: Vec<&Host> = names.iter().filter_map(|name| self.inventory.hosts.get(name)).collect();
        let scope = |host: &&Host| self.scope(&course.batch, play, &task.vars, host, course.run.registered(&host.name));
        let scopes: Vec<Scope> = hosts.iter().map(scope).collect();
        let title = scopes.first().and_then(|scope| scope.text(&task.name).ok());
        let title = title.as_ref().unwrap_or(&task.name);
        (course.tell)(&if handler { Event::Handler(title) } else { Event::Task(title) });
        let said = task.root.unwrap_or(play.root);
        let trips = hosts.into_iter().zip(scopes).map(|(host, scope)| Trip {
            host,
            turns: turns(task, &scope, folder),
            root: become_root::wanted(&scope, said),
        });
        if task.kind.is_for_cluster() {
            for (trip, outcomes) in self.ask_cluster(course, task, trips.collect()).await {
                course.conclude(play, task, trip, outcomes);
            }
            return;
        }
        let mut under_way = stream::iter(trips.map(|trip| self.go(task, trip))).buffer_unordered(self.forks.max(1));
        while let Some((trip, outcomes)) = under_way.next().await {
            course.conclude(play, task, trip, outcomes);
        }
    }

    /// Says whether a task is only to say what it would do.
    fn checks(&self, task: &Task) -> bool {
        task.check.unwrap_or(self.check)
    }

    /// Carries out a host's turns, one after the other; there may be fewer outcomes than turns.
    async fn go<'h>(&self, task: &Task, trip: Trip<'h>) -> (Trip<'h>, Vec<Outcome>) {
        let mut outcomes = Vec::new();
        for turn in &trip.turns {
            let outcome = match &turn.state {
                Ok(action) => self.act(task, &trip, action).await,
                Err(outcome) => outcome.clone(),
            };
            let lost = outcome.status == Status::Unreachable;
            outcomes.push(outcome);
            if lost {
                break;
            }
        }
        (trip, outcomes)
    }

    async fn act(&self, task: &Task, trip: &Trip<'_>, action: &Action) -> Outcome {
        let Some(target) = self.targets.get(&trip.host.name) else {
            return Outcome::failed("it is not known how to reach the host");
        };
        let root = match &trip.root {
            Ok(root) => *root,
            Err(why) => return Outcome::failed(why.clone()),
        };
        let reach = Reach { remote: self.remote, target, root, check: self.checks(task) };
        match action {
            Action::Command(command) => reach.command(command).await,
            Action::File(file) => reach.file(file).await,
            Action::Wait(wait) => reach.wait(wait).await,
            Action::Unit(_) | Action::Join => Outcome::failed("it is the cluster that is asked for this"),
        }
    }

    /// Asks the cluster for all hosts' units (or for all hosts) at once.
    async fn ask_cluster<'h>(
        &self,
        course: &mut Course<'_, '_>,
        task: &Task,
        trips: Vec<Trip<'h>>,
    ) -> Vec<(Trip<'h>, Vec<Outcome>)> {
        let (mut made, mut joined) = (BTreeMap::new(), BTreeMap::new());
        let orders: BTreeMap<&str, Result<JoinOrder, String>> = trips
            .iter()
            .filter(|trip| trip.turns.iter().any(|turn| matches!(turn.state, Ok(Action::Join))))
            .map(|trip| (trip.host.name.as_str(), self.join_order(trip.host)))
            .collect();
        if let Some(cluster) = self.cluster {
            let turns = trips.iter().flat_map(|trip| trip.turns.iter().map(|turn| (trip.host, turn)));
            let asked = course.asked.entry(task.at).or_default();
            made = ask::units(cluster, turns, asked, self.checks(task)).await;
            joined = ask::join(cluster, orders.values().flatten().cloned().collect(), self.checks(task)).await;
        }
        let end = |host: &Host, turn: &Turn| match &turn.state {
            Ok(Action::Unit(order)) => outcome_of(made.get(&order.name)),
            Ok(Action::Join) => match orders.get(host.name.as_str()) {
                Some(Err(why)) => Outcome::failed(why.clone()),
                _ => outcome_of(joined.get(&host.name)),
            },
            Ok(_) => Outcome::failed("it is the host that is asked for this"),
            Err(outcome) => outcome.clone(),
        };
        let ended = trips.iter().map(|trip| trip.turns.iter().map(|turn| end(trip.host, turn)).collect());
        let ended: Vec<Vec<Outcome>> = ended.collect();
        trips.into_iter().zip(ended).collect()
    }

    fn join_order(&self, host: &Host) -> Result<JoinOrder, String> {
        let target = self.targets.get(&host.name).ok_or("it is not known how to reach the host")?;
        let metadata = host.metadata().map_err(|error| error.to_string())?;
        let fence_command = host.fence_command().map_err(|error| error.to_string())?;
        Ok(JoinOrder { target: target.clone(), metadata, fence_command })
    }
}

impl Course<'_, '_> {
    /// Tells how a task ended on a host, and notes it.
    fn conclude(&mut self, play: &Play, task: &Task, trip: Trip<'_>, outcomes: Vec<Outcome>) {
        let host = trip.host.name.as_str();
        let ends = trip.turns.into_iter().zip(outcomes).map(|(turn, outcome)| turn.end(task, &play.handlers, outcome));
        let mut ends: Vec<Ended> = ends.collect();
        let notify: Vec<String> = ends.iter_mut().flat_map(|ended| std::mem::take(&mut ended.notify)).collect();
        for ended in &ends {
            if let Some(item) = &ended.item {
                (self.tell)(&Event::Item { host, item, outcome: &ended.outcome });
            }
        }
        // A loop whose list cannot be had has ended once, without an item.
        let looped = task.items.is_some() && ends.iter().all(|ended| ended.item.is_some());
        let outcome = if looped {
            let items = ends.into_iter().map(|ended| (ended.item.unwrap_or_default(), ended.outcome));
            Outcome::of_items(&items.collect::<Vec<_>>())
        } else {
            ends.into_iter().next().map_or_else(Outcome::skipped, |ended| ended.outcome)
        };
        let ignored = outcome.status == Status::Failed && task.ignore_errors;
        (self.tell)(&Event::Host { host, outcome: &outcome, looped, ignored });
        self.run.conclude(host, task, &outcome, &notify);
    }
}
