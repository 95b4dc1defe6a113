//! `sysctl`: a parameter of the kernel.

use super::Arguments;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Sets a parameter of the kernel.
pub(super) static SYSCTL: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "sysctl",
        &["ansible.posix", "ansible.builtin"],
        "Sets a parameter of the kernel, in a file and at once.",
        &[
            Parameter::new("name", Kind::Text, "The parameter.").or(&["key"]),
            Parameter::new("value", Kind::Text, "The value.").or(&["val"]),
            Parameter::new(
                "state",
                Kind::Choice(&["absent", "present"]),
                "Whether the file has it (default: present).",
            ),
            Parameter::new("sysctl_file", Kind::Text, "The file (default: /etc/sysctl.conf)."),
            Parameter::new("sysctl_set", Kind::Flag, "Whether the running kernel is checked and set."),
            Parameter::new("reload", Kind::Flag, "Whether the kernel gets a file that changed (default: true)."),
            Parameter::new("ignoreerrors", Kind::Flag, "Whether unknown parameters do not count."),
        ],
    )
    .needs(&[&["name"]]),
    text: include_str!("sysctl.sh"),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let name = arguments.required("name")?;
    if name.contains(['=', '\n', ' ']) || name.starts_with(['-', '#', ';']) {
        return Err(format!("`{name}` cannot be the name of a parameter"));
    }
    let value = arguments.text("value")?.unwrap_or_default();
    if value.is_empty() && arguments.text("state")?.as_deref() != Some("absent") {
        return Err("value cannot be None".to_owned());
    }
    let value = match value.trim().to_lowercase().as_str() {
        "y" | "yes" | "on" | "true" | "t" => "1".to_owned(),
        "n" | "no" | "off" | "false" | "f" => "0".to_owned(),
        _ => value.split_whitespace().collect::<Vec<_>>().join(" "),
    };
    run.set("value", &value).paths(&["sysctl_file"], arguments)
}
