//! The sweep: look at every machine once, put right what can be put right, and say what cannot.

use std::time::Duration;

use super::Office;
use super::findings::Finding;
use super::findings::findings;
use crate::core::judge::Patience;
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

/// How long a sweep waits for what.
#[derive(Debug, Clone, Copy)]
pub struct Waits {
    /// For silent machines.
    pub patience: Patience,
    /// For what was started to settle.
    pub settle: Duration,
    /// For the lead.
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
pub async fn sweep(office: &Office, waits: Waits, tell: &mut Tell<'_>) -> Result<Swept, StoreError> {
    let lead = match lead::take_within(&office.store, &office.keys, Kind::Sweep, waits.lock_wait).await? {
        Ok(lead) => lead,
        Err(holder) => return Ok(Swept::Busy(holder)),
    };
    let snapshot = layout::read(&*office.store, &office.keys).await?;
    let mut pass = Pass::new(lead.epoch(), Scope::All, super::tempo(waits.patience), snapshot);
    let means = Means::new(office, lead);
    let ended = pass::run(&mut pass, &means, None, Ending::Settled(waits.settle), tell).await;
    means.lead.release().await;
    Ok(match ended? {
        Ended::Finished => Swept::Found(findings(&pass, &Scope::All)),
        Ended::Stopped | Ended::Deposed => Swept::Stopped,
    })
}
