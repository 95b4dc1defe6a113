//! A simulation or a dry run, as tables and as JSON.

use std::collections::BTreeMap;

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::event;
use super::table;
use crate::core::model::Health;
use crate::core::model::HealthReason;
use crate::core::model::MachineId;
use crate::core::model::PlacementError;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;
use crate::core::simulation::Simulation;
use crate::core::unit::UnitName;

/// Writes the moves and the steps, each as a table that is left out if it is empty.
pub fn text(snapshot: &Snapshot, simulation: &Simulation) -> String {
    let name = |id: Option<MachineId>| id.map_or_else(|| "-".to_owned(), |id| snapshot.name_of(id));
    let moves = simulation
        .moves
        .iter()
        .map(|it| [it.unit.to_string(), name(it.from), name(it.to), event::movement(snapshot, &it.reason)]);
    let steps = simulation.steps.iter().map(|(machine, step)| {
        [
            name(Some(*machine)),
            step.action.to_string(),
            step.unit.to_string(),
            event::step_reason(snapshot, step.reason),
        ]
    });
    let moves = lay_out(["UNIT", "FROM", "TO", "REASON"], moves.collect());
    let steps = lay_out(["MACHINE", "STEP", "UNIT", "REASON"], steps.collect());
    let gap = if moves.is_empty() || steps.is_empty() { "" } else { "\n" };
    format!("{moves}{gap}{steps}")
}

/// The plan has no steps.
pub const NOTHING_TO_DO: &str = "Nothing to do.\n";

/// The time from which on the plan may be another one.
pub fn may_change(at: Timestamp, now: Timestamp) -> String {
    format!("The plan may change at {}.\n", super::clock(at, now))
}

/// Writes the moves of a simulation.
pub fn moves(snapshot: &Snapshot, simulation: &Simulation) -> String {
    let moves = text(snapshot, &Simulation { moves: simulation.moves.clone(), ..Simulation::default() });
    if moves.is_empty() { "Nothing would move.\n".to_owned() } else { moves }
}

/// The health that a machine would have.
pub fn health(machine: &str, health: Health, reason: Option<&HealthReason>) -> String {
    let reason = reason.map_or_else(|| "as before".to_owned(), ToString::to_string);
    format!("{machine} would be {health}: {reason}\n")
}

/// The reason why a unit would have no machine, or would stay on one that does not fit.
pub fn unschedulable(unit: &UnitName, why: &PlacementError) -> String {
    format!("Unit {unit}: {}\n", why.message())
}

/// Writes the moves and the steps as the beginning of a JSON object.
pub fn json(snapshot: &Snapshot, simulation: &Simulation) -> Map<String, Value> {
    let name = |id: MachineId| snapshot.machines.get(&id).map(|machine| machine.name.as_str());
    let moves = simulation.moves.iter().map(|it| {
        let reason = event::movement(snapshot, &it.reason);
        json!({"unit": it.unit, "from": it.from, "to": it.to, "reason": reason, "cause": it.reason})
    });
    let steps = simulation.steps.iter().map(|(machine, step)| {
        let (action, reason) = (step.action.to_string(), event::step_reason(snapshot, step.reason));
        json!({"machine": machine, "name": name(*machine), "unit": step.unit, "step": action, "reason": reason})
    });
    let (moves, steps) = (moves.collect(), steps.collect());
    [("moves".to_owned(), moves), ("steps".to_owned(), steps)].into_iter().collect()
}

/// Returns a simulation as JSON: with the units that would have no machine, and the machines whose health would change.
pub fn simulated_json(
    snapshot: &Snapshot,
    simulation: &Simulation,
    unschedulable: &BTreeMap<UnitName, PlacementError>,
) -> Map<String, Value> {
    let mut value = json(snapshot, simulation);
    let unschedulable = unschedulable.iter().map(|(unit, why)| json!({"unit": unit, "why": why.to_string()}));
    value.insert("unschedulable".to_owned(), unschedulable.collect());
    value.insert("health_changes".to_owned(), json!(simulation.health_changes));
    value
}

fn lay_out(header: [&str; 4], rows: Vec<[String; 4]>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let header = header.map(str::to_owned);
    let cells: Vec<Vec<String>> = std::iter::once(header).chain(rows).map(Vec::from).collect();
    table::lay_out(&cells, false)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_plan_says_from_when_on_it_may_be_another_one() {
        let now = Timestamp::from_millis(1_000_000_000);
        let at = now + Duration::from_secs(90);
        assert_eq!(may_change(at, now), format!("The plan may change at {}.\n", crate::ui::clock(at, now)));
    }
}
