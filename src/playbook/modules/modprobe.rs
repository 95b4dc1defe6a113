//! `modprobe`: a module of the kernel.

use super::Arguments;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Loads or unloads a module.
pub(super) static MODPROBE: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "modprobe",
        &["community.general", "ansible.builtin"],
        "Loads or unloads a module of the kernel.",
        &[
            Parameter::new("name", Kind::Text, "The module."),
            Parameter::new("state", Kind::Choice(&["absent", "present"]), "Whether it is loaded (default: present)."),
            Parameter::new("params", Kind::Text, "The parameters of the module."),
            Parameter::new(
                "persistent",
                Kind::Choice(&["absent", "disabled", "present"]),
                "Whether it is loaded at every boot (default: disabled, which leaves that as it is).",
            ),
        ],
    )
    .needs(&[&["name"]]),
    text: include_str!("modprobe.sh"),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let name = arguments.required("name")?;
    if !name.chars().all(|sign| sign.is_ascii_alphanumeric() || "_-".contains(sign)) || name.starts_with('-') {
        return Err(format!("`{name}` cannot be the name of a module"));
    }
    let params = arguments.text("params")?.unwrap_or_default();
    let words = shlex::split(&params).filter(|_| !params.contains('\n'));
    Ok(run.words("parameters", &words.ok_or("the quotes in `params` do not match")?))
}
