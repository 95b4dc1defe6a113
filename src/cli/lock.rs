//! `muster lock`: which process leads, and how to end its leadership.

use serde_json::json;

use super::Context;
use super::context::operator;
use super::error::CommandResult;
use super::error::ExitStatus;
use crate::store::SharedStore;
use crate::store::StoreError;
use crate::store::layout::Keyspace;
use crate::store::leader_election;
use crate::ui;
use crate::ui::messages;

#[derive(Debug, clap::Subcommand)]
pub(super) enum LockCommand {
    /// Show which process leads, on which host, since when and with which epoch
    Show {
        /// Print as JSON
        #[arg(long, short = 'o', value_name = "FORMAT", value_parser = ["json"])]
        output: Option<String>,
    },
    /// End the leadership of the process that leads
    ///
    /// Use it if the process hangs, or if its host cannot be reached. From then on the store rejects the writes of the
    /// process. A host rejects its visits once the next leader has visited that host. A controller that works may become
    /// the leader again.
    Take {
        /// Store this reason in the event log
        #[arg(long, value_name = "TEXT", value_parser = reason)]
        reason: String,
        /// Also set an epoch that is more than a day ahead of this host's clock to the time of day. A host that has seen the
        /// old epoch obeys again after `muster join --take-over`
        #[arg(long)]
        reset_epoch: bool,
    },
}

/// Parses a reason, which is for the people who read the event log.
fn reason(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("expected a text".to_owned()) } else { Ok(text.to_owned()) }
}

/// Runs `muster lock`.
pub(super) async fn run(context: &Context, command: LockCommand) -> CommandResult {
    let (store, keys) = (context.store().await?, context.keys()?);
    match command {
        LockCommand::Show { output } => {
            let holder = leader_election::current_leader(&store, &keys).await?;
            match (output, holder) {
                (Some(_), holder) => ui::json(&holder.map(|holder| {
                    let (kind, age) = (holder.kind, holder.age().as_secs());
                    json!({
                        "kind": kind, "host": holder.host, "pid": holder.pid, "since": holder.since, "age": age,
                        "epoch": holder.epoch,
                    })
                })),
                (None, holder) => ui::result(&ui::clean(&messages::leadership(holder.as_ref()))),
            }
        }
        LockCommand::Take { reason, reset_epoch } => {
            if reset_epoch {
                reset(&store, &keys).await?;
            }
            take(&store, &keys, &reason).await?;
        }
    }
    Ok(ExitStatus::Done)
}

/// Resets an epoch that is too far ahead of the clock.
async fn reset(store: &SharedStore, keys: &Keyspace) -> Result<(), StoreError> {
    match leader_election::reset_epoch(store, keys).await? {
        Some(old) => ui::result(&messages::epoch_reset(old)),
        None => ui::status("the epoch is not ahead of the clock: it was not changed"),
    }
    Ok(())
}

/// Ends the leadership of the process that leads.
async fn take(store: &SharedStore, keys: &Keyspace, reason: &str) -> Result<(), StoreError> {
    match leader_election::depose(store, keys, reason, &operator()).await? {
        Some(old) => ui::result(&ui::clean(&messages::leadership_taken(&old))),
        None => ui::status("no process leads"),
    }
    Ok(())
}
