//! `wait_for`: waits on a host until a port or a file is there, is gone, or has a text in it.

use std::time::Duration;

use serde_json::Value;
use serde_json::json;
use tokio::time::Instant;

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
use crate::playbook::host_script::HostScript;
use crate::playbook::outcome::Outcome;
use crate::playbook::shell_expand::quote_expanding;
use crate::playbook::template::python_regex;
use crate::playbook::template::python_regex::Pattern;
use crate::remote::Exit;

/// Waits for a condition.
pub(super) struct WaitFor;

static SPEC: Spec = Spec::new(
    "wait_for",
    &["ansible.builtin"],
    "Waits until a port or a file is there, is gone, or has a text in it.",
    &[
        Parameter::new("host", Kind::Text, "The host of the port (default: the host itself)."),
        Parameter::new("port", Kind::Number, "The TCP port."),
        Parameter::new("path", Kind::Text, "The path of the file."),
        Parameter::new(
            "state",
            Kind::Choice(&["started", "present", "stopped", "absent", "drained"]),
            "Whether it is to be there or gone, or the port without connections (default: started).",
        ),
        Parameter::new("search_regex", Kind::Text, "What the file has in it, or what the port sends first."),
        Parameter::new("delay", Kind::Number, "Seconds before the first look (default: 0)."),
        Parameter::new("sleep", Kind::Number, "Seconds between two looks (default: 1)."),
        Parameter::new("connect_timeout", Kind::Number, "The longest time in seconds for one connection (default: 5)."),
        Parameter::new("timeout", Kind::Number, "The longest wait in seconds (default: 300)."),
        Parameter::new("msg", Kind::Text, "What is printed after the timeout."),
    ],
)
.excludes(&[&["port", "path"]]);

impl Module for WaitFor {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        let host = arguments.non_empty("host")?.unwrap_or_else(|| "127.0.0.1".to_owned());
        let subject = match (arguments.number("port")?, arguments.non_empty("path")?) {
            (Some(port), None) => {
                let port = u16::try_from(port).ok().filter(|port| *port > 0);
                Subject::Port(host, port.ok_or("`port` must be from 1 to 65535")?)
            }
            (None, Some(path)) => Subject::Path(path),
            (None, None) => Subject::Time,
            (Some(_), Some(_)) => return Err("port and path parameter can not both be passed to wait_for".to_owned()),
        };
        let word = arguments.text("state")?.unwrap_or_else(|| "started".to_owned());
        let state = match word.as_str() {
            "started" | "present" => State::There,
            "absent" | "stopped" => State::Gone,
            // It fails when it runs, and not in a check.
            "drained" if matches!(subject, Subject::Path(_)) => State::Drained,
            "drained" if matches!(&subject, Subject::Port(host, _) if is_here(host)) => State::Drained,
            "drained" => return Err("`drained` is for a port of the host itself".to_owned()),
            other => return Err(format!("`state` must be started, present, stopped or absent, not `{other}`")),
        };
        let search = arguments.non_empty("search_regex")?.map(|regex| {
            let flags = python_regex::Flags { multiline: true, ..python_regex::Flags::default() };
            python_regex::compile(&regex, flags).map(|pattern| (regex, pattern))
        });
        let seconds = |name: &str, default| Ok::<_, String>(arguments.number(name)?.unwrap_or(default));
        Ok(Action::on_host(Wait {
            subject,
            state,
            word,
            search: search.transpose()?,
            delay: seconds("delay", 0)?,
            sleep: seconds("sleep", 1)?,
            connect_timeout: seconds("connect_timeout", 5)?,
            timeout: seconds("timeout", 300)?,
            message: arguments.text("msg")?,
        }))
    }
}

/// What is waited for.
enum Subject {
    /// This TCP port of this host, as seen from the task's host.
    Port(String, u16),
    /// This path.
    Path(String),
    /// Nothing but the time.
    Time,
}

/// What it is to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    There,
    Gone,
    /// The port has no connections.
    Drained,
}

/// A wait for a condition.
struct Wait {
    subject: Subject,
    state: State,
    /// How the task names the state.
    word: String,
    /// What is searched in the file or in what the port sends.
    search: Option<(String, Pattern)>,
    /// The times in seconds.
    delay: u64,
    sleep: u64,
    connect_timeout: u64,
    timeout: u64,
    message: Option<String>,
}

