//! `seport`: the types that SELinux gives to ports.

use super::Arguments;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Gives a type to ports.
pub(super) static SEPORT: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "seport",
        &["community.general", "ansible.builtin"],
        "Gives a type of SELinux to ports, or takes it away.",
        &[
            Parameter::new("ports", Kind::List, "The ports, or ranges such as 8000-8010."),
            Parameter::new("proto", Kind::Choice(&["tcp", "udp"]), "The protocol."),
            Parameter::new("setype", Kind::Text, "The type."),
            Parameter::new("state", Kind::Choice(&["absent", "present"]), "Whether it is there (default: present)."),
            Parameter::new("reload", Kind::Flag, "Whether the policy is loaded again (default: true)."),
            Parameter::new("local", Kind::Flag, "Whether only changes of the policy count."),
            Parameter::new("ignore_selinux_state", Kind::Flag, "Whether SELinux may be off."),
        ],
    )
    .needs(&[&["ports"], &["proto"], &["setype"]]),
    text: include_str!("seport.sh"),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let ports = arguments.list("ports")?.unwrap_or_default();
    let is_port = |text: &str| text.parse::<u16>().is_ok();
    let is_range = |text: &str| text.split_once('-').map_or_else(|| is_port(text), |(a, b)| is_port(a) && is_port(b));
    if let Some(port) = ports.iter().find(|port| !is_range(port)) {
        return Err(format!("`{port}` is neither a port nor a range of ports"));
    }
    let kind = arguments.required("setype")?;
    if !kind.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(format!("`{kind}` cannot be a type of SELinux"));
    }
    let state = arguments.non_empty("state")?.unwrap_or_else(|| "present".to_owned());
    let run = run.echo(&["proto", "setype"], arguments).result("ports", ports).result("state", state.clone());
    Ok(run.set("state", &state))
}
