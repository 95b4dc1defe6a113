//! The work that a key asks for. It runs beside the screen, and tells the session how it ended.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::journal::Lines;
use super::session::News;
use super::session::Session;
use crate::cli::error::CommandError;
use crate::cli::missed;
use crate::cli::on_machine::unquotable;
use crate::cli::plan;
use crate::cli::unit_commands::LOCK_WAIT;
use crate::cli::unit_commands::errors;
use crate::control::look;
use crate::control::look::Missed;
use crate::control::membership;
use crate::control::membership::Drained;
use crate::control::membership::SchedulingMode;
use crate::control::preview::Planner;
use crate::control::preview::Preview;
use crate::control::problems::Problem;
use crate::control::progress::OnProgress;
use crate::control::progress::Progress;
use crate::control::progress::Timeouts;
use crate::control::unit_output;
use crate::control::verb;
use crate::core::command::UnitCommand;
use crate::core::model::Machine;
use crate::core::model::MachineId;
use crate::core::model::MachineVerb;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;
use crate::core::simulation;
use crate::core::simulation::SimulatedHosts;
use crate::core::unit::UnitName;
use crate::remote::Command;
use crate::remote::Exit;
use crate::runner;
use crate::runner::ClusterContext;
use crate::ui;
use crate::ui::error;
use crate::ui::messages;
use crate::ui::top::Change;
use crate::ui::top::Effect;
use crate::ui::top::Message;

/// How long the end waits until the connections are closed.
pub(super) const CLOSE_LIMIT: Duration = Duration::from_millis(200);

/// How many lines of a journal come first.
const JOURNAL_LINES: u32 = 200;

/// How long a machine has to run nothing before a shell is opened.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);

type Sender = mpsc::Sender<News>;

