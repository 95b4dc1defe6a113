//! The operator's word on a failover that is held back. It is written down; whoever leads, or the next sweep, acts on it.

use super::ClusterContext;
use super::membership;
use super::membership::MembershipError;
use crate::core::health::failover::OVERRIDE_FOR;
use crate::core::model::Event;
use crate::core::model::EventKind;
use crate::core::model::FailoverOverride;
use crate::core::model::Health;
use crate::core::model::Machine;
use crate::core::model::Snapshot;
use crate::core::model::Write;
use crate::store::COMMIT_LIMIT;
use crate::store::Change;
use crate::store::layout;
use crate::store::layout::Slot;

/// Says that the units of machines that are held back are to be moved: of these, or of all if none is named. Returns
/// the machines.
pub async fn force(context: &ClusterContext, names: &[String], by: &str) -> Result<Vec<Machine>, MembershipError> {
    let snapshot = layout::read(&*context.store, &context.keys).await?;
    let machines = choose(&snapshot, names)?;
    let now = context.clock.now();
    let forced = FailoverOverride { until: now + OVERRIDE_FOR, by: by.to_owned() };
    let overridden = |machine: &Machine| Event::new(now, Some(machine.id), None, EventKind::FailoverOverridden).by(by);
    let logs = machines.iter().map(|machine| Write::Log(overridden(machine)));
    let logs: Vec<Write> = logs.collect();
    let old = snapshot.failover_overrides.iter().filter(|(_, forced)| forced.until <= now);
    let old = old.map(|(machine, _)| context.keys.delete(&Slot::FailoverOverride(*machine)));
    let words = machines.iter().map(|machine| context.keys.put(&Slot::FailoverOverride(machine.id), &forced));
    // A word given anew comes after the old one has gone.
    let changes: Vec<Change> = old.chain(words).chain(context.keys.changes(&logs)).collect();
    for portion in unique(changes).chunks(COMMIT_LIMIT) {
        context.store.commit(Vec::new(), portion.to_vec()).await?;
    }
    Ok(machines)
}

fn choose(snapshot: &Snapshot, names: &[String]) -> Result<Vec<Machine>, MembershipError> {
    if names.is_empty() {
        let held = |machine: &&Machine| {
            snapshot.health.get(&machine.id).is_some_and(|health| health.health == Health::Unreachable)
        };
        return Ok(snapshot.machines.values().filter(held).cloned().collect());
    }
    let find = |name: &String| membership::find(snapshot, name).cloned();
    names.iter().map(|name| find(name).ok_or_else(|| MembershipError::UnknownMachine(name.clone()))).collect()
}

/// Keeps the last of several changes to one key: one commit takes no two.
fn unique(changes: Vec<Change>) -> Vec<Change> {
    let mut kept: Vec<Change> = Vec::with_capacity(changes.len());
    for change in changes {
        kept.retain(|other| other.key() != change.key());
        kept.push(change);
    }
    kept
}
