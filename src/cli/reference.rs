//! The reference of the command line as a page of Markdown, made from the definitions that parse it.

use clap::Arg;
use clap::Command;
use clap::CommandFactory as _;
use clap::Id;

use super::Cli;

/// The beginning of the page.
const HEAD: &str = "\
# Command line

For operators: every command with its arguments and options. A test writes this page from the same definitions as
`--help` (`MUSTER_WRITE_DOCS=1 cargo nextest run -E 'test(the_reference)'`).

A duration is written `30s`, `5m` or `1h30m`; a plain number is a number of seconds. An option that names a variable is
also read from this variable. All of these except `--config` and `--dir` are also keys of `muster.toml`. The
[README](../README.md#exit-codes) has the exit codes, and [glossary.md](glossary.md) the terms.
";

/// The width of the page, in characters.
const WIDTH: usize = 120;

/// Writes the page.
pub fn reference() -> String {
    let mut muster = Cli::command();
    muster.build();
    let mut page = HEAD.to_owned();
    page.push_str("\n## Options of every command\n");
    page.push_str(&options(&muster, Arg::is_global_set));
    let shared: Vec<&Id> = muster.get_arguments().filter(|arg| arg.is_global_set()).map(Arg::get_id).collect();
    for command in muster.get_subcommands().filter(|command| is_shown(command)) {
        section(&mut page, command, "muster", &shared, 2);
    }
    page
}

fn is_shown(command: &Command) -> bool {
    !command.is_hide_set() && command.get_name() != "help"
}

/// Writes a command and its subcommands, without the arguments that all commands share.
fn section(page: &mut String, command: &Command, parent: &str, shared: &[&Id], depth: usize) {
    let is_own = |arg: &Arg| !(arg.is_global_set() && shared.contains(&arg.get_id()));
    let name = format!("{parent} {}", command.get_name());
    page.push_str(&format!("\n{} {name}\n", "#".repeat(depth)));
    let about = command.get_long_about().or_else(|| command.get_about());
    page.push('\n');
    for paragraph in about.map(ToString::to_string).unwrap_or_default().split('\n') {
        page.push_str(&wrap(paragraph, ""));
    }
    page.push_str(&format!("\n```\n{}\n```\n", usage(command, &name, is_own)));
    page.push_str(&options(command, is_own));
    for command in command.get_subcommands().filter(|command| is_shown(command)) {
        section(page, command, &name, shared, depth + 1);
    }
}

/// Writes how a command is typed.
fn usage(command: &Command, name: &str, is_own: impl Fn(&Arg) -> bool) -> String {
    if command.has_subcommands() {
        return format!("{name} COMMAND");
    }
    let mut usage = name.to_owned();
    let named = command.get_arguments().filter(|arg| !arg.is_positional() && is_own(arg) && is_documented(arg));
    let (required, optional): (Vec<&Arg>, Vec<&Arg>) = named.partition(|arg| arg.is_required_set());
    if !optional.is_empty() {
        usage.push_str(" [OPTIONS]");
    }
    for arg in required {
        let value = if arg.get_action().takes_values() { format!(" {}", values(arg)) } else { String::new() };
        usage.push_str(&format!(" --{}{value}", arg.get_long().unwrap_or_default()));
    }
    for arg in command.get_positionals() {
        let dashes = if arg.is_last_set() { "-- " } else { "" };
        let value = values(arg);
        let rest = if arg.get_num_args().is_some_and(|count| count.max_values() > 1) { "..." } else { "" };
        usage.push_str(&if arg.is_required_set() {
            format!(" {dashes}{value}{rest}")
        } else {
            format!(" [{dashes}{value}{rest}]")
        });
    }
    usage
}

/// Writes the chosen arguments as a list for each heading.
fn options(command: &Command, is_chosen: impl Fn(&Arg) -> bool) -> String {
    let positionals = command.get_positionals();
    let args = positionals.chain(command.get_arguments().filter(|arg| !arg.is_positional()));
    let args: Vec<&Arg> = args.filter(|arg| is_chosen(arg) && is_documented(arg)).collect();
    let mut headings: Vec<Option<&str>> = Vec::new();
    for arg in &args {
        if !headings.contains(&arg.get_help_heading()) {
            headings.push(arg.get_help_heading());
        }
    }
    headings.sort_by_key(Option::is_some);
    let mut text = String::new();
    for heading in headings {
        text.push_str(&heading.map(|heading| format!("\n{heading}:\n")).unwrap_or_default());
        text.push('\n');
        for arg in args.iter().filter(|arg| arg.get_help_heading() == heading) {
            text.push_str(&item(arg));
        }
    }
    text
}

fn is_documented(arg: &Arg) -> bool {
    !arg.is_hide_set() && !["help", "version"].contains(&arg.get_id().as_str())
}

/// Writes an argument as an item of a list.
fn item(arg: &Arg) -> String {
    let short = arg.get_short().map(|short| format!("-{short}"));
    let long = arg.get_long().map(|long| format!("--{long}"));
    let mut name: String = short.into_iter().chain(long).collect::<Vec<_>>().join(", ");
    if name.is_empty() {
        name = values(arg);
    } else if arg.get_action().takes_values() {
        name = format!("{name} {}", values(arg));
    }
    let help = arg.get_long_help().or_else(|| arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let mut notes = Vec::new();
    let defaults: Vec<String> = arg.get_default_values().iter().map(|value| value.display().to_string()).collect();
    if !defaults.is_empty() && arg.get_action().takes_values() {
        notes.push(format!("[default: {}]", defaults.join(" ")));
    }
    let choices: Vec<String> =
        arg.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
    if !choices.is_empty() && arg.get_action().takes_values() {
        notes.push(format!("[values: {}]", choices.join(", ")));
    }
    notes.extend(arg.get_env().map(|variable| format!("[variable: `{}`]", variable.display())));
    let text = std::iter::once(help).chain(notes).collect::<Vec<_>>().join(" ");
    let paragraphs: Vec<&str> = text.split("\n\n").collect();
    let (first, rest) = paragraphs.split_first().unwrap_or((&"", &[]));
    let mut item = wrap(&format!("* `{name}`: {first}"), "  ");
    for paragraph in rest {
        item.push_str(&format!("\n{}", wrap(&format!("  {paragraph}"), "  ")));
    }
    item
}

/// Breaks a paragraph into lines of at most [`WIDTH`] characters, all but the first with an indent.
fn wrap(paragraph: &str, indent: &str) -> String {
    let mut lines = vec![String::new()];
    for word in paragraph.split_inclusive(' ') {
        let is_full = |line: &String| line.chars().count() + word.trim_end().chars().count() > WIDTH;
        match lines.last_mut() {
            Some(line) if !is_full(line) => line.push_str(word),
            _ => lines.push(format!("{indent}{word}")),
        }
    }
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Returns the names of the values of an argument.
fn values(arg: &Arg) -> String {
    let names = arg.get_value_names().unwrap_or_default();
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    if names.is_empty() { arg.get_id().as_str().to_uppercase() } else { names.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_paragraph_is_broken_at_blanks() {
        let word = "x".repeat(59);
        assert_eq!(wrap(&format!("{word} {word} {word}"), "  "), format!("{word} {word}\n  {word}\n"));
        assert_eq!(wrap("short", "  "), "short\n");
        assert_eq!(wrap("", ""), "\n");
    }
}
