//! Verbs: write down what is wanted, then make it so, or follow the controller while it does.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::Office;
use super::findings::Finding;
use super::findings::findings;
use crate::core::cluster::DesiredState;
use crate::core::cluster::Event;
use crate::core::cluster::Machine;
use crate::core::cluster::MachineId;
use crate::core::cluster::Snapshot;
use crate::core::judge::BRAKE;
use crate::core::judge::Patience;
use crate::core::order;
use crate::core::order::BadOrder;
use crate::core::order::Change;
use crate::core::order::Decision;
use crate::core::order::Order;
use crate::core::order::Verb;
use crate::core::pass::Pass;
use crate::core::roster::Scope;
use crate::core::unit::Requirements;
use crate::core::unit::UnitName;
use crate::pass;
use crate::pass::Ended;
use crate::pass::Ending;
use crate::pass::Means;
use crate::store;
use crate::store::COMMIT_LIMIT;
use crate::store::Check;
use crate::store::Listing;
use crate::store::Revision;
use crate::store::StoreError;
use crate::store::follow::Follower;
use crate::store::follow::Update;
use crate::store::layout;
use crate::store::layout::Slot;
use crate::store::lead;
use crate::store::lead::Holder;
use crate::store::lead::Kind;

/// How often the records are read anew when others change them at the same time.
const ATTEMPTS: usize = 8;

/// How many units go into one commit: each is a check and up to two changes.
const UNITS_PER_COMMIT: usize = COMMIT_LIMIT / 2;

/// How long a verb waits.
#[derive(Debug, Clone, Copy)]
pub struct Waits {
    /// For the lead, if another command or a sweep has it.
    pub lock: Duration,
    /// For a controller to do it; `None` for as long as it takes.
    pub follow: Option<Duration>,
    /// For what was started to settle.
    pub settle: Duration,
    /// Whether to wait for anything at all (`--no-block`).
    pub block: bool,
}

/// Where units are to get to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// Where a verb wants them.
    Verb(Verb),
    /// Away from a machine.
    AwayFrom(MachineId),
}

