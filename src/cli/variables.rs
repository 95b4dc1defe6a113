//! The variables of the environment whose names begin with `MUSTER_` or `FLEETCTL_`: those that muster reads, and those
//! that it does not. A misspelt variable would let muster act on another cluster than the one that the operator means.

use std::collections::BTreeSet;
use std::path::Path;

use clap::Command;
use clap::CommandFactory as _;

use super::Cli;
use crate::core::model::MACHINE_VARIABLES;
use crate::core::model::METADATA_VARIABLE;
use crate::core::secrets::SECRET_VARIABLES;
use crate::core::similar::similar;
use crate::notify::ALERT_VARIABLES;
use crate::runner::FENCE_VARIABLES;

/// What the names of muster's variables begin with.
const PREFIX: &str = "MUSTER_";

/// The variable that selects log messages.
pub const LOG: &str = "MUSTER_LOG";

/// Returns every variable that muster reads or sets: those of the options, those without an option, and those that a
/// fence command, a receiver of alerts or a unit gets, because it may call muster.
pub fn known() -> BTreeSet<String> {
    let mut known: BTreeSet<String> = SECRET_VARIABLES
        .into_iter()
        .chain(FENCE_VARIABLES)
        .chain(ALERT_VARIABLES)
        .chain(MACHINE_VARIABLES)
        .chain([LOG])
        .map(str::to_owned)
        .collect();
    let mut commands = vec![Cli::command()];
    while let Some(command) = commands.pop() {
        let names = command.get_arguments().filter_map(|arg| arg.get_env()?.to_str());
        known.extend(names.map(str::to_owned));
        commands.extend(Command::get_subcommands(&command).cloned());
    }
    known
}

/// Returns a warning for each variable with muster's prefix that is set and that muster does not read.
pub(super) fn warnings() -> Vec<String> {
    let is_own = |name: &String| name.starts_with(PREFIX) && !name.starts_with(METADATA_VARIABLE);
    let set: BTreeSet<String> = set().filter(is_own).collect();
    // Nearly always no variable is set, and the definitions of all options take time to make.
    let known = if set.is_empty() { BTreeSet::new() } else { known() };
    set.difference(&known).map(|name| warning(name, &known)).collect()
}

/// Returns the variables of fleet's client that are set and not empty, with their values.
pub(super) fn of_fleet() -> Vec<(String, String)> {
    let variables = std::env::vars_os().filter(|(_, value)| !value.is_empty());
    let text = variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    let mut own: Vec<(String, String)> = text
        .filter(|(name, _)| name.starts_with("FLEETCTL_"))
        .map(|(name, value)| (name, value.to_string_lossy().into_owned()))
        .collect();
    own.sort();
    own
}

/// Reports whether a variable is set and not empty.
pub(super) fn is_set(name: &str) -> bool {
    set().any(|set| set == name)
}

/// Reports whether a variable names this path.
#[expect(clippy::disallowed_methods, reason = "the variable is not read as a setting")]
pub(super) fn names(name: &str, path: &Path) -> bool {
    std::env::var_os(name).is_some_and(|value| Path::new(&value) == path)
}

/// Returns the names of the variables that are set and not empty.
fn set() -> impl Iterator<Item = String> {
    let set = std::env::vars_os().filter(|(_, value)| !value.is_empty());
    set.filter_map(|(name, _)| name.into_string().ok())
}

fn warning(name: &str, known: &BTreeSet<String>) -> String {
    // All names have the same beginning, so only the rest of them tells which are similar.
    let rest = |name: &str| name.strip_prefix(PREFIX).unwrap_or_default().to_owned();
    let candidates: Vec<String> = known.iter().map(|name| rest(name)).collect();
    let word = rest(name);
    let likely = similar(&word, candidates.iter().map(String::as_str)).into_iter().next();
    let likely = likely.map(|likely| format!(": did you mean {PREFIX}{likely}?")).unwrap_or_default();
    format!("{name} is set, and muster does not read it{likely}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_variable_is_named_with_the_likely_one() {
        let known = known();
        let warning = |name| warning(name, &known);
        let stroe = "MUSTER_STROE is set, and muster does not read it: did you mean MUSTER_STORE?";
        assert_eq!(warning("MUSTER_STROE"), stroe);
        let wait = "MUSTER_LOCKWAIT is set, and muster does not read it: did you mean MUSTER_LOCK_WAIT?";
        assert_eq!(warning("MUSTER_LOCKWAIT"), wait);
        assert_eq!(warning("MUSTER_XYZZY"), "MUSTER_XYZZY is set, and muster does not read it");
    }

    #[test]
    fn the_variables_of_all_options_are_known_and_those_without_an_option() {
        let known = known();
        for name in ["STORE", "CONFIG", "LAB", "SWEEP_EVERY", "SETTLE", "LOCK_WAIT", "LOG", "ETCD_PASSWORD", "MACHINE"]
        {
            assert!(known.contains(&format!("{PREFIX}{name}")), "{name}: {known:?}");
        }
    }
}
