//! Against a real sshd.

use std::time::Duration;

use muster::remote::Command;
use muster::remote::Exit;
use muster::remote::Remote as _;
use muster::remote::Sink;

use super::sshd::Sshd;
use super::sshd::missing;

/// How long anything here may take.
const LIMIT: Duration = Duration::from_secs(20);

/// Keeps what a command wrote.
#[derive(Default)]
struct Kept {
    out: Vec<u8>,
    err: Vec<u8>,
}

impl Sink for Kept {
    fn stdout(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }
    fn stderr(&mut self, bytes: &[u8]) {
        self.err.extend_from_slice(bytes);
    }
}

#[tokio::test]
async fn a_script_runs_in_one_root_shell_that_stays() {
    if missing() {
        return;
    }
    let sshd = Sshd::start();
    let (ssh, target) = (sshd.ssh(), sshd.target());
    let first = ssh.script(&target, "{ id -u; echo $$; KEPT=yes; }\necho end", "end", LIMIT).await.unwrap();
    let second = ssh.script(&target, "{ echo \"$KEPT $$\"; }\necho end", "end", LIMIT).await.unwrap();
    let first = String::from_utf8(first).unwrap();
    let pid = first.lines().nth(1).unwrap();
    assert_eq!(first, format!("0\n{pid}\nend\n"));
    assert_eq!(String::from_utf8(second).unwrap(), format!("yes {pid}\nend\n"));
    ssh.close(LIMIT).await;
}

#[tokio::test]
async fn a_command_gets_its_stdin_and_gives_its_output_and_exit_status() {
    if missing() {
        return;
    }
    let sshd = Sshd::start();
    let (ssh, target) = (sshd.ssh(), sshd.target());
    for root in [false, true] {
        let line = "cat; echo \"it's\" bad >&2; exit 7".to_owned();
        let command = Command { line, stdin: b"fed".to_vec(), root, limit: Some(LIMIT) };
        let mut kept = Kept::default();
        let exit = ssh.run(&target, &command, &mut kept).await.unwrap();
        assert_eq!((exit, kept.out, kept.err), (Exit::Code(7), b"fed".to_vec(), b"it's bad\n".to_vec()));
    }
}
