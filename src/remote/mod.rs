//! Reaching hosts: one kept connection per host, with a resident root shell for visits and user shells for commands.
//!
//! Everything above uses one trait, [`Remote`], so it runs against real hosts, against an SSH server inside a test, and
//! against simulated hosts. Only this room knows SSH, shell text and `russh`.

mod captured_output;
mod facts;
pub mod known_hosts;
mod progress;
mod quote;
mod run_as;
pub mod ssh;
pub mod ssh_config;
mod ssh_pattern;
mod unreached;
pub mod visit;

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;

use crate::core::model::Address;
use crate::core::model::Failure;
use crate::core::model::FailureKind;
use crate::core::model::Phase;
use crate::core::model::Report;
use crate::core::model::Visit;

pub use captured_output::CapturedOutput;
pub use facts::Facts;
pub use progress::Progress;
pub use quote::Unquotable;
pub use quote::quote;
pub use run_as::Password;
pub use run_as::RunAs;
pub use unreached::Unreached;

/// A host and how the inventory says to reach it. ssh_config(5) supplies the rest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Target {
    /// The name of the host, for messages.
    pub name: String,
    /// The address. ssh_config(5) is searched for [`Address::host`].
    pub address: Address,
    /// Private keys to offer before any others (`ansible_ssh_private_key_file`).
    pub identity_files: Vec<PathBuf>,
    /// The password to log in with if the host accepts no key (`ansible_password`). The cluster does not keep it.
    pub password: Option<Password>,
    /// Jump hosts, as in `ProxyJump` (`ansible_ssh_common_args: -J …`).
    pub jump: Option<String>,
    /// Options as for `ssh -o`, which override ssh_config(5) (`ansible_ssh_common_args: -o …`).
    pub options: Vec<String>,
    /// The file to read in place of the usual ssh_config(5) files (`ansible_ssh_common_args: -F …`).
    pub config_file: Option<PathBuf>,
    /// What carries commands to the host (`ansible_connection`).
    pub connection: Connection,
    /// Set if an interactive session lets the host use the SSH agent of this machine.
    pub forwards_agent: bool,
    /// A relay from which the address is dialled instead. The relay is reached by its own target, over the kept
    /// connection to it if there is one.
    pub through: Option<Box<Self>>,
}

/// What carries commands to a host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Connection {
    /// SSH.
    #[default]
    Ssh,
    /// None: the host is the machine on which muster runs. Only commands of `exec` and playbooks run without SSH.
    Local,
    /// A connection that muster does not have. Every call for the host fails.
    Unsupported(String),
}

impl Target {
    /// Returns this target, reached through a relay.
    #[must_use]
    pub fn through(self, relay: Self) -> Self {
        Self { through: Some(Box::new(relay)), ..self }
    }
}

/// The end of a command on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// The command exited with this status.
    Code(u32),
    /// This signal (`TERM`, `KILL` …) killed the command.
    Signal(String),
}

/// A receiver of a command's output, as the output arrives.
pub trait Sink: Send {
    /// Takes bytes that the command wrote to stdout.
    fn stdout(&mut self, bytes: &[u8]);
    /// Takes bytes that the command wrote to stderr.
    fn stderr(&mut self, bytes: &[u8]);
}

/// A command to run on a host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Command {
    /// A script for `sh`, whatever the login shell is. Words in it are quoted with [`quote`], never by hand.
    pub script: String,
    /// Texts that go on with the script, in its shell. A user shell gets each of them only once.
    pub texts: Vec<&'static str>,
    /// The bytes that the script reads on stdin. With some, the command gets a channel of its own.
    pub stdin: Bytes,
    /// The user that runs the script; `None` for the login user.
    pub run_as: Option<RunAs>,
    /// How long the script may take; `None` means without limit.
    pub limit: Option<Duration>,
    /// What runs the script.
    pub runner: ScriptRunner,
}

/// What runs the script of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ScriptRunner {
    /// A shell in a channel of its own.
    #[default]
    OwnChannel,
    /// A subshell of the user shell. No process that the script starts prints anything after the end of the script.
    UserShell,
    /// A subshell of the user shell, for programs that may leave processes behind. What those print is no output of a later
    /// command.
    UserShellForPrograms,
}

impl Command {
    /// Returns the script with the texts that go on with it.
    pub fn whole_script(&self) -> Cow<'_, str> {
        if self.texts.is_empty() {
            Cow::Borrowed(&self.script)
        } else {
            Cow::Owned(self.script.clone() + &self.texts.concat())
        }
    }
}

/// The connections to the hosts.
///
/// Visits to one host queue behind each other; visits to different hosts do not.
#[async_trait::async_trait]
pub trait Remote: Send + Sync + std::fmt::Debug {
    /// Visits a host, connecting first if need be. With `quick`, a host on which nothing seems to have changed since
    /// the last look says so at almost no cost.
    ///
    /// A visit that was cut off on its way is not carried out at all. After a failure in [`Phase::Run`] it is not known
    /// how far it came. The connection is given up then, so that the next call starts afresh.
    async fn visit(&self, target: &Target, visit: &Visit, quick: bool, progress: &Progress) -> Result<Report, Failure>;

    /// Asks a host for its identity and what it runs.
    async fn facts(&self, target: &Target) -> Result<Facts, Failure>;

    /// Runs a command on the kept connection. Text that the login shell's start files print does not reach the sink.
    async fn exec(&self, target: &Target, command: &Command, sink: &mut dyn Sink) -> Result<Exit, Failure>;

    /// Opens an interactive session with the caller's terminal, runs `command` (or the login shell) and returns its
    /// exit.
    async fn interact(&self, target: &Target, command: Option<&str>) -> Result<Exit, Failure>;

    /// Probes one host from another: reports whether the sshd of `target` greets, seen from `via`. Silence for `limit`
    /// means no. A failure is about `via` or about the configuration, and then nothing was learned about `target`.
    async fn probe(&self, via: &Target, target: &Target, limit: Duration) -> Result<bool, Failure>;

    /// Closes the connection to a host, if there is one.
    async fn forget(&self, target: &Target);

    /// Closes the connections to all hosts, within `limit` altogether.
    async fn close(&self, limit: Duration);
}

/// A [`Remote`] that any part of the process may share.
pub type SharedRemote = Arc<dyn Remote>;

/// The detail of a failure that a fault in muster itself caused.
const OUR_FAULT: &str = "muster itself failed on the way: this is a bug";

/// Runs a call to a host. A panic in muster becomes a failure of this one call: it says nothing about the host, and the
/// calls to other hosts go on.
pub async fn guarded<T>(host: &str, call: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    AssertUnwindSafe(call).catch_unwind().await.unwrap_or_else(|_| {
        Err(Failure {
            host: host.to_owned(),
            phase: Phase::Run,
            kind: FailureKind::Local,
            detail: OUR_FAULT.to_owned(),
            hint: Some("Please report it with the message above.".to_owned()),
        })
    })
}
