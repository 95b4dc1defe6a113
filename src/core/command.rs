//! Turns a command of the operator, such as `start web`, into changes of records.
//!
//! Only the desired state is decided here. The reconciler decides where a unit runs.

mod activation;
mod needing;
#[cfg(test)]
mod tests;
mod warnings;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

pub use activation::Activated;
pub use activation::activated;
pub use activation::commands_for_application;
pub use needing::needing;
pub use warnings::command_warnings;
pub use warnings::replacement_warnings;
pub use warnings::replaces;

use crate::core::model::DesiredState;
use crate::core::model::MachineId;
use crate::core::model::Snapshot;
use crate::core::model::Unit;
use crate::core::model::UnitState;
use crate::core::model::Verb;
use crate::core::secret_name::SecretName;
use crate::core::unit::BadClass;
use crate::core::unit::BadInstall;
use crate::core::unit::BadRequirements;
use crate::core::unit::Class;
use crate::core::unit::Contents;
use crate::core::unit::Requirements;
use crate::core::unit::UnitFile;
use crate::core::unit::UnitName;
use crate::core::unit::UnitType;
use crate::core::unit::Warning;
use crate::core::unit::WarningKind;
use crate::core::unit::aliases;
use crate::core::unit::credentials;
use crate::core::unit::pulls;
use crate::core::unit::quadlet_fault;
use crate::core::unit::registry_login;
use crate::core::unit::secrets;
use crate::core::unit::with_versions;

/// The units that systemd has without a file, so that no host would refuse a file of their names.
const OF_SYSTEMD: [&str; 2] = ["system.slice", "init.scope"];

/// A unit file on the operator's machine.
#[derive(Debug, Clone)]
pub struct LocalFile {
    /// The file.
    pub file: Arc<UnitFile>,
    /// The path of the file, for messages.
    pub path: String,
    /// Set if it is the file of the unit's template.
    pub template: bool,
    /// The contents of the files that go with the unit.
    pub contents: Contents,
}

/// A verb for one unit.
#[derive(Debug, Clone)]
pub struct UnitCommand {
    /// The verb.
    pub verb: Verb,
    /// The unit.
    pub unit: UnitName,
    /// The unit's local file, if there is one.
    pub file: Option<LocalFile>,
    /// Set to replace a stored file that differs (`--replace`).
    pub replace: bool,
    /// The record of the unit whose file the operator has edited: the command is refused if the record has changed since.
    pub edits: Option<Unit>,
}

impl UnitCommand {
    /// Makes the command of a verb that needs no local file.
    pub const fn new(verb: Verb, unit: UnitName) -> Self {
        Self { verb, unit, file: None, replace: false, edits: None }
    }

    /// Makes the command that gives a unit another file and keeps its desired state. The command is refused if the unit has
    /// changed since this record of it.
    pub fn replacing(unit: UnitName, known: Unit, file: LocalFile) -> Self {
        Self { file: Some(file), replace: true, edits: Some(known), ..Self::new(known.desired.verb_with_file(), unit) }
    }
}

/// What a command changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DesiredChange {
    /// Nothing changes.
    Nothing,
    /// The unit's record is replaced. The file is stored with it if it is new.
    Put(Unit, Option<Arc<UnitFile>>),
    /// The unit's record is deleted.
    Delete,
}

/// What a command changes, and the warnings for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The change.
    pub change: DesiredChange,
    /// Set if the command creates the unit.
    pub created: bool,
    /// The warnings. Those that fleet had are fleet's.
    pub warnings: Vec<String>,
}

