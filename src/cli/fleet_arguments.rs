//! The command line of fleet's client: Go's spellings of flags, fleet's own options and variables, and what fleetctl did
//! without a command or a unit. They are rewritten to muster's arguments before clap parses them. An option that muster
//! cannot honour is refused, and none is ignored.

mod endpoint;
mod options;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::iter::Peekable;

use clap::Arg;
use clap::Command;
use clap::builder::Resettable;

use super::error::CommandError;
use super::settings::Connecting;
use crate::remote::ssh_config::StrictHostKey;
use options::FleetOptions;

/// The commands that did nothing without a unit.
const FOR_UNITS: [&str; 8] = ["submit", "load", "start", "stop", "unload", "destroy", "restart", "status"];

/// The version, as fleetctl printed it after its name.
const VERSION: &str = concat!("version ", env!("CARGO_PKG_VERSION"));

/// What the help begins with.
const TITLE: &str = concat!("fleetctl version ", env!("CARGO_PKG_VERSION"), " (muster)");

/// The option that is a flag for Go, and has more values here.
const STRICT: &str = "strict-host-key-checking";

/// A command line of fleet's client in the words of muster.
#[derive(Debug)]
pub(super) struct Rewritten {
    /// The arguments, of which the first is the name of the program.
    pub(super) arguments: Vec<OsString>,
    /// What the options say about the connections to hosts.
    pub(super) connecting: Connecting,
}

/// Returns muster's command line under the name of fleet's client. The last of several equal flags counts, as in Go.
pub(super) fn command(muster: Command) -> Command {
    let command = muster.name("fleetctl").version(VERSION).before_help(TITLE).args_override_self(true);
    let optional = |command: Command, name: &str| {
        command.mut_subcommand(name, |command| {
            command.mut_arg("units", |units| units.required(false).required_unless_present(Resettable::Reset))
        })
    };
    FOR_UNITS.into_iter().fold(command, optional)
}

/// Rewrites the arguments, of which the first is the name of the program. An argument that is not known stays as it is.
/// `variables` are those of fleet's client; `has_store` says that a variable of muster names the store.
pub(super) fn rewrite(
    mut program: Command,
    arguments: impl IntoIterator<Item = OsString>,
    variables: Vec<(String, String)>,
    has_store: bool,
) -> Result<Rewritten, CommandError> {
    program.build();
    let mut command = &program;
    let mut arguments = arguments.into_iter().peekable();
    let name = arguments.next();
    let (mut own, mut written) = (FleetOptions::of_variables(variables)?, Vec::new());
    let Some(first) = arguments.peek() else { return Ok(alone(name, "--help")) };
    // What follows does not matter to fleet.
    if matches!(first.to_str(), Some("-v" | "--version" | "-version")) {
        return Ok(alone(name, "--version"));
    }
    let mut names_store = has_store;
    while let Some(argument) = arguments.next() {
        let text = argument.to_str().unwrap_or_default();
        if let Some((name, value)) = flag(text) {
            names_store |= name == "store";
            if let Some(arg) = find(command, name) {
                written.extend(spell(arg, name, value, &mut arguments));
            } else if !own.take(name, value, &mut arguments)? && !is_refused(command, name, value)? {
                written.push(argument);
            }
            continue;
        }
        let found = command.find_subcommand(text);
        if command.get_name() == program.get_name() {
            match text {
                "version" => return Ok(alone(name, "--version")),
                "verify" => return Err(deprecated("verify")),
                _ => {}
            }
        }
        // What follows is for a host, or has no flags.
        let is_last = text == "--" || found.is_none() && command.get_positionals().any(Arg::is_trailing_var_arg_set);
        written.push(argument);
        if is_last {
            break;
        }
        command = found.unwrap_or(command);
    }
    written.extend(arguments);
    let (settings, connecting) = own.finish(names_store)?;
    let settings = settings.into_iter().map(OsString::from);
    Ok(Rewritten { arguments: name.into_iter().chain(settings).chain(written).collect(), connecting })
}

/// Returns a command line with one argument.
fn alone(name: Option<OsString>, argument: &str) -> Rewritten {
    let arguments = name.into_iter().chain([argument.into()]).collect();
    Rewritten { arguments, connecting: Connecting::default() }
}

/// Splits a flag into its name and its value. Go takes one dash or two.
fn flag(text: &str) -> Option<(&str, Option<&str>)> {
    let body = text.strip_prefix('-')?;
    let body = body.strip_prefix('-').unwrap_or(body);
    let (name, value) = body.split_once('=').map_or((body, None), |(name, value)| (name, Some(value)));
    (!name.is_empty()).then_some((name, value))
}

/// Finds the option with this name, of one letter or more.
fn find<'c>(command: &'c Command, name: &str) -> Option<&'c Arg> {
    command.get_arguments().find(|arg| match arg.get_short() {
        Some(short) if name.len() == short.len_utf8() => name.starts_with(short),
        _ => arg.get_long() == Some(name) || arg.get_all_aliases().unwrap_or_default().contains(&name),
    })
}

/// Writes an option as clap takes it. The value of a flag, such as `--full=false`, says whether it is given.
fn spell(
    arg: &Arg,
    name: &str,
    value: Option<&str>,
    rest: &mut Peekable<impl Iterator<Item = OsString>>,
) -> Vec<OsString> {
    let dashes = if name.len() == 1 { "-" } else { "--" };
    let with = |value: &str| vec![format!("{dashes}{name}={value}").into()];
    let without = || vec![format!("{dashes}{name}").into()];
    if name == STRICT && value.is_none() {
        let is_word = |next: &OsString| next.to_str().is_some_and(|word| word.parse::<StrictHostKey>().is_ok());
        let word = rest.next_if(is_word).and_then(|word| word.into_string().ok());
        return with(word.as_deref().unwrap_or("yes"));
    }
    match value {
        None if arg.get_action().takes_values() => without().into_iter().chain(rest.next()).collect(),
        None => without(),
        Some(value) if arg.get_action().takes_values() => with(value),
        // For fleet these had the name as their value.
        Some(value) if matches!(arg.get_id().as_str(), "machine" | "unit") => {
            without().into_iter().chain([value.into()]).collect()
        }
        Some(value) => match truth(value) {
            Some(true) => without(),
            Some(false) => Vec::new(),
            None => with(value),
        },
    }
}

/// Reads a truth value as Go does.
fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Refuses the options of single commands of fleetctl that muster does not have. Reports whether the option is one of
/// them that is switched off.
fn is_refused(command: &Command, name: &str, value: Option<&str>) -> Result<bool, CommandError> {
    if name != "sign" || !["submit", "load", "start"].contains(&command.get_name()) {
        return Ok(false);
    }
    if value.and_then(truth) == Some(false) { Ok(true) } else { Err(deprecated("--sign")) }
}

/// Returns the error about signed units, which fleet 1.0 refused with the same words.
fn deprecated(what: &str) -> CommandError {
    CommandError::usage(format!("{what}: the signed/verified units feature is DEPRECATED and cannot be used"))
}
