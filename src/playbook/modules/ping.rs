//! `ping`: reports whether a host can be reached and runs commands.

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

/// Reaches a host.
pub(super) struct Ping;

static SPEC: Spec = Spec::new(
    "ping",
    &["ansible.builtin", "ansible.legacy"],
    "Reports whether the host can be reached and runs commands.",
    &[Parameter::new("data", Kind::Text, "The answer (default: pong).")],
);

impl Module for Ping {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        Ok(Action::on_host(Answer(arguments.text("data")?.unwrap_or_else(|| "pong".to_owned()))))
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
