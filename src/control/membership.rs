//! Membership: hosts join the cluster and leave it, and machines are cordoned and drained.

mod adopt;
mod join;
mod ownership;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use super::failure_details;
use super::goal::Goal;
use super::operation::UnitOperation;
use super::problems::Problem;
use super::progress::OnProgress;
use super::progress::OperationError;
use super::progress::Timeouts;
use super::retry::Attempts;
use super::retry::Contended;
use crate::core::explain::TroubleKind;
use crate::core::lease;
use crate::core::machine_lookup::FindMachineError;
use crate::core::machine_lookup::find_machine;
use crate::core::model::Event;
use crate::core::model::EventKind;
use crate::core::model::Health;
use crate::core::model::Machine;
use crate::core::model::MachineId;
use crate::core::model::MachineVerb;
use crate::core::model::Placement;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;
use crate::core::model::Write;
use crate::core::unit::UnitName;
use crate::runner::ClusterContext;
use crate::store::Precondition;
use crate::store::StoreError;
use crate::store::layout;
use crate::store::layout::Key;
use crate::store::leader_election;

pub use adopt::adopt;
pub use join::Candidate;
pub use join::Join;
pub use join::JoinError;
pub use join::Joined;
pub use join::join;
pub use join::refused_by_all;
pub use ownership::Foreign;
pub use ownership::OwnershipError;

/// How long `leave --force` waits for a machine that does not answer, if no other limit is given.
const FORCED_LIMIT: Duration = Duration::from_secs(30);

/// How long `leave --force` waits for a host that is up and could not be managed.
const DISMISSAL: Duration = Duration::from_secs(5);

/// A change of the membership that was not made.
#[derive(Debug, thiserror::Error)]
pub enum MembershipError {
    /// No cluster has this token. Nothing was changed.
    #[error("token {0} is not known to the store")]
    UnknownToken(String),
    /// The text does not name exactly one machine. Nothing was changed.
    #[error(transparent)]
    Machine(#[from] FindMachineError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The units could not be moved off the machine. It stays cordoned and draining.
    #[error(transparent)]
    Operation(#[from] OperationError),
    /// Other processes kept changing the machine's records. Nothing was changed.
    #[error(transparent)]
    Contended(#[from] Contended),
    /// Another command let the machine keep its units while they moved. It is still a machine of the cluster.
    #[error(
        "the drain of {0} was cancelled meanwhile, by `muster uncordon` or `muster cordon`: it keeps the units that have not left it"
    )]
    DrainCancelled(String),
    /// The cluster's identity was written by a newer muster, or by hand. Nothing was changed.
    #[error("the record of the cluster's identity cannot be read: {key}: {why}")]
    NoIdentity {
        /// The key of the record.
        key: String,
        /// The error of the parser.
        why: String,
    },
    /// The system has no random number for the cluster's id. Nothing was changed.
    #[error("no random number for the id of the cluster: {0}")]
    NoRandomness(String),
    /// The machine is alive, so that its units stay. Nothing was changed.
    #[error("{0} is alive, so its units stay there")]
    Alive(String),
    /// The operator interrupted `join` while hosts were being asked. Nothing was changed.
    #[error("interrupted: no host has joined")]
    Stopped,
}

/// Whether a machine takes new units and keeps those that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchedulingMode {
    /// The machine takes new units.
    Open,
    /// The machine keeps the units that it has and takes no new ones.
    Cordoned,
    /// The units of the machine move elsewhere. Units that are still there at this time stop.
    Drained(Option<Timestamp>),
}

impl SchedulingMode {
    /// Returns whether a machine with this mode is cordoned, whether it is draining, and the deadline of the drain.
    pub const fn flags(self) -> (bool, bool, Option<Timestamp>) {
        match self {
            Self::Open => (false, false, None),
            Self::Cordoned => (true, false, None),
            Self::Drained(by) => (true, true, by),
        }
    }
}

/// Sets whether a machine takes units. Returns its new record.
pub async fn set_scheduling_mode(
    context: &ClusterContext,
    name: &str,
    mode: SchedulingMode,
) -> Result<Machine, MembershipError> {
    let verb = match mode {
        SchedulingMode::Open => MachineVerb::Uncordon,
        SchedulingMode::Cordoned => MachineVerb::Cordon,
        SchedulingMode::Drained(_) => MachineVerb::Drain,
    };
    let (cordoned, draining, drain_by) = mode.flags();
    change_machine(context, name, Some(verb), |machine| Machine { cordoned, draining, drain_by, ..machine }).await
}

