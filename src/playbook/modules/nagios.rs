//! `nagios`: the notifications of Nagios or Icinga, through its command file.

use super::Arguments;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// What can be done.
const ACTIONS: Kind = Kind::Choice(&[
    "command",
    "disable_alerts",
    "enable_alerts",
    "silence",
    "silence_nagios",
    "unsilence",
    "unsilence_nagios",
]);

/// Turns notifications on or off.
pub(super) static NAGIOS: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "nagios",
        &["community.general", "ansible.builtin"],
        "Turns notifications of Nagios on or off, or gives it a command.",
        &[
            Parameter::new("action", ACTIONS, "What to do."),
            Parameter::new("host", Kind::Text, "The host."),
            Parameter::new("services", Kind::List, "The services; `host` is the host itself, `all` are all services.")
                .or(&["service"]),
            Parameter::new("command", Kind::Text, "The command as Nagios reads it, without the time."),
            Parameter::new("cmdfile", Kind::Text, "The command file (default: that of the configuration)."),
        ],
    )
    .needs(&[&["action"]]),
    text: include_str!("nagios.sh"),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let commands = commands(arguments)?;
    if commands.iter().any(|command| command.contains('\n')) {
        return Err("a command of Nagios cannot have a newline".to_owned());
    }
    Ok(run.words("commands", &commands))
}

/// Returns the commands of a task.
fn commands(arguments: &Arguments<'_>) -> Result<Vec<String>, String> {
    let action = arguments.required("action")?;
    let needed = |name: &str| {
        let missing = || format!("action is {action} but all of the following are missing: {name}");
        arguments.non_empty(name)?.ok_or_else(missing)
    };
    let which = if action.starts_with("enable") || action.starts_with("un") { "ENABLE" } else { "DISABLE" };
    Ok(match action.as_str() {
        "command" => vec![needed("command")?],
        "silence_nagios" | "unsilence_nagios" => vec![format!("{which}_NOTIFICATIONS")],
        "silence" | "unsilence" => {
            let host = needed("host")?;
            ["HOST_SVC", "HOST"].map(|what| format!("{which}_{what}_NOTIFICATIONS;{host}")).to_vec()
        }
        _ => {
            let host = needed("host")?;
            let services = arguments.list("services")?.unwrap_or_default();
            match services.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                [] => return Err(format!("action is {action} but all of the following are missing: services")),
                ["host"] => vec![format!("{which}_HOST_NOTIFICATIONS;{host}")],
                ["all"] => vec![format!("{which}_HOST_SVC_NOTIFICATIONS;{host}")],
                _ => services.iter().map(|service| format!("{which}_SVC_NOTIFICATIONS;{host};{service}")).collect(),
            }
        }
    })
}
