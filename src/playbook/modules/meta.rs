//! `meta`: acts on the play itself and not on a host.

use super::Arguments;
use super::Module;
use super::RunsIn;
use super::spec::Kind;
use super::spec::Line;
use super::spec::Parameter;
use super::spec::Spec;
use crate::playbook::action::Action;
use crate::playbook::action::MetaAction;

/// Acts on the play.
pub(super) struct Meta;

static SPEC: Spec = Spec::new(
    "meta",
    &["ansible.builtin", "ansible.legacy"],
    "Acts on the play itself: runs handlers, ends the play, forgets facts.",
    &[Parameter::new(
        "do",
        Kind::Choice(&[
            "flush_handlers",
            "end_host",
            "end_batch",
            "end_play",
            "clear_facts",
            "clear_host_errors",
            "reset_connection",
            "noop",
        ]),
        "What to do; it stands behind `meta:`.",
    )],
)
.needs(&[&["do"]])
.on_line(Line::Word("do"));

impl Module for Meta {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn runs_in(&self) -> RunsIn {
        RunsIn::Play
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        let action = MetaAction::of(arguments.args).map(Action::Meta);
        action.ok_or_else(|| "`meta` needs a fixed word".to_owned())
    }
}
