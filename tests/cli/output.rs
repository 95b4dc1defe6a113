//! Output: only results on stdout, everything else on stderr, and nothing that steers a terminal.

use std::fs::File;
use std::io::pipe;
use std::net::TcpListener;
use std::process::Stdio;

use muster::core::model::Address;
use muster::core::model::Health;
use muster::core::model::HealthEvidence;
use muster::core::model::HealthRecord;
use muster::core::model::Machine;
use muster::core::model::MachineId;
use muster::core::model::ObservationTimes;
use muster::core::model::Timestamp;
use muster::core::model::UnitState;
use muster::core::unit::UnitName;
use muster::runner::Clock;
use muster::store::layout::Key;
use regex::Regex;
use serde_json::Value;
use serde_json::json;

use super::Desk;
use super::machine;
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
fn a_warning_about_a_file_that_several_hosts_read_is_printed_once() {
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
        assert!(warning.contains(&format!("/known:{line}: ")) && warning.ends_with("the line is skipped"));
        assert!(!warning.contains(char::is_control), "{warning:?}");
    }
    assert_eq!(said.code, Some(4));
    let quiet = run(desk.command(&args).env("MUSTER_LOG", "off"));
    assert!(!quiet.err.contains("Warning: "), "{quiet:#?}");
    let wrong = run(desk.command(&["list-units"]).env("MUSTER_LOG", "muster=loud"));
    assert!(wrong.code == Some(2) && wrong.err.starts_with("Error: invalid MUSTER_LOG\nCaused by: "), "{wrong:#?}");
}

#[test]
fn quiet_leaves_results_and_errors_and_verbose_adds_log_messages() {
    let desk = Desk::new();
    desk.write("a.service", unit("a") + "[X-Fleet]\nMachineColour=blue\n");
    let submit = |flags: &[&str]| {
        desk.muster(&["destroy", "a"]);
        desk.muster(&[flags, &["submit", "a.service"]].concat())
    };
    assert!(submit(&[]).err.contains("WARNING: Unit a.service: "));
    let quiet = submit(&["-q"]);
    assert_eq!((quiet.out.as_str(), quiet.err.as_str()), ("Unit a.service inactive\n", ""));
    desk.fails(&["--quiet", "cat", "b"], 1, &["Error: Unit b.service does not exist\n"]);
    desk.fails(&["-q", "-v", "list-units"], 2, &["cannot be used with"]);

    desk.write("muster.toml", "lock-wait = 1\n");
    let verbose = desk.muster(&["-v", "list-units"]).err;
    let line = Regex::new("^[0-9]+\\.[0-9]{3}s debug cli::settings::file: settings file muster.toml$").unwrap();
    assert!(verbose.lines().any(|text| line.is_match(text)), "{verbose}");
    assert_eq!(desk.muster(&["list-unit-files"]).err, "");

    desk.write("known", "@revoked * ssh-ed25519 AAAA\n");
    desk.write("ssh_config", format!("Host *\n UserKnownHostsFile {}\n", desk.path("known").display()));
    desk.write("hosts", "h1 ansible_host=127.0.0.1 ansible_port=1\n");
    let exec = |flags: &[&str], log: &str| {
        let args = [flags, &["-i", "hosts", "--ssh-config", "ssh_config", "exec", "all", "--", "true"]].concat();
        run(desk.command(&args).env("MUSTER_LOG", log)).err
    };
    let summary = "1 host: 0 ok, 0 failed, 1 unreachable\n";
    assert!(exec(&[], "").contains("Warning: ") && exec(&[], "").ends_with(summary));
    let quiet = exec(&["-q"], "");
    assert!(quiet.starts_with("h1: connect: ") && !quiet.contains(summary), "errors are printed: {quiet}");
    assert!(exec(&["-vv"], "").contains("Warning: "));
    assert!(!exec(&["-vv"], "off").contains("Warning: "), "MUSTER_LOG wins");
}

#[test]
fn colours_are_for_terminals_or_if_they_are_asked_for() {
    let desk = Desk::new();
    let error = |flags: &[&str], variable: (&str, &str)| {
        let args = [flags, &["cat", "b"]].concat();
        run(desk.command(&args).env(variable.0, variable.1)).err
    };
    let (plain, colored) = ("Error: Unit", "\u{1b}[1;31mError:\u{1b}[0m Unit");
    assert!(error(&[], ("TERM", "xterm")).starts_with(plain), "stderr is no terminal");
    assert!(error(&["--color", "always"], ("NO_COLOR", "1")).starts_with(colored), "the flag wins");
    assert!(error(&["--color", "never"], ("TERM", "xterm")).starts_with(plain));
    desk.fails(&["--color", "perhaps", "list-units"], 2, &["[possible values: auto, always, never]"]);
    let muster = env!("CARGO_BIN_EXE_muster");
    let on_terminal = |variable: (&str, &str)| {
        let mut script = std::process::Command::new("script");
        script.args(["--quiet", "--command", &format!("{muster} cat b"), "/dev/null"]);
        script.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", desk.home("")).stdin(Stdio::null());
        run(script.current_dir(desk.path("")).env(variable.0, variable.1)).out
    };
    assert!(on_terminal(("TERM", "xterm")).starts_with(colored));
    assert!(on_terminal(("NO_COLOR", "1")).starts_with(plain));
    assert!(on_terminal(("TERM", "dumb")).starts_with(plain));
}

