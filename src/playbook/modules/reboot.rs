//! `reboot`: boots the host again and waits until it is back.

use std::time::Duration;
use std::time::Instant;

use super::Arguments;
use super::Module;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use super::wait_for_connection::until_answered;
use crate::inventory::Vars;
use crate::playbook::action::Action;
use crate::playbook::action::HostAction;
use crate::playbook::host_connection::HostConnection;
use crate::playbook::host_connection::reason;
use crate::playbook::host_connection::unquotable;
use crate::playbook::outcome::Outcome;
use crate::remote::Connection;
use crate::remote::Exit;

/// Reboots a host.
pub(super) struct Reboot;

static SPEC: Spec = Spec::new(
    "reboot",
    &["ansible.builtin", "ansible.legacy"],
    "Boots the host again and waits until it is back.",
    &[
        Parameter::new("reboot_timeout", Kind::Number, "The longest wait for the host in seconds (default: 600).")
            .or(&["reboot_timeout_sec"]),
        Parameter::new("pre_reboot_delay", Kind::Number, "The seconds before it goes down (default: 0).")
            .or(&["pre_reboot_delay_sec"]),
        Parameter::new("post_reboot_delay", Kind::Number, "The seconds to wait after it is back (default: 0).")
            .or(&["post_reboot_delay_sec"]),
        Parameter::new("connect_timeout", Kind::Number, "The longest wait for one answer in seconds (default: 5).")
            .or(&["connect_timeout_sec"]),
        Parameter::new("test_command", Kind::Text, "The command that must succeed afterwards (default: whoami)."),
        Parameter::new("boot_time_command", Kind::Text, "The command whose output differs after a boot."),
        Parameter::new("reboot_command", Kind::Text, "The command that reboots (default: shutdown -r)."),
        Parameter::new("msg", Kind::Text, "What users of the host are told."),
        Parameter::new("search_paths", Kind::List, "The directories with shutdown."),
    ],
);

/// The id of the boot of the kernel.
const BOOT_ID: &str = "cat /proc/sys/kernel/random/boot_id";
/// The time between two looks.
const PAUSE: Duration = Duration::from_secs(1);

impl Module for Reboot {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        let seconds = |name: &str, default| arguments.number(name).map(|it| Duration::from_secs(it.unwrap_or(default)));
        let text = |name: &str, default: &str| {
            Ok::<_, String>(arguments.non_empty(name)?.unwrap_or_else(|| default.to_owned()))
        };
        Ok(Action::on_host(Restart {
            timeout: seconds("reboot_timeout", 600)?,
            before: seconds("pre_reboot_delay", 0)?,
            after: seconds("post_reboot_delay", 0)?,
            answer: seconds("connect_timeout", 5)?,
            test: text("test_command", "whoami")?,
            boot: text("boot_time_command", BOOT_ID)?,
            command: arguments.non_empty("reboot_command")?,
            message: text("msg", "Reboot initiated by Ansible")?,
            folders: arguments.list("search_paths")?.unwrap_or_default(),
        }))
    }
}

/// A reboot.
struct Restart {
    timeout: Duration,
    before: Duration,
    after: Duration,
    answer: Duration,
    test: String,
    boot: String,
    command: Option<String>,
    message: String,
    folders: Vec<String>,
}

#[async_trait::async_trait]
impl HostAction for Restart {
    async fn run(&self, connection: &HostConnection<'_>) -> Result<Outcome, Outcome> {
        let started = Instant::now();
        if connection.target.connection == Connection::Local {
            return Err(outcome(false, started, "Running reboot with local connection would reboot the control node."));
        }
        if connection.check {
            return Ok(result(started));
        }
        let (exit, output) = connection.exec(self.boot.clone(), Some(self.answer.max(PAUSE * 10))).await?;
        if exit != Exit::Code(0) {
            return Err(Outcome::failed(format!(
                "failed to get the time of the last boot: {}",
                reason(&output.stderr)
            )));
        }
        let old = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let script = self.script().map_err(unquotable)?;
        // The host may go down before it answers.
        if let Ok((Exit::Code(code), output)) = connection.exec(script, Some(Duration::from_mins(1))).await
            && code != 0
        {
            return Err(Outcome::failed(format!("Reboot command failed: {}", reason(&output.stderr))));
        }
        tokio::time::sleep(self.before).await;
        self.wait_for_boot(connection, &old).await.map_err(|why| outcome(true, started, &why))?;
        tokio::time::sleep(self.after).await;
        until_answered(connection, &self.test, self.timeout, PAUSE, self.answer)
            .await
            .map_err(|why| outcome(true, started, &format!("Timed out waiting for post-reboot test command: {why}")))?;
        Ok(result(started))
    }
}

impl Restart {
    /// Waits until the host has another boot id.
    async fn wait_for_boot(&self, connection: &HostConnection<'_>, old: &str) -> Result<(), String> {
        let end = tokio::time::Instant::now() + self.timeout;
        loop {
            connection.remote.forget(&connection.target).await;
            let left = end.saturating_duration_since(tokio::time::Instant::now());
            let now = until_answered(connection, &self.boot, left, PAUSE, self.answer).await;
            match now {
                Ok(now) if now != old => return Ok(()),
                Ok(_) if left > PAUSE => tokio::time::sleep(PAUSE).await,
                Ok(_) => return Err("Timed out waiting for last boot time check: the host did not go down".to_owned()),
                Err(why) => return Err(format!("Timed out waiting for last boot time check: {why}")),
            }
        }
    }

    /// Returns the script that reboots. It ends before the host goes down.
    fn script(&self) -> Result<String, shlex::QuoteError> {
        let minutes = self.before.as_secs() / 60;
        let when = if minutes == 0 { "now".to_owned() } else { format!("+{minutes}") };
        let usual = format!("shutdown -r {when} {}", shlex::try_quote(&self.message)?);
        let command = self.command.as_ref().unwrap_or(&usual);
        let folders = self.folders.iter().map(|folder| format!("{folder}:")).collect::<String>();
        Ok(format!(
            "PATH={}$PATH:/usr/sbin:/sbin\nexport PATH\n{command}\n",
            if folders.is_empty() { String::new() } else { shlex::try_quote(&folders)?.into_owned() }
        ))
    }
}

fn result(started: Instant) -> Outcome {
    let elapsed = started.elapsed().as_secs();
    Outcome::done(true, Vars::from_iter([("rebooted".to_owned(), true.into()), ("elapsed".to_owned(), elapsed.into())]))
}

fn outcome(rebooted: bool, started: Instant, why: &str) -> Outcome {
    let mut outcome = Outcome::failed(why);
    outcome.changed = rebooted;
    outcome.detail.insert("rebooted".to_owned(), rebooted.into());
    outcome.detail.insert("elapsed".to_owned(), started.elapsed().as_secs().into());
    outcome
}
