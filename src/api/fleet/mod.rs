//! fleet's API v1, as fleet 1.0.0 answered: paths, bodies, paging, statuses and messages. Clients of fleet work with it
//! unchanged.
//!
//! Where fleet answered with 500 and an empty message, this says what is wrong.

mod page;
mod units;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::Path;
use axum::extract::Query;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse as _;
use axum::routing::get;
use serde::Serialize;

use super::Api;
use super::Reply;
use super::error::ApiError;
use crate::core::model::Machine;
use crate::core::model::MachineId;
use crate::core::model::Snapshot;
use crate::core::model::UnitState;
use crate::core::unit::UnitName;
use crate::ui::lists::is_present;
use page::Page;

/// The description of the API by which generated clients find its methods.
const DISCOVERY: &str = include_str!("discovery.json");

/// The parameters of a request, in order.
type Parameters = Query<Vec<(String, String)>>;

pub(super) fn router() -> Router<Arc<Api>> {
    Router::new()
        .route("/discovery", get(discovery).fallback(async || only(StatusCode::BAD_REQUEST, "HTTP GET")))
        .route("/machines", get(machines).patch(change_metadata).fallback(async || not_allowed("GET")))
        .route("/units", get(units::list).fallback(async || not_allowed("GET")))
        .route(
            "/units/{name}",
            get(units::show)
                .put(units::set)
                .delete(units::destroy)
                .fallback(async || not_allowed("GET, PUT and DELETE")),
        )
        .route("/state", get(states).fallback(async || not_allowed("GET")))
        .route("/state/{name}", get(state).fallback(async || not_allowed("GET")))
        .fallback(async || ApiError::not_found(""))
}

fn not_allowed(methods: &str) -> ApiError {
    only(StatusCode::METHOD_NOT_ALLOWED, methods)
}

fn only(status: StatusCode, methods: &str) -> ApiError {
    ApiError::new(status, format!("only {methods} supported against this resource"))
}

async fn discovery() -> impl axum::response::IntoResponse {
    ([(CONTENT_TYPE, "application/json")], DISCOVERY)
}

#[derive(Serialize)]
struct MachineEntity<'a> {
    id: MachineId,
    #[serde(rename = "primaryIP", skip_serializing_if = "str::is_empty")]
    primary_ip: &'a str,
    #[serde(skip_serializing_if = "is_empty")]
    metadata: &'a BTreeMap<String, String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference to the field")]
fn is_empty(metadata: &&BTreeMap<String, String>) -> bool {
    metadata.is_empty()
}

impl<'a> MachineEntity<'a> {
    fn new(Machine { id, ip, metadata, .. }: &'a Machine) -> Self {
        Self { id: *id, primary_ip: ip, metadata }
    }
}

async fn machines(State(api): State<Arc<Api>>, Query(parameters): Parameters) -> Reply {
    let page = Page::requested(&parameters)?;
    let snapshot = api.published()?.snapshot();
    let present = snapshot.machines.values().filter(|machine| is_present(&snapshot, machine.id));
    Ok(Json(page.of("machines", present, MachineEntity::new)).into_response())
}

/// Refuses to change the metadata of machines. They would differ from the inventory, and the next `join` would undo it.
async fn change_metadata() -> ApiError {
    let why = "only GET supported against this resource: the metadata of a machine come from the inventory";
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, format!("{why} (muster_metadata), and `muster join` reads them"))
}

#[derive(Serialize)]
struct StateEntity<'a> {
    name: &'a UnitName,
    hash: String,
    #[serde(rename = "machineID")]
    machine: MachineId,
    #[serde(rename = "systemdLoadState")]
    load: String,
    #[serde(rename = "systemdActiveState")]
    active: String,
    #[serde(rename = "systemdSubState")]
    sub: String,
}

impl<'a> StateEntity<'a> {
    fn new((name, machine, state): (&'a UnitName, MachineId, &'a UnitState)) -> Self {
        let UnitState { load, active, sub, hash, .. } = state;
        let (load, active, sub) = (load.to_string(), active.to_string(), sub.to_string());
        Self { name, hash: hash.to_string(), machine, load, active, sub }
    }
}

/// Returns the states on machines that are present, by unit and machine: those that fleet had.
fn reported(snapshot: &Snapshot) -> impl Iterator<Item = (&UnitName, MachineId, &UnitState)> {
    let all =
        snapshot.states.iter().flat_map(|(unit, states)| states.iter().map(move |(id, state)| (unit, *id, state)));
    all.filter(|(_, machine, state)| {
        snapshot.machines.contains_key(machine) && is_present(snapshot, *machine) && state.has_file()
    })
}

async fn states(State(api): State<Arc<Api>>, Query(parameters): Parameters) -> Reply {
    let page = Page::requested(&parameters)?;
    let wanted = |name: &str| {
        let found = parameters.iter().find(|(parameter, _)| parameter == name);
        found.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
    };
    let (unit, machine) = (wanted("unitName"), wanted("machineID"));
    let snapshot = api.published()?.snapshot();
    let states = reported(&snapshot).filter(|(name, id, _)| {
        unit.as_ref().is_none_or(|unit| name.as_str() == unit)
            && machine.as_ref().is_none_or(|machine| id.to_string() == *machine)
    });
    Ok(Json(page.of("states", states, StateEntity::new)).into_response())
}

async fn state(State(api): State<Arc<Api>>, Path(name): Path<String>) -> Reply {
    let snapshot = api.published()?.snapshot();
    let state = reported(&snapshot).find(|(unit, ..)| unit.as_str() == name);
    let state = state.ok_or_else(|| ApiError::not_found("unit state does not exist"))?;
    Ok(Json(StateEntity::new(state)).into_response())
}
