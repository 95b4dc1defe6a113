//! The resident shell: one `sh` as root per host, fed with scripts. What a script printed is returned, not understood.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use russh::ChannelMsg;

use super::connection::Connection;
use super::connection::Session;
use super::failure::At;
use super::failure::hint;
use crate::core::model::Failure;
use crate::core::model::FailureKind;
use crate::core::model::Phase;
use crate::core::sanitize;

/// What the login shell is given, be it sh, csh or fish: no backslash, no `!`, nothing but quotes that all of them know.
const START: &str = concat!(
    r#"sh -c 'S="LC_ALL=C; export LC_ALL; echo muster-shell-is-ready; exec sh"; "#,
    r#"test "$(id -u)" = 0 && exec sh -c "$S"; exec sudo -n sh -c "$S"'"#
);

/// What the shell says first. Whatever stands before it (a chatty ~/.bashrc) is not ours.
const READY: &str = "muster-shell-is-ready";

/// How much noise may come before that, in bytes.
const NOISE: usize = 256 << 10;

/// How much of stderr is kept for messages, in bytes.
const COMPLAINTS: usize = 4 << 10;

/// A shell that waits for scripts.
pub(super) struct Shell {
    session: Session,
    complaints: Tail,
}

impl Shell {
    /// Starts the shell.
    pub(super) async fn start(connection: &Arc<Connection>, host: &str, limit: Duration) -> Result<Self, Failure> {
        let at = At { host, phase: Phase::Shell };
        let session = connection.session(at, limit).await?;
        let mut shell = Self { session, complaints: Tail::default() };
        at.within(limit, shell.greet(at)).await?;
        Ok(shell)
    }

    async fn greet(&mut self, at: At<'_>) -> Result<(), Failure> {
        let asked = self.session.write.exec(true, START).await;
        asked.map_err(|_| self.session.connection.lost(at, "the connection was closed"))?;
        let mut noise = Output::new(READY, NOISE);
        match self.read(&mut noise).await {
            Read::Complete => Ok(()),
            Read::TooMuch => Err(at.failure(FailureKind::Sick, "its login shell talks without end")),
            Read::Refused => Err(at.failure(FailureKind::Sick, "it runs no commands")),
            Read::Ended(status) => Err(self.no_shell(status, &noise.bytes, at)),
        }
    }

    /// Makes a failure of a shell that has ended before it began.
    fn no_shell(&self, status: Option<u32>, noise: &[u8], at: At<'_>) -> Failure {
        let said = if self.complaints.bytes.is_empty() {
            sanitize::printable(noise)
        } else {
            sanitize::printable(&self.complaints.bytes)
        };
        let Some(status) = status else {
            return self.session.connection.lost(at, "the host closed the channel");
        };
        if said.contains("sudo") {
            let failure = at.failure(FailureKind::Denied, format!("it does not let us be root: {said}"));
            return hint(
                failure,
                "Log in as root, or let the user `sudo` without a password (NOPASSWD in sudoers(5)).",
            );
        }
        at.failure(FailureKind::Sick, format!("its shell ended with status {status}: {said}"))
    }

    /// Says whether the shell waits for a script: it has not ended, and nothing of an earlier one is still talking.
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

    /// Runs a script and returns all it printed, up to and with the line `end`.
    pub(super) async fn run(
        &mut self,
        script: &str,
        end: &str,
        limit: Duration,
        room: usize,
        host: &str,
    ) -> Result<Vec<u8>, Failure> {
        let at = At { host, phase: Phase::Run };
        let mut output = Output::new(end, room);
        self.complaints = Tail::default();
        let write = self.session.write.clone();
        let mut text = script.as_bytes().to_vec();
        if !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        let exchange = async {
            // Both at once: a shell that ends half way through a script takes no more of it.
            let send = write.data_bytes(text);
            let read = self.read(&mut output);
            tokio::pin!(send, read);
            tokio::select! {
                read = &mut read => read,
                _ = &mut send => read.await,
            }
        };
        let read = tokio::time::timeout(limit, exchange).await;
        match read {
            Ok(Read::Complete) => Ok(output.bytes),
            Ok(Read::TooMuch) => Err(at.failure(FailureKind::Sick, format!("it printed more than {room} bytes"))),
            Ok(Read::Refused) => Err(at.failure(FailureKind::Sick, "it answered what it was not asked")),
            Ok(Read::Ended(Some(status))) => {
                let said = sanitize::printable(&self.complaints.bytes);
                Err(at.failure(FailureKind::Sick, format!("its shell ended with status {status}: {said}")))
            }
            Ok(Read::Ended(None)) => Err(self.session.connection.lost(at, "the shell was killed")),
            Err(_) => Err(at.silent(limit)),
        }
    }

    /// Returns the connection the shell lives on.
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

/// How reading came to an end.
enum Read {
    Complete,
    TooMuch,
    Refused,
    /// The shell is gone, with its exit status if it said one.
    Ended(Option<u32>),
}

/// What a script prints, until a line that says that it is all.
struct Output<'a> {
    end: &'a str,
    room: usize,
    bytes: Vec<u8>,
    /// Where the line begins that is not complete yet.
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

/// The last of what was complained of.
#[derive(Debug, Default)]
pub(super) struct Tail {
    bytes: Vec<u8>,
}

impl Tail {
    fn add(&mut self, data: &[u8]) {
        self.bytes.extend_from_slice(data);
        let excess = self.bytes.len().saturating_sub(COMPLAINTS);
        self.bytes.drain(..excess);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_ends_with_the_line_and_not_with_what_looks_like_it() {
        let mut output = Output::new("@1 end", 1000);
        for part in ["@1 end of it\n@1", " end ", "\n x@1 end\n@1 e"] {
            assert_eq!(output.add(part.as_bytes()), Added::More);
        }
        assert_eq!(output.add(b"nd"), Added::More);
        assert_eq!(output.add(b"\n"), Added::Complete);
        assert!(output.bytes.ends_with(b" x@1 end\n@1 end\n"));
    }

    #[test]
    fn output_without_a_newline_does_not_grow_for_ever() {
        let mut output = Output::new("end", 1000);
        assert_eq!(output.add(&[b'x'; 1000]), Added::More);
        assert_eq!(output.add(b"x"), Added::TooMuch);
    }

    #[test]
    fn complaints_keep_their_end() {
        let mut tail = Tail::default();
        tail.add(&[b'a'; COMPLAINTS]);
        tail.add(b"at last");
        assert_eq!(tail.bytes.len(), COMPLAINTS);
        assert!(tail.bytes.ends_with(b"aat last"));
    }
}
