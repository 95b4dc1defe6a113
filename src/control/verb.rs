//! Verbs: write down what is wanted, then see to it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use super::ATTEMPTS;
use super::ClusterContext;
use super::operation::Goal;
use super::operation::UnitOperation;
use super::operation::is_reached;
use super::problems::Problem;
use crate::core::command;
use crate::core::command::Decision;
use crate::core::command::DesiredChange;
use crate::core::command::InvalidCommand;
use crate::core::command::UnitCommand;
use crate::core::command::Verb;
use crate::core::model::DesiredState;
use crate::core::model::Event;
use crate::core::model::Machine;
use crate::core::model::Snapshot;
use crate::core::schedule::RequirementsIndex;
use crate::core::unit::UnitName;
use crate::store;
use crate::store::COMMIT_BYTES;
use crate::store::COMMIT_LIMIT;
use crate::store::Check;
use crate::store::Revision;
use crate::store::StoreError;
use crate::store::layout;
use crate::store::layout::Slot;
use crate::store::leader_election::Holder;

/// How many units go into one commit: each is a check and up to two changes.
const UNITS_PER_COMMIT: usize = COMMIT_LIMIT / 2;

/// How long a verb timeouts.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For the lead, if another command or a sweep has it.
    pub lock: Duration,
    /// For a controller to do it; `None` for as long as it takes.
    pub follow: Option<Duration>,
    /// For what was started to settle.
    pub settle: Duration,
    /// Whether to wait for anything at all (`--no-block`).
    pub block: bool,
}

