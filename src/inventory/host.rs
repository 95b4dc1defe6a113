//! A host of the inventory: its variables, and how SSH reaches it.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::InventoryError;
use super::Vars;
use super::ssh_arguments::SshArguments;
use crate::core::model::Address;
use crate::core::sanitize;
use crate::core::similar::similar;
use crate::remote::Connection;
use crate::remote::Password;
use crate::remote::Target;
use crate::remote::ssh_config::is_kept;
use crate::remote::ssh_config::validate;
use crate::vault::ClosedValue;

/// A computer that SSH reaches.
#[derive(Debug, Clone, PartialEq)]
pub struct Host {
    /// Its name in the inventory.
    pub name: String,
    /// All groups of the host, direct or not, except `all`; sorted.
    pub groups: Vec<String>,
    /// The merged variables. The layers of templates share them.
    pub vars: Arc<Vars>,
    /// The connection variables that count if the host has none. No template sees them.
    pub defaults: Arc<Vars>,
    /// Why a template or a closed value in a connection variable cannot be filled in, by the name of the variable.
    pub unfilled: BTreeMap<String, String>,
}

/// Connection variables that muster reads, or that have no effect on what it does.
const READ: [&str; 21] = [
    "ansible_host",
    "ansible_ssh_host",
    "ansible_port",
    "ansible_ssh_port",
    "ansible_user",
    "ansible_ssh_user",
    PASSWORDS[0],
    PASSWORDS[1],
    PASSWORDS[2],
    "ansible_ssh_private_key_file",
    "ansible_private_key_file",
    "ansible_ssh_args",
    "ansible_ssh_common_args",
    "ansible_ssh_extra_args",
    "ansible_connection",
    "ansible_timeout",
    "ansible_ssh_timeout",
    "ansible_become",
    "ansible_python_interpreter",
    "ansible_shell_type",
    "ansible_ssh_pipelining",
];

/// Those of them that have no effect on how SSH reaches a host.
const NOT_FOR_CONNECTING: [&str; 4] =
    ["ansible_become", "ansible_python_interpreter", "ansible_shell_type", "ansible_ssh_pipelining"];

/// The variables that hold the password of the login user.
const PASSWORDS: [&str; 3] = ["ansible_password", "ansible_ssh_pass", "ansible_ssh_password"];

/// The variable with the metadata of the machine.
const METADATA: &str = "muster_metadata";
/// The variable with the command that makes sure that the machine is off.
const FENCE_COMMAND: &str = "muster_fence_command";

/// Variables that hold ssh(1)'s arguments, the weakest first.
const ARGS: [&str; 3] = ["ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args"];

/// The names of the machine on which muster runs. It need not stand in the inventory.
const LOCAL: [&str; 2] = ["localhost", "127.0.0.1"];

impl Host {
    /// Reports whether a name is that of the machine on which muster runs.
    pub fn is_local(name: &str) -> bool {
        LOCAL.contains(&name)
    }

    /// Makes a host that is not in the inventory: another name than that of this machine is an address.
    pub fn implicit(name: &str) -> Self {
        let vars = if Self::is_local(name) {
            Vars::from_iter([("ansible_connection".to_owned(), "local".into())])
        } else {
            Vars::new()
        };
        Self { vars: Arc::new(vars), ..Self::named(name) }
    }

    /// Makes a host without groups and variables.
    pub(super) fn named(name: &str) -> Self {
        let (name, groups, unfilled) = (name.to_owned(), Vec::new(), BTreeMap::new());
        Self { name, groups, vars: Arc::default(), defaults: Arc::default(), unfilled }
    }

    /// Returns how SSH reaches the host.
    pub fn target(&self) -> Result<Target, InventoryError> {
        let arguments = self.arguments()?;
        let port = self.port()?.or(arguments.port);
        let host = self.text(&["ansible_host", "ansible_ssh_host"])?.unwrap_or_else(|| self.name.clone());
        let user = self.text(&["ansible_user", "ansible_ssh_user"])?.or(arguments.user);
        let address = Address { user, host, port };
        // The same rules for an address as everywhere else.
        let address: Address =
            address.to_string().parse().map_err(|error| self.bad("ansible_host", format!("{error}")))?;
        validate::host(&address.host).map_err(|why| self.bad("ansible_host", why))?;
        address.user.as_deref().map_or(Ok(()), validate::user).map_err(|why| self.bad("ansible_user", why))?;
        let key = self.text(&["ansible_ssh_private_key_file", "ansible_private_key_file"])?;
        let keys = key.map(PathBuf::from).into_iter().chain(arguments.identity_files);
        let absolute = |path: &Path| absolute(path).map_err(|why| self.bad("ansible_ssh_private_key_file", why));
        let identity_files = keys.map(|key| absolute(&key)).collect::<Result<_, _>>()?;
        let command = arguments.command.map(|command| format!("ProxyCommand={command}"));
        let timeout = self.text(&["ansible_timeout", "ansible_ssh_timeout"])?;
        let timeout = timeout.map(|seconds| format!("ConnectTimeout={seconds}"));
        let options = arguments.options.into_iter().chain(command).chain(timeout).collect();
        let connection = match self.text(&["ansible_connection"])?.as_deref() {
            None | Some("ssh" | "smart" | "paramiko" | "paramiko_ssh" | "ansible.builtin.ssh") => Connection::Ssh,
            Some("local" | "ansible.builtin.local") => Connection::Local,
            Some(other) => Connection::Unsupported(other.to_owned()),
        };
        let password = self.text(&PASSWORDS)?.map(Password::new).transpose();
        let password = password.map_err(|why| self.bad(PASSWORDS[0], why))?;
        let (name, jump) = (self.name.clone(), arguments.jump);
        let config_file = arguments.config_file.map(|file| absolute(&file)).transpose()?;
        let (forwards_agent, through) = (false, None);
        Ok(Target {
            name,
            address,
            identity_files,
            password,
            jump,
            options,
            config_file,
            connection,
            forwards_agent,
            through,
        })
    }

