//! `muster join`, `leave`, `cordon`, `uncordon` and `drain`: the machines of the cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::Context;
use super::duration;
use super::error::CommandError;
use super::error::CommandResult;
use super::error::ExitStatus;
use super::inventory::print_folded;
use super::inventory::print_notes;
use super::progress_printer::ProgressPrinter;
use super::unit_commands::WaitArgs;
use super::unit_commands::errors;
use crate::control::membership;
use crate::control::membership::Candidate;
use crate::control::membership::Drained;
use crate::control::membership::Foreign;
use crate::control::membership::Join;
use crate::control::membership::Joined;
use crate::control::membership::Left;
use crate::control::membership::MembershipError;
use crate::control::membership::SchedulingMode;
use crate::control::problems::Problem;
use crate::core::explain;
use crate::core::model::ForeignUnits;
use crate::core::model::Machine;
use crate::core::model::MachineId;
use crate::inventory::Vars;
use crate::runner::Clock;
use crate::runner::ClusterContext;
use crate::store::SharedStore;
use crate::store::layout::Keyspace;
use crate::store::leader_election;
use crate::store::leader_election::LeaderKind;
use crate::store::leader_election::LeaderRecord;
use crate::ui;
use crate::ui::messages;

#[derive(Debug, clap::Args)]
pub(super) struct JoinArgs {
    /// Hosts of the inventory: names, groups, globs, `~regex`, joined with `:`, `:&`, `:!` or `,`
    #[arg(default_value = "all")]
    pattern: String,
    /// Take hosts from other clusters; the next sweep or the controller unloads the units there that are not submitted
    #[arg(long)]
    take_over: bool,
    /// Adopt the units that another program runs from /run/fleet/units: they are submitted, placed where they are and not
    /// restarted
    #[arg(long)]
    adopt: bool,
    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct LeaveArgs {
    /// A machine: its name, its address, or the beginning of its machine-id
    machine: String,
    /// Remove the machine even if it does not answer, or if units fit on no other machine: these units stop
    ///
    /// The units of a machine that answers move first, and those that fit on no other machine stop. With --no-block all
    /// units go on running, and muster does not manage them any more. The units of a machine that does not answer may go on
    /// running.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct MachineArgs {
    /// A machine: its name, its address, or the beginning of its machine-id
    machine: String,
    /// Print as JSON
    #[arg(long, short = 'o', value_name = "FORMAT", value_parser = ["json"])]
    output: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct DrainArgs {
    /// A machine: its name, its address, or the beginning of its machine-id
    machine: String,
    /// Stop the units that are still on the machine after this long, even if they run nowhere else
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    deadline: Option<Duration>,
    #[command(flatten)]
    wait: WaitArgs,
}

/// Runs `muster cordon` and `muster uncordon`.
pub(super) async fn cordon(context: &Context, args: &MachineArgs, cordoned: bool) -> CommandResult {
    let mode = if cordoned { SchedulingMode::Cordoned } else { SchedulingMode::Open };
    let machine = membership::set_scheduling_mode(&context.cluster().await?, &args.machine, mode).await?;
    if args.output.is_some() {
        ui::json(&json!({ "machine": machine.id, "name": machine.name, "cordoned": cordoned }));
        return Ok(ExitStatus::Done);
    }
    ui::result(&messages::cordoned(&machine, cordoned));
    let (snapshot, now) = (context.snapshot().await?, Clock::start().now());
    if let Some((reason, until)) = explain::exclusions(&snapshot, now)(machine.id).filter(|_| !cordoned) {
        ui::note(&messages::takes_no_units(&machine, &reason, until, now));
    }
    Ok(ExitStatus::Done)
}

/// Runs `muster drain`.
pub(super) async fn drain(context: &Context, args: &DrainArgs) -> CommandResult {
    let cluster = context.cluster().await?;
    let mut printer = ProgressPrinter::new(args.wait.json());
    let timeouts = args.wait.timeouts(context);
    let drained =
        membership::drain(&cluster, &args.machine, args.deadline, timeouts, &mut |progress| printer.print(&progress))
            .await;
    cluster.remote.close(Duration::from_millis(200)).await;
    printer.finish();
    let Drained { machine, problems, is_empty } = drained?;
    let hint = drain_hint(&machine, &problems, args.deadline.is_some());
    let mut errors = errors(&problems);
    let last = errors.pop().map(|last| last.hint(hint));
    errors.extend(last);
    if (errors.is_empty() || is_empty) && !args.wait.json() {
        ui::result(&messages::drained(&machine, timeouts.block, cluster.clock.now()));
    }
    Ok(ui::report(&errors))
}

/// Says what to do about a machine that could not be drained.
fn drain_hint(machine: &Machine, problems: &[Problem], has_deadline: bool) -> String {
    let name = &machine.name;
    let again = format!("{name} stays drained: `muster uncordon {name}` lets it take units again");
    let is_silent = problems.iter().any(|problem| problem.unreachable && problem.machine == Some(machine.id));
    match has_deadline {
        _ if is_silent => format!("{again}, and `muster leave --force {name}` removes it if it is gone for good."),
        true => format!("{again}."),
        false => {
            format!("{again}, and `muster drain {name} --deadline 10s` stops the units that fit on no other machine.")
        }
    }
}

/// Runs `muster join`.
pub(super) async fn join(context: &Context, args: &JoinArgs) -> CommandResult {
    let inventory = context.hosts(None, &Vars::new())?;
    let hosts = inventory.select(&args.pattern)?;
    if hosts.is_empty() {
        return Err(CommandError::usage(format!("no host matches `{}`", args.pattern)));
    }
    print_notes(hosts.iter().copied());
    print_folded(hosts.iter().map(|host| (host.name.as_str(), host.machine_notes())));
    let candidates = hosts.into_iter().map(|host| {
        let (target, metadata) = (host.machine_target()?, host.metadata()?);
        // A leader reads the command in its own inventory; an invalid one is refused before the host joins.
        host.fence_command()?;
        Ok(Candidate { target, metadata })
    });
    let candidates = candidates.collect::<Result<Vec<_>, crate::inventory::InventoryError>>()?;
    let cluster = match context.existing_cluster().await? {
        Some(cluster) => cluster,
        None => match refused_by_all(context, &candidates).await? {
            Some(refused) => return Ok(ui::report(&print_joined(refused, args))),
            None => context.new_cluster().await?,
        },
    };
    let join = membership::join(&cluster, &candidates, args.take_over).await;
    let adopted = match &join {
        Ok(Join { foreign, .. }) if args.adopt && !foreign.is_empty() => adopt(context, &cluster, args, foreign).await,
        _ => Ok(Vec::new()),
    };
    cluster.remote.close(Duration::from_millis(200)).await;
    let join = join?;
    let warning = warning_of_keys(&cluster.store, &cluster.keys, &join.joined).await?;
    let mut errors = print_joined(join, args);
    errors.extend(adopted?);
    if let Some(warning) = warning {
        ui::warn(&warning);
    }
    Ok(ui::report(&errors))
}

/// Warns of keys that were changed while a controller on another host leads: it may not have them.
async fn warning_of_keys(
    store: &SharedStore,
    keyspace: &Keyspace,
    joined: &[Joined],
) -> Result<Option<String>, CommandError> {
    let changed = joined.iter().filter_map(|joined| match joined {
        Joined::Changed(machine, changes) if changes.iter().any(|change| change == "keys") => {
            Some(machine.name.clone())
        }
        _ => None,
    });
    let changed: Vec<String> = changed.collect();
    if changed.is_empty() {
        return Ok(None);
    }
    let leader = leader_election::current_leader(store, keyspace).await?;
    let leader = leader.filter(|leader| leader.kind == LeaderKind::Controller);
    let elsewhere = leader.as_ref().and_then(LeaderRecord::elsewhere);
    Ok(elsewhere.map(|host| messages::keys_of_controller(&changed, host)))
}

/// Returns the outcome for hosts that are to be the first of a cluster in a new store, if none of them can join.
async fn refused_by_all(context: &Context, candidates: &[Candidate]) -> Result<Option<Join>, CommandError> {
    let token = context.keys()?.token().to_owned();
    if token != "default" {
        return Err(MembershipError::UnknownToken(token).into());
    }
    Ok(membership::refused_by_all(&context.remote()?, &context.stop, candidates).await?)
}

/// Adopts the units of other programs. Returns an error for each that is left alone or does not run.
async fn adopt(
    context: &Context,
    cluster: &ClusterContext,
    args: &JoinArgs,
    foreign: &BTreeMap<MachineId, Foreign>,
) -> Result<Vec<CommandError>, CommandError> {
    let mut printer = ProgressPrinter::new(args.wait.json());
    let timeouts = args.wait.timeouts(context);
    let problems = membership::adopt(cluster, foreign, timeouts, &mut |progress| printer.print(&progress)).await;
    printer.finish();
    Ok(errors(&problems?))
}

/// Prints the outcome for each host. Returns an error for each that did not join.
fn print_joined(Join { joined, foreign, unknown, taken_from }: Join, args: &JoinArgs) -> Vec<CommandError> {
    let (mut machines, mut errors) = (Vec::new(), Vec::new());
    for joined in joined {
        let (machine, outcome, changes) = match joined {
            Joined::New(machine) => (machine, "joined", Vec::new()),
            Joined::Changed(machine, changes) => (machine, "updated", changes),
            Joined::Known(machine) => (machine, "known", Vec::new()),
            Joined::Refused(error) => {
                errors.push(CommandError::from(error));
                continue;
            }
        };
        let foreign = foreign.get(&machine.id).map(|units| ForeignUnits::new(units.keys()));
        match (args.wait.json(), outcome) {
            (true, _) => machines.push(json!({
                "machine": machine.id, "name": machine.name, "outcome": outcome, "changes": changes, "foreign": foreign,
                "unknown": unknown.get(&machine.id), "taken_from": taken_from.get(&machine.id),
            })),
            (_, "joined") => ui::result(&messages::joined(&machine)),
            (_, "updated") => ui::result(&messages::updated(&machine, &changes)),
            _ => ui::status(&messages::has_joined(&machine)),
        }
        if machine.cordoned || machine.draining {
            ui::note(&messages::stays_cordoned(&machine));
        }
        if let Some(cluster) = taken_from.get(&machine.id) {
            ui::status(&messages::taken_over(&machine, cluster));
        }
        if let Some(foreign) = foreign.filter(|_| !args.adopt) {
            ui::warn(&messages::foreign_units(&machine, &foreign));
        }
        if let Some(units) = unknown.get(&machine.id) {
            ui::warn(&messages::unknown_units(&machine, units));
        }
    }
    if args.wait.json() {
        ui::json(&machines);
    }
    errors
}

/// Runs `muster leave`.
pub(super) async fn leave(context: &Context, args: &LeaveArgs) -> CommandResult {
    let cluster = context.cluster().await?;
    let mut printer = ProgressPrinter::new(args.wait.json());
    let timeouts = args.wait.timeouts(context);
    let left =
        membership::leave(&cluster, &args.machine, args.force, timeouts, &mut |progress| printer.print(&progress))
            .await;
    cluster.remote.close(Duration::from_millis(200)).await;
    printer.finish();
    match left? {
        Left::Removed(machine, problems) => {
            if !args.wait.json() {
                ui::result(&messages::left(&machine));
            }
            // What `--force` gives up is as ordered. A unit that does not run where it has moved is trouble.
            let is_failure = |problem: &&Problem| !args.force && !problem.unreachable && problem.unit.is_some();
            let (failed, others): (Vec<&Problem>, Vec<&Problem>) = problems.iter().partition(is_failure);
            for problem in others {
                ui::warn(&problem.to_string());
            }
            Ok(ui::report(&errors(&failed.into_iter().cloned().collect::<Vec<_>>())))
        }
        Left::Draining(machine) => {
            ui::status(&messages::leaves_later(&machine));
            Ok(ExitStatus::Done)
        }
        Left::Kept(machine, problems) => {
            let mut errors = errors(&problems);
            let hint = format!(
                "{0} is still in the cluster, and drained: `muster uncordon {0}` lets it take units again. `muster leave \
                 --force {0}` removes it also if it does not answer, and stops the units that fit on no other machine.",
                machine.name
            );
            let last = errors.pop().map(|last| last.hint(hint));
            errors.extend(last);
            Ok(ui::report(&errors))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::MemoryStore;
    use crate::store::layout::Key;

    #[tokio::test]
    async fn changed_keys_are_a_warning_only_while_a_controller_leads_on_another_host() {
        let store: SharedStore = Arc::new(MemoryStore::new());
        let keys = Keyspace::new("default").unwrap();
        let changed = |what: &str| {
            Joined::Changed(Machine { name: "web1".to_owned(), ..Machine::default() }, vec![what.to_owned()])
        };
        let warning = async |what| warning_of_keys(&store, &keys, &[changed(what)]).await.unwrap();
        let leadership = leader_election::try_campaign(&store, &keys, LeaderKind::Controller).await.unwrap().unwrap();
        assert_eq!(warning("keys").await, None, "it runs here");
        let leader = keys.key(&Key::Leader);
        let mut record: serde_json::Value =
            serde_json::from_slice(&store.get(&leader).await.unwrap().unwrap().value).unwrap();
        record["host"] = "ctl".into();
        store.commit(vec![], vec![keys.put(&Key::Leader, &record)]).await.unwrap();
        let said = warning("keys").await.unwrap();
        assert!(said.starts_with("the controller on ctl logs in to web1 with the keys"), "{said}");
        assert_eq!(warning("address").await, None);
        leadership.resign().await;
    }
}
