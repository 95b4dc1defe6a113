//! `muster notify`: the receivers of alerts.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::join_all;

use super::Context;
use super::error::CommandError;
use super::error::CommandResult;
use super::error::ExitStatus;
use super::settings::ReceiverSetting;
use crate::core::alert::Message;
use crate::core::similar::similar;
use crate::inventory::Inventory;
use crate::inventory::Vars;
use crate::notify::Receivers;
use crate::runner::Clock;
use crate::store::layout;
use crate::ui;

/// Test the receivers of alerts, or show what they were told
///
/// The receivers are the `[[notify]]` tables of muster.toml: docs/alerts.md.
#[derive(Debug, clap::Subcommand)]
pub(super) enum NotifyCommand {
    /// Send a test to each receiver, and print the answers
    ///
    /// The exit code is 1 if a receiver has not taken the test.
    Test(TestArgs),
    /// List the problems that receivers were told about and that have not ended
    List,
}

#[derive(Debug, clap::Args)]
pub(super) struct TestArgs {
    /// Send the test to this receiver only (can be repeated)
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

/// Runs `muster notify`.
pub(super) async fn run(context: &Context, command: &NotifyCommand) -> CommandResult {
    match command {
        NotifyCommand::Test(args) => test(context, &args.names).await,
        NotifyCommand::List => list(context).await,
    }
}

async fn test(context: &Context, names: &[String]) -> CommandResult {
    let receivers = context.receivers()?;
    if receivers.is_empty() {
        let error = CommandError::usage("no receiver of alerts is set");
        return Err(error.hint("Add a `[[notify]]` table to muster.toml: docs/alerts.md."));
    }
    if let Some(name) = names.iter().find(|name| !receivers.contains_key(*name)) {
        let error = CommandError::usage(format!("there is no receiver {name:?}"));
        let likely = similar(name, receivers.keys().map(String::as_str)).into_iter().next();
        return Err(error.maybe_hint(likely.map(|likely| format!("Did you mean `{likely}`?"))));
    }
    let chosen = receivers.iter().filter(|(name, _)| names.is_empty() || names.contains(name));
    let tests = chosen.map(async |(name, receiver)| {
        let message = Message::test(&context.settings.token, name, Clock::start().now());
        (name, receiver.deliver(&message).await)
    });
    let answers = join_all(tests).await;
    for (name, answer) in &answers {
        let (Ok(text) | Err(text)) = answer;
        let mark = if answer.is_ok() { "sent" } else { "not sent" };
        ui::result(&ui::clean(&format!("{name}: {mark}: {text}\n")));
    }
    Ok(if answers.iter().all(|(_, answer)| answer.is_ok()) { ExitStatus::Done } else { ExitStatus::Failed })
}

async fn list(context: &Context) -> CommandResult {
    let ledgers = layout::read_ledgers(&*context.known_store().await?, &context.keys()?).await?;
    let lines = ledgers.iter().flat_map(|(receiver, ledger)| {
        ledger.open().map(move |incident| {
            let notice = &incident.notice;
            format!("{receiver}: since {}: {} [{}]\n", ui::time(notice.since), notice.text, notice.id)
        })
    });
    ui::result(&ui::clean(&lines.collect::<String>()));
    Ok(ExitStatus::Done)
}

impl Context {
    /// Returns the receivers of alerts that the settings name. The inventory is read if one of them names groups.
    pub(super) fn receivers(&self) -> Result<Receivers, CommandError> {
        let settings = &self.settings.receivers;
        let inventory = match settings.iter().find(|setting| !setting.groups.is_empty()) {
            Some(setting) if self.settings.inventory.is_empty() => {
                let error = CommandError::usage(format!("{}: `groups` needs an inventory", setting.place));
                return Err(error.hint("Name one with `--inventory`, or with `inventory` in muster.toml."));
            }
            Some(_) => Some(self.hosts(None, &Vars::new())?),
            None => None,
        };
        let mut receivers = Receivers::new();
        for setting in settings {
            if setting.is_exposed {
                ui::warn(&format!("{}: other users can read its secret in this file", setting.place));
                ui::hint("`chmod o-r` the file, or put the secret into a file that `url-file` or `token-file` names.");
            }
            let machines = inventory.as_ref().map(|inventory| machines_of(setting, inventory)).transpose()?.flatten();
            receivers.insert(setting.name.clone(), Arc::new(setting.receiver(machines)?));
        }
        Ok(receivers)
    }
}

/// Returns the machines of the groups of a receiver; `None` if it names no group.
fn machines_of(setting: &ReceiverSetting, inventory: &Inventory) -> Result<Option<BTreeSet<String>>, CommandError> {
    let mut machines = BTreeSet::new();
    for name in &setting.groups {
        let Some(group) = inventory.groups.get(name) else {
            let error = CommandError::usage(format!("{}: the inventory has no group {name:?}", setting.place));
            return Err(error.hint("`muster inventory graph` shows the groups."));
        };
        machines.extend(group.hosts.iter().cloned());
    }
    Ok(Some(machines).filter(|_| !setting.groups.is_empty()))
}
