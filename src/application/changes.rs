//! Compares an application with the records of a cluster: which units are new, differ, or are no longer in the folder, and
//! which commands make the cluster as the folder is.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Application;
use super::ApplicationUnit;
use crate::core::command;
use crate::core::command::Activated;
use crate::core::command::LocalFile;
use crate::core::command::UnitCommand;
use crate::core::model::Snapshot;
use crate::core::model::Verb;
use crate::core::unit::UnitName;

/// What `muster apply` changes about a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitChange {
    /// The cluster does not know it yet.
    New,
    /// Its file differs.
    Changed,
    /// Its file is the same, and it is to be started.
    Start,
    /// Its file is the same.
    Same,
    /// The folder has it no longer.
    Removed,
}

/// A unit of an application belongs to another one in the cluster. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Unit {unit}: it belongs to the application {owner}")]
pub struct OtherApplication {
    /// The unit.
    pub unit: UnitName,
    /// The other application.
    pub owner: String,
}

/// Returns the applications as the cluster stores them: with the versions of their secrets.
pub fn with_secrets(snapshot: &Snapshot, applications: Vec<Application>) -> Vec<Application> {
    let with = |mut application: Application| {
        for unit in application.units.values_mut() {
            unit.file = command::with_secrets(snapshot, &unit.file);
        }
        application
    };
    applications.into_iter().map(with).collect()
}

/// Returns what changes about each unit of an application, if all of these are applied. A unit may come from another of them
/// that does not have it any more.
pub fn changes(
    snapshot: &Snapshot,
    application: &Application,
    all: &[Application],
) -> Result<BTreeMap<UnitName, UnitChange>, OtherApplication> {
    let mut changes = BTreeMap::new();
    let gives_up =
        |owner: &str, unit: &UnitName| all.iter().any(|other| other.name == owner && !other.units.contains_key(unit));
    let starts = started(all);
    for (unit, ApplicationUnit { file, .. }) in &application.units {
        let known = snapshot.file(unit);
        let owner = known.and_then(|known| known.application()).filter(|owner| *owner != application.name);
        let owner = owner.filter(|owner| !gives_up(owner, unit));
        if let Some(owner) = owner {
            return Err(OtherApplication { unit: unit.clone(), owner: owner.to_owned() });
        }
        let change = match snapshot.units.get(unit) {
            None => UnitChange::New,
            Some(known) if known.hash == file.hash() => match verb_for(snapshot, &starts, unit).goal() {
                Some(goal) if known.desired < goal => UnitChange::Start,
                _ => UnitChange::Same,
            },
            Some(_) => UnitChange::Changed,
        };
        changes.insert(unit.clone(), change);
    }
    let is_elsewhere = |unit: &&UnitName| all.iter().any(|other| other.units.contains_key(*unit));
    for unit in units_of(snapshot, &application.name).filter(|unit| !is_elsewhere(unit)) {
        changes.entry(unit.clone()).or_insert(UnitChange::Removed);
    }
    Ok(changes)
}

/// Returns the units of an application that the cluster knows.
pub fn units_of<'a>(snapshot: &'a Snapshot, application: &'a str) -> impl Iterator<Item = &'a UnitName> {
    let is_of = |unit: &&UnitName| snapshot.file(unit).and_then(|file| file.application()) == Some(application);
    snapshot.units.keys().filter(is_of)
}

/// Returns the commands that make the cluster as these applications are, in the order in which they are carried out: templates
/// are submitted, units that a timer, a socket or a path unit starts are loaded, and all others are started.
pub fn commands(snapshot: &Snapshot, applications: &[Application]) -> Vec<(Verb, Vec<UnitCommand>)> {
    let units = || applications.iter().flat_map(|application| &application.units);
    let starts = started(applications);
    let of = |verb: Verb| {
        let commands =
            units().filter(|(unit, _)| verb_for(snapshot, &starts, unit) == verb).map(move |(unit, local)| {
                let replace = snapshot.units.get(unit).is_some_and(|known| known.hash != local.file.hash());
                UnitCommand { file: Some(local_file(local)), replace, ..UnitCommand::new(verb, unit.clone()) }
            });
        (verb, commands.collect::<Vec<_>>())
    };
    [Verb::Submit, Verb::Load, Verb::Start].map(of).into_iter().filter(|(_, commands)| !commands.is_empty()).collect()
}

/// Returns the units that timers, sockets and path units of applications start.
fn started(applications: &[Application]) -> Activated {
    let units = applications.iter().flat_map(|application| &application.units);
    Activated::by(units.map(|(name, unit)| (name, &*unit.file)))
}

/// Returns what is done with a unit. One that another unit starts is only loaded, unless it was started before.
fn verb_for(snapshot: &Snapshot, started: &Activated, unit: &UnitName) -> Verb {
    match () {
        () if unit.is_template() => Verb::Submit,
        () if started.waits(snapshot, unit) => Verb::Load,
        () => Verb::Start,
    }
}

fn local_file(unit: &ApplicationUnit) -> LocalFile {
    LocalFile {
        file: Arc::clone(&unit.file),
        path: unit.path.display().to_string(),
        template: false,
        contents: unit.contents.clone(),
    }
}
