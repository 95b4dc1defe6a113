//! `iptables`: a rule of the packet filter of the running kernel.

use super::Arguments;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Adds or removes a rule.
pub(super) static IPTABLES: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "iptables",
        &["ansible.builtin", "ansible.legacy"],
        "Adds or removes a rule of the packet filter of the running kernel.",
        &[
            Parameter::new(
                "table",
                Kind::Choice(&["filter", "mangle", "nat", "raw", "security"]),
                "The table (default: filter).",
            ),
            Parameter::new("chain", Kind::Text, "The chain."),
            Parameter::new(
                "state",
                Kind::Choice(&["absent", "present"]),
                "Whether the rule is there (default: present).",
            ),
            Parameter::new("action", Kind::Choice(&["append", "insert"]), "Where a new rule stands (default: append)."),
            Parameter::new("rule_num", Kind::Text, "The number before which a new rule is inserted."),
            Parameter::new("ip_version", Kind::Choice(&["both", "ipv4", "ipv6"]), "The version of IP (default: ipv4)."),
            Parameter::new("protocol", Kind::Text, "The protocol."),
            Parameter::new("source", Kind::Text, "The source."),
            Parameter::new("destination", Kind::Text, "The destination."),
            Parameter::new("in_interface", Kind::Text, "The interface of packets that come."),
            Parameter::new("out_interface", Kind::Text, "The interface of packets that go."),
            Parameter::new("fragment", Kind::Text, "The fragments."),
            Parameter::new("set_counters", Kind::Text, "The counters of the rule."),
            Parameter::new("source_port", Kind::Text, "The source port or range."),
            Parameter::new("destination_port", Kind::Text, "The destination port or range."),
            Parameter::new("destination_ports", Kind::List, "The destination ports."),
            Parameter::new("to_ports", Kind::Text, "The port to which packets are redirected."),
            Parameter::new("to_destination", Kind::Text, "The new destination."),
            Parameter::new("to_source", Kind::Text, "The new source."),
            Parameter::new("tcp_flags", Kind::Any, "A map of flags and flags_set, which are lists."),
            Parameter::new("syn", Kind::Choice(&["ignore", "match", "negate"]), "Whether packets open a connection."),
            Parameter::new("match", Kind::List, "The extensions."),
            Parameter::new("match_set", Kind::Text, "The ipset."),
            Parameter::new("match_set_flags", Kind::Text, "The flags of the ipset: src, dst and others."),
            Parameter::new("ctstate", Kind::List, "The states of the connection."),
            Parameter::new("src_range", Kind::Text, "The range of sources."),
            Parameter::new("dst_range", Kind::Text, "The range of destinations."),
            Parameter::new("limit", Kind::Text, "The rate: 5/s."),
            Parameter::new("limit_burst", Kind::Text, "The packets before the limit applies."),
            Parameter::new("uid_owner", Kind::Text, "The user of the process."),
            Parameter::new("gid_owner", Kind::Text, "The group of the process."),
            Parameter::new("icmp_type", Kind::Text, "The type of ICMP."),
            Parameter::new("comment", Kind::Text, "The comment."),
            Parameter::new("jump", Kind::Text, "The target."),
            Parameter::new("goto", Kind::Text, "The chain to go on with."),
            Parameter::new("gateway", Kind::Text, "The gateway of the target TEE."),
            Parameter::new("reject_with", Kind::Text, "The answer of the target REJECT."),
            Parameter::new("set_dscp_mark", Kind::Text, "The mark of DSCP.").or(&["set-dscp-mark"]),
            Parameter::new("log_prefix", Kind::Text, "What log lines begin with."),
            Parameter::new("log_level", Kind::Text, "The level of log lines."),
            Parameter::new("policy", Kind::Choice(&["ACCEPT", "DROP", "QUEUE", "RETURN"]), "The policy of the chain."),
            Parameter::new("flush", Kind::Flag, "Whether all rules are removed."),
            Parameter::new("chain_management", Kind::Flag, "Whether the chain itself is made or removed."),
            Parameter::new("numeric", Kind::Flag, "No effect: names are not looked up."),
            Parameter::new("wait", Kind::Text, "The seconds to wait for another iptables."),
        ],
    ),
    text: include_str!("iptables.sh"),
    prepare,
};

/// The options of a rule, in the order in which Ansible gives them.
const OPTIONS: [(&str, &str); 20] = [
    ("protocol", "-p"),
    ("source", "-s"),
    ("destination", "-d"),
    ("match", "-m"),
    ("tcp_flags", "--tcp-flags"),
    ("jump", "-j"),
    ("gateway", "--gateway"),
    ("log_prefix", "--log-prefix"),
    ("log_level", "--log-level"),
    ("to_destination", "--to-destination"),
    ("destination_ports", "--dports"),
    ("to_source", "--to-source"),
    ("goto", "-g"),
    ("in_interface", "-i"),
    ("out_interface", "-o"),
    ("fragment", "-f"),
    ("set_counters", "-c"),
    ("source_port", "--source-port"),
    ("destination_port", "--destination-port"),
    ("to_ports", "--to-ports"),
];

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let chain = arguments.text("chain")?.unwrap_or_default();
    let is_flush = arguments.flag("flush")? == Some(true);
    if chain.is_empty() && !is_flush {
        return Err("Either chain or flush parameter must be specified.".to_owned());
    }
    if chain.starts_with('-') {
        return Err(format!("`{chain}` cannot be a chain"));
    }
    let rule = rule(arguments)?;
    let shown = rule.join(" ");
    let run = run.words("rule", &rule).result("rule", shown).result("chain", chain).result("flush", is_flush);
    let table = arguments.non_empty("table")?.unwrap_or_else(|| "filter".to_owned());
    let version = arguments.non_empty("ip_version")?.unwrap_or_else(|| "ipv4".to_owned());
    Ok(run.result("table", table).result("ip_version", version).echo(&["state"], arguments))
}