/// What a verb tells while it works.
#[derive(Debug)]
pub enum Progress<'a> {
    /// Something the operator should know.
    Warning(&'a str),
    /// A unit has reached a state, on this machine if it is on one.
    Reached(&'a UnitName, DesiredState, Option<&'a Machine>),
    /// A unit is forgotten.
    Destroyed(&'a UnitName),
    /// It was written down, and nobody timeouts for it. Set for a global unit, which never reaches one state.
    Triggered(&'a UnitName, Verb, bool),
    /// Something was done, beside the cluster as it is.
    Event(&'a Snapshot, &'a Event),
}

/// Takes what a verb tells.
pub type OnProgress<'a> = dyn FnMut(Progress<'_>) + Send + 'a;

/// A verb that was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum VerbError {
    /// One of the orders cannot be. Nothing was changed.
    #[error(transparent)]
    UnitCommand(#[from] InvalidCommand),
    /// The store failed; what was written down is done by the next reconcile.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Somebody else acts. What is wanted was written down; the next reconcile does it.
    #[error("{0} is at work on this cluster")]
    Busy(Holder),
    /// Others kept changing the same units. Some of what is wanted may have been written down.
    #[error("others keep changing the same units")]
    Contended,
    /// The operator stopped it. What is wanted was written down; the next reconcile does it.
    #[error("stopped")]
    Stopped,
}

/// Carries out a verb for some units and returns what is wrong with them afterwards.
pub async fn execute(
    context: &ClusterContext,
    verb: Verb,
    orders: &[UnitCommand],
    timeouts: Timeouts,
    on_progress: &mut OnProgress<'_>,
) -> Result<Vec<Problem>, VerbError> {
    let wanted = store_desired_state(context, orders, on_progress).await?;
    let found = if wanted.is_empty() || verb == Verb::Submit {
        Vec::new()
    } else if timeouts.block {
        UnitOperation { context, goal: Goal::Verb(verb), units: &wanted, timeouts }.run(on_progress).await?
    } else {
        let requirements = RequirementsIndex::of(&layout::read(&*context.store, &context.keys).await?);
        for unit in &wanted {
            on_progress(Progress::Triggered(unit, verb, requirements.is_global(unit)));
        }
        Vec::new()
    };
    if verb == Verb::Destroy {
        collect_files(context).await?;
    }
    Ok(found)
}

/// Writes down what is wanted and returns the units that are to change.
async fn store_desired_state(
    context: &ClusterContext,
    orders: &[UnitCommand],
    on_progress: &mut OnProgress<'_>,
) -> Result<BTreeSet<UnitName>, VerbError> {
    let mut wanted = BTreeSet::new();
    let mut warned = BTreeSet::new();
    let mut left: Vec<&UnitCommand> = orders.iter().collect();
    for _ in 0..ATTEMPTS {
        let (snapshot, revisions) = read(context).await?;
        let requirements = RequirementsIndex::of(&snapshot);
        let decisions = left
            .iter()
            .map(|order| Ok((*order, command::decide(&snapshot, order)?)))
            .collect::<Result<Vec<_>, InvalidCommand>>()?;
        for warning in decisions.iter().flat_map(|(_, decision)| &decision.warnings) {
            if warned.insert(warning.clone()) {
                on_progress(Progress::Warning(warning));
            }
        }
        left.clear();
        for portion in portions(&decisions) {
            if commit(context, &revisions, portion).await? {
                for (order, decision) in portion {
                    if decision.created {
                        on_progress(Progress::Reached(&order.unit, DesiredState::Inactive, None));
                    }
                    if decision.change != DesiredChange::Nothing
                        || !is_reached(&snapshot, &requirements, &order.unit, Goal::Verb(order.verb))
                    {
                        wanted.insert(order.unit.clone());
                    }
                }
            } else {
                left.extend(portion.iter().map(|(order, _)| *order));
            }
        }
        if left.is_empty() {
            return Ok(wanted);
        }
    }
    Err(VerbError::Contended)
}

/// Splits decisions into as few commits as the store takes.
fn portions<T>(mut decisions: &[(T, Decision)]) -> Vec<&[(T, Decision)]> {
    let mut portions = Vec::new();
    while !decisions.is_empty() {
        let mut size = 0;
        let fits = |(_, decision): &&(T, Decision)| {
            size += size_of(decision);
            size <= COMMIT_BYTES
        };
        let count = decisions.iter().take(UNITS_PER_COMMIT).take_while(fits).count().max(1);
        let (portion, rest) = decisions.split_at(count);
        portions.push(portion);
        decisions = rest;
    }
    portions
}

/// Returns how much a decision adds to a commit at most, in bytes: records and keys are short.
fn size_of(decision: &Decision) -> usize {
    let file = if let DesiredChange::Put(_, Some(file)) = &decision.change { file.text().len() } else { 0 };
    1024 + file
}

/// Reads the cluster, and when each unit's record was last changed.
async fn read(context: &ClusterContext) -> Result<(Snapshot, BTreeMap<UnitName, Revision>), StoreError> {
    let unit = |slot| if let Slot::Unit(unit) = slot { Some(unit) } else { None };
    layout::read_revised(&*context.store, &context.keys, unit).await
}

/// Commits decisions if nobody has changed the same units since they were read, and says whether it did.
async fn commit(
    context: &ClusterContext,
    revisions: &BTreeMap<UnitName, Revision>,
    decisions: &[(&UnitCommand, Decision)],
) -> Result<bool, StoreError> {
    let mut checks = Vec::new();
    let mut changes: BTreeMap<String, store::Change> = BTreeMap::new();
    let mut change = |change: store::Change| drop(changes.insert(change.key().to_owned(), change));
    for (order, decision) in decisions {
        let slot = Slot::Unit(order.unit.clone());
        match &decision.change {
            DesiredChange::Nothing => continue,
            DesiredChange::Delete => change(context.keys.delete(&slot)),
            DesiredChange::Put(unit, Some(file)) => {
                layout::submit(&context.keys, &order.unit, unit, file).into_iter().for_each(&mut change);
            }
            DesiredChange::Put(unit, None) => change(context.keys.put(&slot, unit)),
        }
        let key = context.keys.key(&slot);
        checks.push(match revisions.get(&order.unit) {
            Some(revision) => Check::Modified(key, *revision),
            None => Check::Absent(key),
        });
    }
    if changes.is_empty() {
        return Ok(true);
    }
    Ok(context.store.commit(checks, changes.into_values().collect()).await?.is_some())
}

/// Removes the files that no unit names any more.
async fn collect_files(context: &ClusterContext) -> Result<(), StoreError> {
    let listing = layout::list(&*context.store, &context.keys).await?;
    for (check, change) in layout::orphans(&context.keys, &listing) {
        context.store.commit(vec![check], vec![change]).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::core::model::Unit;
    use crate::core::unit::UnitFile;

    #[test]
    fn units_go_into_one_commit_as_far_as_their_number_and_their_files_allow() {
        let decision = |length: usize| {
            let file = Arc::new(UnitFile::parse(&format!("[Service]\nA={}\n", "x".repeat(length))).unwrap());
            let unit = Unit { hash: file.hash(), desired: DesiredState::Launched, restarts: 0 };
            ((), Decision { change: DesiredChange::Put(unit, Some(file)), created: true, warnings: Vec::new() })
        };
        let counts = |lengths: &[usize]| {
            let decisions: Vec<_> = lengths.iter().map(|length| decision(*length)).collect();
            portions(&decisions).into_iter().map(<[_]>::len).collect::<Vec<_>>()
        };
        assert_eq!(counts(&[]), [0; 0]);
        assert_eq!(counts(&[9; UNITS_PER_COMMIT + 1]), [UNITS_PER_COMMIT, 1]);
        assert_eq!(counts(&[COMMIT_BYTES / 3; 5]), [2, 2, 1]);
    }
}