/// Changes the record of a machine that is named as [`find_machine`] takes it, and returns the new record. The
/// verb is the one that the operator gave for it, if it is to be an event.
async fn change_machine(
    context: &ClusterContext,
    name: &str,
    verb: Option<MachineVerb>,
    change: impl Fn(Machine) -> Machine,
) -> Result<Machine, MembershipError> {
    let id_of = |slot| if let Key::Machine(id) = slot { Some(id) } else { None };
    let mut attempts = Attempts::at("the record of the machine");
    loop {
        attempts.next()?;
        let (snapshot, revisions) = layout::read_with_revisions(&*context.store, &context.keys, id_of).await?;
        let machine = find_machine(&snapshot, name)?;
        let changed = change(machine.clone());
        let slot = Key::Machine(machine.id);
        let Some(revision) = revisions.get(&machine.id) else { continue };
        // A `join` at the same time may change how the machine is reached.
        let unchanged = Precondition::Modified(context.keys.key(&slot), *revision);
        let requests: Vec<Write> = verb.map(|verb| request(context, machine.id, verb)).into_iter().collect();
        let mut changes = context.keys.ops(&requests);
        changes.push(context.keys.put(&slot, &changed));
        if context.store.commit(vec![unchanged], changes).await?.is_some() {
            return Ok(changed);
        }
    }
}

/// Returns the event that the operator asked for this.
fn request(context: &ClusterContext, machine: MachineId, verb: MachineVerb) -> Write {
    let kind = EventKind::MachineRequested(verb);
    Write::Log(Event::new(context.clock.now(), Some(machine), None, kind).by(&context.operator))
}

/// The outcome of [`drain`].
#[derive(Debug)]
pub struct Drained {
    /// The new record of the machine.
    pub machine: Machine,
    /// The problems of the units that run nowhere else now, or that are still on the machine.
    pub problems: Vec<Problem>,
    /// Set if the command has waited, and no unit is on the machine any more.
    pub is_empty: bool,
}

/// Cordons a machine and moves its units elsewhere. Units that are still there after `deadline` are stopped, even if they
/// run nowhere else.
pub async fn drain(
    context: &ClusterContext,
    name: &str,
    deadline: Option<Duration>,
    timeouts: Timeouts,
    on_progress: &mut OnProgress<'_>,
) -> Result<Drained, MembershipError> {
    leader_election::check_epoch(&context.store, &context.keys).await?;
    let by = deadline.map(|time| context.clock.now() + time);
    let machine = set_scheduling_mode(context, name, SchedulingMode::Drained(by)).await?;
    if !timeouts.block {
        return Ok(Drained { machine, problems: Vec::new(), is_empty: false });
    }
    let what = "the deadline of the drain, at which the units that are still there stop";
    let _wait = deadline.map(|_| tracing::info_span!("wait", what));
    let stopped = deadline.map(|_| "stopped at the deadline");
    let (problems, is_empty) = empty(context, machine.id, timeouts, stopped, on_progress).await?;
    Ok(Drained { machine, problems, is_empty })
}

/// Moves the units off a machine that is draining. Returns the problems, and whether no unit is left there. `stopped` begins
/// the problem of a unit that has stopped there and runs nowhere else, if the drain has a deadline.
async fn empty(
    context: &ClusterContext,
    machine: MachineId,
    timeouts: Timeouts,
    stopped: Option<&str>,
    on_progress: &mut OnProgress<'_>,
) -> Result<(Vec<Problem>, bool), MembershipError> {
    let mut snapshot = layout::read(&*context.store, &context.keys).await?;
    if is_out_of_reach(&snapshot, machine) {
        forget_moved(&mut snapshot, machine);
    }
    let ran = |unit: &UnitName| snapshot.states.get(unit)?.get(&machine).filter(|state| state.runs());
    let mut problems = move_units(context, &snapshot, machine, timeouts, on_progress).await?;
    let snapshot = layout::read(&*context.store, &context.keys).await?;
    if let Some(record) = snapshot.machines.get(&machine).filter(|record| !record.draining) {
        return Err(MembershipError::DrainCancelled(record.name.clone()));
    }
    failure_details::add(context, &snapshot, &mut problems).await;
    let left = units_on(&snapshot, machine);
    let has_stopped = |problem: &&mut Problem| {
        let stopped = |unit: &UnitName| !left.contains(unit) && ran(unit).is_some();
        problem.kind == TroubleKind::Unschedulable && problem.unit.as_ref().is_some_and(stopped)
    };
    if let Some(stopped) = stopped {
        for problem in problems.iter_mut().filter(has_stopped) {
            problem.what = format!("{stopped}: {}", problem.what);
        }
    }
    Ok((problems, left.is_empty()))
}

