//! Invalid input: one clear error, its exit code, and nothing half done.

use std::io::pipe;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::fs::symlink;

use muster::core::model::Address;
use muster::core::model::Machine;
use muster::core::model::MachineId;
use muster::store::layout::Key;

use super::Desk;
use super::unit;
use crate::hosts::Said;
use crate::hosts::run;

#[test]
fn an_invalid_unit_file_is_rejected_with_its_place_and_so_are_those_beside_it() {
    let desk = Desk::new();
    desk.write("good.service", unit("good"));
    for (text, place) in [
        (&b"[Unit]\nDescription=x\n  [Service\nExecStart=/bin/true\n"[..], "units/bad.service:3:3: "),
        (b"[Service]\nExecStart /bin/true\n", "units/bad.service:2:1: no `=` in this line"),
        (b"[Service]\nExecStart=/bin/\xff\n", "units/bad.service:2:16: not UTF-8"),
        (b"[Service]\nExecStart=/bin/\0\n", "units/bad.service:2:16: a NUL byte"),
        (b"[Service]\nExecStart=/bin/true \\", "units/bad.service:2:21: the file ends in a continued line"),
        (&vec![b'#'; 2 << 20], "units/bad.service: longer than 1048576 bytes"),
    ] {
        desk.write("units/bad.service", text);
        for verb in ["submit", "load", "start"] {
            desk.fails(&[verb, "good.service", "units/bad.service"], 2, &["Error: ", place]);
        }
    }
    std::fs::create_dir(desk.path("folder.service")).unwrap();
    desk.fails(&["submit", "folder.service"], 2, &["folder.service: not a file"]);
    assert_eq!(desk.muster(&["list-unit-files", "--no-legend"]).ok(), "", "nothing is half done");
}

#[test]
fn a_path_without_a_file_never_names_the_submitted_unit_except_under_the_name_fleetctl() {
    let desk = Desk::new();
    desk.muster(&["submit", desk.write("hello.service", unit("hello"))]).ok();
    desk.muster(&["submit", desk.write("on@.service", unit("on"))]).ok();
    let hint = "Hint: Write `hello.service` without a path to name the submitted unit.";
    for verb in ["submit", "load", "start"] {
        desk.fails(&[verb, "./nope/hello.service"], 2, &["Error: ./nope/hello.service: no such file\n", hint]);
        desk.fails(&[verb, "nope/hello"], 2, &["Error: nope/hello.service: no such file\n"]);
        desk.fails(&[verb, "nope/on@1.service"], 2, &["Error: nope/on@1.service: no such file\n"]);
    }
    assert_eq!(desk.muster(&["list-unit-files", "--no-legend", "--fields=dstate"]).ok(), "inactive\ninactive\n");
    assert_eq!(desk.muster(&["submit", "./hello.service", "./on@1.service"]).ok(), "Unit on@1.service inactive\n");
    symlink(env!("CARGO_BIN_EXE_muster"), desk.path("fleetctl")).unwrap();
    let mut fleetctl = std::process::Command::new(desk.path("fleetctl"));
    fleetctl.env_clear().env("HOME", desk.home("")).current_dir(desk.path("")).args(["submit", "nope/hello.service"]);
    assert_eq!(run(&mut fleetctl).code, Some(0));
}

#[test]
fn an_invalid_requirement_is_rejected_and_an_unknown_one_is_a_warning() {
    let desk = Desk::new();
    desk.write("a.service", unit("a") + "[X-Fleet]\nMachineID=a\nGlobal=true\nMachineOf=b.service\n");
    desk.fails(&["submit", "a.service"], 2, &["Unit a.service: [X-Fleet] "]);
    desk.write("a.service", "[Service]\nType=wrong\nExecStart=/bin/true\nRestart=on-sucess\n");
    let said = desk.muster(&["submit", "a.service"]);
    let types = "simple, exec, forking, oneshot, dbus, notify, notify-reload, idle";
    let of_type =
        format!("WARNING: Unit a.service: 2:1: systemd ignores `Type=wrong` in [Service]: expected {types}\n");
    assert!(said.err.contains(&of_type) && said.err.contains("a.service: 4:1: "), "{said:#?}");
    desk.muster(&["destroy", "a.service"]).ok();
    desk.write("a.service", unit("a") + "[X-Fleet]\nMachineColour=blue\n");
    let said = desk.muster(&["submit", "a.service"]);
    assert!(said.err.contains("WARNING: Unit a.service: ") && said.err.contains("MachineColour"), "{said:#?}");
    assert_eq!(said.ok(), "Unit a.service inactive\n");
}

