//! The loop of a run: inputs go into the reconciler, its outputs are carried out, until the stop condition is met.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::context::RunContext;
use super::fence::FenceCommands;
use super::in_flight::InFlight;
use super::supervision::Supervision;
use super::supervision::next_settings;
use super::turn;
use super::turn::TurnTimer;
use crate::core::model::Event;
use crate::core::model::MachineId;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;
use crate::core::model::Write;
use crate::core::reconcile::Input;
use crate::core::reconcile::Output;
use crate::core::reconcile::Reconciler;
use crate::store::StoreError;
use crate::store::follow::Follower;
use crate::store::follow::Update;
use crate::store::layout;
use crate::store::layout::EVENTS_KEPT;
use crate::store::layout::Keyspace;

/// How many events a run logs before it prunes the event log.
const EVENTS_BETWEEN_PRUNES: usize = 300;

/// How long a run that was told to stop waits for the visits and the commit in flight.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// When a run ends.
#[derive(Debug, Clone)]
pub enum StopCondition {
    /// The reconciler has nothing left to do, and systemd changes no unit any more.
    Settled {
        /// How long units may take to start or to stop.
        limit: Duration,
        /// For how long units that were started are observed afterwards.
        watch: Duration,
        /// Set if the run also waits for the images that hosts pull. Their time does not count for the limit.
        pulls: bool,
    },
    /// As [`Self::Settled`], and the machine has none of the units left or had this long to get rid of them.
    Emptied {
        /// The machine.
        machine: MachineId,
        /// How long it has.
        limit: Duration,
        /// For how long units that were started are observed afterwards.
        watch: Duration,
    },
    /// Never: the run goes on until it is stopped.
    Stopped,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunOutcome {
    /// The stop condition was met.
    Finished,
    /// The operator stopped it.
    Stopped,
    /// Its deadline came first.
    TimedOut,
    /// Another process leads now.
    Deposed,
}

/// Receives each event as it is logged, with the snapshot of that moment.
pub type OnEvent<'a> = dyn FnMut(&Snapshot, &Event) + Send + 'a;

/// Runs a reconciler until the stop condition is met. `on_event` receives each event once the store has it; not those of a
/// leader that was deposed, which no log has.
///
/// # Errors
/// The store failed. Steps that were sent to hosts take effect, and the next run observes their outcome. Failures of
/// hosts are no errors of the run; the reconciler holds them.
pub async fn run(
    reconciler: &mut Reconciler,
    context: &RunContext,
    mut follower: Option<Follower>,
    stop_when: StopCondition,
    on_event: &mut OnEvent<'_>,
) -> Result<RunOutcome, StoreError> {
    let mut runner = Runner::new(context);
    let mut inputs = vec![Input::Tick];
    loop {
        for output in runner.reconcile(reconciler, inputs) {
            if !runner.carry_out(reconciler.snapshot(), output) {
                tracing::debug!(epoch = context.leadership.epoch(), "leadership lost");
                return Ok(RunOutcome::Deposed);
            }
        }
        if let Some(supervision) = &runner.supervision {
            supervision.pulse.observe(reconciler.snapshot());
        }
        if follower.is_some() {
            runner.warn_of_unreadable(reconciler.snapshot());
        }
        if runner.is_stopped(reconciler) {
            // Whether the store takes the commit in flight is not known.
            runner.committed.append(&mut runner.logging);
            runner.tell(reconciler.snapshot(), on_event);
            return Ok(if runner.is_over { RunOutcome::TimedOut } else { RunOutcome::Stopped });
        }
        if runner.is_finished(reconciler, &stop_when) {
            return Ok(RunOutcome::Finished);
        }
        let waited = runner.wait(reconciler, follower.as_mut()).await;
        runner.tell(reconciler.snapshot(), on_event);
        inputs = waited?;
        inputs.extend(runner.in_flight.ready());
    }
}

type Commit = Pin<Box<dyn Future<Output = Result<bool, StoreError>> + Send>>;

/// The visits and the commit in flight.
struct Runner<'a> {
    context: &'a RunContext,
    supervision: Option<Supervision>,
    fence_commands: Arc<FenceCommands>,
    in_flight: InFlight,
    commit: Option<Commit>,
    /// The events of the commit in flight.
    logging: Vec<Event>,
    /// The events that the store has, and that are still to be told.
    committed: Vec<Event>,
    timer: TurnTimer,
    /// Set for a turn before which this process stood still.
    stalled: bool,
    /// Since when the reconciler has had nothing left to do.
    idle_since: Option<Instant>,
    /// Since when systemd has changed no unit; `None` while it changes one.
    calm_since: Option<Timestamp>,
    /// Set once a visit has started a unit.
    started: bool,
    /// Set once the reconciler has been told to stop: until when the run waits for the visits and the commit in flight.
    stop_by: Option<Instant>,
    /// Set once the deadline has come: the run waits for no visit any more.
    is_over: bool,
    /// How many events were logged since the event log was pruned.
    logged: usize,
    /// The keys of the unreadable records of which a warning was given.
    warned_of: BTreeSet<String>,
}

