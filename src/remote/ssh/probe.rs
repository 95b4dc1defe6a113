//! A peer probe from the shell of a host that forwards no connections. The host needs bash; without bash nothing is
//! learned.

use std::sync::Arc;
use std::time::Duration;

use super::ErrorContext;
use super::command;
use super::connection::Connection;
use crate::core::model::Failure;
use crate::core::model::FailureKind;
use crate::core::model::Phase;
use crate::remote::CapturedOutput;
use crate::remote::Command;
use crate::remote::Exit;

/// The exit status of timeout(1) when the time is up.
const TIMED_OUT: u32 = 124;

/// Messages of bash about a host that cannot be reached, in the C locale.
const UNREACHABLE_MESSAGES: [&str; 4] =
    ["Connection refused", "No route to host", "Network is unreachable", "timed out"];

/// How many bytes of the output are kept.
const KEPT: usize = 1024;

/// Reports whether an sshd greets, seen from the shell of a host.
pub(super) async fn from_shell(
    connection: &Arc<Connection>,
    host: &str,
    port: u16,
    limit: Duration,
    via: &str,
) -> Result<bool, Failure> {
    let at = ErrorContext { host: via, phase: Phase::Run };
    let word = shlex::try_quote(host).map_err(|_| at.local("the name of the host contains a NUL byte"))?;
    let probe = r#"exec 3<>"/dev/tcp/$0/$1" && head -c 4 <&3"#;
    let script = format!("LC_ALL=C timeout {} bash -c '{probe}' {word} {port}", limit.as_secs().max(1));
    let mut session = connection.session(at, limit).await?;
    let mut said = CapturedOutput::with_limit(KEPT);
    let exit = command::run(&mut session, &Command { script, ..Command::default() }, &mut said, via, limit).await?;
    let errors = String::from_utf8_lossy(&said.stderr);
    match exit {
        Exit::Code(0) => Ok(said.stdout.starts_with(b"SSH-")),
        Exit::Code(TIMED_OUT) => Ok(false),
        _ if UNREACHABLE_MESSAGES.iter().any(|words| errors.contains(words)) => Ok(false),
        _ => Err(at.failure(
            FailureKind::Local,
            "the host forwards no connections (AllowTcpForwarding) and has no bash for the probe",
        )),
    }
}
