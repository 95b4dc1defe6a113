//! The commands of fleet for units: each stores the desired state, then brings the units there.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::failure_details;
use super::goal::Goal;
use super::goal::Records;
use super::goal::UnitProgress;
use super::goal::recorded_health;
use super::leadership::controller_leads;
use super::operation::UnitOperation;
use super::problems::Problem;
use super::progress::OnProgress;
use super::progress::OperationError;
use super::progress::Progress;
use super::progress::Timeouts;
use super::retry::Attempts;
use super::timing::timing;
use super::versions;
use crate::core::command;
use crate::core::command::Decision;
use crate::core::command::DesiredChange;
use crate::core::command::InvalidCommand;
use crate::core::command::UnitCommand;
use crate::core::explain::TroubleKind;
use crate::core::health::BRAKE;
use crate::core::health::DetectionConfig;
use crate::core::model::DesiredState;
use crate::core::model::Event;
use crate::core::model::EventKind;
use crate::core::model::Snapshot;
use crate::core::model::Verb;
use crate::core::model::Write;
use crate::core::reconcile::Reconciler;
use crate::core::reconcile::assignments::Scope;
use crate::core::schedule::RequirementsIndex;
use crate::core::unit::UnitName;
use crate::runner;
use crate::runner::ClusterContext;
use crate::store;
use crate::store::COMMIT_BYTES;
use crate::store::COMMIT_LIMIT;
use crate::store::Precondition;
use crate::store::Revision;
use crate::store::StoreError;
use crate::store::layout;
use crate::store::layout::Key;
use crate::store::leader_election;

/// The epoch of a process that does not lead. No host obeys it.
const NO_EPOCH: u64 = 0;

/// How long the machines have to answer before a command leads and observes them again.
const OBSERVATION: Duration = Duration::from_millis(2500);

/// How many units go into one commit: each takes up to four checks.
const UNITS_PER_COMMIT: usize = COMMIT_LIMIT / 4;

/// How many changes of a commit a unit takes, without contents.
const CHANGES: usize = 3;

/// Carries out a verb for some units and returns the problems that remain.
pub async fn execute(
    context: &ClusterContext,
    verb: Verb,
    commands: &[UnitCommand],
    timeouts: Timeouts,
    on_progress: &mut OnProgress<'_>,
) -> Result<Vec<Problem>, OperationError> {
    let began = Instant::now();
    // Otherwise the desired state would be stored by a command that cannot lead.
    leader_election::check_epoch(&context.store, &context.keys).await?;
    let Stored { mut open, same, mut problems } = store_desired_state(context, commands, on_progress).await?;
    let doubtful = if verb == Verb::Start && timeouts.block { doubtful(context, commands, same).await? } else { same };
    let mut unanswered = Vec::new();
    if verb == Verb::Start && timeouts.block && !doubtful.is_empty() {
        let (ended, found) = ended(context, commands, &doubtful, timeouts, on_progress).await?;
        open.extend(ended);
        unanswered = found;
    }
    let is_open = !open.is_empty() && verb != Verb::Submit;
    if is_open && timeouts.block {
        let operation = UnitOperation { context, goal: Goal::Verb(verb), units: &open, machine: None, timeouts };
        problems.extend(Box::pin(operation.run(on_progress)).await?);
        let is_over = timeouts.wait.is_some_and(|limit| began.elapsed() >= limit);
        if verb.goal() == Some(DesiredState::Launched) && !problems.is_empty() && !is_over {
            let snapshot = layout::read(&*context.store, &context.keys).await?;
            failure_details::add(context, &snapshot, &mut problems).await;
        }
    } else if is_open {
        let requirements = RequirementsIndex::of(&layout::read(&*context.store, &context.keys).await?);
        for unit in &open {
            on_progress(Progress::Triggered(unit, verb, requirements.is_global(unit)));
        }
    }
    for problem in unanswered {
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }
    if verb == Verb::Destroy {
        versions::forget(context, commands.iter().map(|command| &command.unit)).await?;
        collect_files(context).await?;
    }
    Ok(problems)
}

