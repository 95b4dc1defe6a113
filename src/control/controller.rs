//! The controller: leads for as long as it can and stands by otherwise.

use std::time::Duration;

use super::Office;
use crate::core::caution::Caution;
use crate::core::judge::Patience;
use crate::core::pass::Pass;
use crate::core::roster::Scope;
use crate::pass;
use crate::pass::Ended;
use crate::pass::Ending;
use crate::pass::Means;
use crate::pass::Tell;
use crate::store::StoreError;
use crate::store::follow::Follower;
use crate::store::follow::Update;
use crate::store::layout;
use crate::store::layout::EVENTS_KEPT;
use crate::store::lead;
use crate::store::lead::Holder;
use crate::store::lead::Kind;

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
    /// The store is away: units are left as they are.
    StoreAway(&'a StoreError),
}

/// Leads or stands by until the operator stops it.
pub async fn control(
    office: &Office,
    prudence: (Patience, &Caution),
    stage: &mut (dyn FnMut(Stage<'_>) + Send),
    tell: &mut Tell<'_>,
) {
    let mut stood_by_for: Option<Holder> = None;
    while !office.stop.is_cancelled() {
        match lead_once(office, prudence, &mut stood_by_for, stage, tell).await {
            Ok(()) => {}
            Err(error) => {
                stage(Stage::StoreAway(&error));
                tokio::select! {
                    () = tokio::time::sleep(RETRY) => {}
                    () = office.stop.cancelled() => {}
                }
            }
        }
    }
}

/// Takes the lead if it is free and leads until it is lost or the operator stops it.
async fn lead_once(
    office: &Office,
    prudence: (Patience, &Caution),
    stood_by_for: &mut Option<Holder>,
    stage: &mut (dyn FnMut(Stage<'_>) + Send),
    tell: &mut Tell<'_>,
) -> Result<(), StoreError> {
    let (patience, caution) = prudence;
    let lead = match lead::take_within(&office.store, &office.keys, Kind::Controller, RETRY).await? {
        Ok(lead) => lead,
        Err(holder) => {
            if stood_by_for.as_ref() != Some(&holder) {
                stage(Stage::StandsBy(&holder));
                *stood_by_for = Some(holder);
            }
            return Ok(());
        }
    };
    *stood_by_for = None;
    stage(Stage::Leads(lead.epoch()));
    layout::prune_events(&lead, &office.keys, EVENTS_KEPT).await?;
    let mut follower = Follower::new(office.store.clone(), office.keys.prefixes());
    let snapshot = loop {
        match follower.next().await {
            Update::Reset(listing) => break layout::snapshot(&office.keys, &listing),
            Update::Changes(_) => {}
            Update::Away(error) => return Err(error),
        }
    };
    let mut pass = Pass::new(lead.epoch(), Scope::All, super::tempo(patience), snapshot).with_caution(caution.clone());
    let means = Means::new(office, lead);
    let ended = pass::run(&mut pass, &means, Some(follower), Ending::Stopped, tell).await;
    means.lead.release().await;
    if ended? == Ended::Deposed {
        stage(Stage::Deposed);
    }
    Ok(())
}