/// The outcome of [`leave`].
#[derive(Debug)]
pub enum Left {
    /// The host is no machine of the cluster any more. The problems are those of units that may still run there or run
    /// nowhere, and of a host that could not be told that it has left.
    Removed(Machine, Vec<Problem>),
    /// The host is still a machine, because these units could not be moved off it. It stays cordoned and draining.
    Kept(Machine, Vec<Problem>),
    /// The host is still a machine. Its units move elsewhere, and the command does not wait for them.
    Draining(Machine),
}

/// Takes a machine out of the cluster once its units run elsewhere. With `force` it is taken out in any case: units that fit
/// on no other machine stop there, if the machine answers. Without [`Timeouts::block`] nothing is waited for: a machine that
/// still has units is then drained and stays; with `force` it is taken out, and its units go on running.
pub async fn leave(
    context: &ClusterContext,
    name: &str,
    force: bool,
    timeouts: Timeouts,
    on_progress: &mut OnProgress<'_>,
) -> Result<Left, MembershipError> {
    leader_election::check_epoch(&context.store, &context.keys).await?;
    let drained = |machine| Machine { cordoned: true, draining: true, drain_by: None, ..machine };
    let machine = change_machine(context, name, Some(MachineVerb::Leave), drained).await?;
    let snapshot = layout::read(&*context.store, &context.keys).await?;
    if force && is_out_of_reach(&snapshot, machine.id) {
        remove(context, &machine, false).await?;
        let problems = dismiss(context, &snapshot, &machine, is_sick(&snapshot, machine.id)).await;
        return Ok(Left::Removed(machine, problems));
    }
    if !timeouts.block && !force && !units_on(&snapshot, machine.id).is_empty() {
        return Ok(Left::Draining(machine));
    }
    let timeouts = if force { forced(timeouts, &snapshot, machine.id) } else { timeouts };
    let (mut problems, mut is_empty) = (Vec::new(), false);
    if timeouts.block {
        (problems, is_empty) = empty(context, machine.id, timeouts, None, on_progress).await?;
    }
    // Units that have left it and do not run elsewhere need it no longer.
    if !problems.is_empty() && !force && (!is_empty || has_not_answered(&problems, machine.id)) {
        return Ok(Left::Kept(machine, problems));
    }
    let mut snapshot = layout::read(&*context.store, &context.keys).await?;
    let is_lost = |snapshot: &Snapshot, problems: &[Problem]| {
        has_not_answered(problems, machine.id) || is_out_of_reach(snapshot, machine.id)
    };
    // A machine that has just not answered is not asked again.
    if !problems.is_empty() && !is_empty && !is_lost(&snapshot, &problems) {
        let now = Some(context.clock.now());
        change_machine(context, name, None, |machine| Machine { drain_by: now, ..machine }).await?;
        (problems, is_empty) = empty(context, machine.id, timeouts, Some("stopped"), on_progress).await?;
        snapshot = layout::read(&*context.store, &context.keys).await?;
    }
    remove(context, &machine, is_empty).await?;
    let left = if force && is_lost(&snapshot, &problems) {
        let is_sick =
            is_sick(&snapshot, machine.id) || problems.iter().any(|problem| problem.health == Some(Health::Sick));
        dismiss(context, &snapshot, &machine, is_sick).await
    } else {
        forget(context, &snapshot, &machine).await
    };
    merge(&mut problems, left);
    Ok(Left::Removed(machine, problems))
}

/// Adds the problems of a host that has left. A unit has one problem. That a unit may still run there says more than that the
/// command has timed out.
fn merge(problems: &mut Vec<Problem>, left: Vec<Problem>) {
    let may_run: BTreeSet<UnitName> = left.iter().filter_map(|problem| problem.unit.clone()).collect();
    let is_over = |problem: &Problem| problem.kind == TroubleKind::TimedOut;
    problems.retain(|problem| !is_over(problem) || problem.unit.as_ref().is_none_or(|unit| !may_run.contains(unit)));
    let named: BTreeSet<UnitName> = problems.iter().filter_map(|problem| problem.unit.clone()).collect();
    let is_new = |problem: &Problem| problem.unit.as_ref().is_none_or(|unit| !named.contains(unit));
    problems.extend(left.into_iter().filter(is_new));
}

