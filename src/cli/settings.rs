//! Settings: flags, then `MUSTER_<FLAG>`, then `muster.toml`, then defaults. Resolved once, before anything is done.

mod file;

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;

use super::error::CommandError;
use super::prudence::Prudence;
use super::prudence::Rhythm;
use crate::remote::ssh;
use crate::store::Credentials;
use crate::ui;

/// Flags that every command takes. Each is also read from `MUSTER_<FLAG>` and from `muster.toml`.
#[derive(Debug, Clone, Default, clap::Args, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
#[command(next_help_heading = "Global options")]
pub struct Flags {
    /// Read settings from this file [default: ./muster.toml, ~/.config/muster/muster.toml, /etc/muster/muster.toml]
    #[arg(long, global = true, env = "MUSTER_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// Where the cluster is kept: etcd://h1:2379,h2:2379 or sqlite:PATH [default: sqlite:~/.local/state/muster/muster.db]
    #[arg(long, global = true, env = "MUSTER_STORE", value_name = "STORE", hide_env_values = true)]
    pub store: Option<String>,
    /// Which cluster: a token made by `muster discovery new` [default: default]
    #[arg(long, global = true, env = "MUSTER_TOKEN", value_name = "TOKEN")]
    pub token: Option<String>,
    /// The CA that signed the etcd servers' certificates, for etcds:// (PEM)
    #[arg(long, global = true, env = "MUSTER_ETCD_CA_FILE", value_name = "FILE")]
    pub etcd_ca_file: Option<PathBuf>,
    /// Our certificate for etcd, if it asks for one (PEM)
    #[arg(long, global = true, env = "MUSTER_ETCD_CERT_FILE", value_name = "FILE")]
    pub etcd_cert_file: Option<PathBuf>,
    /// The key of our certificate for etcd (PEM)
    #[arg(long, global = true, env = "MUSTER_ETCD_KEY_FILE", value_name = "FILE")]
    pub etcd_key_file: Option<PathBuf>,
    /// Log in to etcd as this user; the password is in MUSTER_ETCD_PASSWORD or a file
    #[arg(long, global = true, env = "MUSTER_ETCD_USERNAME", value_name = "USER")]
    pub etcd_username: Option<String>,
    /// Read etcd's password from the first line of this file
    #[arg(long, global = true, env = "MUSTER_ETCD_PASSWORD_FILE", value_name = "FILE")]
    pub etcd_password_file: Option<PathBuf>,
    /// Hosts, groups and variables: a file or a directory (can be repeated)
    #[arg(long, short = 'i', global = true, env = "MUSTER_INVENTORY", value_name = "PATH")]
    pub inventory: Vec<PathBuf>,
    /// Read this ssh_config(5) instead of ~/.ssh/config and /etc/ssh/ssh_config
    #[arg(long, global = true, env = "MUSTER_SSH_CONFIG", value_name = "FILE")]
    pub ssh_config: Option<PathBuf>,
    /// What to do with an unknown host key: yes (refuse it), accept-new (note it), no (accept any) [default: ssh_config's, else yes]
    #[arg(long, global = true, env = "MUSTER_STRICT_HOST_KEY_CHECKING", value_name = "WHEN")]
    pub strict_host_key_checking: Option<String>,
}

/// For commands that take the lead.
#[derive(Debug, Clone, Copy, Default, clap::Args, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct LockArgs {
    /// How many seconds to wait while another command or a sweep is at work [default: 30, for a sweep 0]
    #[arg(long, env = "MUSTER_LOCK_WAIT", value_name = "SECONDS")]
    lock_wait: Option<u64>,
}

impl LockArgs {
    /// Returns how long to wait for the lead: what was said, or what the settings say, or so many seconds.
    pub fn wait(self, settings: &Settings, or: u64) -> Duration {
        Duration::from_secs(self.lock_wait.or(settings.lock_wait).unwrap_or(or))
    }
}

/// What a command works with once flags, environment, file and defaults are put together.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the cluster is kept.
    pub store: String,
    /// What proves to the store who we are.
    pub credentials: Credentials,
    /// Which cluster.
    pub token: String,
    /// The inventory's sources.
    pub inventory: Vec<PathBuf>,
    /// An ssh_config(5) to use instead of the usual ones.
    pub ssh_config: Option<PathBuf>,
    /// What to do with an unknown host key, if ssh_config(5) is not to say.
    pub strict_host_key_checking: Option<String>,
    /// How many seconds to wait for the lead, if the settings file says.
    pub lock_wait: Option<u64>,
    /// What the settings file says about failover.
    pub prudence: Prudence,
    /// What the settings file says about sweeps.
    pub rhythm: Rhythm,
}

