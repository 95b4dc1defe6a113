//! Applications for playbooks: as `muster apply` does, and the end of applications.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ClusterClient;
use super::store_error;
use super::verb_error;
use crate::application;
use crate::application::Application;
use crate::application::UnitChange;
use crate::control::apply;
use crate::control::apply::ApplyError;
use crate::control::apply::Changes;
use crate::control::apply::Checked;
use crate::control::problems::Problem;
use crate::control::progress::Progress;
use crate::core::model::Snapshot;
use crate::core::unit::UnitName;
use crate::playbook::application_templates::ApplicationTemplates;
use crate::playbook::cluster::ApplicationRequest;
use crate::playbook::cluster::AppliedApplications;
use crate::playbook::cluster::RequestError;
use crate::store::layout;

/// How the summary names the argument that destroys units.
const PRUNE: &str = "`prune: true`";

type Answer = Result<AppliedApplications, RequestError>;

impl ClusterClient {
    /// Applies applications. With `check` the answer is a prediction.
    pub(super) async fn apply_applications(&self, request: &ApplicationRequest, check: bool) -> Answer {
        let snapshot = layout::read(&*self.cluster.store, &self.cluster.keys).await;
        let snapshot = snapshot.map_err(|error| store_error(&error))?;
        match request {
            ApplicationRequest::Present { folders, prune, vars } => {
                let templates = ApplicationTemplates { extra: Arc::clone(vars), ..ApplicationTemplates::default() };
                let applications = apply::read(folders, &templates).map_err(|error| refused(&error))?;
                self.apply(&snapshot, applications, *prune, check).await
            }
            ApplicationRequest::Absent { names } => self.destroy(&snapshot, names, check).await,
        }
    }

    async fn apply(&self, snapshot: &Snapshot, applications: Vec<Application>, prune: bool, check: bool) -> Answer {
        let checked = apply::check(snapshot, applications).map_err(|error| refused(&error))?;
        if !check {
            let (timeouts, mut silent) = (self.timeouts(), |_: Progress<'_>| ());
            let carried_out = apply::carry_out(&self.cluster, snapshot, &checked, prune, timeouts, &mut silent);
            let (problems, _) = carried_out.await.map_err(|error| verb_error(&error))?;
            failed(&problems)?;
        }
        Ok(answer(snapshot, &checked, prune))
    }

    async fn destroy(&self, snapshot: &Snapshot, names: &[String], check: bool) -> Answer {
        let is_known = names.iter().any(|name| application::units_of(snapshot, name).next().is_some());
        if is_known && !check {
            let units = names.iter().flat_map(|name| application::units_of(snapshot, name));
            let problems = apply::destroy(&self.cluster, units, self.timeouts(), &mut |_| ()).await;
            failed(&problems.map_err(|error| verb_error(&error))?)?;
        }
        let application = |name: &String| Application { name: name.clone(), units: BTreeMap::new() };
        let changes = |name: &String| {
            let units = application::units_of(snapshot, name);
            (name.clone(), units.map(|unit| (unit.clone(), UnitChange::Removed)).collect())
        };
        let (applications, changes) = (names.iter().map(application).collect(), names.iter().map(changes).collect());
        Ok(answer(snapshot, &Checked { applications, changes }, true))
    }
}

fn refused(error: &ApplyError) -> RequestError {
    RequestError::Failed(match error {
        ApplyError::Other(other) => {
            format!("{error}; name the folders of both in `path`, or destroy {} first", other.unit)
        }
        error => error.to_string(),
    })
}

/// Returns the problems as an error, if there are any.
fn failed(problems: &[Problem]) -> Result<(), RequestError> {
    let text = |problem: &Problem| [&problem.what].into_iter().chain(&problem.details).cloned().collect::<Vec<_>>();
    let texts: Vec<String> = problems.iter().flat_map(text).collect();
    match problems {
        [] => Ok(()),
        problems if problems.iter().all(|problem| problem.unreachable) => {
            Err(RequestError::Unreachable(texts.join("; ")))
        }
        _ => Err(RequestError::Failed(texts.join("; "))),
    }
}

/// Returns the answer about changes that were made, or would be.
fn answer(snapshot: &Snapshot, checked: &Checked, prune: bool) -> AppliedApplications {
    let changes = checked.changes.iter().flat_map(|(_, units)| units.values());
    let summaries = checked.changes.iter().map(|(name, units)| application::summary(name, units, prune, PRUNE));
    let difference = |(application, (_, units)): (&Application, &(String, BTreeMap<UnitName, UnitChange>))| {
        let mut units = units.clone();
        units.retain(|_, change| change.is_pending(prune));
        application::differences(snapshot, application, &units)
    };
    AppliedApplications {
        changed: changes.into_iter().any(|change| change.is_pending(prune)),
        message: summaries.collect::<Vec<_>>().join("; "),
        units: units_by_change(&checked.changes, prune),
        difference: checked.applications.iter().zip(&checked.changes).map(difference).collect(),
    }
}

/// Returns the units by what is done to them. Each change has a list, which may be empty.
fn units_by_change(changes: &Changes, prune: bool) -> BTreeMap<&'static str, Vec<String>> {
    let mut units = BTreeMap::from(["destroyed", "not_in_folder"].map(|name| (name, Vec::new())));
    for change in UnitChange::ALL {
        let name = match change {
            UnitChange::New => "new",
            UnitChange::Changed => "changed",
            UnitChange::Start => "started",
            UnitChange::Same => "unchanged",
            UnitChange::Removed if prune => "destroyed",
            UnitChange::Removed => "not_in_folder",
        };
        let of_change = changes.iter().flat_map(|(_, units)| units).filter(|(_, other)| **other == change);
        units.insert(name, of_change.map(|(unit, _)| unit.to_string()).collect());
    }
    units
}
