//! The sweep: observe every machine once, repair what can be repaired, and report the problems that remain.
//!
//! While a controller leads, the controller repairs. The sweep then only reports the problems that the store shows.

use std::time::Duration;

use tokio::time::Instant;

use super::leadership::controller_due;
use super::leadership::yield_to_controller;
use super::problems::Problem;
use super::problems::out_of_reach;
use super::problems::problems;
use super::problems::stored_problems;
use crate::core::explain;
use crate::core::explain::NotRunning;
use crate::core::explain::TroubleKind;
use crate::core::health::failover::FailoverPolicy;
use crate::core::model::Event;
use crate::core::model::FailureKind;
use crate::core::model::Health;
use crate::core::model::Machine;
use crate::core::model::MachineId;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;
use crate::core::model::Unreadable;
use crate::core::reconcile::Reconciler;
use crate::core::reconcile::Timing;
use crate::core::reconcile::assignments::Scope;
use crate::core::reconcile::machine_view::MachineView;
use crate::core::unit::UnitName;
use crate::runner;
use crate::runner::ClusterContext;
use crate::runner::OnEvent;
use crate::runner::RunContext;
use crate::runner::RunOutcome;
use crate::runner::StopCondition;
use crate::store::StoreError;
use crate::store::follow::Follower;
use crate::store::follow::Update;
use crate::store::layout;
use crate::store::layout::EVENTS_KEPT;
use crate::store::leader_election;
use crate::store::leader_election::LeaderKind;
use crate::store::leader_election::LeaderRecord;
use crate::store::leader_election::Leadership;

/// How long a sweep may take. It ends then, whatever hosts do, so that other commands can lead.
const LIMIT: Duration = Duration::from_mins(10);

/// How old observations may be for a sweep to trust them, beside a controller that leads: it publishes them every 2 s.
const TRUSTED: Duration = leader_election::LEASE_DURATION;

/// How a sweep works and how long it waits.
#[derive(Debug, Clone, Copy)]
pub struct SweepOptions {
    /// How long machines may be silent, and which leases are granted.
    pub timing: Timing,
    /// How long units that were started may take to settle.
    pub settle: Duration,
    /// How long to wait for leadership.
    pub lock_wait: Duration,
}

/// What a sweep leaves.
#[derive(Debug)]
pub struct Swept {
    /// The problems that remain.
    pub problems: Vec<Problem>,
    /// The records of the cluster at its end.
    pub snapshot: Box<Snapshot>,
    /// Set if the sweep has led. Otherwise a controller leads, and sends the alerts.
    pub has_led: bool,
}

/// The outcome of a sweep.
#[derive(Debug)]
pub enum SweepResult {
    /// Every machine was observed.
    Found(Swept),
    /// No machine has joined. The sweep may have been given the wrong store or token.
    NoMachines,
    /// No machine let muster in. The fault is probably on this side.
    NothingReachable(Swept),
    /// Another command or sweep leads. Nothing was done.
    Busy(LeaderRecord),
    /// Another process took leadership during the sweep, and goes on.
    Deposed,
    /// The operator interrupted the sweep. The next reconcile repairs the rest.
    Stopped,
}

impl SweepResult {
    /// Makes the result from the problems, the records and, for each machine, whether it let muster in.
    fn of(problems: Vec<Problem>, snapshot: Snapshot, reached: &[bool], has_led: bool) -> Self {
        let swept = Swept { problems, snapshot: Box::new(snapshot), has_led };
        match reached {
            [] => Self::NoMachines,
            reached if reached.contains(&true) => Self::Found(swept),
            _ => Self::NothingReachable(swept),
        }
    }
}

/// Runs one sweep.
pub async fn sweep(
    context: &ClusterContext,
    options: SweepOptions,
    failover_policy: FailoverPolicy,
    on_event: &mut OnEvent<'_>,
) -> Result<SweepResult, StoreError> {
    let mut yielded = false;
    loop {
        let taken =
            leader_election::campaign(&context.store, &context.keys, LeaderKind::Sweep, options.lock_wait).await?;
        let leadership = match taken {
            Ok(leadership) => leadership,
            Err(holder) if holder.kind == LeaderKind::Controller => {
                return problems_from_store(context, options, holder.elsewhere()).await;
            }
            Err(holder) => return Ok(SweepResult::Busy(holder)),
        };
        let snapshot = layout::read(&*context.store, &context.keys).await?;
        if let Some(limit) = controller_due(&snapshot, context.clock.now())
            && !std::mem::replace(&mut yielded, true)
        {
            yield_to_controller(context, leadership, limit).await?;
            continue;
        }
        return lead(context, leadership, snapshot, options, failover_policy, on_event).await;
    }
}

