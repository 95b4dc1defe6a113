//! `fail`: fails with a message.

use super::Arguments;
use super::Module;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use crate::playbook::action::Action;
use crate::playbook::outcome::Outcome;

/// Fails.
pub(super) struct Fail;

static SPEC: Spec = Spec::new(
    "fail",
    &["ansible.builtin"],
    "Fails with a message.",
    &[Parameter::new("msg", Kind::Any, "The message: a text, or any other value.")],
);

impl Module for Fail {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        // As in Ansible, the message may be null.
        let message = arguments.args.get("msg").cloned().unwrap_or_else(|| "Failed as requested from task".into());
        let mut outcome = Outcome::failed("");
        outcome.detail.insert("msg".to_owned(), message);
        Ok(Action::done(outcome))
    }
}
