//! Settings: flags, then `MUSTER_<FLAG>`, then `muster.toml`, then defaults. They are merged once, before a command runs.

mod file;
mod listen;
mod notify;

pub(super) use file::is_trusted;
pub(super) use listen::Listen;
pub(super) use listen::client_name;
pub(super) use notify::ReceiverSetting;

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;

use super::duration;
use super::error::CommandError;
use super::failover_args::FailoverPolicyArgs;
use super::failover_args::SweepSchedule;
use super::setting_origin::is_typed;
use super::setting_origin::origin;
use super::variables;
use super::vault_passwords::PasswordSource;
use crate::accounts;
use crate::api::access::AccessList;
use crate::core::secrets::API_TOKEN;
use crate::core::secrets::ETCD_PASSWORD;
use crate::core::secrets::SECRET_VARIABLES;
use crate::core::unit::Hash;
use crate::http::client::ApiCredentials;
use crate::http::tls::TlsFiles;
use crate::remote::ssh;
use crate::store::Credentials;
use crate::ui::terminal::Appearance;
use crate::ui::terminal::ColorChoice;

/// Flags that every command takes. Each is also read from `MUSTER_<FLAG>` and from `muster.toml`.
#[derive(Debug, Clone, Default, clap::Args, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Flags {
    /// Read hosts, groups and variables from this file, directory or list `host1,host2,` (repeat it for several, or join
    /// paths with `:`)
    #[arg(
        long,
        short = 'i',
        global = true,
        env = "MUSTER_INVENTORY",
        hide_env_values = true,
        value_name = "PATH",
        help_heading = "Connection"
    )]
    #[serde(deserialize_with = "one_or_more")]
    pub inventory: Vec<PathBuf>,
    /// Read this ssh_config(5); `none` means no file [default: ~/.ssh/config and /etc/ssh/ssh_config]
    #[arg(
        long,
        global = true,
        env = "MUSTER_SSH_CONFIG",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "FILE",
        help_heading = "Connection"
    )]
    pub ssh_config: Option<PathBuf>,
    /// Refuse hosts whose key is unknown (`yes`), record their keys (`accept-new`), or accept any key that is not revoked
    /// (`no`) [default: that of ssh_config, else yes]
    #[arg(
        long,
        global = true,
        env = "MUSTER_STRICT_HOST_KEY_CHECKING",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "WHEN",
        help_heading = "Connection"
    )]
    pub strict_host_key_checking: Option<String>,
    /// Open what is encrypted with Ansible Vault with the password in this file, or with the password that it prints if it
    /// is a program (can be repeated)
    #[arg(
        long,
        alias = "vault-pass-file",
        global = true,
        env = "MUSTER_VAULT_PASSWORD_FILE",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "FILE",
        help_heading = "Vault"
    )]
    #[serde(deserialize_with = "one_or_more")]
    pub vault_password_file: Vec<PathBuf>,
    /// Open what is encrypted with Ansible Vault with a password that has a label; the source is a file, a program, or
    /// `prompt` (can be repeated)
    #[arg(
        long,
        global = true,
        env = "MUSTER_VAULT_ID",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "LABEL@SOURCE",
        help_heading = "Vault"
    )]
    #[serde(deserialize_with = "one_or_more")]
    pub vault_id: Vec<PathBuf>,
    /// Ask for the password of Ansible Vault
    #[arg(
        long,
        short = 'J',
        alias = "ask-vault-password",
        global = true,
        env = "MUSTER_ASK_VAULT_PASS",
        hide_env_values = true,
        hide_short_help = true,
        help_heading = "Vault"
    )]
    pub ask_vault_pass: bool,
    /// Keep the cluster in this store: sqlite:PATH, etcd://h1:2379,h2:2379, or etcds:// with TLS [default:
    /// sqlite:~/.local/state/muster/muster.db]
    #[arg(
        long,
        global = true,
        env = "MUSTER_STORE",
        hide_env_values = true,
        value_name = "STORE",
        help_heading = "Store"
    )]
    pub store: Option<String>,
    /// Use the cluster with this token; `muster discovery new` makes tokens [default: default]
    #[arg(
        long,
        global = true,
        env = "MUSTER_TOKEN",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "TOKEN",
        help_heading = "Store"
    )]
    pub token: Option<String>,
    /// Trust this CA for the certificates of the etcd servers (PEM; for etcds://)
    #[arg(
        long,
        global = true,
        env = "MUSTER_ETCD_CA_FILE",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "FILE",
        help_heading = "Store"
    )]
    pub etcd_ca_file: Option<PathBuf>,
    /// Present this client certificate to etcd (PEM)
    #[arg(
        long,
        global = true,
        env = "MUSTER_ETCD_CERT_FILE",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "FILE",
        help_heading = "Store"
    )]
    pub etcd_cert_file: Option<PathBuf>,
    /// Use this key of the client certificate (PEM)
    #[arg(
        long,
        global = true,
        env = "MUSTER_ETCD_KEY_FILE",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "FILE",
        help_heading = "Store"
    )]
    pub etcd_key_file: Option<PathBuf>,
    /// Log in to etcd as this user, with the password of MUSTER_ETCD_PASSWORD or --etcd-password-file
    #[arg(
        long,
        global = true,
        env = "MUSTER_ETCD_USERNAME",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "USER",
        help_heading = "Store"
    )]
    pub etcd_username: Option<String>,
    /// Read the etcd password from the first line of this file
    #[arg(
        long,
        global = true,
        env = "MUSTER_ETCD_PASSWORD_FILE",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "FILE",
        help_heading = "Store"
    )]
    pub etcd_password_file: Option<PathBuf>,
    /// Use the cluster through the API of a controller, without SSH to the hosts: https://HOST:PORT, or unix:/PATH on the host
    /// of the controller; the API takes the place of the store
    #[arg(long, global = true, env = "MUSTER_API", hide_env_values = true, value_name = "URL", help_heading = "API")]
    pub api: Option<String>,
    /// Read the access token for the API from the first line of this file [default: the variable MUSTER_API_TOKEN]
    #[arg(
        long,
        global = true,
        env = "MUSTER_API_TOKEN_FILE",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "FILE",
        help_heading = "API"
    )]
    pub api_token_file: Option<PathBuf>,
    /// Trust this CA for the certificate of the controller (PEM) [default: the CAs that this host trusts]
    #[arg(
        long,
        global = true,
        env = "MUSTER_API_CA_FILE",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "FILE",
        help_heading = "API"
    )]
    pub api_ca_file: Option<PathBuf>,
    /// Present this client certificate to the controller (PEM)
    #[arg(
        long,
        global = true,
        env = "MUSTER_API_CERT_FILE",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "FILE",
        help_heading = "API"
    )]
    pub api_cert_file: Option<PathBuf>,
    /// Use this key of the client certificate (PEM)
    #[arg(
        long,
        global = true,
        env = "MUSTER_API_KEY_FILE",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "FILE",
        help_heading = "API"
    )]
    pub api_key_file: Option<PathBuf>,
    /// Read secrets with the private keys in this file [default: ~/.config/muster/secret-identity]
    #[arg(
        long,
        global = true,
        env = "MUSTER_SECRET_IDENTITY",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "FILE",
        help_heading = "Secrets"
    )]
    pub secret_identity: Option<PathBuf>,
    /// Read settings from this file [default: the first that exists of ./muster.toml, ~/.config/muster/muster.toml,
    /// /etc/muster/muster.toml]
    #[arg(
        long,
        global = true,
        env = "MUSTER_CONFIG",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "FILE",
        help_heading = "Settings"
    )]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// What fleet's options say about the connections to hosts. They have no option, no variable and no key of muster.
    #[arg(skip)]
    #[serde(skip)]
    pub connecting: Connecting,
}

