//! `alternatives`: which program a general name stands for.

use super::Arguments;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Chooses a program.
pub(super) static ALTERNATIVES: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "alternatives",
        &["community.general", "ansible.builtin"],
        "Chooses the program that a general name such as `editor` stands for.",
        &[
            Parameter::new("name", Kind::Text, "The general name."),
            Parameter::new("path", Kind::Text, "The path of the program."),
            Parameter::new("link", Kind::Text, "The path of the general name, for a new one."),
            Parameter::new("priority", Kind::Number, "The priority of a program that is new (default: 50)."),
            Parameter::new(
                "state",
                Kind::Choice(&["absent", "auto", "present", "selected"]),
                "Whether the program is chosen, known, or neither (default: selected).",
            ),
        ],
    )
    .needs(&[&["name"], &["path"]]),
    text: include_str!("alternatives.sh"),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    for name in ["name", "path", "link"] {
        if arguments.text(name)?.is_some_and(|text| text.starts_with('-') || text.contains('\n')) {
            return Err(format!("`{name}` cannot begin with `-`"));
        }
    }
    run.paths(&["path"], arguments)
}
