//! `hostname`: the name of the host.

use super::Arguments;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Sets the name of the host.
pub(super) static HOSTNAME: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "hostname",
        &["ansible.builtin", "ansible.legacy"],
        "Sets the name of the host, now and for every boot.",
        &[
            Parameter::new("name", Kind::Text, "The name."),
            Parameter::new(
                "use",
                Kind::Choice(&["alpine", "debian", "generic", "redhat", "sles", "systemd"]),
                "No effect: /etc/hostname and the kernel are set on every host.",
            ),
        ],
    )
    .needs(&[&["name"]]),
    text: include_str!("hostname.sh"),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let name = arguments.required("name")?;
    if name.len() > 64 {
        return Err("name cannot be longer than 64 characters on systemd servers, try a shorter name".to_owned());
    }
    if !name.chars().all(|sign| sign.is_ascii_alphanumeric() || "-._".contains(sign)) || name.starts_with(['-', '.']) {
        return Err(format!("`{name}` cannot be the name of a host"));
    }
    let (short, domain) = name.split_once('.').unwrap_or((&name, ""));
    let facts = serde_json::json!({"ansible_hostname": short, "ansible_nodename": name, "ansible_domain": domain});
    Ok(run.result("name", name.clone()).result("ansible_facts", facts))
}
