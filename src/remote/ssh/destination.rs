//! Resolves a [`Target`] with the inventory, the options and ssh_config(5) to a destination. It uses no network.

use std::path::PathBuf;

use super::failure::ErrorContext;
use super::options::Options;
use crate::core::model::Address;
use crate::core::model::Failure;
use crate::core::model::Phase;
use crate::remote::Connection;
use crate::remote::Password;
use crate::remote::Target;
use crate::remote::known_hosts::HostName;
use crate::remote::ssh_config::Agent;
use crate::remote::ssh_config::Config;
use crate::remote::ssh_config::ConfigError;
use crate::remote::ssh_config::HostConfig;
use crate::remote::ssh_config::Proxy;
use crate::remote::ssh_config::Query;
use crate::remote::ssh_config::TokenValues;
use crate::remote::ssh_config::validate;

/// How many jump hosts a destination may have.
const MAX_HOPS: usize = 8;

/// The keys that OpenSSH tries when none is configured.
const DEFAULT_KEYS: [&str; 5] = ["id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk"];

/// How a host is dialled.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Via {
    /// Over TCP.
    Direct,
    /// Through a channel of the connection to this host.
    Jump(Box<Destination>),
    /// Over the stdin and stdout of this command.
    Command(String),
}

/// All that is needed to connect. Two targets with the same destination share a connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Destination {
    /// The configuration from ssh_config(5).
    pub(super) config: HostConfig,
    /// How the host is dialled.
    pub(super) via: Via,
    /// Private keys in the order in which they are offered, and whether each was configured.
    pub(super) keys: Vec<(PathBuf, bool)>,
    /// The password, if the host accepts no key.
    pub(super) password: Option<Password>,
    /// Certificates for the private keys.
    pub(super) certificates: Vec<PathBuf>,
    /// The socket of the agent.
    pub(super) agent: Option<PathBuf>,
    /// The user's known_hosts files. A new key is recorded in the first.
    pub(super) user_known_hosts: Vec<PathBuf>,
    /// The system's known_hosts files.
    pub(super) global_known_hosts: Vec<PathBuf>,
    /// Files of keys that no host may have.
    pub(super) revoked_host_keys: Vec<PathBuf>,
}

impl Destination {
    /// Resolves a target.
    pub(super) fn resolve(target: &Target, config: &Config, options: &Options) -> Result<Self, Failure> {
        let mut seen = Vec::new();
        find(target, config, options, &mut seen).map_err(|error| {
            let at = ErrorContext { host: &target.name, phase: Phase::Configure };
            at.local(error)
        })
    }

    /// Returns the name under which known_hosts has the key of the host.
    pub(super) fn known_as(&self) -> HostName {
        match &self.config.host_key_alias {
            Some(alias) => HostName::alias(alias),
            None => HostName::new(&self.config.hostname, self.config.port),
        }
    }

    /// Returns `HOST:PORT` for messages.
    pub(super) fn place(&self) -> String {
        format!("{}:{}", self.config.hostname, self.config.port)
    }
}

/// Why a target has no destination. Nothing was done.
#[derive(Debug, thiserror::Error)]
enum DestinationError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("invalid jump host {0:?}: expected [user@]host[:port] or ssh://[user@]host[:port]")]
    BadJump(String),
    #[error("its jump hosts form a circle, or are more than {MAX_HOPS}")]
    Circle,
    #[error("invalid name {0:?} of a host or user: expected no leading `-`, blank or control character")]
    BadName(String),
    #[error("muster reaches hosts over SSH, not over {0:?}")]
    Connection(String),
    #[error("{0}")]
    Invalid(String),
}

