//! `assert`: fails unless all of its expressions hold.

use serde_json::Value;

use super::Arguments;
use super::Module;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use super::spec::scalar_text;
use crate::inventory::Vars;
use crate::playbook::action::Action;
use crate::playbook::outcome::Outcome;
use crate::playbook::outcome::Shown;

/// Checks expressions.
pub(super) struct Assert;

static SPEC: Spec = Spec::new(
    "assert",
    &["ansible.builtin"],
    "Fails unless all of its expressions hold.",
    &[
        Parameter::new("that", Kind::Any, "The expressions: one, or a list."),
        Parameter::new("fail_msg", Kind::Any, "The message if one does not hold.").or(&["msg"]),
        Parameter::new("success_msg", Kind::Any, "The message if all hold."),
        Parameter::new("quiet", Kind::Flag, "Whether nothing is printed if all hold (default: false)."),
    ],
)
.needs(&[&["that"]]);

impl Module for Assert {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        let expressions = match arguments.value("that") {
            Some(Value::Array(items)) => items.clone(),
            Some(one) => vec![one.clone()],
            None => Vec::new(),
        };
        for name in ["fail_msg", "success_msg"] {
            if arguments.args.get(name).is_some_and(|message| !is_message(message)) {
                return Err(format!("`{name}` must be a text, or a list of texts"));
            }
        }
        let shown = if arguments.flag("quiet")?.unwrap_or(false) { Shown::IfFailed } else { Shown::Always };
        for expression in &expressions {
            let text = scalar_text(expression).ok_or("`that` must be an expression, or a list of expressions")?;
            if !arguments.scope.holds(&text)? {
                let message = message(arguments, "fail_msg", "Assertion failed");
                let detail = [("assertion", expression.clone()), ("evaluated_to", false.into()), ("msg", message)];
                let detail = detail.map(|(name, value)| (name.to_owned(), value));
                let outcome = Outcome { detail: Vars::from_iter(detail), shown, ..Outcome::failed("") };
                return Ok(Action::done(outcome));
            }
        }
        let detail = Vars::from_iter([("msg".to_owned(), message(arguments, "success_msg", "All assertions passed"))]);
        Ok(Action::done(Outcome { shown, ..Outcome::done(false, detail) }))
    }
}

fn is_message(value: &Value) -> bool {
    value.is_string() || value.as_array().is_some_and(|items| items.iter().all(Value::is_string))
}

fn message(arguments: &Arguments<'_>, name: &str, default: &str) -> Value {
    arguments.value(name).cloned().unwrap_or_else(|| default.into())
}
