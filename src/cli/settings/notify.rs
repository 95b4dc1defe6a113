//! `[[notify]]` in `muster.toml`: the receivers of alerts. A setting that is wrong is refused with its line, and never with the value
//! of a URL or a token.

use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::ExposeSecret;
use secrecy::SecretString;
use serde::Deserialize;
use toml::Spanned;

use super::from_home;
use crate::cli::duration;
use crate::cli::error::CommandError;
use crate::core::alert::KINDS;
use crate::core::alert::Rules;
use crate::core::alert::Selector;
use crate::core::sanitize::is_plain_name;
use crate::core::unit::Glob;
use crate::inventory::diagnostic::did_you_mean;
use crate::notify::Channel;
use crate::notify::CommandReceiver;
use crate::notify::Endpoint;
use crate::notify::HttpReceiver;
use crate::notify::MailReceiver;
use crate::notify::Receiver;
use crate::notify::Service;
use crate::notify::Source;

/// The key of `muster.toml`.
pub(super) const KEY: &str = "notify";

/// The program that sends mail, unless the settings name another.
const SENDMAIL: &str = "/usr/sbin/sendmail";

/// The range of `min-duration`, in seconds.
const MIN_DURATION: std::ops::RangeInclusive<u64> = 0..=7 * 24 * 3600;

/// The range of `remind`, in seconds.
const REMIND: std::ops::RangeInclusive<u64> = 60..=30 * 24 * 3600;

/// The part of a settings file about alerts.
#[derive(Debug, Default, Deserialize)]
struct Part {
    #[serde(default)]
    notify: Vec<Spanned<Entry>>,
}

/// The type of a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Type {
    Webhook,
    Slack,
    Ntfy,
    Mail,
    Command,
}

/// A receiver as the file has it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Entry {
    name: String,
    r#type: Type,
    url: Option<SecretString>,
    #[serde(alias = "url_file")]
    url_file: Option<PathBuf>,
    token: Option<SecretString>,
    #[serde(alias = "token_file")]
    token_file: Option<PathBuf>,
    #[serde(default)]
    to: Vec<String>,
    from: Option<String>,
    sendmail: Option<PathBuf>,
    command: Option<String>,
    #[serde(default)]
    kinds: Vec<String>,
    #[serde(default)]
    machines: Vec<String>,
    #[serde(default)]
    units: Vec<String>,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default, alias = "min_duration", deserialize_with = "duration::setting")]
    min_duration: Option<Duration>,
    clears: Option<bool>,
    #[serde(default, deserialize_with = "duration::setting")]
    remind: Option<Duration>,
}

/// How a receiver is reached, before a client is made.
#[derive(Debug, Clone)]
enum ChannelSetting {
    Http(Service, Endpoint),
    Mail(MailReceiver),
    Command(CommandReceiver),
}

/// A receiver whose settings are valid, except for its groups.
#[derive(Debug, Clone)]
pub(in crate::cli) struct ReceiverSetting {
    /// Its name.
    pub(in crate::cli) name: String,
    /// Its file and line, for errors.
    pub(in crate::cli) place: String,
    /// The groups of the inventory whose machines it is told about.
    pub(in crate::cli) groups: Vec<String>,
    /// Set if the file has a secret of this receiver and other users can read the file.
    pub(in crate::cli) is_exposed: bool,
    rules: Rules,
    channel: ChannelSetting,
}

impl ReceiverSetting {
    /// Makes the receiver. `machines` are those of its groups.
    pub(in crate::cli) fn receiver(&self, machines: Option<BTreeSet<String>>) -> Result<Receiver, CommandError> {
        let channel = match self.channel.clone() {
            ChannelSetting::Http(service, endpoint) => Channel::Http(
                HttpReceiver::new(service, endpoint)
                    .map_err(|error| CommandError::failed(format!("{}: no client of HTTP: {error}", self.place)))?,
            ),
            ChannelSetting::Mail(mail) => Channel::Mail(mail),
            ChannelSetting::Command(command) => Channel::Command(command),
        };
        let mut rules = self.rules.clone();
        rules.selector.group_machines = machines;
        Ok(Receiver { channel, rules })
    }
}

/// Returns the line of an offset.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    text.get(..offset).unwrap_or_default().matches('\n').count() + 1
}