    /// Returns how SSH reaches the host once it is a machine of a cluster, which keeps only some options of ssh(1).
    pub fn machine_target(&self) -> Result<Target, InventoryError> {
        if let Some(command) = self.arguments()?.command {
            let what = format!("the cluster does not keep the proxy command `{command}`");
            let name = ARGS.into_iter().find(|name| self.text(&[name]).is_ok_and(|text| text.is_some()));
            return Err(self.bad(name.unwrap_or_default(), format!("{what}; use -J, or write it in ssh_config")));
        }
        let target = self.target()?;
        let connection = match target.connection {
            Connection::Local => Connection::Ssh,
            other => other,
        };
        let options = target.options.into_iter().filter(|option| is_kept(option)).collect();
        Ok(Target { options, config_file: None, password: None, connection, ..target })
    }

    /// Returns a sentence for each option of ssh(1) that the cluster does not keep when the host joins.
    pub fn machine_notes(&self) -> Vec<String> {
        let SshArguments { options, config_file, .. } = self.arguments().unwrap_or_default();
        let options = options.into_iter().filter(|option| !is_kept(option)).map(|option| format!("-o {option}"));
        let lost = options.chain(config_file.map(|file| format!("-F {}", file.display())));
        let mut notes: Vec<String> =
            lost.map(|lost| format!("the cluster does not keep `{lost}`: write it in ssh_config.")).collect();
        if PASSWORDS.iter().any(|name| self.vars.contains_key(*name)) {
            notes.push("the cluster keeps no password: it logs in with keys, certificates or an agent.".to_owned());
        }
        notes
    }

