//! `ping`: reports whether a host can be reached and runs commands.

use serde_json::Value;

use super::Arguments;
use super::Module;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use crate::playbook::action::Action;
use crate::playbook::action::HostAction;
use crate::playbook::host_connection::HostConnection;
use crate::playbook::host_script::HostScript;
use crate::playbook::outcome::Outcome;
use crate::playbook::template;

/// Reaches a host.
pub(super) struct Ping;

static SPEC: Spec = Spec::new(
    "ping",
    &["ansible.builtin", "ansible.legacy"],
    "Reports whether the host can be reached and runs commands.",
    &[Parameter::new("data", Kind::Any, "The answer (default: pong).")],
);

impl Module for Ping {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        // As in Ansible, a list or a map becomes text, and null an empty one.
        let answer = match arguments.args.get("data") {
            None => "pong".to_owned(),
            Some(Value::Null) => String::new(),
            Some(data) => template::python_text(data),
        };
        Ok(Action::on_host(Answer(answer)))
    }
}

/// The answer of a host.
struct Answer(String);

#[async_trait::async_trait]
impl HostAction for Answer {
    async fn run(&self, connection: &HostConnection<'_>) -> Result<Outcome, Outcome> {
        let report = HostScript::new("say ping \"$data\"\n").set("data", &self.0).run(connection).await?;
        Ok(Outcome::done(false, report.vars(&["ping"])))
    }
}