/// Runs one sweep as the leader.
async fn lead(
    context: &ClusterContext,
    leadership: Leadership,
    snapshot: Snapshot,
    options: SweepOptions,
    failover_policy: FailoverPolicy,
    on_event: &mut OnEvent<'_>,
) -> Result<SweepResult, StoreError> {
    let mut reconciler =
        Reconciler::new(leadership.epoch(), Scope::All, options.timing, snapshot).with_failover_policy(failover_policy);
    reconciler = reconciler.with_fence_commands(context.fence_commands.machines()).with_publication();
    let _wait = tracing::info_span!("wait", what = "the machines and their units");
    let deadline = Some(Instant::now() + LIMIT);
    let run_context = RunContext { deadline, ..RunContext::new(context, leadership) };
    // Other commands can lead while hosts pull images. The next sweep loads the units.
    let stop_when = StopCondition::Settled { limit: options.settle, watch: Duration::ZERO, pulls: false };
    let ended = Box::pin(runner::run(&mut reconciler, &run_context, None, stop_when, on_event)).await;
    if matches!(ended, Ok(RunOutcome::Finished))
        && let Err(error) = run_context.leadership.prune_events(&run_context.keys, EVENTS_KEPT).await
    {
        // The sweep itself is complete, and the next one prunes the log.
        tracing::warn!("the event log was not pruned: {error}");
    }
    run_context.leadership.resign().await;
    let is_late = match ended? {
        RunOutcome::Finished => false,
        RunOutcome::TimedOut => true,
        RunOutcome::Deposed => return Ok(SweepResult::Deposed),
        RunOutcome::Stopped => return Ok(SweepResult::Stopped),
    };
    let problems = remaining(&reconciler).into_iter().chain(is_late.then(unsettled)).collect();
    let reached: Vec<bool> = reconciler.views().map(|(_, view)| was_reached(view)).collect();
    Ok(SweepResult::of(problems, reconciler.into_snapshot(), &reached, true))
}

/// Returns the problem of a sweep that did not come to an end.
fn unsettled() -> Problem {
    let what =
        format!("the cluster did not settle within {} minutes: the sweep ended before that", LIMIT.as_secs() / 60);
    Problem::general(TroubleKind::Unsettled, what)
}

/// Reads the problems from the records of the controller that leads, after a short wait for the work that it has begun.
async fn problems_from_store(
    context: &ClusterContext,
    options: SweepOptions,
    elsewhere: Option<&str>,
) -> Result<SweepResult, StoreError> {
    let _wait = tracing::info_span!("wait", what = "the controller");
    let mut follower = Follower::new(context.store.clone(), context.keys.prefixes());
    let mut known: Option<Snapshot> = None;
    let mut events = Vec::new();
    let began = Instant::now();
    loop {
        let mut enough = None;
        if let Some(snapshot) = &known {
            let now = context.clock.now();
            let causes = explain::units_not_running(snapshot, now);
            if causes.iter().any(|(_, _, cause)| cause.asks_for_events()) {
                events = layout::read_events(&*context.store, &context.keys).await?;
            }
            enough = Some(began + time_for_work(snapshot, causes, &events, options, now));
        }
        let update = tokio::select! {
            biased;
            () = context.stop.cancelled() => return Ok(SweepResult::Stopped),
            () = runner::sleep_until(enough) => break,
            update = follower.next() => update,
        };
        match update {
            Update::Reset(listing) => known = Some(layout::snapshot(&context.keys, &listing)),
            Update::Events(changes) => {
                if let Some(snapshot) = &mut known {
                    layout::apply(snapshot, &context.keys, &changes);
                }
            }
            Update::Unavailable(error) => return Err(error),
        }
    }
    let snapshot = known.unwrap_or_default();
    let let_in = |health| matches!(health, Some(Health::Alive | Health::PathFault | Health::Sick));
    let reached: Vec<bool> = snapshot.machines.keys().map(|machine| let_in(health_of(&snapshot, *machine))).collect();
    let problems = recorded_problems(&snapshot, &events, elsewhere, context.clock.now());
    Ok(SweepResult::of(problems, snapshot, &reached, false))
}

