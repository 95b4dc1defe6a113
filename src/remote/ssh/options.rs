//! Options that hold for every host: the paths of muster's own files, and the limits of time.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::core::model::Phase;
use crate::remote::ssh_config::StrictHostKey;

/// The environment for `${VARIABLE}` in ssh_config(5). It may hold secrets, so only its size is shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Returns a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self(variables.into_iter().collect())
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Environment({} variables)", self.0.len())
    }
}

/// How long each phase of a visit may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// Resolving a name to addresses.
    pub resolve: Duration,
    /// Opening the TCP connection, all addresses together, unless ssh_config(5) has a `ConnectTimeout`.
    pub connect: Duration,
    /// SSH version and key exchange.
    pub key_exchange: Duration,
    /// Logging in, including an agent that asks its user.
    pub authenticate: Duration,
    /// Starting the resident shell, or opening a channel for a command.
    pub shell: Duration,
    /// Closing the connection to one host.
    pub close: Duration,
    /// Every phase, whatever ssh_config(5) says.
    pub each: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            resolve: seconds(5),
            // Long enough for two retransmissions of TCP (RFC 6298: after 1 s and after 3 s).
            connect: seconds(4),
            // A host that hangs accepts connections and never greets, so this is most of its detection time.
            key_exchange: seconds(6),
            authenticate: seconds(20),
            shell: seconds(15),
            close: seconds(2),
            each: Duration::MAX,
        }
    }
}

impl Deadlines {
    /// Lets no phase take longer than this.
    #[must_use]
    pub fn at_most(self, each: Duration) -> Self {
        Self {
            resolve: self.resolve.min(each),
            connect: self.connect.min(each),
            key_exchange: self.key_exchange.min(each),
            authenticate: self.authenticate.min(each),
            shell: self.shell.min(each),
            close: self.close.min(each),
            each,
        }
    }

    /// Gives each phase up to the login this long.
    #[must_use]
    pub const fn login_within(self, each: Duration) -> Self {
        Self { resolve: each, connect: each, key_exchange: each, authenticate: each, each, ..self }
    }

    /// Returns the deadline of a phase. The caller gives the deadline of a run.
    pub(super) const fn of(&self, phase: Phase) -> Duration {
        match phase {
            Phase::Configure | Phase::Resolve => self.resolve,
            Phase::Connect => self.connect,
            Phase::KeyExchange => self.key_exchange,
            Phase::Authenticate => self.authenticate,
            Phase::Shell | Phase::Run => self.shell,
            Phase::Close => self.close,
        }
    }
}

/// What an operator says about all hosts for one command. It wins over the inventory and ssh_config(5).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// The login user, also on jump hosts.
    pub user: Option<String>,
    /// The jump host, as in `ProxyJump`.
    pub jump: Option<String>,
    /// The only file with known host keys, in which new keys are recorded.
    pub known_hosts: Option<PathBuf>,
}

/// Options that hold for every host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// An ssh_config(5) file to use in place of the default ones; `none` means no file.
    pub ssh_config: Option<PathBuf>,
    /// How to treat an unknown host key. It overrides ssh_config(5).
    pub strict: Option<StrictHostKey>,
    /// What else overrides the inventory and ssh_config(5).
    pub overrides: Overrides,
    /// The home directory of the user that runs muster.
    pub home: Option<PathBuf>,
    /// The name of the user that runs muster, which is the default login user.
    pub local_user: String,
    /// The environment: `SSH_AUTH_SOCK`, `TERM` and the variables that ssh_config(5) names.
    pub environment: Environment,
    /// How long each phase of a visit may take.
    pub deadlines: Deadlines,
    /// How long a connection may be silent before the host is asked for a sign of life. ssh_config(5) overrides it.
    pub alive_interval: Duration,
    /// How many bytes a script may print before its connection is given up.
    pub output_limit: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ssh_config: None,
            strict: None,
            overrides: Overrides::default(),
            home: None,
            local_user: "root".to_owned(),
            environment: Environment::default(),
            deadlines: Deadlines::default(),
            alive_interval: Duration::from_secs(5),
            output_limit: 8 << 20,
        }
    }
}
