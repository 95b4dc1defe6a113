//! Usage errors: a command line that clap refuses. The error of clap is made to name what the operator typed and what to
//! type instead.

use std::ffi::OsString;

use clap::Command;
use clap::CommandFactory as _;
use clap::builder::StyledStr;
use clap::error::ContextKind;
use clap::error::ContextValue;
use clap::error::ErrorKind;

use super::Cli;
use crate::core::similar::similar;

/// The advice for a word after the hosts of `exec` that is not an option of `exec`.
const AFTER_DASHES: &str = "the command for the hosts follows two dashes: muster exec PATTERN -- COMMAND";

/// Returns the error about a command line as the operator reads it.
pub(super) fn explained(error: clap::Error, arguments: &[OsString]) -> clap::Error {
    // A help text names the variables.
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    ) {
        return error;
    }
    let mut error = without_variables(arguments).filter(|other| other.kind() == error.kind()).unwrap_or(error);
    match error.kind() {
        ErrorKind::InvalidSubcommand => suggest_commands(&mut error),
        ErrorKind::UnknownArgument if is_exec(arguments) => {
            let tip = ContextValue::StyledStrs(vec![StyledStr::from(AFTER_DASHES)]);
            error.insert(ContextKind::Suggested, tip);
        }
        _ => {}
    }
    error
}

/// Returns the error without the variables of the environment: clap's line of usage names an option whose variable is set
/// as if the command needed the option.
fn without_variables(arguments: &[OsString]) -> Option<clap::Error> {
    without_env(Cli::command()).try_get_matches_from(arguments).err()
}

fn without_env(command: Command) -> Command {
    command.mut_args(|arg| arg.env(None::<&str>)).mut_subcommands(without_env)
}

/// Names the commands that begin with the word that the operator typed, or those that are most similar to it, the most similar
/// first.
fn suggest_commands(error: &mut clap::Error) {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return };
    let all = Cli::command();
    let shown = all.get_subcommands().filter(|command| !command.is_hide_set());
    let shown: Vec<&str> = shown.map(Command::get_name).collect();
    let mut names: Vec<&str> = shown.iter().copied().filter(|name| name.starts_with(word.as_str())).collect();
    if names.is_empty() {
        names = similar(word, shown);
    }
    let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    if !names.is_empty() {
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(names));
    }
}

/// Reports whether the command is `exec`, and no two dashes separate a command for the hosts.
fn is_exec(arguments: &[OsString]) -> bool {
    let lenient = Cli::command().ignore_errors(true).try_get_matches_from(arguments);
    let is_exec = lenient.is_ok_and(|matches| matches.subcommand_name() == Some("exec"));
    is_exec && !arguments.iter().any(|argument| argument == "--")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> String {
        let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        explained(Cli::command().try_get_matches_from(&arguments).unwrap_err(), &arguments).to_string()
    }

    #[test]
    fn a_command_is_not_abbreviated_and_the_error_names_what_it_may_be() {
        let destroy = said("muster dest web");
        assert!(destroy.contains("unrecognized subcommand 'dest'"), "{destroy}");
        assert!(destroy.contains("a similar subcommand exists: 'destroy'"), "{destroy}");
        let lists = said("muster list");
        assert!(lists.contains("'list-machines', 'list-unit-files', 'list-units'"), "{lists}");
        assert!(said("muster destory web").contains("'destroy'"));
        let start = said("muster satrt web");
        assert!(start.contains("similar subcommands exist: 'start', 'restart'"), "{start}");
        assert!(!said("muster frobnicate").contains("similar"));
    }

    #[test]
    fn a_word_for_the_remote_command_is_told_to_follow_two_dashes() {
        let tip = format!("tip: {AFTER_DASHES}");
        for line in ["muster exec all ls -la", "muster exec all --what ls", "muster exec --sort web ls"] {
            let said = said(line);
            assert!(said.contains(&tip) && !said.contains("as a value"), "{said}");
        }
        let own = said("muster exec --what all -- ls");
        assert!(!own.contains(&tip), "{own}");
    }
}
