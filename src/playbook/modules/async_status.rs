//! `async_status`: what has become of a task that was started with `poll: 0`.

use super::Arguments;
use super::Module;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use crate::playbook::action::Action;

/// Looks at a task in the background.
pub(super) struct AsyncStatus;

static SPEC: Spec = Spec::new(
    "async_status",
    &["ansible.builtin", "ansible.legacy"],
    "Says what has become of a task that was started with `poll: 0` in the same run.",
    &[
        Parameter::new("jid", Kind::Text, "The `ansible_job_id` that the task returned."),
        Parameter::new("mode", Kind::Choice(&["status", "cleanup"]), "Whether to forget it (default: status)."),
    ],
)
.needs(&[&["jid"]]);

impl Module for AsyncStatus {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        let is_over = arguments.text("mode")?.as_deref() == Some("cleanup");
        Ok(Action::Job { id: arguments.required("jid")?, is_over })
    }
}
