//! Warnings about commands that do less or more than their author may expect. Nothing is refused here.

use std::collections::BTreeSet;

use super::UnitCommand;
use super::activated;
use super::as_stored;
use super::needing::Needing;
use crate::core::model::DesiredState;
use crate::core::model::Snapshot;
use crate::core::model::UnitState;
use crate::core::model::Verb;
use crate::core::unit::Requirements;
use crate::core::unit::UnitFile;
use crate::core::unit::UnitName;

/// The options of `[Unit]` that name other units (systemd.unit(5)).
const DEPENDENCIES: [&str; 15] = [
    "After",
    "Before",
    "BindsTo",
    "Conflicts",
    "OnFailure",
    "OnSuccess",
    "PartOf",
    "PropagatesReloadTo",
    "PropagatesStopTo",
    "ReloadPropagatedFrom",
    "Requires",
    "Requisite",
    "StopPropagatedFrom",
    "Upholds",
    "Wants",
];

/// Returns the warnings about commands that are given together.
pub fn command_warnings(snapshot: &Snapshot, commands: &[UnitCommand]) -> Vec<String> {
    let mut warnings = activation_warnings(snapshot, commands);
    warnings.extend(stop_warnings(snapshot, commands));
    warnings
}

/// Returns a warning for each timer, socket or path unit that would start a unit which is on no machine, and for each that
/// still starts a unit which these commands stop or remove.
fn activation_warnings(snapshot: &Snapshot, commands: &[UnitCommand]) -> Vec<String> {
    let places = |unit: &UnitName| {
        let named = commands.iter().find(|command| command.unit == *unit);
        match named {
            Some(command) => matches!(command.verb.goal(), Some(DesiredState::Loaded | DesiredState::Launched)),
            None => snapshot.units.get(unit).is_some_and(|unit| unit.desired != DesiredState::Inactive),
        }
    };
    let mut warnings = Vec::new();
    for UnitCommand { verb, unit, file, .. } in commands {
        let ends = matches!(verb, Verb::Stop | Verb::Unload | Verb::Destroy);
        let file = file.as_ref().map(|file| &file.file).or_else(|| snapshot.file(unit));
        let started = file.and_then(|file| activated(unit, file)).filter(|_| !ends && *verb != Verb::Submit);
        let started = started.map(|service| {
            let mut named = commands.iter().map(|command| &command.unit);
            let named = named.find(|unit| unit.of_systemd() == service.as_str()).cloned();
            named.unwrap_or_else(|| snapshot.unit_of_service(&service))
        });
        if let Some(started) = started.filter(|started| !places(started)) {
            let requirements = file.and_then(|file| Requirements::of(unit, file).ok());
            let is_tied = requirements.is_some_and(|(requirements, _)| requirements.machine_of.contains(&started));
            let load = format!("`muster load {started}` first.");
            let remedy = if is_tied {
                load
            } else {
                format!("Unless the hosts have it: write `MachineOf={started}` into [X-Fleet] of {unit}, and {load}")
            };
            warnings.push(format!("WARNING: Unit {unit} starts {started}, which is on no machine. {remedy}"));
        }
        let activators = snapshot.units.keys().filter(|_| ends).filter(|activator| {
            let starts = snapshot.file(activator).and_then(|file| activated(activator, file));
            let is_launched = snapshot.units.get(*activator).is_some_and(|unit| unit.desired == DesiredState::Launched);
            starts.is_some_and(|service| unit.of_systemd() == service.as_str())
                && is_launched
                && !commands.iter().any(|other| other.unit == **activator)
        });
        warnings.extend(
            activators.map(|activator| format!("WARNING: Unit {activator}, which starts {unit}, is still launched.")),
        );
    }
    warnings
}

