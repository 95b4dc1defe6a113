//! `muster completions`: the script for a shell, and the names of units, machines and hosts that the script asks for. The
//! names come from the store and the inventory, and no host is asked.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Arg;
use clap::ArgMatches;
use clap::Command;
use clap::CommandFactory as _;
use clap::FromArgMatches as _;
use clap::ValueHint;
use clap::parser::ValueSource;
use clap_complete::Shell;

use super::Cli;
use super::error::ExitStatus;
use super::settings::Flags;
use crate::inventory::Inventory;
use crate::store;
use crate::store::layout;
use crate::store::layout::Keyspace;
use crate::ui;

/// How long the names may take: a user waits for them in the middle of a line.
const LIMIT: Duration = Duration::from_millis(200);

/// Where the script for zsh begins to act. All functions are defined before.
const ZSH_START: &str = "if [ \"$funcstack[1]\" = \"_muster\" ]";

/// Returns the completion script for a shell. In bash, zsh and fish it also completes names.
pub(super) fn script(shell: Shell) -> String {
    let (mut script, all) = (Vec::new(), Cli::command());
    let shown = all.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    let command = Command::new("muster").version(env!("CARGO_PKG_VERSION")).args(all.get_arguments().cloned());
    clap_complete::generate(shell, &mut command.subcommands(shown), "muster", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    match shell {
        Shell::Bash => script + include_str!("completions/names.bash"),
        Shell::Fish => script + include_str!("completions/names.fish"),
        Shell::Zsh => {
            let script = script.replacen("\n_muster() {", "\n_muster_options() {", 1);
            let start = format!("{}{ZSH_START}", include_str!("completions/names.zsh"));
            script.replace(":_default'", ":_muster_names'").replacen(ZSH_START, &start, 1)
        }
        _ => script,
    }
}

/// Prints the names that may follow these words of a command line, and ends the process. Without a store there are none.
/// If a file follows, the process fails: the shell completes the names of files.
pub(super) async fn print_names(words: &[OsString]) -> ! {
    let names = tokio::time::timeout(LIMIT, names(words)).await.ok().flatten().unwrap_or_default();
    ui::result(&names.iter().map(|name| format!("{name}\n")).collect::<String>());
    let is_file = matches!(argument_after(words), Some((hint, _)) if hint != ValueHint::Unknown);
    // The store may still be trying to answer.
    ui::quit(if is_file { ExitStatus::Failed } else { ExitStatus::Done })
}

/// Returns what the argument to which the next word belongs takes: the hint and the names of its values.
fn argument_after(words: &[OsString]) -> Option<(ValueHint, Vec<String>)> {
    let (command, matches) = parse(words)?;
    let wanted = next_argument(&command, &matches, words)?;
    let names = wanted.get_value_names()?.iter().flat_map(|name| name.split('|')).map(str::to_owned);
    Some((wanted.get_value_hint(), names.collect()))
}

fn parse(words: &[OsString]) -> Option<(Command, ArgMatches)> {
    let mut command = Cli::command().ignore_errors(true);
    command.build();
    let words_of_all = std::iter::once(OsString::from("muster")).chain(words.iter().cloned());
    let matches = command.try_get_matches_from_mut(words_of_all).ok()?;
    Some((command, matches))
}

/// Returns the names that may follow these words.
async fn names(words: &[OsString]) -> Option<BTreeSet<String>> {
    let (_, names) = argument_after(words)?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    if !names.iter().any(|name| ["UNIT", "MACHINE", "SECRET", "PATTERN"].contains(name)) {
        return None;
    }
    let settings = Flags::from_arg_matches(&parse(words)?.1).ok()?.resolve().ok()?;
    if names.contains(&"PATTERN") {
        return hosts(settings.inventory).await.map(shown);
    }
    let keys = Keyspace::new(&settings.token).ok()?;
    let store = store::open_existing(&settings.store, &settings.credentials).await.ok()?;
    let mut found = BTreeSet::new();
    if names.contains(&"UNIT") {
        let listing = store.list(&keys.units()).await.ok()?;
        found.extend(layout::snapshot(&keys, &listing).units.keys().map(ToString::to_string));
    }
    if names.contains(&"MACHINE") {
        let listing = store.list(&keys.machines()).await.ok()?;
        found.extend(layout::snapshot(&keys, &listing).machines.into_values().map(|machine| machine.name));
    }
    if names.contains(&"SECRET") {
        let listing = store.list(&keys.secrets()).await.ok()?;
        found.extend(layout::snapshot(&keys, &listing).secrets.keys().map(ToString::to_string));
    }
    Some(shown(found))
}

/// Returns the hosts and groups of the inventory.
async fn hosts(sources: Vec<PathBuf>) -> Option<BTreeSet<String>> {
    let load = tokio::task::spawn_blocking(move || Inventory::load(&sources).ok());
    let inventory = load.await.ok()??;
    Some(inventory.hosts.into_keys().chain(inventory.groups.into_keys()).collect())
}

/// Returns the names that may stand on a command line. A name that a shell would split, or that would steer the terminal,
/// is no name of muster's.
fn shown(mut names: BTreeSet<String>) -> BTreeSet<String> {
    names.retain(|name| !name.contains(|c: char| c.is_control() || c.is_whitespace()));
    names
}

/// Returns the argument to which the next word belongs.
fn next_argument<'a>(command: &'a Command, matches: &ArgMatches, words: &[OsString]) -> Option<&'a Arg> {
    let (mut command, mut matches) = (command, matches);
    while let Some((name, inner)) = matches.subcommand() {
        (command, matches) = (command.find_subcommand(name)?, inner);
    }
    let mut open = words.iter().rev().map(|word| word.to_str().unwrap_or_default()).enumerate();
    let option = open.find(|(_, word)| word.starts_with('-')).and_then(|(back, word)| {
        let is_named = |arg: &&Arg| {
            let short = arg.get_short().map(|short| format!("-{short}"));
            arg.get_long().is_some_and(|long| word.strip_prefix("--") == Some(long)) || short.as_deref() == Some(word)
        };
        let option = command.get_arguments().find(is_named).filter(|arg| arg.get_action().takes_values())?;
        (back == 0 || takes_many(option)).then_some(option)
    });
    let is_open =
        |arg: &&Arg| takes_many(arg) || matches.value_source(arg.get_id().as_str()) != Some(ValueSource::CommandLine);
    option.or_else(|| command.get_positionals().find(is_open))
}

