//! `muster top`: the cluster on the whole terminal. It reads keys and the store, draws, and carries out what the keys ask for.
//! What is shown and what a key means is in `ui::top`.

mod cluster;
mod journal;
mod session;
mod work;

use super::Context;
use super::error::CommandError;
use super::error::CommandResult;
use super::error::ExitStatus;
use super::failover_args::FailoverPolicyArgs;
use super::settings::LockArgs;
use super::settings::SettleArgs;
use crate::control::read_model::ReadModel;
use crate::ui;
use crate::ui::screen;
use session::Session;
use work::CLOSE_LIMIT;

#[derive(Debug, clap::Args)]
pub(super) struct TopArgs {
    #[command(flatten)]
    lock: LockArgs,
    #[command(flatten)]
    settle: SettleArgs,
    #[command(flatten)]
    failover: FailoverPolicyArgs,
}

/// Runs `muster top`.
pub(super) async fn top(context: &Context, args: TopArgs) -> CommandResult {
    if !screen::has_terminal() {
        return Err(CommandError::usage("top needs a terminal: stdin or stdout is none")
            .hint("`muster list-units`, `list-machines` and `events -f` print the same to a file or a pipe."));
    }
    let cluster = context.cluster().await?;
    let (model, view) = ReadModel::new(&cluster.store, &cluster.keys, cluster.clock);
    let model = tokio::spawn(model.run());
    let mut session = Session::open(context, args, cluster.clone(), view)?;
    let status = session.run().await;
    let unfinished = session.unfinished();
    // The terminal is restored before anything is printed.
    drop(session);
    model.abort();
    context.stop.cancel();
    cluster.remote.close(CLOSE_LIMIT).await;
    if unfinished > 0 {
        ui::note(&ui::messages::unfinished(unfinished));
    }
    let is_quit = matches!(status, Ok(ExitStatus::Done));
    if is_quit && unfinished > 0 { Ok(ExitStatus::Interrupted) } else { status }
}