/// The script's exit code if the time is over.
const TIMED_OUT: u32 = 75;

/// The states of a TCP socket in proc(5): one that listens, and those of a connection.
const LISTENING: &str = "0A";
const CONNECTED: &str = "0[1-6]";

/// Reports whether a name stands for the host itself.
fn is_here(host: &str) -> bool {
    matches!(host, "127.0.0.1" | "localhost" | "::1")
}

impl Wait {
    /// Returns what is searched. As in Ansible, nothing is searched in what is to be gone.
    fn searched(&self) -> Option<&(String, Pattern)> {
        self.search.as_ref().filter(|_| self.state == State::There)
    }

    /// Returns how long it looks after the delay, which is a part of the whole time.
    const fn left(&self) -> u64 {
        self.timeout.saturating_sub(self.delay)
    }

    /// Returns the lines of shell that define `look`: whether the condition holds.
    fn look(&self) -> Result<String, shlex::QuoteError> {
        Ok(match &self.subject {
            Subject::Time => "look() { false; }".to_owned(),
            Subject::Path(path) => format!("look() {{ [ -e {} ]; }}", quote_expanding(path)?),
            // The kernel lists every socket with its port in hexadecimal.
            Subject::Port(host, port) if is_here(host) => {
                let state = if self.state == State::Drained { CONNECTED } else { LISTENING };
                format!(
                    "look() {{ cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | while read -r _ local _ state _; do \
                     case \"$state ${{local##*:}}\" in {state}\\ {port:04X}) echo y; break ;; esac; done | \
                     {{ read -r _; }}; }}"
                )
            }
            // sh has no sockets; bash has.
            Subject::Port(host, port) => format!(
                "{NEEDS_BASH}\nlook() {{ timeout {} bash -c ': < \"/dev/tcp/$0/$1\"' {} {port} 2>/dev/null; }}",
                self.connect_timeout,
                shlex::try_quote(host)?
            ),
        })
    }

    /// Returns the script that looks until the condition holds.
    fn script(&self) -> Result<String, shlex::QuoteError> {
        let done = if self.state == State::There { "look" } else { "! look" };
        Ok(format!(
            "{}\nread -r now _ < /proc/uptime; end=$((${{now%.*}} + {}))\n\
             while :; do\n  if {done}; then exit 0; fi\n  read -r now _ < /proc/uptime\n  \
             [ \"${{now%.*}}\" -lt \"$end\" ] || exit {TIMED_OUT}\n  sleep {}\ndone\n",
            self.look()?,
            self.left(),
            // A short wait must not be late.
            if self.sleep == 1 { "0.2".to_owned() } else { self.sleep.to_string() },
        ))
    }

    /// Returns the script that prints what is searched.
    fn content(&self) -> Result<String, shlex::QuoteError> {
        Ok(match &self.subject {
            Subject::Path(path) => format!("cat {} 2>/dev/null || :", quote_expanding(path)?),
            Subject::Port(host, port) => format!(
                "{NEEDS_BASH}\ntimeout {} bash -c 'exec 3<> \"/dev/tcp/$0/$1\" && dd bs=65536 count=1 <&3' {} {port} \
                 2>/dev/null || :",
                self.connect_timeout,
                shlex::try_quote(host)?
            ),
            Subject::Time => ":".to_owned(),
        })
    }

    /// Looks for the text until it is there, and returns the groups of the pattern: all of them, and those with a name.
    async fn search(&self, pattern: &Pattern, connection: &HostConnection<'_>) -> Result<Groups, Outcome> {
        let (script, end) = (self.content().map_err(unquotable)?, Instant::now() + Duration::from_secs(self.left()));
        loop {
            let limit = Duration::from_secs(self.connect_timeout.saturating_add(30));
            let (exit, output) = connection.exec(script.clone(), Some(limit)).await?;
            if exit != Exit::Code(0) {
                return Err(Outcome::failed(reason(&output.stderr)));
            }
            let text = String::from_utf8_lossy(&output.stdout);
            if let Some(found) = pattern.find(&text, 0).map_err(Outcome::failed)? {
                let group = |number| Value::from(found.text(&text, number));
                let named = pattern.named_groups().map(|(name, number)| (name.to_owned(), group(number)));
                return Ok(((1..=pattern.groups()).map(group).collect(), named.collect()));
            }
            if Instant::now() >= end {
                return Err(self.timed_out());
            }
            tokio::time::sleep(Duration::from_secs(self.sleep).min(end - Instant::now())).await;
        }
    }

