//! `muster ssh` on a terminal and without one, to a real sshd.

use std::io::Write as _;
use std::io::pipe;
use std::process::Command;
use std::process::Stdio;

use muster::core::model::Machine;
use muster::core::model::MachineId;
use muster::store::layout::Key;

use super::sshd::Sshd;
use super::sshd::missing;
use crate::cli::Desk;
use crate::hosts::Said;
use crate::hosts::run;

/// Runs muster on a terminal that sends these keys. The stderr of muster goes to a file.
fn on_a_terminal(desk: &Desk, args: &str, keys: &str) -> Said {
    let mut script = Command::new("script");
    let line = format!("{} {args} 2>err", env!("CARGO_BIN_EXE_muster"));
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]).current_dir(desk.path(""));
    script.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", desk.home(""));
    let (reader, mut writer) = pipe().unwrap();
    writer.write_all(keys.as_bytes()).unwrap();
    let said = run(script.stdin(reader));
    Said { err: std::fs::read_to_string(desk.path("err")).unwrap(), ..said }
}

#[tokio::test]
async fn a_shell_has_a_terminal_and_a_command_has_separate_streams() {
    if missing() {
        return;
    }
    let (desk, sshd) = (Desk::new(), Sshd::start());
    sshd.options(&format!("IdentityFile {}", sshd.path("id").display()));
    let id = MachineId::from_bits(1);
    let machine = Machine { id, name: "core-01".to_owned(), address: sshd.target().address, ..Machine::default() };
    let (store, keys) = desk.store().await;
    store.commit(vec![], vec![keys.put(&Key::Machine(id), &machine)]).await.unwrap();
    drop(store);
    let config = sshd.path("ssh_config").display().to_string();

    let said = on_a_terminal(&desk, &format!("--ssh-config {config} ssh core-01 'tty; echo oops >&2; exit 7'"), "");
    assert_eq!((said.code, said.err.as_str()), (Some(7), "oops\n"), "{said:#?}");
    assert!(said.out.starts_with("not a tty"), "{said:#?}");
    let said = on_a_terminal(&desk, &format!("--ssh-config {config} ssh core-01"), "tty; exit 7\r");
    assert!(said.code == Some(7) && said.out.contains("/dev/pts/"), "{said:#?}");

    // The reader of the output has gone.
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let mut command = desk.command(&["--ssh-config", &config, "ssh", "core-01", "yes"]);
    let child = command.stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}
