//! `muster controller` and `muster sweep`: keep units running, for good or once.

use std::time::Duration;

use super::Context;
use super::error::CommandError;
use super::error::CommandResult;
use super::error::ExitStatus;
use super::prudence::Prudence;
use super::prudence::Rhythm;
use super::settings::LockArgs;
use super::settings::Settings;
use crate::control::LEASE;
use crate::control::controller;
use crate::control::controller::Stage;
use crate::control::leasing;
use crate::control::problems::Problem;
use crate::control::sweep;
use crate::control::sweep::SweepResult;
use crate::control::sweep::Timeouts;
use crate::control::timing;
use crate::core::lease::LeasePolicy;
use crate::core::reconcile::Timing;
use crate::ui;

#[derive(Debug, clap::Args)]
pub(super) struct ControllerArgs {
    #[command(flatten)]
    prudence: Prudence,
}

#[derive(Debug, clap::Args)]
pub(super) struct SweepArgs {
    #[command(flatten)]
    prudence: Prudence,
    #[command(flatten)]
    rhythm: Rhythm,
    /// How many seconds what was started may take to settle
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    settle: u64,
    #[command(flatten)]
    lock: LockArgs,
    /// Print what is wrong as JSON
    #[arg(long, short = 'o', value_name = "FORMAT", value_parser = ["json"])]
    output: Option<String>,
}

/// Runs `muster controller`.
pub(super) async fn controller(context: &Context, args: &ControllerArgs) -> CommandResult {
    let (detection, failover_policy) = args.prudence.resolve(&context.settings, 8)?;
    let lease = args.prudence.lease(&context.settings).unwrap_or(LEASE);
    let timing = leasing(detection, lease)?;
    let cluster = context.cluster().await?;
    let mut ready = false;
    let mut stage = |stage: Stage<'_>| {
        // Schedulability by is being ready, too.
        if !std::mem::replace(&mut ready, true) {
            let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        }
        ui::remark(&match stage {
            Stage::Leads(epoch) => format!("leads (epoch {epoch})"),
            Stage::StandsBy(holder) => format!("stands by: {holder} leads"),
            Stage::Deposed => "no longer leads".to_owned(),
            Stage::NoMachines => nobody(&context.settings),
            Stage::Abandons(machines, length) => {
                let s = if machines == 1 { "" } else { "s" };
                let within = length.as_secs();
                format!(
                    "strict units on {machines} machine{s} stop within {within} s unless another controller takes over"
                )
            }
            Stage::StoreAway(error) => format!("{error}; units are left as they are"),
        });
    };
    controller::control(&cluster, (timing, &failover_policy), &mut stage, &mut |snapshot, event| {
        ui::log(snapshot, event);
    })
    .await;
    cluster.remote.close(Duration::from_secs(1)).await;
    Ok(ExitStatus::Done)
}

/// Runs `muster sweep`.
pub(super) async fn sweep(context: &Context, args: &SweepArgs) -> CommandResult {
    let seconds = Duration::from_secs;
    let (detection, failover_policy) = args.prudence.resolve(&context.settings, 10)?;
    let terms = args.rhythm.every(&context.settings).map(|every| {
        let lease = args.prudence.lease(&context.settings).unwrap_or(every * 3);
        LeasePolicy::of_sweeps(lease, every)
    });
    let lease = terms.transpose()?;
    let timing = Timing { lease, ..timing(detection) };
    let timeouts = Timeouts { timing, settle: seconds(args.settle), lock_wait: args.lock.wait(&context.settings, 0) };
    let cluster = context.cluster().await?;
    let json = args.output.is_some();
    let mut tell = |snapshot: &_, event: &_| {
        if !json {
            ui::result(&ui::line(snapshot, event));
        }
    };
    let swept = sweep::sweep(&cluster, timeouts, failover_policy, &mut tell).await;
    cluster.remote.close(Duration::from_millis(500)).await;
    match swept? {
        SweepResult::Found(found) => Ok(conclude(&found, json, ExitStatus::Failed)),
        SweepResult::NothingReachable(found) => Ok(conclude(&found, json, ExitStatus::Unreachable)),
        SweepResult::NoMachines => Err(CommandError::usage(nobody(&context.settings)).hint(
            "Let hosts join with `muster join`. If they have, it is in another store or under another token: cron and \
             systemd do not read the muster.toml of the folder where you work, but they do take `--config FILE`.",
        )),
        SweepResult::Busy(holder) => Err(CommandError::unreachable(format!("{holder} leads this cluster"))
            .hint("No host was observed. Wait longer with `--lock-wait`, or see `muster lock --help` if the leader hangs.")),
        SweepResult::Deposed => Err(CommandError::unreachable("another process took leadership")
            .hint("The new leader, or the next sweep, does the rest.")),
        SweepResult::Stopped => Err(CommandError::interrupted("interrupted: the next sweep continues")),
    }
}

/// Says that no machine has joined, and where that was looked up.
fn nobody(settings: &Settings) -> String {
    // An address may hold a password.
    let store = if settings.store.starts_with("sqlite:") { &settings.store } else { "the store" };
    format!("no machine has joined the cluster {} in {store}", settings.token)
}

/// Prints problems and returns how the process ends: with `status` if there are any.
fn conclude(found: &[Problem], json: bool, status: ExitStatus) -> ExitStatus {
    if json {
        ui::json(&found);
    } else {
        let lines: String = found.iter().map(|finding| format!("{finding}\n")).collect();
        ui::result(&ui::clean(&lines));
    }
    if found.is_empty() { ExitStatus::Done } else { status }
}
