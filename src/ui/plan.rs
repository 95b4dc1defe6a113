//! What would be done, as tables and as JSON.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::event;
use super::table;
use crate::core::model::MachineId;
use crate::core::model::Snapshot;
use crate::core::simulation::Simulation;

/// Writes the moves and steps of a script, each as a table that is left out if it is empty.
pub fn text(snapshot: &Snapshot, script: &Simulation) -> String {
    let legend = |id: Option<MachineId>| id.map_or_else(|| "-".to_owned(), |id| legend(snapshot, id));
    let moves = script
        .moves
        .iter()
        .map(|it| [it.unit.to_string(), legend(it.from), legend(it.to), event::movement(snapshot, &it.reason)]);
    let steps = script.steps.iter().map(|(machine, step)| {
        [legend(Some(*machine)), step.action.to_string(), step.unit.to_string(), step.reason.to_string()]
    });
    let moves = lay_out(["UNIT", "FROM", "TO", "REASON"], moves.collect());
    let steps = lay_out(["MACHINE", "STEP", "UNIT", "REASON"], steps.collect());
    let gap = if moves.is_empty() || steps.is_empty() { "" } else { "\n" };
    format!("{moves}{gap}{steps}")
}

/// Writes a script as the beginning of a JSON object.
pub fn json(snapshot: &Snapshot, script: &Simulation) -> Map<String, Value> {
    let name = |id: MachineId| snapshot.machines.get(&id).map(|machine| machine.name.as_str());
    let moves = script.moves.iter().map(|it| {
        let reason = event::movement(snapshot, &it.reason);
        json!({"unit": it.unit, "from": it.from, "to": it.to, "reason": reason, "cause": it.reason})
    });
    let steps = script.steps.iter().map(|(machine, step)| {
        let (action, reason) = (step.action.to_string(), step.reason.to_string());
        json!({"machine": machine, "name": name(*machine), "unit": step.unit, "step": action, "reason": reason})
    });
    let (moves, steps) = (moves.collect(), steps.collect());
    [("moves".to_owned(), moves), ("steps".to_owned(), steps)].into_iter().collect()
}

fn lay_out(header: [&str; 4], rows: Vec<[String; 4]>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let header = header.map(str::to_owned);
    let cells: Vec<Vec<String>> = std::iter::once(header).chain(rows).map(Vec::from).collect();
    table::lay_out(&cells)
}

/// Returns what is printed for a machine, whether it is still one or not.
pub fn legend(snapshot: &Snapshot, id: MachineId) -> String {
    snapshot.machines.get(&id).map_or_else(|| format!("{}...", id.short()), |machine| machine.legend(false))
}
