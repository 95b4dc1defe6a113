//! `debug`: prints a message or a variable.

use serde_json::Value;

use super::Arguments;
use super::Module;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use crate::inventory::Vars;
use crate::playbook::action::Action;
use crate::playbook::outcome::Outcome;
use crate::playbook::outcome::Shown;

/// Prints something.
pub(super) struct Debug;

static SPEC: Spec = Spec::new(
    "debug",
    &["ansible.builtin"],
    "Prints a message or a variable.",
    &[
        Parameter::new("msg", Kind::Any, "The message (default: Hello world!)."),
        Parameter::new("var", Kind::Any, "The variable or expression to print."),
        Parameter::new("verbosity", Kind::Number, "Prints nothing below this level of -v (default: 0)."),
    ],
)
.excludes(&[&["msg", "var"]]);

impl Module for Debug {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        if arguments.number("verbosity")?.unwrap_or(0) > 0 {
            let detail = Vars::from_iter([("skipped_reason".to_owned(), "Verbosity threshold not met.".into())]);
            return Ok(Action::done(Outcome { detail, ..Outcome::skipped() }));
        }
        let (name, value) = match arguments.value("var") {
            Some(Value::String(expression)) => (expression.clone(), value_of(arguments, expression)),
            Some(value) => (value.to_string(), value.clone()),
            None => {
                // As in Ansible, a message may be null.
                let message = arguments.args.get("msg").cloned();
                ("msg".to_owned(), message.unwrap_or_else(|| "Hello world!".into()))
            }
        };
        let outcome = Outcome::done(false, Vars::from_iter([(name, value)]));
        Ok(Action::done(Outcome { shown: Shown::Message, ..outcome }))
    }
}

/// Returns the value of an expression, or what Ansible prints for one that cannot be evaluated.
fn value_of(arguments: &Arguments<'_>, expression: &str) -> Value {
    let error = |why: String| format!("<< error 1 - {} >>", why.replace('`', "'")).into();
    arguments.scope.expression(expression).unwrap_or_else(error)
}