/// The command cannot be carried out. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCommand {
    /// The unit's file is neither in the store nor on the operator's machine. The units after it have similar names.
    #[error("unable to find Unit({0}) in Registry or on filesystem")]
    NoFile(UnitName, Vec<UnitName>),
    /// The unit is a template, which cannot be on a machine itself.
    #[error("Unit {unit} is a template: {verb} an instance of it, as in {example}")]
    Template {
        /// The unit.
        unit: UnitName,
        /// The verb.
        verb: Verb,
        /// The name of an instance.
        example: String,
    },
    /// The unit was not submitted. The units after it have similar names.
    #[error("Unit {0} does not exist")]
    Unknown(UnitName, Vec<UnitName>),
    /// The verb does not apply to the unit's desired state: `stop` of an inactive unit, or `submit --replace` of a launched
    /// one.
    #[error("Unable to {verb} unit {unit} in state {state}")]
    WrongState {
        /// The verb.
        verb: Verb,
        /// The unit.
        unit: UnitName,
        /// The unit's desired state.
        state: DesiredState,
    },
    /// `[X-Fleet]` is invalid.
    #[error("Unit {0}: [X-Fleet] {1}")]
    Requirements(UnitName, BadRequirements),
    /// The unit cannot be strict.
    #[error("Unit {0}: [X-Muster] Class=strict: {1}")]
    NotStrict(UnitName, &'static str),
    /// `[X-Muster]` is invalid.
    #[error("Unit {0}: {1}")]
    Class(UnitName, BadClass),
    /// The unit has no process that could read a secret.
    #[error("Unit {0}: [X-Muster] Secret=: only a service or a container gets secrets")]
    NoProcess(UnitName),
    /// The unit pulls no image that would need a login.
    #[error("Unit {0}: [X-Muster] RegistryLogin=: only a .container, an .image or a .build file pulls an image")]
    NoPull(UnitName),
    /// The Quadlet file cannot become a unit.
    #[error("Unit {0}: {1}")]
    Quadlet(UnitName, String),
    /// Another unit has the same service.
    #[error("Unit {unit}: systemd would know it as {service}, as it knows {other}: rename one of the two")]
    SameService {
        /// The unit.
        unit: UnitName,
        /// The other unit.
        other: UnitName,
        /// The service of both.
        service: String,
    },
    /// Another command has changed the unit while the operator edited its file.
    #[error("Unit {0}: another command has changed it meanwhile")]
    ChangedMeanwhile(UnitName),
    /// `[Install]` is invalid.
    #[error("Unit {0}: [Install] {1}")]
    Install(UnitName, BadInstall),
    /// systemd would know two units by one name, which is the alias of one of them.
    #[error(
        "Unit {unit}: systemd would know it as {name}, and {other} has this name too: rename one of the two ([Install] Alias=)"
    )]
    SameName {
        /// The unit.
        unit: UnitName,
        /// The name.
        name: UnitName,
        /// The other unit.
        other: UnitName,
    },
    /// systemd itself has the unit on every host, without a file.
    #[error("Unit {0}: systemd itself has this unit on every host: choose another name")]
    OfSystemd(UnitName),
    /// The class of a unit cannot change while the unit may run somewhere with the old class.
    #[error(
        "Unit {unit}: it cannot become {class} while it may be on {}: `muster unload {unit}` first; a machine that does not \
         answer counts until it answers or leaves the cluster", .machines.join(", ")
    )]
    ClassChanges {
        /// The unit.
        unit: UnitName,
        /// The new class.
        class: Class,
        /// The names of the machines on which it was placed or last observed.
        machines: Vec<String>,
    },
    /// The unit's record in the store cannot be read, so no command applies to it.
    #[error("Unit {unit}: its record cannot be read: {why}")]
    Unreadable {
        /// The unit.
        unit: UnitName,
        /// The error.
        why: String,
    },
}

/// Returns a unit file with the versions of its secrets, as the cluster stores it.
pub fn with_secrets(snapshot: &Snapshot, file: &Arc<UnitFile>) -> Arc<UnitFile> {
    let version = |name: &SecretName| snapshot.secrets.get(name).map(|secret| secret.version.to_string());
    with_versions(file, version).map_or_else(|| Arc::clone(file), Arc::new)
}

/// Returns a command with its file as the cluster stores it.
fn as_stored<'a>(snapshot: &Snapshot, command: &'a UnitCommand) -> Cow<'a, UnitCommand> {
    match &command.file {
        Some(local) if !secrets(&local.file).is_empty() => {
            let file = Some(LocalFile { file: with_secrets(snapshot, &local.file), ..local.clone() });
            Cow::Owned(UnitCommand { file, ..command.clone() })
        }
        _ => Cow::Borrowed(command),
    }
}

