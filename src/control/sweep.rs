//! The sweep: look at every machine once, put right what can be put right, and say what cannot.

use std::time::Duration;

use super::Office;
use super::findings::Finding;
use super::findings::findings;
use crate::core::pass::Pass;
use crate::core::roster::Scope;
use crate::pass;
use crate::pass::Ended;
use crate::pass::Ending;
use crate::pass::Means;
use crate::pass::Tell;
use crate::store::StoreError;
use crate::store::layout;
use crate::store::lead;
use crate::store::lead::Holder;
use crate::store::lead::Kind;

/// How patient a sweep is.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How long a machine must have been silent before it is down.
    pub down_after: Duration,
    /// How long what was started may take to settle.
    pub settle: Duration,
    /// How long to wait for the lead.
    pub lock_wait: Duration,
}

/// How a sweep ended.
#[derive(Debug)]
pub enum Swept {
    /// Every machine was looked at; this is still wrong.
    Found(Vec<Finding>),
    /// Somebody else acts: nothing was done.
    Busy(Holder),
    /// It was stopped half-way; the next pass puts it right.
    Stopped,
}

/// Runs one sweep.
pub async fn sweep(office: &Office, patience: Patience, tell: &mut Tell<'_>) -> Result<Swept, StoreError> {
    let lead = match lead::take_within(&office.store, &office.keys, Kind::Sweep, patience.lock_wait).await? {
        Ok(lead) => lead,
        Err(holder) => return Ok(Swept::Busy(holder)),
    };
    let snapshot = layout::read(&*office.store, &office.keys).await?;
    let mut pass = Pass::new(lead.epoch(), Scope::All, super::tempo(patience.down_after), snapshot);
    let means = Means::new(office, lead);
    let ended = pass::run(&mut pass, &means, None, Ending::Settled(patience.settle), tell).await;
    means.lead.release().await;
    Ok(match ended? {
        Ended::Finished => Swept::Found(findings(&pass, &Scope::All)),
        Ended::Stopped | Ended::Deposed => Swept::Stopped,
    })
}
