//! `deploy_helper`: the directories of a project that is deployed as releases, of which a link names the current one.

use serde_json::Value;
use serde_json::json;

use super::Arguments;
use super::destination;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use crate::playbook::host_script::HostReport;
use crate::playbook::outcome::Outcome;

/// Makes the directories of a project, puts a release into use, or removes old ones.
pub(super) static DEPLOY_HELPER: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "deploy_helper",
        &["community.general", "ansible.builtin"],
        "Manages the directories of a project that is deployed as releases.",
        &[
            Parameter::new("path", Kind::Text, "The directory of the project.").or(&["dest"]),
            Parameter::new(
                "state",
                Kind::Choice(&["absent", "clean", "finalize", "present", "query"]),
                "What to do (default: present).",
            ),
            Parameter::new("release", Kind::Text, "The name of the release (default: the time)."),
            Parameter::new("releases_path", Kind::Text, "The directory of the releases (default: releases)."),
            Parameter::new("shared_path", Kind::Text, "The directory of what releases share (default: shared)."),
            Parameter::new("current_path", Kind::Text, "The link to the current release (default: current)."),
            Parameter::new("keep_releases", Kind::Number, "How many old releases are kept (default: 5)."),
            Parameter::new("clean", Kind::Flag, "Whether `finalize` removes old releases (default: true)."),
            Parameter::new(
                "unfinished_filename",
                Kind::Text,
                "The file that marks a release that is not ready (default: DEPLOY_UNFINISHED).",
            ),
            destination::MODE,
        ],
    )
    .with(&destination::ATTRIBUTES)
    .needs(&[&["path"]]),
    text: include_str!("deploy_helper.sh"),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let state = arguments.non_empty("state")?.unwrap_or_else(|| "present".to_owned());
    let release = arguments.non_empty("release")?;
    let kept = arguments.number("keep_releases")?.unwrap_or(5);
    if state == "finalize" && release.is_none() {
        return Err("state is finalize but all of the following are missing: release".to_owned());
    }
    if state == "finalize" && kept == 0 {
        return Err("'keep_releases' should be at least 1".to_owned());
    }
    let mark = arguments.non_empty("unfinished_filename")?.unwrap_or_else(|| "DEPLOY_UNFINISHED".to_owned());
    if mark.contains('/') {
        return Err("`unfinished_filename` must be the name of a file".to_owned());
    }
    let shared = arguments.text("shared_path")?.unwrap_or_else(|| "shared".to_owned());
    let run = run.set("state", &state).set("mark", &mark).set("kept", &kept.to_string()).result("state", state);
    run.set("shared_path", &shared).paths(&["path"], arguments)?.attributes(arguments).map(|run| run.read(read))
}

/// Makes facts of what the script says.
fn read(report: &HostReport, outcome: &mut Outcome) {
    const NAMES: [&str; 9] = [
        "project_path",
        "current_path",
        "releases_path",
        "shared_path",
        "previous_release",
        "previous_release_path",
        "new_release",
        "new_release_path",
        "unfinished_filename",
    ];
    let value = |name: &str| report.get(&format!("diff_{name}")).filter(|text| !text.is_empty());
    let facts = match outcome.detail.get("state").and_then(Value::as_str) {
        Some("present" | "query") => {
            NAMES.into_iter().map(|name| (name.to_owned(), value(name).map_or(Value::Null, Value::from))).collect()
        }
        Some("absent") => json!([]),
        _ => return,
    };
    outcome.detail.insert("ansible_facts".to_owned(), json!({"deploy_helper": facts}));
}