/// Observes units that run as far as the store knows, and returns those of which that is not certain. That needs no
/// leadership, and so does not wait for a controller which keeps leases.
async fn doubtful(
    context: &ClusterContext,
    commands: &[UnitCommand],
    units: BTreeSet<UnitName>,
) -> Result<BTreeSet<UnitName>, OperationError> {
    if units.is_empty() || !context.store.can_lead() || controller_leads(context).await? {
        return Ok(units);
    }
    let timing = timing(DetectionConfig { down_after: Duration::ZERO, brake: BRAKE });
    let snapshot = layout::read(&*context.store, &context.keys).await?;
    let mut reconciler = Reconciler::new(NO_EPOCH, Scope::Units(units.clone()), timing, snapshot);
    runner::observe(&mut reconciler, &context.remote, context.clock, OBSERVATION).await;
    if !reconciler.views().all(|(_, view)| view.answers() && view.units.is_some()) {
        return Ok(units);
    }
    let (snapshot, requirements) = (reconciler.snapshot(), reconciler.requirements());
    let health = recorded_health(snapshot);
    let records = Records::new(snapshot, requirements, &health);
    let runs = |unit: &UnitName| {
        let changes = |command: &UnitCommand| {
            command::decide(snapshot, command).is_ok_and(|decision| decision.change != DesiredChange::Nothing)
        };
        let is_reached = Goal::Verb(Verb::Start).progress_of(&records, unit) == UnitProgress::Reached;
        is_reached && !commands.iter().filter(|command| command.unit == *unit).any(changes)
    };
    Ok(units.into_iter().filter(|unit| !runs(unit)).collect())
}

/// Observes units that run as far as the store knows, and stores the start of those that have ended. Returns these, and the
/// problems of the machines that do not answer and of their units.
async fn ended(
    context: &ClusterContext,
    commands: &[UnitCommand],
    units: &BTreeSet<UnitName>,
    timeouts: Timeouts,
    on_progress: &mut OnProgress<'_>,
) -> Result<(BTreeSet<UnitName>, Vec<Problem>), OperationError> {
    let timeouts = Timeouts { settle: Duration::ZERO, ..timeouts };
    let operation = UnitOperation { context, goal: Goal::Verb(Verb::Start), units, machine: None, timeouts };
    let mut found = Box::pin(operation.run(&mut |_| ())).await?;
    found.retain(|problem| problem.unreachable);
    let again: Vec<UnitCommand> = commands.iter().filter(|command| units.contains(&command.unit)).cloned().collect();
    // The operator has seen the warnings.
    let mut without_warnings = |progress: Progress<'_>| {
        if !matches!(progress, Progress::Warning(_)) {
            on_progress(progress);
        }
    };
    let open = store_desired_state(context, &again, &mut without_warnings).await?.open;
    found.retain(|problem| problem.unit.as_ref().is_none_or(|unit| !open.contains(unit)));
    Ok((open, found))
}

/// What became of commands in the store.
#[derive(Debug, Default)]
struct Stored {
    /// The units that have not reached the desired state.
    open: BTreeSet<UnitName>,
    /// The units whose desired state was the same before, and that have reached it as far as the store knows.
    same: BTreeSet<UnitName>,
    /// A problem for each unit that does not exist.
    problems: Vec<Problem>,
}

/// Stores the desired state.
async fn store_desired_state(
    context: &ClusterContext,
    commands: &[UnitCommand],
    on_progress: &mut OnProgress<'_>,
) -> Result<Stored, OperationError> {
    let mut stored = Stored::default();
    let mut warned = BTreeSet::new();
    let mut left: Vec<&UnitCommand> = commands.iter().collect();
    let mut attempts = Attempts::at("the same units");
    while !left.is_empty() {
        attempts.next()?;
        let (snapshot, revisions) = read(context).await?;
        let decisions = decide(&snapshot, &left, &mut stored.problems)?;
        let reached = reached(&snapshot, &decisions);
        let together = command::command_warnings(&snapshot, commands);
        for warning in decisions.iter().flat_map(|(_, decision)| &decision.warnings).chain(&together) {
            if warned.insert(warning.clone()) {
                on_progress(Progress::Warning(warning));
            }
        }
        left.clear();
        for portion in portions(&decisions) {
            versions::keep(context, &snapshot, replaced(portion.iter())).await?;
            if !commit(context, &revisions, portion).await? {
                left.extend(portion.iter().map(|(command, _)| *command));
                continue;
            }
            for (UnitCommand { unit, .. }, decision) in portion {
                if decision.created {
                    on_progress(Progress::Reached(unit, DesiredState::Inactive, None));
                }
                let changed = decision.change != DesiredChange::Nothing;
                let is_open = changed || !reached.contains(unit);
                if is_open { &mut stored.open } else { &mut stored.same }.insert(unit.clone());
            }
            // These stop and start with the units that are replaced.
            let replacing = portion.iter().map(|(command, _)| command).filter(|it| command::replaces(&snapshot, it));
            stored.open.extend(command::needing(&snapshot, &replacing.map(|it| it.unit.clone()).collect()));
        }
    }
    stored.same.retain(|unit| !stored.open.contains(unit));
    Ok(stored)
}

