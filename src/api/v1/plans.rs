//! What would be done: now, or if machines went down. The answers are those of `muster plan` beside a controller and of
//! `muster simulate`, with the settings of this controller.

use std::sync::Arc;

use axum::Json;
use axum::extract::Query;
use axum::extract::State;
use axum::response::IntoResponse as _;

use crate::api::Api;
use crate::api::Reply;
use crate::api::error::ApiError;
use crate::core::machine_lookup::find_machine;
use crate::core::model::MachineId;
use crate::core::model::Snapshot;
use crate::core::reconcile::Reconciler;
use crate::core::reconcile::assignments::Scope;
use crate::core::simulation;
use crate::core::simulation::SimulatedHosts;
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

pub(super) async fn plan(State(api): State<Arc<Api>>) -> Reply {
    let snapshot = api.published()?.snapshot();
    let mut reconciler = api.reconciler(&snapshot);
    let mut hosts = SimulatedHosts::of(&snapshot, []);
    let planned = simulation::simulate_present(&mut reconciler, &mut hosts, api.now());
    Ok(Json(ui::plan::json(&snapshot, &planned)).into_response())
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
    let mut reconciler = api.reconciler(&snapshot);
    let mut hosts = SimulatedHosts::of(&snapshot, down);
    let simulated = simulation::simulate(&mut reconciler, &mut hosts, api.now());
    Ok(Json(ui::plan::simulated_json(&snapshot, &simulated, reconciler.refused())).into_response())
}
