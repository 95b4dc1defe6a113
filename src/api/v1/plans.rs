//! What would be done: now, after a change, or if machines went down. The answers are those of `muster plan` beside a controller
//! and of `muster simulate`, with the settings of this controller.

use std::sync::Arc;

use axum::Json;
use axum::extract::Query;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
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
use crate::control::preview::Planner;
use crate::core::machine_lookup::find_machine;
use crate::core::model::MachineId;
use crate::core::model::Snapshot;
use crate::core::model::Verb;
use crate::core::simulation;
use crate::core::simulation::SimulatedHosts;
use crate::core::unit::UnitName;
use crate::ui;

impl Api {
    /// Returns the settings of this controller.
    fn planner(&self) -> Planner {
        Planner::from(&*self.supervision.settings.borrow())
    }
}

/// A change whose consequences are asked for.
enum Change {
    Unit(Verb, UnitName),
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
        Ok(Some(Self::Unit(verb, unit)))
    }
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
        let planner = api.planner();
        let preview = match change {
            None => return Ok(ui::plan::json(&snapshot, &planner.present(&snapshot, now).0)),
            Some(Change::Unit(verb, unit)) => planner.unit(&snapshot, verb, &unit, now)?,
            Some(Change::Machine(machine, mode)) => planner.machine(&snapshot, mode, machine, now),
        };
        let mut value = ui::plan::simulated_json(&snapshot, &preview.simulation, &preview.refused);
        value.insert("warnings".to_owned(), json!(preview.warnings));
        value.insert("pending".to_owned(), json!(preview.pending));
        Ok(value)
    });
    Ok(Json(value.await?).into_response())
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
        let mut reconciler = api.planner().reconciler(&snapshot);
        let mut hosts = SimulatedHosts::of(&snapshot, down);
        let simulated = simulation::simulate(&mut reconciler, &mut hosts, api.now());
        Ok(ui::plan::simulated_json(&snapshot, &simulated, reconciler.refused()))
    });
    Ok(Json(value.await?).into_response())
}