/// Returns the problems that the records of a cluster show. `elsewhere` is the host of the controller that leads, if that is
/// another one than this.
pub fn recorded_problems(
    snapshot: &Snapshot,
    events: &[Event],
    elsewhere: Option<&str>,
    now: Timestamp,
) -> Vec<Problem> {
    let stored = stored_problems(snapshot, events, elsewhere, now);
    unreadable(snapshot).chain(unobserved(snapshot, now)).chain(stored).collect()
}

/// Returns the problems of a controller that leads and does not observe the machines, and of machines that it has not
/// observed: their records say nothing about now. A store that was away keeps the leadership of a controller that has
/// ended meanwhile.
fn unobserved(snapshot: &Snapshot, now: Timestamp) -> Vec<Problem> {
    let Some(times) = snapshot.observed.as_ref().filter(|_| !snapshot.machines.is_empty()) else { return Vec::new() };
    let age = now.since(times.at);
    if age > TRUSTED {
        let what = format!("the controller that leads has observed no machine for {} s", age.as_secs());
        return vec![Problem::general(TroubleKind::Unsettled, what)];
    }
    // The controller may wait for the end of a visit, which may stop units that take their time.
    let is_alive =
        |machine: &&Machine| matches!(health_of(snapshot, machine.id), Some(Health::Alive | Health::Suspect));
    let machines = snapshot.machines.values().filter(is_alive).filter_map(|Machine { id, name, .. }| {
        let age = now.since(times.of(*id)?);
        let what = || format!("{name} has not been observed for {} s", age.as_secs());
        (age > TRUSTED).then(|| Problem::of_machine(*id, what()))
    });
    machines.collect()
}

/// Returns how long the controller may take to assess machines, and to place and start the units that do not run.
fn time_for_work(
    snapshot: &Snapshot,
    not_running: Vec<(&UnitName, Option<MachineId>, NotRunning)>,
    events: &[Event],
    options: SweepOptions,
    now: Timestamp,
) -> Duration {
    let undecided = |machine: &_| matches!(health_of(snapshot, *machine), None | Some(Health::Suspect));
    if snapshot.machines.keys().any(undecided) || !unobserved(snapshot, now).is_empty() {
        return options.timing.detection.down_after + options.settle;
    }
    let busy =
        not_running.into_iter().any(|(unit, _, cause)| cause.with_events(snapshot, unit, events).is_in_progress());
    if busy { options.settle } else { Duration::ZERO }
}

fn health_of(snapshot: &Snapshot, machine: MachineId) -> Option<Health> {
    snapshot.health.get(&machine).map(|record| record.health)
}

/// Returns a problem for each record that cannot be read. Nothing is decided from such a record.
fn unreadable(snapshot: &Snapshot) -> impl Iterator<Item = Problem> {
    let problem =
        |(key, record): (&String, &Unreadable)| Problem::general(TroubleKind::UnreadableRecord, record.message(key));
    snapshot.unreadable.iter().map(problem)
}

/// Returns the problems that a sweep leaves.
fn remaining(reconciler: &Reconciler) -> Vec<Problem> {
    let mut problems = problems(reconciler, &Scope::All);
    problems.extend(out_of_reach(reconciler, &problems));
    unreadable(reconciler.snapshot()).chain(problems).collect()
}

/// Reports whether a machine let muster in, sick or not.
fn was_reached(view: &MachineView) -> bool {
    let sick = view.evidence.latest_failure().is_some_and(|failure| failure.kind == FailureKind::Sick);
    view.answers() || sick
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_that_does_not_come_to_an_end_says_so() {
        assert_eq!(
            unsettled().to_string(),
            "the cluster did not settle within 10 minutes: the sweep ended before that"
        );
    }
}
