//! The controller: leads for as long as it can and stands by otherwise.

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::core::health::failover::FailoverPolicy;
use crate::core::model::Snapshot;
use crate::core::reconcile::Reconciler;
use crate::core::reconcile::Timing;
use crate::core::reconcile::assignments::Scope;
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
use crate::store::leader_election::Holder;
use crate::store::leader_election::Kind;
use crate::store::leader_election::Leadership;

/// How long to wait before trying the store again.
const RETRY: Duration = Duration::from_secs(1);

/// What a controller tells about itself.
#[derive(Debug)]
pub enum Stage<'a> {
    /// It leads, with this epoch.
    Leads(u64),
    /// Somebody else leads: it stands by.
    StandsBy(&'a Holder),
    /// Somebody else took the lead.
    Deposed,
    /// It leads, and no machine has joined yet.
    NoMachines,
    /// It was told to end while so many machines may run strict units, for so long.
    Abandons(usize, Duration),
    /// The store is away: units are left as they are.
    StoreAway(&'a StoreError),
}

/// Leads or stands by until the operator stops it.
pub async fn control(
    context: &ClusterContext,
    ways: (Timing, &FailoverPolicy),
    stage: &mut (dyn FnMut(Stage<'_>) + Send),
    on_event: &mut OnEvent<'_>,
) {
    let mut stood_by_for: Option<Holder> = None;
    let mut kept: Option<Reconciler> = None;
    loop {
        let campaign = campaign(context, stage);
        let taken = match &mut kept {
            Some(reconciler) => runner::lease_only(reconciler, context, campaign).await,
            None => campaign.await,
        };
        match taken {
            None => return,
            Some(Ok(lead)) => {
                stood_by_for = None;
                stage(Stage::Leads(lead.epoch()));
                kept = lead_on(context, ways, (lead, kept), stage, on_event).await;
            }
            Some(Err(holder)) => {
                kept = None;
                if stood_by_for.as_ref() != Some(&holder) {
                    stage(Stage::StandsBy(&holder));
                    stood_by_for = Some(holder);
                }
            }
        }
    }
}

/// Takes the lead if it is free, however long the store has to be asked; `None` once the operator wants an end.
async fn campaign(
    context: &ClusterContext,
    stage: &mut (dyn FnMut(Stage<'_>) + Send),
) -> Option<Result<Leadership, Holder>> {
    while !context.stop.is_cancelled() {
        match leader_election::take_within(&context.store, &context.keys, Kind::Controller, RETRY).await {
            Ok(taken) => return Some(taken),
            Err(error) => stage(Stage::StoreAway(&error)),
        }
        tokio::select! {
            () = tokio::time::sleep(RETRY) => {}
            () = context.stop.cancelled() => {}
        }
    }
    None
}

/// Leads until the lead is lost or the operator stops it. Returns the reconciler if there are leases that it should go on
/// renewing until somebody leads again: the one that was kept until now if this one has not begun.
async fn lead_on(
    context: &ClusterContext,
    (timing, failover_policy): (Timing, &FailoverPolicy),
    (lead, kept): (Leadership, Option<Reconciler>),
    stage: &mut (dyn FnMut(Stage<'_>) + Send),
    on_event: &mut OnEvent<'_>,
) -> Option<Reconciler> {
    let epoch = lead.epoch();
    let run_context = RunContext::new(context, lead);
    let (snapshot, follower) = match enter(context, &run_context.leadership).await {
        Ok(entered) => entered,
        Err(error) => {
            stage(Stage::StoreAway(&error));
            return kept;
        }
    };
    if snapshot.machines.is_empty() {
        stage(Stage::NoMachines);
    }
    let mut reconciler =
        Reconciler::new(epoch, Scope::All, timing, snapshot).with_failover_policy(failover_policy.clone());
    match runner::run(&mut reconciler, &run_context, Some(follower), StopCondition::Stopped, on_event).await {
        Ok(RunOutcome::Deposed) => stage(Stage::Deposed),
        Ok(RunOutcome::Finished | RunOutcome::Stopped) => {
            let held = reconciler.snapshot().leases.values().filter(|grant| grant.stopped_for_sure_at.is_none());
            if let Some(longest) = held.clone().map(|grant| grant.length).max() {
                stage(Stage::Abandons(held.count(), longest));
            }
            run_context.leadership.release().await;
            return None;
        }
        // The lead gives itself back when it can.
        Err(error) => stage(Stage::StoreAway(&error)),
    }
    reconciler.holds_leases().then_some(reconciler)
}

/// Reads what there is to lead.
async fn enter(context: &ClusterContext, lead: &Leadership) -> Result<(Snapshot, Follower), StoreError> {
    layout::prune_events(lead, &context.keys, EVENTS_KEPT).await?;
    let mut follower = Follower::new(context.store.clone(), context.keys.prefixes());
    loop {
        match follower.next().await {
            Update::Reset(listing) => return Ok((layout::snapshot(&context.keys, &listing), follower)),
            Update::Changes(_) => {}
            Update::Away(error) => return Err(error),
        }
    }
}
