//! `capabilities`: what a program may do without root.

use super::Arguments;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Gives a capability to a program.
pub(super) static CAPABILITIES: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "capabilities",
        &["community.general", "ansible.builtin"],
        "Gives a capability to a program, or takes it away.",
        &[
            Parameter::new("path", Kind::Text, "The program.").or(&["key"]),
            Parameter::new("capability", Kind::Text, "The capability with flags, such as `cap_net_raw+ep`.")
                .or(&["cap"]),
            Parameter::new("state", Kind::Choice(&["absent", "present"]), "Whether it is there (default: present)."),
        ],
    )
    .needs(&[&["path"], &["capability"]]),
    text: include_str!("capabilities.sh"),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let capability = arguments.required("capability")?.trim().to_lowercase();
    let state = arguments.non_empty("state")?.unwrap_or_else(|| "present".to_owned());
    let path = arguments.required("path")?.trim().to_owned();
    let is_known = |c: char| c.is_ascii_lowercase() || "_=+-,".contains(c) || c.is_ascii_digit();
    let end = capability.find(['=', '-', '+']);
    if !capability.chars().all(is_known) || end.is_none() && state == "present" {
        return Err("Couldn't find operator (one of: ['=', '-', '+'])".to_owned());
    }
    if path.starts_with('-') {
        return Err("`path` cannot begin with a dash".to_owned());
    }
    let name = capability.get(..end.unwrap_or(capability.len())).unwrap_or_default();
    let run = run.set("path", &path).set("wanted", &capability).set("name", name).result("state", state.clone());
    Ok(run.set("state", &state))
}
