//! muster's own API. Its lists and explanations are the JSON of the commands with `-o json`.

mod changes;
mod events;
mod journal;
mod operations;
mod plans;
mod records;
mod session;

pub(super) use journal::COMMANDS;
pub(super) use operations::Operations;

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::Path;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse as _;
use axum::response::Response;
use axum::routing::get;
use axum::routing::post;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;

use super::Api;
use super::Reply;
use super::error::ApiError;
use crate::control::read_model::Published;
use crate::core::explain;
use crate::core::machine_lookup::find_machine;
use crate::core::model::Event;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;
use crate::core::unit::UnitName;
use crate::ui::event::repeats;
use crate::ui::explanation;
use crate::ui::lists;

/// The description of this API.
const OPENAPI: &str = include_str!("openapi.json");

/// The number of latest events of a unit or a machine that are shown.
const LATEST: usize = 10;

pub(super) fn router() -> Router<Arc<Api>> {
    Router::new()
        .route("/openapi.json", get(async || ([(CONTENT_TYPE, "application/json")], OPENAPI)))
        .route("/session", get(session::session))
        .route("/cluster", get(cluster))
        .route("/overview", get(overview))
        .route("/machines", get(machines))
        .route("/machines/{machine}", get(machine))
        .route("/machines/{machine}/{verb}", post(changes::schedule))
        .route("/units", get(units))
        .route("/units/{unit}/why", get(why))
        .route("/units/{unit}/{verb}", post(changes::carry_out))
        .route("/units/{unit}/journal", get(journal::journal))
        .route("/units/{unit}/status", get(journal::status))
        .route("/operations", get(operations::list).post(operations::begin))
        .route("/operations/{operation}", get(operations::show))
        .route("/unit-files", get(unit_files))
        .route("/unit-files/{unit}", get(unit_file).put(changes::submit))
        .route("/applications", get(applications))
        .route("/placements", get(placements))
        .route("/problems", get(problems))
        .route("/plan", get(plans::plan))
        .route("/simulate", get(plans::simulate))
        .route("/events", get(events::events))
        .route("/records", get(records::list).post(records::commit))
        .route("/records/changes", get(records::changes))
        .method_not_allowed_fallback(async || {
            ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "this resource does not know the method")
        })
        .fallback(async || ApiError::not_found("there is no such resource: /api/v1/openapi.json lists them"))
}

/// Answers with what is made of the records of this moment.
fn show<T: Serialize>(api: &Api, make: impl FnOnce(&Snapshot, Timestamp) -> T) -> Reply {
    let snapshot = api.published()?.snapshot();
    Ok(Json(make(&snapshot, api.now())).into_response())
}

async fn cluster(State(api): State<Arc<Api>>) -> Reply {
    let published = api.published()?;
    Ok(Json(described(&api, &published, &published.snapshot())).into_response())
}

fn described(api: &Api, published: &Published, snapshot: &Snapshot) -> Value {
    let leader = published.leader.as_ref();
    let leader = leader.map(|it| json!({"kind": it.kind, "host": it.host, "since": it.since, "epoch": it.epoch}));
    let stale = published.stale.as_ref().map(|stale| json!({"since": stale.since, "why": stale.why}));
    json!({
        "name": api.cluster.name,
        "revision": events::revision(published, api.now()),
        "leader": leader,
        "stale": stale,
        "machines": snapshot.machines.len(),
        "units": snapshot.units.len(),
        "observed_at": snapshot.observed.as_ref().map(|observed| observed.at),
        "now": api.now(),
    })
}

/// The cluster with all machines and units.
#[derive(Serialize)]
struct Whole<'s> {
    cluster: Value,
    #[serde(flatten)]
    overview: lists::Overview<'s>,
}

async fn overview(State(api): State<Arc<Api>>) -> Reply {
    let published = api.published()?;
    let snapshot = published.snapshot();
    let cluster = described(&api, &published, &snapshot);
    Ok(Json(Whole { cluster, overview: lists::overview(&snapshot, api.now()) }).into_response())
}