/// How hosts are reached as fleet's options say, under the name of its client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Connecting {
    /// What overrides the inventory and ssh_config(5).
    pub overrides: ssh::Overrides,
    /// How long each phase up to the login may take.
    pub timeout: Option<Duration>,
}

/// Flags about what is printed. They have no variable and no key of `muster.toml`.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct OutputFlags {
    /// Print results and errors only
    #[arg(long, short = 'q', global = true, help_heading = "Output")]
    quiet: bool,
    /// Print log messages on stderr: -v up to the level debug, -vv all; with `play`, -v prints the results of tasks, and -vv
    /// and -vvv log messages too
    ///
    /// The variable MUSTER_LOG selects log messages more precisely and wins over -v and -q. It holds directives of
    /// tracing-subscriber's EnvFilter, such as `muster::remote=debug`.
    #[arg(long, short = 'v', global = true, action = clap::ArgAction::Count, conflicts_with = "quiet", help_heading = "Output")]
    verbose: u8,
    /// Print in colours; `auto` does so on a terminal, unless NO_COLOR is set
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        hide_short_help = true,
        help_heading = "Output"
    )]
    color: ColorChoice,
}

impl OutputFlags {
    /// Returns how much is printed and in which colours.
    #[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
    pub fn appearance(self) -> Appearance {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_plain = is_set("NO_COLOR") || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let journal = std::env::var("JOURNAL_STREAM").ok().is_some_and(|stream| Some(stream) == stderr_stream());
        Appearance { quiet: self.quiet, verbose: self.verbose > 0, color: self.color, is_plain, journal }
    }