    /// Returns the names of the variables that say how a host is reached and what it is.
    pub fn connection_variables() -> impl Iterator<Item = &'static str> {
        let read = READ.into_iter().filter(|name| !NOT_FOR_CONNECTING.contains(name));
        read.chain([METADATA, FENCE_COMMAND])
    }

    fn arguments(&self) -> Result<SshArguments, InventoryError> {
        let mut arguments = SshArguments::default();
        for name in ARGS {
            if let Some(text) = self.text(&[name])? {
                arguments.read(&text).map_err(|detail| self.bad(name, detail))?;
            }
        }
        Ok(arguments)
    }

    /// Returns the metadata that units select the machine by: the map in the variable `muster_metadata`.
    pub fn metadata(&self) -> Result<BTreeMap<String, String>, InventoryError> {
        let name = METADATA;
        self.vars.get(name).map_or(Ok(()), |value| self.refuse_unfilled(name, value))?;
        let entries = match self.vars.get(name) {
            None | Some(Value::Null) => return Ok(BTreeMap::new()),
            Some(Value::Object(entries)) => entries,
            Some(_) => return Err(self.bad(name, "it must be a map of words, such as {role: web}".to_owned())),
        };
        let entries = entries.iter().map(|(key, value)| {
            self.refuse_unfilled(name, value)?;
            match value {
                Value::String(text) => Ok((key.clone(), text.clone())),
                Value::Bool(_) | Value::Number(_) => Ok((key.clone(), value.to_string())),
                _ => Err(self.bad(name, format!("`{key}` must be a word"))),
            }
        });
        entries.collect()
    }

    /// Returns the command that makes sure that the machine is off: the variable `muster_fence_command`.
    pub fn fence_command(&self) -> Result<Option<String>, InventoryError> {
        let name = FENCE_COMMAND;
        let command = self.text(&[name])?.filter(|command| !command.trim().is_empty());
        if command.as_ref().is_some_and(|command| command.contains('\0')) {
            return Err(self.bad(name, "it contains a NUL byte".to_owned()));
        }
        Ok(command)
    }

    /// Returns one sentence for each connection variable that muster ignores. No sentence names the host.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for (name, value) in &*self.vars {
            let note = match (name.as_str(), value.as_str()) {
                (name, _) if misspelt(name).is_some() => {
                    let meant = misspelt(name).unwrap_or_default();
                    notes.push(format!("`{name}` is ignored: did you mean `{meant}`?"));
                    continue;
                }
                (name, _) if misspelt_connection(name).is_some() => {
                    let meant = misspelt_connection(name).unwrap_or_default();
                    notes.push(format!("`{name}` is ignored: did you mean `{meant}`?"));
                    continue;
                }
                (name, _) if name.starts_with("ansible_ssh_") && !READ.contains(&name) => "muster does not know it",
                _ => continue,
            };
            notes.push(format!("`{name}` is ignored: {note}."));
        }
        notes.extend(self.ignored_arguments());
        notes
    }

    fn ignored_arguments(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for name in ARGS {
            let mut arguments = SshArguments::default();
            if self.text(&[name]).ok().flatten().is_some_and(|text| arguments.read(&text).is_ok()) {
                let ignored = arguments.ignored.iter();
                notes.extend(ignored.map(|word| format!("`{word}` in `{name}` is ignored.")));
            }
        }
        notes
    }

    fn bad(&self, name: &str, detail: String) -> InventoryError {
        InventoryError::Variable { host: self.name.clone(), name: name.to_owned(), detail }
    }

    /// Refuses a template or a closed value: it stands here only if it could not be filled in.
    fn refuse_unfilled(&self, name: &str, value: &Value) -> Result<(), InventoryError> {
        let why = self.unfilled.get(name);
        let template = value.as_str().filter(|text| text.contains("{{") || text.contains("{%"));
        let detail = if let Some(text) = template {
            let text = sanitize::truncate(text, sanitize::MESSAGE_LIMIT);
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            format!("the template `{text}` cannot be filled in{why}")
        } else if ClosedValue::of(value).is_some() {
            why.map_or_else(|| "it is encrypted with Ansible Vault".to_owned(), Clone::clone)
        } else {
            return Ok(());
        };
        Err(self.bad(name, detail))
    }

    /// Returns the first of these variables that is set, as text.
    fn text<'h>(&'h self, names: &[&'h str]) -> Result<Option<String>, InventoryError> {
        let set_in = |vars: &'h Vars| names.iter().find_map(|name| Some((*name, vars.get(*name)?)));
        let set = set_in(&self.vars).or_else(|| set_in(&self.defaults));
        if let Some((name, value)) = set {
            self.refuse_unfilled(name, value)?;
        }
        match set {
            None | Some((_, Value::Null)) => Ok(None),
            Some((_, Value::String(text))) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
            Some((_, Value::Number(number))) => Ok(Some(number.to_string())),
            Some((name, _)) => Err(self.bad(name, "it must be text".to_owned())),
        }
    }

    fn port(&self) -> Result<Option<u16>, InventoryError> {
        let names = ["ansible_port", "ansible_ssh_port"];
        let Some(text) = self.text(&names)? else { return Ok(None) };
        let port = text.parse().ok().filter(|port| *port != 0);
        port.map(Some).ok_or_else(|| self.bad("ansible_port", format!("`{text}` is not a port from 1 to 65535")))
    }
}

/// Returns the variable of muster that a name is probably meant to be.
fn misspelt(name: &str) -> Option<&'static str> {
    let ours = [METADATA, FENCE_COMMAND];
    let end = |name: &'static str| name.strip_prefix("muster_").unwrap_or(name);
    let given = name.strip_prefix("muster_").filter(|_| !ours.contains(&name))?;
    let meant = similar(given, ours.map(end)).into_iter().next()?;
    ours.into_iter().find(|name| end(name) == meant)
}

/// Returns the connection variable that a name is certainly meant to be: a letter is wrong, missing, doubled or at the place
/// of its neighbour, in a long name also two.
fn misspelt_connection(name: &str) -> Option<&'static str> {
    let given = name.strip_prefix("ansible_").filter(|_| !READ.contains(&name))?;
    let allowed = if given.len() < 8 { 1 } else { 2 };
    let distance = |known: &&&'static str| strsim::damerau_levenshtein(name, known);
    let closest = READ.iter().filter(|known| distance(known) <= allowed).min_by_key(distance)?;
    Some(closest)
}

/// Returns an absolute path, which means the same wherever muster runs later. `~` is the user's home, and a relative path
/// is relative to the current directory, as for Ansible and ssh(1). The home of another user is not looked up.
fn absolute(path: &Path) -> Result<PathBuf, String> {
    let text = path.to_string_lossy();
    if text.starts_with('~') && text != "~" && !text.starts_with("~/") {
        return Err(format!("`{text}` is in the home of another user: write the absolute path"));
    }
    let path = match (path.strip_prefix("~"), std::env::home_dir()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    };
    Ok(std::path::absolute(&path).unwrap_or(path))
}