/// Returns the units that have reached the goals of their commands, as far as the store knows.
fn reached(snapshot: &Snapshot, decisions: &[Decided<'_>]) -> BTreeSet<UnitName> {
    let (requirements, health) = (RequirementsIndex::of(snapshot), recorded_health(snapshot));
    let records = Records::new(snapshot, &requirements, &health);
    let is_reached =
        |command: &UnitCommand| Goal::Verb(command.verb).progress_of(&records, &command.unit) == UnitProgress::Reached;
    let reached = decisions.iter().map(|(command, _)| *command).filter(|command| is_reached(command));
    reached.map(|command| command.unit.clone()).collect()
}

type Decided<'a> = (&'a UnitCommand, Decision);

/// Decides what the commands change. A unit that does not exist keeps none of the others from being stopped, unloaded or
/// destroyed. Every other error refuses all commands.
fn decide<'a>(
    snapshot: &Snapshot,
    commands: &[&'a UnitCommand],
    problems: &mut Vec<Problem>,
) -> Result<Vec<Decided<'a>>, InvalidCommand> {
    let mut decided: Vec<Decided<'a>> = Vec::new();
    for command in commands {
        match command::decide(snapshot, command) {
            Ok(decision) => decided.push((*command, decision)),
            // The problem names no unit: no command shows more about a unit that does not exist.
            Err(InvalidCommand::Unknown(unit, similar)) if command.verb != Verb::Restart => {
                let error = InvalidCommand::Unknown(unit, Vec::new()).to_string();
                let is_left =
                    |unit: &&UnitName| command.verb != Verb::Destroy || !commands.iter().any(|it| it.unit == **unit);
                let details = similar.iter().filter(is_left).map(|unit| format!("did you mean {unit}?")).collect();
                problems.push(Problem { details, ..Problem::general(TroubleKind::UnknownUnit, error) });
            }
            Err(error) => return Err(error),
        }
    }
    let created = decided.iter().filter(|(_, decision)| decision.created).map(|(command, _)| &command.unit);
    command::check_services(created)?;
    let new = decided.iter().filter_map(|(command, decision)| match &decision.change {
        DesiredChange::Put(_, Some(file)) => Some((&command.unit, &**file)),
        _ => None,
    });
    command::check_aliases(snapshot, new)?;
    Ok(decided)
}

/// Splits decisions into as few commits as the store takes.
fn portions<'d, 'a>(mut decisions: &'d [Decided<'a>]) -> Vec<&'d [Decided<'a>]> {
    let mut portions = Vec::new();
    while !decisions.is_empty() {
        let (mut bytes, mut changes) = (0, 0);
        let fits = |(command, decision): &&Decided<'_>| {
            let contents = contents_of(command, decision);
            bytes += size_of(decision) + contents.map(|content| content.len() + 256).sum::<usize>();
            changes += CHANGES + contents_of(command, decision).count();
            bytes <= COMMIT_BYTES && changes <= COMMIT_LIMIT
        };
        let count = decisions.iter().take(UNITS_PER_COMMIT).take_while(fits).count().max(1);
        let (portion, rest) = decisions.split_at(count);
        portions.push(portion);
        decisions = rest;
    }
    portions
}

/// Returns the most bytes that a decision adds to a commit, without contents. Records and keys are short.
fn size_of(decision: &Decision) -> usize {
    let file = if let DesiredChange::Put(_, Some(file)) = &decision.change { file.text().len() } else { 0 };
    1024 + file
}

/// Returns the contents that a decision stores with the unit's file.
fn contents_of<'a>(command: &'a UnitCommand, decision: &Decision) -> impl Iterator<Item = &'a Arc<[u8]>> {
    let is_stored = matches!(decision.change, DesiredChange::Put(_, Some(_)));
    command.file.iter().filter(move |_| is_stored).flat_map(|file| file.contents.values())
}

/// Returns the units that get another file.
fn replaced<'d, 'a: 'd>(decisions: impl Iterator<Item = &'d Decided<'a>>) -> impl Iterator<Item = &'d UnitName> {
    let is_replaced =
        |decision: &Decision| !decision.created && matches!(decision.change, DesiredChange::Put(_, Some(_)));
    decisions.filter(move |(_, decision)| is_replaced(decision)).map(|(command, _)| &command.unit)
}

/// Reads the cluster, and the revision of each unit's record.
async fn read(context: &ClusterContext) -> Result<(Snapshot, BTreeMap<UnitName, Revision>), StoreError> {
    let unit = |slot| if let Key::Unit(unit) = slot { Some(unit) } else { None };
    layout::read_with_revisions(&*context.store, &context.keys, unit).await
}

