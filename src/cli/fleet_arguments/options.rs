//! The options of fleet's client that all of its commands have, on the command line and as `FLEETCTL_` variables, and
//! what they mean for muster.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use super::STRICT;
use super::endpoint;
use super::truth;
use crate::cli::error::CommandError;
use crate::cli::settings::Connecting;
use crate::cli::settings::from_home;
use crate::remote::ssh::Overrides;
use crate::store::Location;

/// What the names of fleet's variables begin with.
const PREFIX: &str = "FLEETCTL_";

/// The options with a value.
const WITH_VALUE: [&str; 14] = [
    "ca-file",
    "cert-file",
    "driver",
    "endpoint",
    "etcd-cafile",
    "etcd-certfile",
    "etcd-key-prefix",
    "etcd-keyfile",
    "key-file",
    "known-hosts-file",
    "request-timeout",
    "ssh-timeout",
    "ssh-username",
    TUNNEL,
];

/// The option that named the cluster and the way to its machines.
const TUNNEL: &str = "tunnel";

/// The flags.
const FLAGS: [&str; 2] = ["debug", "experimental-api"];

/// The files of TLS, as fleet and as muster call them.
const API_FILES: [(&str, &str); 3] =
    [("ca-file", "api-ca-file"), ("cert-file", "api-cert-file"), ("key-file", "api-key-file")];

const FILES: [(&str, &str); 6] = [
    ("etcd-cafile", "etcd-ca-file"),
    ("etcd-certfile", "etcd-cert-file"),
    ("etcd-keyfile", "etcd-key-file"),
    ("ca-file", "etcd-ca-file"),
    ("cert-file", "etcd-cert-file"),
    ("key-file", "etcd-key-file"),
];

/// The value of an option, and what the operator wrote to set it.
#[derive(Debug)]
struct Given {
    value: String,
    origin: String,
}

impl Given {
    fn refuse(&self, why: &str) -> CommandError {
        CommandError::usage(format!("{}: {why}", self.origin))
    }
}

