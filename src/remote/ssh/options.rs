//! What a caller settles once for every host: where our own things are, and how long anything may take.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::core::model::Phase;
use crate::remote::ssh_config::StrictHostKey;

/// The environment as `${VARIABLE}` in ssh_config(5) sees it. It may hold secrets, so only its size is ever shown.
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

/// How long each part of a trip may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// Turning a name into addresses.
    pub resolve: Duration,
    /// Opening the connection, all addresses together, unless ssh_config(5) has a `ConnectTimeout`.
    pub connect: Duration,
    /// SSH version and key exchange.
    pub key_exchange: Duration,
    /// Proving who we are, including an agent that asks its user.
    pub authenticate: Duration,
    /// Starting the resident shell, or opening a channel for a command.
    pub shell: Duration,
    /// Taking leave of one host.
    pub close: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            resolve: seconds(5),
            // Long enough for two more attempts of TCP's own (RFC 6298: after 1 s and after 3 s).
            connect: seconds(4),
            // A host that hangs accepts connections and never greets: this is most of the time until it is given up.
            key_exchange: seconds(6),
            authenticate: seconds(20),
            shell: seconds(15),
            close: seconds(2),
        }
    }
}

impl Deadlines {
    /// Returns the deadline of a phase. A run has the caller's own.
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

/// What a caller settles once for every host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// An ssh_config(5) to use in place of the usual ones; `none` is no file at all.
    pub ssh_config: Option<PathBuf>,
    /// What to do with an unknown host key, whatever ssh_config(5) says.
    pub strict: Option<StrictHostKey>,
    /// Our home directory.
    pub home: Option<PathBuf>,
    /// Our name on this machine, which is the default for the user to log in as.
    pub local_user: String,
    /// The environment: `SSH_AUTH_SOCK`, `TERM` and what ssh_config(5) names.
    pub environment: Environment,
    /// How long each part of a trip may take.
    pub deadlines: Deadlines,
    /// How long a silent connection is left alone before it is asked for a sign of life, unless ssh_config(5) says.
    pub alive_interval: Duration,
    /// How much a script may print before its host is given up, in bytes.
    pub output_limit: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ssh_config: None,
            strict: None,
            home: None,
            local_user: "root".to_owned(),
            environment: Environment::default(),
            deadlines: Deadlines::default(),
            alive_interval: Duration::from_secs(5),
            output_limit: 64 << 20,
        }
    }
}

impl Options {
    /// Returns who owns this process, by passwd(5): name and home directory.
    pub fn account() -> Option<(String, PathBuf)> {
        let uid = rustix::process::getuid().as_raw().to_string();
        let text = std::fs::read_to_string("/etc/passwd").ok()?;
        text.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let home = (fields.nth(1)? == uid).then(|| fields.nth(2)).flatten()?;
            Some((name.to_owned(), PathBuf::from(home)))
        })
    }
}