/// Returns an error of a settings file as text. The text of a line at which receivers may be named is not quoted: it may have a
/// secret.
pub(super) fn shown(text: &str, error: &toml::de::Error) -> String {
    let first = text.lines().position(is_header);
    let line = error.span().map(|span| line_of(text, span.start));
    match (first, line) {
        (Some(first), Some(line)) if line > first => format!("line {line}: {}", error.message()),
        (Some(_), None) => error.message().to_owned(),
        _ => error.to_string(),
    }
}

fn is_header(line: &str) -> bool {
    let bare: String = line.chars().filter(|c| !c.is_whitespace()).collect();
    bare.starts_with("[[notify") || bare.starts_with("notify=")
}

/// Reads the receivers of a settings file.
pub(super) fn read(text: &str, path: &Path, is_readable: bool) -> Result<Vec<ReceiverSetting>, CommandError> {
    let wrong = |error: toml::de::Error| CommandError::usage(format!("{}: {}", path.display(), shown(text, &error)));
    let part: Part = toml::from_str(text).map_err(wrong)?;
    let mut names = BTreeSet::new();
    let mut receivers = Vec::new();
    for entry in part.notify {
        let line = line_of(text, entry.span().start);
        let entry = entry.into_inner();
        let name: String = entry.name.chars().take(80).collect();
        let place = format!("{}: line {line}: notify {name:?}", path.display());
        if !is_plain_name(&entry.name, 64) {
            let error = CommandError::usage(format!("{place}: invalid name"));
            return Err(error.hint("Use 1 to 64 of A-Z, a-z, 0-9, `_`, `.` and `-`, and no dot at the start."));
        }
        if !names.insert(entry.name.clone()) {
            let error = CommandError::usage(format!("{place}: another receiver has this name"));
            return Err(error.hint("Choose another name: muster remembers by the name what a receiver was told."));
        }
        let folder = path.parent().unwrap_or_else(|| Path::new("."));
        let is_exposed = is_readable && entry.has_secret();
        let (groups, rules) = (entry.groups.clone(), entry.rules().map_err(|wrong| wrong.at(&place))?);
        let channel = entry.channel(folder).map_err(|wrong| wrong.at(&place))?;
        receivers.push(ReceiverSetting { name: entry.name, place, groups, is_exposed, rules, channel });
    }
    Ok(receivers)
}

/// A setting of a receiver that is wrong, and what to do.
struct Wrong(String, Option<String>);

impl Wrong {
    fn at(self, place: &str) -> CommandError {
        CommandError::usage(format!("{place}: {}", self.0)).maybe_hint(self.1)
    }
}

fn wrong(error: impl Into<String>, hint: &str) -> Wrong {
    Wrong(error.into(), Some(hint.to_owned()))
}

impl Entry {
    /// Reports whether the file itself has a secret: a token, the URL of a Slack channel, or a URL with a password or a query.
    fn has_secret(&self) -> bool {
        let url = self.url.as_ref().map(ExposeSecret::expose_secret);
        let is_secret = |url: &str| self.r#type == Type::Slack || url.contains('?') || url.contains('@');
        self.token.is_some() || url.is_some_and(is_secret)
    }

    fn rules(&self) -> Result<Rules, Wrong> {
        let range = |key: &str, value: Option<Duration>, range| {
            let checked = value.map(|value| duration::check(value, range)).transpose();
            checked.map_err(|error| Wrong(format!("invalid `{key}`: {error}"), None))
        };
        let min_duration = range("min-duration", self.min_duration, &MIN_DURATION)?;
        let remind = range("remind", self.remind, &REMIND)?;
        let kinds: Vec<String> = self.kinds.iter().map(|kind| kind.replace('_', " ")).collect();
        let kinds = patterns("kinds", &kinds)?;
        if let Some(kind) = kinds.iter().find(|kind| !KINDS.iter().any(|known| kind.matches(known))) {
            let hint = did_you_mean(kind.as_str(), KINDS);
            let hint = hint.unwrap_or_else(|| "docs/alerts.md lists the kinds.".to_owned());
            return Err(wrong(format!("there is no kind of problem {:?}", kind.as_str()), &hint));
        }
        let (machines, units) = (patterns("machines", &self.machines)?, patterns("units", &self.units)?);
        let selector = Selector { kinds, machines, units, group_machines: None };
        Ok(Rules { selector, min_duration, clears: self.clears.unwrap_or(true), remind })
    }