impl<'a> Runner<'a> {
    fn new(context: &'a RunContext) -> Self {
        let supervision = context.supervision.clone();
        let mut in_flight = InFlight::new(context.remote.clone()).with_secrets(context.secrets.clone());
        if let Some(supervision) = &supervision {
            in_flight = in_flight.with_instruments(supervision.pulse.instruments().clone(), context.clock);
        }
        let timer = TurnTimer::new(supervision.as_ref().map(|it| it.pulse.clone()).unwrap_or_default());
        Self {
            context,
            supervision,
            fence_commands: context.fence_commands.clone(),
            in_flight,
            commit: None,
            logging: Vec::new(),
            committed: Vec::new(),
            timer,
            stalled: false,
            idle_since: None,
            calm_since: None,
            started: false,
            stop_by: None,
            is_over: false,
            logged: 0,
            warned_of: BTreeSet::new(),
        }
    }

    /// Warns once of each record that cannot be read. Nothing is decided from such a record.
    fn warn_of_unreadable(&mut self, snapshot: &Snapshot) {
        if snapshot.unreadable.is_empty() && self.warned_of.is_empty() {
            return;
        }
        self.warned_of.retain(|key| snapshot.unreadable.contains_key(key));
        for (key, record) in &snapshot.unreadable {
            if self.warned_of.insert(key.clone()) {
                tracing::warn!("{}", record.message(key));
            }
        }
    }

    /// Hands inputs to the reconciler and returns its outputs.
    fn reconcile(&self, reconciler: &mut Reconciler, inputs: Vec<Input>) -> Vec<Output> {
        let (outputs, took) = turn::reconcile(reconciler, inputs, self.context.clock.now());
        if let Some(supervision) = &self.supervision {
            supervision.pulse.instruments().decided(took);
        }
        outputs
    }

    /// Carries out one output. Reports whether this process still leads.
    fn carry_out(&mut self, snapshot: &Snapshot, output: Output) -> bool {
        match output {
            Output::Deposed => return false,
            Output::Commit(writes) => self.commit(&writes),
            Output::Visit { machine, visit, quick, through } => {
                self.started |= visit.steps.iter().any(|step| step.action.starts());
                self.in_flight.visit(snapshot, machine, *visit, quick, through);
            }
            Output::Probe { machine, peer } => self.in_flight.probe(snapshot, machine, peer),
            Output::Leave(machine) => self.in_flight.leave(machine),
            // Another process may lead since the store took the commit that the fencing depends on. The clock by which
            // leadership expires does not count the time in which this machine was suspended.
            Output::Fence(_) if self.stalled || !self.context.leadership.is_valid() => return false,
            Output::Fence(machine) => self.in_flight.fence(snapshot, machine, &self.fence_commands),
        }
        true
    }

    /// Tells the events that the store has.
    fn tell(&mut self, snapshot: &Snapshot, on_event: &mut OnEvent<'_>) {
        for event in self.committed.drain(..) {
            on_event(snapshot, &event);
        }
    }

    fn commit(&mut self, writes: &[Write]) {
        let events = writes.iter().filter_map(|write| if let Write::Log(event) = write { Some(event) } else { None });
        self.logging = events.cloned().collect();
        self.logged += self.logging.len();
        let keys = self.context.keys.clone();
        let leadership = self.context.leadership.clone();
        let changes = keys.ops(writes);
        let instruments = self.supervision.as_ref().map(|it| it.pulse.instruments().clone());
        let prune = self.logged >= EVENTS_BETWEEN_PRUNES;
        self.logged = if prune { 0 } else { self.logged };
        self.commit = Some(Box::pin(async move {
            let (began, writes) = (Instant::now(), changes.len());
            let committed = leadership.commit(changes).await;
            tracing::debug!(writes, took = ?began.elapsed(), ?committed, "commit");
            if let Some(instruments) = instruments {
                instruments.committed(began.elapsed());
            }
            Ok(committed? && (!prune || leadership.prune_events(&keys, EVENTS_KEPT).await?))
        }));
    }

