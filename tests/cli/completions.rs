//! Completion in a shell: the scripts, and the names of units and machines.

use std::process::Command;

use muster::core::model::Machine;
use muster::core::model::MachineId;
use muster::store::layout::Key;

use super::Desk;
use super::unit;
use crate::hosts::run;

/// How often names are asked for on a machine that other tests keep busy: they are printed within 200 ms or not at all.
const TRIES: usize = 20;

/// Makes a cluster with two machines and two units.
async fn cluster() -> Desk {
    let desk = Desk::new();
    for name in ["web@1.service", "web.socket"] {
        desk.write(name, unit(name));
        desk.muster(&["submit", name]).ok();
    }
    let (store, keys) = desk.store().await;
    let machine = |number: u128| {
        let (id, name) = (MachineId::from_bits(number), format!("core-0{number}"));
        let address = "ssh://192.0.2.1".parse().unwrap();
        keys.put(&Key::Machine(id), &Machine { id, name, address, systemd: 252, ..Machine::default() })
    };
    store.commit(Vec::new(), vec![machine(1), machine(2)]).await.unwrap();
    desk
}

#[tokio::test]
async fn the_names_that_may_follow_are_those_of_the_store() {
    let desk = cluster().await;
    let names = |words: &[&str]| desk.muster(&[&["names", "--"], words].concat()).ok();
    // A store that is slow to answer has no names.
    let names_at_last = |words: &[&str]| (0..TRIES).map(|_| names(words)).find(|it| !it.is_empty()).unwrap_or_default();
    assert_eq!(names_at_last(&["stop"]), "web.socket\nweb@1.service\n");
    assert_eq!(names_at_last(&["machine", "show"]), "core-01\ncore-02\n");
    assert_eq!(names_at_last(&["ssh"]), "core-01\ncore-02\nweb.socket\nweb@1.service\n");
    for words in [&["stop", "--wait"][..], &["nonsense"], &[], &["--store", "sqlite:other.db", "stop"]] {
        assert_eq!(names(words), "", "{words:?}");
    }
    assert_eq!(names_at_last(&["journal"]), "web.socket\nweb@1.service\n");
    desk.write("muster.toml", "inventory = \"hosts\"\n");
    desk.write("hosts", "[front]\nh1\nh2\n");
    for words in [&["join"][..], &["exec"], &["inventory", "list"]] {
        assert_eq!(names_at_last(words), "all\nfront\nh1\nh2\nungrouped\n", "{words:?}");
    }
    assert_eq!(desk.muster(&["names", "--", "play"]).code, Some(1), "files follow");
    let desk = Desk::empty();
    assert_eq!(desk.muster(&["names", "--", "stop"]).ok(), "");
    assert!(!desk.home(".local").exists(), "no store is made");
}

/// Completes a line in bash, which this script drives and which finds `muster` in PATH. Returns what it prints.
fn completed(desk: &Desk, script: &str, line: &str) -> String {
    let folder = std::path::Path::new(env!("CARGO_BIN_EXE_muster")).parent().unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.display());
    desk.write("completions", desk.muster(&["completions", "bash"]).ok());
    let mut command = Command::new("bash");
    command.args(["-c", script]).env_clear().env("PATH", path).env("HOME", desk.home("")).env("LINE", line);
    run(command.current_dir(desk.path(""))).ok()
}

#[tokio::test]
async fn bash_completes_names() {
    let desk = cluster().await;
    let script = r#"
        source ./completions
        complete -p muster | grep -o -- '-F [a-z_]*'
        COMP_LINE=$LINE COMP_POINT=${#LINE} COMP_WORDBREAKS=$' \t\n"\'@><=;|&(:'
        read -ra COMP_WORDS <<<"$LINE"
        [[ $LINE == *' ' ]] && COMP_WORDS+=('')
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        _muster_names muster "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        echo "${COMPREPLY[*]}"
    "#;
    for (line, expected) in [
        ("muster stop ", "web.socket web@1.service"),
        ("muster stop web.socket we", "web.socket web@1.service"),
        // bash keeps the text up to the `@`.
        ("muster stop web@", "1.service"),
        ("muster machine show core-02", "core-02"),
        ("muster stop --block-a", "--block-attempts"),
        // bash then completes files.
        ("muster stop ./w", ""),
        ("muster cord", "cordon"),
        ("muster play ", ""),
    ] {
        let expected = format!("-F _muster_names\n{expected}\n");
        let tries: Vec<String> =
            (0..TRIES).map(|_| completed(&desk, script, line)).take_while(|it| *it != expected).collect();
        assert!(tries.len() < TRIES, "{line:?}: {:?}", tries.last());
    }
}

#[test]
fn the_scripts_of_zsh_and_fish_ask_for_names_too() {
    let desk = Desk::empty();
    let script = |shell| desk.muster(&["completions", shell]).ok();
    let zsh = script("zsh");
    let parts = ["\n_muster_options() {", "\n_muster() {", "\n_muster_names() {", ":unit -- A unit:_muster_names'"];
    let places: Vec<Option<usize>> = parts.map(|part| zsh.find(part)).to_vec();
    assert!(places.iter().all(Option::is_some) && !zsh.contains(":_default'"), "{places:?}: {zsh}");
    assert!(script("fish").contains("$words[1] names -- "));
    let bash = script("bash");
    assert!(bash.contains(" completions man") && !bash.contains(" names man"), "the hidden command is not completed");
}