    /// Returns which log messages are printed: the directives of `MUSTER_LOG`, else those of the flags. `has_results` says
    /// that the first `-v` is about results.
    #[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
    pub fn log_directives(self, has_results: bool) -> String {
        let set = std::env::var(variables::LOG).ok().filter(|directives| !directives.trim().is_empty());
        let flags = match (self.quiet, self.verbose.saturating_sub(has_results.into())) {
            (true, _) => "muster=error",
            (false, 0) => "muster=warn",
            (false, 1) => "muster=debug",
            (false, _) => "muster=trace",
        };
        set.unwrap_or_else(|| flags.to_owned())
    }
}

/// Returns the stream that is stderr, as JOURNAL_STREAM names it (systemd.exec(5)): `DEVICE:INODE`.
fn stderr_stream() -> Option<String> {
    let stat = rustix::fs::fstat(std::io::stderr()).ok()?;
    Some(format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// For how long a unit that was started must run before a command calls it launched, unless a setting says otherwise.
const SETTLE: Duration = Duration::from_secs(2);

/// Flags of commands that take leadership.
#[derive(Debug, Clone, Copy, Default, clap::Args, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct LockArgs {
    /// Wait at most this long while another command or a sweep leads [default: 30s, for a sweep 0s]
    #[arg(
        long,
        env = "MUSTER_LOCK_WAIT",
        hide_env_values = true,
        value_name = "DURATION",
        value_parser = duration::parse
    )]
    #[serde(deserialize_with = "duration::setting")]
    lock_wait: Option<Duration>,
}

impl LockArgs {
    /// Returns how long to wait for leadership: the flag's time, else the file's, else the default.
    pub fn wait(self, settings: &Settings, default: Duration) -> Duration {
        self.lock_wait.or(settings.lock.lock_wait).unwrap_or(default)
    }
}

/// The flag of commands that start units.
#[derive(Debug, Clone, Copy, Default, clap::Args, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct SettleArgs {
    /// Call a unit launched only after it has run for this long; 0 means at once [default: 2s]
    #[arg(long, env = "MUSTER_SETTLE", hide_env_values = true, value_name = "DURATION", value_parser = duration::parse)]
    #[serde(deserialize_with = "duration::setting")]
    settle: Option<Duration>,
}

impl SettleArgs {
    /// Returns for how long a unit must run: the flag's time, else the file's, else the default.
    pub fn time(self, settings: &Settings) -> Duration {
        self.settle.or(settings.settle.settle).unwrap_or(SETTLE)
    }
}

