//! `exec`: its options, its document and its exit codes.

use std::net::TcpListener;
use std::process::Stdio;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use serde_json::Value;

use super::Desk;
use crate::wire::sshd::Sshd;
use crate::wire::sshd::missing;

#[test]
fn its_document_has_the_result_of_every_host() {
    let desk = Desk::new();
    desk.write("hosts", "h2 ansible_host=127.0.0.1 ansible_port=1\nh1 ansible_host=127.0.0.1 ansible_port=1\n");
    let said = desk.muster(&["-i", "hosts", "exec", "all", "-o", "json", "--", "true"]);
    assert_eq!((said.code, said.err.as_str()), (Some(4), ""), "{said:#?}");
    let document: Value = serde_json::from_str(&said.out).unwrap();
    let hosts = document["hosts"].as_object().unwrap();
    assert_eq!(hosts.keys().collect::<Vec<_>>(), ["h2", "h1"]);
    for (host, result) in hosts {
        assert_eq!(result["unreachable"], true, "{document:#}");
        assert!(result["msg"].as_str().unwrap().starts_with(&format!("{host}: connect: ")), "{document:#}");
    }
    desk.fails(&["-i", "hosts", "exec", "all", "-o", "json", "--fold", "--", "true"], 2, &["--fold"]);
}

#[test]
fn an_interrupted_run_prints_its_document_too() {
    let desk = Desk::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let hosts = ["h1 ansible_port=1", &format!("h2 ansible_port={port}"), "h3 ansible_port=1"];
    desk.write("hosts", hosts.map(|host| format!("{host} ansible_host=127.0.0.1\n")).concat());
    // One host at a time: when h2 is connected, h1 has ended and h3 has not begun.
    let exec = desk.command(&["-i", "hosts", "exec", "all", "-f", "1", "-o", "json", "--", "true"]);
    let exec = { exec }.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let _connected = silent.accept().unwrap();
    let pid = Pid::from_raw(exec.id().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let output = exec.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let hosts = &document["hosts"];
    assert_eq!(hosts["h1"]["unreachable"], true, "{document:#}");
    for host in ["h2", "h3"] {
        assert_eq!(
            (&hosts[host]["failed"], &hosts[host]["msg"]),
            (&true.into(), &"interrupted".into()),
            "{document:#}"
        );
    }
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(err.contains("Warning: the command was under way on h2 and may go on there\n"), "{err}");
    assert!(err.contains("Warning: the command was not started on 1 other host\n"), "{err}");
}

#[test]
fn a_note_about_many_hosts_is_printed_once() {
    let desk = Desk::new();
    let host = |number: u32| format!("h{number} ansible_host=127.0.0.1 ansible_port=1 ansible_ssh_executable=x\n");
    desk.write("hosts", (1..=5).map(host).collect::<String>());
    let notes = |pattern: &str| {
        let said = desk.muster(&["-i", "hosts", "exec", pattern, "--", "true"]);
        said.err.lines().filter(|line| line.starts_with("Note: ")).map(str::to_owned).collect::<Vec<_>>()
    };
    let text = "`ansible_ssh_executable` is ignored: muster does not know it.";
    assert_eq!(notes("all"), [format!("Note: 5 hosts (h1, h2, h3, …): {text}")]);
    assert_eq!(notes("h1,h2"), [format!("Note: h1, h2: {text}")]);
}

#[test]
fn a_local_host_needs_no_ssh_and_another_connection_fails_on_its_own() {
    let desk = Desk::new();
    desk.write("hosts", "here ansible_connection=local\nbox ansible_connection=docker\n");
    let said = desk.muster(&["-i", "hosts", "exec", "all", "--", "sh", "-c", "echo out; echo err >&2; exit 3"]);
    assert_eq!((said.code, said.out.as_str()), (Some(2), "here: out\n"), "{said:#?}");
    for line in
        ["here: err", "here: exit code 3", "box: configuration: muster reaches hosts over SSH, not over \"docker\""]
    {
        assert!(said.err.lines().any(|text| text == line), "{line}: {said:#?}");
    }
    let said =
        desk.muster(&["-i", "hosts", "exec", "here", "--shell", "--timeout", "1s", "--", "echo $((1 + 1)); sleep 60"]);
    assert_eq!((said.code, said.out.as_str()), (Some(2), "here: 2\n"), "{said:#?}");
    assert!(said.err.contains("here: did not end in 1 s"), "{said:#?}");
}

#[test]
fn the_arguments_of_ssh_reach_the_connection() {
    let desk = Desk::new();
    let args = "ansible_ssh_common_args='-o ProxyCommand=\"ls /no/such\"'";
    desk.write("hosts", format!("h1 ansible_host=127.0.0.1 ansible_port=1 {args}\n"));
    let exec = ["-i", "hosts", "exec", "h1", "--", "true"];
    desk.fails(&exec, 4, &["h1: connect: the proxy command ended with exit status 2: ls: ", "No such file"]);
}

#[test]
fn the_variables_say_which_user_it_becomes() {
    let desk = Desk::new();
    let hosts = |vars: &str| desk.write("hosts", format!("h1 ansible_host=127.0.0.1 ansible_port=1 {vars}\n"));
    let error = "host h1: muster becomes users with sudo, or with su as root, and not with `doas`";
    let exec = ["-i", "hosts", "exec", "h1", "--", "true"];
    hosts("ansible_become=true ansible_become_method=doas");
    desk.fails(&exec, 2, &[error]);
    hosts("ansible_become_method=doas");
    desk.fails(&["-i", "hosts", "exec", "h1", "-b", "--", "true"], 2, &[error]);
    desk.fails(&exec, 4, &["h1: connect: "]);
    hosts("ansible_become='{{ inventory_hostname in groups.all }}' ansible_become_user='a b'");
    desk.fails(&exec, 2, &["host h1: `a b` cannot be the name of a user"]);
    hosts("ansible_become=perhaps");
    desk.fails(&exec, 2, &["host h1: `ansible_become` must be true or false, not `perhaps`"]);
    hosts("ansible_connection=local");
    let said = desk.muster(&["-i", "hosts", "exec", "h1", "-b", "--become-user", "daemon", "--", "id", "-un"]);
    let is_root = rustix::process::getuid().is_root();
    assert!(!is_root || said.out == "h1: daemon\n", "{said:#?}");
}

/// The lines are those of `ansible` 2.19.
#[test]
fn a_module_prints_what_ansible_prints() {
    let desk = Desk::empty();
    let exec = |args: &[&str]| desk.muster(&[&["-i", "h1,h2,", "exec", "h1", "-c", "local"], args].concat());
    for (args, code, expected) in [
        (&["-m", "ping"][..], 0, "h1 | SUCCESS => {\n    \"changed\": false,\n    \"ping\": \"pong\"\n}\n"),
        (&["-m", "command", "-a", "echo hi"], 0, "h1 | CHANGED | rc=0 >>\nhi\n"),
        (&["-a", "echo {{ x }} {{ inventory_hostname }}", "-e", "x=3"], 0, "h1 | CHANGED | rc=0 >>\n3 h1\n"),
        (&["-a", "false"], 2, "h1 | FAILED | rc=1 >>\nnon-zero return code\n"),
        (&["-m", "shell", "-a", "echo a; echo b >&2; exit 3"], 2, "h1 | FAILED | rc=3 >>\nabnon-zero return code\n"),
        (&["-m", "shell", "-a", "printf x; sleep 0"], 0, "h1 | CHANGED | rc=0 >>\nx\n"),
        (&["-m", "ansible.builtin.raw", "-a", "echo hi"], 0, "h1 | CHANGED | rc=0 >>\nhi\n\n"),
        (&["-a", "true", "-C"], 0, "h1 | SKIPPED\n"),
        (&["-m", "debug", "-a", "msg=hi"], 0, "h1 | SUCCESS => {\n    \"msg\": \"hi\"\n}\n"),
        (&["-m", "debug", "-a", "{\"msg\": [1]}"], 0, "h1 | SUCCESS => {\n    \"msg\": [\n        1\n    ]\n}\n"),
        (
            &["-m", "stat", "-a", "path=/nonexistent"],
            0,
            "h1 | SUCCESS => {\n    \"changed\": false,\n    \"stat\": {\n        \"exists\": false\n    }\n}\n",
        ),
        (&["-m", "fail", "-a", "msg=no"], 2, "h1 | FAILED! => {\n    \"changed\": false,\n    \"msg\": \"no\"\n}\n"),
    ] {
        let said = exec(args);
        assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(code), expected, ""), "{args:?}");
    }
    // This machine needs no inventory.
    let pong = "localhost | SUCCESS => {\n    \"changed\": false,\n    \"ping\": \"pong\"\n}\n";
    assert_eq!(desk.muster(&["exec", "localhost", "-m", "ping"]).ok(), pong);
    desk.fails(&["exec", "h1", "-m", "ping"], 2, &["no inventory"]);
    desk.write("local.yml", "- hosts: localhost\n  gather_facts: false\n  tasks:\n    - ping:\n");
    assert!(desk.muster(&["play", "local.yml"]).ok().contains("ok: [localhost]\n"));
    let out = exec(&["-m", "ping", "-o", "json"]).ok();
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document, serde_json::json!({"hosts": {"h1": {"changed": false, "failed": false, "ping": "pong"}}}));
    for (args, why) in [
        (&["-m", "nowhere"][..], "muster has no module `nowhere`"),
        (&["-m", "stat", "-a", "pth=/"], "module `stat` has no `pth`"),
        (&["-m", "include_tasks", "-a", "x.yml"], "module `include_tasks` works in playbooks only"),
        (&["-m", "command"], "module `command` needs "),
    ] {
        let said = exec(args);
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{args:?}: {said:#?}");
        assert!(said.err.contains(why), "{args:?}: {said:#?}");
    }
}

