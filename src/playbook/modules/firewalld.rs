//! `firewalld`: a rule of firewalld.

use super::Arguments;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Adds or removes a rule.
pub(super) static FIREWALLD: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "firewalld",
        &["ansible.posix", "ansible.builtin"],
        "Adds or removes a rule of firewalld, with firewall-cmd.",
        &[
            Parameter::new(
                "state",
                Kind::Choice(&["absent", "disabled", "enabled", "present"]),
                "Whether the rule is there; `present` and `absent` are for zones and targets.",
            ),
            Parameter::new("service", Kind::Text, "The service."),
            Parameter::new("port", Kind::Text, "The port or range with its protocol: 80/tcp."),
            Parameter::new("protocol", Kind::Text, "The protocol."),
            Parameter::new("port_forward", Kind::Any, "A list with a map of port, proto, toport and toaddr."),
            Parameter::new("rich_rule", Kind::Text, "The rich rule."),
            Parameter::new("source", Kind::Text, "The network."),
            Parameter::new("interface", Kind::Text, "The interface."),
            Parameter::new("icmp_block", Kind::Text, "The type of ICMP that is blocked."),
            Parameter::new("icmp_block_inversion", Kind::Flag, "Whether the blocks are inverted."),
            Parameter::new("masquerade", Kind::Flag, "Whether addresses are masqueraded."),
            Parameter::new("forward", Kind::Flag, "Whether packets are forwarded within the zone."),
            Parameter::new(
                "target",
                Kind::Choice(&["default", "ACCEPT", "DROP", "%%REJECT%%"]),
                "The target of the zone.",
            ),
            Parameter::new("zone", Kind::Text, "The zone (default: the default zone)."),
            Parameter::new("permanent", Kind::Flag, "Whether the rule is kept for the next start."),
            Parameter::new("immediate", Kind::Flag, "Whether a permanent rule holds now too."),
            Parameter::new("timeout", Kind::Number, "The seconds for which the rule holds."),
            Parameter::new("offline", Kind::Flag, "Whether firewalld need not run."),
        ],
    )
    .needs(&[&["state"]]),
    text: include_str!("firewalld.sh"),
    prepare,
};

/// The parameters that are rules, with the word for them in the options of firewall-cmd.
const RULES: [(&str, &str); 10] = [
    ("service", "service"),
    ("port", "port"),
    ("protocol", "protocol"),
    ("rich_rule", "rich-rule"),
    ("source", "source"),
    ("interface", "interface"),
    ("icmp_block", "icmp-block"),
    ("icmp_block_inversion", "icmp-block-inversion"),
    ("masquerade", "masquerade"),
    ("forward", "forward"),
];

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let state = arguments.required("state")?;
    let (mut rules, mut is_on) = (Vec::new(), state == "enabled" || state == "present");
    for (name, word) in RULES {
        let is_switch = matches!(word, "icmp-block-inversion" | "masquerade" | "forward");
        if is_switch && let Some(flag) = arguments.flag(name)? {
            rules.push((word, String::new()));
            is_on = flag == is_on;
        } else if !is_switch && let Some(value) = arguments.non_empty(name)? {
            rules.push((word, value));
        }
    }
    if let Some(forward) = arguments.value("port_forward") {
        rules.push(("forward-port", forward_port(forward)?));
    }
    if rules.len() > 1 {
        return Err("can only operate on port, service, rich_rule, masquerade, icmp_block, icmp_block_inversion, interface or source at once".to_owned());
    }
    let is_permanent = arguments.flag("permanent")?.unwrap_or(false);
    let is_for_zone = state == "present" || state == "absent";
    if is_for_zone && (!rules.is_empty() || !is_permanent) {
        return Err(
            "absent and present state can only be used in zone level operations, which are permanent".to_owned()
        );
    }
    let (word, value) = rules.pop().unwrap_or_default();
    if word.is_empty() && !is_for_zone && arguments.non_empty("target")?.is_none() {
        return Err("no rule is given".to_owned());
    }
    if word == "port" && !value.contains('/') {
        return Err("improper port format (missing protocol?)".to_owned());
    }
    let is_immediate = !is_permanent || arguments.flag("immediate")?.unwrap_or(false);
    let rule = if value.is_empty() { word.to_owned() } else { format!("{word}={value}") };
    Ok(run.set("rule", &rule).flag("on", is_on).flag("lasting", is_permanent).flag("now", is_immediate))
}

/// Returns a forwarded port as firewall-cmd reads it.
fn forward_port(value: &serde_json::Value) -> Result<String, String> {
    use super::spec::scalar_text;

    let entry = value.as_array().and_then(|items| items.first()).unwrap_or(value);
    let field = |name: &str| entry.get(name).and_then(scalar_text);
    let missing = || "`port_forward` must be a list of one map with port, proto and toport".to_owned();
    let port = field("port").ok_or_else(missing)?;
    let proto = field("proto").ok_or_else(missing)?;
    let to_port = field("toport").ok_or_else(missing)?;
    let address = field("toaddr").map(|address| format!(":toaddr={address}")).unwrap_or_default();
    Ok(format!("port={port}:proto={proto}:toport={to_port}{address}"))
}
