//! Looking at another host from the shell of one that forwards no connections. It takes a bash, which not every host
//! has; without one nothing is learned.

use std::sync::Arc;
use std::time::Duration;

use super::At;
use super::command;
use super::connection::Connection;
use crate::core::model::Failure;
use crate::core::model::FailureKind;
use crate::core::model::Phase;
use crate::remote::Command;
use crate::remote::Exit;
use crate::remote::Sink;

/// What timeout(1) exits with when the time is up.
const TIME_IS_UP: u32 = 124;

/// What bash says when a host is not there, in the C locale.
const NOT_THERE: [&str; 4] = ["Connection refused", "No route to host", "Network is unreachable", "timed out"];

/// How much is kept of what is printed.
const KEPT: usize = 1024;

/// Says whether an sshd greets, seen from the shell of a host.
pub(super) async fn from_shell(
    connection: &Arc<Connection>,
    host: &str,
    port: u16,
    limit: Duration,
    via: &str,
) -> Result<bool, Failure> {
    let at = At { host: via, phase: Phase::Run };
    let word = shlex::try_quote(host).map_err(|_| at.local("the host's name has a NUL byte in it"))?;
    let look = r#"exec 3<>"/dev/tcp/$0/$1" && head -c 4 <&3"#;
    let line = format!("LC_ALL=C timeout {} bash -c '{look}' {word} {port}", limit.as_secs().max(1));
    // A login shell that is not sh may not know assignments in front of a command.
    let line = format!("exec sh -c {}", shlex::try_quote(&line).map_err(|error| at.local(error))?);
    let mut session = connection.session(at, limit).await?;
    let mut said = Said::default();
    let exit = command::run(&mut session, &Command { line, ..Command::default() }, &mut said, via, limit).await?;
    let errors = String::from_utf8_lossy(&said.err);
    match exit {
        Exit::Code(0) => Ok(said.out.starts_with(b"SSH-")),
        Exit::Code(TIME_IS_UP) => Ok(false),
        _ if NOT_THERE.iter().any(|words| errors.contains(words)) => Ok(false),
        _ => Err(at.failure(
            FailureKind::Local,
            "it forwards no connections (AllowTcpForwarding), and has no bash that could look instead",
        )),
    }
}

#[derive(Default)]
struct Said {
    out: Vec<u8>,
    err: Vec<u8>,
}

impl Sink for Said {
    fn stdout(&mut self, bytes: &[u8]) {
        keep(&mut self.out, bytes);
    }

    fn stderr(&mut self, bytes: &[u8]) {
        keep(&mut self.err, bytes);
    }
}

fn keep(kept: &mut Vec<u8>, bytes: &[u8]) {
    let room = KEPT.saturating_sub(kept.len()).min(bytes.len());
    kept.extend(bytes.iter().take(room));
}