    /// Reports whether the run was told to stop and has nothing left to wait for. Leases are not renewed meanwhile, so
    /// the wait is bounded: another process may have to lead soon, and hosts finish the steps that they have received.
    fn is_stopped(&self, reconciler: &Reconciler) -> bool {
        let Some(by) = self.stop_by else { return false };
        let waits = self.commit.is_some() || !self.is_over && reconciler.is_acting();
        !waits || Instant::now() >= by
    }

    /// Reports whether the stop condition is met.
    fn is_finished(&mut self, reconciler: &Reconciler, stop_when: &StopCondition) -> bool {
        let changing = reconciler.is_changing();
        let (limit, waits, watch, pulls) = match *stop_when {
            StopCondition::Settled { limit, watch, pulls } => (limit, changing, watch, pulls),
            StopCondition::Emptied { machine, limit, watch } => {
                (limit, changing || reconciler.is_occupied(machine), watch, true)
            }
            StopCondition::Stopped => return false,
        };
        if pulls && reconciler.is_pulling() {
            (self.calm_since, self.idle_since) = (None, None);
            return false;
        }
        self.calm_since = if changing { None } else { self.calm_since.or_else(|| Some(self.context.clock.now())) };
        if self.commit.is_some() || !reconciler.is_settled() {
            return false;
        }
        let since = *self.idle_since.get_or_insert_with(Instant::now);
        if waits {
            return since.elapsed() >= limit;
        }
        let watched = self.calm_since.is_some_and(|since| reconciler.was_observed_since(since + watch));
        !self.started || watch.is_zero() || watched
    }

    /// Waits for the inputs of the next turn.
    async fn wait(
        &mut self,
        reconciler: &mut Reconciler,
        follower: Option<&mut Follower>,
    ) -> Result<Vec<Input>, StoreError> {
        let Self { context, supervision, fence_commands, in_flight, commit, stop_by, is_over, timer, .. } = self;
        let (logging, told) = (&mut self.logging, &mut self.committed);
        let wake = stop_by.or_else(|| reconciler.wake_at().map(|at| context.clock.instant(at)));
        let input = async {
            tokio::select! {
                committed = next_commit(commit) => {
                    *commit = None;
                    // A store that failed may have the events, and the steps have ended in any case.
                    if !matches!(committed, Ok(false)) {
                        told.append(logging);
                    }
                    committed.map(Input::Committed)
                }
                input = in_flight.next() => Ok(input),
                update = next_update(follower) => Ok(learn(reconciler, &context.keys, update)),
                settings = next_settings(supervision.as_mut()) => {
                    settings.apply(reconciler);
                    *fence_commands = settings.fence_commands;
                    Ok(Input::Tick)
                }
                () = context.stop.cancelled(), if stop_by.is_none() => {
                    *stop_by = Some(Instant::now() + STOP_TIMEOUT);
                    Ok(Input::Stop)
                }
                () = turn::sleep_until(context.deadline), if stop_by.is_none() => {
                    (*stop_by, *is_over) = (Some(Instant::now() + STOP_TIMEOUT), true);
                    Ok(Input::Stop)
                }
                () = context.leadership.wait_until_lost() => Ok(Input::Lost),
            }
        };
        let woken = timer.wait(wake, input).await.transpose()?;
        self.stalled = woken.stalled.is_some();
        Ok(woken.inputs().collect())
    }
}

/// Hands the records that other processes wrote to the reconciler. Records that only a leader writes are left out: the
/// reconciler knew them first, and the store's version may be older.
fn learn(reconciler: &mut Reconciler, keys: &Keyspace, update: Update) -> Input {
    match update {
        Update::Reset(listing) => {
            let fresh = layout::snapshot(keys, &listing);
            reconciler.learn(|known| known.renew(fresh));
        }
        Update::Events(mut changes) => {
            changes.retain(|changed| !keys.is_written_by_leader(changed.key()) || keys.has_left(changed));
            if !changes.is_empty() {
                reconciler.learn(|known| layout::apply(known, keys, &changes));
            }
        }
        // The snapshot stays true until the leadership expires.
        Update::Unavailable(_) => {}
    }
    Input::Tick
}

/// Waits for the commit in flight; forever if there is none.
async fn next_commit(commit: &mut Option<Commit>) -> Result<bool, StoreError> {
    match commit {
        Some(commit) => commit.await,
        None => std::future::pending().await,
    }
}

/// Waits for changes by other processes; forever without a follower.
async fn next_update(follower: Option<&mut Follower>) -> Update {
    match follower {
        Some(follower) => follower.next().await,
        None => std::future::pending().await,
    }
}