#[test]
fn a_misspelt_command_does_nothing_and_is_named() {
    let desk = Desk::new();
    desk.muster(&["submit", desk.write("hello.service", unit("hello"))]).ok();
    desk.fails(&["dest", "hello"], 2, &["unrecognized subcommand 'dest'", "'destroy'"]);
    desk.fails(&["exec", "all", "ls", "-la"], 2, &["unexpected argument 'ls'", "muster exec PATTERN -- COMMAND"]);
    assert_eq!(desk.muster(&["list-unit-files", "--no-legend", "--fields=unit"]).ok(), "hello.service\n");
}

#[test]
fn an_invalid_unit_name_is_rejected_with_the_reason() {
    let desk = Desk::new();
    let long = format!("{}.service", "a".repeat(300));
    for (name, why) in [
        ("a b.service", "invalid character ' ' in unit name"),
        ("$(reboot).service", "invalid character '$' in unit name"),
        ("a;b.service", "invalid character ';' in unit name"),
        ("@a.service", "unit name cannot start in \"@\""),
        (".a.service", "unit name cannot start in \".\""),
        ("", "unit name cannot be empty"),
        (&long, "unit name exceeds"),
    ] {
        for verb in ["submit", "load", "start", "stop", "unload", "destroy", "restart", "cat", "status", "journal"] {
            desk.fails(&[verb, "--", name], 2, &["Error: ", why]);
        }
    }
}

#[test]
fn an_unknown_unit_among_others_keeps_none_of_them_from_being_destroyed() {
    let desk = Desk::new();
    for name in ["a.service", "b.service"] {
        desk.muster(&["submit", desk.write(name, unit(name))]).ok();
    }
    let said = desk.muster(&["destroy", "a", "nothere", "b"]);
    let err = "Error: Unit nothere.service does not exist\n".to_owned();
    assert_eq!(said, Said { code: Some(1), out: "Destroyed a.service\nDestroyed b.service\n".to_owned(), err });
    assert_eq!(desk.muster(&["list-unit-files", "--no-legend"]).ok(), "");
}

#[test]
fn a_unit_that_is_destroyed_is_not_suggested_for_an_unknown_one() {
    let desk = Desk::new();
    for name in ["u11.service", "u12.service", "u13.service"] {
        desk.muster(&["submit", desk.write(name, unit(name))]).ok();
    }
    let said = desk.muster(&["destroy", "u1", "u11", "u12"]);
    assert_eq!(said.err, "Error: Unit u1.service does not exist\n  did you mean u13.service?\n");
}

#[test]
fn an_unknown_unit_is_an_error() {
    let desk = Desk::new();
    for verb in ["submit", "load", "start"] {
        desk.fails(&[verb, "web"], 1, &["unable to find Unit(web.service) in Registry or on filesystem"]);
    }
    for verb in ["stop", "unload", "restart", "destroy", "status", "journal"] {
        desk.fails(&[verb, "web"], 1, &["Unit web.service does not exist"]);
    }
    desk.fails(&["cat", "web"], 1, &["Unit web.service does not exist"]);
    desk.fails(&["ssh", "-u", "web"], 1, &["Unit web.service does not exist"]);
    desk.fails(&["ssh", "web"], 1, &["no machine and no unit is called \"web\""]);
    desk.fails(&["leave", "core-01"], 1, &["no machine is called \"core-01\"", "list-machines"]);
}

