//! The configuration of a host in ssh_config(5): the keywords that muster supports, resolved as OpenSSH resolves them.
//!
//! This module reads files only: no environment, no host, no process. The tests compare it with `ssh -G`.

mod expand;
mod file;
mod keywords;
mod resolve;
pub(crate) mod validate;
mod words;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use file::Line;
use file::Roots;

pub(crate) use expand::TokenValues;
pub(crate) use keywords::Support;

/// How to treat a host key that is not known (`StrictHostKeyChecking`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum StrictHostKey {
    /// Refuse the host. `ask` means the same, because muster does not ask.
    #[default]
    Yes,
    /// Record the key of a host without a known key; refuse a host whose key has changed.
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
            _ => Err(format!("invalid value {text:?}: expected yes, accept-new or no")),
        }
    }
}

/// A configuration that cannot be used. Nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A file exists and cannot be read.
    #[error("cannot read {file}: {why}", file = file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The reason.
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

/// The carrier between muster and a host.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Proxy {
    /// A direct TCP connection.
    #[default]
    None,
    /// A connection through these hosts (`ProxyJump`).
    Jump(String),
    /// The stdin and stdout of this command (`ProxyCommand`), not yet expanded.
    Command(String),
}

/// The agent to use (`IdentityAgent`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Agent {
    /// The agent that `SSH_AUTH_SOCK` names.
    #[default]
    Default,
    /// No agent.
    None,
    /// The agent at this socket, not yet expanded.
    Socket(String),
}

/// A host whose configuration is looked up.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// The name that was given on the command line or in the inventory.
    pub host: &'a str,
    /// The user that was given, which no file can change.
    pub user: Option<&'a str>,
    /// The port that was given, which no file can change.
    pub port: Option<u16>,
    /// The user that runs muster.
    pub local_user: &'a str,
    /// Options as for `ssh -o`, which no file can change.
    pub options: &'a [String],
}

/// The configuration of a host. Names of files are not expanded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostConfig {
    /// The host to connect to.
    pub hostname: String,
    /// The port, 1 to 65535.
    pub port: u16,
    /// The user to log in as.
    pub user: String,
    /// Private keys, in order. If the list is empty, the default keys are tried.
    pub identity_files: Vec<String>,
    /// Set when only configured keys may be offered.
    pub identities_only: bool,
    /// The agent to use.
    pub identity_agent: Agent,
    /// Certificates for the private keys.
    pub certificate_files: Vec<String>,
    /// How the host is reached.
    pub proxy: Proxy,
    /// The user's known_hosts files.
    pub user_known_hosts: Vec<String>,
    /// The system's known_hosts files.
    pub global_known_hosts: Vec<String>,
    /// Files of revoked host keys.
    pub revoked_host_keys: Vec<String>,
    /// The name to look up in known_hosts instead of the host's.
    pub host_key_alias: Option<String>,
    /// How to treat an unknown host key.
    pub strict: StrictHostKey,
    /// Set when names are hashed before they are recorded.
    pub hash_known_hosts: bool,
    /// How long connecting may take.
    pub connect_timeout: Option<Duration>,
    /// How long a connection may be silent before the host is asked for a sign of life; zero means no limit.
    pub alive_interval: Duration,
    /// How many requests without an answer end a connection.
    pub alive_count: u32,
}

/// The configuration files, read once.
#[derive(Debug, Clone, Default)]
pub struct Config {
    lines: Vec<Vec<Line>>,
}

impl Config {
    /// Reads `~/.ssh/config` and `/etc/ssh/ssh_config`. A missing file has no lines.
    pub fn load(home: Option<&Path>) -> Result<Self, ConfigError> {
        let mut lines = Vec::new();
        if let Some(home) = home {
            let path = home.join(".ssh/config");
            lines.push(file::read(&path, &Roots { private: true, ..user_roots(Some(home)) })?);
        }
        let relative = PathBuf::from("/etc/ssh");
        let system = Roots { home: home.map(Path::to_path_buf), relative, private: false };
        lines.push(file::read(Path::new("/etc/ssh/ssh_config"), &system)?);
        Ok(Self { lines }.with_warnings())
    }

    /// Reads one file in place of the default ones. `none` means no file.
    pub fn load_only(path: &Path, home: Option<&Path>) -> Result<Self, ConfigError> {
        if path == Path::new("none") {
            return Ok(Self::default());
        }
        if let Err(error) = std::fs::metadata(path) {
            return Err(ConfigError::Unreadable { file: path.to_path_buf(), why: error.to_string() });
        }
        Ok(Self { lines: vec![file::read(path, &user_roots(home))?] }.with_warnings())
    }

    /// Warns of each keyword and criterion that muster does not know, once.
    fn with_warnings(self) -> Self {
        for warning in file::unknown(&self.lines) {
            tracing::warn!("{warning}");
        }
        self
    }
}

/// Checks an option as `ssh -o` takes it, and returns what muster does with it.
pub(crate) fn check_option(text: &str) -> Result<Support, String> {
    let (keyword, arguments) = words::split(text)?.ok_or("it is empty")?;
    if arguments.is_empty() {
        return Err(format!("{keyword} has no value"));
    }
    let support = keywords::support(&keyword);
    if support == Support::Obeyed {
        resolve::check(&keyword, &arguments)?;
    }
    Ok(support)
}

/// Reports whether the store may hold an option, as `ssh -o` takes it, for a machine.
pub(crate) fn is_kept(text: &str) -> bool {
    words::split(text).is_ok_and(|option| option.is_some_and(|(keyword, _)| keywords::is_kept(&keyword)))
}

fn user_roots(home: Option<&Path>) -> Roots {
    let relative = home.map_or_else(|| PathBuf::from("/"), |home| home.join(".ssh"));
    Roots { home: home.map(Path::to_path_buf), relative, private: false }
}
