//! How hosts are reached, and as which user commands and tasks run there.

use std::path::Path;
use std::path::PathBuf;

use super::Context;
use super::ansible_config::AnsibleConfig;
use super::error::CommandError;
use crate::playbook::settings::Become;
use crate::playbook::settings::Settings;
use crate::remote::Password;
use crate::remote::Target;

/// The number of hosts on which something runs at once unless it is said.
const FORKS: u16 = 32;

/// Returns the first line of a file, or the answer to a question, if one of them is given.
fn secret(file: Option<&Path>, question: Option<&str>) -> Result<Option<String>, CommandError> {
    if let Some(path) = file {
        let text = std::fs::read_to_string(path)
            .map_err(|error| CommandError::usage(format!("cannot read {}", path.display())).caused_by(error))?;
        return Ok(Some(text.lines().next().unwrap_or_default().to_owned()));
    }
    let answer = question.map(rpassword::prompt_password).transpose();
    answer.map_err(|error| CommandError::usage("cannot ask for the password").caused_by(error))
}

/// How hosts are reached, and the users of a run.
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
    /// Ask for the password to log in with, for hosts that accept no key
    #[arg(long, short = 'k', conflicts_with = "connection_password_file")]
    ask_pass: bool,
    /// Read the password to log in with from the first line of this file
    #[arg(long, value_name = "FILE", alias = "conn-pass-file")]
    connection_password_file: Option<PathBuf>,
    /// Log in with this private key on hosts whose inventory names none
    #[arg(long, alias = "key-file", value_name = "FILE")]
    private_key: Option<PathBuf>,
    /// Reach hosts by ssh, or run on this machine (local), unless their inventory says which
    #[arg(long, short = 'c', value_name = "CONNECTION", value_parser = ["ssh", "smart", "paramiko", "local"])]
    connection: Option<String>,
    /// Give up on connecting to a host after so many seconds, unless its inventory says how long
    #[arg(long, short = 'T', value_name = "SECONDS", value_parser = clap::value_parser!(u16).range(1..))]
    connect_timeout: Option<u16>,
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

    /// Returns a context in which hosts that do not say how they are reached are reached as the command line says. It asks
    /// for the password of the login if hosts are going to be reached.
    pub(super) fn context(&self, context: &Context, reaches_hosts: bool) -> Result<Context, CommandError> {
        let mut vars = context.connection_defaults.clone();
        if let Some(connection) = &self.connection {
            vars.insert("ansible_connection".to_owned(), connection.as_str().into());
        }
        if let Some(key) = &self.private_key {
            vars.insert("ansible_ssh_private_key_file".to_owned(), key.to_string_lossy().into());
        }
        if let Some(seconds) = self.connect_timeout {
            vars.insert("ansible_timeout".to_owned(), seconds.into());
        }
        let asked = self.ask_pass.then_some("SSH password: ");
        if let Some(password) = secret(self.connection_password_file.as_deref(), asked.filter(|_| reaches_hosts))? {
            vars.insert("ansible_password".to_owned(), password.into());
        }
        Ok(context.with(context.settings.clone(), vars))
    }

    /// Returns the settings of tasks that say nothing else.
    pub(super) fn settings(&self) -> Settings {
        Settings { r#become: self.wanted(), remote_user: self.user.clone(), ..Settings::default() }
    }

    /// Returns the password for sudo, which is asked for if need be.
    pub(super) fn password(&self) -> Result<Option<Password>, CommandError> {
        let text = secret(self.become_password_file.as_deref(), self.ask_become_pass.then_some("BECOME password: "))?;
        text.map(Password::new).transpose().map_err(CommandError::usage)
    }
}
