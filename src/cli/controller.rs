//! `muster controller`: reconciles until it is stopped.

mod api;
mod reload;
mod service;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::Context;
use super::error::CommandError;
use super::error::CommandResult;
use super::error::ExitStatus;
use super::failover_args::FailoverPolicyArgs;
use super::settings::ListenArgs;
use crate::control::LEASE;
use crate::control::controller;
use crate::control::controller::ControllerStatus;
use crate::control::leasing;
use crate::core::health::failover::FailoverPolicy;
use crate::core::reconcile::Timing;
use crate::runner::ClusterContext;
use crate::runner::LeaderSettings;
use crate::runner::Pulse;
use crate::runner::Supervision;
use crate::store::layout;
use crate::ui;
use crate::ui::messages;
use api::FreshAccess;
use reload::reload_on_hangup;
use service::Service;

/// How long a machine of a controller is silent before it is down, unless a setting says otherwise.
pub(super) const DOWN_AFTER: Duration = Duration::from_secs(8);

#[derive(Debug, Clone, clap::Args)]
pub(super) struct ControllerArgs {
    #[command(flatten)]
    failover: FailoverPolicyArgs,
    #[command(flatten)]
    listen: ListenArgs,
}

impl ControllerArgs {
    /// Returns the settings of the leader, with the fence commands of the inventory and the receivers of alerts.
    fn leader_settings(&self, context: &Context) -> Result<LeaderSettings, CommandError> {
        leader_settings(context, &self.failover)
    }
}

/// Returns the timing and the failover policy of a controller with these flags.
pub(super) fn policy(
    context: &Context,
    failover: &FailoverPolicyArgs,
) -> Result<(Timing, FailoverPolicy), CommandError> {
    let file = &context.settings.failover;
    let (detection, failover_policy) = failover.resolve(file, DOWN_AFTER);
    Ok((leasing(detection, failover.lease(file).unwrap_or(LEASE))?, failover_policy))
}

/// Returns the settings of a controller with these flags.
pub(super) fn leader_settings(
    context: &Context,
    failover: &FailoverPolicyArgs,
) -> Result<LeaderSettings, CommandError> {
    let (timing, failover_policy) = policy(context, failover)?;
    let (fence_commands, receivers) = (Arc::new(context.fence_commands()?), context.receivers()?);
    Ok(LeaderSettings { timing, failover_policy, fence_commands, receivers })
}

/// Runs `muster controller`.
pub(super) async fn controller(context: &Context, args: &ControllerArgs) -> CommandResult {
    let (settings, receiver) = watch::channel(args.leader_settings(context)?);
    let supervision = Supervision { settings: receiver, pulse: Arc::new(Pulse::default()) };
    let cluster = context.cluster().await?;
    warn_if_blind(&cluster).await?;
    let places = args.listen.places(&context.settings);
    let access = FreshAccess::read(&args.listen, &context.settings)?;
    let api = api::start(&cluster, supervision.clone(), places, access, context.own_ssh()?)?;
    let service = Service::new(supervision.pulse.clone());
    let mut on_status = |status: ControllerStatus<'_>| {
        service.shows(&status);
        show(context, &status);
    };
    let mut on_event = |snapshot: &_, event: &_| {
        service.heard(snapshot, event);
        ui::log_event(snapshot, event);
    };
    // The service manager learns first that the controller stops, or that it reads its settings again.
    tokio::select! {
        biased;
        () = service.notify(context.stop.clone()) => {}
        () = reload_on_hangup(context, args, &cluster, &settings, &api) => {}
        () = controller::control(&cluster, &supervision, &mut on_status, &mut on_event) => {}
    }
    cluster.remote.close(Duration::from_secs(1)).await;
    api.end().await;
    Ok(ExitStatus::Done)
}

/// Warns if the cluster has secrets and this controller cannot read them.
async fn warn_if_blind(cluster: &ClusterContext) -> Result<(), CommandError> {
    if let Some(why) = cluster.secrets.why_blind() {
        let snapshot = layout::read(&*cluster.store, &cluster.keys).await?;
        if !snapshot.secrets.is_empty() {
            ui::warn(&format!("this controller loads no unit with a secret, because it cannot read secrets: {why}"));
        }
    }
    Ok(())
}

/// Prints a change in the role of the controller.
fn show(context: &Context, status: &ControllerStatus<'_>) {
    let settings = &context.settings;
    match status {
        ControllerStatus::Leads(epoch) => ui::status(&messages::leads(*epoch)),
        ControllerStatus::StandsBy(holder) => ui::status(&messages::stands_by(holder)),
        ControllerStatus::Deposed(leader) => ui::status(&messages::deposed(*leader)),
        ControllerStatus::NoMachines => ui::status(&messages::no_machines(&settings.token, &settings.store)),
        ControllerStatus::Abandons(machines, length) => ui::warn(&messages::strict_units_stop(*machines, *length)),
        ControllerStatus::StoreAway(error) => ui::warn(&messages::store_away(error)),
    }
}
