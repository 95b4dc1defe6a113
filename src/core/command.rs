//! What a verb changes: `start web` is a wish, this turns it into the records it requirements for.
//!
//! Only the desired state is decided here; where a unit runs is the reconciler's business.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::core::model::DesiredState;
use crate::core::model::MachineId;
use crate::core::model::Snapshot;
use crate::core::model::Unit;
use crate::core::unit::BadClass;
use crate::core::unit::BadRequirements;
use crate::core::unit::Class;
use crate::core::unit::Requirements;
use crate::core::unit::UnitFile;
use crate::core::unit::UnitName;
use crate::core::unit::UnitType;

/// What a person requirements of units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Make them known.
    Submit,
    /// Put them on machines.
    Load,
    /// Start them.
    Start,
    /// Stop them and leave them where they are.
    Stop,
    /// Take them off their machines.
    Unload,
    /// Forget them.
    Destroy,
    /// Stop and start them where they are.
    Restart,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Submit => "submit",
            Self::Load => "load",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Unload => "unload",
            Self::Destroy => "destroy",
            Self::Restart => "restart",
        })
    }
}

impl Verb {
    /// Says whether the verb makes units known that are not.
    pub const fn creates(self) -> bool {
        matches!(self, Self::Submit | Self::Load | Self::Start)
    }

    /// Returns the state in which a unit is when the verb has been carried out; `None` once it is forgotten.
    pub const fn goal(self) -> Option<DesiredState> {
        match self {
            Self::Submit | Self::Unload => Some(DesiredState::Inactive),
            Self::Load | Self::Stop => Some(DesiredState::Loaded),
            Self::Start | Self::Restart => Some(DesiredState::Launched),
            Self::Destroy => None,
        }
    }
}

/// A unit file that the operator has at hand.
#[derive(Debug, Clone)]
pub struct LocalFile {
    /// The file.
    pub file: Arc<UnitFile>,
    /// Where it was read from, for messages.
    pub path: String,
    /// Set when it is the file of the unit's template.
    pub template: bool,
}

/// A verb for one unit.
#[derive(Debug, Clone)]
pub struct UnitCommand {
    /// What to do.
    pub verb: Verb,
    /// To which unit.
    pub unit: UnitName,
    /// Its file, if the operator has one at hand.
    pub file: Option<LocalFile>,
    /// Whether the file takes the place of one that differs.
    pub replace: bool,
}

/// What an order comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is so already.
    Nothing,
    /// The unit's record becomes this; the file comes with it if it is new.
    Put(Unit, Option<Arc<UnitFile>>),
    /// The unit's record goes.
    Delete,
}

/// What an order comes to, and what the operator should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What changes.
    pub change: Change,
    /// Set when the unit becomes known by it.
    pub created: bool,
    /// Warnings, in fleet's words where it had some.
    pub warnings: Vec<String>,
}

/// The order cannot be carried out. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCommand {
    /// Nobody has the unit's file.
    #[error("unable to find Unit({0}) in Registry or on filesystem")]
    NoFile(UnitName),
    /// The unit is a template and cannot be on a machine itself.
    #[error("Unit {unit} is a template: {verb} an instance of it, as in {example}")]
    Template {
        /// The unit.
        unit: UnitName,
        /// What was asked.
        verb: Verb,
        /// A name that would do.
        example: String,
    },
    /// The unit was not submitted.
    #[error("Unit {0} does not exist")]
    Unknown(UnitName),
    /// The verb needs the unit to be further than it is.
    #[error("Unable to {verb} unit {unit} in state {state}")]
    WrongState {
        /// What was asked.
        verb: Verb,
        /// The unit.
        unit: UnitName,
        /// What is wanted of it.
        state: DesiredState,
    },
    /// `[X-Fleet]` requirements what cannot be.
    #[error("Unit {0}: [X-Fleet] {1}")]
    Requirements(UnitName, BadRequirements),
    /// `Class=strict` cannot be had for the unit.
    #[error("Unit {0}: [X-Muster] Class=strict: {1}")]
    NotStrict(UnitName, &'static str),
    /// `[X-Muster]` requirements what cannot be.
    #[error("Unit {0}: [X-Muster] {1}")]
    Class(UnitName, BadClass),
    /// A unit's class cannot change under copies of it that another class holds.
    #[error(
        "Unit {unit}: it cannot become {class} while it may be on {}: `muster unload {unit}` first; what a machine that does \
         not answer had of it counts until it answers or leaves the cluster", .machines.join(", ")
    )]
    ClassChanges {
        /// The unit.
        unit: UnitName,
        /// What it would be.
        class: Class,
        /// The names of the machines that it was put on or was last seen on.
        machines: Vec<String>,
    },
    /// The store's record of the unit cannot be read, so nothing may be done to it.
    #[error("Unit {unit}: its record cannot be read: {why}")]
    Unreadable {
        /// The unit.
        unit: UnitName,
        /// Why.
        why: String,
    },
}

