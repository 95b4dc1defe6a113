//! Reaching hosts: one kept connection and one resident shell per host.
//!
//! One trait, so that everything above it runs against real hosts, against an SSH server inside a test, and against
//! hosts made of values. `russh` is named in this room only.

mod facts;
pub mod known_hosts;
mod pattern;
mod progress;
mod quote;
pub mod ssh;
pub mod ssh_config;
pub mod visit;

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;

use crate::core::model::Address;
use crate::core::model::Failure;
use crate::core::model::FailureKind;
use crate::core::model::Phase;
use crate::core::model::Report;
use crate::core::model::Visit;

pub use facts::Facts;
pub use progress::Progress;
pub use quote::Unquotable;
pub use quote::quote;

/// A host that can be reached, with what the inventory says about how. What is not given here is ssh_config(5)'s.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Target {
    /// Its name, for messages.
    pub name: String,
    /// Where it is; [`Address::host`] is looked up in ssh_config(5).
    pub address: Address,
    /// Private keys to offer before any other (`ansible_ssh_private_key_file`).
    pub identity_files: Vec<PathBuf>,
    /// Jump hosts, as in `ProxyJump` (`ansible_ssh_common_args: -J …`).
    pub jump: Option<String>,
    /// A host to go through instead, from which the address is then dialled. It is reached as it always is, over the
    /// connection to it that there may be.
    pub through: Option<Box<Self>>,
}

impl Target {
    /// Returns the way to this host through another.
    #[must_use]
    pub fn through(self, neighbour: Self) -> Self {
        Self { through: Some(Box::new(neighbour)), ..self }
    }
}

/// How a command on a host ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this status.
    Code(u32),
    /// It was killed by this signal (`TERM`, `KILL` …).
    Signal(String),
}

/// Where a command's output goes, as it comes.
pub trait Sink: Send {
    /// Takes what the command wrote to stdout.
    fn stdout(&mut self, bytes: &[u8]);
    /// Takes what the command wrote to stderr.
    fn stderr(&mut self, bytes: &[u8]);
}

/// A command to run on a host in a channel of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Command {
    /// What the login shell is given. Build it with [`shlex`], never by hand.
    pub line: String,
    /// What it reads on stdin.
    pub stdin: Vec<u8>,
    /// Run it as root: as it is when we log in as root, by `sudo -n` otherwise.
    pub root: bool,
    /// How long it may take; `None` means until it ends.
    pub limit: Option<Duration>,
}

/// The way to the hosts.
///
/// Calls for one host's visits queue up behind each other; calls for different hosts do not.
#[async_trait::async_trait]
pub trait Remote: Send + Sync + std::fmt::Debug {
    /// Visits a host, connecting first if need be. With `quick`, a host on which nothing seems to have changed since the
    /// last look says so at almost no cost.
    ///
    /// A visit that was cut off on its way is not carried out at all. After a failure in [`Phase::Run`] it is not known
    /// how far it came. The connection is given up then, so that the next call starts afresh.
    async fn visit(&self, target: &Target, visit: &Visit, quick: bool, progress: &Progress) -> Result<Report, Failure>;

    /// Asks a host for its identity and what it runs.
    async fn facts(&self, target: &Target) -> Result<Facts, Failure>;

    /// Runs a command in a channel of its own on the kept connection.
    async fn exec(&self, target: &Target, command: &Command, sink: &mut dyn Sink) -> Result<Exit, Failure>;

    /// Opens an interactive session with the caller's terminal, runs `command` (or the login shell) and returns how it ended.
    async fn interact(&self, target: &Target, command: Option<&str>) -> Result<Exit, Failure>;

    /// Probes one host from another: reports whether the sshd of `target` greets, seen from `via`. Silence for `limit`
    /// means no. A failure is about `via` or about the configuration, and then nothing was learned about `target`.
    async fn probe(&self, via: &Target, target: &Target, limit: Duration) -> Result<bool, Failure>;

    /// Closes the connection to a host, if there is one.
    async fn forget(&self, target: &Target);

    /// Closes the connections to all hosts, within `limit` altogether.
    async fn close(&self, limit: Duration);
}

/// A way to the hosts that any part of the process may hold on to.
pub type SharedRemote = Arc<dyn Remote>;

/// What is said of a fault of muster's own.
const OUR_FAULT: &str = "muster itself failed on the way: this is a bug";

/// Goes on a trip to a host. A fault of ours on the way, a panic, is a failure of this one trip: it tells nothing about the
/// host, and is no reason to give up the others.
pub async fn guarded<T>(host: &str, trip: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    AssertUnwindSafe(trip).catch_unwind().await.unwrap_or_else(|_| {
        Err(Failure {
            host: host.to_owned(),
            phase: Phase::Run,
            kind: FailureKind::Local,
            detail: OUR_FAULT.to_owned(),
            hint: Some("Please report it with the message above.".to_owned()),
        })
    })
}
