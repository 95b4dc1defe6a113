//! `seboolean` and `selinux`: booleans and the mode of SELinux.

use super::Arguments;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::script_module::as_given;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Sets a boolean.
pub(super) static SEBOOLEAN: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "seboolean",
        &["ansible.posix", "ansible.builtin"],
        "Sets a boolean of SELinux.",
        &[
            Parameter::new("name", Kind::Text, "The boolean."),
            Parameter::new("state", Kind::Flag, "The value."),
            Parameter::new("persistent", Kind::Flag, "Whether it is kept for the next boot."),
            Parameter::new("ignore_selinux_state", Kind::Flag, "No effect: SELinux must be on."),
        ],
    )
    .needs(&[&["name"], &["state"]]),
    text: include_str!("seboolean.sh"),
    prepare: boolean,
};

/// Sets the mode.
pub(super) static SELINUX: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "selinux",
        &["ansible.posix", "ansible.builtin"],
        "Sets the mode of SELinux, now and for every boot.",
        &[
            Parameter::new("state", Kind::Choice(&["disabled", "enforcing", "permissive"]), "The mode."),
            Parameter::new("policy", Kind::Text, "The policy: targeted."),
            Parameter::new("configfile", Kind::Text, "The file (default: /etc/selinux/config).").or(&["conf", "file"]),
            Parameter::new("update_kernel_param", Kind::Flag, "No effect: the boot loader stays as it is."),
        ],
    )
    .needs(&[&["state"]]),
    text: include_str!("selinux.sh"),
    prepare: as_given,
};

fn boolean(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let name = arguments.required("name")?;
    let persistent = arguments.flag("persistent")?.unwrap_or(false);
    let state = arguments.flag("state")?.unwrap_or(false);
    if !name.chars().all(|sign| sign.is_ascii_alphanumeric() || sign == '_') {
        return Err(format!("`{name}` cannot be a boolean of SELinux"));
    }
    Ok(run.result("name", name).result("persistent", persistent).result("state", state))
}
