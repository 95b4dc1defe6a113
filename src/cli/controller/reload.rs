//! SIGHUP: the controller reads its settings, the inventory and ssh_config(5) again, and goes on leading.

use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::watch;

use super::ControllerArgs;
use super::service::reloads;
use crate::cli::Context;
use crate::cli::error::CommandError;
use crate::cli::error::ExitStatus;
use crate::cli::settings::Settings;
use crate::remote::ssh;
use crate::runner::LeaderSettings;
use crate::ui;
use crate::ui::messages;

/// Reads the settings again at each SIGHUP; forever. Settings that cannot be read leave the earlier ones in force.
pub(super) async fn reload_on_hangup(
    context: &Context,
    args: &ControllerArgs,
    settings: &watch::Sender<LeaderSettings>,
) {
    let Ok(mut hangups) = signal(SignalKind::hangup()) else { return std::future::pending().await };
    loop {
        hangups.recv().await;
        reloads(true);
        match reload(context, args, settings).await {
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
    settings: &watch::Sender<LeaderSettings>,
) -> Result<(), CommandError> {
    let (flags, stop, args) = (context.flags.clone(), context.stop.clone(), args.clone());
    let is_fleetctl = context.is_fleetctl;
    // An inventory script takes its time, and the leader must not wait for it.
    let read = tokio::task::spawn_blocking(move || read(&Context::new(flags, is_fleetctl, stop)?, &args)).await;
    let (fresh, leader, options) = read.map_err(|error| CommandError::failed(error.to_string()))??;
    for (name, old, new) in
        [("store", &context.settings.store, &fresh.store), ("token", &context.settings.token, &fresh.token)]
    {
        if old != new {
            ui::warn(&messages::needs_restart(name));
        }
    }
    context.ssh()?.reload(options).await.map_err(|error| CommandError::new(ExitStatus::Usage, error))?;
    settings.send_replace(leader);
    Ok(())
}

/// Reads the settings, the inventory and the options of SSH.
fn read(context: &Context, args: &ControllerArgs) -> Result<(Settings, LeaderSettings, ssh::Options), CommandError> {
    Ok((context.settings.clone(), args.leader_settings(context)?, context.settings.ssh_options()?))
}
