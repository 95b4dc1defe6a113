//! `include_tasks` and `include_role`: go on with the tasks of a file or a role, which are read when the task runs.

use super::Arguments;
use super::Module;
use super::RunsIn;
use super::spec::Kind;
use super::spec::Line;
use super::spec::Parameter;
use super::spec::Spec;
use crate::playbook::action::Action;
use crate::playbook::include::Include;

/// Goes on with a file of tasks.
pub(super) struct IncludeTasks;

/// Goes on with a role.
pub(super) struct IncludeRole;

const APPLY: Parameter = Parameter::new("apply", Kind::Any, "Settings for the tasks that are included.");

static TASKS: Spec = Spec::new(
    "include_tasks",
    &["ansible.builtin", "ansible.legacy"],
    "Goes on with the tasks of a file.",
    &[Parameter::new("file", Kind::Text, "The file, beside that of the task."), APPLY],
)
.needs(&[&["file"]])
.on_line(Line::Word("file"));

static ROLE: Spec = Spec::new(
    "include_role",
    &["ansible.builtin", "ansible.legacy"],
    "Goes on with the tasks of a role.",
    &[
        Parameter::new("name", Kind::Text, "The role."),
        Parameter::new("tasks_from", Kind::Text, "The file of tasks (default: main)."),
        Parameter::new("vars_from", Kind::Text, "The file of variables (default: main)."),
        Parameter::new("defaults_from", Kind::Text, "The file of defaults (default: main)."),
        Parameter::new("handlers_from", Kind::Text, "The file of handlers (default: main)."),
        Parameter::new("public", Kind::Flag, "Whether the rest of the play can use its variables (default: false)."),
        APPLY,
        Parameter::new("allow_duplicates", Kind::Flag, "Accepted and ignored: an included role always runs."),
        Parameter::new(
            "rolespec_validate",
            Kind::Flag,
            "Accepted and ignored: muster does not check roles' arguments.",
        ),
    ],
)
.needs(&[&["name"]]);

impl Module for IncludeTasks {
    fn spec(&self) -> &'static Spec {
        &TASKS
    }

    fn runs_in(&self) -> RunsIn {
        RunsIn::Tasks
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        Include::of(TASKS.name, arguments.args).map(Action::Include)
    }
}

impl Module for IncludeRole {
    fn spec(&self) -> &'static Spec {
        &ROLE
    }

    fn runs_in(&self) -> RunsIn {
        RunsIn::Tasks
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        Include::of(ROLE.name, arguments.args).map(Action::Include)
    }
}