impl Settings {
    /// Returns how hosts are reached: what was set, and where our own keys and our agent are.
    #[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
    pub fn ssh_options(&self) -> Result<ssh::Options, CommandError> {
        let strict = self.strict_host_key_checking.as_deref().map(str::parse).transpose();
        let account = ssh::Options::account();
        let user = || std::env::var("USER").ok();
        let variables = std::env::vars_os();
        let variables =
            variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Ok(ssh::Options {
            ssh_config: self.ssh_config.clone(),
            strict: strict.map_err(|error| CommandError::usage(format!("--strict-host-key-checking: {error}")))?,
            home: home().or_else(|| account.as_ref().map(|(_, home)| home.clone())),
            local_user: account.map(|(name, _)| name).or_else(user).unwrap_or_else(|| "root".to_owned()),
            environment: variables.collect(),
            ..ssh::Options::default()
        })
    }
}

impl Flags {
    /// Puts flags and environment (already in `self`), the settings file and the defaults together.
    pub fn resolve(self) -> Result<Settings, CommandError> {
        let file = file::read(self.config.as_deref())?;
        let path = |said: Option<PathBuf>, or: Option<PathBuf>| said.map(|path| from_home(&path)).or(or);
        let store = self.store.map(|store| match store.strip_prefix("sqlite:") {
            Some(path) => format!("sqlite:{}", from_home(Path::new(path)).display()),
            None => store,
        });
        Ok(Settings {
            prudence: file.prudence,
            rhythm: file.rhythm,
            store: store.or(file.flags.store).map_or_else(default_store, Ok)?,
            credentials: Credentials {
                ca_file: path(self.etcd_ca_file, file.flags.etcd_ca_file),
                cert_file: path(self.etcd_cert_file, file.flags.etcd_cert_file),
                key_file: path(self.etcd_key_file, file.flags.etcd_key_file),
                username: self.etcd_username.or(file.flags.etcd_username),
                password: password(),
                password_file: path(self.etcd_password_file, file.flags.etcd_password_file),
            },
            token: self.token.or(file.flags.token).unwrap_or_else(|| "default".to_owned()),
            inventory: if self.inventory.is_empty() { file.flags.inventory } else { sources(&self.inventory) },
            ssh_config: path(self.ssh_config, file.flags.ssh_config),
            strict_host_key_checking: self.strict_host_key_checking.or(file.flags.strict_host_key_checking),
            lock_wait: file.lock.lock_wait,
        })
    }
}

/// Splits what was said of the inventory in one word: sources are apart by `:`. A list of hosts has commas, and the `:` in it
/// are its own.
fn sources(words: &[PathBuf]) -> Vec<PathBuf> {
    let split = |word: &PathBuf| match word.to_str() {
        Some(text) if !text.contains(',') => text.split(':').map(|path| from_home(Path::new(path))).collect(),
        _ => vec![word.clone()],
    };
    words.iter().flat_map(split).filter(|path| !path.as_os_str().is_empty()).collect()
}

/// Returns our home directory, if there is one.
#[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
fn home() -> Option<PathBuf> {
    std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from)
}

/// Puts our home directory in the place of a `~` that no shell has put it in the place of.
fn from_home(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), home()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    }
}

/// Returns the password for etcd. It has no flag: flags are for everybody on the machine to see.
#[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
fn password() -> Option<SecretString> {
    std::env::var("MUSTER_ETCD_PASSWORD").ok().filter(|password| !password.is_empty()).map(SecretString::from)
}

/// Returns what is to be said beside results: `MUSTER_LOG`, or warnings. It is read before anything else is.
#[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
pub fn log() -> String {
    let set = std::env::var("MUSTER_LOG").ok().filter(|directives| !directives.trim().is_empty());
    set.unwrap_or_else(|| ui::warnings::USUAL.to_owned())
}

fn default_store() -> Result<String, CommandError> {
    let state = directory("XDG_STATE_HOME", ".local/state").ok_or_else(|| {
        CommandError::usage("no home directory to keep the cluster in").hint("Say where with `--store`.")
    })?;
    Ok(format!("sqlite:{}", state.join("muster/muster.db").display()))
}

/// Returns an XDG directory: the variable's if it is an absolute path, else `$HOME/<default>`.
#[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
fn directory(variable: &str, default: &str) -> Option<PathBuf> {
    let set = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    set.or_else(|| Some(home()?.join(default)))
}
