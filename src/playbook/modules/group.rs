//! `group`: a group of the host.

use super::Arguments;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Makes or removes a group.
pub(super) static GROUP: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "group",
        &["ansible.builtin", "ansible.legacy"],
        "Makes or removes a group of the host.",
        &[
            Parameter::new("name", Kind::Text, "The name."),
            Parameter::new("state", Kind::Choice(&["absent", "present"]), "Whether it exists (default: present)."),
            Parameter::new("gid", Kind::Number, "The number."),
            Parameter::new("system", Kind::Flag, "Whether a new group is one of the system."),
            Parameter::new("non_unique", Kind::Flag, "Whether another group may have the number too."),
            Parameter::new("force", Kind::Flag, "Whether the primary group of a user may be removed."),
            Parameter::new("local", Kind::Flag, "Whether only /etc/group counts, and no directory service."),
            Parameter::new("gid_min", Kind::Number, "The lowest number for a new group."),
            Parameter::new("gid_max", Kind::Number, "The highest number for a new group."),
        ],
    )
    .needs(&[&["name"]]),
    text: include_str!("group.sh"),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let name = account_name(arguments, "name")?;
    let state = arguments.non_empty("state")?.unwrap_or_else(|| "present".to_owned());
    Ok(run.result("name", name).result("state", state.clone()).set("state", &state))
}

/// Returns the name of a user or a group. The files of accounts have colons and newlines between names.
pub(super) fn account_name(arguments: &Arguments<'_>, parameter: &str) -> Result<String, String> {
    let name = arguments.required(parameter)?;
    let is_wrong = name.starts_with('-') || name.contains([':', ',', '\n', '/']);
    if is_wrong { Err(format!("`{name}` cannot be the name of a user or a group")) } else { Ok(name) }
}