async fn machines(State(api): State<Arc<Api>>) -> Reply {
    show(&api, |snapshot, now| lists::machines(snapshot, true, now))
}

async fn units(State(api): State<Arc<Api>>) -> Reply {
    show(&api, lists::units)
}

async fn unit_files(State(api): State<Arc<Api>>) -> Reply {
    show(&api, lists::unit_files)
}

async fn applications(State(api): State<Arc<Api>>) -> Reply {
    show(&api, lists::applications::applications)
}

async fn placements(State(api): State<Arc<Api>>) -> Reply {
    show(&api, |snapshot, _| json!(snapshot.placements))
}

async fn problems(State(api): State<Arc<Api>>) -> Reply {
    let published = api.published()?;
    Ok(Json(super::problems(&published, &published.snapshot(), api.now())).into_response())
}

async fn unit_file(State(api): State<Arc<Api>>, Path(unit): Path<String>) -> Result<Response, ApiError> {
    let unit = parse(&unit)?;
    let snapshot = api.published()?.snapshot();
    let file = snapshot.file(&unit).ok_or_else(|| no_such_unit(&unit))?;
    Ok(file.text().to_owned().into_response())
}

async fn machine(State(api): State<Arc<Api>>, Path(machine): Path<String>) -> Reply {
    let published = api.published()?;
    let snapshot = published.snapshot();
    let machine = find_machine(&snapshot, &machine).map_err(|error| ApiError::not_found(error.to_string()))?;
    let is_about = |event: &Event| event.subject.machine == Some(machine.id) && event.subject.unit.is_none();
    let events = latest(&published, is_about);
    Ok(Json(explanation::machine_json(&snapshot, machine, &events, api.now())).into_response())
}

async fn why(State(api): State<Arc<Api>>, Path(unit): Path<String>) -> Reply {
    let unit = parse(&unit)?;
    let published = api.published()?;
    let (snapshot, now) = (published.snapshot(), api.now());
    let mut found = explain::explain(&snapshot, &unit, now).ok_or_else(|| no_such_unit(&unit))?;
    let events = latest(&published, |event| event.subject.unit.as_ref() == Some(&unit));
    let reasons = found.not_running.into_iter();
    found.not_running = reasons.map(|reason| reason.with_events(&snapshot, &unit, &events)).collect();
    Ok(Json(explanation::unit_json(&snapshot, &unit, &found, &events, now)).into_response())
}

/// Returns the latest of some events, oldest first.
fn latest(published: &Published, is_about: impl Fn(&Event) -> bool) -> Vec<Event> {
    repeats::latest(published.events.events().filter(|event| is_about(event)).cloned().collect(), LATEST)
}

fn parse(unit: &str) -> Result<UnitName, ApiError> {
    unit.parse().map_err(|error| ApiError::bad(format!("{unit:?}: {error}")))
}

fn no_such_unit(unit: &UnitName) -> ApiError {
    ApiError::not_found(format!("Unit {unit} does not exist"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_document_describes_each_route_and_no_other() {
        let document: serde_json::Value = serde_json::from_str(OPENAPI).unwrap();
        let documented = document["paths"].as_object().unwrap().iter();
        let documented: BTreeSet<(&str, Vec<&str>)> = documented
            .map(|(path, methods)| (path.as_str(), methods.as_object().unwrap().keys().map(String::as_str).collect()))
            .collect();
        let routes = include_str!("mod.rs").split(".route(\"").skip(1).filter_map(|text| text.split_once("\", "));
        let methods = |text: &str| {
            let route = text.lines().next().unwrap_or_default().to_owned();
            ["get", "put", "post", "delete"].into_iter().filter(move |method| route.contains(&format!("{method}(")))
        };
        let routes: BTreeSet<(&str, Vec<&str>)> = routes
            .filter(|(path, _)| path.starts_with('/'))
            .map(|(path, rest)| (path, methods(rest).collect()))
            .collect();
        assert_eq!(documented, routes);
    }
}
