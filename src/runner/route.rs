//! The way to one machine for a command that somebody runs there: direct, or through a neighbour while the machine is one
//! that only its neighbours reach. Nothing is judged here.

use crate::core::health::peers::ANSWER_LIMIT;
use crate::core::health::peers::LOOK_LIMIT;
use crate::core::model::Health;
use crate::core::model::Machine;
use crate::core::model::Snapshot;
use crate::remote::SharedRemote;
use crate::remote::Target;

/// How many neighbours are asked before the direct way is tried after all.
const ASKED: usize = 3;

/// Returns the way to a machine, and the neighbour that it goes through if it does not go directly.
pub async fn route<'a>(
    remote: &SharedRemote,
    snapshot: &'a Snapshot,
    machine: &Machine,
) -> (Target, Option<&'a Machine>) {
    let direct = super::target(machine);
    // One after the other: the first one nearly always does.
    for neighbour in neighbours(snapshot, machine).into_iter().take(ASKED) {
        let via = super::target(neighbour);
        let look = remote.probe(&via, &direct, LOOK_LIMIT);
        if let Ok(Ok(true)) = tokio::time::timeout(ANSWER_LIMIT, look).await {
            return (direct.through(via), Some(neighbour));
        }
    }
    (direct, None)
}

/// Returns the machines to ask about one with a path fault, each machine's in an order of its own; none about others.
fn neighbours<'a>(snapshot: &'a Snapshot, machine: &Machine) -> Vec<&'a Machine> {
    let is = |other: &Machine, health| snapshot.health.get(&other.id).is_some_and(|record| record.health == health);
    if !is(machine, Health::PathFault) {
        return Vec::new();
    }
    let mut open: Vec<&Machine> = snapshot.machines.values().filter(|other| is(other, Health::Alive)).collect();
    open.sort_by_key(|other| machine.id.mixed_with(other.id));
    open
}
