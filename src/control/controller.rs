//! The controller: leads for as long as it can, and stands by otherwise.

#[cfg(test)]
pub(super) mod tests;

use std::time::Duration;

use tokio::time::Instant;

use super::alerts;
use crate::core::reconcile::Reconciler;
use crate::core::reconcile::assignments::Scope;
use crate::runner;
use crate::runner::ClusterContext;
use crate::runner::OnEvent;
use crate::runner::Pulse;
use crate::runner::RunContext;
use crate::runner::RunOutcome;
use crate::runner::StopCondition;
use crate::runner::Supervision;
use crate::store::StoreError;
use crate::store::follow::Follower;
use crate::store::follow::Update;
use crate::store::layout;
use crate::store::layout::EVENTS_KEPT;
use crate::store::leader_election;
use crate::store::leader_election::LeaderKind;
use crate::store::leader_election::LeaderRecord;
use crate::store::leader_election::Leadership;

/// How long to wait before the store is asked again.
const STORE_RETRY: Duration = Duration::from_secs(1);

/// How long a controller that is stopped waits for the alerts on their way.
const ALERTS_END: Duration = Duration::from_secs(3);

/// How often the same error of the store is reported while it lasts.
const REMINDER: Duration = Duration::from_mins(5);

/// A change in the role of a controller.
#[derive(Debug)]
pub enum ControllerStatus<'a> {
    /// It leads, with this epoch.
    Leads(u64),
    /// Another process leads, and it stands by.
    StandsBy(&'a LeaderRecord),
    /// It has lost leadership, to this process if one leads now.
    Deposed(Option<&'a LeaderRecord>),
    /// It leads, and no machine has joined yet.
    NoMachines,
    /// It was stopped while this many machines may run strict units, for at most this long.
    Abandons(usize, Duration),
    /// The store is away, so units are left as they are.
    StoreAway(&'a StoreError),
}

/// Receives the changes in the role of a controller.
type OnStatus<'a> = dyn FnMut(ControllerStatus<'_>) + Send + 'a;

/// Leads or stands by until the operator stops it.
pub async fn control(
    context: &ClusterContext,
    supervision: &Supervision,
    on_status: &mut OnStatus<'_>,
    on_event: &mut OnEvent<'_>,
) {
    let mut stood_by_for: Option<LeaderRecord> = None;
    // The last reconciler, if it holds leases that must be renewed until a process leads again.
    let mut kept: Option<Reconciler> = None;
    loop {
        let campaign = campaign(context, &supervision.pulse, kept.as_ref().map(Reconciler::epoch), on_status);
        let taken = match &mut kept {
            Some(reconciler) => runner::lease_only(reconciler, context, supervision.pulse.clone(), campaign).await,
            None => campaign.await,
        };
        match taken {
            None => return,
            Some(Ok(leadership)) => {
                stood_by_for = None;
                on_status(ControllerStatus::Leads(leadership.epoch()));
                kept = match enter(context, supervision.clone(), leadership).await {
                    Ok(entered) => lead(context, entered, on_status, on_event).await,
                    Err(error) => {
                        on_status(ControllerStatus::StoreAway(&error));
                        kept
                    }
                };
            }
            Some(Err(holder)) => {
                kept = None;
                if stood_by_for.as_ref() != Some(&holder) {
                    on_status(ControllerStatus::StandsBy(&holder));
                    stood_by_for = Some(holder);
                }
            }
        }
    }
}

/// Takes leadership if it is free, and asks the store until it answers. Returns the holder if another process leads;
/// `None` once the operator stops the controller. `own` is the epoch of this process's own lost leadership: a store that
/// takes no writes has its record until its lease has expired, and no other process leads meanwhile.
async fn campaign(
    context: &ClusterContext,
    pulse: &Pulse,
    own: Option<u64>,
    on_status: &mut OnStatus<'_>,
) -> Option<Result<Leadership, LeaderRecord>> {
    let mut reported = Reported::default();
    while !context.stop.is_cancelled() {
        pulse.beat();
        match leader_election::campaign(&context.store, &context.keys, LeaderKind::Controller, STORE_RETRY).await {
            Ok(Err(holder)) if own == Some(holder.epoch) => {}
            Ok(taken) => return Some(taken),
            Err(error) if reported.is_due(&error.to_string(), Instant::now()) => {
                on_status(ControllerStatus::StoreAway(&error));
            }
            Err(_) => {}
        }
        tokio::select! {
            () = tokio::time::sleep(STORE_RETRY) => {}
            () = context.stop.cancelled() => {}
        }
    }
    None
}

/// The last error of the store that was reported, and when.
#[derive(Debug, Default)]
struct Reported(Option<(String, Instant)>);

impl Reported {
    /// Reports whether an error is to be reported now: it is another one than the last, or that was long ago.
    fn is_due(&mut self, error: &str, now: Instant) -> bool {
        let last = self.0.as_ref().filter(|(last, at)| last == error && now.duration_since(*at) < REMINDER);
        let is_due = last.is_none();
        if is_due {
            self.0 = Some((error.to_owned(), now));
        }
        is_due
    }
}

/// The handles and the records with which a leader begins.
struct Entered {
    run_context: RunContext,
    reconciler: Reconciler,
    follower: Follower,
}

/// Prunes the event log and reads the cluster.
async fn enter(
    context: &ClusterContext,
    mut supervision: Supervision,
    leadership: Leadership,
) -> Result<Entered, StoreError> {
    let settings = supervision.settings.borrow_and_update().clone();
    let run_context = RunContext {
        fence_commands: settings.fence_commands.clone(),
        supervision: Some(supervision),
        ..RunContext::new(context, leadership)
    };
    run_context.leadership.prune_events(&context.keys, EVENTS_KEPT).await?;
    let mut follower = Follower::new(context.store.clone(), context.keys.prefixes());
    loop {
        match follower.next().await {
            Update::Reset(listing) => {
                let (epoch, snapshot) = (run_context.leadership.epoch(), layout::snapshot(&context.keys, &listing));
                let mut reconciler =
                    Reconciler::new(epoch, Scope::All, settings.timing, snapshot).with_continuous_publication();
                settings.apply(&mut reconciler);
                return Ok(Entered { run_context, reconciler, follower });
            }
            Update::Events(_) => {}
            Update::Unavailable(error) => return Err(error),
        }
    }
}

/// Leads until leadership is lost or the operator stops the controller. Returns the reconciler if it holds leases that
/// must be renewed until a process leads again.
async fn lead(
    context: &ClusterContext,
    Entered { run_context, mut reconciler, follower }: Entered,
    on_status: &mut OnStatus<'_>,
    on_event: &mut OnEvent<'_>,
) -> Option<Reconciler> {
    if reconciler.snapshot().machines.is_empty() {
        on_status(ControllerStatus::NoMachines);
    }
    let alerts = run_context.supervision.as_ref().map(|supervision| alerts::Running::begin(context, supervision));
    match runner::run(&mut reconciler, &run_context, Some(follower), StopCondition::Stopped, on_event).await {
        Ok(RunOutcome::Deposed) => on_status(ControllerStatus::Deposed(successor(context).await.as_ref())),
        Ok(RunOutcome::Finished | RunOutcome::Stopped | RunOutcome::TimedOut) => {
            report_abandoned(&reconciler, on_status);
            run_context.leadership.resign().await;
            if let Some(alerts) = alerts {
                alerts.end(ALERTS_END).await;
            }
            return None;
        }
        // The leadership is released when it is dropped, if the store answers.
        Err(error) => on_status(ControllerStatus::StoreAway(&error)),
    }
    reconciler.holds_leases().then_some(reconciler)
}

/// Returns the process that leads now, if the store answers at once and another process leads.
async fn successor(context: &ClusterContext) -> Option<LeaderRecord> {
    let leader = leader_election::current_leader(&context.store, &context.keys);
    tokio::time::timeout(STORE_RETRY, leader).await.ok()?.ok()?
}

/// Reports the machines that lose their leases when this controller stops.
fn report_abandoned(reconciler: &Reconciler, on_status: &mut OnStatus<'_>) {
    let held = reconciler.snapshot().leases.values().filter(|grant| grant.stopped_for_sure_at.is_none());
    let lengths: Vec<Duration> = held.map(|grant| grant.length).collect();
    if let Some(longest) = lengths.iter().max() {
        on_status(ControllerStatus::Abandons(lengths.len(), *longest));
    }
}
