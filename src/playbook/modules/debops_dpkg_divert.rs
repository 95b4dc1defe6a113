//! `debops.debops.dpkg_divert`: a diversion of dpkg, as the module of DebOps makes it.
//!
//! It has another default name for the diverted file than the module of community.general, moves the file unless it is told
//! not to, and can remove the file in its place.

use super::Arguments;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Adds or removes a diversion.
pub(super) static DEBOPS_DPKG_DIVERT: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "debops.debops.dpkg_divert",
        &[],
        "Adds or removes a diversion of dpkg, as DebOps does.",
        &[
            Parameter::new("path", Kind::Text, "The file of the package.").or(&["name"]),
            Parameter::new("state", Kind::Choice(&["absent", "present"]), "Whether it is there (default: present)."),
            Parameter::new("package", Kind::Text, "The package whose own file keeps the name (default: LOCAL)."),
            Parameter::new(
                "divert",
                Kind::Text,
                "The other name of the file (default: PATH.dpkg-divert, or PATH.distrib for a package).",
            ),
            Parameter::new("rename", Kind::Flag, "Whether the file is moved too (default: true)."),
            Parameter::new("delete", Kind::Flag, "Whether the file in its place is removed first."),
            Parameter::new("force", Kind::Flag, "Whether a diversion with another name or package is replaced."),
        ],
    )
    .needs(&[&["path"]]),
    text: include_str!("debops_dpkg_divert.sh"),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let state = arguments.non_empty("state")?.unwrap_or_else(|| "present".to_owned());
    for name in ["path", "divert", "package"] {
        if arguments.non_empty(name)?.is_some_and(|text| text.starts_with('-')) {
            return Err(format!("`{name}` cannot begin with a dash"));
        }
    }
    run.set("state", &state).paths(&["path", "divert"], arguments)
}
