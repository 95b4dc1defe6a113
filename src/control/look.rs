//! A look at the cluster for a command that shows it: the records of the store, brought up to date by a visit to each
//! machine. It changes no host and no record.

use std::time::Duration;

use super::timing::timing;
use crate::core::health::BRAKE;
use crate::core::health::DetectionConfig;
use crate::core::model::FailedAttempt;
use crate::core::model::Health;
use crate::core::model::HealthEvidence;
use crate::core::model::HealthRecord;
use crate::core::model::MachineId;
use crate::core::model::Phase;
use crate::core::model::RECENT;
use crate::core::model::RestorationWitness;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;
use crate::core::model::Write;
use crate::core::reconcile::Reconciler;
use crate::core::reconcile::assignments::Scope;
use crate::runner;
use crate::runner::ClusterContext;
use crate::store::StoreError;
use crate::store::layout;
use crate::store::leader_election;
use crate::store::leader_election::LeaderKind;
use crate::store::leader_election::LeaderRecord;

/// How long the machines have to answer.
const LIMIT: Duration = Duration::from_millis(2500);

/// The epoch of a process that does not lead. No host obeys it.
const NO_EPOCH: u64 = 0;

/// How long a silent machine is not down. A look is shorter, so it finds no machine down.
const DOWN_AFTER: Duration = Duration::from_secs(10);

/// A machine that could not be observed, with the failure of its visit; `None` if the visit did not end in time.
pub type Missed = (MachineId, Option<FailedAttempt>);

/// The records of a cluster after a look at its machines.
#[derive(Debug, Default)]
pub struct Look {
    /// The records, with the states and the health that were found.
    pub snapshot: Snapshot,
    /// The machines that could not be observed.
    pub missed: Vec<Missed>,
    /// The host of the controller that has observed the machines; `None` if that was this host.
    pub observed_from: Option<String>,
    /// The machine that has shown that the store was restored from a backup.
    pub restoration_witness: Option<MachineId>,
    /// Set while a controller leads.
    pub has_controller: bool,
    /// When a controller last published its observations, if no process leads now.
    pub controlled_until: Option<Timestamp>,
}

/// Reads the records of a cluster and observes its machines, unless a controller leads and has observed them just now, or
/// this process leaves hosts to a controller.
pub async fn look(context: &ClusterContext) -> Result<Look, StoreError> {
    let snapshot = layout::read(&*context.store, &context.keys).await?;
    let holder = leader_election::current_leader(&context.store, &context.keys).await?;
    let has_controller = holder.as_ref().is_some_and(|holder| holder.kind == LeaderKind::Controller);
    let controlled_until = controlled_until(&snapshot, holder.as_ref());
    let now = context.clock.now();
    let is_observed = (has_controller && is_recent(&snapshot, now)) || !context.store.can_lead();
    if snapshot.machines.is_empty() || is_observed {
        let missed = if is_observed { not_current(&snapshot, now) } else { Vec::new() };
        let observer = holder.as_ref().filter(|_| is_observed);
        let observed_from = observer.and_then(LeaderRecord::elsewhere).map(str::to_owned);
        return Ok(Look { snapshot, missed, observed_from, has_controller, controlled_until, ..Look::default() });
    }
    let timing = timing(DetectionConfig { down_after: DOWN_AFTER, brake: BRAKE });
    let mut reconciler = Reconciler::new(NO_EPOCH, Scope::All, timing, snapshot);
    runner::observe(&mut reconciler, &context.remote, context.clock, LIMIT).await;
    let missed = reconciler.views().filter(|(_, view)| !view.answers());
    let missed =
        missed.map(|(machine, view)| (machine, view.evidence.latest_failure().map(FailedAttempt::from))).collect();
    let mut snapshot = reconciler.snapshot().clone();
    end_leases(&mut snapshot, controlled_until);
    note_misplaced(&mut snapshot, &reconciler);
    note_unanswered(&mut snapshot, &reconciler, context.clock.now());
    snapshot.observed = Some(reconciler.observation_times(context.clock.now()));
    let restoration_witness = match reconciler.restoration_witness() {
        Some(witness) if snapshot.restored.is_some() => Some(witness.machine),
        Some(witness) => has_no_record(context, witness).await?.then_some(witness.machine),
        None => None,
    };
    Ok(Look { snapshot, missed, observed_from: None, restoration_witness, has_controller, controlled_until })
}

