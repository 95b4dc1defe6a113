//! `muster sweep`: observes every machine once, repairs what it can and reports the rest.

use std::time::Duration;

use super::Context;
use super::duration;
use super::error::CommandError;
use super::error::CommandResult;
use super::error::ExitStatus;
use super::failover_args::FailoverPolicyArgs;
use super::failover_args::SweepSchedule;
use super::settings::LockArgs;
use crate::control::problems::Problem;
use crate::control::sweep;
use crate::control::sweep::SweepOptions;
use crate::control::sweep::SweepResult;
use crate::control::timing;
use crate::core::lease::LeasePolicy;
use crate::core::model::Event;
use crate::core::model::EventKind;
use crate::core::reconcile::Timing;
use crate::ui;
use crate::ui::messages;

/// How long a machine is silent in a sweep before it is down, unless a setting says otherwise.
const DOWN_AFTER: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub(super) struct SweepArgs {
    /// Wait at most this long for units that are still starting or stopping
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration::parse)]
    settle: Duration,
    #[command(flatten)]
    lock: LockArgs,
    /// Print the problems as JSON
    #[arg(long, short = 'o', value_name = "FORMAT", value_parser = ["json"])]
    output: Option<String>,
    #[command(flatten)]
    failover: FailoverPolicyArgs,
    #[command(flatten)]
    schedule: SweepSchedule,
}

/// Runs `muster sweep`.
pub(super) async fn sweep(context: &Context, args: &SweepArgs) -> CommandResult {
    let settings = &context.settings;
    let (detection, failover_policy) = args.failover.resolve(&settings.failover, DOWN_AFTER);
    let lease = args.schedule.every(settings.schedule).map(|every| {
        let lease = args.failover.lease(&settings.failover).unwrap_or(every * 3);
        LeasePolicy::of_sweeps(lease, every)
    });
    let timing = Timing { lease: lease.transpose()?, ..timing(detection) };
    let lock_wait = args.lock.wait(settings, Duration::ZERO);
    let options = SweepOptions { timing, settle: args.settle, lock_wait };
    let cluster = context.leading().await?;
    let json = args.output.is_some();
    let mut tell = |snapshot: &_, event: &Event| {
        // The problems that remain are printed at the end.
        let is_problem = matches!(event.kind, EventKind::UnitFailed { .. } | EventKind::UnitRestarted);
        if !json && !is_problem {
            ui::result(&ui::line(snapshot, event));
        }
    };
    let swept = sweep::sweep(&cluster, options, failover_policy, &mut tell).await;
    cluster.remote.close(Duration::from_millis(500)).await;
    match swept? {
        SweepResult::Found(found) => Ok(conclude(&found, json, ExitStatus::Failed)),
        SweepResult::NothingReachable(found) => Ok(conclude(&found, json, ExitStatus::Unreachable)),
        SweepResult::NoMachines => {
            let text = messages::no_machines(&settings.token, &settings.store);
            Err(CommandError::usage(text).hint("Add hosts with `muster join`.").hint(
                "If hosts have joined: they are in another store or under another token. cron and systemd do not \
                     read the muster.toml of the folder where you work. Name it with `--config FILE`.",
            ))
        }
        SweepResult::Busy(holder) => Err(CommandError::unreachable(messages::busy(&holder)).hint(
            "No host was observed. Wait longer with `--lock-wait`. If the leader hangs, see `muster lock take --help`.",
        )),
        SweepResult::Deposed => Err(CommandError::unreachable("another process took leadership")
            .hint("The new leader, or the next sweep, does the rest.")),
        SweepResult::Stopped => Err(CommandError::interrupted("interrupted: the next sweep continues")),
    }
}

/// Prints problems and returns how the process ends: with `status` if there are any.
fn conclude(found: &[Problem], json: bool, status: ExitStatus) -> ExitStatus {
    if json {
        ui::json(&found);
    } else {
        ui::result(&ui::clean(&found.iter().map(|problem| format!("{problem}\n")).collect::<String>()));
    }
    if found.is_empty() { ExitStatus::Done } else { status }
}