/// Commits decisions unless one of the units was changed since it was read. Reports whether the commit was made.
async fn commit(
    context: &ClusterContext,
    revisions: &BTreeMap<UnitName, Revision>,
    decisions: &[Decided<'_>],
) -> Result<bool, StoreError> {
    let mut checks = Vec::new();
    let mut changes: BTreeMap<String, store::Op> = BTreeMap::new();
    let mut change = |change: store::Op| drop(changes.insert(change.key().to_owned(), change));
    let mut requests = Vec::new();
    for (command, decision) in decisions {
        let slot = Key::Unit(command.unit.clone());
        match &decision.change {
            DesiredChange::Nothing => continue,
            DesiredChange::Delete => change(context.keys.delete(&slot)),
            DesiredChange::Put(unit, Some(file)) => {
                let local = command.file.as_ref().map(|local| &local.contents);
                local
                    .into_iter()
                    .flat_map(|contents| layout::put_contents(&context.keys, file, contents))
                    .for_each(&mut change);
                layout::submit(&context.keys, &command.unit, unit, file).into_iter().for_each(&mut change);
            }
            DesiredChange::Put(unit, None) => change(context.keys.put(&slot, unit)),
        }
        let key = context.keys.key(&slot);
        // systemd knows no two units by one name.
        let others =
            command.unit.with_same_service().into_iter().filter(|other| decision.created && *other != command.unit);
        checks.extend(others.map(|other| Precondition::Absent(context.keys.key(&Key::Unit(other)))));
        requests.push(Write::Log(request(context, command)));
        checks.push(match revisions.get(&command.unit) {
            Some(revision) => Precondition::Modified(key, *revision),
            None => Precondition::Absent(key),
        });
    }
    if changes.is_empty() {
        return Ok(true);
    }
    let changes = changes.into_values().chain(context.keys.ops(&requests));
    Ok(context.store.commit(checks, changes.collect()).await?.is_some())
}

/// Returns the event that an operator asked for this.
fn request(context: &ClusterContext, command: &UnitCommand) -> Event {
    let (unit, verb) = (command.unit.clone(), command.verb);
    Event::new(context.clock.now(), None, Some(unit), EventKind::UnitRequested(verb)).by(&context.operator)
}

/// Removes the unit files to which no unit refers any more.
pub async fn collect_files(context: &ClusterContext) -> Result<(), StoreError> {
    let listing = layout::list(&*context.store, &context.keys).await?;
    for (check, change) in layout::orphans(&context.keys, &listing) {
        context.store.commit(vec![check], vec![change]).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::command::LocalFile;
    use crate::core::model::Unit;
    use crate::core::unit::Hash;
    use crate::core::unit::UnitFile;

    #[test]
    fn one_commit_takes_as_many_units_as_their_number_and_their_files_allow() {
        let decision = |length: usize| {
            let file = Arc::new(UnitFile::parse(&format!("[Service]\nA={}\n", "x".repeat(length))).unwrap());
            let unit = Unit::new(file.hash(), DesiredState::Launched);
            Decision { change: DesiredChange::Put(unit, Some(file)), created: true, warnings: Vec::new() }
        };
        let command = |contents: &[usize]| {
            let contents = contents
                .iter()
                .enumerate()
                .map(|(number, length)| (Hash::of(&[u8::try_from(number).unwrap()]), vec![0; *length].into()));
            let file = Arc::new(UnitFile::parse("[Service]\n").unwrap());
            let file = LocalFile { file, path: String::new(), template: false, contents: contents.collect() };
            let unit = "web.service".parse().unwrap();
            UnitCommand { file: Some(file), ..UnitCommand::new(Verb::Start, unit) }
        };
        let counts_with = |lengths: &[usize], contents: &[usize]| {
            let command = command(contents);
            let decisions: Vec<_> = lengths.iter().map(|length| (&command, decision(*length))).collect();
            portions(&decisions).into_iter().map(<[_]>::len).collect::<Vec<_>>()
        };
        let counts = |lengths: &[usize]| counts_with(lengths, &[]);
        assert_eq!(counts(&[]), [0; 0]);
        assert_eq!(counts(&[9; UNITS_PER_COMMIT + 1]), [UNITS_PER_COMMIT, 1]);
        assert_eq!(counts(&[COMMIT_BYTES / 3; 5]), [2, 2, 1]);
        assert_eq!(counts_with(&[9; 3], &[COMMIT_BYTES / 2]), [1, 1, 1]);
        assert_eq!(counts_with(&[9; 3], &[1; 60]), [2, 1]);
    }
}
