//! `debconf`: the answer to a question that a Debian package asks when it is installed.

use super::Arguments;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Answers a question.
pub(super) static DEBCONF: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "debconf",
        &["ansible.builtin", "ansible.legacy"],
        "Answers a question that a Debian package asks when it is installed.",
        &[
            Parameter::new("name", Kind::Text, "The package.").or(&["pkg"]),
            Parameter::new("question", Kind::Text, "The question. Without one, the answers are listed.")
                .or(&["selection", "setting"]),
            Parameter::new(
                "vtype",
                Kind::Choice(&[
                    "boolean",
                    "error",
                    "multiselect",
                    "note",
                    "password",
                    "seen",
                    "select",
                    "string",
                    "text",
                    "title",
                ]),
                "The type of the answer.",
            ),
            Parameter::new("value", Kind::Any, "The answer.").or(&["answer"]),
            Parameter::new("unseen", Kind::Flag, "Whether the question is asked again."),
        ],
    )
    .needs(&[&["name"]]),
    text: include_str!("debconf.sh"),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let vtype = arguments.text("vtype")?.unwrap_or_default();
    let value = match arguments.list("value")? {
        Some(items) if arguments.value("value").is_some_and(serde_json::Value::is_array) => items.join(", "),
        _ => arguments.text("value")?.unwrap_or_default(),
    };
    let value = if vtype == "boolean" { value.to_lowercase() } else { value };
    let question = arguments.text("question")?.unwrap_or_default();
    let name = arguments.required("name")?;
    if [&name, &question, &value].iter().any(|text| text.contains('\n')) {
        return Err("`name`, `question` and `value` cannot have a newline".to_owned());
    }
    if !question.is_empty() && (vtype.is_empty() || arguments.value("value").is_none()) {
        return Err("when supplying a question you must supply a valid vtype and value".to_owned());
    }
    Ok(run.set("value", &value))
}
