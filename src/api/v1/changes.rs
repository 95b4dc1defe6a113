//! Changes: the desired states of units, and whether machines take units. Each answer says that the change is stored; the leader carries it out.

use std::sync::Arc;

use axum::Extension;
use axum::Json;
use axum::body::Body;
use axum::extract::Path;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde::Deserialize;
use serde_json::json;

use super::no_such_unit;
use super::parse;
use crate::api::Api;
use crate::api::Reply;
use crate::api::SEEN_WITHIN;
use crate::api::access::Caller;
use crate::api::error::ApiError;
use crate::api::request;
use crate::control::membership;
use crate::control::membership::SchedulingMode;
use crate::control::read_model::Published;
use crate::core::command::LocalFile;
use crate::core::command::UnitCommand;
use crate::core::model::DesiredState;
use crate::core::model::Machine;
use crate::core::model::Verb;
use crate::core::unit::Contents;
use crate::core::unit::UnitFile;

/// The verbs of units that are submitted.
pub(super) const VERBS: [(&str, Verb); 6] = [
    ("start", Verb::Start),
    ("stop", Verb::Stop),
    ("restart", Verb::Restart),
    ("load", Verb::Load),
    ("unload", Verb::Unload),
    ("destroy", Verb::Destroy),
];

pub(super) async fn carry_out(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Path((unit, verb)): Path<(String, String)>,
) -> Reply {
    let unit = parse(&unit)?;
    let verb = known(&VERBS, &verb)?;
    if api.published()?.unit(&unit).is_none() {
        return Err(no_such_unit(&unit));
    }
    api.store(&caller, UnitCommand::new(verb, unit.clone())).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({"unit": unit, "verb": verb.to_string()}))).into_response())
}

/// What may be asked of a machine.
pub(super) const MODES: [(&str, SchedulingMode); 3] = [
    ("cordon", SchedulingMode::Cordoned),
    ("uncordon", SchedulingMode::Open),
    ("drain", SchedulingMode::Drained(None)),
];

pub(super) async fn schedule(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Path((machine, verb)): Path<(String, String)>,
) -> Reply {
    let mode = known(&MODES, &verb)?;
    let machine = membership::set_scheduling_mode(&api.cluster_for(&caller), &machine, mode).await?;
    let Machine { id, name, cordoned, draining, .. } = machine;
    let is_seen = |published: &Published| {
        published.snapshot().machines.get(&id).is_some_and(|it| (it.cordoned, it.draining) == (cordoned, draining))
    };
    api.view.until(SEEN_WITHIN, is_seen).await;
    if let Some(carrier) = api.carrier().filter(|_| draining) {
        carrier.empty(api.cluster_for(&caller), &api.published()?.snapshot(), id);
    }
    let machine = json!({"machine": id, "name": name, "cordoned": cordoned, "draining": draining});
    Ok((StatusCode::ACCEPTED, Json(machine)).into_response())
}

/// Returns the meaning of a verb.
pub(super) fn known<T: Copy>(verbs: &[(&str, T)], verb: &str) -> Result<T, ApiError> {
    verbs.iter().find(|(name, _)| *name == verb).map(|(_, meaning)| *meaning).ok_or_else(|| {
        let names: Vec<&str> = verbs.iter().map(|(name, _)| *name).collect();
        ApiError::not_found(format!("there is no verb {verb:?}: expected one of {}", names.join(", ")))
    })
}

/// A unit file that a client submits.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Submission {
    /// The text of the file.
    text: String,
    /// The desired state; without one a new unit is inactive, and another keeps its own.
    #[serde(default)]
    desired: Option<DesiredState>,
}

pub(super) async fn submit(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    let unit = parse(&name)?;
    let Submission { text, desired } = request::json(&headers, body).await?;
    let file = UnitFile::parse(&text).map_err(|error| ApiError::bad(format!("{unit}:{error}")))?;
    let known = api.published()?.unit(&unit);
    let desired = desired.or(known.map(|known| known.desired)).unwrap_or(DesiredState::Inactive);
    let hash = file.hash();
    let file = LocalFile { file: Arc::new(file), path: name, template: false, contents: Contents::default() };
    let command =
        UnitCommand { file: Some(file), replace: true, ..UnitCommand::new(desired.verb_with_file(), unit.clone()) };
    api.store(&caller, command).await?;
    let status = if known.is_none() { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(json!({"unit": unit, "hash": hash, "desired": desired}))).into_response())
}