#[tokio::test]
async fn the_health_of_machines_has_a_colour_except_in_json() {
    let desk = Desk::new();
    machine(&desk, 1).await;
    let list = ["--color", "always", "list-machines", "--fields", "name,health"];
    assert_eq!(desk.muster(&list).ok(), "NAME\tHEALTH\ncore-01\t\u{1b}[33msuspect\u{1b}[0m\n");
    assert!(!desk.muster(&[&list[..], &["-o", "json"]].concat()).ok().contains('\u{1b}'));
}

#[test]
fn a_command_that_changes_hosts_outlives_its_reader_and_one_that_shows_does_not() {
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
        let complaint = "Error: cannot write to stdout\nCaused by: No space left on device (os error 28)\n";
        assert_eq!(said.err, if name == "a" { "" } else { complaint });
        assert_eq!(desk.muster(&["cat", name]).ok(), unit(name), "it was done anyway");
    }
    let full = File::options().write(true).open("/dev/full").unwrap();
    let said = printing_to(&desk, full, &["list-unit-files"]);
    assert!(said.code == Some(1) && said.err.starts_with("Error: cannot write to stdout\n"), "{said:#?}");
}

/// Runs muster, which must print one JSON document and nothing else, and returns it.
#[track_caller]
fn document(desk: &Desk, args: &[&str]) -> Value {
    let said = desk.muster(&[args, &["-o", "json"]].concat());
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{args:?}: {error}: {said:#?}"))
}

#[tokio::test]
async fn json_is_one_document_and_nothing_else() {
    let desk = Desk::new();
    let id = machine(&desk, 1).await;
    desk.write("a.service", unit("a"));
    desk.write("g.service", unit("g") + "[X-Fleet]\nGlobal=true\n");
    let told = document(&desk, &["start", "--no-block", "a.service", "g.service"]);
    let expected = json!([
        {"unit": "a.service", "state": "inactive", "machine": null},
        {"unit": "g.service", "state": "inactive", "machine": null},
        {"unit": "a.service", "triggered": "start", "global": false},
        {"unit": "g.service", "triggered": "start", "global": true},
    ]);
    assert_eq!(told, expected);
    let said = desk.muster(&["stop", "--no-block", "a", "g"]).ok();
    assert_eq!(said, "Triggered unit a.service stop\nTriggered global unit g.service stop\n");
    let expected = |cordoned| json!({"machine": id, "name": "core-01", "cordoned": cordoned});
    assert_eq!(document(&desk, &["cordon", "core-01"]), expected(true));
    assert_eq!(document(&desk, &["uncordon", "core-01"]), expected(false));
    assert!(document(&desk, &["drain", "--no-block", "core-01"]).is_array());
    assert!(document(&desk, &["leave", "--force", "core-01"]).is_array());
    desk.write("hosts", "h1 ansible_host=127.0.0.1 ansible_port=1\n");
    assert_eq!(document(&desk, &["-i", "hosts", "join"]), json!([]));
    let made = document(&desk, &["discovery", "new", "--size", "3"]);
    assert!(made["size"] == 3 && made["token"].as_str().unwrap().len() == 32, "{made}");
}

#[tokio::test]
async fn a_global_unit_is_shown_on_every_machine_that_reported_it() {
    let desk = Desk::new();
    desk.write("g.service", unit("g") + "[X-Fleet]\nGlobal=true\n");
    desk.muster(&["submit", "g.service"]).ok();
    desk.fails(&["status", "g"], 1, &["Error: Unit g.service is on no machine: its desired state is inactive\n"]);
    for number in [1, 2] {
        let id = machine(&desk, number).await;
        let (store, keys) = desk.store().await;
        let unit: UnitName = "g.service".parse().unwrap();
        let state =
            json!({"load": "loaded", "active": "active", "sub": "running", "hash": "0".repeat(40), "launched": true});
        let state: UnitState = serde_json::from_value(state).unwrap();
        store.commit(vec![], vec![keys.put(&Key::State(unit, id), &state)]).await.unwrap();
    }
    let (store, keys) = desk.store().await;
    let id = MachineId::from_bits(1);
    let (health, since) = (Health::Alive, Timestamp::ZERO);
    let reason = HealthEvidence::Answers.into();
    let record = HealthRecord { health, since, last_seen: None, reason, outages: Vec::new() };
    let times =
        ObservationTimes { at: Clock::start().now(), behind: [(id, Some(Timestamp::ZERO))].into(), continuous: false };
    let records = vec![keys.put(&Key::Health(id), &record), keys.put(&Key::Observed, &times)];
    store.commit(vec![], records).await.unwrap();
    // Each unit is shown although one before it is not active.
    let said = desk.muster(&["status", "nosuch", "other", "g"]);
    let missing = |unit: &str| said.err.contains(&format!("Error: Unit {unit}.service does not exist\n"));
    assert!(missing("nosuch") && missing("other"), "{said:#?}");
    assert_eq!((said.code, said.out.as_str()), (Some(1), "\n\ncore-01:\n\ncore-02:\n"), "{said:#?}");
    // Both machines are asked although neither answers.
    let said = desk.muster(&["status", "g"]);
    let last = said.err.lines().filter(|line| line.starts_with("Hint: ")).collect::<Vec<_>>();
    assert!(last.len() == 1 && last[0].starts_with("Hint: g.service was active (running) when core-01"), "{said:#?}");
    assert!(last[0].ends_with(" days ago."), "{said:#?}");
    assert_eq!((said.code, said.out.as_str()), (Some(3), "core-01:\n\ncore-02:\n"), "{said:#?}");
    assert!(
        said.err.contains("Error: core-01: connect: ") && said.err.contains("Error: core-02: connect: "),
        "{said:#?}"
    );
    let hint = "Hint: `muster exec --become HOST -- journalctl -f -u g.service` follows it on one host.";
    desk.fails(&["ssh", "g"], 1, &["Error: unit g is global: it has no machine of its own\n"]);
    desk.fails(&["journal", "-f", "g"], 1, &["Error: Unable to retrieve journal of global unit g.service.\n", hint]);
}

#[tokio::test]
async fn text_of_hosts_and_units_steers_no_terminal() {
    let desk = Desk::new();
    let (store, keys) = desk.store().await;
    let id = MachineId::from_bits(1);
    let address: Address = "ssh://root@192.0.2.1".parse().unwrap();
    let machine = Machine { id, name: "core\u{1b}]0;\u{9b}31m".to_owned(), address, ..Machine::default() };
    store.commit(vec![], vec![keys.put(&Key::Machine(id), &machine)]).await.unwrap();
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
    // A submitted file is printed unchanged, except on a terminal.
    assert_eq!(desk.muster(&["cat", "a"]).ok(), unit("a\u{9b}31m"));
    let muster = env!("CARGO_BIN_EXE_muster");
    let mut script = std::process::Command::new("script");
    script.args(["--quiet", "--command", &format!("{muster} cat a"), "/dev/null"]);
    script.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", desk.home("")).stdin(Stdio::null());
    let shown = run(script.current_dir(desk.path("")));
    assert!(shown.out.contains("Description=a\u{fffd}31m"), "{shown:#?}");
}

/// Returns a machine, and its sshd that says nothing.
fn silent_machine() -> (TcpListener, Machine) {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("ssh://root@127.0.0.1:{}", silent.local_addr().unwrap().port()).parse().unwrap();
    let machine = Machine { id: MachineId::from_bits(1), name: "core-01".to_owned(), address, ..Machine::default() };
    (silent, machine)
}

#[tokio::test]
async fn a_command_that_waits_says_for_what() {
    let desk = Desk::new();
    let (_silent, machine) = silent_machine();
    let (store, keys) = desk.store().await;
    let id = machine.id;
    store.commit(vec![], vec![keys.put(&Key::Machine(id), &machine)]).await.unwrap();
    let said = desk.muster(&["list-machines", "--no-legend", "--fields", "name,observed"]);
    assert_eq!(said.out, "core-01\tnever\n");
    let expected = "waiting for the SSH connection to core-01\n\
                    Warning: core-01: not observed now (no answer yet), and never before\n";
    assert_eq!(said.err, expected, "{said:#?}");
    assert!(!desk.muster(&["-q", "list-machines"]).err.contains("waiting"));
}

#[tokio::test]
async fn a_sweep_says_that_it_waits_for_a_machine_that_is_known_to_be_down() {
    let desk = Desk::new();
    let (_silent, machine) = silent_machine();
    let (store, keys) = desk.store().await;
    let id = machine.id;
    let (health, since, reason) = (Health::Down, Timestamp::ZERO, HealthEvidence::Answers.into());
    let record = HealthRecord { health, since, last_seen: None, reason, outages: Vec::new() };
    let records = vec![keys.put(&Key::Machine(id), &machine), keys.put(&Key::Health(id), &record)];
    store.commit(vec![], records).await.unwrap();
    let said = desk.muster(&["sweep", "--down-after", "1s"]);
    let waits = |line: &str| line.starts_with("waiting for ") && line.ends_with("the SSH connection to core-01");
    assert!(said.code == Some(3) && said.err.lines().any(waits), "{said:#?}");
}
