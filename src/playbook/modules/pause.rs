//! `pause`: waits for some time, or for the operator.

use std::io::IsTerminal as _;
use std::io::Write as _;
use std::time::Duration;

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
use crate::playbook::outcome::Outcome;

/// Waits.
pub(super) struct Pause;

static SPEC: Spec = Spec::new(
    "pause",
    &["ansible.builtin", "ansible.legacy"],
    "Waits for some time, or until the operator presses return. It runs once for all hosts.",
    &[
        Parameter::new("seconds", Kind::Any, "How many seconds it waits."),
        Parameter::new("minutes", Kind::Any, "How many minutes it waits."),
        Parameter::new("prompt", Kind::Text, "What the operator is asked."),
        Parameter::new("echo", Kind::Flag, "Whether the answer is shown while it is typed (default: true)."),
    ],
)
.excludes(&[&["seconds", "minutes"]]);

impl Module for Pause {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn runs_once(&self) -> bool {
        true
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        let count = |name: &str| -> Result<Option<u64>, String> {
            let Some(text) = arguments.non_empty(name)? else { return Ok(None) };
            // As in Ansible, a part of a second or of a minute does not count.
            let count = text.parse::<f64>().ok().filter(|count| count.is_finite()).map(|count| count.max(0.0).trunc());
            let count = count.and_then(|count| Duration::try_from_secs_f64(count).ok()).map(|time| time.as_secs());
            count.map(Some).ok_or_else(|| format!("`{name}` must be a number, not `{text}`"))
        };
        let (minutes, seconds) = (count("minutes")?, count("seconds")?);
        let in_minutes = minutes.is_some();
        let limit = minutes.map(|minutes| minutes.saturating_mul(60)).or(seconds).map(|seconds| seconds.max(1));
        let prompt = arguments.non_empty("prompt")?;
        let echo = arguments.flag("echo")?.unwrap_or(true);
        Ok(Action::on_host(Waiting { limit, in_minutes, prompt, echo }))
    }
}

struct Waiting {
    /// How many seconds it waits, if it does not wait for the operator.
    limit: Option<u64>,
    /// Whether the time is said in minutes.
    in_minutes: bool,
    prompt: Option<String>,
    echo: bool,
}

impl Waiting {
    /// Says how long it took, as Python writes a number.
    fn report(&self, time: Duration) -> String {
        let (count, unit) = if self.in_minutes || self.limit.is_none() {
            (time.as_secs_f64() / 60.0, "minutes")
        } else {
            (time.as_secs_f64(), "seconds")
        };
        format!("Paused for {:?} {unit}", (count * 100.0).round() / 100.0)
    }

    /// Asks the operator and returns the answer. Without a terminal there is nothing to wait for, as with Ansible.
    async fn ask(&self) -> Result<String, String> {
        if !std::io::stdin().is_terminal() {
            return Ok(String::new());
        }
        let question = self.prompt.clone().unwrap_or_else(|| "Press enter to continue, Ctrl+C to interrupt".to_owned());
        let echo = self.echo;
        let ask = move || {
            if !echo {
                return rpassword::prompt_password(format!("{question}:\n"));
            }
            std::io::stderr().write_all(format!("{question}:\n").as_bytes())?;
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).map(|_| line)
        };
        let answer = tokio::task::spawn_blocking(ask).await.map_err(|error| error.to_string())?;
        answer.map(|line| line.trim_end().to_owned()).map_err(|error| format!("cannot ask: {error}"))
    }
}

#[async_trait::async_trait]
impl HostAction for Waiting {
    fn notice(&self) -> Option<String> {
        let hidden = if self.echo { "" } else { " (output is hidden)" };
        self.limit.map(|limit| format!("Pausing for {limit} seconds{hidden}"))
    }

    async fn run(&self, connection: &HostConnection<'_>) -> Result<Outcome, Outcome> {
        let begun = Instant::now();
        let mut detail = Vars::from_iter([("user_input".to_owned(), "".into()), ("echo".to_owned(), self.echo.into())]);
        match self.limit {
            Some(limit) if !connection.check => tokio::time::sleep(Duration::from_secs(limit)).await,
            Some(_) => {}
            None => match self.ask().await {
                Ok(answer) => drop(detail.insert("user_input".to_owned(), answer.into())),
                Err(why) => return Err(Outcome::failed(why)),
            },
        }
        let time = begun.elapsed();
        detail.insert("stdout".to_owned(), self.report(time).into());
        detail.insert("stderr".to_owned(), "".into());
        detail.insert("rc".to_owned(), 0.into());
        detail.insert("delta".to_owned(), time.as_secs().into());
        Ok(Outcome::done(false, detail))
    }
}
