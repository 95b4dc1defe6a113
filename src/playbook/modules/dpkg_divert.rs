//! `dpkg_divert`: a diversion of dpkg, which gives a file of a package another name.

use serde_json::Value;
use serde_json::json;

use super::Arguments;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use crate::inventory::Vars;
use crate::playbook::diff;
use crate::playbook::host_script::HostReport;
use crate::playbook::outcome::Outcome;

/// Adds or removes a diversion.
pub(super) static DPKG_DIVERT: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "dpkg_divert",
        &["community.general", "ansible.builtin"],
        "Adds or removes a diversion of dpkg.",
        &[
            Parameter::new("path", Kind::Text, "The file of the package.").or(&["name"]),
            Parameter::new("divert", Kind::Text, "The other name of the file (default: PATH.distrib)."),
            Parameter::new("holder", Kind::Text, "The package whose own file keeps the name (default: LOCAL)."),
            Parameter::new("rename", Kind::Flag, "Whether the file is moved too."),
            Parameter::new("force", Kind::Flag, "Whether a file may be replaced by the one that is moved."),
            Parameter::new("state", Kind::Choice(&["absent", "present"]), "Whether it is there (default: present)."),
        ],
    )
    .needs(&[&["path"]]),
    text: include_str!("dpkg_divert.sh"),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let state = arguments.non_empty("state")?.unwrap_or_else(|| "present".to_owned());
    for name in ["path", "divert"] {
        if arguments.non_empty(name)?.is_some_and(|path| !path.starts_with('/')) {
            return Err(format!("`{name}` must be an absolute path"));
        }
    }
    if arguments.non_empty("holder")?.is_some_and(|holder| holder.starts_with('-')) {
        return Err("`holder` must be the name of a package".to_owned());
    }
    Ok(run.set("state", &state).read(read))
}

/// Adds what the diversion is to the result.
fn read(report: &HostReport, outcome: &mut Outcome) {
    let side = |when: &str| {
        let text = |name: &str| report.get(&format!("diff_{when}_{name}")).filter(|text| !text.is_empty());
        let value = |name: &str| text(name).map_or(Value::Null, Value::from);
        let names = ["divert", "holder", "path", "state"];
        names.into_iter().map(|name| (name.to_owned(), value(name))).collect::<Vars>()
    };
    let (before, after) = (side("before"), side("after"));
    outcome.detail.insert("diversion".to_owned(), json!(after));
    if report.is("diff_wanted") {
        outcome.diff = diff::of_attributes(&[], (before, after));
    }
}