#[test]
fn a_misspelt_name_of_a_unit_is_named_with_the_likely_one() {
    let desk = Desk::new();
    desk.muster(&["submit", desk.write("hello.service", unit("hello"))]).ok();
    for verb in ["cat", "why", "status", "journal", "restart", "ssh", "submit", "load", "start"] {
        desk.fails(&[verb, "helo"], 1, &["Hint: Did you mean `hello"]);
    }
    for verb in ["stop", "unload", "destroy"] {
        desk.fails(&[verb, "helo"], 1, &["Error: Unit helo.service does not exist\n", "did you mean hello.service?"]);
    }
}

#[test]
fn a_wrong_number_of_the_settings_file_is_refused_with_the_range() {
    let desk = Desk::new();
    for number in ["0", "101", "300", "-1", "9999999999"] {
        desk.write("muster.toml", format!("brake = {number}\n"));
        desk.fails(&["list-units"], 2, &["Error: muster.toml: invalid `brake`: expected 1 to 100 percent\n"]);
    }
    desk.write("muster.toml", "failover-limit = \"x\"\n");
    desk.fails(&["list-units"], 2, &["Error: muster.toml: ", "line 1, column 18", "expected a whole number"]);
}

#[test]
fn a_wrong_value_of_a_short_option_is_named_with_the_option() {
    let desk = Desk::new();
    desk.fails(&["list-units", "-o", "jsn"], 2, &["invalid value 'jsn' for '--output <FORMAT>'"]);
}

#[test]
fn a_unit_that_is_on_no_machine_is_named_with_its_desired_state() {
    let desk = Desk::new();
    desk.muster(&["submit", desk.write("hello.service", unit("hello"))]).ok();
    for args in [&["journal", "hello"][..], &["status", "hello"], &["ssh", "hello"], &["ssh", "-u", "hello"]] {
        let error = "Error: Unit hello.service is on no machine: its desired state is inactive\n";
        desk.fails(args, 1, &[error, "`muster start hello.service` starts it."]);
    }
    desk.muster(&["start", "--no-block", "hello"]).ok();
    desk.fails(&["journal", "hello"], 1, &["its desired state is launched\n", "`muster why hello.service` says why"]);
}

#[test]
fn an_unknown_pattern_or_token_is_rejected_before_any_host_is_reached() {
    let desk = Desk::new();
    desk.write("hosts", "[web]\nh1 ansible_host=192.0.2.1\n");
    desk.fails(&["-i", "hosts", "join", "h9"], 2, &["no host or group matches `h9`"]);
    desk.fails(&["-i", "hosts", "exec", "h9", "--", "true"], 2, &["no host or group matches `h9`"]);
    desk.fails(&["-i", "nowhere", "join"], 2, &["nowhere"]);
    desk.write("broken", "[web\nh1\n");
    desk.fails(&["-i", "broken", "join"], 2, &["broken:1:"]);
    let token = "0123456789abcdef0123456789abcdef";
    desk.fails(&["-i", "hosts", "--token", token, "join"], 2, &[token, "not known", "muster discovery new"]);
    desk.fails(&["--token", "no/token", "list-units"], 2, &["--token", "invalid token \"no/token\""]);
}

#[test]
fn a_join_names_the_variables_that_it_ignores() {
    let desk = Desk::new();
    desk.write("hosts", "h1 ansible_host=127.0.0.1 ansible_port=1 ansible_password=secret\n");
    desk.fails(&["-i", "hosts", "join"], 3, &["Note: h1: the cluster keeps no password", "h1: connect: "]);
}

