//! What ssh_config(5) says about a host: the keywords that muster honours, resolved as OpenSSH resolves them.
//!
//! Reads files, and nothing else: no environment, no host, no process. `ssh -G` is the oracle it is tested against.

mod expand;
mod file;
pub(crate) mod fit;
mod resolve;
mod words;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use file::Line;
use file::Roots;

pub(crate) use expand::Names;

/// What to do with a host key that is not known (`StrictHostKeyChecking`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum StrictHostKey {
    /// Refuse the host. `ask` is the same: nobody is there to be asked.
    #[default]
    Yes,
    /// Note the key of a host of which nothing is known; refuse a host whose key has changed.
    AcceptNew,
    /// Accept any key that is not revoked.
    No,
}

impl std::str::FromStr for StrictHostKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "yes" | "true" | "ask" => Ok(Self::Yes),
            "accept-new" => Ok(Self::AcceptNew),
            "no" | "false" | "off" => Ok(Self::No),
            _ => Err(format!("{text:?} is none of yes, accept-new and no")),
        }
    }
}

/// The configuration cannot be used. Nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A file is there and cannot be read.
    #[error("cannot read {file}: {why}", file = file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        why: String,
    },
    /// A line is wrong.
    #[error("{file}:{line}: {what}", file = file.display())]
    Line {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
    /// A value cannot be expanded (TOKENS in ssh_config(5)).
    #[error("{value:?}: {what}")]
    Token {
        /// The value.
        value: String,
        /// What is wrong with it.
        what: String,
    },
}

/// What stands between us and a host.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Proxy {
    /// There is nothing in between.
    #[default]
    None,
    /// Through these hosts (`ProxyJump`).
    Jump(String),
    /// Through this command's stdin and stdout (`ProxyCommand`), not yet expanded.
    Command(String),
}

/// Which agent is asked (`IdentityAgent`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Agent {
    /// The one that `SSH_AUTH_SOCK` names.
    #[default]
    Usual,
    /// None.
    None,
    /// The one at this socket, not yet expanded.
    At(String),
}

/// What is asked of the configuration.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// The name that was given.
    pub host: &'a str,
    /// The user that was given, which no file can change.
    pub user: Option<&'a str>,
    /// The port that was given, which no file can change.
    pub port: Option<u16>,
    /// Who we are on this machine.
    pub local_user: &'a str,
}

/// What the configuration says about a host. Names of files are as they were written, with their tokens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostConfig {
    /// Where to connect to.
    pub hostname: String,
    /// The port, 1 to 65535.
    pub port: u16,
    /// The user to log in as.
    pub user: String,
    /// Private keys, in order. Empty if none was configured: the usual ones are tried then.
    pub identity_files: Vec<String>,
    /// Set when only the configured keys may be offered.
    pub identities_only: bool,
    /// Which agent is asked.
    pub identity_agent: Agent,
    /// Certificates for the private keys.
    pub certificate_files: Vec<String>,
    /// How the host is reached.
    pub proxy: Proxy,
    /// The user's known_hosts files.
    pub user_known_hosts: Vec<String>,
    /// The system's known_hosts files.
    pub global_known_hosts: Vec<String>,
    /// Files of keys that no host may have.
    pub revoked_host_keys: Vec<String>,
    /// The name to look up in them.
    pub host_key_alias: Option<String>,
    /// What to do with an unknown host key.
    pub strict: StrictHostKey,
    /// Set when names are hashed before they are noted.
    pub hash_known_hosts: bool,
    /// How long connecting may take.
    pub connect_timeout: Option<Duration>,
    /// How long a silent connection is left alone before it is asked for a sign of life; zero is never.
    pub alive_interval: Duration,
    /// How many unanswered questions end a connection.
    pub alive_count: u32,
}

/// The configuration files, read once.
#[derive(Debug, Clone, Default)]
pub struct Config {
    lines: Vec<Vec<Line>>,
}

impl Config {
    /// Reads `~/.ssh/config` and `/etc/ssh/ssh_config`. What is not there says nothing.
    pub fn usual(home: Option<&Path>) -> Result<Self, ConfigError> {
        let mut lines = Vec::new();
        if let Some(home) = home {
            let path = home.join(".ssh/config");
            lines.push(file::read(&path, &Roots { private: true, ..user_roots(Some(home)) })?);
        }
        let relative = PathBuf::from("/etc/ssh");
        let system = Roots { home: home.map(Path::to_path_buf), relative, private: false };
        lines.push(file::read(Path::new("/etc/ssh/ssh_config"), &system)?);
        Ok(Self { lines })
    }

    /// Reads one file in place of the usual ones. `none` is no file at all.
    pub fn only(path: &Path, home: Option<&Path>) -> Result<Self, ConfigError> {
        if path == Path::new("none") {
            return Ok(Self::default());
        }
        if let Err(error) = std::fs::metadata(path) {
            return Err(ConfigError::Unreadable { file: path.to_path_buf(), why: error.to_string() });
        }
        Ok(Self { lines: vec![file::read(path, &user_roots(home))?] })
    }
}

fn user_roots(home: Option<&Path>) -> Roots {
    let relative = home.map_or_else(|| PathBuf::from("/"), |home| home.join(".ssh"));
    Roots { home: home.map(Path::to_path_buf), relative, private: false }
}
