//! The controller: leads for as long as it can and stands by otherwise.

#[cfg(test)]
mod tests;

use std::time::Duration;

use super::Office;
use crate::core::health::failover::Caution;
use crate::core::model::Snapshot;
use crate::core::reconcile::Pass;
use crate::core::reconcile::Tempo;
use crate::core::reconcile::assignments::Scope;
use crate::runner;
use crate::runner::Ended;
use crate::runner::Ending;
use crate::runner::Means;
use crate::runner::Tell;
use crate::store::StoreError;
use crate::store::follow::Follower;
use crate::store::follow::Update;
use crate::store::layout;
use crate::store::layout::EVENTS_KEPT;
use crate::store::leader_election;
use crate::store::leader_election::Holder;
use crate::store::leader_election::Kind;
use crate::store::leader_election::Lead;

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
    Deserted,
    /// It was told to end while so many machines may run strict units, for so long.
    Abandons(usize, Duration),
    /// The store is away: units are left as they are.
    StoreAway(&'a StoreError),
}

/// Leads or stands by until the operator stops it.
pub async fn control(
    office: &Office,
    ways: (Tempo, &Caution),
    stage: &mut (dyn FnMut(Stage<'_>) + Send),
    tell: &mut Tell<'_>,
) {
    let mut stood_by_for: Option<Holder> = None;
    let mut kept: Option<Pass> = None;
    loop {
        let campaign = campaign(office, stage);
        let taken = match &mut kept {
            Some(pass) => runner::keep(pass, office, campaign).await,
            None => campaign.await,
        };
        match taken {
            None => return,
            Some(Ok(lead)) => {
                stood_by_for = None;
                stage(Stage::Leads(lead.epoch()));
                kept = lead_on(office, ways, (lead, kept), stage, tell).await;
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
async fn campaign(office: &Office, stage: &mut (dyn FnMut(Stage<'_>) + Send)) -> Option<Result<Lead, Holder>> {
    while !office.stop.is_cancelled() {
        match leader_election::take_within(&office.store, &office.keys, Kind::Controller, RETRY).await {
            Ok(taken) => return Some(taken),
            Err(error) => stage(Stage::StoreAway(&error)),
        }
        tokio::select! {
            () = tokio::time::sleep(RETRY) => {}
            () = office.stop.cancelled() => {}
        }
    }
    None
}

/// Leads until the lead is lost or the operator stops it. Returns the pass if there are leases that it should go on
/// renewing until somebody leads again: the one that was kept until now if this one has not begun.
async fn lead_on(
    office: &Office,
    (tempo, caution): (Tempo, &Caution),
    (lead, kept): (Lead, Option<Pass>),
    stage: &mut (dyn FnMut(Stage<'_>) + Send),
    tell: &mut Tell<'_>,
) -> Option<Pass> {
    let epoch = lead.epoch();
    let means = Means::new(office, lead);
    let (snapshot, follower) = match enter(office, &means.lead).await {
        Ok(entered) => entered,
        Err(error) => {
            stage(Stage::StoreAway(&error));
            return kept;
        }
    };
    if snapshot.machines.is_empty() {
        stage(Stage::Deserted);
    }
    let mut pass = Pass::new(epoch, Scope::All, tempo, snapshot).with_caution(caution.clone());
    match runner::run(&mut pass, &means, Some(follower), Ending::Stopped, tell).await {
        Ok(Ended::Deposed) => stage(Stage::Deposed),
        Ok(Ended::Finished | Ended::Stopped) => {
            let held = pass.snapshot().leases.values().filter(|grant| grant.gone_by.is_none());
            if let Some(longest) = held.clone().map(|grant| grant.length).max() {
                stage(Stage::Abandons(held.count(), longest));
            }
            means.lead.release().await;
            return None;
        }
        // The lead gives itself back when it can.
        Err(error) => stage(Stage::StoreAway(&error)),
    }
    pass.holds_leases().then_some(pass)
}

/// Reads what there is to lead.
async fn enter(office: &Office, lead: &Lead) -> Result<(Snapshot, Follower), StoreError> {
    layout::prune_events(lead, &office.keys, EVENTS_KEPT).await?;
    let mut follower = Follower::new(office.store.clone(), office.keys.prefixes());
    loop {
        match follower.next().await {
            Update::Reset(listing) => return Ok((layout::snapshot(&office.keys, &listing), follower)),
            Update::Changes(_) => {}
            Update::Away(error) => return Err(error),
        }
    }
}
