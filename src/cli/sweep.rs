//! `muster sweep`: observes every machine once, repairs what it can and reports the rest.

mod textfile;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use textfile::Textfile;

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
use crate::control::alerts;
use crate::control::problems::Problem;
use crate::control::problems::folding;
use crate::control::sweep;
use crate::control::sweep::SweepOptions;
use crate::control::sweep::SweepResult;
use crate::control::sweep::Swept;
use crate::control::timing;
use crate::core::health::failover::FailoverPolicy;
use crate::core::lease::LeasePolicy;
use crate::core::model::Event;
use crate::core::model::EventKind;
use crate::core::model::Health;
use crate::core::model::MachineId;
use crate::core::model::Snapshot;
use crate::core::reconcile::Timing;
use crate::runner::Clock;
use crate::runner::ClusterContext;
use crate::store::layout;
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
    /// Write metrics to this file at the end, for the textfile collector of node_exporter
    ///
    /// The name must end in .prom. Another program never reads half a file. docs/metrics.md lists the metrics.
    #[arg(long, value_name = "PATH", value_parser = textfile::parse)]
    textfile: Option<PathBuf>,
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

/// Runs `muster sweep`, and writes the metrics.
pub(super) async fn sweep(context: &Context, args: &SweepArgs) -> CommandResult {
    let textfile = args.textfile.as_deref().map(Textfile::begin).transpose()?;
    let began = Instant::now();
    let (result, swept) = run(context, args).await;
    let written = textfile.map_or(Ok(()), |file| file.finish(began.elapsed(), &result, swept.as_ref()));
    // The error of the sweep itself says more.
    result.and_then(|status| written.map(|()| status))
}

/// Runs a sweep. Returns how it ended, and what it leaves if it has observed the machines.
async fn run(context: &Context, args: &SweepArgs) -> (CommandResult, Option<Swept>) {
    let settings = &context.settings;
    let error = match observe(context, args).await {
        Ok(SweepResult::Found(swept)) => {
            return (Ok(conclude(context, args, &swept.problems, ExitStatus::Failed)), Some(swept));
        }
        Ok(SweepResult::NothingReachable(swept)) => {
            return (Ok(conclude(context, args, &swept.problems, ExitStatus::Unreachable)), Some(swept));
        }
        Ok(SweepResult::NoMachines) => {
            let text = messages::no_machines(&settings.token, &settings.store);
            CommandError::usage(text).hint("Add hosts with `muster join`.").hint(
                "If hosts have joined: they are in another store or under another token. cron and systemd do not \
                     read the muster.toml of the folder where you work. Name it with `--config FILE`.",
            )
        }
        Ok(SweepResult::Busy(holder)) => CommandError::unreachable(messages::busy(&holder)).hint(
            "No host was observed. Wait longer with `--lock-wait`. If the leader hangs, see `muster lock take --help`.",
        ),
        Ok(SweepResult::Deposed) => CommandError::unreachable("another process took leadership")
            .hint("The new leader, or the next sweep, does the rest."),
        Ok(SweepResult::Stopped) => CommandError::interrupted("interrupted: the next sweep continues"),
        Err(error) => error,
    };
    (Err(error), None)
}

/// Observes every machine and repairs what can be repaired, and prints what happens.
async fn observe(context: &Context, args: &SweepArgs) -> Result<SweepResult, CommandError> {
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
    let receivers = context.receivers()?;
    let cluster = context.leading().await?;
    tell_known_waits(&cluster, args).await?;
    let json = args.output.is_some();
    let mut lines = Lines::default();
    let tells_waits = tells_waits(args);
    let mut tell = |snapshot: &Snapshot, event: &Event| {
        let is_silent = matches!(&event.kind, EventKind::HealthChanged { to, .. } if *to != Health::Alive);
        if is_silent && tells_waits {
            ui::log::tell_waits();
        }
        if !json {
            ui::result(&lines.take(event, ui::line(snapshot, event)));
        }
    };
    let swept = sweep::sweep(&cluster, options, failover_policy, &mut tell).await;
    cluster.remote.close(Duration::from_millis(500)).await;
    let found = match &swept {
        Ok(SweepResult::Found(swept) | SweepResult::NothingReachable(swept)) => Some(swept),
        _ => None,
    };
    ui::result(&lines.left(found.map(|swept| swept.problems.as_slice()).unwrap_or_default()));
    if let Some(swept) = found.filter(|swept| swept.has_led) {
        alerts::after_sweep(&cluster, &receivers, &swept.snapshot, &swept.problems).await;
    }
    Ok(swept?)
}