/// The flags of a controller: where it serves the API.
#[derive(Debug, Clone, Default, clap::Args, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct ListenArgs {
    /// Serve the API here: `unix:PATH` for this host, `tls:ADDRESS:PORT` for others, or `none` (can be repeated) [default:
    /// unix:/run/muster-controller/TOKEN.sock for root, otherwise unix:$XDG_RUNTIME_DIR/muster-controller/TOKEN.sock]
    ///
    /// Root, the user of the controller and its group may use the socket. Clients of other hosts must be in the access list:
    /// tables [[access]] in muster.toml.
    #[arg(long, env = "MUSTER_LISTEN", hide_env_values = true, value_name = "PLACE", value_delimiter = ',', value_parser = listen::parse)]
    #[serde(deserialize_with = "listen::one_or_more")]
    listen: Vec<Listen>,
    /// Show this certificate to clients of other hosts (PEM, with the certificates that lead to its CA)
    #[arg(long, env = "MUSTER_TLS_CERT_FILE", hide_env_values = true, value_name = "FILE")]
    tls_cert_file: Option<PathBuf>,
    /// Use this key of the certificate (PEM)
    #[arg(long, env = "MUSTER_TLS_KEY_FILE", hide_env_values = true, value_name = "FILE")]
    tls_key_file: Option<PathBuf>,
    /// Ask clients of other hosts for a certificate that this CA has signed (PEM); a client without one needs a token
    #[arg(long, env = "MUSTER_TLS_CLIENT_CA_FILE", hide_env_values = true, value_name = "FILE")]
    tls_client_ca_file: Option<PathBuf>,
}

impl ListenArgs {
    /// Returns where the API is served: as the flags say, else the file, else the default for the token.
    pub(super) fn places(&self, settings: &Settings) -> Vec<Listen> {
        let set = [&self.listen, &settings.listen.listen].into_iter().find(|places| !places.is_empty());
        if let Some(places) = set {
            return places.iter().filter(|place| **place != Listen::None).cloned().collect();
        }
        let folder = runtime_directory().map(|folder| folder.join("muster-controller"));
        folder.map(|folder| Listen::Unix(folder.join(format!("{}.sock", settings.token)))).into_iter().collect()
    }

    /// Resolves relative paths against the folder of the settings file.
    fn resolve_paths(&mut self, folder: &Path) {
        for path in [&mut self.tls_cert_file, &mut self.tls_key_file, &mut self.tls_client_ca_file] {
            *path = path.as_deref().map(|path| folder.join(from_home(path)));
        }
    }

    /// Returns the files for TLS.
    pub(super) fn tls(&self, settings: &Settings) -> Result<TlsFiles, CommandError> {
        let file = &settings.listen;
        let path =
            |flag: &Option<PathBuf>, file: &Option<PathBuf>| flag.as_deref().map(from_home).or_else(|| file.clone());
        let missing = |name: &str| CommandError::usage(format!("`--listen tls:…` needs --{name}"));
        Ok(TlsFiles {
            certificate: path(&self.tls_cert_file, &file.tls_cert_file).ok_or_else(|| missing("tls-cert-file"))?,
            key: path(&self.tls_key_file, &file.tls_key_file).ok_or_else(|| missing("tls-key-file"))?,
            client_ca: path(&self.tls_client_ca_file, &file.tls_client_ca_file),
        })
    }
}