    fn timed_out(&self) -> Outcome {
        let what = match &self.subject {
            Subject::Port(host, port) => format!("{host}:{port}"),
            Subject::Path(path) => format!("file {path}"),
            Subject::Time => String::new(),
        };
        let why = match (self.searched(), self.state) {
            (Some((regex, _)), _) => format!("search string {regex} in {}", what.trim_start_matches("file ")),
            (None, State::There) => what,
            (None, State::Gone) if matches!(self.subject, Subject::Path(_)) => {
                format!("{} to be absent.", what.trim_start_matches("file "))
            }
            (None, State::Gone) => format!("{what} to stop."),
            (None, State::Drained) => format!("{what} to drain"),
        };
        let message = self.message.clone().unwrap_or_else(|| format!("Timeout when waiting for {why}"));
        let failed = Outcome::failed(message);
        let mut detail = failed.detail.clone();
        detail.insert("elapsed".to_owned(), self.timeout.max(self.delay).into());
        Outcome { detail, ..failed }
    }

    /// Returns the result of a wait that took this long.
    fn result(&self, elapsed: Duration, (groups, named): Groups) -> Vars {
        let (port, path) = match &self.subject {
            Subject::Port(_, port) => (Some(*port), None),
            Subject::Path(path) => (None, Some(path)),
            Subject::Time => (None, None),
        };
        let result = json!({
            "elapsed": elapsed.as_secs(), "match_groupdict": named, "match_groups": groups, "path": path, "port": port,
            "search_regex": self.search.as_ref().map(|(regex, _)| regex), "state": self.word,
        });
        result.as_object().cloned().unwrap_or_default()
    }

    /// Waits, and returns the groups of what was searched.
    async fn wait(&self, connection: &HostConnection<'_>) -> Result<Groups, Outcome> {
        if matches!(self.subject, Subject::Path(_)) && matches!(self.word.as_str(), "stopped" | "drained") {
            let word = &self.word;
            let why = format!("state={word} should only be used for checking a port in the wait_for module");
            return Err(Outcome::failed(why));
        }
        tokio::time::sleep(Duration::from_secs(self.delay)).await;
        if matches!(self.subject, Subject::Time) {
            tokio::time::sleep(Duration::from_secs(self.timeout)).await;
            return Ok(Groups::default());
        }
        if self.left() == 0 {
            return Err(self.timed_out());
        }
        if let Some((_, pattern)) = self.searched() {
            return self.search(pattern, connection).await;
        }
        let script = self.script().map_err(unquotable)?;
        let limit = Duration::from_secs(self.timeout.saturating_add(30));
        match connection.exec(script, Some(limit)).await? {
            (Exit::Code(0), _) => Ok(Groups::default()),
            (Exit::Code(TIMED_OUT), _) => Err(self.timed_out()),
            (_, output) => Err(Outcome::failed(reason(&output.stderr))),
        }
    }
}

/// The groups of a match: all of them, and those with a name.
type Groups = (Vec<Value>, Vars);

/// Describes the file at the end.
const DESCRIBE: &str = "describe \"$path\"\nsay path \"$path\"\n";

/// Says what is missing on a host without bash.
const NEEDS_BASH: &str =
    "command -v bash >/dev/null || { echo 'bash is needed to test a port of another host' >&2; exit 1; }";

#[async_trait::async_trait]
impl HostAction for Wait {
    async fn run(&self, connection: &HostConnection<'_>) -> Result<Outcome, Outcome> {
        if connection.check {
            let message = "not checked: the condition may depend on changes that a check does not make";
            return Ok(Outcome::not_checked(Vars::from_iter([("msg".to_owned(), message.into())])));
        }
        let begun = Instant::now();
        let groups = self.wait(connection).await?;
        let mut result = self.result(begun.elapsed(), groups);
        if let Subject::Path(path) = &self.subject {
            let report = HostScript::new(DESCRIBE).path("path", path).run(connection).await?;
            result.extend(report.vars(&["path"]));
        }
        Ok(Outcome::done(false, result))
    }
}
