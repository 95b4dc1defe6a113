//! Expands the TOKENS of ssh_config(5), `~` and `${VARIABLE}` in names of files and commands. This module is pure.

use std::path::Path;
use std::path::PathBuf;

use super::ConfigError;
use super::HostConfig;
use super::Proxy;

/// The values of tokens besides the configuration of the host.
#[derive(Clone, Copy)]
pub(crate) struct TokenValues<'a> {
    /// The name that was given on the command line or in the inventory (`%n`).
    pub original: &'a str,
    /// The name of the user that runs muster (`%u`).
    pub local_user: &'a str,
    /// The id of that user (`%i`).
    pub uid: u32,
    /// The name of this machine (`%l`).
    pub local_host: &'a str,
    /// The home directory of that user (`%d`, `~`).
    pub home: Option<&'a Path>,
    /// Looks a variable up (`${VARIABLE}`).
    pub variable: &'a dyn Fn(&str) -> Option<String>,
}

/// Expands `HostName`, which has the tokens `%h` and `%%` only.
pub(super) fn expand_hostname(value: &str, host: &str) -> Result<String, ConfigError> {
    percent(value, &|token| (token == 'h').then(|| host.to_owned()))
}

impl TokenValues<'_> {
    /// Expands the name of a file: `~`, tokens, variables.
    pub(crate) fn path(&self, value: &str, host: &HostConfig) -> Result<PathBuf, ConfigError> {
        let text = self.variables(&self.tilde(value)?)?;
        Ok(PathBuf::from(percent(&text, &|token| self.token(token, host))?))
    }

    /// Expands the tokens of a command.
    pub(crate) fn command(&self, value: &str, host: &HostConfig) -> Result<String, ConfigError> {
        percent(value, &|token| self.token(token, host))
    }

    fn token(&self, token: char, host: &HostConfig) -> Option<String> {
        Some(match token {
            'd' => self.home?.display().to_string(),
            'h' => host.hostname.clone(),
            'i' => self.uid.to_string(),
            'j' => match &host.proxy {
                Proxy::Jump(jump) => jump.clone(),
                _ => String::new(),
            },
            'k' => host.host_key_alias.clone().unwrap_or_else(|| self.original.to_owned()),
            'L' => self.local_host.split('.').next().unwrap_or_default().to_owned(),
            'l' => self.local_host.to_owned(),
            'n' => self.original.to_owned(),
            'p' => host.port.to_string(),
            'r' => host.user.clone(),
            'u' => self.local_user.to_owned(),
            'C' => self.connection_hash(host),
            _ => return None,
        })
    }

    /// `%C`: the hash of `%l%h%p%r%j`. OpenSSH 9.2 and before leave `%j` out; it is empty then for most hosts.
    fn connection_hash(&self, host: &HostConfig) -> String {
        use sha1::Digest as _;
        let text: String = ['l', 'h', 'p', 'r', 'j'].iter().filter_map(|token| self.token(*token, host)).collect();
        let hash = sha1::Sha1::digest(text.as_bytes());
        crate::core::hex::digits(&hash)
    }

    fn tilde(&self, value: &str) -> Result<String, ConfigError> {
        let Some(rest) = value.strip_prefix('~') else { return Ok(value.to_owned()) };
        let wrong = |what: &str| ConfigError::Token { value: value.to_owned(), what: what.to_owned() };
        if !rest.is_empty() && !rest.starts_with('/') {
            return Err(wrong("the home of another user is not supported: expected a full path"));
        }
        let home = self.home.ok_or_else(|| wrong("there is no home directory"))?;
        Ok(format!("{}{rest}", home.display()))
    }

    fn variables(&self, value: &str) -> Result<String, ConfigError> {
        // `IdentityAgent $NAME` is the older syntax.
        if let Some(name) = value.strip_prefix('$').filter(|name| !name.starts_with('{')) {
            return self.variable(value, name);
        }
        let mut text = String::new();
        let mut rest = value;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after
                .split_once('}')
                .ok_or_else(|| ConfigError::Token { value: value.to_owned(), what: "${ is not closed".to_owned() })?;
            text.push_str(before);
            text.push_str(&self.variable(value, name)?);
            rest = after;
        }
        text.push_str(rest);
        Ok(text)
    }

    fn variable(&self, value: &str, name: &str) -> Result<String, ConfigError> {
        (self.variable)(name).ok_or_else(|| ConfigError::Token {
            value: value.to_owned(),
            what: format!("the variable {name} is not set"),
        })
    }
}

fn percent(value: &str, token: &dyn Fn(char) -> Option<String>) -> Result<String, ConfigError> {
    let wrong = |what: String| ConfigError::Token { value: value.to_owned(), what };
    let mut text = String::new();
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        match chars.next() {
            Some('%') => text.push('%'),
            Some(name) => text.push_str(&token(name).ok_or_else(|| wrong(format!("unknown token %{name}")))?),
            None => return Err(wrong("it ends in %".to_owned())),
        }
    }
    Ok(text)
}
