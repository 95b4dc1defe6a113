//! `git_config`: a setting of git.

use super::Arguments;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Sets or removes a setting.
pub(super) static GIT_CONFIG: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "git_config",
        &["community.general", "ansible.builtin"],
        "Sets or removes a setting of git.",
        &[
            Parameter::new("name", Kind::Text, "The setting, such as `user.name`."),
            Parameter::new("value", Kind::Text, "The value."),
            Parameter::new(
                "scope",
                Kind::Choice(&["file", "global", "local", "system"]),
                "Where it is stored (default: system).",
            ),
            Parameter::new("repo", Kind::Text, "The repository whose setting it is."),
            Parameter::new("file", Kind::Text, "The file in which it is stored."),
            Parameter::new(
                "add_mode",
                Kind::Choice(&["add", "replace-all"]),
                "Whether the value is added to others or replaces them (default: replace-all).",
            ),
            Parameter::new("state", Kind::Choice(&["absent", "present"]), "Whether it is there (default: present)."),
        ],
    )
    .needs(&[&["name"]]),
    text: include_str!("git_config.sh"),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let state = arguments.non_empty("state")?.unwrap_or_else(|| "present".to_owned());
    let scope = arguments.non_empty("scope")?.unwrap_or_else(|| "system".to_owned());
    if state == "present" && arguments.non_empty("value")?.is_none() {
        return Err(
            "If state=present, a value must be specified. Use the community.general.git_config_info module to \
                    read a config value."
                .to_owned(),
        );
    }
    for (of, needed) in [("local", "repo"), ("file", "file")] {
        if scope == of && arguments.non_empty(needed)?.is_none() {
            return Err(format!("scope is {of} but all of the following are missing: {needed}"));
        }
    }
    if arguments.required("name")?.starts_with('-') {
        return Err("`name` cannot begin with a dash".to_owned());
    }
    run.set("state", &state).set("scope", &scope).paths(&["repo", "file"], arguments)
}