/// Returns the arguments of iptables for the rule.
fn rule(arguments: &Arguments<'_>) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    for (name, option) in OPTIONS {
        match name {
            "match" => {
                for each in arguments.list(name)?.unwrap_or_default() {
                    words.extend([option.to_owned(), each]);
                }
            }
            "tcp_flags" => words.extend(tcp_flags(arguments)?),
            "destination_ports" => {
                if let Some(ports) = arguments.list(name)?.filter(|ports| !ports.is_empty()) {
                    let ports = ports.iter().map(|port| port.replace('-', ":")).collect::<Vec<_>>().join(",");
                    words.extend(["-m", "multiport", option, &ports].map(str::to_owned));
                }
            }
            _ => push(&mut words, option, arguments.non_empty(name)?),
        }
    }
    match arguments.non_empty("syn")?.as_deref() {
        Some("match") => words.push("--syn".to_owned()),
        Some("negate") => words.extend(["!".to_owned(), "--syn".to_owned()]),
        _ => {}
    }
    extensions(arguments, &mut words)?;
    Ok(words)
}

/// Adds an option. A value that begins with `!` is negated.
fn push(words: &mut Vec<String>, option: &str, value: Option<String>) {
    let Some(value) = value else { return };
    let value = match value.strip_prefix('!') {
        Some(value) => {
            words.push("!".to_owned());
            value.to_owned()
        }
        None => value,
    };
    words.extend([option.to_owned(), value]);
}

/// Adds the options that need an extension, and the extension unless the task names it.
fn extensions(arguments: &Arguments<'_>, words: &mut Vec<String>) -> Result<(), String> {
    let named = arguments.list("match")?.unwrap_or_default();
    let load = |words: &mut Vec<String>, name: &str| {
        if !named.iter().any(|it| it == name) && !words.windows(2).any(|pair| pair == ["-m", name]) {
            words.extend(["-m".to_owned(), name.to_owned()]);
        }
    };
    if let Some(set) = arguments.non_empty("match_set")? {
        load(words, "set");
        let (no, set) = set.strip_prefix('!').map_or((None, set.as_str()), |set| (Some("!".to_owned()), set));
        words.extend(no);
        let flags = arguments.non_empty("match_set_flags")?.ok_or("match_set needs match_set_flags")?;
        words.extend(["--match-set".to_owned(), set.to_owned(), flags]);
    }
    if let Some(states) = arguments.list("ctstate")?.filter(|states| !states.is_empty()) {
        let name = if named.iter().any(|it| it == "state") { "state" } else { "conntrack" };
        load(words, name);
        let option = if name == "state" { "--state" } else { "--ctstate" };
        push(words, option, Some(states.join(",")));
    }
    for (name, extension, option) in [
        ("src_range", "iprange", "--src-range"),
        ("dst_range", "iprange", "--dst-range"),
        ("limit", "limit", "--limit"),
        ("limit_burst", "limit", "--limit-burst"),
        ("uid_owner", "owner", "--uid-owner"),
        ("gid_owner", "owner", "--gid-owner"),
    ] {
        if let Some(value) = arguments.non_empty(name)? {
            load(words, extension);
            push(words, option, Some(value));
        }
    }
    if let Some(answer) = arguments.non_empty("reject_with")? {
        if arguments.non_empty("jump")?.is_none() {
            words.extend(["-j".to_owned(), "REJECT".to_owned()]);
        }
        push(words, "--reject-with", Some(answer));
    }
    push(words, "--set-dscp", arguments.non_empty("set_dscp_mark")?);
    push(words, "--icmp-type", arguments.non_empty("icmp_type")?);
    if let Some(comment) = arguments.non_empty("comment")? {
        load(words, "comment");
        words.extend(["--comment".to_owned(), comment]);
    }
    Ok(())
}

fn tcp_flags(arguments: &Arguments<'_>) -> Result<Vec<String>, String> {
    let Some(value) = arguments.value("tcp_flags") else { return Ok(Vec::new()) };
    let list = |name: &str| {
        let items = value.get(name).and_then(serde_json::Value::as_array);
        let texts = items.map(|items| items.iter().filter_map(|it| it.as_str()).collect::<Vec<_>>().join(","));
        texts.ok_or_else(|| "`tcp_flags` must be a map of flags and flags_set, which are lists".to_owned())
    };
    Ok(vec!["--tcp-flags".to_owned(), list("flags")?, list("flags_set")?])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Arguments;
    use super::rule;
    use crate::playbook::template::Scope;

    #[test]
    fn a_rule_has_its_extensions_once() {
        let args = json!({"protocol": "tcp", "source": "!10.0.0.0/8", "match": ["conntrack"], "ctstate": ["NEW", "RELATED"],
            "destination_port": 80, "jump": "ACCEPT", "comment": "a b; reboot", "src_range": "1-2", "dst_range": "3-4"});
        let (args, scope) = (args.as_object().unwrap().clone(), Scope::new(Vec::new()));
        let arguments =
            Arguments { args: &args, scope: &scope, folders: &[], file: std::path::Path::new(""), role: None };
        assert_eq!(
            rule(&arguments).unwrap().join("|"),
            "-p|tcp|!|-s|10.0.0.0/8|-m|conntrack|-j|ACCEPT|--destination-port|80|--ctstate|NEW,RELATED|-m|iprange|\
             --src-range|1-2|--dst-range|3-4|-m|comment|--comment|a b; reboot"
        );
    }
}
