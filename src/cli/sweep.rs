//! `muster sweep`: observes every machine once, repairs what it can and reports the rest.

use std::time::Duration;

use super::Context;
use super::duration;
use super::error::CommandError;
use super::error::CommandResult;
use super::error::ExitStatus;
use super::failover_args::FailoverPolicyArgs;
use super::failover_args::SweepSchedule;
use super::reminders::Reminders;
use super::settings::LockArgs;
use super::settings::Settings;
use crate::control::problems::Problem;
use crate::control::problems::folding;
use crate::control::sweep;
use crate::control::sweep::SweepOptions;
use crate::control::sweep::SweepResult;
use crate::control::timing;
use crate::core::health::failover::FailoverPolicy;
use crate::core::lease::LeasePolicy;
use crate::core::model::Event;
use crate::core::model::Snapshot;
use crate::core::reconcile::Timing;
use crate::runner::Clock;
use crate::ui;
use crate::ui::messages;

/// How long the sweep of a playbook waits for units that are still starting or stopping, as `muster sweep` does.
pub(super) const SETTLE: Duration = Duration::from_secs(5);

/// How long a machine is silent in a sweep before it is down, unless a setting says otherwise.
const DOWN_AFTER: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub(super) struct SweepArgs {
    /// Wait at most this long for units that are still starting or stopping
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration::parse)]
    settle: Duration,
    #[command(flatten)]
    lock: LockArgs,
    /// Print a problem that remains only when it is new, and then again after this time
    ///
    /// The exit code does not change. A file in ~/.local/state/muster remembers what was printed; in a service of systemd,
    /// a file in its StateDirectory.
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, conflicts_with = "output")]
    remind: Option<Duration>,
    /// Print the problems as JSON
    #[arg(long, short = 'o', value_name = "FORMAT", value_parser = ["json"])]
    output: Option<String>,
    #[command(flatten)]
    failover: FailoverPolicyArgs,
    #[command(flatten)]
    schedule: SweepSchedule,
}

/// Returns how long machines may be silent in a sweep, which leases it grants, and what it may move.
pub(super) fn policy(
    settings: &Settings,
    failover: &FailoverPolicyArgs,
    schedule: SweepSchedule,
) -> Result<(Timing, FailoverPolicy), CommandError> {
    let (detection, policy) = failover.resolve(&settings.failover, DOWN_AFTER);
    let lease = schedule.every(settings.schedule).map(|every| {
        let lease = failover.lease(&settings.failover).unwrap_or(every * 3);
        LeasePolicy::of_sweeps(lease, every)
    });
    Ok((Timing { lease: lease.transpose()?, ..timing(detection) }, policy))
}

/// Runs `muster sweep`.
pub(super) async fn sweep(context: &Context, args: &SweepArgs) -> CommandResult {
    let settings = &context.settings;
    let (timing, failover_policy) = policy(settings, &args.failover, args.schedule)?;
    if timing.lease.is_none() && args.failover.has_lease() {
        ui::warn(
            "--lease has no effect without --sweep-every: a sweep grants leases only if it knows how often sweeps run, so \
             strict units do not start",
        );
    }
    let lock_wait = args.lock.wait(settings, Duration::ZERO);
    let options = SweepOptions { timing, settle: args.settle, lock_wait };
    let cluster = context.leading().await?;
    let json = args.output.is_some();
    // What went wrong is printed at the end, unless a problem that remains says it.
    let mut troubles: Vec<(Event, String)> = Vec::new();
    let mut tell = |snapshot: &Snapshot, event: &Event| match ui::line(snapshot, event) {
        _ if json => {}
        line if event.kind.is_trouble() => troubles.push((event.clone(), line)),
        line => ui::result(&line),
    };
    let swept = sweep::sweep(&cluster, options, failover_policy, &mut tell).await;
    cluster.remote.close(Duration::from_millis(500)).await;
    let remaining = match &swept {
        Ok(SweepResult::Found(found) | SweepResult::NothingReachable(found)) => found.as_slice(),
        _ => &[],
    };
    let passing = troubles.iter().filter(|(event, _)| !folding::covers(remaining, event));
    ui::result(&passing.map(|(_, line)| line.as_str()).collect::<String>());
    match swept? {
        SweepResult::Found(found) => Ok(conclude(context, args, &found, ExitStatus::Failed)),
        SweepResult::NothingReachable(found) => Ok(conclude(context, args, &found, ExitStatus::Unreachable)),
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
fn conclude(context: &Context, args: &SweepArgs, found: &[Problem], status: ExitStatus) -> ExitStatus {
    if args.output.is_some() {
        ui::json(&found);
    } else {
        let lines = due(context, args, folding::lines(found));
        ui::result(&ui::clean(&lines.iter().map(|line| format!("{line}\n")).collect::<String>()));
        hint(found).filter(|_| !lines.is_empty()).into_iter().for_each(|hint| ui::hint(&hint));
    }
    if found.is_empty() { ExitStatus::Done } else { status }
}

/// Returns which commands show more about the first unit with a problem, or else about the first machine.
fn hint(found: &[Problem]) -> Option<String> {
    let unit = found.iter().filter(|problem| !problem.unreachable).find_map(|problem| problem.unit.as_ref());
    let of_machine = || {
        let machine = found.iter().find_map(Problem::machine_name)?;
        Some(format!("`muster machine show {machine}` shows more."))
    };
    unit.map(|unit| format!("`muster why {unit}` and `muster journal {unit}` show more.")).or_else(of_machine)
}

/// Returns the lines that `--remind` lets through, and remembers them.
fn due(context: &Context, args: &SweepArgs, lines: Vec<String>) -> Vec<String> {
    let (Some(every), Some(file)) = (args.remind, context.settings.reminders()) else { return lines };
    let mut reminders = Reminders::read(file);
    let due = reminders.due(lines, every, Clock::start().now());
    if let Err(error) = reminders.write() {
        ui::warn(&format!("cannot write {}: {error}", reminders.file().display()));
    }
    due
}
