//! Waiting on a host for a port or a file: the script that polls until it is there or gone.

use super::shell_expand::quote_expanding;

/// The condition to wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// A socket of the host listens on this TCP port.
    Listening(u16),
    /// This host accepts connections on this TCP port, seen from the task's host.
    Answering(String, u16),
    /// This path exists.
    Path(String),
}

/// A wait for a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// The condition.
    pub condition: Condition,
    /// Set to wait until the condition holds; not set to wait until it does not.
    pub present: bool,
    /// The timeout in seconds.
    pub timeout: u64,
}

/// The script's exit code after the timeout.
pub const TIMED_OUT: u32 = 75;

impl Wait {
    /// Returns the script for the host.
    pub fn script(&self) -> Result<String, shlex::QuoteError> {
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
    pub fn description(&self) -> String {
        let condition = match &self.condition {
            Condition::Listening(port) => format!("port {port}"),
            Condition::Answering(host, port) => format!("{host}:{port}"),
            Condition::Path(path) => path.clone(),
        };
        format!("{condition} to be {}", if self.present { "there" } else { "gone" })
    }
}
