//! Resolves the lines of ssh_config(5) for one host: the first value wins, in OpenSSH's order.
//!
//! `Match` depends on values that earlier lines have set, so this is an interpreter and not a lookup. This module is
//! pure.

use std::time::Duration;

use super::Agent;
use super::Config;
use super::ConfigError;
use super::HostConfig;
use super::Proxy;
use super::Query;
use super::StrictHostKey;
use super::expand::expand_hostname;
use super::file;
use super::file::Directive;
use super::file::Line;
use super::file::Place;
use crate::remote::ssh_pattern::matches;
use crate::remote::ssh_pattern::matches_any;

/// How many keys or certificates a host may have, as in OpenSSH.
const MAX_FILES: usize = 100;

impl Config {
    /// Returns the configuration of a host.
    pub fn resolve(&self, query: &Query<'_>) -> Result<HostConfig, ConfigError> {
        let mut state = State { user: query.user.map(str::to_owned), port: query.port, ..State::default() };
        let options = file::options(query.options)?;
        state.apply(&options, true, query, query.host)?;
        state.apply_files(&self.lines, query, query.host)?;
        let mut hostname = match &state.hostname {
            Some(hostname) => expand_hostname(hostname, query.host)?,
            None => query.host.to_owned(),
        };
        hostname.make_ascii_lowercase();
        if state.wants_final {
            state.hostname = Some(hostname.clone());
            state.last = true;
            state.apply_files(&self.lines, query, &hostname)?;
            hostname = state.hostname.take().unwrap_or(hostname);
        }
        Ok(state.finish(&hostname, query))
    }
}

/// The values that have been set so far.
#[derive(Debug, Default)]
struct State {
    /// Set in the second reading, in which `Match final` matches.
    last: bool,
    wants_final: bool,
    hostname: Option<String>,
    user: Option<String>,
    port: Option<u16>,
    identity_files: Vec<String>,
    identities_only: Option<bool>,
    identity_agent: Option<Agent>,
    certificate_files: Vec<String>,
    /// `ProxyCommand none` is a value too: it ends the search.
    proxy: Option<Proxy>,
    no_jump: bool,
    user_known_hosts: Option<Vec<String>>,
    global_known_hosts: Option<Vec<String>>,
    revoked_host_keys: Option<Vec<String>>,
    host_key_alias: Option<String>,
    strict: Option<StrictHostKey>,
    hash_known_hosts: Option<bool>,
    connect_timeout: Option<Duration>,
    alive_interval: Option<Duration>,
    alive_count: Option<u32>,
}

impl State {
    fn apply_files(&mut self, files: &[Vec<Line>], query: &Query<'_>, host: &str) -> Result<(), ConfigError> {
        files.iter().try_for_each(|lines| self.apply(lines, true, query, host))
    }

    /// Applies the lines of one file. If an `Include` stands in a block that does not apply, no line of its files does.
    fn apply(&mut self, lines: &[Line], may: bool, query: &Query<'_>, host: &str) -> Result<(), ConfigError> {
        let mut applies = may;
        for Line { place, directive } in lines {
            match directive {
                Directive::Host(patterns) => applies = may && matches_any(host, patterns.iter().map(String::as_str)),
                Directive::Match(criteria) => applies = self.fits(criteria, place, query, host)? && may,
                Directive::Include(files) => {
                    files.iter().try_for_each(|lines| self.apply(lines, applies, query, host))?;
                }
                Directive::Set(keyword, arguments) if applies => self.set(keyword, arguments, place)?,
                Directive::Set(..) => {}
            }
        }
        Ok(())
    }

