//! Waiting on a host for a port or a file: the script that looks until it is there.

use super::word::expanded;

/// What to wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goal {
    /// A socket of the host itself listens on this TCP port.
    Listening(u16),
    /// This host and TCP port answer, seen from the host.
    Answering(String, u16),
    /// This path is there.
    Path(String),
}

/// Something to wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// What.
    pub goal: Goal,
    /// Whether it is to be there, or gone.
    pub present: bool,
    /// How long at most, in seconds.
    pub timeout: u64,
}

/// The script's exit code when time ran out.
pub const TIMED_OUT: u32 = 75;

impl Wait {
    /// Returns the line for the login shell.
    pub fn command(&self) -> Result<String, shlex::QuoteError> {
        let look = match &self.goal {
            // The kernel lists every socket with its port in hexadecimal, and 0A for one that listens (proc(5)).
            Goal::Listening(port) => format!(
                "look() {{ cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | \
                 while read -r _ local _ state _; do case \"$state ${{local##*:}}\" in '0A {port:04X}') echo y; break ;; esac; done | \
                 {{ read -r _; }}; }}"
            ),
            // sh has no sockets; bash has.
            Goal::Answering(host, port) => format!(
                "command -v bash >/dev/null || {{ echo 'to look at another host this one needs bash' >&2; exit 1; }}\n\
                 look() {{ timeout 5 bash -c ': < \"/dev/tcp/$0/$1\"' {} {port} 2>/dev/null; }}",
                shlex::try_quote(host)?
            ),
            Goal::Path(path) => format!("look() {{ [ -e {} ]; }}", expanded(path)?),
        };
        let done = if self.present { "look" } else { "! look" };
        let script = format!(
            "{look}\nread -r now _ < /proc/uptime; end=$((${{now%.*}} + {}))\n\
             while :; do\n  if {done}; then exit 0; fi\n  read -r now _ < /proc/uptime\n  \
             [ \"${{now%.*}}\" -lt \"$end\" ] || exit {TIMED_OUT}\n  sleep 0.2\ndone\n",
            self.timeout
        );
        Ok(format!("exec sh -c {}", shlex::try_quote(&script)?))
    }

    /// Says what is waited for.
    pub fn what(&self) -> String {
        let goal = match &self.goal {
            Goal::Listening(port) => format!("port {port}"),
            Goal::Answering(host, port) => format!("{host}:{port}"),
            Goal::Path(path) => path.clone(),
        };
        format!("{goal} to be {}", if self.present { "there" } else { "gone" })
    }
}
