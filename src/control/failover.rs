//! The failover override: the operator orders a failover that the failover policy blocks. The leader or the next sweep
//! carries it out.

use super::membership::MembershipError;
use crate::core::health::failover::OVERRIDE_FOR;
use crate::core::machine_lookup::FindMachineError;
use crate::core::machine_lookup::find_machine;
use crate::core::model::Event;
use crate::core::model::EventKind;
use crate::core::model::FailoverOverride;
use crate::core::model::Health;
use crate::core::model::Machine;
use crate::core::model::Snapshot;
use crate::core::model::Write;
use crate::runner::ClusterContext;
use crate::store::COMMIT_LIMIT;
use crate::store::Op;
use crate::store::layout;
use crate::store::layout::Key;

/// Stores an override for these machines, or for all unreachable machines if none is named. Returns the machines.
pub async fn force(context: &ClusterContext, names: &[String], by: &str) -> Result<Vec<Machine>, MembershipError> {
    let snapshot = layout::read(&*context.store, &context.keys).await?;
    let machines = choose(&snapshot, names)?;
    let health = |machine: &Machine| snapshot.health.get(&machine.id).map(|record| record.health);
    if let Some(alive) = machines.iter().find(|machine| health(machine) == Some(Health::Alive)) {
        return Err(MembershipError::Alive(alive.name.clone()));
    }
    let now = context.clock.now();
    let order = FailoverOverride { given: now, until: now + OVERRIDE_FOR, by: by.to_owned() };
    let log =
        |machine: &Machine| Write::Log(Event::new(now, Some(machine.id), None, EventKind::FailoverOverridden).by(by));
    let logs: Vec<Write> = machines.iter().map(log).collect();
    let expired = snapshot.failover_overrides.iter().filter(|(_, order)| order.until <= now);
    let expired = expired.map(|(machine, _)| context.keys.delete(&Key::FailoverOverride(*machine)));
    let orders = machines.iter().map(|machine| context.keys.put(&Key::FailoverOverride(machine.id), &order));
    // A new override comes after the removal of the expired one for the same machine.
    let changes: Vec<Op> = expired.chain(orders).chain(context.keys.ops(&logs)).collect();
    for portion in last_of_each_key(changes).chunks(COMMIT_LIMIT) {
        context.store.commit(Vec::new(), portion.to_vec()).await?;
    }
    Ok(machines)
}

fn choose(snapshot: &Snapshot, names: &[String]) -> Result<Vec<Machine>, FindMachineError> {
    if names.is_empty() {
        let blocked = |machine: &&Machine| {
            snapshot.health.get(&machine.id).is_some_and(|health| health.health == Health::Unreachable)
        };
        return Ok(snapshot.machines.values().filter(blocked).cloned().collect());
    }
    names.iter().map(|name| find_machine(snapshot, name).cloned()).collect()
}

/// Returns the last of several changes to each key: a commit takes only one.
fn last_of_each_key(changes: Vec<Op>) -> Vec<Op> {
    let mut kept: Vec<Op> = Vec::with_capacity(changes.len());
    for change in changes {
        kept.retain(|other| other.key() != change.key());
        kept.push(change);
    }
    kept
}
