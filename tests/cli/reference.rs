//! Help: short with `-h`, whole with `--help`, and as a page in docs/cli.md.

use std::path::Path;

use muster::cli::reference::reference;

use super::Desk;

#[test]
fn the_reference_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cli.md");
    let page = reference();
    if std::env::var_os("MUSTER_WRITE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    let differs = page.lines().zip(written.lines()).find(|(now, then)| now != then);
    assert!(
        page == written,
        "docs/cli.md is out of date: {differs:?}. Write it with MUSTER_WRITE_DOCS=1 cargo nextest run -E 'test(the_reference)'"
    );
    for line in page.lines().filter(|line| line.starts_with("* ")) {
        assert!(line.contains("`: ") && !line.ends_with(": "), "an argument without help: {line}");
    }
}

#[test]
fn the_options_of_a_command_come_first_and_rare_ones_are_for_the_long_help() {
    let desk = Desk::new();
    let long = desk.muster(&["start", "--help"]).ok();
    let headings = ["Options:\n", "Connection:\n", "Store:\n", "Settings:\n", "Output:\n"];
    let places: Vec<Option<usize>> = headings.iter().map(|heading| long.find(&format!("\n{heading}"))).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?}: {long}");
    let short = desk.muster(&["start", "-h"]).ok();
    for option in ["--wait", "--replace", "--inventory", "--store", "--quiet", "--verbose"] {
        assert!(short.contains(option), "{option}: {short}");
    }
    for option in ["--etcd-ca-file", "--token", "--ssh-config", "--color", "--block-attempts"] {
        assert!(long.contains(option) && !short.contains(option), "{option}: {short}");
    }
    let sweep = desk.muster(&["sweep", "--help"]).ok();
    assert!(sweep.contains("\nFailover policy:\n") && sweep.contains("The exit code is 0 if "), "{sweep}");
    let muster = desk.muster(&["--help"]).ok();
    assert!(muster.contains("\nExit codes:\n") && muster.contains("  4    `plan --detailed-exitcode`"), "{muster}");
}

#[test]
fn each_first_line_of_help_is_a_sentence_without_a_full_stop() {
    let muster = <muster::cli::Cli as clap::CommandFactory>::command();
    let mut commands = vec![muster];
    while let Some(command) = commands.pop() {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        assert!(about.starts_with(char::is_uppercase) && !about.ends_with('.'), "{}: {about:?}", command.get_name());
        for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            assert!(!help.is_empty() && !help.ends_with('.'), "{} {}: {help:?}", command.get_name(), arg.get_id());
        }
        commands.extend(command.get_subcommands().cloned());
    }
}

#[test]
fn no_argument_hides_a_global_option() {
    let muster = <muster::cli::Cli as clap::CommandFactory>::command();
    let globals: Vec<clap::Id> = muster.get_arguments().map(|arg| arg.get_id().clone()).collect();
    let mut commands: Vec<clap::Command> = muster.get_subcommands().cloned().collect();
    while let Some(command) = commands.pop() {
        let hidden = command.get_arguments().find(|arg| globals.contains(arg.get_id()));
        assert!(hidden.is_none(), "{}: {:?}", command.get_name(), hidden.map(clap::Arg::get_id));
        commands.extend(command.get_subcommands().cloned());
    }
}
