//! `muster.toml`: where it is, what it may say, and whose its paths are. A key is what a flag is called, whichever command
//! has that flag.

use std::path::Path;
use std::path::PathBuf;

use clap::Args as _;
use toml::de::DeTable;

use super::Flags;
use super::LockArgs;
use super::directory;
use super::from_home;
use crate::cli::error::CommandError;
use crate::cli::prudence::Prudence;
use crate::cli::prudence::Rhythm;
use crate::inventory::fault::did_you_mean;

/// What a settings file says.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) flags: Flags,
    pub(super) prudence: Prudence,
    pub(super) rhythm: Rhythm,
    pub(super) lock: LockArgs,
}

/// Reads the settings file that was named, or the first of the usual ones that is there.
pub(super) fn read(named: Option<&Path>) -> Result<File, CommandError> {
    let usual = || {
        let user = directory("XDG_CONFIG_HOME", ".config").map(|config| config.join("muster/muster.toml"));
        let all = [Some(PathBuf::from("muster.toml")), user, Some(PathBuf::from("/etc/muster/muster.toml"))];
        all.into_iter().flatten().find(|path| path.exists())
    };
    let Some(path) = named.map(Path::to_owned).or_else(usual) else {
        return Ok(File::default());
    };
    let text = std::fs::read_to_string(&path)
        .map_err(|error| CommandError::usage(format!("cannot read {}", path.display())).caused_by(error))?;
    let wrong = |error: String| CommandError::usage(format!("{}: {error}", path.display()));
    let mut file = File::parse(&text).map_err(|error| wrong(error.to_string()))?;
    if let Some((line, key)) = unknown(&text).map_err(|error| wrong(error.to_string()))? {
        let error = wrong(format!("line {line}: there is no setting `{key}`"));
        let known = keys();
        return Err(error.maybe_hint(did_you_mean(&key, known.iter().map(String::as_str))));
    }
    file.prudence.check().and_then(|()| file.rhythm.check()).map_err(wrong)?;
    file.flags.stand_in(path.parent().unwrap_or_else(|| Path::new(".")));
    Ok(file)
}

impl File {
    fn parse(text: &str) -> Result<Self, toml::de::Error> {
        let (flags, prudence) = (toml::from_str(text)?, toml::from_str(text)?);
        Ok(Self { flags, prudence, rhythm: toml::from_str(text)?, lock: toml::from_str(text)? })
    }
}

impl Flags {
    /// Makes paths mean what they mean in a file in this folder, wherever the command is run.
    fn stand_in(&mut self, folder: &Path) {
        let place = |path: &Path| folder.join(from_home(path));
        for path in [
            &mut self.ssh_config,
            &mut self.etcd_ca_file,
            &mut self.etcd_cert_file,
            &mut self.etcd_key_file,
            &mut self.etcd_password_file,
        ] {
            *path = path.as_deref().map(place);
        }
        let database =
            self.store.as_deref().and_then(|store| store.strip_prefix("sqlite:")).filter(|path| !path.is_empty());
        if let Some(path) = database {
            self.store = Some(format!("sqlite:{}", place(Path::new(path)).display()));
        }
        for source in &mut self.inventory {
            let path = place(source);
            // A list of hosts is no path.
            if path.exists() || !source.to_string_lossy().contains(',') {
                *source = path;
            }
        }
    }
}

/// Returns the first key that is no setting, and its line.
fn unknown(text: &str) -> Result<Option<(usize, String)>, toml::de::Error> {
    let (table, known) = (DeTable::parse(text)?, keys());
    let unknown = table.get_ref().keys().filter(|key| !known.iter().any(|known| *known == **key.get_ref()));
    let first = unknown.min_by_key(|key| key.span().start);
    Ok(first.map(|key| {
        let before = text.get(..key.span().start).unwrap_or_default();
        (before.matches('\n').count() + 1, key.get_ref().to_string())
    }))
}

/// Returns every key that there is: what the flags are called.
fn keys() -> Vec<String> {
    let command = Flags::augment_args(Prudence::augment_args(clap::Command::new("muster")));
    let command = Rhythm::augment_args(LockArgs::augment_args(command));
    let names = command.get_arguments().filter_map(clap::Arg::get_long);
    names.filter(|name| *name != "config").map(str::to_owned).collect()
}