/// The settings of a command: flags, environment, file and defaults merged.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The store of the cluster.
    pub store: String,
    /// The credentials for the store.
    pub credentials: Credentials,
    /// The token of the cluster.
    pub token: String,
    /// Set if a flag, a variable or the file names the token.
    pub is_token_set: bool,
    /// The inventory's sources.
    pub inventory: Vec<PathBuf>,
    /// Where the passwords of Ansible Vault come from.
    pub(super) vault: Vec<PasswordSource>,
    /// The file with the private keys that read secrets; `None` without a home directory.
    pub secret_identity: Option<PathBuf>,
    /// An ssh_config(5) to use instead of the default ones.
    pub ssh_config: Option<PathBuf>,
    /// How unknown host keys are treated, if not as ssh_config(5) says.
    pub strict_host_key_checking: Option<String>,
    /// How long to wait for leadership, from the settings file.
    pub lock: LockArgs,
    /// How hosts are reached as fleet's options say.
    pub connecting: Connecting,
    /// For how long a unit that was started must run, from the settings file.
    pub settle: SettleArgs,
    /// Where a controller serves the API, from the settings file.
    pub listen: ListenArgs,
    /// The clients of other hosts that may use the API of a controller.
    pub access: Arc<AccessList>,
    /// The failover policy of the settings file.
    pub failover: FailoverPolicyArgs,
    /// The sweep schedule of the settings file.
    pub schedule: SweepSchedule,
    /// The receivers of alerts, from the settings file.
    pub(super) receivers: Vec<ReceiverSetting>,
    /// Where some of the settings come from.
    pub(super) origins: Origins,
}

/// Where settings come from that are checked only when a command needs them, as text for errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origins {
    pub(super) store: String,
    pub(super) token: String,
    pub(super) strict_host_key_checking: String,
}

impl Origins {
    /// Finds the origins. `given` are the flags and variables.
    fn of(given: &Flags, file: &file::File) -> Self {
        let origin = |name, given: &Option<String>, of_file: &Option<String>| {
            origin(name, given.is_some(), file.path.as_deref().filter(|_| of_file.is_some()))
        };
        let is_given = given.api.is_some() && (is_typed("api") || !is_typed("store"));
        let is_api = is_given || (given.store.is_none() && file.flags.api.is_some());
        Self {
            store: if is_api {
                origin("api", &given.api, &file.flags.api)
            } else {
                origin("store", &given.store, &file.flags.store)
            },
            token: origin("token", &given.token, &file.flags.token),
            strict_host_key_checking: origin(
                "strict-host-key-checking",
                &given.strict_host_key_checking,
                &file.flags.strict_host_key_checking,
            ),
        }
    }
}

impl Settings {
    /// Returns how hosts are reached: the settings, and where the user's keys and agent are.
    #[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
    pub fn ssh_options(&self) -> Result<ssh::Options, CommandError> {
        let strict = self.strict_host_key_checking.as_deref().map(str::parse).transpose();
        let account = accounts::own();
        let user = || std::env::var("USER").ok();
        let variables = std::env::vars_os();
        let variables =
            variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Ok(ssh::Options {
            ssh_config: self.ssh_config.clone(),
            strict: strict
                .map_err(|error| CommandError::usage(format!("{}: {error}", self.origins.strict_host_key_checking)))?,
            overrides: self.connecting.overrides.clone(),
            home: home().or_else(|| account.as_ref().map(|account| account.home.clone())),
            local_user: account.map(|account| account.name).or_else(user).unwrap_or_else(|| "root".to_owned()),
            environment: variables.collect(),
            ..ssh::Options::default()
        })
    }
}

/// Reads a path or a list of paths.
fn one_or_more<'de, D: serde::Deserializer<'de>>(source: D) -> Result<Vec<PathBuf>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a path, or a list of paths")]
    enum Paths {
        One(PathBuf),
        More(Vec<PathBuf>),
    }
    Ok(match Paths::deserialize(source)? {
        Paths::One(path) => vec![path],
        Paths::More(paths) => paths,
    })
}

impl Settings {
    /// Returns the file in which sweeps of this cluster remember what they have printed; `None` without a home directory.
    pub(super) fn reminders(&self) -> Option<PathBuf> {
        let cluster = Hash::of(format!("{} {}", self.token, self.store).as_bytes());
        Some(state_folder()?.join(format!("sweep-{}.json", cluster.short())))
    }
}

impl Settings {
    /// Returns the cluster as a text: its token and its store, which is not the same in another working folder.
    pub(super) fn cluster(&self) -> String {
        let path = self.store.strip_prefix("sqlite:").and_then(|path| std::path::absolute(path).ok());
        let store = path.map_or_else(|| self.store.clone(), |path| format!("sqlite:{}", path.display()));
        format!("{} in {store}", self.token)
    }

