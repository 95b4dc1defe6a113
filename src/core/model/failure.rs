//! Failures of visits and probes: their phases and kinds.
//!
//! These are values only: [`crate::core::health`] decides what follows from them.

use std::fmt;

use serde::Deserialize;
use serde::Serialize;

/// The part of a visit that was under way. Every phase has a deadline, and every error names its phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Reading from ssh_config(5) how the host is reached.
    Configure,
    /// Looking up the addresses of the host's name.
    Resolve,
    /// Opening the TCP connection (or the channel through a jump host).
    Connect,
    /// SSH version and key exchange, including the check of the host key.
    KeyExchange,
    /// Proving the identity of the user.
    Authenticate,
    /// Starting the resident shell, as root.
    Shell,
    /// Running the visit's script or a command.
    Run,
    /// Closing the connection.
    Close,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configure => "configuration",
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::KeyExchange => "key exchange",
            Self::Authenticate => "authenticate",
            Self::Shell => "shell",
            Self::Run => "run",
            Self::Close => "close",
        })
    }
}

/// How a visit failed, as far as that says something about the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// Nothing was received before the deadline of the phase.
    Silent,
    /// The host, or its network, refused the connection.
    Refused,
    /// The host, or a router, answered that the host cannot be reached: no route, network down.
    NoRoute,
    /// The connection was reset.
    Reset,
    /// The server closed the connection before the key exchange: OpenSSH's `MaxStartups` or `PerSourcePenalties`.
    Throttled,
    /// The host key is unknown or revoked: muster refuses the host.
    HostKey,
    /// The host refused the key, the user or `sudo`.
    Denied,
    /// The host accepted the login and cannot do its work: no shell, no systemd, a report that does not parse.
    Sick,
    /// Another machine answers at the address, by its machine-id or because its host key is not the known one. So the
    /// expected machine is not there.
    WrongMachine,
    /// The path to the host failed before the host's own sshd sent anything: a proxy command ended, or a jump host
    /// could not be reached. For the host this counts as silence.
    Path,
    /// The name, the configuration or muster itself is at fault. The failure says nothing about the host.
    Local,
}

impl FailureKind {
    /// Reports whether the failure shows that the host's kernel is up.
    pub const fn proves_host_up(self) -> bool {
        matches!(self, Self::Refused | Self::Throttled | Self::HostKey | Self::Denied | Self::Sick)
    }

    /// Reports whether the host or muster ended a new connection before a session began. sshd may penalise the address
    /// for that.
    pub const fn ends_login(self) -> bool {
        matches!(self, Self::Throttled | Self::HostKey | Self::Denied)
    }
}

/// A visit or probe that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{host}: {phase}: {detail}")]
pub struct Failure {
    /// The host's name in the inventory or the registry.
    pub host: String,
    /// The phase in which it failed.
    pub phase: Phase,
    /// How it failed.
    pub kind: FailureKind,
    /// The cause, in one sentence without a full stop.
    pub detail: String,
    /// What to do about it, if that is known.
    pub hint: Option<String>,
}