#[test]
fn a_host_key_that_is_not_known_is_refused_with_a_hint_or_accepted_with_a_warning() {
    if missing() {
        return;
    }
    let (desk, sshd) = (Desk::new(), Sshd::start());
    sshd.options(&format!("IdentityFile {}", sshd.path("id").display()));
    let port = sshd.target().address.port.unwrap();
    desk.write("hosts", format!("h1 ansible_host=127.0.0.1 ansible_port={port} ansible_user=root\n"));
    std::fs::write(sshd.path("known"), "").unwrap();
    let config = sshd.path("ssh_config").display().to_string();
    let exec = |strict: &str| {
        let checks = ["--ssh-config", &config, "--strict-host-key-checking", strict];
        desk.muster(&[&checks[..], &["-i", "hosts", "exec", "-b", "all", "--", "true"]].concat())
    };
    let refused = exec("yes");
    let hint = "Hint: h1: Compare the fingerprint and record the key by logging in once with `ssh`, or accept";
    assert!(refused.code == Some(4) && refused.err.contains(hint), "{refused:#?}");
    let accepted = exec("no");
    let name = format!("[127.0.0.1]:{port}: ssh-ed25519 host key SHA256:");
    let warning = accepted.err.lines().find(|line| line.contains(&name)).unwrap_or_default();
    let end = " is accepted without a check (StrictHostKeyChecking no)";
    assert!(accepted.code == Some(0) && warning.ends_with(end), "{accepted:#?}");
}