/// Decides what an order comes to.
pub fn decide(snapshot: &Snapshot, order: &UnitCommand) -> Result<Decision, InvalidCommand> {
    let UnitCommand { verb, unit: name, .. } = order;
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
        if !verb.creates() {
            return Err(InvalidCommand::Unknown(name.clone()));
        }
        let file = find_file(snapshot, order)?;
        check(snapshot, name, &file, &mut warnings)?;
        let desired = verb.goal().unwrap_or(DesiredState::Inactive);
        let unit = Unit { hash: file.hash(), desired, restarts: 0 };
        return Ok(Decision { change: Change::Put(unit, Some(file)), created: true, warnings });
    };
    let mut unit = *known;
    let file = if verb.creates() { replacement(snapshot, order, *known, &mut warnings)? } else { None };
    if let Some(file) = &file {
        check(snapshot, name, file, &mut warnings)?;
        unit.hash = file.hash();
    }
    match verb {
        Verb::Submit => {}
        Verb::Destroy => return Ok(Decision { change: Change::Delete, created: false, warnings }),
        Verb::Load | Verb::Start | Verb::Unload => unit.desired = verb.goal().unwrap_or(unit.desired),
        Verb::Stop | Verb::Restart if unit.desired == DesiredState::Inactive => {
            return Err(InvalidCommand::WrongState { verb: *verb, unit: name.clone(), state: unit.desired });
        }
        Verb::Stop => unit.desired = DesiredState::Loaded,
        Verb::Restart => {
            unit.restarts += u64::from(unit.desired == DesiredState::Launched);
            unit.desired = DesiredState::Launched;
        }
    }
    let change = if unit == *known && file.is_none() { Change::Nothing } else { Change::Put(unit, file) };
    Ok(Decision { change, created: false, warnings })
}

/// Returns the file for a unit that is not known: its own at hand, else the template's that was submitted, else the
/// template's at hand.
fn find_file(snapshot: &Snapshot, order: &UnitCommand) -> Result<Arc<UnitFile>, InvalidCommand> {
    let at_hand = |template| order.file.as_ref().filter(|local| local.template == template).map(|local| &local.file);
    let submitted = || order.unit.template().and_then(|template| snapshot.file(&template));
    let file = at_hand(false).or_else(submitted).or_else(|| at_hand(true));
    file.cloned().ok_or_else(|| InvalidCommand::NoFile(order.unit.clone()))
}

/// Returns the file that takes the place of the known one, if it differs and that was asked for, or if that one is lost.
fn replacement(
    snapshot: &Snapshot,
    order: &UnitCommand,
    known: Unit,
    warnings: &mut Vec<String>,
) -> Result<Option<Arc<UnitFile>>, InvalidCommand> {
    let Some(LocalFile { file, path, template }) = &order.file else { return Ok(None) };
    let name = &order.unit;
    let goal = order.verb.goal().unwrap_or(DesiredState::Inactive);
    if file.hash() == known.hash {
        if !snapshot.files.contains_key(&known.hash) {
            return Ok(Some(file.clone()));
        }
        if order.replace {
            warnings.push(format!("Found same Unit({name}) in Registry, nothing to do"));
        }
        return Ok(None);
    }
    if !order.replace {
        let kind = if *template { "local template unit file" } else { "local unit file" };
        warnings
            .push(format!("WARNING: Unit {name} in registry differs from {kind} {path}. Add --replace to override."));
        return Ok(None);
    }
    if known.desired > goal {
        return Err(InvalidCommand::WrongState { verb: order.verb, unit: name.clone(), state: known.desired });
    }
    Ok(Some(file.clone()))
}

/// Refuses a file that could never be placed, and warns of what in it counts for nothing.
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
        let why = match (requirements.global, name.kind()) {
            (true, _) => Some("a global unit runs everywhere at once"),
            (false, UnitType::Service) => None,
            (false, _) => Some("only systemd services can be kept from running twice"),
        };
        why.map_or(Ok(()), |why| Err(InvalidCommand::NotStrict(name.clone(), why)))?;
    }
    check_class(snapshot, name, class)?;
    warnings.extend(ignored.iter().map(|ignored| format!("WARNING: Unit {name}: {ignored}")));
    warnings.extend(file.warnings().iter().map(|warning| format!("WARNING: Unit {name}: {warning}")));
    Ok(())
}

/// Refuses a class that copies of the unit do not have which may still run: one that is not strict is held by no lease,
/// and the lease of one that is would no longer be waited for.
fn check_class(snapshot: &Snapshot, name: &UnitName, class: Class) -> Result<(), InvalidCommand> {
    let before = snapshot.file(name).map(|file| Class::binding(file));
    let wanted = snapshot.units.get(name).is_some_and(|unit| unit.desired != DesiredState::Inactive);
    let placed = snapshot.placements.get(name).map(|placement| placement.machine);
    let seen = snapshot.states.get(name).into_iter().flat_map(BTreeMap::keys).copied();
    let machines: BTreeSet<MachineId> = placed.into_iter().chain(seen).collect();
    let fresh = before.is_none() && class == Class::Available;
    if before == Some(class) || fresh || (machines.is_empty() && !wanted) {
        return Ok(());
    }
    let names = machines.into_iter().map(|machine| snapshot.name_of(machine));
    let machines = if names.len() == 0 { vec!["a machine".to_owned()] } else { names.collect() };
    Err(InvalidCommand::ClassChanges { unit: name.clone(), class, machines })
}
