//! `dnf_config_manager`: whether repositories of dnf are enabled.

use super::Arguments;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Enables or disables repositories.
pub(super) static DNF_CONFIG_MANAGER: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "dnf_config_manager",
        &["community.general"],
        "Enables or disables repositories, with the plugin config-manager of dnf.",
        &[
            Parameter::new("name", Kind::List, "The ids of the repositories."),
            Parameter::new(
                "state",
                Kind::Choice(&["disabled", "enabled"]),
                "Whether the repositories are used (default: enabled).",
            ),
        ],
    ),
    text: r#"
needs dnf
state=${state:-enabled}
run dnf repolist --all --verbose || { say_run && fail "${err:-dnf repolist failed}"; }
states=$(printf '%s\n' "$out" | awk '/^Repo-id *: / { id = $NF } /^Repo-status *: / { print id, $NF }')
list=$name
eval "set -- $list"
picked=
for each; do
  now=$(printf '%s\n' "$states" | awk -v id="$each" '$1 == id { print $2; exit }')
  [ -n "$now" ] || fail "did not find repo with ID '$each' in dnf repolist --all --verbose"
  [ "$now" = "$state" ] || picked=$picked$each$newline
done
say changed_repos:lines "$picked"
[ -n "$picked" ] || finish
IFS=$newline
# shellcheck disable=SC2086
set -- $picked
unset IFS
change dnf config-manager --assumeyes "--set-$state" "$@"
finish
"#,
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let names = arguments.list("name")?.unwrap_or_default();
    match names.iter().find(|name| name.starts_with('-') || name.contains(char::is_whitespace)) {
        Some(name) => Err(format!("`{name}` cannot be the id of a repository")),
        None => Ok(run),
    }
}
