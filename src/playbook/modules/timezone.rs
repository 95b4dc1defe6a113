//! `timezone`: the time zone of the host.

use super::Arguments;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Sets the time zone.
pub(super) static TIMEZONE: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "timezone",
        &["community.general", "ansible.builtin"],
        "Sets the time zone of the host.",
        &[
            Parameter::new("name", Kind::Text, "The time zone: Europe/Berlin."),
            Parameter::new("hwclock", Kind::Choice(&["UTC", "local"]), "The time of the hardware clock.").or(&["rtc"]),
        ],
    ),
    text: include_str!("timezone.sh"),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let name = arguments.text("name")?.unwrap_or_default();
    if name.is_empty() && arguments.non_empty("hwclock")?.is_none() {
        return Err("one of the following is required: hwclock, name".to_owned());
    }
    if name.starts_with('/') || name.split('/').any(|part| part == "..") || name.contains('\n') {
        return Err(format!("`{name}` cannot be a time zone"));
    }
    Ok(run)
}