    /// Reports whether all criteria of a `Match` match. All are read, so each fault is found.
    fn fits(&mut self, criteria: &[String], place: &Place, query: &Query<'_>, host: &str) -> Result<bool, ConfigError> {
        let mut words = criteria.iter().flat_map(|word| word.splitn(2, '=')).filter(|word| !word.is_empty());
        let (mut fits, mut count) = (true, 0);
        while let Some(word) = words.next() {
            let (negated, name) = word.strip_prefix('!').map_or((false, word), |name| (true, name));
            count += 1;
            // As in OpenSSH, for `final all`.
            if name.eq_ignore_ascii_case("all") && (count > 2 || words.next().is_some()) {
                return Err(place.error("expected `Match all` alone or after one other criterion"));
            }
            let mut list = || words.next().ok_or_else(|| place.error(format!("Match {name} has no value")));
            let one = match name.to_ascii_lowercase().as_str() {
                "all" => true,
                "final" => {
                    self.wants_final = true;
                    self.last
                }
                "canonical" => self.last,
                "host" => matches_list(&self.current_host(host)?.to_ascii_lowercase(), &list()?.to_ascii_lowercase()),
                "originalhost" => matches_list(&query.host.to_ascii_lowercase(), &list()?.to_ascii_lowercase()),
                "user" => matches_list(self.user.as_deref().unwrap_or(query.local_user), list()?),
                "localuser" => matches_list(query.local_user, list()?),
                // The warning was given when the file was read.
                _ => return Ok(false),
            };
            fits &= one != negated;
        }
        Ok(fits)
    }

    /// Returns the name that `Match host` compares: the host name that was set so far.
    fn current_host(&self, host: &str) -> Result<String, ConfigError> {
        match &self.hostname {
            Some(hostname) if !self.last => expand_hostname(hostname, host),
            Some(hostname) => Ok(hostname.clone()),
            None => Ok(host.to_owned()),
        }
    }

    fn set(&mut self, keyword: &str, arguments: &[String], place: &Place) -> Result<(), ConfigError> {
        self.try_set(keyword, arguments).map_err(|what| place.error(format!("{keyword}: {what}")))
    }

    fn try_set(&mut self, keyword: &str, arguments: &[String]) -> Result<(), String> {
        let first = arguments.first().map_or("", String::as_str);
        match keyword {
            "hostname" => keep(&mut self.hostname, || Ok(first.to_owned())),
            "user" => keep(&mut self.user, || Ok(first.to_owned())),
            "port" => keep(&mut self.port, || port(first)),
            "identityfile" => add(&mut self.identity_files, first),
            "identitiesonly" => keep(&mut self.identities_only, || flag(first)),
            "identityagent" => keep(&mut self.identity_agent, || Ok(agent(first))),
            "certificatefile" => add(&mut self.certificate_files, first),
            // `none` ends the search for jump hosts, and a later ProxyCommand still counts.
            "proxyjump" if self.no_jump => Ok(()),
            "proxyjump" if first.eq_ignore_ascii_case("none") => {
                self.no_jump = true;
                Ok(())
            }
            "proxyjump" => keep(&mut self.proxy, || Ok(Proxy::Jump(first.to_owned()))),
            "proxycommand" => keep(&mut self.proxy, || Ok(command(first))),
            "userknownhostsfile" => keep(&mut self.user_known_hosts, || Ok(arguments.to_vec())),
            "globalknownhostsfile" => keep(&mut self.global_known_hosts, || Ok(arguments.to_vec())),
            "revokedhostkeys" => keep(&mut self.revoked_host_keys, || Ok(arguments.to_vec())),
            "hostkeyalias" => keep(&mut self.host_key_alias, || Ok(first.to_owned())),
            "stricthostkeychecking" => keep(&mut self.strict, || first.parse()),
            "hashknownhosts" => keep(&mut self.hash_known_hosts, || flag(first)),
            // As in OpenSSH, a line after `none` still counts.
            "connecttimeout" if first == "none" => Ok(()),
            "connecttimeout" => keep(&mut self.connect_timeout, || time(first)),
            "serveraliveinterval" => keep(&mut self.alive_interval, || time(first)),
            "serveralivecountmax" => keep(&mut self.alive_count, || {
                first.parse().map_err(|_| format!("invalid value {first:?}: expected a number"))
            }),
            _ => Ok(()),
        }
    }