/// Reports whether a command has found that a machine does not answer or cannot be managed.
fn has_not_answered(problems: &[Problem], machine: MachineId) -> bool {
    problems.iter().any(|problem| problem.unit.is_none() && problem.machine == Some(machine))
}

/// Reports whether the last leader found that a host is up and cannot be managed.
fn is_sick(snapshot: &Snapshot, machine: MachineId) -> bool {
    snapshot.health.get(&machine).is_some_and(|record| record.health == Health::Sick)
}

/// Reports whether the last leader could not manage a machine: waiting for the machine would change nothing.
fn is_out_of_reach(snapshot: &Snapshot, machine: MachineId) -> bool {
    let health = snapshot.health.get(&machine).map(|record| record.health);
    health.is_some_and(|health| !matches!(health, Health::Alive | Health::Suspect | Health::PathFault))
}

/// Tells a machine that it has left although the leader could not manage it, if its host is up. Returns what goes on there
/// and what could not be done.
async fn dismiss(context: &ClusterContext, snapshot: &Snapshot, machine: &Machine, is_sick: bool) -> Vec<Problem> {
    let Some(cluster) = snapshot.cluster.as_ref().filter(|_| is_sick) else {
        return left_behind(snapshot, machine, None);
    };
    match tokio::time::timeout(DISMISSAL, ownership::release(context, cluster, machine)).await {
        Ok(Ok(there)) => ownerless(snapshot, machine, &there).into_iter().collect(),
        Ok(Err(refusal)) => left_behind(snapshot, machine, Some(&refusal)),
        Err(_) => left_behind(snapshot, machine, None),
    }
}

/// Returns what could not be done on a machine that was removed without moving its units. `refusal` is why the host does not
/// know that it has left, if it has said so.
fn left_behind(snapshot: &Snapshot, machine: &Machine, refusal: Option<&OwnershipError>) -> Vec<Problem> {
    let name = &machine.name;
    let health = snapshot.health.get(&machine.id).filter(|_| is_out_of_reach(snapshot, machine.id));
    let state = match (refusal, health) {
        (Some(OwnershipError::OtherCluster { .. }), _) => "belongs to another cluster".to_owned(),
        (_, Some(record)) => format!("is {}", record.health),
        (Some(_), None) => "cannot be managed".to_owned(),
        (None, None) => "does not answer".to_owned(),
    };
    let units = units_on(snapshot, machine.id).into_iter();
    let units = units.map(|unit| Problem::of_copy(snapshot, &unit, machine.id, &state));
    let what = match refusal {
        Some(error @ OwnershipError::OtherCluster { .. }) => format!("{error}; that cluster decides what runs there"),
        Some(error) => untold(machine, error),
        None => {
            format!(
                "{name} does not answer and could not be told that it has left: until its next boot it refuses other clusters"
            )
        }
    };
    units.chain([Problem::of_machine(machine.id, what)]).collect()
}

/// Says that a host could not be told that it has left, and why.
fn untold(machine: &Machine, error: &OwnershipError) -> String {
    let name = &machine.name;
    format!("{error}; {name} could not be told that it has left: until its next boot it refuses other clusters")
}

/// Lets a host that has left forget the cluster. Returns the problems of a host that could not be told and of units that may
/// still run there, or the problem of units that go on there.
async fn forget(context: &ClusterContext, snapshot: &Snapshot, machine: &Machine) -> Vec<Problem> {
    let Some(cluster) = snapshot.cluster.as_ref() else { return Vec::new() };
    match ownership::release(context, cluster, machine).await {
        Ok(there) => ownerless(snapshot, machine, &there).into_iter().collect(),
        Err(error) => left_behind(snapshot, machine, Some(&error)),
    }
}

/// Returns the problem of units that run on a host that has left, unless another program had put all of them there. Units
/// with a lease stop when it ends, as no leader renews it; all others go on.
fn ownerless(snapshot: &Snapshot, machine: &Machine, there: &Foreign) -> Option<Problem> {
    let others = snapshot.foreign.get(&machine.id);
    let is_other = |unit: &UnitName| others.is_some_and(|foreign| foreign.names.contains(unit));
    let runs = there.iter().filter(|(unit, state)| state.runs() && !is_other(unit)).map(|(unit, _)| unit);
    let lease = snapshot.leases.get(&machine.id);
    let (leased, free): (Vec<_>, Vec<_>) =
        runs.partition(|unit| lease.is_some_and(|lease| lease.units.contains(*unit)));
    let names = |units: &[&UnitName]| units.iter().map(|unit| unit.as_str()).collect::<Vec<_>>().join(", ");
    let free = match free.as_slice() {
        [] => None,
        [unit] => Some(format!("{unit} goes on there, and belongs to no cluster now")),
        units => Some(format!("{} units go on there: {}; they belong to no cluster now", units.len(), names(units))),
    };
    let leased = lease.filter(|_| !leased.is_empty()).map(|lease| {
        let limit = lease::bound(lease).as_secs();
        let verb = if leased.len() == 1 { "stops" } else { "stop" };
        format!("{} {verb} there when the lease ends, within {limit} s", names(&leased))
    });
    let said: Vec<String> = free.into_iter().chain(leased).collect();
    let what = (!said.is_empty()).then(|| format!("{}: {}", machine.name, said.join("; ")))?;
    Some(Problem { machine: Some(machine.id), ..Problem::general(TroubleKind::StillElsewhere, what) })
}

