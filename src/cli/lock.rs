//! `muster lock`: who may change hosts, and how to take that away from somebody who hangs.

use serde_json::json;

use super::Context;
use super::error::CommandResult;
use super::error::ExitStatus;
use crate::remote::ssh;
use crate::store::leader_election;
use crate::ui;

#[derive(Debug, clap::Subcommand)]
pub(super) enum LockCommand {
    /// Show who leads, where, since when and with which number
    Show {
        /// Print as JSON
        #[arg(long, short = 'o', value_name = "FORMAT", value_parser = ["json"])]
        output: Option<String>,
    },
    /// Take the lead away from whoever has it
    ///
    /// For a command or a controller that hangs, or whose host cannot be reached and must not come back as the leader.
    /// The store takes nothing more from it, and hosts turn it away as soon as the next leader has looked at them. One
    /// that is well and wants to lead takes the lead again.
    Take {
        /// Why, for the event log
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

/// Runs `muster lock`.
pub(super) async fn run(context: &Context, command: LockCommand) -> CommandResult {
    let (store, keys) = (context.store().await?, context.keys()?);
    match command {
        LockCommand::Show { output } => {
            let holder = leader_election::holder(&store, &keys).await?;
            match (output, holder) {
                (Some(_), holder) => ui::json(&holder.map(|holder| {
                    let (kind, age) = (holder.kind, holder.age().as_secs());
                    json!({
                        "kind": kind, "host": holder.host, "pid": holder.pid, "since": holder.since, "age": age,
                        "epoch": holder.epoch,
                    })
                })),
                (None, Some(holder)) => {
                    ui::result(&ui::clean(&format!("{holder} leads with epoch {}\n", holder.epoch)));
                }
                (None, None) => ui::result("nobody leads\n"),
            }
        }
        LockCommand::Take { reason } => {
            let user = ssh::Options::account().map_or_else(|| "somebody".to_owned(), |(name, _)| name);
            let by = format!("{user}@{}", leader_election::here());
            match leader_election::take_over(&store, &keys, &reason, &by).await? {
                Some(old) => ui::result(&format!("taken from {old}\n")),
                None => ui::remark("nobody leads: there was nothing to take"),
            }
        }
    }
    Ok(ExitStatus::Done)
}