    /// Returns the file with the recipients that the operator has accepted for this cluster; `None` without a home directory.
    pub(super) fn accepted_recipients(&self) -> Option<PathBuf> {
        let cluster = Hash::of(self.cluster().as_bytes()).to_string();
        Some(config_folder()?.join("accepted-recipients").join(cluster))
    }
}

/// Returns the folder of the user's configuration; `None` without a home directory.
fn config_folder() -> Option<PathBuf> {
    Some(directory("XDG_CONFIG_HOME", ".config")?.join("muster"))
}

/// Returns the folder of muster's own state on this host; `None` without a home directory. A service of systemd may write to
/// its state directory only.
pub(super) fn state_folder() -> Option<PathBuf> {
    service_directory().or_else(|| Some(state_directory()?.join("muster")))
}

impl Flags {
    /// Merges flags and environment (already in `self`), the settings file and the defaults.
    pub fn resolve(self) -> Result<Settings, CommandError> {
        let file = file::read(self.config.as_deref())?;
        let (vault, origins) = (vault(&self, &file.flags), Origins::of(&self, &file));
        let path = |flag: Option<PathBuf>, file: Option<PathBuf>| flag.map(|path| from_home(&path)).or(file);
        // On the command line, the more general setting must not win over the one that was typed.
        let api = self.api.filter(|_| !is_typed("store") || is_typed("api"));
        let file_api = file.flags.api.filter(|_| self.store.is_none());
        let store = api.or(self.store).map(|store| match store.strip_prefix("sqlite:") {
            Some(path) => format!("sqlite:{}", from_home(Path::new(path)).display()),
            None => store,
        });
        Ok(Settings {
            failover: file.failover,
            schedule: file.schedule,
            store: store.or(file_api).or(file.flags.store).map_or_else(default_store, Ok)?,
            credentials: Credentials {
                ca_file: path(self.etcd_ca_file, file.flags.etcd_ca_file),
                cert_file: path(self.etcd_cert_file, file.flags.etcd_cert_file),
                key_file: path(self.etcd_key_file, file.flags.etcd_key_file),
                username: self.etcd_username.or(file.flags.etcd_username),
                password: secret_variable(ETCD_PASSWORD),
                password_file: path(self.etcd_password_file, file.flags.etcd_password_file),
                api: ApiCredentials {
                    token: secret_variable(API_TOKEN),
                    token_file: path(self.api_token_file, file.flags.api_token_file),
                    ca_file: path(self.api_ca_file, file.flags.api_ca_file),
                    cert_file: path(self.api_cert_file, file.flags.api_cert_file),
                    key_file: path(self.api_key_file, file.flags.api_key_file),
                },
            },
            is_token_set: self.token.is_some() || file.flags.token.is_some(),
            token: self.token.or(file.flags.token).unwrap_or_else(|| "default".to_owned()),
            inventory: if self.inventory.is_empty() { file.flags.inventory } else { sources(&self.inventory) },
            vault,
            secret_identity: path(self.secret_identity, file.flags.secret_identity)
                .or_else(|| Some(config_folder()?.join("secret-identity"))),
            ssh_config: path(self.ssh_config, file.flags.ssh_config),
            strict_host_key_checking: self.strict_host_key_checking.or(file.flags.strict_host_key_checking),
            connecting: self.connecting,
            lock: file.lock,
            settle: file.settle,
            listen: file.listen,
            access: Arc::new(AccessList(file.access)),
            receivers: file.receivers,
            origins,
        })
    }
}

