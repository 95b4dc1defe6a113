//! Applies applications: checks their folders against the records of the cluster, and carries out what differs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::problems::Problem;
use super::progress::OnProgress;
use super::progress::OperationError;
use super::progress::Timeouts;
use super::verb;
use crate::application;
use crate::application::Application;
use crate::application::BadApplication;
use crate::application::OtherApplication;
use crate::application::Templates;
use crate::application::UnitChange;
use crate::core::command;
use crate::core::command::InvalidCommand;
use crate::core::command::UnitCommand;
use crate::core::model::Snapshot;
use crate::core::model::Verb;
use crate::core::unit::UnitName;
use crate::runner::ClusterContext;

/// What changes about the units of each application.
pub type Changes = Vec<(String, BTreeMap<UnitName, UnitChange>)>;

/// Applications that the cluster accepts.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The applications as the cluster stores them.
    pub applications: Vec<Application>,
    /// What changes about the units of each.
    pub changes: Changes,
}

impl Checked {
    /// Reports whether units are no longer in the folders of their applications.
    pub fn has_removals(&self) -> bool {
        removed(&self.changes).next().is_some()
    }
}

/// Why applications are refused. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// A folder is no application.
    #[error(transparent)]
    Folder(#[from] BadApplication),
    /// Two folders have the same name.
    #[error("{}: an application {name} is named twice", .folder.display())]
    Twice {
        /// The second folder.
        folder: PathBuf,
        /// The name.
        name: String,
    },
    /// Two applications have the same unit.
    #[error("Unit {unit}: {first} and {second} both have it")]
    Shared {
        /// The unit.
        unit: UnitName,
        /// The application that was named first.
        first: String,
        /// The other one.
        second: String,
    },
    /// The cluster does not accept a unit.
    #[error(transparent)]
    Invalid(#[from] InvalidCommand),
    /// A unit belongs to another application.
    #[error(transparent)]
    Other(#[from] OtherApplication),
}

/// Reads the applications of folders. No two have a unit of one name.
pub fn read(folders: &[PathBuf], templates: &dyn Templates) -> Result<Vec<Application>, ApplyError> {
    let mut applications: Vec<Application> = Vec::new();
    for folder in folders {
        let application = Application::read(folder, templates)?;
        if applications.iter().any(|other| other.name == application.name) {
            return Err(ApplyError::Twice { folder: folder.clone(), name: application.name });
        }
        let shared =
            |other: &Application| other.units.keys().find(|unit| application.units.contains_key(*unit)).cloned();
        if let Some((unit, first)) = applications.iter().find_map(|other| Some((shared(other)?, other.name.clone()))) {
            return Err(ApplyError::Shared { unit, first, second: application.name });
        }
        applications.push(application);
    }
    command::check_services(applications.iter().flat_map(|it| it.units.keys()))?;
    Ok(applications)
}

/// Checks applications against the records of the cluster. An error in any unit refuses all.
pub fn check(snapshot: &Snapshot, applications: Vec<Application>) -> Result<Checked, ApplyError> {
    let applications = application::with_secrets(snapshot, applications);
    for command in application::commands(snapshot, &applications).iter().flat_map(|(_, commands)| commands) {
        command::decide(snapshot, command)?;
    }
    let files = applications.iter().flat_map(|it| &it.units).map(|(name, unit)| (name, &*unit.file));
    command::check_aliases(snapshot, files)?;
    let changes =
        applications.iter().map(|it| Ok((it.name.clone(), application::changes(snapshot, it, &applications)?)));
    let changes = changes.collect::<Result<Changes, OtherApplication>>()?;
    Ok(Checked { applications, changes })
}

/// Carries the changes out. Returns the problems, and whether units that are no longer in the folders were destroyed: only if
/// nothing else has failed.
pub async fn carry_out(
    cluster: &ClusterContext,
    snapshot: &Snapshot,
    checked: &Checked,
    prune: bool,
    timeouts: Timeouts,
    on_progress: &mut OnProgress<'_>,
) -> Result<(Vec<Problem>, bool), OperationError> {
    let mut problems = Vec::new();
    for (verb, commands) in application::commands(snapshot, &checked.applications) {
        problems.extend(verb::execute(cluster, verb, &commands, timeouts, on_progress).await?);
    }
    let is_pruned = prune && problems.is_empty();
    let removed = removed(&checked.changes).filter(|_| is_pruned);
    problems.extend(destroy(cluster, removed, timeouts, on_progress).await?);
    Ok((problems, is_pruned))
}

/// Destroys units, and the contents that no unit needs any more. Returns the problems.
pub async fn destroy<'u>(
    cluster: &ClusterContext,
    units: impl Iterator<Item = &'u UnitName>,
    timeouts: Timeouts,
    on_progress: &mut OnProgress<'_>,
) -> Result<Vec<Problem>, OperationError> {
    let commands: Vec<UnitCommand> = units.map(|unit| UnitCommand::new(Verb::Destroy, unit.clone())).collect();
    if commands.is_empty() {
        verb::collect_files(cluster).await?;
        return Ok(Vec::new());
    }
    verb::execute(cluster, Verb::Destroy, &commands, timeouts, on_progress).await
}

/// Returns the units that are no longer in the folders of their applications.
fn removed(changes: &Changes) -> impl Iterator<Item = &UnitName> {
    let units = changes.iter().flat_map(|(_, units)| units);
    units.filter(|(_, change)| **change == UnitChange::Removed).map(|(unit, _)| unit)
}
