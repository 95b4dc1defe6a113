//! `ufw`: the firewall of Ubuntu.

use super::Arguments;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

const POLICY: Kind = Kind::Choice(&["allow", "deny", "reject"]);

/// Enables the firewall, or adds or removes a rule.
pub(super) static UFW: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "ufw",
        &["community.general", "ansible.builtin"],
        "Enables the firewall of Ubuntu, or adds or removes a rule.",
        &[
            Parameter::new("state", Kind::Choice(&["disabled", "enabled", "reloaded", "reset"]), "What to make of it."),
            Parameter::new("default", POLICY, "The policy for packets of a direction.").or(&["policy"]),
            Parameter::new(
                "direction",
                Kind::Choice(&["in", "incoming", "out", "outgoing", "routed"]),
                "The direction of packets.",
            ),
            Parameter::new(
                "logging",
                Kind::Choice(&["full", "high", "low", "medium", "off", "on", "False", "True"]),
                "What is logged.",
            ),
            Parameter::new("rule", Kind::Choice(&["allow", "deny", "limit", "reject"]), "What happens to packets."),
            Parameter::new("delete", Kind::Flag, "Whether the rule is removed."),
            Parameter::new("route", Kind::Flag, "Whether the rule is for packets that are forwarded."),
            Parameter::new("insert", Kind::Number, "The number of the new rule."),
            Parameter::new("interface", Kind::Text, "The interface.").or(&["if"]),
            Parameter::new("interface_in", Kind::Text, "The interface of packets that come.").or(&["if_in"]),
            Parameter::new("interface_out", Kind::Text, "The interface of packets that go.").or(&["if_out"]),
            Parameter::new("log", Kind::Flag, "Whether connections are logged."),
            Parameter::new("from_ip", Kind::Text, "The source (default: any).").or(&["from", "src"]),
            Parameter::new("from_port", Kind::Text, "The source port."),
            Parameter::new("to_ip", Kind::Text, "The destination (default: any).").or(&["dest", "to"]),
            Parameter::new("to_port", Kind::Text, "The destination port.").or(&["port"]),
            Parameter::new(
                "proto",
                Kind::Choice(&["ah", "any", "esp", "gre", "igmp", "ipv6", "tcp", "udp", "vrrp"]),
                "The protocol.",
            )
            .or(&["protocol"]),
            Parameter::new("name", Kind::Text, "The profile of an application.").or(&["app"]),
            Parameter::new("comment", Kind::Text, "The comment."),
        ],
    )
    .excludes(&[&["name", "proto", "logging"]]),
    text: include_str!("ufw.sh"),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let given = |name: &str| arguments.non_empty(name).map(|it| it.is_some());
    if !(given("state")? || given("default")? || given("rule")? || given("logging")?) {
        return Err("one of the following is required: state, default, rule, logging".to_owned());
    }
    for name in ["interface", "interface_in", "interface_out", "from_ip", "from_port", "to_ip", "to_port", "name"] {
        if arguments.text(name)?.is_some_and(|text| text.starts_with('-')) {
            return Err(format!("`{name}` cannot begin with `-`"));
        }
    }
    let direction = arguments.non_empty("direction")?;
    let needs_direction =
        given("interface")? && !matches!(direction.as_deref(), Some("in" | "incoming" | "out" | "outgoing"));
    if given("rule")? && needs_direction {
        return Err("interface needs direction".to_owned());
    }
    Ok(run)
}