fn find(
    target: &Target,
    config: &Config,
    options: &Options,
    seen: &mut Vec<String>,
) -> Result<Destination, DestinationError> {
    if let Connection::Unsupported(name) = &target.connection {
        return Err(DestinationError::Connection(name.clone()));
    }
    let address = &target.address;
    validate::host(&address.host)
        .and(address.user.as_deref().map_or(Ok(()), validate::user))
        .map_err(DestinationError::Invalid)?;
    let mut host = config.resolve(&query(target, options))?;
    if let Some(strict) = options.strict {
        host.strict = strict;
    }
    // A proxy command could take a name with a leading dash for an option.
    for name in [&host.hostname, &host.user] {
        if name.is_empty() || name.starts_with('-') || name.contains(|c: char| c.is_control() || c.is_whitespace()) {
            return Err(DestinationError::BadName(name.clone()));
        }
    }
    let system = rustix::system::uname();
    let local_host = system.nodename().to_string_lossy();
    let variable = |name: &str| options.environment.get(name).map(str::to_owned);
    let names = TokenValues {
        original: &address.host,
        local_user: &options.local_user,
        uid: rustix::process::getuid().as_raw(),
        local_host: &local_host,
        home: options.home.as_deref(),
        variable: &variable,
    };
    let via = find_route(target, &host, &names, config, options, seen)?;
    let paths = |files: &[String]| -> Result<Vec<PathBuf>, ConfigError> {
        let files = files.iter().filter(|file| !file.eq_ignore_ascii_case("none"));
        files.map(|file| names.path(file, &host)).collect()
    };
    let agent = match &host.identity_agent {
        Agent::None => None,
        Agent::Default => options.environment.get("SSH_AUTH_SOCK").filter(|path| !path.is_empty()).map(PathBuf::from),
        Agent::Socket(path) => Some(names.path(path, &host)?),
    };
    let known_hosts = options.overrides.known_hosts.as_ref();
    Ok(Destination {
        via,
        keys: find_keys(target, &paths(&host.identity_files)?, &host, options),
        certificates: paths(&host.certificate_files)?,
        agent,
        password: target.password.clone(),
        user_known_hosts: known_hosts.map_or_else(|| paths(&host.user_known_hosts), |file| Ok(vec![file.clone()]))?,
        global_known_hosts: known_hosts.map_or_else(|| paths(&host.global_known_hosts), |_| Ok(Vec::new()))?,
        revoked_host_keys: paths(&host.revoked_host_keys)?,
        config: host,
    })
}

fn query<'a>(target: &'a Target, options: &'a Options) -> Query<'a> {
    let Address { user, host, port } = &target.address;
    let user = options.overrides.user.as_ref().or(user.as_ref());
    Query {
        host,
        user: user.map(String::as_str),
        port: *port,
        local_user: &options.local_user,
        options: &target.options,
    }
}

fn find_keys(target: &Target, configured: &[PathBuf], host: &HostConfig, options: &Options) -> Vec<(PathBuf, bool)> {
    let named = target.identity_files.iter().chain(configured);
    let mut keys: Vec<(PathBuf, bool)> = named.map(|path| (path.clone(), true)).collect();
    if keys.is_empty() && host.identity_files.is_empty() {
        let folder = options.home.iter().map(|home| home.join(".ssh"));
        keys = folder.flat_map(|folder| DEFAULT_KEYS.map(|name| (folder.join(name), false))).collect();
    }
    keys
}

fn find_route(
    target: &Target,
    host: &HostConfig,
    names: &TokenValues<'_>,
    config: &Config,
    options: &Options,
    seen: &mut Vec<String>,
) -> Result<Via, DestinationError> {
    let here = format!("{}:{}", host.hostname, host.port);
    if let Some(relay) = &target.through {
        return Ok(Via::Jump(Box::new(find(relay, config, options, seen)?)));
    }
    let jump = match (options.overrides.jump.as_ref().or(target.jump.as_ref()), &host.proxy) {
        (Some(jump), _) if jump.eq_ignore_ascii_case("none") => return Ok(Via::Direct),
        (Some(jump), _) | (None, Proxy::Jump(jump)) => jump,
        (None, Proxy::Command(command)) => return Ok(Via::Command(names.command(command, host)?)),
        (None, Proxy::None) => return Ok(Via::Direct),
    };
    // The last jump host is next to the host. The others are the path to the last one.
    let (rest, last) = jump.rsplit_once(',').map_or((None, jump.as_str()), |(rest, last)| (Some(rest), last));
    let hop = Target {
        name: last.to_owned(),
        address: read_jump(last)?,
        identity_files: Vec::new(),
        jump: rest.map(str::to_owned),
        options: Vec::new(),
        config_file: None,
        connection: Connection::Ssh,
        password: None,
        forwards_agent: false,
        through: None,
    };
    let known = config.resolve(&query(&hop, options))?;
    let there = format!("{}:{}", known.hostname, known.port);
    // `Host *` with `ProxyJump bastion` applies to the bastion too, which is not reached through itself.
    if there == here {
        return Ok(Via::Direct);
    }
    if seen.len() >= MAX_HOPS || seen.contains(&there) {
        return Err(DestinationError::Circle);
    }
    seen.push(here);
    Ok(Via::Jump(Box::new(find(&hop, config, options, seen)?)))
}

fn read_jump(text: &str) -> Result<Address, DestinationError> {
    let url = if text.starts_with("ssh://") { text.to_owned() } else { format!("ssh://{}", text.trim()) };
    url.parse().map_err(|_| DestinationError::BadJump(text.to_owned()))
}
