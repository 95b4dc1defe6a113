//! The sweep: look at every machine once, put right what can be put right, and say what cannot.

use std::time::Duration;

use super::Office;
use super::findings::Finding;
use super::findings::findings;
use crate::core::caution::Caution;
use crate::core::evidence::FailureKind;
use crate::core::pass::Pass;
use crate::core::pass::Tempo;
use crate::core::roster::Scope;
use crate::core::seat::Seat;
use crate::pass;
use crate::pass::Ended;
use crate::pass::Ending;
use crate::pass::Means;
use crate::pass::Tell;
use crate::store::StoreError;
use crate::store::layout;
use crate::store::layout::EVENTS_KEPT;
use crate::store::lead;
use crate::store::lead::Holder;
use crate::store::lead::Kind;

/// How long a sweep waits for what.
#[derive(Debug, Clone, Copy)]
pub struct Waits {
    /// For machines, and for how long it grants leases.
    pub tempo: Tempo,
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
    /// No machine let us in, so nothing is known of any: it may well be us.
    Blind(Vec<Finding>),
    /// Somebody else acts: nothing was done.
    Busy(Holder),
    /// Somebody else took the lead half-way, and goes on.
    Deposed,
    /// It was stopped half-way; the next pass puts it right.
    Stopped,
}

/// Runs one sweep.
pub async fn sweep(office: &Office, waits: Waits, caution: Caution, tell: &mut Tell<'_>) -> Result<Swept, StoreError> {
    let lead = match lead::take_within(&office.store, &office.keys, Kind::Sweep, waits.lock_wait).await? {
        Ok(lead) => lead,
        Err(holder) => return Ok(Swept::Busy(holder)),
    };
    let snapshot = layout::read(&*office.store, &office.keys).await?;
    let mut pass = Pass::new(lead.epoch(), Scope::All, waits.tempo, snapshot).with_caution(caution);
    let means = Means::new(office, lead);
    let ended = pass::run(&mut pass, &means, None, Ending::Settled(waits.settle), tell).await;
    if matches!(ended, Ok(Ended::Finished))
        && let Err(error) = layout::prune_events(&means.lead, &means.keys, EVENTS_KEPT).await
    {
        // What the sweep is for has been done; the next one does this.
        tracing::warn!("the event log was not shortened: {error}");
    }
    means.lead.release().await;
    Ok(match ended? {
        Ended::Finished => {
            let found = findings(&pass, &Scope::All);
            let mut seats = pass.seats().peekable();
            let blind = seats.peek().is_some() && !seats.any(|(_, seat)| was_reached(seat));
            if blind { Swept::Blind(found) } else { Swept::Found(found) }
        }
        Ended::Deposed => Swept::Deposed,
        Ended::Stopped => Swept::Stopped,
    })
}

/// Says whether a machine let us in, well or not.
fn was_reached(seat: &Seat) -> bool {
    let sick = seat.evidence.failures.last().is_some_and(|(_, failure)| failure.kind == FailureKind::Sick);
    seat.answers() || sick
}
