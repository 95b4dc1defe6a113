//! The units of fleet's API.

use std::sync::Arc;

use axum::Extension;
use axum::Json;
use axum::body::Body;
use axum::extract::Path;
use axum::extract::Query;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde::Deserialize;
use serde::Serialize;

use super::Parameters;
use super::page::Page;
use crate::api::Api;
use crate::api::Reply;
use crate::api::access::Caller;
use crate::api::error::ApiError;
use crate::api::request;
use crate::core::command::LocalFile;
use crate::core::command::UnitCommand;
use crate::core::model::DesiredState;
use crate::core::model::MachineId;
use crate::core::model::Snapshot;
use crate::core::model::Unit;
use crate::core::model::Verb;
use crate::core::unit::Contents;
use crate::core::unit::Requirements;
use crate::core::unit::UnitFile;
use crate::core::unit::UnitName;
use crate::core::unit::UnitOption;
use crate::ui::lists;

/// A unit as fleet shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entity<'a> {
    name: &'a UnitName,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    options: Vec<OptionEntity<'a>>,
    desired_state: DesiredState,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_state: Option<DesiredState>,
    #[serde(rename = "machineID", skip_serializing_if = "Option::is_none")]
    machine: Option<MachineId>,
}

#[derive(Serialize)]
struct OptionEntity<'a> {
    section: &'a str,
    name: &'a str,
    value: &'a str,
}

impl<'a> Entity<'a> {
    fn new(snapshot: &'a Snapshot, name: &'a UnitName, unit: &Unit) -> Self {
        let file = snapshot.files.get(&unit.hash);
        let options = file.map(|file| file.options()).unwrap_or_default();
        let options = options.iter().map(|UnitOption { section, name, value }| OptionEntity { section, name, value });
        let requirements = file.and_then(|file| Requirements::of(name, file).ok());
        let is_global = requirements.is_some_and(|(requirements, _)| requirements.global);
        let machine = snapshot.placements.get(name).map(|placement| placement.machine).filter(|_| !is_global);
        let current_state = (!is_global).then(|| lists::current_state(snapshot, name, machine));
        Self { name, options: options.collect(), desired_state: unit.desired, current_state, machine }
    }
}

pub(super) async fn list(State(api): State<Arc<Api>>, Query(parameters): Parameters) -> Reply {
    let page = Page::requested(&parameters)?;
    let snapshot = api.published()?.snapshot();
    let entity = |(name, unit): (_, _)| Entity::new(&snapshot, name, unit);
    Ok(Json(page.of("units", snapshot.units.iter(), entity)).into_response())
}

pub(super) async fn show(State(api): State<Arc<Api>>, Path(name): Path<String>) -> Reply {
    let snapshot = api.published()?.snapshot();
    let (name, unit) = find(&snapshot, &name)?;
    Ok(Json(Entity::new(&snapshot, name, unit)).into_response())
}

fn find<'a>(snapshot: &'a Snapshot, name: &str) -> Result<(&'a UnitName, &'a Unit), ApiError> {
    let found = name.parse::<UnitName>().ok().and_then(|name| snapshot.units.get_key_value(&name));
    found.ok_or_else(|| ApiError::not_found("unit does not exist"))
}

pub(super) async fn destroy(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Reply {
    let snapshot = api.published()?.snapshot();
    let (name, _) = find(&snapshot, &name)?;
    api.store(&caller, UnitCommand::new(Verb::Destroy, name.clone())).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// What a client wants a unit to be.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Wish {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    options: Option<Vec<UnitOption>>,
    #[serde(default)]
    desired_state: Option<String>,
}

pub(super) async fn set(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Path(path): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    let wish: Wish = request::json(&headers, body).await?;
    let command = command(&api.published()?.snapshot(), &path, wish)?;
    let status = if command.file.is_some() { StatusCode::CREATED } else { StatusCode::NO_CONTENT };
    api.store(&caller, command).await?;
    Ok(status.into_response())
}

/// Returns the command that a wish is. One with a file creates the unit or replaces its file.
fn command(snapshot: &Snapshot, path: &str, wish: Wish) -> Result<UnitCommand, ApiError> {
    let named = wish.name.filter(|name| !name.is_empty());
    if let Some(named) = named.filter(|named| named != path) {
        let why = format!("name in URL {path:?} differs from unit name in request body {named:?}");
        return Err(ApiError::bad(why));
    }
    let unit: UnitName = path.parse().map_err(|error| ApiError::bad(format!("{error}")))?;
    let desired = wish.desired_state.filter(|state| !state.is_empty());
    let desired = desired.map(|state| parse_state(&state)).transpose()?;
    let options = wish.options.filter(|options| !options.is_empty());
    let known = snapshot.units.get(&unit);
    let file = options.map(|options| UnitFile::of_options(&options)).transpose();
    let file = file.map_err(|error| ApiError::bad(error.to_string()))?;
    let file = file.filter(|file| known.is_none_or(|known| known.hash != file.hash()));
    let activates = desired.is_some_and(|desired| desired != DesiredState::Inactive);
    if unit.is_template() && activates {
        return Err(ApiError::bad(format!("cannot activate template {path:?}")));
    }
    match (file, known, desired) {
        (None, None, _) => Err(ApiError::conflict("unit does not exist and options field empty")),
        (None, Some(_), None) => Err(ApiError::conflict("must provide DesiredState to update existing unit")),
        (None, Some(_), Some(desired)) => {
            let verb = if desired == DesiredState::Inactive { Verb::Unload } else { desired.verb_with_file() };
            Ok(UnitCommand::new(verb, unit))
        }
        (Some(file), known, desired) => {
            let desired = desired.or(known.map(|known| known.desired)).unwrap_or(DesiredState::Inactive);
            let (file, path, contents) = (Arc::new(file), format!("{unit} in the request"), Contents::default());
            let file = Some(LocalFile { file, path, template: false, contents });
            Ok(UnitCommand { file, replace: true, ..UnitCommand::new(desired.verb_with_file(), unit) })
        }
    }
}

fn parse_state(state: &str) -> Result<DesiredState, ApiError> {
    match state {
        "inactive" => Ok(DesiredState::Inactive),
        "loaded" => Ok(DesiredState::Loaded),
        "launched" => Ok(DesiredState::Launched),
        _ => Err(ApiError::bad(format!("invalid desiredState {state:?}: expected inactive, loaded or launched"))),
    }
}
