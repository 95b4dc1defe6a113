//! The arguments of ssh(1) in the connection variables of a host. This module is pure.

use std::path::PathBuf;

use crate::remote::ssh_config::Support;
use crate::remote::ssh_config::check_option;

/// The options of ssh(1) without a value, which have no effect on what muster does.
const FLAGS: &str = "AaCfGgKkMNnqsTtVvXxYy";

/// The options of ssh(1) with a value.
const WITH_VALUE: &str = "BbcDEeFIiJLlmOopQRSWw";

/// The arguments of ssh(1) that a [`Target`] has fields for. Of two values for one thing the first counts, as for ssh(1).
#[derive(Debug, Default)]
pub(super) struct SshArguments {
    pub(super) jump: Option<String>,
    /// A proxy command. Of this and `jump`, the one that comes first is set.
    pub(super) command: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) user: Option<String>,
    pub(super) identity_files: Vec<PathBuf>,
    pub(super) config_file: Option<PathBuf>,
    /// Options for ssh_config(5), as after `-o`.
    pub(super) options: Vec<String>,
    /// The arguments that have no meaning for muster.
    pub(super) ignored: Vec<String>,
}

impl SshArguments {
    /// Adds the arguments of a text.
    pub(super) fn read(&mut self, text: &str) -> Result<(), String> {
        let words = shlex::split(text).ok_or("its quotes do not match")?;
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
                self.ignored.push(word);
                continue;
            };
            // Letters without a value may stand together in front of one with a value: `-qo X=y`.
            let at = letters.find(|letter| !FLAGS.contains(letter)).unwrap_or(letters.len());
            let Some(letter) = letters.get(at..).and_then(|rest| rest.chars().next()) else { continue };
            if !WITH_VALUE.contains(letter) {
                self.ignored.push(word);
                continue;
            }
            let glued = letters.get(at + 1..).filter(|rest| !rest.is_empty()).map(str::to_owned);
            let value = glued.or_else(|| words.next()).ok_or_else(|| format!("`{word}` lacks its value"))?;
            self.set(letter, value)?;
        }
        Ok(())
    }

    fn set(&mut self, letter: char, value: String) -> Result<(), String> {
        match letter {
            'J' => self.proxy(Some(value), None),
            'p' => self.port(&value)?,
            'l' => _ = self.user.get_or_insert(value),
            'i' => self.identity_files.push(PathBuf::from(value)),
            'F' => self.config_file = Some(PathBuf::from(value)),
            'o' => self.option(&value)?,
            _ => self.ignored.push(format!("-{letter} {value}")),
        }
        Ok(())
    }

    fn port(&mut self, port: &str) -> Result<(), String> {
        let port = port.parse().map_err(|_| format!("`{port}` is not a port"))?;
        self.port.get_or_insert(port);
        Ok(())
    }

    fn proxy(&mut self, jump: Option<String>, command: Option<String>) {
        if self.jump.is_none() && self.command.is_none() {
            (self.jump, self.command) = (jump, command);
        }
    }

    fn option(&mut self, option: &str) -> Result<(), String> {
        let support = check_option(option).map_err(|why| format!("invalid option `{option}`: {why}"))?;
        let (name, value) = option.trim().split_once(['=', ' ']).unwrap_or((option, ""));
        let value = value.trim().trim_start_matches('=').trim();
        match name.trim().to_ascii_lowercase().as_str() {
            // `none` is a value too: it connects directly although ssh_config may have a jump host.
            "proxyjump" => self.proxy(Some(value.to_owned()), None),
            "port" => self.port(value)?,
            "user" => _ = self.user.get_or_insert(value.to_owned()),
            "identityfile" => self.identity_files.push(PathBuf::from(value)),
            "proxycommand" if value.eq_ignore_ascii_case("none") => self.proxy(Some(value.to_owned()), None),
            "proxycommand" => {
                let jump = jump_of(value);
                let command = jump.is_none().then(|| value.to_owned());
                self.proxy(jump, command);
            }
            _ if support == Support::Obeyed => self.options.push(option.to_owned()),
            _ if support == Support::NoEffect => {}
            _ => self.ignored.push(format!("-o {option}")),
        }
        Ok(())
    }
}

/// Returns the jump host of a proxy command that is an older form of `ProxyJump`: `ssh -W %h:%p JUMP`, perhaps with a
/// port and a user. A command with anything else in it is run as it is.
fn jump_of(command: &str) -> Option<String> {
    let words = shlex::split(command)?;
    let mut words = words.iter().map(String::as_str);
    if words.next() != Some("ssh") {
        return None;
    }
    let (mut jump, mut user, mut port, mut forwards) = (None, None, None, false);
    while let Some(word) = words.next() {
        match word {
            "-q" | "-T" | "-x" | "-a" => {}
            "-W" => forwards = matches!(words.next()?, "%h:%p" | "[%h]:%p"),
            "-p" => port = Some(words.next()?.parse::<u16>().ok()?),
            "-l" => user = words.next(),
            _ if word.starts_with('-') || jump.is_some() => return None,
            _ => jump = Some(word),
        }
    }
    let jump = jump.filter(|jump| forwards && !jump.contains("://") && !jump.contains(','))?;
    let named = jump.contains('@') || jump.contains(':');
    if named && (user.is_some() || port.is_some()) {
        return None;
    }
    let user = user.map(|user| format!("{user}@")).unwrap_or_default();
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{user}{jump}{port}"))
}