/// Reports whether the store still has an earlier serial than a machine has seen. A leader may have counted and visited the
/// machine since the records were read.
async fn has_no_record(context: &ClusterContext, witness: RestorationWitness) -> Result<bool, StoreError> {
    Ok(layout::read(&*context.store, &context.keys).await?.serial < witness.serial)
}

/// Adds the reports of submitted units that run on a machine where they are not placed, as after the store was restored from
/// a backup. A leader decides nothing from such a report, because a host may lie: it only shows the operator what runs.
fn note_misplaced(snapshot: &mut Snapshot, reconciler: &Reconciler) {
    for (machine, view) in reconciler.views().filter(|(_, view)| view.answers()) {
        for (unit, state) in view.units.iter().flatten().filter(|(_, state)| state.runs()) {
            if snapshot.units.contains_key(unit) {
                snapshot.apply(Write::State(unit.clone(), machine, state.clone()));
            }
        }
    }
}

/// Reads the records of a cluster, with the ends of the leases that no process renews.
pub async fn read(context: &ClusterContext) -> Result<Snapshot, StoreError> {
    let mut snapshot = layout::read(&*context.store, &context.keys).await?;
    let holder = leader_election::current_leader(&context.store, &context.keys).await?;
    let until = controlled_until(&snapshot, holder.as_ref());
    end_leases(&mut snapshot, until);
    Ok(snapshot)
}

/// Returns when a controller last published its observations, if no process leads now.
pub(super) fn controlled_until(snapshot: &Snapshot, holder: Option<&LeaderRecord>) -> Option<Timestamp> {
    let published = snapshot.observed.as_ref().filter(|times| times.continuous && holder.is_none());
    published.map(|times| times.at)
}

/// Sets when the leases end that a controller renewed which does not lead any more. Its record does not have that time.
pub(super) fn end_leases(snapshot: &mut Snapshot, controlled_until: Option<Timestamp>) {
    let Some(renewed) = controlled_until else { return };
    for grant in snapshot.leases.values_mut().filter(|grant| grant.is_open()) {
        grant.until = Some(renewed + grant.length);
    }
}

/// Records that the machines are not alive whose visits have not ended in time, so that they have no failure yet.
fn note_unanswered(snapshot: &mut Snapshot, reconciler: &Reconciler, now: Timestamp) {
    let open = reconciler.views().filter(|(_, view)| !view.answers() && view.evidence.latest_failure().is_none());
    for (machine, _) in open {
        let before = snapshot.health.get(&machine);
        if before.is_some_and(|record| record.health == Health::Alive) {
            let detail = format!("no answer within {} s", LIMIT.as_secs_f32());
            let attempt = FailedAttempt { phase: Phase::Connect, detail, hint: None };
            let (health, reason) = (Health::Suspect, HealthEvidence::VisitFailed(attempt).into());
            let last_seen = snapshot.observed_at(machine);
            let record = HealthRecord { health, since: now, last_seen, reason, outages: Vec::new() };
            snapshot.health.insert(machine, record);
        }
    }
}

/// Returns the controller that leads and has observed the machines just now, if there is one: the records have their present
/// state.
pub async fn observer(context: &ClusterContext, snapshot: &Snapshot) -> Result<Option<LeaderRecord>, StoreError> {
    let holder = leader_election::current_leader(&context.store, &context.keys).await?;
    let controller = holder.filter(|holder| holder.kind == LeaderKind::Controller);
    Ok(controller.filter(|_| is_recent(snapshot, context.clock.now())))
}

/// Reports whether the observations in the records were published just now.
fn is_recent(snapshot: &Snapshot, now: Timestamp) -> bool {
    snapshot.observed.as_ref().is_some_and(|times| now.since(times.at) <= RECENT)
}

/// Returns the machines whose present state the controller does not know, each with the failure in its record. An alive one
/// has none: the controller waits for the end of a visit, which may stop units that take their time.
fn not_current(snapshot: &Snapshot, now: Timestamp) -> Vec<Missed> {
    let missed = snapshot.machines.keys().filter(|machine| !snapshot.is_current(**machine, now));
    let attempt = |machine| snapshot.health.get(machine)?.reason.attempt().cloned();
    missed.map(|machine| (*machine, attempt(machine))).collect()
}
