//! `raw`: runs a line of shell on the host, and nothing around it.

use super::Arguments;
use super::Module;
use super::spec::Kind;
use super::spec::Line;
use super::spec::Parameter;
use super::spec::Spec;
use crate::playbook::action::Action;
use crate::playbook::action::HostAction;
use crate::playbook::host_connection::HostConnection;
use crate::playbook::host_connection::command_outcome;
use crate::playbook::host_connection::unquotable;
use crate::playbook::outcome::Outcome;
use crate::playbook::shell_expand::quote_expanding;

/// Runs a line of shell.
pub(super) struct Raw;

static SPEC: Spec = Spec::new(
    "raw",
    &["ansible.builtin", "ansible.legacy"],
    "Runs a line of shell and nothing around it.",
    &[
        Parameter::new("cmd", Kind::Text, "The line."),
        Parameter::new("executable", Kind::Text, "The path of the shell (default: /bin/sh)."),
    ],
)
.needs(&[&["cmd"]])
.on_line(Line::Command("cmd"));

impl Module for Raw {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        Ok(Action::on_host(RawLine { line: arguments.required("cmd")?, shell: arguments.non_empty("executable")? }))
    }
}

/// A line of shell.
struct RawLine {
    line: String,
    shell: Option<String>,
}

#[async_trait::async_trait]
impl HostAction for RawLine {
    fn is_one_script(&self) -> bool {
        true
    }

    async fn run(&self, connection: &HostConnection<'_>) -> Result<Outcome, Outcome> {
        let plain = HostConnection { environment: String::new(), ..connection.clone() };
        let result = self.run_plainly(&plain).await;
        if connection.environment.is_empty() {
            return result;
        }
        let warned = |outcome: Outcome| outcome.with_warning(NO_ENVIRONMENT);
        result.map(warned).map_err(warned)
    }
}

/// What Ansible says of a task with an environment.
const NO_ENVIRONMENT: &str = "raw module does not support the environment keyword";

impl RawLine {
    async fn run_plainly(&self, connection: &HostConnection<'_>) -> Result<Outcome, Outcome> {
        if connection.check {
            return Ok(Outcome::skipped());
        }
        let script = match &self.shell {
            None => Ok(self.line.clone()),
            Some(shell) => quote_expanding(shell)
                .and_then(|shell| Ok(format!("exec {shell} -c {}", shlex::try_quote(&self.line)?))),
        };
        let (exit, output) = connection.exec(script.map_err(unquotable)?, None).await?;
        // Ansible keeps the newlines at the end of the output.
        Ok(command_outcome(&exit, output.into_whole_vars()))
    }
}
