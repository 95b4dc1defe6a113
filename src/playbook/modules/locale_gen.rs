//! `locale_gen`: the locales of Debian and Ubuntu.

use super::Arguments;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Makes or removes locales.
pub(super) static LOCALE_GEN: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "locale_gen",
        &["community.general", "ansible.builtin"],
        "Makes or removes locales of Debian and Ubuntu.",
        &[
            Parameter::new("name", Kind::List, "The locales: en_US.UTF-8."),
            Parameter::new("state", Kind::Choice(&["absent", "present"]), "Whether they are there (default: present)."),
        ],
    )
    .needs(&[&["name"]]),
    text: include_str!("locale_gen.sh"),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let names = arguments.list("name")?.unwrap_or_default();
    let is_wrong = |name: &&String| !name.chars().all(|sign| sign.is_ascii_alphanumeric() || "_.@-".contains(sign));
    match names.iter().find(is_wrong) {
        Some(name) => Err(format!("`{name}` cannot be a locale")),
        None => Ok(run.result("name", names)),
    }
}