impl Session<'_> {
    /// Begins the work of an effect.
    pub(super) fn begin(&mut self, effect: Effect) {
        match effect {
            // The session itself does these.
            Effect::Quit | Effect::Redraw => {}
            Effect::Look => {
                tokio::spawn(observe(self.cluster.clone(), self.sender.clone()));
            }
            Effect::Preview(change) => self.plan(move |planner, snapshot, now| {
                preview(planner, snapshot, &change, now).map(|text| Message::Plan(change, text))
            }),
            Effect::WhatIf(machine) => self.plan(move |planner, snapshot, now| {
                let title = format!("if {} died", snapshot.name_of(machine));
                Ok(Message::Text(title, what_if(planner, snapshot, machine, now)))
            }),
            Effect::CarryOut(change) => {
                let timeouts = Timeouts {
                    lock_wait: self.args.lock.wait(&self.context.settings, LOCK_WAIT),
                    wait: None,
                    settle: self.args.settle.time(&self.context.settings),
                    block: true,
                };
                self.changes.spawn(carry_out(self.cluster.clone(), change, timeouts, self.sender.clone()));
            }
            Effect::Follow(number, unit, machine) => self.follow(number, &unit, machine),
            Effect::EndJournal => self.end_journal(),
            Effect::Shell(machine) => self.reach(machine),
        }
    }

    /// Finds something out about the records on a thread of its own: a simulation of many machines takes a while.
    fn plan(
        &mut self,
        find: impl FnOnce(&Planner, &Snapshot, Timestamp) -> Result<Message, CommandError> + Send + 'static,
    ) {
        let planner = match self.planner() {
            Ok(planner) => planner,
            Err(error) => return self.fail("plan", error),
        };
        let (snapshot, now, sender) = (self.snapshot(), self.cluster.clock.now(), self.sender.clone());
        tokio::spawn(async move {
            let found = tokio::task::spawn_blocking(move || find(&planner, &snapshot, now)).await;
            let message = match found {
                Ok(Ok(message)) => message,
                Ok(Err(error)) => failure("this is refused", error),
                Err(error) => failure("plan", CommandError::failed("the simulation failed").caused_by(error)),
            };
            let _ = sender.send(News::Message(message)).await;
        });
    }

    /// Returns the settings of a controller, which are read once.
    fn planner(&mut self) -> Result<Arc<Planner>, CommandError> {
        if let Some(planner) = &self.planner {
            return Ok(Arc::clone(planner));
        }
        let planner = Arc::new(plan::planner(self.context, &self.args.failover)?);
        self.planner = Some(Arc::clone(&planner));
        Ok(planner)
    }

    fn fail(&mut self, what: &str, error: CommandError) {
        let message = failure(what, error);
        self.tell(message);
    }

    /// Follows the journal of a unit.
    fn follow(&mut self, number: u64, unit: &UnitName, machine: MachineId) {
        self.end_journal();
        let snapshot = self.snapshot();
        let Some(machine) = snapshot.machines.get(&machine).cloned() else {
            let end = Some("the machine is not in the cluster any more".to_owned());
            self.tell(Message::Journal(number, Vec::new(), end));
            return;
        };
        let command = match unit_output::journal(unit, JOURNAL_LINES, "short", true) {
            Ok(command) => command,
            Err(error) => return self.fail("journal", unquotable(error)),
        };
        let (cluster, sender) = (self.cluster.clone(), self.sender.clone());
        let task = tokio::spawn(async move {
            let (target, _) = runner::route(&cluster.remote, &snapshot, &machine).await;
            let mut lines = Lines::new(number, sender.clone());
            let end = match cluster.remote.exec(&target, &command, &mut lines).await {
                Ok(Exit::Code(code)) => format!("journalctl has ended with exit code {code}"),
                Ok(Exit::Signal(signal)) => format!("journalctl was ended by signal {signal}"),
                Err(failure) => failure.to_string(),
            };
            let _ = sender.send(News::Message(Message::Journal(number, Vec::new(), Some(end)))).await;
        });
        self.journal = Some(task.abort_handle());
    }

    fn end_journal(&mut self) {
        if let Some(task) = self.journal.take() {
            task.abort();
        }
    }

    /// Connects to a machine. The screen stays meanwhile, so that the operator sees a failure there.
    fn reach(&mut self, machine: MachineId) {
        let snapshot = self.snapshot();
        let Some(machine) = snapshot.machines.get(&machine).cloned() else { return };
        self.tell(Message::Notice(format!("connecting to {}…", machine.name)));
        let (cluster, sender) = (self.cluster.clone(), self.sender.clone());
        tokio::spawn(async move {
            let (target, _) = runner::route(&cluster.remote, &snapshot, &machine).await;
            let nothing = Command { script: ":".to_owned(), limit: Some(ANSWER_LIMIT), ..Command::default() };
            let mut ignored = Lines::new(0, sender.clone());
            let news = match cluster.remote.exec(&target, &nothing, &mut ignored).await {
                Ok(_) => News::Reached(Box::new(target)),
                Err(error) => News::Message(failure(&format!("shell on {}", machine.name), error.into())),
            };
            let _ = sender.send(news).await;
        });
    }
}

/// Returns the message about an error.
fn failure(what: &str, failed: CommandError) -> Message {
    Message::Text(what.to_owned(), error::text(&[failed], false))
}

/// Observes the machines as the lists do.
async fn observe(cluster: ClusterContext, sender: Sender) {
    let news = match look::look(&cluster).await {
        Ok(look) => {
            let missed: Vec<&Missed> = look.missed.iter().collect();
            let warnings = missed::warnings(&look, &missed, cluster.clock.now());
            let hints = missed::hints(&look, &missed).into_iter();
            let said: Vec<String> = warnings.into_iter().chain(hints).collect();
            let told = if said.is_empty() {
                Message::Notice("every machine was observed".to_owned())
            } else {
                Message::Text("not observed".to_owned(), said.join("\n"))
            };
            let _ = sender.send(News::Looked(Box::new(look.snapshot))).await;
            News::Message(told)
        }
        Err(error) => News::Message(failure("observe the machines", error.into())),
    };
    let _ = sender.send(news).await;
}

