//! Tasks that run on the cluster: one request for all hosts of a task. Equal requests of several hosts are sent once.

use std::collections::BTreeMap;

use serde_json::Value;

use super::action::Action;
use super::cluster::ApplicationRequest;
use super::cluster::Applied;
use super::cluster::AppliedApplications;
use super::cluster::Cluster;
use super::cluster::JoinRequest;
use super::cluster::MachineGoal;
use super::cluster::RequestError;
use super::cluster::Swept;
use super::cluster::UnitRequest;
use super::diff::Diff;
use super::diff::Diffs;
use super::loop_item::LoopItem;
use super::outcome::Outcome;
use super::outcome::Status;
use crate::core::unit::UnitName;
use crate::inventory::Host;
use crate::inventory::Vars;

/// What a task has requested in all batches so far, by name, each with the first host that requested it.
#[derive(Debug, Default)]
pub(super) struct Requested {
    units: BTreeMap<UnitName, (UnitRequest, String)>,
    applications: BTreeMap<String, (ApplicationRequest, String)>,
}

impl Requested {
    /// Reports whether a host is the first one that requested these applications.
    pub(super) fn is_first(&self, host: &str, request: &ApplicationRequest) -> bool {
        let first = request.names().first().and_then(|name| self.applications.get(name));
        first.is_some_and(|(_, first)| first == host)
    }
}

/// The answers to requests for applications.
#[derive(Debug, Default)]
pub(super) struct ApplicationAnswers(Vec<(ApplicationRequest, Result<AppliedApplications, RequestError>)>);

impl ApplicationAnswers {
    /// Returns the answer to a request.
    pub(super) fn get(&self, request: &ApplicationRequest) -> Option<&Result<AppliedApplications, RequestError>> {
        self.0.iter().find(|(known, _)| known == request).map(|(_, answer)| answer)
    }

    /// Adds an answer, unless the request has one.
    fn add(&mut self, request: &ApplicationRequest, answer: Result<AppliedApplications, RequestError>) {
        if self.get(request).is_none() {
            self.0.push((request.clone(), answer));
        }
    }
}

/// The answers of the cluster to the requests of a task.
#[derive(Debug, Default)]
pub(super) struct Answers {
    pub(super) units: BTreeMap<UnitName, Result<Applied, RequestError>>,
    pub(super) applications: ApplicationAnswers,
    pub(super) joins: BTreeMap<String, Result<Applied, RequestError>>,
    pub(super) machines: BTreeMap<(String, MachineGoal), Result<Applied, RequestError>>,
    pub(super) swept: Option<Result<Swept, RequestError>>,
}

/// Requests units from the cluster and returns the answer for each.
///
/// A unit name stands for one unit of the cluster. Two different requests for one name, in this batch or in two, are an
/// error: otherwise each run of the playbook would change the unit twice.
pub(super) async fn request_units<'h>(
    cluster: &dyn Cluster,
    items: impl Iterator<Item = (&'h Host, &LoopItem)>,
    requested: &mut Requested,
    check: bool,
) -> BTreeMap<UnitName, Result<Applied, RequestError>> {
    let mut requests: Vec<UnitRequest> = Vec::new();
    let mut answers = BTreeMap::new();
    for (host, item) in items {
        let Ok(Action::Unit(request)) = &item.state else { continue };
        let first = || (request.clone(), host.name.clone());
        let (first, first_host) = requested.units.entry(request.name.clone()).or_insert_with(first);
        if first != request {
            let conflict = || Err(RequestError::Failed(conflict(first, first_host, request, &host.name)));
            answers.entry(request.name.clone()).or_insert_with(conflict);
        } else if !requests.contains(request) {
            requests.push(request.clone());
        }
    }
    requests.retain(|request| !answers.contains_key(&request.name));
    if !requests.is_empty() {
        let applied = cluster.units(&requests, check).await;
        answers.extend(requests.into_iter().map(|request| request.name).zip(applied));
    }
    answers
}

fn conflict(first: &UnitRequest, first_host: &str, other: &UnitRequest, host: &str) -> String {
    let what = if first.file == other.file { "has two desired states" } else { "has two different texts" };
    format!(
        "unit {} {what}, {}, and a cluster has one unit of a name: make it one for each host, such as \
         `name@{{{{ inventory_hostname }}}}.service`, or the same for all",
        first.name,
        whose(first_host, host)
    )
}

/// Says which hosts two different requests are from.
fn whose(first: &str, host: &str) -> String {
    if first == host { format!("both on {host}") } else { format!("one for {first} and another for {host}") }
}

