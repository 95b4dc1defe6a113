//! The resident shell: one `sh` as root per host that runs scripts. This module does not read their output.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt as _;
use russh::ChannelMsg;
use tokio::time::Instant;

use super::connection::Connection;
use super::connection::Session;
use super::failure::ErrorContext;
use super::failure::denied_user;
use super::tail::Tail;
use crate::core::model::Failure;
use crate::core::model::FailureKind;
use crate::core::model::Phase;
use crate::core::sanitize;
use crate::remote::RunAs;
use crate::remote::progress::Listeners;

/// The command for the login shell, which may be sh, csh or fish: no backslash, no `!`, and only quotes that all know.
const START: &str = concat!(
    r#"sh -c 'S="LC_ALL=C; export LC_ALL; echo muster-shell-is-ready; exec sh"; "#,
    r#"test "$(id -u)" = 0 && exec sh -c "$S"; exec sudo -n sh -c "$S"'"#
);

/// The first line of the shell. Text before it comes from start files such as ~/.bashrc.
const READY_LINE: &str = "muster-shell-is-ready";

/// How often a host is asked for a sign of life while a script runs there.
const SIGN_INTERVAL: Duration = Duration::from_secs(1);

/// How many of these intervals without a byte in a row end a visit.
const SILENT_INTERVALS: u32 = 4;

/// How many bytes may come before the first line of the shell.
const NOISE_LIMIT: usize = 256 << 10;

/// A shell that waits for scripts.
pub(super) struct Shell {
    session: Session,
    complaints: Tail,
}

impl Shell {
    /// Starts the shell.
    pub(super) async fn start(connection: &Arc<Connection>, host: &str, limit: Duration) -> Result<Self, Failure> {
        let at = ErrorContext { host, phase: Phase::Shell };
        let session = connection.session(at, limit).await?;
        let mut shell = Self { session, complaints: Tail::default() };
        at.within(limit, shell.greet(at)).await?;
        Ok(shell)
    }

    async fn greet(&mut self, at: ErrorContext<'_>) -> Result<(), Failure> {
        let asked = self.session.write.exec(true, START).await;
        asked.map_err(|_| self.session.connection.lost(at, "the connection was closed"))?;
        let mut noise = Output::new(READY_LINE, NOISE_LIMIT);
        match self.read(&mut noise).await {
            Read::Complete => Ok(()),
            Read::TooMuch => Err(at.failure(FailureKind::Sick, "the login shell prints without end")),
            Read::Refused => Err(at.failure(FailureKind::Sick, "the host runs no commands")),
            Read::Ended(status) => Err(self.no_shell(status, &noise.bytes, at)),
        }
    }

    /// Makes a failure of a shell that ended before it was ready.
    fn no_shell(&self, status: Option<u32>, noise: &[u8], at: ErrorContext<'_>) -> Failure {
        let said = if self.complaints.bytes().is_empty() {
            sanitize::printable(noise)
        } else {
            sanitize::printable(self.complaints.bytes())
        };
        let Some(status) = status else {
            return self.session.connection.lost(at, "the host closed the channel");
        };
        let complaints = String::from_utf8_lossy(self.complaints.bytes());
        if complaints.contains("sudo") {
            return denied_user(&complaints, &RunAs::root(), at);
        }
        at.failure(FailureKind::Sick, format!("the shell ended with status {status}: {said}"))
    }

    /// Reports whether the shell waits for a script: it has not ended, and no earlier script still prints.
    pub(super) fn is_idle(&mut self) -> bool {
        loop {
            match self.session.wait().now_or_never() {
                None => return self.session.connection.is_usable(),
                Some(Some(ChannelMsg::ExtendedData { data, .. })) => self.complaints.add(&data),
                Some(Some(ChannelMsg::WindowAdjusted { .. } | ChannelMsg::Success)) => {}
                Some(_) => return false,
            }
        }
    }

    /// Runs a script and returns its output up to and with the line `end`.
    pub(super) async fn run(&mut self, script: &ScriptRun<'_>, at: ErrorContext<'_>) -> Result<Vec<u8>, Failure> {
        let ScriptRun { text, end, limit, room, listeners, .. } = *script;
        let mut output = Output::new(end, room);
        self.complaints = Tail::default();
        let (connection, write) = (self.session.connection.clone(), self.session.write.clone());
        let mut text = text.as_bytes().to_vec();
        if !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        let is_sent = AtomicBool::new(false);
        let exchange = async {
            // Both at once: a shell that ends in the middle of a script reads no more of it.
            let send = async {
                let _ = write.data_bytes(text).await;
                is_sent.store(true, Ordering::Relaxed);
                std::future::pending::<()>().await;
            };
            tokio::select! {
                read = self.read(&mut output) => read,
                () = send => Read::Ended(None),
            }
        };
        let read = tokio::select! {
            biased;
            read = tokio::time::timeout(limit, exchange) => read,
            () = silence(&connection, listeners, &is_sent) => {
                return Err(at.failure(FailureKind::Silent, "the host stopped answering"));
            }
        };
        match read {
            Ok(Read::Complete) => Ok(output.bytes),
            Ok(Read::TooMuch) => {
                Err(at.failure(FailureKind::Sick, format!("the script printed more than {room} bytes")))
            }
            Ok(Read::Refused) => Err(at.failure(FailureKind::Sick, "the host sent a reply to no request")),
            Ok(Read::Ended(Some(status))) => {
                let said = sanitize::printable(self.complaints.bytes());
                Err(at.failure(FailureKind::Sick, format!("the shell ended with status {status}: {said}")))
            }
            Ok(Read::Ended(None)) => Err(self.session.connection.lost(at, "the shell was killed")),
            Err(_) => Err(at.silent(limit)),
        }
    }