/// The options that are given. Of several equal ones the last counts, and the command line wins over variables.
#[derive(Debug, Default)]
pub(super) struct FleetOptions(BTreeMap<&'static str, Given>);

impl FleetOptions {
    /// Takes the variables of fleet's client.
    pub(super) fn of_variables(variables: Vec<(String, String)>) -> Result<Self, CommandError> {
        let mut options = Self::default();
        for (variable, value) in variables {
            let name = variable.strip_prefix(PREFIX).unwrap_or(&variable).to_lowercase().replace('_', "-");
            let Some(name) = known(&name).or((name == STRICT).then_some(STRICT)) else {
                let error = CommandError::usage(format!("{variable} is set, and muster does not read it"));
                return Err(error.hint("Unset the variable: fleet's client had no such option."));
            };
            options.set(name, Given { value, origin: variable })?;
        }
        Ok(options)
    }

    /// Takes an option of the command line, and its value from the next argument if need be. Reports whether it is one of
    /// fleet's.
    pub(super) fn take(
        &mut self,
        name: &str,
        value: Option<&str>,
        rest: &mut impl Iterator<Item = OsString>,
    ) -> Result<bool, CommandError> {
        let Some(name) = known(name) else { return Ok(false) };
        let origin = format!("--{name}");
        let value = match value {
            Some(value) => Some(value.to_owned()),
            None if FLAGS.contains(&name) => Some("true".to_owned()),
            None => rest.next().and_then(|next| next.into_string().ok()),
        };
        let Some(value) = value else { return Err(CommandError::usage(format!("{origin}: a value is missing"))) };
        self.set(name, Given { value, origin })?;
        Ok(true)
    }

    fn set(&mut self, name: &'static str, given: Given) -> Result<(), CommandError> {
        if FLAGS.contains(&name) && truth(&given.value).is_none() {
            return Err(given.refuse(&format!("invalid value {:?}: expected true or false", given.value)));
        }
        // Given empty, an option has its default.
        if given.value.is_empty() {
            self.0.remove(name);
        } else {
            self.0.insert(name, given);
        }
        Ok(())
    }

    fn is_on(&self, name: &str) -> Option<bool> {
        self.0.get(name).and_then(|given| truth(&given.value))
    }

    /// Returns the options of muster that say the same, and how hosts are reached. `names_store` says that an option or a
    /// variable of muster names the store.
    pub(super) fn finish(self, names_store: bool) -> Result<(Vec<String>, Connecting), CommandError> {
        let mut settings: Vec<String> = self.store(names_store)?;
        if let Some(strict) = self.0.get(STRICT) {
            settings.push(format!("--{STRICT}={}", strict.value));
        }
        if self.is_on("debug") == Some(true) {
            settings.push("-v".to_owned());
        }
        if let Some(given) = self.0.get("request-timeout") {
            return Err(given.refuse("muster has no such limit: it waits up to 5 s for an answer of etcd"));
        }
        Ok((settings, self.connecting()?))
    }

    /// Returns the options that name the store, if etcd servers are given.
    fn store(&self, names_store: bool) -> Result<Vec<String>, CommandError> {
        let Some(etcd) = self.etcd()? else { return self.api(names_store) };
        if names_store {
            let error = etcd.refuse("it names etcd servers, and `--store` or MUSTER_STORE names a store");
            return Err(error.hint("Name the cluster once."));
        }
        if let Some(tunnel) = self.0.get(TUNNEL) {
            let error = tunnel.refuse("muster reaches etcd servers directly, not through a tunnel");
            return Err(error.hint("`ssh -L` makes a tunnel to them."));
        }
        let servers = self.0.get("endpoint").map_or(endpoint::DEFAULT, |given| given.value.as_str());
        let prefix = self.0.get("etcd-key-prefix").map(|given| given.value.as_str());
        let store = endpoint::store(servers, prefix).map_err(|why| etcd.refuse(&why))?;
        let file = |(fleet, own): (&str, &str)| Some(format!("--{own}={}", self.0.get(fleet)?.value));
        Ok([format!("--store={store}")].into_iter().chain(FILES.into_iter().filter_map(file)).collect())
    }

    /// Returns the options that name the API of a controller, if one is given. Refuses options that are about etcd.
    fn api(&self, names_store: bool) -> Result<Vec<String>, CommandError> {
        let about_etcd = ["etcd-cafile", "etcd-certfile", "etcd-keyfile", "etcd-key-prefix"];
        let for_api = API_FILES.map(|(fleet, _)| fleet).into_iter().filter(|_| !self.0.contains_key("endpoint"));
        if let Some(given) = about_etcd.into_iter().chain(for_api).find_map(|name| self.0.get(name)) {
            let error = given.refuse("it is for etcd servers or an API, and none is given");
            return Err(error.hint("Name them with `--endpoint`."));
        }
        let Some(endpoint) = self.0.get("endpoint") else { return Ok(Vec::new()) };
        if names_store {
            let error = endpoint.refuse("it names an API, and `--store` or MUSTER_STORE names a store");
            return Err(error.hint("Name the cluster once."));
        }
        // The error does not quote the text: it may hold a password.
        match endpoint.value.parse() {
            Ok(Location::Api(_)) => {}
            Ok(_) => return Err(endpoint.refuse("it names neither etcd servers nor the API of a controller")),
            Err(error) => return Err(endpoint.refuse(&error.to_string())),
        }
        let file = |(fleet, own): (&str, &str)| Some(format!("--{own}={}", self.0.get(fleet)?.value));
        let api = format!("--api={}", endpoint.value);
        Ok([api].into_iter().chain(API_FILES.into_iter().filter_map(file)).collect())
    }

    /// Returns the option that says that the cluster is in etcd, if one does.
    fn etcd(&self) -> Result<Option<&Given>, CommandError> {
        let endpoint = self.0.get("endpoint");
        match self.0.get("driver") {
            Some(driver) if driver.value.eq_ignore_ascii_case("etcd") => Ok(Some(endpoint.unwrap_or(driver))),
            Some(driver) if !driver.value.eq_ignore_ascii_case("api") => {
                let error = driver.refuse(&format!("unrecognized driver {:?}", driver.value));
                Err(error.hint("fleet has the drivers API and etcd."))
            }
            Some(_) => Ok(None),
            None if self.is_on("experimental-api") == Some(false) => {
                Ok(endpoint.or_else(|| self.0.get("experimental-api")))
            }
            None => Ok(endpoint.filter(|given| endpoint::are_etcd(&given.value))),
        }
    }

    /// Returns how hosts are reached.
    fn connecting(&self) -> Result<Connecting, CommandError> {
        let text = |name: &str| self.0.get(name).map(|given| given.value.clone());
        let seconds = |given: &Given| {
            let seconds = given.value.parse::<f64>().ok().filter(|seconds| *seconds > 0.0 && *seconds <= 3600.0);
            seconds.map(Duration::from_secs_f64).ok_or_else(|| {
                given.refuse(&format!("invalid value {:?}: expected a number of seconds up to 3600", given.value))
            })
        };
        Ok(Connecting {
            overrides: Overrides {
                user: text("ssh-username"),
                jump: text(TUNNEL),
                known_hosts: text("known-hosts-file").map(|path| from_home(path.as_ref())),
            },
            timeout: self.0.get("ssh-timeout").map(seconds).transpose()?,
        })
    }
}

/// Returns the option of fleet with this name.
fn known(name: &str) -> Option<&'static str> {
    WITH_VALUE.into_iter().chain(FLAGS).find(|known| *known == name)
}