/// Returns where the passwords of Ansible Vault come from: the flags and muster's variables, else the settings file.
fn vault(flags: &Flags, file: &Flags) -> Vec<PasswordSource> {
    let of_flags = |flags: &Flags| {
        let is_set = |path: &&PathBuf| !path.as_os_str().is_empty();
        let labelled = flags.vault_id.iter().filter(is_set);
        let labelled = labelled.map(|id| PasswordSource::parse(&id.to_string_lossy(), &from_home));
        let files = flags.vault_password_file.iter().filter(is_set);
        let files = files.map(|path| PasswordSource::file(from_home(path)));
        labelled.chain(files).chain(flags.ask_vault_pass.then(PasswordSource::prompt)).collect::<Vec<_>>()
    };
    let sources = [of_flags(flags), of_flags(file)];
    sources.into_iter().find(|sources| !sources.is_empty()).unwrap_or_default()
}

/// Returns where Ansible's variables say that the passwords of its vaults come from.
#[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
pub(super) fn vault_of_ansible() -> Vec<PasswordSource> {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let labelled = set("ANSIBLE_VAULT_IDENTITY_LIST").unwrap_or_default();
    let labelled = labelled.split(',').map(str::trim).filter(|id| !id.is_empty());
    let file = set("ANSIBLE_VAULT_PASSWORD_FILE").map(|path| PasswordSource::file(from_home(Path::new(&path))));
    labelled.map(|id| PasswordSource::parse(id, &from_home)).chain(file).collect()
}

/// Splits the words of `--inventory` into sources, which `:` separates. In a list of hosts, which has commas, each `:`
/// belongs to a host.
fn sources(words: &[PathBuf]) -> Vec<PathBuf> {
    let split = |word: &PathBuf| match word.to_str() {
        Some(text) if !text.contains(',') => text.split(':').map(|path| from_home(Path::new(path))).collect(),
        _ => vec![word.clone()],
    };
    words.iter().flat_map(split).filter(|path| !path.as_os_str().is_empty()).collect()
}

/// Returns the environment, without variables that hold secrets and those that are not text.
pub(super) fn environment() -> BTreeMap<String, String> {
    let text =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    text.filter(|(name, _)| !SECRET_VARIABLES.contains(&name.as_str())).collect()
}

/// Returns the command of the operator's editor, as Ansible finds it.
#[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
pub(super) fn editor() -> String {
    std::env::var("EDITOR").ok().filter(|editor| !editor.trim().is_empty()).unwrap_or_else(|| "vi".to_owned())
}

/// Returns the command of the operator's editor for unit files, as `systemctl edit` and `kubectl edit` find it.
#[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
pub(super) fn visual_editor() -> String {
    std::env::var("VISUAL").ok().filter(|editor| !editor.trim().is_empty()).unwrap_or_else(editor)
}

/// Returns the home directory of the user, if it is known.
#[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
fn home() -> Option<PathBuf> {
    std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from)
}

/// Replaces a leading `~` that no shell has replaced by the home directory.
pub(super) fn from_home(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), home()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    }
}

/// Returns the value of a secret variable. It has no flag, because every user of the machine can read flags.
#[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
fn secret_variable(name: &str) -> Option<SecretString> {
    std::env::var(name).ok().filter(|value| !value.is_empty()).map(SecretString::from)
}

fn default_store() -> Result<String, CommandError> {
    let state = state_directory().ok_or_else(|| {
        CommandError::usage("no home directory for the default store").hint("Name a store with `--store`.")
    })?;
    Ok(format!("sqlite:{}", state.join("muster/muster.db").display()))
}

fn state_directory() -> Option<PathBuf> {
    directory("XDG_STATE_HOME", ".local/state")
}

/// Returns the state directory that systemd gave this service (`StateDirectory=`), the first of several.
#[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
fn service_directory() -> Option<PathBuf> {
    let directories = std::env::var("STATE_DIRECTORY").ok()?;
    directories.split(':').next().map(PathBuf::from).filter(|path| path.is_absolute())
}

/// Returns the directory for sockets: that of the system for root, else that of the user's session.
#[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
fn runtime_directory() -> Option<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Some(PathBuf::from("/run"));
    }
    std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute())
}

/// Returns an XDG directory: the variable's if it is an absolute path, else `$HOME/<default>`.
#[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
fn directory(variable: &str, default: &str) -> Option<PathBuf> {
    let set = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    set.or_else(|| Some(home()?.join(default)))
}
