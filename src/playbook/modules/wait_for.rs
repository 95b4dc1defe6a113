//! `wait_for`: waits on a host until a port or a file is there or gone.

use std::time::Duration;

use super::Arguments;
use super::Module;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use crate::inventory::Vars;
use crate::playbook::action::Action;
use crate::playbook::action::HostAction;
use crate::playbook::host_connection::HostConnection;
use crate::playbook::host_connection::reason;
use crate::playbook::host_connection::unquotable;
use crate::playbook::outcome::Outcome;
use crate::playbook::shell_expand::quote_expanding;
use crate::remote::Exit;

/// Waits for a condition.
pub(super) struct WaitFor;

static SPEC: Spec = Spec::new(
    "wait_for",
    &["ansible.builtin"],
    "Waits until a port or a file is there or gone.",
    &[
        Parameter::new("host", Kind::Text, "The host of the port (default: the host itself)."),
        Parameter::new("port", Kind::Number, "The TCP port."),
        Parameter::new("path", Kind::Text, "The path of the file."),
        Parameter::new(
            "state",
            Kind::Choice(&["started", "present", "stopped", "absent"]),
            "Whether it is to be there or gone (default: started).",
        ),
        Parameter::new("timeout", Kind::Number, "The longest wait in seconds (default: 300)."),
    ],
)
.needs(&[&["port", "path"]]);

impl Module for WaitFor {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        let condition = match arguments.number("port")? {
            Some(port) => {
                let port = u16::try_from(port).ok().filter(|port| *port > 0);
                let port = port.ok_or("`port` must be from 1 to 65535")?;
                match arguments.text("host")? {
                    Some(host) if !matches!(host.as_str(), "" | "127.0.0.1" | "localhost" | "::1") => {
                        Condition::Answering(host, port)
                    }
                    _ => Condition::Listening(port),
                }
            }
            None => Condition::Path(arguments.required("path")?),
        };
        let present = match arguments.text("state")?.as_deref() {
            None | Some("started" | "present") => true,
            Some("stopped" | "absent") => false,
            Some(other) => return Err(format!("`state` must be started, present, stopped or absent, not `{other}`")),
        };
        Ok(Action::on_host(Wait { condition, present, timeout: arguments.number("timeout")?.unwrap_or(300) }))
    }
}

/// The condition to wait for.
enum Condition {
    /// A socket of the host listens on this TCP port.
    Listening(u16),
    /// This host accepts connections on this TCP port, seen from the task's host.
    Answering(String, u16),
    /// This path exists.
    Path(String),
}

/// A wait for a condition.
struct Wait {
    /// The condition.
    condition: Condition,
    /// Set to wait until the condition holds; not set to wait until it does not.
    present: bool,
    /// The timeout in seconds.
    timeout: u64,
}

/// The script's exit code after the timeout.
const TIMED_OUT: u32 = 75;

impl Wait {
    /// Returns the script for the host.
    fn script(&self) -> Result<String, shlex::QuoteError> {
        let look = match &self.condition {
            // The kernel lists every socket with its port in hexadecimal, and 0A for one that listens (proc(5)).
            Condition::Listening(port) => format!(
                "look() {{ cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | \
                 while read -r _ local _ state _; do case \"$state ${{local##*:}}\" in '0A {port:04X}') echo y; break ;; esac; done | \
                 {{ read -r _; }}; }}"
            ),
            // sh has no sockets; bash has.
            Condition::Answering(host, port) => format!(
                "command -v bash >/dev/null || {{ echo 'bash is needed to test a port of another host' >&2; exit 1; }}\n\
                 look() {{ timeout 5 bash -c ': < \"/dev/tcp/$0/$1\"' {} {port} 2>/dev/null; }}",
                shlex::try_quote(host)?
            ),
            Condition::Path(path) => format!("look() {{ [ -e {} ]; }}", quote_expanding(path)?),
        };
        let done = if self.present { "look" } else { "! look" };
        Ok(format!(
            "{look}\nread -r now _ < /proc/uptime; end=$((${{now%.*}} + {}))\n\
             while :; do\n  if {done}; then exit 0; fi\n  read -r now _ < /proc/uptime\n  \
             [ \"${{now%.*}}\" -lt \"$end\" ] || exit {TIMED_OUT}\n  sleep 0.2\ndone\n",
            self.timeout
        ))
    }

    /// Describes the condition, for messages.
    fn description(&self) -> String {
        let condition = match &self.condition {
            Condition::Listening(port) => format!("port {port}"),
            Condition::Answering(host, port) => format!("{host}:{port}"),
            Condition::Path(path) => path.clone(),
        };
        format!("{condition} to be {}", if self.present { "there" } else { "gone" })
    }
}

#[async_trait::async_trait]
impl HostAction for Wait {
    async fn run(&self, connection: &HostConnection<'_>) -> Result<Outcome, Outcome> {
        if connection.check {
            let message = "not checked: the condition may depend on changes that a check does not make";
            return Ok(Outcome::not_checked(Vars::from_iter([("msg".to_owned(), message.into())])));
        }
        let script = self.script().map_err(unquotable)?;
        let limit = Duration::from_secs(self.timeout.saturating_add(30));
        match connection.exec(script, Vec::new(), Some(limit)).await? {
            (Exit::Code(0), _) => Ok(Outcome::done(false, Vars::new())),
            (Exit::Code(TIMED_OUT), _) => {
                let what = format!("timed out after {} s waiting for {}", self.timeout, self.description());
                Err(Outcome::failed(what))
            }
            (_, output) => Err(Outcome::failed(reason(&output.stderr))),
        }
    }
}
