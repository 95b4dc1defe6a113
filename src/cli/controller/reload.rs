//! SIGHUP: the controller reads its settings, the inventory, ssh_config(5) and its private keys again, and goes on leading.

use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::watch;

use super::ControllerArgs;
use super::api::FreshAccess;
use super::api::Running;
use super::service::reloads;
use super::warn_if_blind;
use crate::cli::Context;
use crate::cli::error::CommandError;
use crate::cli::error::ExitStatus;
use crate::cli::settings::Settings;
use crate::remote::ssh;
use crate::runner::ClusterContext;
use crate::runner::LeaderSettings;
use crate::secret::Identity;
use crate::ui;
use crate::ui::messages;

/// Reads the settings again at each SIGHUP; forever. Settings that cannot be read leave the earlier ones in force.
pub(super) async fn reload_on_hangup(
    context: &Context,
    args: &ControllerArgs,
    cluster: &ClusterContext,
    settings: &watch::Sender<LeaderSettings>,
    api: &Running,
) {
    let Ok(mut hangups) = signal(SignalKind::hangup()) else { return std::future::pending().await };
    loop {
        hangups.recv().await;
        reloads(true);
        match reload(context, args, cluster, settings, api).await {
            Ok(()) => ui::status(messages::RELOADED),
            Err(error) => {
                ui::report(&[error]);
                ui::warn(messages::NOT_RELOADED);
            }
        }
        reloads(false);
    }
}

/// Reads the settings again and puts them into force.
async fn reload(
    context: &Context,
    args: &ControllerArgs,
    cluster: &ClusterContext,
    settings: &watch::Sender<LeaderSettings>,
    api: &Running,
) -> Result<(), CommandError> {
    let (flags, stop, args) = (context.flags.clone(), context.stop.clone(), args.clone());
    let is_fleetctl = context.is_fleetctl;
    // An inventory script takes its time, and the leader must not wait for it.
    let read = tokio::task::spawn_blocking(move || read(&Context::new(flags, is_fleetctl, stop)?, &args)).await;
    let Fresh { settings: fresh, leader, access, options, identity } =
        read.map_err(|error| CommandError::failed(error.to_string()))??;
    for (name, old, new) in
        [("store", &context.settings.store, &fresh.store), ("token", &context.settings.token, &fresh.token)]
    {
        if old != new {
            ui::warn(&messages::needs_restart(name));
        }
    }
    let wrong = |error| CommandError::new(ExitStatus::Usage, error);
    context.ssh()?.reload(options.clone()).await.map_err(wrong)?;
    api.reload(access, options).await.map_err(wrong)?;
    settings.send_replace(leader);
    cluster.secrets.replace_identity(identity);
    // All is in force already.
    if let Err(error) = warn_if_blind(cluster).await {
        ui::report(&[error]);
    }
    Ok(())
}

/// All that a reload reads.
struct Fresh {
    settings: Settings,
    leader: LeaderSettings,
    access: FreshAccess,
    options: ssh::Options,
    /// The private keys, or why there are none.
    identity: Result<Identity, String>,
}

/// Reads the settings, the inventory, the options of SSH and the private keys.
fn read(context: &Context, args: &ControllerArgs) -> Result<Fresh, CommandError> {
    Ok(Fresh {
        settings: context.settings.clone(),
        leader: args.leader_settings(context)?,
        access: FreshAccess::read(&args.listen, &context.settings)?,
        options: context.settings.ssh_options()?,
        identity: context.secret_identity()?.ok_or_else(|| context.no_secret_identity()),
    })
}
