//! What a trip to a host can end in: the words that probes, visits and errors share.
//!
//! Only values; what follows from them is decided in [`crate::core::health`].

use std::fmt;

use serde::Deserialize;
use serde::Serialize;

/// The part of a trip to a host that was under way. Every part has a deadline, and every error names its part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Problem out from ssh_config(5) how the host is reached.
    Configure,
    /// Turning the host's name into addresses.
    Resolve,
    /// Opening the TCP connection (or the channel through a jump host).
    Connect,
    /// SSH version and key exchange, including the check of the host key.
    KeyExchange,
    /// Proving who we are.
    Authenticate,
    /// Starting the resident shell, as root.
    Shell,
    /// Running the visit's script or a command.
    Run,
    /// Taking leave.
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

/// How a trip failed, as far as it tells about the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// Nothing came back before the phase's deadline.
    Silent,
    /// The host (or its network) answered that there is no way: connection refused.
    Refused,
    /// The host (or a router) answered that it cannot be reached: no route, network down.
    NoRoute,
    /// The connection was torn down.
    Reset,
    /// The server closed the connection before the key exchange: OpenSSH's `MaxStartups` or `PerSourcePenalties`.
    Throttled,
    /// The host key is unknown, changed or revoked: we refuse the host.
    HostKey,
    /// The host refused us: key, user or `sudo`.
    Denied,
    /// The host let us in and cannot do its work: no shell, no systemd, a report that does not parse.
    Sick,
    /// Another machine answers at the address: the one we look for is not there.
    WrongMachine,
    /// The path to the host failed before the host's own sshd said anything: a proxy command ended, or a jump host could
    /// not be reached. For the host that is silence.
    Path,
    /// The name, the configuration or muster itself is at fault; nothing was learned about the host.
    Local,
}

impl FailureKind {
    /// Reports whether the failure shows that the host's kernel is up.
    pub const fn proves_host_up(self) -> bool {
        matches!(self, Self::Refused | Self::Throttled | Self::HostKey | Self::Denied | Self::Sick)
    }

    /// Reports whether somebody was there and one of us turned the other away: over a new connection, which sshd
    /// counts.
    pub const fn turns_away(self) -> bool {
        matches!(self, Self::Throttled | Self::HostKey | Self::Denied)
    }
}

/// A trip to a host that did not come back with what it was sent for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{host}: {phase}: {detail}")]
pub struct Failure {
    /// The host's name in the inventory or the registry.
    pub host: String,
    /// Where it happened.
    pub phase: Phase,
    /// What it shows.
    pub kind: FailureKind,
    /// What and why, in one sentence without a full stop.
    pub detail: String,
    /// What to do about it, if we know.
    pub hint: Option<String>,
}