    /// Returns the connection of the shell.
    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.session.connection
    }

    async fn read(&mut self, output: &mut Output<'_>) -> Read {
        let mut status = None;
        while let Some(message) = self.session.wait().await {
            match message {
                ChannelMsg::Data { data } => match output.add(&data) {
                    Added::More => {}
                    Added::Complete => return Read::Complete,
                    Added::TooMuch => return Read::TooMuch,
                },
                ChannelMsg::ExtendedData { data, .. } => self.complaints.add(&data),
                ChannelMsg::ExitStatus { exit_status } => status = Some(exit_status),
                ChannelMsg::Failure => return Read::Refused,
                ChannelMsg::Close => break,
                _ => {}
            }
        }
        Read::Ended(status)
    }
}

/// A script to run.
#[derive(Clone, Copy)]
pub(super) struct ScriptRun<'a> {
    pub(super) text: &'a str,
    /// The line that ends the output.
    pub(super) end: &'a str,
    /// How long the script may take.
    pub(super) limit: Duration,
    /// How many bytes the script may print.
    pub(super) room: usize,
    /// The visits to which proof of life is reported while the script runs.
    pub(super) listeners: &'a Listeners,
    /// Set if the operator is told more exactly what the script waits for.
    pub(super) is_told: bool,
}

/// Watches a host on which a script runs and returns once the host has been silent for too long. After the first second
/// it asks for a sign of life each second and reports each answer.
async fn silence(connection: &Connection, listeners: &Listeners, is_sent: &AtomicBool) {
    let mut reads = connection.reads();
    let mut silent = 0;
    for second in 0_u64.. {
        // Intervals are counted, because a long stall of this process must count as one interval.
        let end = Instant::now() + SIGN_INTERVAL;
        let answered = second > 0 && matches!(tokio::time::timeout_at(end, connection.ping()).await, Ok(true));
        if answered {
            tracing::trace!("the host answers while a script runs");
            listeners.report(Phase::Run);
        }
        tokio::time::sleep_until(end).await;
        let now = connection.reads();
        if now != reads {
            silent = 0;
            if !answered {
                listeners.report(Phase::Run);
            }
        } else if is_sent.load(Ordering::Relaxed) {
            // Until the script was sent, the question may be queued behind it.
            silent += 1;
        }
        reads = now;
        if silent >= SILENT_INTERVALS {
            return;
        }
    }
}

/// How reading the output ended.
enum Read {
    Complete,
    TooMuch,
    Refused,
    /// The shell ended, with its exit status if the host sent one.
    Ended(Option<u32>),
}

/// The output of a script, up to the line that ends it.
struct Output<'a> {
    end: &'a str,
    room: usize,
    bytes: Vec<u8>,
    /// The start of the line that is not complete yet.
    line: usize,
}

#[derive(Debug, PartialEq, Eq)]
enum Added {
    More,
    Complete,
    TooMuch,
}

impl<'a> Output<'a> {
    fn new(end: &'a str, room: usize) -> Self {
        Self { end, room, bytes: Vec::new(), line: 0 }
    }

    fn add(&mut self, data: &[u8]) -> Added {
        let mut from = self.bytes.len();
        self.bytes.extend_from_slice(data);
        while let Some(length) = self.bytes.get(from..).and_then(|rest| rest.iter().position(|byte| *byte == b'\n')) {
            let newline = from + length;
            if self.bytes.get(self.line..newline) == Some(self.end.as_bytes()) {
                return Added::Complete;
            }
            self.line = newline + 1;
            from = newline + 1;
        }
        if self.bytes.len() > self.room { Added::TooMuch } else { Added::More }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_ends_with_the_whole_line_only() {
        let mut output = Output::new("@1 end", 1000);
        for part in ["@1 end of it\n@1", " end ", "\n x@1 end\n@1 e"] {
            assert_eq!(output.add(part.as_bytes()), Added::More);
        }
        assert_eq!(output.add(b"nd"), Added::More);
        assert_eq!(output.add(b"\n"), Added::Complete);
        assert!(output.bytes.ends_with(b" x@1 end\n@1 end\n"));
    }

    #[test]
    fn output_without_a_newline_is_bounded() {
        let mut output = Output::new("end", 1000);
        assert_eq!(output.add(&[b'x'; 1000]), Added::More);
        assert_eq!(output.add(b"x"), Added::TooMuch);
    }
}