/// Bounds the time for which a forced `leave` follows a controller that waits for a machine to answer.
fn forced(timeouts: Timeouts, snapshot: &Snapshot, machine: MachineId) -> Timeouts {
    let answers = snapshot.health.get(&machine).is_some_and(|record| record.health == Health::Alive);
    let wait = timeouts.wait.or((!answers).then_some(FORCED_LIMIT));
    Timeouts { wait, ..timeouts }
}

/// Removes the records of a machine that is draining.
///
/// The record of its lease is removed only if its units have been seen elsewhere (`drained`). Otherwise strict units may
/// still run there: the record keeps them from starting elsewhere, and a leader removes it when the lease has ended.
async fn remove(context: &ClusterContext, machine: &Machine, drained: bool) -> Result<(), MembershipError> {
    let mut attempts = Attempts::at("the records of the machine");
    loop {
        attempts.next()?;
        let key = context.keys.key(&Key::Machine(machine.id));
        let Some(entry) = context.store.get(&key).await? else { return Ok(()) };
        if layout::decode::<Machine>(&entry.value).is_ok_and(|record| !record.draining) {
            return Err(MembershipError::DrainCancelled(machine.name.clone()));
        }
        let mut slots =
            [Key::Member, Key::Health, Key::Foreign, Key::FailoverOverride].map(|key| key(machine.id)).to_vec();
        let mut checks = vec![Precondition::Modified(key, entry.modified)];
        slots.push(Key::Machine(machine.id));
        if drained {
            slots.push(Key::Lease(machine.id));
            checks.push(unchanged(context, context.keys.key(&Key::Lease(machine.id))).await?);
        }
        let changes = slots.iter().map(|slot| context.keys.delete(slot)).collect();
        if context.store.commit(checks, changes).await?.is_some() {
            return Ok(());
        }
    }
}

/// Returns a check that a record is as it is now.
async fn unchanged(context: &ClusterContext, key: String) -> Result<Precondition, StoreError> {
    let entry = context.store.get(&key).await?;
    Ok(entry.map_or(Precondition::Absent(key.clone()), |entry| Precondition::Modified(key, entry.modified)))
}

/// Moves all units off a machine that is draining. Returns a problem for each unit that could not be moved.
async fn move_units(
    context: &ClusterContext,
    snapshot: &Snapshot,
    machine: MachineId,
    timeouts: Timeouts,
    on_progress: &mut OnProgress<'_>,
) -> Result<Vec<Problem>, OperationError> {
    let units = units_on(snapshot, machine);
    if units.is_empty() {
        return Ok(Vec::new());
    }
    let name = snapshot.full_name_of(machine);
    let (goal, units, machine) = (Goal::AwayFrom(machine), &units, Some(name.as_str()));
    Box::pin(UnitOperation { context, goal, units, machine, timeouts }.run(on_progress)).await
}

/// Removes the last reports of a machine that does not answer about units that are placed on another machine by now: nothing
/// is left to move.
fn forget_moved(snapshot: &mut Snapshot, machine: MachineId) {
    let is_elsewhere = |at: &Placement| at.machine != machine;
    for (unit, states) in &mut snapshot.states {
        if snapshot.placements.get(unit).is_some_and(is_elsewhere) {
            states.remove(&machine);
        }
    }
}

/// Returns the units that are placed on a machine or that it has reported.
pub(crate) fn units_on(snapshot: &Snapshot, machine: MachineId) -> BTreeSet<UnitName> {
    let placed = snapshot.placements.iter().filter(|(_, placement)| placement.machine == machine);
    let reported = snapshot.states.iter().filter(|(_, states)| states.contains_key(&machine));
    placed.map(|(unit, _)| unit).chain(reported.map(|(unit, _)| unit)).cloned().collect()
}
