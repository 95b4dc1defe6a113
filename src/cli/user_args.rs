//! As which user commands and tasks run on hosts.

use std::path::PathBuf;

use super::error::CommandError;
use crate::playbook::settings::Become;
use crate::playbook::settings::Settings;
use crate::remote::Password;
use crate::remote::Target;

/// The users of a run.
#[derive(Debug, clap::Args)]
pub(super) struct UserArgs {
    /// Become another user on the host: root, or the user of --become-user
    ///
    /// A login as root becomes any user. Any other login needs `sudo` on the host.
    #[arg(long, short = 'b', alias = "root")]
    r#become: bool,
    /// The user to become
    #[arg(long, value_name = "USER", default_value = "root")]
    become_user: String,
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

impl UserArgs {
    /// Returns as which user a command runs.
    pub(super) fn wanted(&self) -> Become {
        Become { on: self.r#become.into(), user: Some(self.become_user.clone()), method: None }
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
