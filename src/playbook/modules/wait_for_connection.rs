//! `wait_for_connection`: waits until the host can be reached.

use std::time::Duration;
use std::time::Instant;

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
use crate::playbook::outcome::Status;
use crate::remote::Exit;

/// Waits for a host.
pub(super) struct WaitForConnection;

static SPEC: Spec = Spec::new(
    "wait_for_connection",
    &["ansible.builtin", "ansible.legacy"],
    "Waits until the host can be reached and runs commands.",
    &[
        Parameter::new("timeout", Kind::Number, "The longest wait in seconds (default: 600)."),
        Parameter::new("delay", Kind::Number, "The seconds before the first attempt (default: 0)."),
        Parameter::new("sleep", Kind::Number, "The seconds between attempts (default: 1)."),
        Parameter::new("connect_timeout", Kind::Number, "The longest wait for one answer in seconds (default: 5)."),
    ],
);

impl Module for WaitForConnection {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        let seconds = |name: &str, default| arguments.number(name).map(|it| Duration::from_secs(it.unwrap_or(default)));
        Ok(Action::on_host(Wait {
            timeout: seconds("timeout", 600)?,
            delay: seconds("delay", 0)?,
            sleep: seconds("sleep", 1)?,
            answer: seconds("connect_timeout", 5)?,
        }))
    }
}

/// A wait for a host.
struct Wait {
    timeout: Duration,
    delay: Duration,
    sleep: Duration,
    answer: Duration,
}

#[async_trait::async_trait]
impl HostAction for Wait {
    async fn run(&self, connection: &HostConnection<'_>) -> Result<Outcome, Outcome> {
        let started = Instant::now();
        if !connection.check {
            tokio::time::sleep(self.delay).await;
            if let Err(why) = until_answered(connection, "true", self.timeout, self.sleep, self.answer).await {
                let elapsed = started.elapsed().as_secs();
                let mut outcome = Outcome::failed(format!("timed out waiting for ping module test: {why}"));
                outcome.detail.insert("elapsed".to_owned(), elapsed.into());
                return Err(outcome);
            }
        }
        Ok(Outcome::done(false, Vars::from_iter([("elapsed".to_owned(), started.elapsed().as_secs().into())])))
    }
}

/// Runs a script on the host until it succeeds. Returns the last failure when the time is over.
pub(super) async fn until_answered(
    connection: &HostConnection<'_>,
    script: &str,
    timeout: Duration,
    pause: Duration,
    answer: Duration,
) -> Result<String, String> {
    let end = tokio::time::Instant::now() + timeout;
    loop {
        let why = match connection.exec(script.to_owned(), Some(answer)).await {
            Ok((Exit::Code(0), output)) => return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
            Ok(_) => "the host runs no commands yet".to_owned(),
            Err(outcome) => failure(&outcome),
        };
        if tokio::time::Instant::now() + pause >= end {
            return Err(why);
        }
        // The connection may be that of a host that has gone down.
        connection.remote.forget(&connection.target).await;
        tokio::time::sleep(pause).await;
    }
}

fn failure(outcome: &Outcome) -> String {
    debug_assert!(matches!(outcome.status, Status::Failed | Status::Unreachable));
    outcome.detail.get("msg").and_then(serde_json::Value::as_str).unwrap_or("no answer").to_owned()
}
