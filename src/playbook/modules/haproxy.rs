//! `haproxy`: the servers of a running HAProxy, through its socket.

use serde_json::Value;
use serde_json::json;

use super::Arguments;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use crate::playbook::host_script::HostReport;
use crate::playbook::outcome::Outcome;

/// Puts a server into use or out of use.
pub(super) static HAPROXY: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "haproxy",
        &["community.general", "ansible.builtin"],
        "Puts a server of a running HAProxy into use or out of use, with socat, nc or perl on the host.",
        &[
            Parameter::new("host", Kind::Text, "The server."),
            Parameter::new("state", Kind::Choice(&["disabled", "drain", "enabled"]), "What it is."),
            Parameter::new("backend", Kind::Text, "The backend (default: all that have the server)."),
            Parameter::new("socket", Kind::Text, "The socket (default: /var/run/haproxy.sock)."),
            Parameter::new("weight", Kind::Text, "The weight, or a share of it such as 50%."),
            Parameter::new("shutdown_sessions", Kind::Flag, "Whether open connections end."),
            Parameter::new("fail_on_not_found", Kind::Flag, "Whether a backend without the server is an error."),
            Parameter::new("agent", Kind::Flag, "Whether the checks of the agent change too."),
            Parameter::new("health", Kind::Flag, "Whether the checks of health change too."),
            Parameter::new("wait", Kind::Flag, "Whether to wait until the server has the state."),
            Parameter::new("wait_retries", Kind::Number, "How often to look (default: 25)."),
            Parameter::new("wait_interval", Kind::Number, "The seconds between the looks (default: 5)."),
            Parameter::new("drain", Kind::Flag, "Whether a server first gets no new connections."),
        ],
    )
    .needs(&[&["host"], &["state"]]),
    text: include_str!("haproxy.sh"),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_-.:/%".contains(c);
    for name in ["host", "backend", "weight", "socket"] {
        if let Some(text) = arguments.non_empty(name)?.filter(|text| !text.chars().all(is_word)) {
            return Err(format!("`{text}` cannot be the `{name}` of HAProxy"));
        }
    }
    Ok(run.read(read))
}

/// Makes results of the states, each of which is `STATUS WEIGHT SESSIONS`.
fn read(report: &HostReport, outcome: &mut Outcome) {
    let state = |line: &str| match line.split('\t').collect::<Vec<_>>()[..] {
        [status, weight, sessions] => json!({"status": status, "weight": weight, "scur": sessions}),
        _ => Value::Null,
    };
    for name in ["state_before", "state_after"] {
        let lines = report.get(&format!("diff_{name}")).unwrap_or_default();
        let states: Vec<Value> = lines.lines().map(state).collect();
        outcome.detail.insert(name.to_owned(), if states.is_empty() { Value::Null } else { states.into() });
    }
    for name in ["command", "output"] {
        let record = format!("diff_{name}");
        let values: Vec<&str> = report.all(&record).collect();
        if !values.is_empty() {
            outcome.detail.insert(name.to_owned(), values.into());
        }
    }
}