/// Requests applications from the cluster and returns the answers. Two different requests for one application are an error, as
/// those for one unit are.
pub(super) async fn request_applications<'h>(
    cluster: &dyn Cluster,
    items: impl Iterator<Item = (&'h Host, &LoopItem)>,
    requested: &mut Requested,
    check: bool,
) -> ApplicationAnswers {
    let mut requests: Vec<ApplicationRequest> = Vec::new();
    let mut answers = ApplicationAnswers::default();
    for (host, item) in items {
        let Ok(Action::Application(request)) = &item.state else { continue };
        for name in request.names() {
            let first = || (request.clone(), host.name.clone());
            let (first, first_host) = requested.applications.entry(name.clone()).or_insert_with(first);
            if first != request {
                let whose = whose(first_host, &host.name);
                let why = format!("there are two different requests for the application {name}, {whose}");
                answers.add(request, Err(RequestError::Failed(why)));
            }
        }
        if !requests.contains(request) {
            requests.push(request.clone());
        }
    }
    for request in requests {
        if answers.get(&request).is_none() {
            answers.add(&request, cluster.applications(&request, check).await);
        }
    }
    answers
}

/// Returns the outcome of a task for an answer about applications, with the difference if it is shown.
pub(super) fn outcome_of_applications(
    answer: Option<&Result<AppliedApplications, RequestError>>,
    shows_difference: bool,
) -> Outcome {
    let AppliedApplications { changed, message, units, difference } = match answer {
        Some(Ok(applied)) => applied,
        Some(Err(error)) => return outcome_of(Some(&Err(error.clone()))),
        None => return outcome_of(None),
    };
    let units = units.iter().map(|(change, names)| ((*change).to_owned(), Value::from(names.clone())));
    let units = Value::Object(units.collect());
    let detail = Vars::from_iter([("msg".to_owned(), message.clone().into()), ("units".to_owned(), units)]);
    let shown = Some(difference).filter(|text| shows_difference && !text.is_empty());
    let diff = shown.map_or(Diffs::None, |text| Diffs::One(Box::new(Diff::Prepared(text.clone()))));
    Outcome { diff, ..Outcome::done(*changed, detail) }
}

/// Requests that hosts join the cluster and returns the answers by the hosts' names.
pub(super) async fn request_joins(
    cluster: &dyn Cluster,
    requests: Vec<JoinRequest>,
    check: bool,
) -> BTreeMap<String, Result<Applied, RequestError>> {
    if requests.is_empty() {
        return BTreeMap::new();
    }
    let joined = cluster.join(&requests, check).await;
    requests.into_iter().map(|request| request.target.name).zip(joined).collect()
}

/// Requests goals for the machines of hosts and returns the answers.
pub(super) async fn request_machines<'h>(
    cluster: &dyn Cluster,
    items: impl Iterator<Item = (&'h Host, &LoopItem)>,
    check: bool,
) -> BTreeMap<(String, MachineGoal), Result<Applied, RequestError>> {
    let mut requests: Vec<(String, MachineGoal)> = Vec::new();
    for (host, item) in items {
        let Ok(Action::Machine(goal)) = item.state else { continue };
        let request = (host.name.clone(), goal);
        if !requests.contains(&request) {
            requests.push(request);
        }
    }
    if requests.is_empty() {
        return BTreeMap::new();
    }
    let answers = cluster.machines(&requests, check).await;
    requests.into_iter().zip(answers).collect()
}

/// Sweeps the cluster if one of the items wants it.
pub(super) async fn sweep<'i>(
    cluster: &dyn Cluster,
    mut items: impl Iterator<Item = &'i LoopItem>,
    check: bool,
) -> Option<Result<Swept, RequestError>> {
    if items.any(|item| matches!(item.state, Ok(Action::Sweep))) { Some(cluster.sweep(check).await) } else { None }
}

/// Returns the outcome of a task that has swept the cluster. Problems that remain are a failure.
pub(super) fn outcome_of_sweep(answer: Option<&Result<Swept, RequestError>>) -> Outcome {
    let Swept { changed, problems } = match answer {
        Some(Ok(swept)) => swept,
        Some(Err(error)) => return outcome_of(Some(&Err(error.clone()))),
        None => return outcome_of(None),
    };
    let message = match problems.as_slice() {
        [] => "every unit is as desired".to_owned(),
        problems => problems.join("; "),
    };
    let list = problems.iter().cloned().collect::<Value>();
    let detail = Vars::from_iter([("msg".to_owned(), message.into()), ("problems".to_owned(), list)]);
    let done = Outcome::done(*changed, detail);
    if problems.is_empty() { done } else { Outcome { status: Status::Failed, ..done } }
}

/// Returns the outcome of a task for an answer of the cluster.
pub(super) fn outcome_of(answer: Option<&Result<Applied, RequestError>>) -> Outcome {
    match answer {
        Some(Ok(Applied { changed, message })) => {
            Outcome::done(*changed, Vars::from_iter([("msg".to_owned(), message.clone().into())]))
        }
        Some(Err(RequestError::Failed(why))) => Outcome::failed(why.clone()),
        Some(Err(RequestError::Unreachable(why))) => {
            Outcome { status: Status::Unreachable, ..Outcome::failed(why.clone()) }
        }
        None => Outcome::failed("the cluster did not answer"),
    }
}