fn takes_many(arg: &Arg) -> bool {
    arg.get_num_args().is_some_and(|count| count.max_values() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the names of the values of the argument to which the next word belongs.
    fn next(line: &str) -> Option<String> {
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        let mut command = Cli::command().ignore_errors(true);
        command.build();
        let all = std::iter::once(OsString::from("muster")).chain(words.iter().cloned());
        let matches = command.try_get_matches_from_mut(all).unwrap();
        let names = next_argument(&command, &matches, &words)?.get_value_names()?;
        Some(names.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_argument_of_the_next_word_is_found_behind_options_and_in_subcommands() {
        for (line, expected) in [
            ("stop", Some("UNIT")),
            ("--store sqlite:x.db stop --wait 3 a.service", Some("UNIT")),
            ("stop --wait", Some("DURATION")),
            ("why", Some("UNIT")),
            ("why a.service", None),
            ("machine show", Some("MACHINE")),
            ("drain", Some("MACHINE")),
            ("failover --force core-01", Some("MACHINE")),
            ("ssh", Some("MACHINE|UNIT")),
            ("ssh core-01", Some("COMMAND")),
            ("simulate --down core-01", Some("MACHINE")),
            ("join", Some("PATTERN")),
            ("list-units", None),
        ] {
            assert_eq!(next(line).as_deref(), expected, "{line}");
        }
    }
}
