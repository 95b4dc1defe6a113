//! Where a setting comes from: an option of the command line, a variable or the settings file. Errors about a setting name
//! that place. The values themselves are merged in `settings`.

use std::path::Path;

use clap::error::ContextKind;
use clap::error::ContextValue;

use super::error::CommandError;
use super::variables;

/// Returns the place of a setting as text. `is_given` says that the command line or a variable has set it, and `file` is the
/// settings file if that has set it.
pub(super) fn origin(name: &str, is_given: bool, file: Option<&Path>) -> String {
    match (is_given, file) {
        (true, _) if is_typed(name) => format!("--{name}"),
        (true, _) => variable(name),
        (false, Some(file)) => format!("`{name}` in {}", file.display()),
        (false, None) => format!("--{name}"),
    }
}

/// Returns the error about an invalid value of an option if the value comes from a variable: clap names the option.
pub(super) fn of_variable(error: &clap::Error) -> Option<CommandError> {
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else { return None };
    let name = option.split_whitespace().next()?.strip_prefix("--")?;
    if is_typed(name) || !variables::is_set(&variable(name)) {
        return None;
    }
    let text = error.to_string();
    let line = text.lines().next()?.strip_prefix("error: ")?;
    let quoted = format!("'{option}'");
    line.contains(&quoted).then(|| CommandError::usage(line.replace(&quoted, &variable(name))))
}

/// Reports whether an option is on the command line of this process.
pub(super) fn is_typed(name: &str) -> bool {
    is_on_command_line(name, std::env::args())
}

fn variable(name: &str) -> String {
    format!("MUSTER_{}", name.to_uppercase().replace('-', "_"))
}

/// Reports whether one of the arguments is the option with this name.
fn is_on_command_line(name: &str, mut arguments: impl Iterator<Item = String>) -> bool {
    arguments.any(|argument| {
        let option = argument.trim_start_matches('-');
        argument.starts_with('-') && option.split('=').next() == Some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_found_with_and_without_its_value() {
        let is_there = |line: &str| is_on_command_line("lock-wait", line.split(' ').map(str::to_owned));
        assert!(is_there("muster start --lock-wait 3 a") && is_there("muster start --lock-wait=3 a"));
        assert!(is_there("fleetctl -lock-wait=3 start a"), "fleet's form");
        assert!(!is_there("muster start --lock-waits=3 lock-wait"));
    }
}
