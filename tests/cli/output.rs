//! What comes out: results and nothing else on stdout, warnings beside them, and nothing that steers a terminal.

use std::fs::File;
use std::io::pipe;
use std::process::Stdio;

use muster::core::cluster::Address;
use muster::core::cluster::Machine;
use muster::core::cluster::MachineId;
use muster::store::layout::Slot;
use serde_json::Value;

use super::Desk;
use super::unit;
use crate::hosts::Said;
use crate::hosts::run;

/// Runs muster with its stdout going there.
fn printing_to(desk: &Desk, out: impl Into<Stdio>, args: &[&str]) -> Said {
    let child = desk.command(args).stdout(out).stderr(Stdio::piped()).spawn().unwrap();
    let output = child.wait_with_output().unwrap();
    Said { code: output.status.code(), out: String::new(), err: String::from_utf8_lossy(&output.stderr).into_owned() }
}

#[test]
fn a_warning_is_said_once_by_name_whoever_else_reads_the_same_file() {
    let desk = Desk::new();
    desk.write("known", "@revoked * ssh-ed25519 AAAA\u{9b}31m\nh1 ssh-ed25519 !\n");
    desk.write("ssh_config", format!("Host *\n UserKnownHostsFile {}\n", desk.path("known").display()));
    let host = |number| format!("h{number} ansible_host=127.0.0.1 ansible_port=1\n");
    desk.write("hosts", (1..4).map(host).collect::<String>());
    let args = ["-i", "hosts", "--ssh-config", "ssh_config", "exec", "all", "--", "true"];
    let said = desk.muster(&args);
    let warnings: Vec<&str> = said.err.lines().filter(|line| line.starts_with("Warning: ")).collect();
    assert_eq!(warnings.len(), 2, "{said:#?}");
    for (line, warning) in (1..).zip(&warnings) {
        assert!(warning.contains(&format!("/known:{line}: ")) && warning.ends_with("the line is passed over"));
        assert!(!warning.contains(char::is_control), "{warning:?}");
    }
    assert_eq!(said.code, Some(4));
    let quiet = run(desk.command(&args).env("MUSTER_LOG", "off"));
    assert!(!quiet.err.contains("Warning: "), "{quiet:#?}");
    let wrong = run(desk.command(&["list-units"]).env("MUSTER_LOG", "muster=loud"));
    assert!(wrong.code == Some(2) && wrong.err.starts_with("Error: MUSTER_LOG: "), "{wrong:#?}");
}

#[test]
fn what_changes_things_goes_on_when_nobody_reads_and_what_shows_ends() {
    let desk = Desk::new();
    for (name, expected) in [("a", Some(0)), ("b", Some(1))] {
        desk.write("unit.service", unit(name));
        let file = format!("{name}.service");
        std::fs::rename(desk.path("unit.service"), desk.path(&file)).unwrap();
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let full = File::options().write(true).open("/dev/full").unwrap();
        let out = if name == "a" { Stdio::from(writer) } else { Stdio::from(full) };
        let said = printing_to(&desk, out, &["submit", "a.service", &file]);
        assert_eq!(said.code, expected, "{said:#?}");
        let complaint = "Error: cannot write to stdout: No space left on device (os error 28)\n";
        assert_eq!(said.err, if name == "a" { "" } else { complaint });
        assert_eq!(desk.muster(&["cat", name]).ok(), unit(name), "it was done all the same");
    }
    let full = File::options().write(true).open("/dev/full").unwrap();
    let said = printing_to(&desk, full, &["list-unit-files"]);
    assert!(said.code == Some(1) && said.err.starts_with("Error: cannot write to stdout: "), "{said:#?}");
}

#[tokio::test]
async fn what_others_wrote_steers_no_terminal() {
    let desk = Desk::new();
    let (store, keys) = desk.store().await;
    let id = MachineId::from_bits(1);
    let address: Address = "ssh://root@192.0.2.1".parse().unwrap();
    let machine = Machine { id, name: "core\u{1b}]0;\u{9b}31m".to_owned(), address, ..Machine::default() };
    store.commit(vec![], vec![keys.put(&Slot::Machine(id), &machine)]).await.unwrap();
    drop(store);
    desk.write("a.service", unit("a\u{9b}31m"));
    desk.muster(&["submit", "a.service"]).ok();
    let down = id.to_string();
    for args in
        [&["list-machines", "--fields", "name"][..], &["simulate", "--down", &down], &["machine", "show", &down]]
    {
        let said = desk.muster(args).ok();
        assert!(said.contains("core\u{fffd}]0;\u{fffd}31m"), "{args:?}: {said:?}");
        let said = desk.muster(&[args, &["-o", "json"]].concat()).ok();
        assert!(!said.contains(|c: char| c.is_control() && c != '\n'), "{args:?}: {said:?}");
        serde_json::from_str::<Value>(&said).unwrap();
    }
    // What was submitted comes back as it was, but not on a terminal.
    assert_eq!(desk.muster(&["cat", "a"]).ok(), unit("a\u{9b}31m"));
    let muster = env!("CARGO_BIN_EXE_muster");
    let mut script = std::process::Command::new("script");
    script.args(["--quiet", "--command", &format!("{muster} cat a"), "/dev/null"]);
    script.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", desk.home("")).stdin(Stdio::null());
    let shown = run(script.current_dir(desk.path("")));
    assert!(shown.out.contains("Description=a\u{fffd}31m"), "{shown:#?}");
}
