//! `muster controller`: reconciles until it is stopped.

use std::time::Duration;

use super::Context;
use super::error::CommandResult;
use super::error::ExitStatus;
use super::failover_args::FailoverPolicyArgs;
use crate::control::LEASE;
use crate::control::controller;
use crate::control::controller::ControllerStatus;
use crate::control::leasing;
use crate::ui;
use crate::ui::messages;

/// How long a machine of a controller is silent before it is down, unless a setting says otherwise.
pub(super) const DOWN_AFTER: Duration = Duration::from_secs(8);

#[derive(Debug, clap::Args)]
pub(super) struct ControllerArgs {
    #[command(flatten)]
    failover: FailoverPolicyArgs,
}

/// Runs `muster controller`.
pub(super) async fn controller(context: &Context, args: &ControllerArgs) -> CommandResult {
    let settings = &context.settings;
    let (detection, failover_policy) = args.failover.resolve(&settings.failover, DOWN_AFTER);
    let lease = args.failover.lease(&settings.failover).unwrap_or(LEASE);
    let timing = leasing(detection, lease)?;
    let cluster = context.leading().await?;
    let mut is_ready = false;
    let mut on_status = |status: ControllerStatus<'_>| {
        // A controller that stands by is ready, too.
        if !std::mem::replace(&mut is_ready, true) {
            let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        }
        match status {
            ControllerStatus::Leads(epoch) => ui::status(&messages::leads(epoch)),
            ControllerStatus::StandsBy(holder) => ui::status(&messages::stands_by(holder)),
            ControllerStatus::Deposed => ui::status(messages::DEPOSED),
            ControllerStatus::NoMachines => ui::status(&messages::no_machines(&settings.token, &settings.store)),
            ControllerStatus::Abandons(machines, length) => ui::warn(&messages::strict_units_stop(machines, length)),
            ControllerStatus::StoreAway(error) => ui::warn(&messages::store_away(error)),
        }
    };
    controller::control(&cluster, timing, &failover_policy, &mut on_status, &mut |snapshot, event| {
        ui::log_event(snapshot, event);
    })
    .await;
    cluster.remote.close(Duration::from_secs(1)).await;
    Ok(ExitStatus::Done)
}
