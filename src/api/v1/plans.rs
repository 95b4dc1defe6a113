//! What would be done: now, after a change, or if machines went down. The answers are those of `muster plan` beside a controller
//! and of `muster simulate`, with the settings of this controller.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::Query;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::changes::MODES;
use super::changes::VERBS;
use super::changes::known;
use super::no_such_unit;
use super::parse;
use crate::api::Api;
use crate::api::Reply;
use crate::api::error::ApiError;
use crate::control::membership::SchedulingMode;
use crate::core::command;
use crate::core::command::DesiredChange;
use crate::core::command::UnitCommand;
use crate::core::machine_lookup::find_machine;
use crate::core::model::MachineId;
use crate::core::model::PlacementError;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;
use crate::core::reconcile::Reconciler;
use crate::core::reconcile::assignments::Scope;
use crate::core::simulation;
use crate::core::simulation::SimulatedHosts;
use crate::core::simulation::Simulation;
use crate::core::unit::UnitName;
use crate::ui;

/// An epoch that no leader has. No host obeys a plan.
const NO_EPOCH: u64 = 0;

impl Api {
    /// Returns the reconciler of a controller with the settings of this one.
    fn reconciler(&self, snapshot: &Snapshot) -> Reconciler {
        let settings = self.supervision.settings.borrow().clone();
        let mut reconciler = Reconciler::new(NO_EPOCH, Scope::All, settings.timing, snapshot.clone());
        settings.apply(&mut reconciler);
        reconciler
    }
}

/// A change whose consequences are asked for.
enum Change {
    Unit(UnitCommand),
    Machine(MachineId, SchedulingMode),
}

impl Change {
    /// Reads the parameters: none, or one verb with the name of a unit or a machine.
    fn read(snapshot: &Snapshot, parameters: &[(String, String)]) -> Result<Option<Self>, ApiError> {
        let (verb, name) = match parameters {
            [] => return Ok(None),
            [(verb, name)] => (verb, name),
            _ => return Err(ApiError::bad("name one change: ?VERB=NAME")),
        };
        if let Ok(mode) = known(&MODES, verb) {
            let machine = find_machine(snapshot, name).map_err(|error| ApiError::not_found(error.to_string()))?;
            return Ok(Some(Self::Machine(machine.id, mode)));
        }
        let verb = known(&VERBS, verb).map_err(|_| {
            let names: Vec<&str> = VERBS.iter().map(|(name, _)| *name).chain(MODES.map(|(name, _)| name)).collect();
            ApiError::bad(format!("there is no parameter {verb:?}: expected one of {}", names.join(", ")))
        })?;
        let unit = parse(name)?;
        if !snapshot.units.contains_key(&unit) {
            return Err(no_such_unit(&unit));
        }
        Ok(Some(Self::Unit(UnitCommand::new(verb, unit))))
    }

    /// Returns the records after the change, and the warnings about it.
    fn apply(self, snapshot: &Snapshot) -> Result<(Snapshot, Vec<String>), ApiError> {
        let mut changed = snapshot.clone();
        match self {
            Self::Machine(id, mode) => {
                if let Some(machine) = changed.machines.get_mut(&id) {
                    (machine.cordoned, machine.draining, machine.drain_by) = mode.flags();
                }
                Ok((changed, Vec::new()))
            }
            Self::Unit(command) => {
                let decision = command::decide(snapshot, &command)?;
                match decision.change {
                    DesiredChange::Nothing => {}
                    DesiredChange::Delete => drop(changed.units.remove(&command.unit)),
                    DesiredChange::Put(unit, _) => drop(changed.units.insert(command.unit, unit)),
                }
                Ok((changed, decision.warnings))
            }
        }
    }
}

/// The steps that would follow from some records, and the units that would have no machine.
fn simulated(api: &Api, snapshot: &Snapshot, now: Timestamp) -> (Simulation, BTreeMap<UnitName, PlacementError>) {
    let mut reconciler = api.reconciler(snapshot);
    let mut hosts = SimulatedHosts::of(snapshot, []);
    let planned = simulation::simulate_present(&mut reconciler, &mut hosts, now);
    (planned, reconciler.refused().clone())
}

/// Makes a plan on a thread beside that of the API, one after the other: a large one takes long, and the other clients go on.
async fn beside<T: Send + 'static>(
    api: &Arc<Api>,
    make: impl FnOnce(&Api) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let _turn = api.planning.lock().await;
    let shared = Arc::clone(api);
    let made = tokio::task::spawn_blocking(move || make(&shared)).await;
    made.map_err(|_| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "the plan could not be made"))?
}

pub(super) async fn plan(State(api): State<Arc<Api>>, Query(parameters): Query<Vec<(String, String)>>) -> Reply {
    let (snapshot, now) = (api.published()?.snapshot(), api.now());
    let change = Change::read(&snapshot, &parameters)?;
    let value = beside(&api, move |api| {
        let present = simulated(api, &snapshot, now);
        match change {
            None => Ok(ui::plan::json(&snapshot, &present.0)),
            Some(change) => consequences(api, &snapshot, change, &present, now),
        }
    });
    Ok(Json(value.await?).into_response())
}

/// Returns what follows from a change and not from the present records.
fn consequences(
    api: &Api,
    snapshot: &Snapshot,
    change: Change,
    (present, refused): &(Simulation, BTreeMap<UnitName, PlacementError>),
    now: Timestamp,
) -> Result<Map<String, Value>, ApiError> {
    let (changed, warnings) = change.apply(snapshot)?;
    let (mut planned, mut refused_then) = simulated(api, &changed, now);
    planned.moves.retain(|it| !present.moves.contains(it));
    planned.steps.retain(|it| !present.steps.contains(it));
    planned.health_changes.clear();
    refused_then.retain(|unit, _| !refused.contains_key(unit));
    let mut value = ui::plan::simulated_json(snapshot, &planned, &refused_then);
    value.insert("warnings".to_owned(), json!(warnings));
    value.insert("pending".to_owned(), json!(present.steps.len()));
    Ok(value)
}

pub(super) async fn simulate(State(api): State<Arc<Api>>, Query(parameters): Query<Vec<(String, String)>>) -> Reply {
    let snapshot = api.published()?.snapshot();
    if let Some((name, _)) = parameters.iter().find(|(name, _)| name != "down") {
        return Err(ApiError::bad(format!(
            "there is no parameter {name:?}: expected down=MACHINE, once or more often"
        )));
    }
    let find = |(_, name): &(String, String)| find_machine(&snapshot, name).map(|machine| machine.id);
    let down = parameters.iter().map(find).collect::<Result<Vec<MachineId>, _>>();
    let down = down.map_err(|error| ApiError::not_found(error.to_string()))?;
    if down.is_empty() {
        return Err(ApiError::bad("name the machines that would be down: ?down=MACHINE"));
    }
    let value = beside(&api, move |api| {
        let mut reconciler = api.reconciler(&snapshot);
        let mut hosts = SimulatedHosts::of(&snapshot, down);
        let simulated = simulation::simulate(&mut reconciler, &mut hosts, api.now());
        Ok(ui::plan::simulated_json(&snapshot, &simulated, reconciler.refused()))
    });
    Ok(Json(value.await?).into_response())
}