    /// Returns how the receiver is reached. A key that its type does not have is refused.
    fn channel(&self, folder: &Path) -> Result<ChannelSetting, Wrong> {
        let http = ["url", "url-file", "token", "token-file"];
        let (known, noun): (&[&str], _) = match self.r#type {
            Type::Webhook | Type::Slack | Type::Ntfy => (&http, "HTTP"),
            Type::Mail => (&["to", "from", "sendmail"], "mail"),
            Type::Command => (&["command"], "a command"),
        };
        let set = [
            ("url", self.url.is_some()),
            ("url-file", self.url_file.is_some()),
            ("token", self.token.is_some()),
            ("token-file", self.token_file.is_some()),
            ("to", !self.to.is_empty()),
            ("from", self.from.is_some()),
            ("sendmail", self.sendmail.is_some()),
            ("command", self.command.is_some()),
        ];
        if let Some((key, _)) = set.iter().find(|(key, is_set)| *is_set && !known.contains(key)) {
            let known = known.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
            return Err(wrong(
                format!("`{key}` has no meaning for a receiver over {noun}"),
                &format!("Its keys are {known}."),
            ));
        }
        match self.r#type {
            Type::Webhook => self.endpoint(folder).map(|it| ChannelSetting::Http(Service::Webhook, it)),
            Type::Slack => self.endpoint(folder).map(|it| ChannelSetting::Http(Service::Slack, it)),
            Type::Ntfy => self.endpoint(folder).map(|it| ChannelSetting::Http(Service::Ntfy, it)),
            Type::Mail => self.mail().map(ChannelSetting::Mail),
            Type::Command => {
                let command = self.command.clone().filter(|command| !command.trim().is_empty());
                let command = command.ok_or_else(|| wrong("`command` is missing", "Name a command for `sh`."))?;
                Ok(ChannelSetting::Command(CommandReceiver { command }))
            }
        }
    }

    fn endpoint(&self, folder: &Path) -> Result<Endpoint, Wrong> {
        let file = |path: &PathBuf| Source::File(folder.join(from_home(path)));
        let url = match (&self.url, &self.url_file) {
            (Some(url), None) => Source::url(url.expose_secret().to_owned())
                .map_err(|error| wrong(error.to_string(), "The URL is not shown, because it may be a secret."))?,
            (None, Some(path)) => file(path),
            _ => {
                return Err(wrong(
                    "expected either `url` or `url-file`",
                    "A URL that is a secret belongs into a file.",
                ));
            }
        };
        let token = match (&self.token, &self.token_file) {
            (Some(_), Some(_)) => {
                return Err(wrong("expected either `token` or `token-file`", "A token belongs into a file."));
            }
            (Some(token), None) => Some(Source::Text(token.clone())),
            (None, Some(path)) => Some(file(path)),
            (None, None) => None,
        };
        Ok(Endpoint { url, token })
    }

    fn mail(&self) -> Result<MailReceiver, Wrong> {
        let address = |text: &String| text.parse().map_err(|error| Wrong(format!("{error}"), None));
        let to: Vec<_> = self.to.iter().map(address).collect::<Result<_, Wrong>>()?;
        if to.is_empty() {
            return Err(wrong("`to` is missing", "Name at least one address: `to = [\"ops@example.com\"]`."));
        }
        let from = self.from.as_ref().map(address).transpose()?;
        let sendmail = self.sendmail.clone().unwrap_or_else(|| PathBuf::from(SENDMAIL));
        if !sendmail.is_absolute() {
            return Err(wrong("`sendmail` is not an absolute path", "Name the program as /usr/sbin/sendmail."));
        }
        Ok(MailReceiver { to, from, sendmail })
    }
}

fn patterns(key: &str, texts: &[String]) -> Result<Vec<Glob>, Wrong> {
    let pattern = |text: &String| Glob::parse(text).map_err(|error| Wrong(format!("`{key}`: {error}"), None));
    texts.iter().map(pattern).collect()
}
