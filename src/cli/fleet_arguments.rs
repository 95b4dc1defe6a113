//! The arguments of fleet's client: Go's spellings of flags, and what fleetctl did without a command or a unit. They are
//! rewritten to muster's arguments before clap parses them.

use std::ffi::OsString;
use std::iter::Peekable;

use clap::Arg;
use clap::Command;
use clap::builder::Resettable;

use super::error::CommandError;
use crate::remote::ssh_config::StrictHostKey;

/// The commands that did nothing without a unit.
const FOR_UNITS: [&str; 8] = ["submit", "load", "start", "stop", "unload", "destroy", "restart", "status"];

/// The version, as fleetctl printed it after its name.
const VERSION: &str = concat!("version ", env!("CARGO_PKG_VERSION"));

/// The option that is a flag for Go, and has more values here.
const STRICT: &str = "strict-host-key-checking";

/// Returns muster's command line under the name of fleet's client.
pub(super) fn command(muster: Command) -> Command {
    let command = muster.name("fleetctl").version(VERSION);
    let optional = |command: Command, name: &str| {
        command.mut_subcommand(name, |command| {
            command.mut_arg("units", |units| units.required(false).required_unless_present(Resettable::Reset))
        })
    };
    FOR_UNITS.into_iter().fold(command, optional)
}

/// Rewrites the arguments, of which the first is the name of the program. An argument that is not known stays as it is.
pub(super) fn rewrite(
    mut program: Command,
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Vec<OsString>, CommandError> {
    program.build();
    let mut command = &program;
    let mut arguments = arguments.into_iter().peekable();
    let mut written: Vec<OsString> = arguments.next().into_iter().collect();
    if arguments.peek().is_none() {
        written.push("--help".into());
    }
    while let Some(argument) = arguments.next() {
        let text = argument.to_str().unwrap_or_default();
        if let Some((name, value)) = flag(text) {
            match find(command, name) {
                Some(arg) => written.extend(spell(arg, name, value, &mut arguments)),
                None if is_refused(command, name, value)? => {}
                None => written.push(argument),
            }
            continue;
        }
        let found = command.find_subcommand(text);
        let is_version = text == "version" && command.get_name() == program.get_name();
        // What follows is for a host, or has no flags.
        let is_last = text == "--" || found.is_none() && command.get_positionals().any(Arg::is_trailing_var_arg_set);
        written.push(if is_version { "--version".into() } else { argument });
        if is_last {
            break;
        }
        command = found.unwrap_or(command);
    }
    written.extend(arguments);
    Ok(written)
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
        _ => arg.get_long() == Some(name),
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

/// Refuses the options of fleetctl's SSH client that muster does not have. Reports whether the option is one of them that
/// is switched off.
fn is_refused(command: &Command, name: &str, value: Option<&str>) -> Result<bool, CommandError> {
    let (what, hint) = match (command.get_name(), name) {
        ("ssh", "A" | "forward-agent") => ("muster does not forward an SSH agent", "`ssh -A HOST` forwards it."),
        ("ssh" | "journal" | "status", "ssh-port") => (
            "muster connects to the port that the inventory gave the host",
            "Set `ansible_port` in the inventory, then run `muster join`.",
        ),
        _ => return Ok(false),
    };
    if value.and_then(truth) == Some(false) && name != "ssh-port" {
        return Ok(true);
    }
    let dashes = if name.len() == 1 { "-" } else { "--" };
    Err(CommandError::usage(format!("{dashes}{name}: {what}")).hint(hint))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use clap::FromArgMatches as _;

    use super::*;
    use crate::cli::Cli;

    fn rewritten(line: &str) -> Result<String, CommandError> {
        let arguments = std::iter::once("fleetctl").chain(line.split_whitespace()).map(OsString::from);
        let written = rewrite(command(Cli::command()), arguments)?;
        let words: Vec<&str> = written.iter().skip(1).filter_map(|word| word.to_str()).collect();
        Ok(words.join(" "))
    }

    #[test]
    fn flags_in_the_spelling_of_go_become_those_of_muster() {
        for (given, expected) in [
            ("list-units -full -no-legend -fields=unit,hash", "list-units --full --no-legend --fields=unit,hash"),
            ("list-units -fields unit -full", "list-units --fields unit --full"),
            ("list-machines --no-legend=true --full=false", "list-machines --no-legend"),
            ("list-unit-files --l -l=1", "list-unit-files -l -l"),
            ("start -block-attempts 30 -no-block=F a", "start --block-attempts 30 a"),
            ("journal --follow=false -lines=5 -n 7 -sudo a", "journal --lines=5 -n 7 --sudo a"),
            ("-strict-host-key-checking=false list-units", "--strict-host-key-checking=false list-units"),
            ("-strict-host-key-checking list-units", "--strict-host-key-checking=yes list-units"),
            ("--strict-host-key-checking accept-new join", "--strict-host-key-checking=accept-new join"),
            ("-i start list-machines -full", "-i start list-machines --full"),
            // The command for a host, and all that follows two dashes, stays as it is.
            ("ssh -m web1 ls -full", "ssh -m web1 ls -full"),
            ("ssh --forward-agent=false web1 -- ls -full", "ssh web1 -- ls -full"),
            ("start -- -full", "start -- -full"),
            // clap refuses these.
            ("start -nothing=5 a", "start -nothing=5 a"),
            ("list-units --full=maybe", "list-units --full=maybe"),
            ("-tunnel=host list-units", "-tunnel=host list-units"),
            ("", "--help"),
            ("version", "--version"),
            ("start version", "start version"),
        ] {
            assert_eq!(rewritten(given).unwrap(), expected, "{given}");
        }
    }

    #[test]
    fn options_that_muster_cannot_honour_are_refused() {
        for (line, expected) in [
            ("ssh -A web1", "-A: muster does not forward an SSH agent"),
            ("ssh -forward-agent web1", "--forward-agent: muster does not forward an SSH agent"),
            ("journal --ssh-port=22 a", "--ssh-port: muster connects to the port that the inventory gave the host"),
        ] {
            assert_eq!(rewritten(line).unwrap_err().source.to_string(), expected, "{line}");
        }
    }

    #[test]
    fn commands_for_units_need_no_unit() {
        for name in FOR_UNITS {
            let matches = command(Cli::command()).try_get_matches_from(["fleetctl", name]).unwrap();
            assert!(Cli::from_arg_matches(&matches).is_ok(), "{name}");
        }
    }
}
