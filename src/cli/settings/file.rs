//! `muster.toml`: where it is found, its keys, and what its paths are relative to. Each key is the name of a flag.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;

use clap::Args as _;
use serde::Deserialize;
use serde::de::Error as _;
use toml::de::DeTable;

use super::Flags;
use super::ListenArgs;
use super::LockArgs;
use super::ReceiverSetting;
use super::SettleArgs;
use super::directory;
use super::from_home;
use super::listen::AccessTable;
use super::notify;
use crate::api::access::AccessRule;
use crate::cli::error::CommandError;
use crate::cli::failover_args::FailoverPolicyArgs;
use crate::cli::failover_args::SweepSchedule;
use crate::cli::vault_passwords::PasswordSource;
use crate::inventory::diagnostic::did_you_mean;

/// The contents of a settings file.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) flags: Flags,
    pub(super) failover: FailoverPolicyArgs,
    pub(super) schedule: SweepSchedule,
    pub(super) lock: LockArgs,
    /// For how long a unit that was started must run.
    pub(super) settle: SettleArgs,
    /// Where a controller serves the API.
    pub(super) listen: ListenArgs,
    /// The clients of other hosts that may use it.
    pub(super) access: Vec<AccessRule>,
    /// The receivers of alerts.
    pub(super) receivers: Vec<ReceiverSetting>,
    /// Its path; `None` if there is no file.
    pub(super) path: Option<PathBuf>,
}

/// Reads the named settings file, or the first of the default ones that exists.
pub(super) fn read(named: Option<&Path>) -> Result<File, CommandError> {
    let default = || {
        let user = directory("XDG_CONFIG_HOME", ".config").map(|config| config.join("muster/muster.toml"));
        let here = PathBuf::from("muster.toml");
        let here = Some(here).filter(|path| path.exists() && is_trusted(path, Path::new(".")));
        let all = [here, user, Some(PathBuf::from("/etc/muster/muster.toml"))];
        all.into_iter().flatten().find(|path| path.exists())
    };
    let Some(path) = named.map(Path::to_owned).or_else(default) else {
        tracing::debug!("no settings file");
        return Ok(File::default());
    };
    tracing::debug!("settings file {}", path.display());
    let text = std::fs::read_to_string(&path)
        .map_err(|error| CommandError::usage(format!("cannot read {}", path.display())).caused_by(error))?;
    let wrong = |error: String| CommandError::usage(format!("{}: {error}", path.display()));
    let mut file = File::parse(&text).map_err(|error| wrong(notify::shown(&text, &error)))?;
    if let Some((line, key)) = unknown(&text).map_err(|error| wrong(notify::shown(&text, &error)))? {
        let error = wrong(format!("line {line}: there is no setting `{key}`"));
        let known = keys();
        return Err(error.maybe_hint(did_you_mean(&key, known.iter().map(String::as_str))));
    }
    file.failover.check().and_then(|()| file.schedule.check()).map_err(wrong)?;
    let is_readable = std::fs::metadata(&path).is_ok_and(|it| it.mode() & 0o004 != 0);
    file.receivers = notify::read(&text, &path, is_readable)?;
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    file.flags.resolve_paths(folder);
    file.listen.resolve_paths(folder);
    file.path = Some(path);
    Ok(file)
}

/// Reports whether a settings file in the working folder counts, and warns if it does not. The settings name programs
/// that muster runs, so no other user may be able to write to the file or to its folder.
pub(in crate::cli) fn is_trusted(path: &Path, folder: &Path) -> bool {
    let unsafe_place = [folder, path].into_iter().find(|place| !std::fs::metadata(place).is_ok_and(|it| is_ours(&it)));
    if let Some(place) = unsafe_place {
        let place = if place == folder { "its folder" } else { "it" };
        tracing::warn!(
            "{} is ignored, because another user can write to {place}: name the file with `--config` to use it",
            path.display()
        );
    }
    unsafe_place.is_none()
}

/// Reports whether a file belongs to root or to the user of this process, and no other user can write to it. Members of
/// the group of this process can: it is the user's own group on most systems.
fn is_ours(metadata: &Metadata) -> bool {
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let writable_by_group = metadata.mode() & 0o020 != 0 && metadata.gid() != group;
    [0, user].contains(&metadata.uid()) && metadata.mode() & 0o002 == 0 && !writable_by_group
}

/// The tables of a settings file, which are no flags.
#[derive(Deserialize)]
struct Tables {
    #[serde(default)]
    access: Vec<AccessTable>,
}

/// The names of the tables.
const TABLES: [&str; 1] = ["access"];

impl File {
    fn parse(text: &str) -> Result<Self, toml::de::Error> {
        let (flags, failover) = (toml::from_str(text)?, toml::from_str(text)?);
        let (schedule, lock) = (toml::from_str(text)?, toml::from_str(text)?);
        let (settle, listen) = (toml::from_str(text)?, toml::from_str(text)?);
        let Tables { access } = toml::from_str(text)?;
        let access = access.into_iter().map(|table| table.rule().map_err(toml::de::Error::custom));
        let access = access.collect::<Result<_, _>>()?;
        let receivers = Vec::new();
        Ok(Self { flags, failover, schedule, lock, settle, listen, access, receivers, path: None })
    }
}

impl Flags {
    /// Resolves relative paths against the folder of the settings file, and `~` against the home directory.
    fn resolve_paths(&mut self, folder: &Path) {
        let place = |path: &Path| folder.join(from_home(path));
        for path in [
            &mut self.ssh_config,
            &mut self.secret_identity,
            &mut self.etcd_ca_file,
            &mut self.etcd_cert_file,
            &mut self.etcd_key_file,
            &mut self.etcd_password_file,
            &mut self.api_token_file,
            &mut self.api_ca_file,
            &mut self.api_cert_file,
            &mut self.api_key_file,
        ] {
            *path = path.as_deref().map(place);
        }
        for path in &mut self.vault_password_file {
            *path = place(path);
        }
        self.vault_id = self.vault_id.iter().map(|id| PasswordSource::placed(&id.to_string_lossy(), &place)).collect();
        let database =
            self.store.as_deref().and_then(|store| store.strip_prefix("sqlite:")).filter(|path| !path.is_empty());
        if let Some(path) = database {
            self.store = Some(format!("sqlite:{}", place(Path::new(path)).display()));
        }
        for source in &mut self.inventory {
            let path = place(source);
            // A list of hosts is not a path.
            if path.exists() || !source.to_string_lossy().contains(',') {
                *source = path;
            }
        }
    }
}

/// Returns the first unknown key with its line.
fn unknown(text: &str) -> Result<Option<(usize, String)>, toml::de::Error> {
    let (table, known) = (DeTable::parse(text)?, keys());
    let unknown = table.get_ref().keys().filter(|key| !known.iter().any(|known| *known == **key.get_ref()));
    let first = unknown.min_by_key(|key| key.span().start);
    Ok(first.map(|key| (notify::line_of(text, key.span().start), key.get_ref().to_string())))
}

/// Returns every key: the names of the flags.
fn keys() -> Vec<String> {
    let command = Flags::augment_args(FailoverPolicyArgs::augment_args(clap::Command::new("muster")));
    let command = SweepSchedule::augment_args(SettleArgs::augment_args(LockArgs::augment_args(command)));
    let command = ListenArgs::augment_args(command);
    let names = command.get_arguments().filter_map(clap::Arg::get_long);
    names.filter(|name| *name != "config").chain(TABLES).chain([notify::KEY]).map(str::to_owned).collect()
}
