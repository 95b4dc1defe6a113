//! The sweep: look at every machine once, put right what can be put right, and say what cannot.
//!
//! While a controller leads, that is the controller's to do: the sweep only says what is wrong by what it has stored_problems down.

use std::time::Duration;

use tokio::time::Instant;

use super::ClusterContext;
use super::keeps_leases;
use super::problems::Problem;
use super::problems::problems;
use super::problems::stored_problems;
use super::yield_to_controller;
use crate::core::explain;
use crate::core::health::failover::FailoverPolicy;
use crate::core::model::FailureKind;
use crate::core::model::Health;
use crate::core::model::MachineId;
use crate::core::model::Snapshot;
use crate::core::reconcile::Reconciler;
use crate::core::reconcile::Timing;
use crate::core::reconcile::assignments::Scope;
use crate::core::reconcile::machine_view::MachineView;
use crate::runner;
use crate::runner::RunContext;
use crate::runner::RunOutcome;
use crate::runner::StopCondition;
use crate::runner::Tell;
use crate::store::StoreError;
use crate::store::follow::Follower;
use crate::store::follow::Update;
use crate::store::layout;
use crate::store::layout::EVENTS_KEPT;
use crate::store::leader_election;
use crate::store::leader_election::Holder;
use crate::store::leader_election::Kind;

/// How long a sweep timeouts for what.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For machines, and for how long it grants leases.
    pub timing: Timing,
    /// For what was started to settle.
    pub settle: Duration,
    /// For the lead.
    pub lock_wait: Duration,
}

/// How a sweep ended.
#[derive(Debug)]
pub enum SweepResult {
    /// Every machine was looked at; this is still wrong.
    Found(Vec<Problem>),
    /// No machine has joined: it may well be another cluster that is meant.
    NoMachines,
    /// No machine let us in, so nothing is known of any: it may well be us.
    NothingReachable(Vec<Problem>),
    /// Another command or sweep acts: nothing was done.
    Busy(Holder),
    /// Somebody else took the lead half-way, and goes on.
    Deposed,
    /// It was stopped half-way; the next reconcile puts it right.
    Stopped,
}

impl SweepResult {
    /// Says what was found, and of each machine whether it let anybody in.
    fn of(found: Vec<Problem>, reached: impl Iterator<Item = bool>) -> Self {
        let reached: Vec<bool> = reached.collect();
        match reached.as_slice() {
            [] => Self::NoMachines,
            reached if reached.contains(&true) => Self::Found(found),
            _ => Self::NothingReachable(found),
        }
    }
}

/// Runs one sweep.
pub async fn sweep(
    context: &ClusterContext,
    timeouts: Timeouts,
    failover_policy: FailoverPolicy,
    tell: &mut Tell<'_>,
) -> Result<SweepResult, StoreError> {
    let mut waited = false;
    let (lead, snapshot) = loop {
        let lead =
            match leader_election::take_within(&context.store, &context.keys, Kind::Sweep, timeouts.lock_wait).await? {
                Ok(lead) => lead,
                Err(holder) if holder.kind == Kind::Controller => return problems_from_store(context, timeouts).await,
                Err(holder) => return Ok(SweepResult::Busy(holder)),
            };
        let snapshot = layout::read(&*context.store, &context.keys).await?;
        if !keeps_leases(&snapshot) || std::mem::replace(&mut waited, true) {
            break (lead, snapshot);
        }
        yield_to_controller(context, lead).await?;
    };
    let mut reconciler =
        Reconciler::new(lead.epoch(), Scope::All, timeouts.timing, snapshot).with_failover_policy(failover_policy);
    let run_context = RunContext::new(context, lead);
    let ended = runner::run(&mut reconciler, &run_context, None, StopCondition::Settled(timeouts.settle), tell).await;
    if matches!(ended, Ok(RunOutcome::Finished))
        && let Err(error) = layout::prune_events(&run_context.lead, &run_context.keys, EVENTS_KEPT).await
    {
        // What the sweep is for has been done; the next one does this.
        tracing::warn!("the event log was not shortened: {error}");
    }
    run_context.lead.release().await;
    Ok(match ended? {
        RunOutcome::Finished => {
            SweepResult::of(problems(&reconciler, &Scope::All), reconciler.views().map(|(_, view)| was_reached(view)))
        }
        RunOutcome::Deposed => SweepResult::Deposed,
        RunOutcome::Stopped => SweepResult::Stopped,
    })
}

/// Reads what is wrong as the controller that leads has stored_problems it down, and gives it a little time for what it is at.
async fn problems_from_store(context: &ClusterContext, timeouts: Timeouts) -> Result<SweepResult, StoreError> {
    let mut follower = Follower::new(context.store.clone(), context.keys.prefixes());
    let mut known: Option<Snapshot> = None;
    let begun = Instant::now();
    loop {
        let enough = known.as_ref().map(|snapshot| begun + under_way(snapshot, timeouts));
        let update = tokio::select! {
            biased;
            () = context.stop.cancelled() => return Ok(SweepResult::Stopped),
            () = runner::sleep_until(enough) => break,
            update = follower.next() => update,
        };
        match update {
            Update::Reset(listing) => known = Some(layout::snapshot(&context.keys, &listing)),
            Update::Changes(changes) => {
                if let Some(snapshot) = &mut known {
                    layout::apply(snapshot, &context.keys, &changes);
                }
            }
            Update::Away(error) => return Err(error),
        }
    }
    let snapshot = known.unwrap_or_default();
    let let_in = |health| matches!(health, Some(Health::Alive | Health::PathFault | Health::Sick));
    let reached = snapshot.machines.keys().map(|machine| let_in(verdict_of(&snapshot, *machine)));
    Ok(SweepResult::of(stored_problems(&snapshot), reached))
}

/// Returns how long what is under way may take: a machine that is being judged, a unit that is being brought or started.
fn under_way(snapshot: &Snapshot, timeouts: Timeouts) -> Duration {
    let undecided = |machine: &_| matches!(verdict_of(snapshot, *machine), None | Some(Health::Suspect));
    if snapshot.machines.keys().any(undecided) {
        return timeouts.timing.detection.down_after + timeouts.settle;
    }
    let busy = explain::units_not_running(snapshot).iter().any(|(_, reason)| reason.is_in_progress());
    if busy { timeouts.settle } else { Duration::ZERO }
}

fn verdict_of(snapshot: &Snapshot, machine: MachineId) -> Option<Health> {
    snapshot.health.get(&machine).map(|health| health.health)
}

/// Says whether a machine let us in, well or not.
fn was_reached(view: &MachineView) -> bool {
    let sick = view.evidence.failures.last().is_some_and(|(_, failure)| failure.kind == FailureKind::Sick);
    view.answers() || sick
}
