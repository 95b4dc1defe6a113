//! `service` and `systemd`: a unit of systemd on the host that is none of the cluster's.

use super::Arguments;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

const STATE: Parameter = Parameter::new(
    "state",
    Kind::Choice(&["reloaded", "restarted", "started", "stopped"]),
    "What to make of it. `restarted` and `reloaded` act each time.",
);
const ENABLED: Parameter = Parameter::new("enabled", Kind::Flag, "Whether it starts when the host boots.");
const MASKED: Parameter = Parameter::new("masked", Kind::Flag, "Whether it can not be started at all.");
const DAEMON_RELOAD: Parameter =
    Parameter::new("daemon_reload", Kind::Flag, "Whether systemd reads its unit files again first.")
        .or(&["daemon-reload"]);
const DAEMON_REEXEC: Parameter =
    Parameter::new("daemon_reexec", Kind::Flag, "Whether systemd executes itself again first.").or(&["daemon-reexec"]);
const FORCE: Parameter = Parameter::new("force", Kind::Flag, "Whether links of other units are replaced.");
const NO_BLOCK: Parameter = Parameter::new("no_block", Kind::Flag, "Whether to go on before systemd has done it.");
const SCOPE: Parameter = Parameter::new(
    "scope",
    Kind::Choice(&["system", "user", "global"]),
    "Whose systemd: the host's or the user's (default: system).",
);
const NAME: Parameter = Parameter::new("name", Kind::Text, "The unit, with or without `.service`.");
const ARGUMENTS: Parameter = Parameter::new("arguments", Kind::Text, "No effect with systemd.").or(&["args"]);
const PATTERN: Parameter = Parameter::new("pattern", Kind::Text, "No effect with systemd.");
const RUNLEVEL: Parameter = Parameter::new("runlevel", Kind::Text, "No effect with systemd.");
const SLEEP: Parameter = Parameter::new("sleep", Kind::Number, "No effect with systemd.");
const USE: Parameter =
    Parameter::new("use", Kind::Choice(&["auto", "service", "systemd"]), "The service manager: systemd in any case.");

/// Brings a service to a state.
pub(super) static SERVICE: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "service",
        &["ansible.builtin", "ansible.legacy"],
        "Starts, stops, enables or disables a service of the host.",
        &[
            NAME,
            STATE,
            ENABLED,
            MASKED,
            DAEMON_RELOAD,
            DAEMON_REEXEC,
            FORCE,
            NO_BLOCK,
            SCOPE,
            USE,
            ARGUMENTS,
            PATTERN,
            RUNLEVEL,
            SLEEP,
        ],
    )
    .needs(&[&["name"]]),
    text: include_str!("service.sh"),
    prepare,
};

/// Brings a unit to a state.
pub(super) static SYSTEMD: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "systemd",
        &["ansible.builtin", "ansible.legacy"],
        "Starts, stops, enables or disables a unit of the host's systemd.",
        &[NAME.or(&["service", "unit"]), STATE, ENABLED, MASKED, DAEMON_RELOAD, DAEMON_REEXEC, FORCE, NO_BLOCK, SCOPE],
    ),
    text: include_str!("service.sh"),
    prepare,
};

/// The newer name of [`SYSTEMD`].
pub(super) static SYSTEMD_SERVICE: ScriptModule = ScriptModule {
    spec: &Spec { name: "systemd_service", ..*SYSTEMD.spec },
    text: include_str!("service.sh"),
    prepare,
};

const SUFFIXES: [&str; 11] = [
    ".service",
    ".socket",
    ".device",
    ".mount",
    ".automount",
    ".swap",
    ".target",
    ".path",
    ".timer",
    ".slice",
    ".scope",
];

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let name = arguments.text("name")?.unwrap_or_default();
    if name.contains(['*', '?', '[']) {
        let glob = name.chars().find(|it| "*?[".contains(*it)).unwrap_or_default();
        return Err(format!(
            "This module does not currently support using glob patterns, found '{glob}' in service name: {name}"
        ));
    }
    if name.contains('/') || name.starts_with('-') {
        return Err(format!("`{name}` cannot be the name of a unit"));
    }
    if name.is_empty() && ["state", "enabled", "masked"].iter().any(|it| arguments.value(it).is_some()) {
        return Err("`name` must be given with `state`, `enabled` or `masked`".to_owned());
    }
    let unit = if name.is_empty() || SUFFIXES.iter().any(|it| name.ends_with(it)) { name } else { name + ".service" };
    Ok(run.set("unit", &unit).echo(&["name", "state"], arguments).result("status", serde_json::json!({})))
}
