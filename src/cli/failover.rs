//! `muster failover`: allows a failover that the failover policy blocks.

use super::Context;
use super::context::operator;
use super::error::CommandError;
use super::error::CommandResult;
use super::error::ExitStatus;
use crate::control::failover;
use crate::ui;
use crate::ui::messages;

#[derive(Debug, clap::Args)]
pub(super) struct FailoverArgs {
    /// Confirm that the units of a machine that is not alive are to move, although the brake or the failover limit blocks
    /// it, or although the evidence says that its host is up; required
    #[arg(long, required = true)]
    force: bool,
    /// Machines: names, addresses, or beginnings of machine-ids [default: all machines whose health is unreachable]
    #[arg(value_name = "MACHINE")]
    machines: Vec<String>,
}

/// Runs `muster failover`.
pub(super) async fn failover(context: &Context, args: &FailoverArgs) -> CommandResult {
    let machines = failover::force(&context.cluster().await?, &args.machines, &operator()).await?;
    if machines.is_empty() {
        return Err(CommandError::failed("no machine is unreachable, so no failover is blocked")
            .hint("`muster list-machines --all` shows the health of each machine."));
    }
    ui::result(&machines.iter().map(messages::failover_forced).collect::<String>());
    Ok(ExitStatus::Done)
}
