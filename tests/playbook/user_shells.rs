//! Plays whose scripts run in user shells, on a real sshd.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use muster::remote::CapturedOutput;
use muster::remote::Command;
use muster::remote::Exit;
use muster::remote::Remote as _;
use muster::remote::ScriptRunner;
use muster::remote::ssh::Ssh;

use super::Stage;
use crate::wire::sshd::Sshd;
use crate::wire::sshd::missing;

/// Gives a user shell process ids of its own, so that they count its processes.
const COUNTED: &str = "ForceCommand exec unshare --pid --fork --mount-proc sh -c \"$SSH_ORIGINAL_COMMAND\"";

/// Returns the id of a new process.
async fn process(ssh: &Ssh, sshd: &Sshd) -> u64 {
    let script = "exec sh -c 'echo $$'".to_owned();
    let limit = Some(Duration::from_secs(20));
    let command = Command { script, limit, runner: ScriptRunner::UserShell, ..Command::default() };
    let mut kept = CapturedOutput::with_limit(100);
    let exit = ssh.exec(&sshd.target_at("h1"), &command, &mut kept).await.unwrap();
    let text = String::from_utf8(kept.stdout).unwrap();
    assert_eq!(exit, Exit::Code(0), "{text}{}", String::from_utf8_lossy(&kept.stderr));
    text.trim().parse().unwrap()
}

/// Each task runs in a subshell, which is a process too.
#[tokio::test]
async fn a_task_starts_no_more_processes_than_it_needs() {
    if missing() {
        return;
    }
    if std::fs::canonicalize("/bin/sh").unwrap().file_name() != Some("dash".as_ref()) {
        eprintln!("skipped: sh is not dash, and each shell starts other processes");
        return;
    }
    let sshd = Sshd::start_with(|_| COUNTED.to_owned());
    let ssh = Arc::new(sshd.ssh_by_any_name());
    let stage = Stage { remote: Some(ssh.clone()), ..Stage::new() };
    stage.write("t.j2", "{{ inventory_hostname }}\n");
    let mut counted = Vec::new();
    let tasks = [
        ("file: {path: DIR/d, state: directory}", "mkdir, stat", 3),
        ("file: {path: DIR/d, state: directory}", "stat", 2),
        ("file: {path: DIR/d, mode: '0700'}", "stat, a subshell that becomes chmod, stat", 4),
        ("file: {path: DIR/l, src: d, state: link}", "a subshell that looks for the target, ln, mv, stat", 5),
        ("file: {path: DIR/l, state: absent}", "stat, rm", 3),
        ("copy: {content: x, dest: DIR/f}", "stat, mv", 3),
        ("copy: {content: x, dest: DIR/f}", "stat, sha256sum", 3),
        ("copy: {content: xy, dest: DIR/f}", "stat, stat, mv", 4),
        ("copy: {content: x, dest: DIR/s, mode: '0600', owner: root}", "stat, mv", 3),
        ("template: {src: DIR/t.j2, dest: DIR/t}", "stat, mv", 3),
        ("lineinfile: {path: DIR/t, line: more}", "stat, cat; stat, mv", 5),
        ("lineinfile: {path: DIR/t, line: more}", "stat, cat", 2),
        ("template: {src: DIR/t.j2, dest: DIR/d/x, mode: '0755'}", "stat, chmod", 4),
        ("file: {path: DIR/d/x, mode: '0644'}", "stat, stat, chmod, stat", 5),
        ("command: test -e DIR/f", "test", 1),
        ("shell: test -e DIR/f", "sh", 1),
    ];
    for (task, _, _) in tasks {
        let before = process(&ssh, &sshd).await;
        let (printed, code) = stage.play(&format!("- hosts: h1\n  tasks:\n    - {task}\n")).await;
        assert_eq!(code, 0, "{printed}");
        counted.push((task, process(&ssh, &sshd).await - before - 1));
    }
    assert_eq!(counted, tasks.map(|(task, _, count)| (task, count)));
    assert!(Path::new(&stage.path("f")).exists());
}