/// What a verb tells while it works.
#[derive(Debug)]
pub enum Notice<'a> {
    /// Something the operator should know.
    Warning(&'a str),
    /// A unit has reached a state, on this machine if it is on one.
    Reached(&'a UnitName, DesiredState, Option<&'a Machine>),
    /// A unit is forgotten.
    Destroyed(&'a UnitName),
    /// It was written down, and nobody waits for it. Set for a global unit, which never reaches one state.
    Triggered(&'a UnitName, Verb, bool),
    /// Something was done, beside the cluster as it is.
    Event(&'a Snapshot, &'a Event),
}

/// Takes what a verb tells.
pub type Notify<'a> = dyn FnMut(Notice<'_>) + Send + 'a;

/// A verb that was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum VerbError {
    /// One of the orders cannot be. Nothing was changed.
    #[error(transparent)]
    Order(#[from] BadOrder),
    /// The store failed; what was written down is done by the next pass.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Somebody else acts. What is wanted was written down; the next pass does it.
    #[error("{0} is at work on this cluster")]
    Busy(Holder),
    /// Others kept changing the same units. Some of what is wanted may have been written down.
    #[error("others keep changing the same units")]
    Contended,
    /// The operator stopped it. What is wanted was written down; the next pass does it.
    #[error("stopped")]
    Stopped,
}

/// Carries out a verb for some units and returns what is wrong with them afterwards.
pub async fn carry_out(
    office: &Office,
    verb: Verb,
    orders: &[Order],
    waits: Waits,
    notify: &mut Notify<'_>,
) -> Result<Vec<Finding>, VerbError> {
    let wanted = write_down(office, orders, notify).await?;
    let found = if wanted.is_empty() || verb == Verb::Submit {
        Vec::new()
    } else if waits.block {
        make_so(office, Aim::Verb(verb), &wanted, waits, notify).await?
    } else {
        for unit in &wanted {
            notify(Notice::Triggered(unit, verb, false));
        }
        Vec::new()
    };
    if verb == Verb::Destroy {
        collect_files(office).await?;
    }
    Ok(found)
}

/// Writes down what is wanted and returns the units that are to change.
async fn write_down(
    office: &Office,
    orders: &[Order],
    notify: &mut Notify<'_>,
) -> Result<BTreeSet<UnitName>, VerbError> {
    let mut wanted = BTreeSet::new();
    let mut warned = BTreeSet::new();
    let mut left: Vec<&Order> = orders.iter().collect();
    for _ in 0..ATTEMPTS {
        let (snapshot, revisions) = read(office).await?;
        let decisions = left
            .iter()
            .map(|order| Ok((*order, order::decide(&snapshot, order)?)))
            .collect::<Result<Vec<_>, BadOrder>>()?;
        for warning in decisions.iter().flat_map(|(_, decision)| &decision.warnings) {
            if warned.insert(warning.clone()) {
                notify(Notice::Warning(warning));
            }
        }
        left.clear();
        for portion in decisions.chunks(UNITS_PER_COMMIT) {
            if commit(office, &revisions, portion).await? {
                for (order, decision) in portion {
                    if decision.created {
                        notify(Notice::Reached(&order.unit, DesiredState::Inactive, None));
                    }
                    if decision.change != Change::Nothing || !is_reached(&snapshot, &order.unit, Aim::Verb(order.verb))
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

/// Reads the cluster, and when each unit's record was last changed.
async fn read(office: &Office) -> Result<(Snapshot, BTreeMap<UnitName, Revision>), StoreError> {
    let listing = list(office).await?;
    let revisions = listing.entries.iter().filter_map(|entry| match office.keys.slot(&entry.key) {
        Ok(Some(Slot::Unit(unit))) => Some((unit, entry.modified)),
        _ => None,
    });
    let revisions = revisions.collect();
    Ok((layout::snapshot(&office.keys, &listing), revisions))
}

async fn list(office: &Office) -> Result<Listing, StoreError> {
    let mut whole = Listing::default();
    for prefix in office.keys.prefixes() {
        whole.entries.extend(office.store.list(&prefix).await?.entries);
    }
    Ok(whole)
}

/// Commits decisions if nobody has changed the same units since they were read, and says whether it did.
async fn commit(
    office: &Office,
    revisions: &BTreeMap<UnitName, Revision>,
    decisions: &[(&Order, Decision)],
) -> Result<bool, StoreError> {
    let mut checks = Vec::new();
    let mut changes: BTreeMap<String, store::Change> = BTreeMap::new();
    let mut change = |change: store::Change| drop(changes.insert(change.key().to_owned(), change));
    for (order, decision) in decisions {
        let slot = Slot::Unit(order.unit.clone());
        match &decision.change {
            Change::Nothing => continue,
            Change::Delete => change(office.keys.delete(&slot)),
            Change::Put(unit, Some(file)) => {
                layout::submit(&office.keys, &order.unit, unit, file).into_iter().for_each(&mut change);
            }
            Change::Put(unit, None) => change(office.keys.put(&slot, unit)),
        }
        let key = office.keys.key(&slot);
        checks.push(match revisions.get(&order.unit) {
            Some(revision) => Check::Modified(key, *revision),
            None => Check::Absent(key),
        });
    }
    if changes.is_empty() {
        return Ok(true);
    }
    Ok(office.store.commit(checks, changes.into_values().collect()).await?.is_some())
}

/// Makes it so, by a pass of our own or by following whoever leads, and returns what is wrong afterwards.
pub async fn make_so(
    office: &Office,
    aim: Aim,
    wanted: &BTreeSet<UnitName>,
    waits: Waits,
    notify: &mut Notify<'_>,
) -> Result<Vec<Finding>, VerbError> {
    let deadline = Instant::now() + waits.lock;
    loop {
        match lead::take(&office.store, &office.keys, Kind::Verb).await? {
            Ok(lead) => {
                let means = Means::new(office, lead);
                let done = act(office, aim, wanted, &means, waits, notify).await;
                means.lead.release().await;
                match done? {
                    Some(found) => return Ok(found),
                    // Somebody else took over: see who.
                    None => continue,
                }
            }
            Err(holder) if holder.kind == Kind::Controller => return follow(office, aim, wanted, waits, notify).await,
            Err(holder) if Instant::now() >= deadline => return Err(VerbError::Busy(holder)),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
        if office.stop.is_cancelled() {
            return Err(VerbError::Stopped);
        }
    }
}

/// Runs a pass over the units; `None` if the lead was lost on the way.
async fn act(
    office: &Office,
    aim: Aim,
    wanted: &BTreeSet<UnitName>,
    means: &Means,
    waits: Waits,
    notify: &mut Notify<'_>,
) -> Result<Option<Vec<Finding>>, VerbError> {
    let snapshot = layout::read(&*office.store, &office.keys).await?;
    let scope = Scope::Units(wanted.clone());
    // A verb does not wait for machines: who does not answer at once is left to the sweep or the controller.
    let tempo = super::tempo(Patience { down_after: Duration::ZERO, brake: BRAKE });
    let mut pass = Pass::new(means.lead.epoch(), scope.clone(), tempo, snapshot);
    let mut tell = |snapshot: &Snapshot, event: &Event| notify(Notice::Event(snapshot, event));
    let ended = pass::run(&mut pass, means, None, Ending::Settled(waits.settle), &mut tell).await?;
    tell_reached(pass.snapshot(), aim, wanted, notify);
    match ended {
        Ended::Finished => Ok(Some(findings(&pass, &scope))),
        Ended::Stopped => Err(VerbError::Stopped),
        Ended::Deposed => Ok(None),
    }
}

/// Tells which units have reached what was wanted, and returns the others.
fn tell_reached(
    snapshot: &Snapshot,
    aim: Aim,
    wanted: &BTreeSet<UnitName>,
    notify: &mut Notify<'_>,
) -> BTreeSet<UnitName> {
    let (reached, left): (Vec<_>, Vec<_>) = wanted.iter().partition(|unit| is_reached(snapshot, unit, aim));
    for unit in reached {
        if let (true, Aim::Verb(verb)) = (is_global(snapshot, unit), aim) {
            notify(Notice::Triggered(unit, verb, true));
            continue;
        }
        let machine = snapshot.placements.get(unit).and_then(|at| snapshot.machines.get(&at.machine));
        let wanted = snapshot.units.get(unit).map(|unit| unit.desired);
        let goal = if let Aim::Verb(verb) = aim { verb.goal() } else { wanted };
        match goal {
            Some(state) => notify(Notice::Reached(unit, state, machine)),
            None => notify(Notice::Destroyed(unit)),
        }
    }
    left.into_iter().cloned().collect()
}

/// Says whether a unit is where it is wanted.
fn is_reached(snapshot: &Snapshot, name: &UnitName, aim: Aim) -> bool {
    let unit = snapshot.units.get(name);
    let nowhere = !snapshot.placements.contains_key(name) && !snapshot.states.contains_key(name);
    let goal = match aim {
        Aim::Verb(verb) => verb.goal(),
        Aim::AwayFrom(machine) => {
            let placed = snapshot.placements.get(name).is_some_and(|at| at.machine == machine);
            if placed || snapshot.states.get(name).is_some_and(|states| states.contains_key(&machine)) {
                return false;
            }
            unit.map(|unit| unit.desired)
        }
    };
    let Some(goal) = goal else { return unit.is_none() && nowhere };
    let Some(unit) = unit else { return false };
    if goal == DesiredState::Inactive {
        return nowhere;
    }
    if is_global(snapshot, name) {
        return unit.desired == goal;
    }
    let here = snapshot.placements.get(name).and_then(|at| snapshot.states.get(name)?.get(&at.machine));
    here.is_some_and(|state| {
        let same = state.hash == unit.hash && state.reached() == goal;
        same && if goal == DesiredState::Loaded { !state.runs() } else { state.restarts >= unit.restarts }
    })
}

fn is_global(snapshot: &Snapshot, name: &UnitName) -> bool {
    let requirements = snapshot.file(name).and_then(|file| Requirements::of(name, file).ok());
    requirements.is_some_and(|(requirements, _)| requirements.global)
}

/// Follows whoever leads until all units are where they are wanted, or trouble is told of them.
async fn follow(
    office: &Office,
    aim: Aim,
    wanted: &BTreeSet<UnitName>,
    waits: Waits,
    notify: &mut Notify<'_>,
) -> Result<Vec<Finding>, VerbError> {
    let mut prefixes = office.keys.prefixes();
    prefixes.push(office.keys.events());
    let mut follower = Follower::new(office.store.clone(), prefixes);
    let mut snapshot = Snapshot::default();
    let mut left = wanted.clone();
    let mut found = Vec::new();
    let deadline = waits.follow.map(|wait| Instant::now() + wait);
    while !left.is_empty() {
        let update = tokio::select! {
            update = follower.next() => update,
            () = office.stop.cancelled() => return Err(VerbError::Stopped),
            () = pass::sleep_until(deadline) => {
                found.extend(left.iter().map(|unit| overdue(unit, aim)));
                return Ok(found);
            }
        };
        match update {
            Update::Reset(listing) => snapshot = layout::snapshot(&office.keys, &listing),
            Update::Changes(changes) => {
                layout::apply(&mut snapshot, &office.keys, &changes);
                for event in changes.iter().filter_map(|changed| layout::event(&office.keys, changed)) {
                    let Some(unit) = event.unit.clone().filter(|unit| left.contains(unit)) else { continue };
                    notify(Notice::Event(&snapshot, &event));
                    if event.trouble {
                        left.remove(&unit);
                        let what = event.what.clone();
                        found.push(Finding { machine: event.machine, unit: Some(unit), what, unreachable: false });
                    }
                }
            }
            Update::Away(error) => return Err(error.into()),
        }
        left = tell_reached(&snapshot, aim, &left, notify);
    }
    Ok(found)
}

fn overdue(unit: &UnitName, aim: Aim) -> Finding {
    let state = match aim {
        Aim::Verb(verb) => verb.goal().map_or_else(|| "destroyed".to_owned(), |state| state.to_string()),
        Aim::AwayFrom(machine) => format!("away from {}...", machine.short()),
    };
    let what = format!("timed out waiting for unit {unit} to report state {state}");
    Finding { machine: None, unit: Some(unit.clone()), what, unreachable: false }
}

/// Removes the files that no unit names any more.
async fn collect_files(office: &Office) -> Result<(), StoreError> {
    let listing = list(office).await?;
    for (check, change) in layout::orphans(&office.keys, &listing) {
        office.store.commit(vec![check], vec![change]).await?;
    }
    Ok(())
}
