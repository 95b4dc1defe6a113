//! `rabbitmq_plugin`: the plugins of RabbitMQ.

use super::Arguments;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Enables or disables plugins.
pub(super) static RABBITMQ_PLUGIN: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "rabbitmq_plugin",
        &["community.rabbitmq", "community.general", "ansible.builtin"],
        "Enables or disables plugins of RabbitMQ.",
        &[
            Parameter::new("names", Kind::List, "The plugins.").or(&["name"]),
            Parameter::new("new_only", Kind::Flag, "Whether other plugins stay enabled."),
            Parameter::new("state", Kind::Choice(&["disabled", "enabled"]), "What they are (default: enabled)."),
            Parameter::new(
                "broker_state",
                Kind::Choice(&["offline", "online"]),
                "Whether the broker runs (default: online).",
            ),
            Parameter::new("prefix", Kind::Text, "The directory with the programs in `bin` or `sbin`."),
        ],
    )
    .needs(&[&["names"]]),
    text: include_str!("rabbitmq_plugin.sh"),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let names = arguments.list("names")?.unwrap_or_default();
    let is_name = |name: &String| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    match names.iter().find(|name| !is_name(name)) {
        Some(name) => Err(format!("`{name}` cannot be a plugin of RabbitMQ")),
        None => run.paths(&["prefix"], arguments),
    }
}