/// Decides what a command changes.
pub fn decide(snapshot: &Snapshot, command: &UnitCommand) -> Result<Decision, InvalidCommand> {
    let command = &*as_stored(snapshot, command);
    let UnitCommand { verb, unit: name, .. } = command;
    if !snapshot.is_readable(name) {
        let why = snapshot.unreadable_of(name).map(|(key, record)| format!("{key}: {}", record.why));
        return Err(InvalidCommand::Unreadable { unit: name.clone(), why: why.collect::<Vec<_>>().join("; ") });
    }
    if name.is_template() && !matches!(verb, Verb::Submit | Verb::Destroy) {
        let example = name.as_str().replacen('@', "@1", 1);
        return Err(InvalidCommand::Template { unit: name.clone(), verb: *verb, example });
    }
    let mut warnings = Vec::new();
    let Some(known) = snapshot.units.get(name) else {
        if !verb.creates() || command.edits.is_some() {
            return Err(InvalidCommand::Unknown(name.clone(), snapshot.similar_units(name)));
        }
        let file = find_file(snapshot, command)?;
        check(snapshot, name, &file, &mut warnings)?;
        let desired = verb.goal().unwrap_or(DesiredState::Inactive);
        let unit = Unit::new(file.hash(), desired);
        return Ok(Decision { change: DesiredChange::Put(unit, Some(file)), created: true, warnings });
    };
    if command.edits.is_some_and(|edited| (edited.hash, edited.desired) != (known.hash, known.desired)) {
        return Err(InvalidCommand::ChangedMeanwhile(name.clone()));
    }
    let mut unit = *known;
    let file = if verb.creates() { replacement(snapshot, command, *known, &mut warnings)? } else { None };
    if let Some(file) = &file {
        check(snapshot, name, file, &mut warnings)?;
        take_file(&mut unit, snapshot.files.get(&known.hash), file);
    }
    match verb {
        Verb::Submit => {}
        Verb::Destroy => return Ok(Decision { change: DesiredChange::Delete, created: false, warnings }),
        Verb::Start if is_dead_somewhere(snapshot, name, unit) || has_failed_to_load(snapshot, name, unit) => {
            (unit.restarts, unit.revive) = (unit.restarts + 1, true);
        }
        Verb::Load if unit.desired == DesiredState::Launched => {
            warnings.push(format!("WARNING: Unit {name} was launched. `load` stops it and leaves it on its machine."));
            unit.desired = DesiredState::Loaded;
        }
        Verb::Load | Verb::Start | Verb::Unload => unit.desired = verb.goal().unwrap_or(unit.desired),
        Verb::Stop | Verb::Restart if unit.desired == DesiredState::Inactive => {
            return Err(InvalidCommand::WrongState { verb: *verb, unit: name.clone(), state: unit.desired });
        }
        Verb::Stop => unit.desired = DesiredState::Loaded,
        Verb::Restart => {
            unit.restarts = unit.restarts.saturating_add(u64::from(unit.desired == DesiredState::Launched));
            (unit.desired, unit.revive, unit.reload) = (DesiredState::Launched, false, None);
        }
    }
    let change = if unit == *known && file.is_none() { DesiredChange::Nothing } else { DesiredChange::Put(unit, file) };
    Ok(Decision { change, created: false, warnings })
}

/// Reports whether a launched unit was started on a machine and does not run there, as last observed. A oneshot that has
/// ended with success is not dead.
fn is_dead_somewhere(snapshot: &Snapshot, name: &UnitName, unit: Unit) -> bool {
    let oneshot = snapshot.file(name).is_some_and(|file| file.is_oneshot());
    let is_dead = |state: &UnitState| {
        let current = state.hash == unit.hash && state.launched && state.restarts >= unit.restarts;
        current && !state.is_changing() && !state.is_well(oneshot)
    };
    let states = || snapshot.states.get(name).into_iter().flat_map(BTreeMap::values);
    unit.desired == DesiredState::Launched && states().any(is_dead)
}

/// Reports whether the machine of a launched unit could not load its file and has not loaded it since. A start then asks for the
/// next attempt at once.
fn has_failed_to_load(snapshot: &Snapshot, name: &UnitName, unit: Unit) -> bool {
    let Some(placement) = snapshot.placements.get(name) else { return false };
    let failed = placement.failed_loads.iter().any(|it| (it.machine, it.hash) == (placement.machine, unit.hash));
    let state = snapshot.states.get(name).and_then(|states| states.get(&placement.machine));
    let is_loaded = state.is_some_and(|state| state.has_loaded(unit.hash));
    unit.desired == DesiredState::Launched && failed && !is_loaded
}

