//! `muster failover`: the operator's word on a failover that is held back.

use super::Context;
use super::error::CommandError;
use super::error::CommandResult;
use super::error::ExitStatus;
use crate::control::failover;
use crate::store::leader_election;
use crate::ui;

#[derive(Debug, clap::Args)]
pub(super) struct FailoverArgs {
    /// Move the units although the brake or the limit says no
    #[arg(long, required = true)]
    force: bool,
    /// Machines: each by its name, its machine-id or the beginning of it [default: all that are held back]
    machines: Vec<String>,
}

/// Runs `muster failover`.
pub(super) async fn failover(context: &Context, args: &FailoverArgs) -> CommandResult {
    let machines = failover::force(&context.cluster().await?, &args.machines, &operator()).await?;
    if machines.is_empty() {
        return Err(CommandError::failed("no machine is unreachable, so nothing is held back")
            .hint("`muster list-machines --all` shows what is thought of each."));
    }
    let lines = machines.iter().map(|machine| {
        format!(
            "{}: its units are moved if it is down, by the controller or the next sweep, within an hour\n",
            machine.name
        )
    });
    ui::result(&lines.collect::<String>());
    Ok(ExitStatus::Done)
}

/// Returns who this is, for the log.
fn operator() -> String {
    let user = crate::remote::ssh::Options::account().map(|(name, _)| name);
    format!("{}@{}", user.unwrap_or_else(|| rustix::process::getuid().as_raw().to_string()), leader_election::here())
}
