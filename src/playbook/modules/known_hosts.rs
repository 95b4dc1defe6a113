//! `known_hosts`: the key of a host in a known_hosts file.

use super::Arguments;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Adds or removes a key.
pub(super) static KNOWN_HOSTS: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "known_hosts",
        &["ansible.builtin", "ansible.legacy"],
        "Adds or removes the key of a host in a known_hosts file.",
        &[
            Parameter::new("name", Kind::Text, "The host.").or(&["host"]),
            Parameter::new("key", Kind::Text, "The line: the host and its key."),
            Parameter::new("state", Kind::Choice(&["absent", "present"]), "Whether it is there (default: present)."),
            Parameter::new("path", Kind::Text, "The file (default: ~/.ssh/known_hosts)."),
            Parameter::new("hash_host", Kind::Flag, "Whether the name of the host is hashed."),
        ],
    )
    .needs(&[&["name"]]),
    text: include_str!("known_hosts.sh"),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let name = arguments.required("name")?.to_lowercase();
    let key = arguments.text("key")?.unwrap_or_default().trim().to_owned();
    if name.contains(',') {
        return Err("Comma separated list of names is not supported. Please pass a single name to lookup in the known_hosts file.".to_owned());
    }
    if name.starts_with('-') || key.contains('\n') {
        return Err("`name` cannot be an option, and `key` must be one line".to_owned());
    }
    if key.is_empty() && arguments.text("state")?.as_deref() != Some("absent") {
        return Err("No key specified when adding a host".to_owned());
    }
    let words = key.split_whitespace().filter(|word| !word.starts_with('@')).count();
    if !key.is_empty() && words < 3 {
        return Err(format!("`key` must be a line of a known_hosts file, not `{key}`"));
    }
    let run = run.set("name", &name).set("key", &key).echo(&["name", "key", "hash_host"], arguments);
    run.paths(&["path"], arguments)
}
