//! `set_stats`: keeps figures of the run. Ansible shows them only if its configuration asks for it.

use super::Arguments;
use super::Module;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use crate::inventory::Vars;
use crate::playbook::action::Action;
use crate::playbook::outcome::Outcome;

/// Keeps figures.
pub(super) struct SetStats;

static SPEC: Spec = Spec::new(
    "set_stats",
    &["ansible.builtin", "ansible.legacy"],
    "Keeps figures of the run in its result. As with Ansible's default, they are not printed.",
    &[
        Parameter::new("data", Kind::Any, "The figures: a map."),
        Parameter::new("per_host", Kind::Flag, "Whether each host has figures of its own (default: false)."),
        Parameter::new("aggregate", Kind::Flag, "Whether figures are added to earlier ones (default: true)."),
    ],
)
.needs(&[&["data"]]);

impl Module for SetStats {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        let data = arguments.value("data").filter(|data| data.is_object()).cloned().ok_or("`data` must be a map")?;
        let per_host = arguments.flag("per_host")?.unwrap_or(false);
        let aggregate = arguments.flag("aggregate")?.unwrap_or(true);
        let stats = serde_json::json!({"data": data, "per_host": per_host, "aggregate": aggregate});
        Ok(Action::done(Outcome::done(false, Vars::from_iter([("ansible_stats".to_owned(), stats)]))))
    }
}
