//! The sweep: look at every machine once, put right what can be put right, and say what cannot.
//!
//! While a controller leads, that is the controller's to do: the sweep only says what is wrong by what it has written down.

use std::time::Duration;

use tokio::time::Instant;

use super::Office;
use super::keeps_leases;
use super::make_way;
use super::problems::Finding;
use super::problems::findings;
use super::problems::written;
use crate::core::explain;
use crate::core::health::failover::Caution;
use crate::core::model::FailureKind;
use crate::core::model::MachineId;
use crate::core::model::Snapshot;
use crate::core::model::Verdict;
use crate::core::reconcile::Pass;
use crate::core::reconcile::Tempo;
use crate::core::reconcile::assignments::Scope;
use crate::core::reconcile::machine_view::Seat;
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
    /// No machine has joined: it may well be another cluster that is meant.
    Deserted,
    /// No machine let us in, so nothing is known of any: it may well be us.
    Blind(Vec<Finding>),
    /// Another command or sweep acts: nothing was done.
    Busy(Holder),
    /// Somebody else took the lead half-way, and goes on.
    Deposed,
    /// It was stopped half-way; the next pass puts it right.
    Stopped,
}

impl Swept {
    /// Says what was found, and of each machine whether it let anybody in.
    fn of(found: Vec<Finding>, reached: impl Iterator<Item = bool>) -> Self {
        let reached: Vec<bool> = reached.collect();
        match reached.as_slice() {
            [] => Self::Deserted,
            reached if reached.contains(&true) => Self::Found(found),
            _ => Self::Blind(found),
        }
    }
}

/// Runs one sweep.
pub async fn sweep(office: &Office, waits: Waits, caution: Caution, tell: &mut Tell<'_>) -> Result<Swept, StoreError> {
    let mut waited = false;
    let (lead, snapshot) = loop {
        let lead = match leader_election::take_within(&office.store, &office.keys, Kind::Sweep, waits.lock_wait).await?
        {
            Ok(lead) => lead,
            Err(holder) if holder.kind == Kind::Controller => return read_up(office, waits).await,
            Err(holder) => return Ok(Swept::Busy(holder)),
        };
        let snapshot = layout::read(&*office.store, &office.keys).await?;
        if !keeps_leases(&snapshot) || std::mem::replace(&mut waited, true) {
            break (lead, snapshot);
        }
        make_way(office, lead).await?;
    };
    let mut pass = Pass::new(lead.epoch(), Scope::All, waits.tempo, snapshot).with_caution(caution);
    let means = Means::new(office, lead);
    let ended = runner::run(&mut pass, &means, None, Ending::Settled(waits.settle), tell).await;
    if matches!(ended, Ok(Ended::Finished))
        && let Err(error) = layout::prune_events(&means.lead, &means.keys, EVENTS_KEPT).await
    {
        // What the sweep is for has been done; the next one does this.
        tracing::warn!("the event log was not shortened: {error}");
    }
    means.lead.release().await;
    Ok(match ended? {
        Ended::Finished => Swept::of(findings(&pass, &Scope::All), pass.seats().map(|(_, seat)| was_reached(seat))),
        Ended::Deposed => Swept::Deposed,
        Ended::Stopped => Swept::Stopped,
    })
}

/// Reads what is wrong as the controller that leads has written it down, and gives it a little time for what it is at.
async fn read_up(office: &Office, waits: Waits) -> Result<Swept, StoreError> {
    let mut follower = Follower::new(office.store.clone(), office.keys.prefixes());
    let mut known: Option<Snapshot> = None;
    let begun = Instant::now();
    loop {
        let enough = known.as_ref().map(|snapshot| begun + under_way(snapshot, waits));
        let update = tokio::select! {
            biased;
            () = office.stop.cancelled() => return Ok(Swept::Stopped),
            () = runner::sleep_until(enough) => break,
            update = follower.next() => update,
        };
        match update {
            Update::Reset(listing) => known = Some(layout::snapshot(&office.keys, &listing)),
            Update::Changes(changes) => {
                if let Some(snapshot) = &mut known {
                    layout::apply(snapshot, &office.keys, &changes);
                }
            }
            Update::Away(error) => return Err(error),
        }
    }
    let snapshot = known.unwrap_or_default();
    let let_in = |verdict| matches!(verdict, Some(Verdict::Alive | Verdict::PathFault | Verdict::Sick));
    let reached = snapshot.machines.keys().map(|machine| let_in(verdict_of(&snapshot, *machine)));
    Ok(Swept::of(written(&snapshot), reached))
}

/// Returns how long what is under way may take: a machine that is being judged, a unit that is being brought or started.
fn under_way(snapshot: &Snapshot, waits: Waits) -> Duration {
    let undecided = |machine: &_| matches!(verdict_of(snapshot, *machine), None | Some(Verdict::Suspect));
    if snapshot.machines.keys().any(undecided) {
        return waits.tempo.patience.down_after + waits.settle;
    }
    let busy = explain::idle_units(snapshot).iter().any(|(_, idle)| idle.is_under_way());
    if busy { waits.settle } else { Duration::ZERO }
}

fn verdict_of(snapshot: &Snapshot, machine: MachineId) -> Option<Verdict> {
    snapshot.health.get(&machine).map(|health| health.verdict)
}

/// Says whether a machine let us in, well or not.
fn was_reached(seat: &Seat) -> bool {
    let sick = seat.evidence.failures.last().is_some_and(|(_, failure)| failure.kind == FailureKind::Sick);
    seat.answers() || sick
}