    fn finish(self, hostname: &str, query: &Query<'_>) -> HostConfig {
        let usual = |names: [&str; 2]| names.map(str::to_owned).to_vec();
        HostConfig {
            hostname: hostname.to_ascii_lowercase(),
            port: self.port.unwrap_or(22),
            user: self.user.unwrap_or_else(|| query.local_user.to_owned()),
            identity_files: self.identity_files,
            identities_only: self.identities_only.unwrap_or(false),
            identity_agent: self.identity_agent.unwrap_or_default(),
            certificate_files: self.certificate_files,
            proxy: self.proxy.unwrap_or_default(),
            user_known_hosts: self
                .user_known_hosts
                .unwrap_or_else(|| usual(["~/.ssh/known_hosts", "~/.ssh/known_hosts2"])),
            global_known_hosts: self
                .global_known_hosts
                .unwrap_or_else(|| usual(["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"])),
            revoked_host_keys: self.revoked_host_keys.unwrap_or_default(),
            host_key_alias: self.host_key_alias,
            strict: self.strict.unwrap_or_default(),
            hash_known_hosts: self.hash_known_hosts.unwrap_or(false),
            connect_timeout: self.connect_timeout.filter(|limit| !limit.is_zero()),
            alive_interval: self.alive_interval.unwrap_or_default(),
            alive_count: self.alive_count.unwrap_or(3),
        }
    }
}

/// Checks the value of a keyword.
pub(super) fn check(keyword: &str, arguments: &[String]) -> Result<(), String> {
    State::default().try_set(keyword, arguments).map_err(|what| format!("{keyword}: {what}"))
}

/// Sets a value unless it is set. A value that is not used must be valid, too.
fn keep<T>(slot: &mut Option<T>, value: impl FnOnce() -> Result<T, String>) -> Result<(), String> {
    let value = value()?;
    slot.get_or_insert(value);
    Ok(())
}

fn add(files: &mut Vec<String>, file: &str) -> Result<(), String> {
    if files.iter().any(|known| known == file) {
        return Ok(());
    }
    if files.len() >= MAX_FILES {
        return Err(format!("more than {MAX_FILES} values"));
    }
    files.push(file.to_owned());
    Ok(())
}

fn command(text: &str) -> Proxy {
    if text.eq_ignore_ascii_case("none") { Proxy::None } else { Proxy::Command(text.to_owned()) }
}

fn agent(text: &str) -> Agent {
    match text {
        "none" => Agent::None,
        "SSH_AUTH_SOCK" => Agent::Default,
        _ => Agent::Socket(text.to_owned()),
    }
}

fn flag(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" => Ok(true),
        "no" | "false" => Ok(false),
        _ => Err(format!("invalid value {text:?}: expected yes or no")),
    }
}

fn port(text: &str) -> Result<u16, String> {
    text.parse().ok().filter(|port| *port != 0).ok_or_else(|| format!("invalid port {text:?}: expected 1 to 65535"))
}

/// Reads a time as in TIME FORMATS of sshd_config(5): `90`, `1m30s`, `2h`.
fn time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("invalid time {text:?}: expected a time such as 90, 1m30s or 2h");
    let (mut total, mut digits) = (0u64, String::new());
    for c in text.chars().chain(text.ends_with(|c: char| c.is_ascii_digit()).then_some('s')) {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        let unit = match c.to_ascii_lowercase() {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return Err(wrong()),
        };
        let number: u64 = digits.parse().map_err(|_| wrong())?;
        total = number.checked_mul(unit).and_then(|span| total.checked_add(span)).ok_or_else(wrong)?;
        digits.clear();
    }
    if text.is_empty() || total > u64::from(u32::MAX >> 1) { Err(wrong()) } else { Ok(Duration::from_secs(total)) }
}

fn matches_list(text: &str, list: &str) -> bool {
    // Nearly all lists have one pattern.
    if list.contains([',', '!']) { matches_any(text, list.split(',')) } else { matches(text, list) }
}
