//! `dpkg_selections`: what dpkg is to do with a package, such as to hold it.

use super::Arguments;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Sets the selection of a package.
pub(super) static DPKG_SELECTIONS: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "dpkg_selections",
        &["ansible.builtin", "ansible.legacy"],
        "Sets what dpkg is to do with a package.",
        &[
            Parameter::new("name", Kind::Text, "The package."),
            Parameter::new("selection", Kind::Choice(&["install", "hold", "deinstall", "purge"]), "The selection."),
        ],
    )
    .needs(&[&["name"], &["selection"]]),
    text: include_str!("dpkg_selections.sh"),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let name = arguments.required("name")?;
    if name.starts_with('-') || name.contains(char::is_whitespace) {
        return Err(format!("`{name}` cannot be a package"));
    }
    Ok(run)
}