/// Returns a warning for each unit that systemd stops together with one of these commands' units, because it needs that one. muster
/// starts it again if that one only gets another file.
fn stop_warnings(snapshot: &Snapshot, commands: &[UnitCommand]) -> Vec<String> {
    let ends = |command: &UnitCommand| matches!(command.verb, Verb::Stop | Verb::Unload | Verb::Destroy);
    let stopping: Vec<&UnitCommand> =
        commands.iter().filter(|command| ends(command) || replaces(snapshot, command)).collect();
    if stopping.is_empty() {
        return Vec::new();
    }
    let named: BTreeSet<&UnitName> = commands.iter().map(|command| &command.unit).collect();
    let needing = Needing::of(snapshot);
    let warnings = stopping.into_iter().flat_map(|UnitCommand { verb, unit, .. }| {
        let others = needing.with(&BTreeSet::from([unit.clone()])).into_iter().filter(|other| !named.contains(other));
        let warning = |other| match verb {
            Verb::Stop => format!(
                "WARNING: Unit {other} is launched and needs {unit}, so systemd stops it too. `muster start {other}` starts both."
            ),
            Verb::Unload | Verb::Destroy => {
                format!("WARNING: Unit {other} is launched and needs {unit}, so systemd stops it too.")
            }
            _ => stops_and_starts(&other, unit),
        };
        others.map(warning).collect::<Vec<_>>()
    });
    warnings.collect()
}

/// Returns a warning for each unit that stops and starts with one of these, which get other files.
pub fn replacement_warnings(snapshot: &Snapshot, units: &BTreeSet<UnitName>) -> Vec<String> {
    let placed: Vec<&UnitName> = units.iter().filter(|unit| is_placed(snapshot, unit)).collect();
    if placed.is_empty() {
        return Vec::new();
    }
    let needing = Needing::of(snapshot);
    let warnings = placed.into_iter().flat_map(|unit| {
        let others = needing.with(&BTreeSet::from([unit.clone()])).into_iter().filter(|other| !units.contains(other));
        others.map(|other| stops_and_starts(&other, unit)).collect::<Vec<_>>()
    });
    warnings.collect()
}

fn stops_and_starts(other: &UnitName, unit: &UnitName) -> String {
    format!("WARNING: Unit {other} needs {unit}, so it stops and starts with it.")
}

fn is_placed(snapshot: &Snapshot, unit: &UnitName) -> bool {
    snapshot.units.get(unit).is_some_and(|known| known.desired != DesiredState::Inactive)
}

/// Reports whether a command stops a unit and starts it with another file: a file of the command, or the one that the unit got
/// from a new secret and that its machine does not have yet.
pub fn replaces(snapshot: &Snapshot, command: &UnitCommand) -> bool {
    let command = &*as_stored(snapshot, command);
    let unit = &command.unit;
    if command.verb.goal() != Some(DesiredState::Launched) || !is_placed(snapshot, unit) || unit.kind().is_group() {
        return false;
    }
    let local = command.file.as_ref().filter(|_| command.replace);
    let differs = |before: &UnitFile, after: &UnitFile| before.hash() != after.hash() && !after.reloads_after(before);
    let is_new = snapshot.file(unit).zip(local).is_some_and(|(before, local)| differs(before, &local.file));
    is_new || runs_an_earlier_file(snapshot, unit)
}

/// Reports whether a machine still runs a unit with an earlier file, and a reload does not take the new one.
fn runs_an_earlier_file(snapshot: &Snapshot, unit: &UnitName) -> bool {
    let Some(record) = snapshot.units.get(unit) else { return false };
    let is_earlier = |it: &UnitState| it.runs() && it.hash != record.hash && record.reload != Some(it.hash);
    snapshot.states.get(unit).is_some_and(|states| states.values().any(is_earlier))
}

/// Returns a warning for each option of `[Unit]` that names a Quadlet file, which systemd does not know by this name.
pub(super) fn dependency_warnings(name: &UnitName, file: &UnitFile) -> Vec<String> {
    let named = DEPENDENCIES.iter().flat_map(|option| {
        let words = file.values("Unit", option).flat_map(str::split_whitespace);
        words.filter_map(move |word| Some((option, word.parse::<UnitName>().ok().filter(UnitName::is_quadlet)?)))
    });
    let reader =
        if name.is_quadlet() { "only Podman 5.5 and later translates this" } else { "systemd does not know this" };
    let warning = |(option, other): (_, UnitName)| {
        format!("WARNING: Unit {name}: [Unit] {option}={other}: {reader}: write {}", other.of_systemd())
    };
    named.map(warning).collect()
}