#[test]
fn an_invalid_ssh_config_is_a_usage_error() {
    let desk = Desk::new();
    desk.write("hosts", "h1 ansible_host=192.0.2.1\n");
    desk.write("ssh_config", "Host *\n  Port many\n");
    desk.write("book.yaml", "- hosts: all\n  tasks:\n    - command: 'true'\n");
    let with = |config, args: &[&'static str]| [&["-i", "hosts", "--ssh-config", config], args].concat();
    let (exec, join) = (&["exec", "all", "--", "true"][..], &["join"][..]);
    for args in [exec, join] {
        desk.fails(&with("ssh_config", args), 2, &["configuration: ssh_config:2: ", "many"]);
    }
    for args in [exec, join, &["play", "book.yaml"], &["sweep"], &["plan"]] {
        desk.fails(&with("nowhere", args), 2, &["Error: ", "nowhere"]);
    }
}

#[tokio::test]
async fn a_name_that_a_shell_could_run_is_rejected_everywhere() {
    let desk = Desk::new();
    desk.write("ssh_config", "Host *\n  ProxyCommand sh -c 'touch pwned' %h %r %n\n");
    let ssh_config = ["--ssh-config", "ssh_config"];
    for (line, named) in [
        (
            "h1 ansible_host=a$(touch${IFS}pwned)",
            "host h1: variable `ansible_host`: invalid name of a host \"a$(touch${IFS}pwned)\"",
        ),
        ("h1 ansible_user=a;b", "host h1: variable `ansible_user`: invalid name of a user \"a;b\""),
        ("a`b`", "host a`b`: variable `ansible_host`: invalid name of a host \"a`b`\""),
        ("h1 ansible_ssh_common_args='-J a&b'", "h1: configuration: invalid name of a host \"a&b\""),
    ] {
        desk.write("hosts", format!("{line}\n"));
        let said = desk.muster(&[&ssh_config[..], &["-i", "hosts", "exec", "all", "--", "true"]].concat());
        assert!(said.code == Some(2) && said.err.contains(named), "{line}: {said:#?}");
    }
    let (store, keys) = desk.store().await;
    let id = MachineId::from_bits(1);
    let address = Address { user: Some("x|y".to_owned()), host: "192.0.2.1".to_owned(), port: None };
    let machine = Machine { id, name: "core-01".to_owned(), address, ..Machine::default() };
    store.commit(vec![], vec![keys.put(&Key::Machine(id), &machine)]).await.unwrap();
    drop(store);
    let args = [&ssh_config[..], &["ssh", "core-01", "true"]].concat();
    desk.fails(&args, 2, &["Error: core-01: configuration: invalid name of a user \"x|y\""]);
    assert!(!desk.path("pwned").exists());
}

#[test]
fn an_invalid_store_is_rejected_and_one_that_is_away_is_unreachable() {
    let desk = Desk::new();
    for store in ["", "etcd", "etcd://", "mysql://here", "sqlite:", "/var/lib/muster.db", "etcd://h:99999"] {
        desk.fails(&["--store", store, "list-units"], 2, &["Error: ", "sqlite:PATH"]);
    }
    desk.fails(&["--store", "etcd://127.0.0.1:1", "list-units"], 3, &["Error: ", "127.0.0.1:1"]);
    desk.write("file", "this is no database, and long enough for one to look for its header in it\n".repeat(20));
    desk.fails(&["--store", "sqlite:file", "list-units"], 2, &["Error: ", "file"]);
    desk.fails(&["--store", "sqlite:file/muster.db", "list-units"], 2, &["Error: ", "file/muster.db"]);
    desk.fails(&["--store", "sqlite:/proc/muster.db", "list-units"], 2, &["Error: ", "/proc/muster.db"]);
}

#[test]
fn the_first_submit_says_that_it_has_made_a_store() {
    let desk = Desk::empty();
    let store = format!("sqlite:{}", desk.path("new.db").display());
    let submit = || run(&mut desk.command(&["--store", &store, "submit", desk.write("hello.service", unit("hello"))]));
    let note = format!("Note: made the store {store}: it is that of a new cluster, which no machine has joined\n");
    assert_eq!([submit().err, submit().err], [note, String::new()]);
}

#[test]
fn a_store_that_other_users_can_read_or_whose_password_is_not_encrypted_is_warned_of() {
    let desk = Desk::new();
    desk.muster(&["submit", desk.write("hello.service", unit("hello"))]).ok();
    let submit =
        |store: &str| run(desk.command(&["--store", store, "list-unit-files"]).env("MUSTER_ETCD_PASSWORD", "x"));
    let file = desk.path("copy.db");
    let store = format!("sqlite:{}", file.display());
    run(&mut desk.command(&["--store", &store, "submit", "hello.service"])).ok();
    assert_eq!(submit(&store).err, "");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let warning = format!("Warning: other users can read or write {}: run `chmod 600` on it\n", file.display());
    assert_eq!(submit(&store).err, warning);
    let said = submit("etcd://me@127.0.0.1:1");
    assert_eq!(said.code, Some(3), "{said:#?}");
    assert!(
        said.err.contains("Warning: the password of the etcd user me is sent in the clear: use etcds://"),
        "{said:#?}"
    );
}

#[test]
fn invalid_arguments_are_a_usage_error_and_help_is_none() {
    let desk = Desk::new();
    for args in [&["begin"][..], &["start"], &["list-units", "--colour"], &[]] {
        desk.fails(args, 2, &["Usage: muster"]);
    }
    let said = run(desk.command(&["stop"]).env("MUSTER_STORE", "sqlite:x.db"));
    assert!(said.code == Some(2) && said.err.contains("Usage: muster stop <UNIT>..."), "{said:#?}");
    for (args, value, expected) in [
        (["sweep", "--down-after"], "0", "a duration from 1s to 1h"),
        (["plan", "--lease"], "25h", "a duration from 1s to 24h"),
        (["start", "--wait"], "soon", "a duration such as 30s or 5m, or a number of seconds"),
        (["drain", "--deadline"], "-5s", "a duration such as 30s or 5m, or a number of seconds"),
    ] {
        let [command, flag] = args;
        let error = format!("invalid value '{value}' for '{flag} <DURATION>': expected {expected}");
        desk.fails(&[command, &format!("{flag}={value}"), "x"], 2, &[&error]);
    }
    desk.fails(&["start", "--wait", "1m", "--block-attempts", "3", "x"], 2, &["cannot be used with"]);
    desk.fails(&["lock", "take", "--reason", " "], 2, &["invalid value ' ' for '--reason <TEXT>': expected a text"]);
    for args in [&["--help"][..], &["help"], &["start", "--help"], &["help", "start"], &["lab", "--help"], &["-h"]] {
        assert!(desk.muster(args).ok().contains("Usage: muster"), "{args:?}");
    }
    assert!(desk.muster(&["--version"]).ok().starts_with("muster "));
}

#[test]
fn a_join_of_which_no_host_answers_makes_no_store() {
    let desk = Desk::empty();
    let join = ["--store", "sqlite:new.db", "-i", "127.0.0.1:1,", "join"];
    desk.fails(&join, 3, &["Error: 127.0.0.1: connect: "]);
    let other = ["--store", "sqlite:new.db", "--token", "blue", "-i", "127.0.0.1:1,", "join"];
    desk.fails(&other, 2, &["blue", "muster discovery new"]);
    assert!(!desk.path("new.db").exists());
}

#[test]
fn a_closed_reader_ends_it_quietly() {
    let desk = Desk::new();
    desk.write("a.service", unit("a"));
    desk.muster(&["submit", "a.service"]).ok();
    for args in [&["list-unit-files"][..], &["events"], &["cat", "a"], &["--help"]] {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let mut command = desk.command(args);
        let output = command.stdout(writer).stderr(std::process::Stdio::piped()).spawn().unwrap().wait_with_output();
        let output = output.unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{args:?}");
        assert_eq!(output.status.code(), Some(0), "{args:?}");
    }
}

#[test]
fn the_binary_writes_completions_and_man_pages() {
    let desk = Desk::new();
    assert_eq!(desk.muster(&[]).code, Some(2));
    desk.fails(&["destroy"], 2, &["<UNIT>"]);
    for shell in ["bash", "zsh", "fish"] {
        let script = desk.muster(&["completions", shell]).ok();
        assert!(script.contains("list-unit-files") && script.contains("lock-wait"), "{shell}: {script}");
    }
    desk.muster(&["man", "share/man"]).ok();
    for page in [
        "muster.1",
        "muster-start.1",
        "muster-list-machines.1",
        "muster-lab-up.1",
        "muster-plan.1",
        "muster-lock-take.1",
    ] {
        let text = std::fs::read_to_string(desk.path("share/man").join(page)).unwrap();
        assert!(text.contains(".TH") && text.contains(".SH OPTIONS"), "{page}: {text}");
    }
    desk.write("file", "");
    desk.fails(&["man", "file"], 2, &["cannot write to file"]);
}

#[test]
fn a_store_or_a_token_that_does_not_exist_is_an_error_and_is_not_made() {
    let desk = Desk::empty();
    desk.write("a.service", unit("a"));
    let store = "sqlite:there/m.db";
    for args in [&["list-units"][..], &["events"], &["sweep"], &["start", "a.service"], &["controller"], &["plan"]] {
        desk.fails(&[&["--store", store], args].concat(), 2, &["there/m.db does not exist\n", "`muster join`"]);
    }
    assert!(!desk.path("there").exists());
    desk.muster(&["--store", store, "submit", "a.service"]).ok();
    for args in [&["list-units"][..], &["sweep"], &["start", "a.service"], &["plan"]] {
        let args = [&["--store", store, "--token", "nosuch"], args].concat();
        desk.fails(&args, 2, &["token nosuch is not known to the store\n", "`muster discovery new"]);
    }
    // An empty list says why it is empty.
    let said = desk.muster(&["--store", store, "list-units"]);
    assert!(said.code == Some(0) && said.err.contains("no machine has joined the cluster default"), "{said:#?}");
}

#[test]
fn typing_errors_in_unit_files_and_names_are_named_with_the_likely_word() {
    let desk = Desk::new();
    desk.write("a.service", "[Service]\nExecStart=/bin/true\nRestrat=no\n[X-Own]\nGlobal=true\n");
    let said = desk.muster(&["submit", "a.service"]);
    assert_eq!((said.code, said.out.as_str()), (Some(0), "Unit a.service inactive\n"));
    assert_eq!(
        said.err.lines().collect::<Vec<_>>(),
        ["WARNING: Unit a.service: 3:1: systemd ignores `Restrat=` in [Service]: did you mean `Restart=`?",]
    );
    desk.write("b.service", "[Service]\nExecStart=/bin/true\n[X-muster]\nClass=strict\n");
    desk.fails(&["submit", "b.service"], 2, &["the section [X-muster] is not known: did you mean [X-Muster]?"]);
    desk.write("c.service", "[Service]\nExecStart=/bin/true\n[X-Muster]\nClass=Strict\n");
    desk.fails(&["submit", "c.service"], 2, &["Unit c.service: [X-Muster] Class=Strict: expected `available` or"]);
    desk.fails(&["start", "worker@7.servce"], 2, &["did you mean \"worker@7.service\"?"]);
    desk.fails(&["list-units", "--fields", "state"], 2, &["Hint: `--help` names the columns."]);
    let help = desk.muster(&["list-applications", "--help"]).ok();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains("Applications: application, units, running, machines, missing."), "{help}");
}

#[test]
fn a_start_that_waits_for_nothing_says_so_when_no_process_leads() {
    let desk = Desk::new();
    desk.write("a.service", unit("a"));
    let said = desk.muster(&["start", "--no-block", "a.service"]);
    let note = "Note: no process leads: the next `muster sweep` or a controller carries this out\n";
    assert_eq!(said.out, "Unit a.service inactive\nTriggered unit a.service start\n", "{said:#?}");
    assert!(said.code == Some(0) && said.err.contains(note), "{said:#?}");
    desk.write("a.service", unit("b"));
    desk.fails(
        &["submit", "--replace", "a.service"],
        1,
        &["in state launched\nHint: `muster start --replace` replaces"],
    );
}
