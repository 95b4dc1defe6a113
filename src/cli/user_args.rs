//! As which user commands and tasks run on hosts.

use std::path::PathBuf;

use super::ansible_config::AnsibleConfig;
use super::error::CommandError;
use crate::playbook::settings::Become;
use crate::playbook::settings::Settings;
use crate::remote::Password;
use crate::remote::Target;

/// The number of hosts on which something runs at once unless it is said.
const FORKS: u16 = 32;

/// The users of a run.
#[derive(Debug, clap::Args)]
pub(super) struct UserArgs {
    /// Become another user on the host: root, or the user of --become-user
    ///
    /// A login as root becomes any user. Any other login needs `sudo` on the host.
    #[arg(long, short = 'b', alias = "root")]
    r#become: bool,
    /// The user to become [default: root]
    #[arg(long, value_name = "USER")]
    become_user: Option<String>,
    /// How the user is become [default: sudo]
    #[arg(long, value_name = "METHOD", value_parser = ["sudo", "su"])]
    become_method: Option<String>,
    /// Ask for the password of `sudo`
    #[arg(long, short = 'K', conflicts_with = "become_password_file")]
    ask_become_pass: bool,
    /// Read the password of `sudo` from the first line of this file
    #[arg(long, value_name = "FILE", alias = "become-pass-file")]
    become_password_file: Option<PathBuf>,
    /// Log in as this user on hosts whose inventory names none
    #[arg(long, short = 'u', value_name = "USER")]
    user: Option<String>,
}

/// The number of hosts on which something runs at once.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct ForksArgs {
    /// Run on at most this many hosts at once: 1 to 65535 [default: 32]
    #[arg(long, short = 'f', value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    forks: Option<u16>,
}

impl ForksArgs {
    /// Returns the number of the command line, else that of `ansible.cfg`, else the default.
    pub(super) fn count(self, config: &AnsibleConfig) -> usize {
        usize::from(self.forks.or(config.forks).unwrap_or(FORKS))
    }
}

impl UserArgs {
    /// Takes what the command line does not say from `ansible.cfg`.
    pub(super) fn take_defaults(&mut self, config: &AnsibleConfig) {
        self.r#become |= config.r#become;
        self.ask_become_pass |= config.ask_become_pass && self.become_password_file.is_none();
        for (given, default) in [
            (&mut self.become_user, &config.become_user),
            (&mut self.become_method, &config.become_method),
            (&mut self.user, &config.remote_user),
        ] {
            *given = given.take().or_else(|| default.clone());
        }
    }

    /// Returns as which user a command runs.
    pub(super) fn wanted(&self) -> Become {
        Become { on: self.r#become.into(), user: self.become_user.clone(), method: self.become_method.clone() }
    }

    /// Gives a host its login user unless it has one.
    pub(super) fn target(&self, mut target: Target) -> Target {
        target.address.user = target.address.user.or_else(|| self.user.clone());
        target
    }

    /// Returns the settings of tasks that say nothing else.
    pub(super) fn settings(&self) -> Settings {
        Settings { r#become: self.wanted(), remote_user: self.user.clone(), ..Settings::default() }
    }

    /// Returns the password for sudo, which is asked for if need be.
    pub(super) fn password(&self) -> Result<Option<Password>, CommandError> {
        let text = if let Some(path) = &self.become_password_file {
            let text = std::fs::read_to_string(path)
                .map_err(|error| CommandError::usage(format!("cannot read {}", path.display())).caused_by(error))?;
            text.lines().next().unwrap_or_default().to_owned()
        } else if self.ask_become_pass {
            rpassword::prompt_password("BECOME password: ")
                .map_err(|error| CommandError::usage("cannot ask for the password").caused_by(error))?
        } else {
            return Ok(None);
        };
        Password::new(text).map(Some).map_err(CommandError::usage)
    }
}