/// Reports whether the sweep prints what it waits for once a machine is not alive: it waits long for that machine, and prints
/// its trouble in any case. With `--remind` it may print nothing. On a terminal the waits are printed already.
fn tells_waits(args: &SweepArgs) -> bool {
    args.remind.is_none() && !std::io::stderr().is_terminal()
}

/// Starts to print what the sweep waits for if a machine is not alive by the records.
async fn tell_known_waits(cluster: &ClusterContext, args: &SweepArgs) -> Result<(), CommandError> {
    if tells_waits(args) {
        let snapshot = layout::read(&*cluster.store, &cluster.keys).await?;
        let is_alive =
            |machine: &MachineId| snapshot.health.get(machine).is_none_or(|record| record.health == Health::Alive);
        if !snapshot.machines.keys().all(is_alive) {
            ui::log::tell_waits();
        }
    }
    Ok(())
}

/// The lines of a sweep's events that are printed later. A trouble is printed at the end, unless a problem that remains says it; so
/// are the events after it, because they follow from it.
#[derive(Debug, Default)]
struct Lines(Vec<(Option<Event>, String)>);

impl Lines {
    /// Takes the line of an event. Returns what is printed now.
    fn take(&mut self, event: &Event, line: String) -> String {
        if event.kind.is_trouble() {
            self.0.push((Some(event.clone()), line));
        } else if self.0.is_empty() {
            return line;
        } else {
            self.0.push((None, line));
        }
        String::new()
    }

    /// Returns the lines that are still to be printed, without those of troubles that a problem says.
    fn left(self, remaining: &[Problem]) -> String {
        let is_said = |event: Option<&Event>| event.is_some_and(|event| folding::covers(remaining, event));
        self.0.into_iter().filter(|(event, _)| !is_said(event.as_ref())).map(|(_, line)| line).collect()
    }
}

/// Prints problems and returns how the process ends: with `status` if there are any.
fn conclude(context: &Context, args: &SweepArgs, found: &[Problem], status: ExitStatus) -> ExitStatus {
    if args.output.is_some() {
        ui::json(&found);
    } else {
        // What `--remind` remembers of a problem does not depend on the others.
        let lines = folding::with_advice_once(found, due(context, args, folding::whole_lines(found)));
        ui::result(&ui::clean(&lines.iter().map(|line| format!("{line}\n")).collect::<String>()));
        hint(found).filter(|_| !lines.is_empty()).into_iter().for_each(|hint| ui::hint(&hint));
    }
    if found.iter().all(Problem::is_drain) { ExitStatus::Done } else { status }
}

/// Returns which commands show more about the first unit with a problem, or else about the first machine.
fn hint(found: &[Problem]) -> Option<String> {
    let of_unit = found.iter().filter(|problem| !problem.unreachable).find_map(Problem::commands);
    let of_machine = || {
        let machine = found.iter().find_map(Problem::machine_name)?;
        Some(format!("`muster machine show {machine}` shows more."))
    };
    of_unit.or_else(of_machine)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::Timestamp;
    use crate::core::model::Verb;
    use crate::core::unit::UnitName;

    #[test]
    fn the_events_after_a_trouble_are_printed_after_it() {
        let unit: UnitName = "a.service".parse().unwrap();
        let event = |kind| Event::new(Timestamp::ZERO, None, Some(unit.clone()), kind);
        let (step, trouble) = (event(EventKind::UnitRequested(Verb::Start)), event(EventKind::UnitRestarted));
        let mut lines = Lines::default();
        assert_eq!(lines.take(&step, "one\n".to_owned()), "one\n");
        assert_eq!(lines.take(&trouble, "trouble\n".to_owned()), "");
        assert_eq!(lines.take(&step, "two\n".to_owned()), "");
        assert_eq!(lines.left(&[]), "trouble\ntwo\n");
    }
}