/// Says what a change would do.
fn preview(planner: &Planner, snapshot: &Snapshot, change: &Change, now: Timestamp) -> Result<String, CommandError> {
    let preview = match change {
        Change::Unit(verb, unit) => planner.unit(snapshot, *verb, unit, now)?,
        Change::Machine(verb, machine) => planner.machine(snapshot, mode(*verb), *machine, now),
    };
    let Preview { snapshot: changed, warnings, simulation, refused, .. } = preview;
    let warnings = warnings.iter().map(|warning| format!("{warning}\n"));
    let refused = refused.iter().map(|(unit, why)| ui::plan::unschedulable(unit, why));
    let followed = ui::plan::text(&changed, &simulation);
    let text = [warnings.collect(), followed, refused.collect()].concat();
    Ok(if text.is_empty() { "No unit would be moved, started or stopped because of this.\n".to_owned() } else { text })
}

/// Says what would follow if a machine died.
fn what_if(planner: &Planner, snapshot: &Snapshot, machine: MachineId, now: Timestamp) -> String {
    let (mut reconciler, mut hosts) = (planner.reconciler(snapshot), SimulatedHosts::of(snapshot, [machine]));
    let simulation = simulation::simulate(&mut reconciler, &mut hosts, now);
    plan::simulated_text(snapshot, &reconciler, &simulation, &[machine])
}

/// Carries a change out as the command of the same name does.
async fn carry_out(cluster: ClusterContext, change: Change, timeouts: Timeouts, sender: Sender) {
    let told = sender.clone();
    let mut on_progress = |progress: Progress<'_>| {
        // The screen shows the last of them.
        let _ = told.try_send(News::Message(Message::Notice(text(&progress))));
    };
    let (title, done) = match &change {
        Change::Unit(verb, unit) => {
            let commands = [UnitCommand::new(*verb, unit.clone())];
            let done = verb::execute(&cluster, *verb, &commands, timeouts, &mut on_progress).await;
            (format!("{verb} {unit}"), done.map(|problems| (problems, None)).map_err(CommandError::from))
        }
        Change::Machine(verb, machine) => {
            let done = set_mode(&cluster, *verb, *machine, timeouts, &mut on_progress).await;
            (format!("{verb} {machine}"), done.map(|(problems, said)| (problems, Some(said))))
        }
    };
    let message = match done {
        Ok((problems, said)) if problems.is_empty() => said.map(Message::Notice),
        Ok((problems, _)) => Some(Message::Text(title, error::text(&errors(&problems), false))),
        Err(error) => Some(failure(&title, error)),
    };
    if let Some(message) = message {
        let _ = sender.send(News::Message(message)).await;
    }
}

/// Returns whether a machine takes units after a verb.
const fn mode(verb: MachineVerb) -> SchedulingMode {
    match verb {
        MachineVerb::Drain | MachineVerb::Leave => SchedulingMode::Drained(None),
        MachineVerb::Uncordon | MachineVerb::Join => SchedulingMode::Open,
        MachineVerb::Cordon => SchedulingMode::Cordoned,
    }
}

/// Sets whether a machine takes units. Returns the problems that remain, and what was done.
async fn set_mode(
    cluster: &ClusterContext,
    verb: MachineVerb,
    machine: MachineId,
    timeouts: Timeouts,
    on_progress: &mut OnProgress<'_>,
) -> Result<(Vec<Problem>, String), CommandError> {
    let name = machine.to_string();
    if matches!(mode(verb), SchedulingMode::Drained(_)) {
        let drained = Box::pin(membership::drain(cluster, &name, None, timeouts, on_progress)).await?;
        let Drained { machine, problems, is_empty } = drained;
        return Ok((problems, messages::drained(&machine, is_empty, cluster.clock.now())));
    }
    let changed: Machine = membership::set_scheduling_mode(cluster, &name, mode(verb)).await?;
    Ok((Vec::new(), messages::cordoned(&changed, changed.cordoned)))
}

/// Returns one line about the progress of a change.
fn text(progress: &Progress<'_>) -> String {
    match progress {
        Progress::Warning(text) => (*text).to_owned(),
        Progress::Event(snapshot, event) => ui::line(snapshot, event),
        Progress::Triggered(unit, verb, is_global) => messages::triggered(unit, *verb, *is_global),
        Progress::Reached(unit, state, machine) => messages::reached(unit, *state, *machine),
        Progress::Destroyed(unit) => messages::destroyed(unit),
    }
}