/// Gives a unit its new file. A unit that reloads changed files goes on, and is asked to reload.
fn take_file(unit: &mut Unit, before: Option<&Arc<UnitFile>>, file: &UnitFile) {
    let reloads = unit.desired == DesiredState::Launched && before.is_some_and(|before| file.reloads_after(before));
    unit.reload = reloads.then_some(unit.hash);
    unit.revive &= !reloads;
    unit.restarts = unit.restarts.saturating_add(u64::from(reloads));
    unit.hash = file.hash();
}

/// Returns the file for a new unit: its own local file, else the template's file in the store, else the template's local
/// file.
fn find_file(snapshot: &Snapshot, command: &UnitCommand) -> Result<Arc<UnitFile>, InvalidCommand> {
    let local = |template| command.file.as_ref().filter(|file| file.template == template).map(|file| &file.file);
    let submitted = || command.unit.template().and_then(|template| snapshot.file(&template));
    let file = local(false).or_else(submitted).or_else(|| local(true));
    let missing = || InvalidCommand::NoFile(command.unit.clone(), snapshot.similar_units(&command.unit));
    file.cloned().ok_or_else(missing)
}

/// Returns the file that replaces the stored one: if it differs and `--replace` is given, or if the stored one is lost.
fn replacement(
    snapshot: &Snapshot,
    command: &UnitCommand,
    known: Unit,
    warnings: &mut Vec<String>,
) -> Result<Option<Arc<UnitFile>>, InvalidCommand> {
    let Some(LocalFile { file, path, template, .. }) = &command.file else { return Ok(None) };
    let name = &command.unit;
    let goal = command.verb.goal().unwrap_or(DesiredState::Inactive);
    if file.hash() == known.hash {
        if !snapshot.files.contains_key(&known.hash) {
            return Ok(Some(file.clone()));
        }
        if command.replace {
            warnings.push(format!("Found same Unit({name}) in Registry, nothing to do"));
        }
        return Ok(None);
    }
    if !command.replace {
        let kind = if *template { "local template unit file" } else { "local unit file" };
        let hint = if known.desired > goal {
            format!("`start --replace {name}` overrides it.")
        } else {
            "Add --replace to override.".to_owned()
        };
        warnings.push(format!("WARNING: Unit {name} in registry differs from {kind} {path}. {hint}"));
        return Ok(None);
    }
    if known.desired > goal {
        return Err(InvalidCommand::WrongState { verb: command.verb, unit: name.clone(), state: known.desired });
    }
    Ok(Some(file.clone()))
}

/// Refuses a file that could never be placed, and adds a warning for each ignored part of it.
fn check(
    snapshot: &Snapshot,
    name: &UnitName,
    file: &UnitFile,
    warnings: &mut Vec<String>,
) -> Result<(), InvalidCommand> {
    let (requirements, ignored) =
        Requirements::of(name, file).map_err(|error| InvalidCommand::Requirements(name.clone(), error))?;
    let class = Class::of(file).map_err(|error| InvalidCommand::Class(name.clone(), error))?;
    if class == Class::Strict {
        let is_global = requirements.global.then_some("a global unit runs everywhere at once");
        let why = is_global.or_else(|| Class::not_strict(name, file));
        why.map_or(Ok(()), |why| Err(InvalidCommand::NotStrict(name.clone(), why)))?;
    }
    check_class(snapshot, name, class)?;
    check_service(snapshot, name)?;
    if OF_SYSTEMD.contains(&name.as_str()) {
        return Err(InvalidCommand::OfSystemd(name.clone()));
    }
    aliases(name, file).map_err(|error| InvalidCommand::Install(name.clone(), error))?;
    quadlet_fault(name, file).map_or(Ok(()), |why| Err(InvalidCommand::Quadlet(name.clone(), why)))?;
    warnings.extend(ignored.iter().map(|ignored| format!("WARNING: Unit {name}: {ignored}")));
    let gets_secrets = matches!(name.kind(), UnitType::Service | UnitType::Container | UnitType::Kube);
    if !gets_secrets && credentials(file).next().is_some() {
        return Err(InvalidCommand::NoProcess(name.clone()));
    }
    if registry_login(file).is_some() && !(name.is_quadlet() && pulls(file)) {
        return Err(InvalidCommand::NoPull(name.clone()));
    }
    let unset = secrets(file).into_iter().filter(|secret| !snapshot.secrets.contains_key(secret));
    warnings.extend(unset.map(|secret| format!("WARNING: Unit {name}: secret {secret} is not set")));
    // A volume or a network needs no options.
    let counts = |warning: &&Warning| !(name.is_quadlet() && warning.kind == WarningKind::NoOptions);
    let told = file.warnings().iter().filter(counts);
    warnings.extend(told.map(|warning| format!("WARNING: Unit {name}: {warning}")));
    warnings.extend(warnings::dependency_warnings(name, file));
    Ok(())
}

