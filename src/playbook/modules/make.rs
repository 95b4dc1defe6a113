//! `make`: runs make for targets that are not made yet.

use serde_json::Value;

use super::Arguments;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use super::spec::scalar_text;

/// Runs make.
pub(super) static MAKE: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "make",
        &["community.general", "ansible.builtin"],
        "Runs make for targets that are not made yet.",
        &[
            Parameter::new("chdir", Kind::Text, "The folder."),
            Parameter::new("target", Kind::Text, "The target (default: that of the file)."),
            Parameter::new("targets", Kind::List, "Several targets."),
            Parameter::new("file", Kind::Text, "The makefile."),
            Parameter::new("make", Kind::Text, "The program (default: gmake, or else make)."),
            Parameter::new("jobs", Kind::Number, "How many jobs run at once."),
            Parameter::new("params", Kind::Any, "Variables for make, as a map."),
        ],
    )
    .needs(&[&["chdir"]])
    .excludes(&[&["target", "targets"]]),
    text: include_str!("make.sh"),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let mut words = Vec::new();
    match arguments.value("params") {
        None => {}
        Some(Value::Object(params)) => {
            for (name, value) in params {
                let value = if value.is_null() { None } else { Some(scalar_text(value)) };
                words.push(match value {
                    None => name.clone(),
                    Some(Some(value)) => format!("{name}={value}"),
                    Some(None) => return Err(format!("`{name}` in `params` must be text")),
                });
            }
        }
        Some(_) => return Err("`params` must be a map".to_owned()),
    }
    let mut run = run.words("words", &words).paths(&["chdir"], arguments)?;
    for name in ["chdir", "file", "jobs", "params", "target", "targets"] {
        run = run.result(name, arguments.value(name).cloned().unwrap_or_default());
    }
    Ok(run)
}