/// Refuses two new units of which systemd would know one by the name of the other.
pub fn check_services<'a>(units: impl Iterator<Item = &'a UnitName>) -> Result<(), InvalidCommand> {
    let mut named: BTreeMap<String, &UnitName> = BTreeMap::new();
    for unit in units {
        let service = unit.of_systemd().into_owned();
        if let Some(other) = named.insert(service.clone(), unit).filter(|other| *other != unit) {
            return Err(InvalidCommand::SameService { unit: unit.clone(), other: other.clone(), service });
        }
    }
    Ok(())
}

/// Refuses new files of units if systemd would know two units by one name because of an alias. A host refuses only the second of
/// the two, and only if both are there.
pub fn check_aliases<'a>(
    snapshot: &'a Snapshot,
    new: impl Iterator<Item = (&'a UnitName, &'a UnitFile)>,
) -> Result<(), InvalidCommand> {
    let new: BTreeMap<&UnitName, &UnitFile> = new.collect();
    if new.is_empty() {
        return Ok(());
    }
    let others = snapshot.units.keys().filter(|unit| !new.contains_key(unit));
    let others = others.filter_map(|unit| Some((unit, &**snapshot.file(unit)?)));
    let mut named: BTreeMap<UnitName, &UnitName> = BTreeMap::new();
    for (unit, file) in others {
        named.extend(names(unit, file).into_iter().map(|name| (name, unit)));
    }
    for (unit, file) in new {
        for name in names(unit, file) {
            if let Some(other) = named.insert(name.clone(), unit).filter(|other| *other != unit) {
                return Err(InvalidCommand::SameName { unit: unit.clone(), name, other: other.clone() });
            }
        }
    }
    Ok(())
}

/// Returns the names by which systemd knows a unit.
fn names(unit: &UnitName, file: &UnitFile) -> Vec<UnitName> {
    let own = unit.of_systemd().parse().ok();
    own.into_iter().chain(aliases(unit, file).unwrap_or_default()).collect()
}

/// Refuses a unit that systemd would know by the same name as another one: `web.container` makes `web.service`.
fn check_service(snapshot: &Snapshot, name: &UnitName) -> Result<(), InvalidCommand> {
    let other = snapshot.unit_of_service(name);
    if other == *name {
        return Ok(());
    }
    Err(InvalidCommand::SameService { unit: name.clone(), other, service: name.of_systemd().into_owned() })
}

/// Refuses a change of class while the unit may still run with the old class: an available unit has no lease, and the
/// lease of a strict one would no longer be waited for.
fn check_class(snapshot: &Snapshot, name: &UnitName, class: Class) -> Result<(), InvalidCommand> {
    let before = snapshot.file(name).map(|file| Class::binding(file));
    let active = snapshot.units.get(name).is_some_and(|unit| unit.desired != DesiredState::Inactive);
    let placed = snapshot.placements.get(name).map(|placement| placement.machine);
    let observed = snapshot.states.get(name).into_iter().flat_map(BTreeMap::keys).copied();
    let machines: BTreeSet<MachineId> = placed.into_iter().chain(observed).collect();
    let new = before.is_none() && class == Class::Available;
    if before == Some(class) || new || (machines.is_empty() && !active) {
        return Ok(());
    }
    let names = machines.into_iter().map(|machine| snapshot.name_of(machine));
    let machines = if names.len() == 0 { vec!["a machine".to_owned()] } else { names.collect() };
    Err(InvalidCommand::ClassChanges { unit: name.clone(), class, machines })
}
