//! Joining and leaving: which hosts are machines of the cluster.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;

use super::ATTEMPTS;
use super::ClusterContext;
use super::operation::Goal;
use super::operation::UnitOperation;
use super::problems::Problem;
use super::verb::OnProgress;
use super::verb::Timeouts;
use super::verb::VerbError;
use crate::core::model::About;
use crate::core::model::Address;
use crate::core::model::Failure;
use crate::core::model::Machine;
use crate::core::model::MachineId;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;
use crate::core::unit::UnitName;
use crate::remote::Facts;
use crate::remote::Target;
use crate::store::COMMIT_LIMIT;
use crate::store::Change;
use crate::store::Check;
use crate::store::Revision;
use crate::store::StoreError;
use crate::store::layout;
use crate::store::layout::Slot;

/// How many hosts are asked at once.
const AT_ONCE: usize = 64;

/// The port of an address that names none.
const SSH: u16 = 22;

/// A host that is to join.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// How it is reached.
    pub target: Target,
    /// What units may select it by.
    pub metadata: BTreeMap<String, String>,
    /// What makes sure that it is off.
    pub fence_command: Option<String>,
}

/// How joining went for one host.
#[derive(Debug)]
pub enum Joined {
    /// It is a machine now.
    New(Machine),
    /// It was one, and is reached or described in another way now.
    Changed(Machine),
    /// It was one.
    Known(Machine),
    /// It did not join.
    Refused(JoinError),
}

/// A host did not join. The others did.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// It could not be reached, or cannot be managed.
    #[error(transparent)]
    Host(#[from] Failure),
    /// Two hosts have one machine-id: one is a clone, or they are one host by two names.
    #[error("{name}: its machine-id {id} is that of {other}: one is a clone of the other")]
    Duplicate {
        /// The host that is refused.
        name: String,
        /// The host that has it too.
        other: String,
        /// What both have.
        id: MachineId,
        /// Set if the other one has joined before.
        joined: bool,
    },
    /// Its record was written by a newer muster, or by hand.
    #[error("{name}: the record of machine {id} cannot be read: {why}")]
    Unreadable {
        /// The host.
        name: String,
        /// Its machine-id.
        id: MachineId,
        /// Why not.
        why: String,
    },
    /// Others kept changing its record.
    #[error("{0}: others keep changing its record: join again")]
    Raced(String),
}

impl JoinError {
    fn duplicate(name: &str, other: &str, id: MachineId, joined: bool) -> Self {
        Self::Duplicate { name: name.to_owned(), other: other.to_owned(), id, joined }
    }
}

/// The token does not name a cluster, or the store failed.
#[derive(Debug, thiserror::Error)]
pub enum MembershipError {
    /// Nobody made this token. Nothing was changed.
    #[error("token {0} is not known to the store")]
    UnknownToken(String),
    /// There is no such machine. Nothing was changed.
    #[error("no machine is called {0}")]
    UnknownMachine(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What ran there could not be moved.
    #[error(transparent)]
    Verb(#[from] VerbError),
    /// The operator stopped it while hosts were being asked. Nothing was changed.
    #[error("interrupted: no host has joined")]
    Stopped,
}

/// Makes machines of hosts. Every host is told of as soon as all have been asked, in the order given.
pub async fn join(context: &ClusterContext, candidates: &[Candidate]) -> Result<Vec<Joined>, MembershipError> {
    let token = context.keys.token();
    if layout::read(&*context.store, &context.keys).await?.size == 0 && token != "default" {
        return Err(MembershipError::UnknownToken(token.to_owned()));
    }
    let asked: Vec<_> = candidates.iter().map(|candidate| context.remote.facts(&candidate.target)).collect();
    let answers: Vec<Result<Facts, Failure>> = tokio::select! {
        answers = stream::iter(asked).buffered(AT_ONCE).collect() => answers,
        () = context.stop.cancelled() => return Err(MembershipError::Stopped),
    };
    // From here on it takes a moment: who has answered joins, whatever comes.
    let mut joined: Vec<Option<Joined>> = candidates.iter().map(|_| None).collect();
    for _ in 0..ATTEMPTS {
        let roll = MembershipView::read(context).await?;
        register(context, &roll, decide(&roll, candidates, &answers, &mut joined)).await?;
        if joined.iter().all(Option::is_some) {
            break;
        }
    }
    let raced = |candidate: &Candidate| Joined::Refused(JoinError::Raced(candidate.target.name.clone()));
    Ok(joined
        .into_iter()
        .zip(candidates)
        .map(|(joined, candidate)| joined.unwrap_or_else(|| raced(candidate)))
        .collect())
}

/// The machines there are, and when the record of each was last written.
struct MembershipView {
    snapshot: Snapshot,
    revisions: BTreeMap<MachineId, Revision>,
}

impl MembershipView {
    async fn read(context: &ClusterContext) -> Result<Self, StoreError> {
        let machine = |slot| if let Slot::Machine(id) = slot { Some(id) } else { None };
        let (snapshot, revisions) = layout::read_revised(&*context.store, &context.keys, machine).await?;
        Ok(Self { snapshot, revisions })
    }

    /// Returns the machine that has a host's identity and is not that host: one of the two is a clone. A host that goes by
    /// a new name where the machine is reached has only been renamed.
    fn original(&self, id: MachineId, target: &Target, others: &[Candidate]) -> Option<&Machine> {
        let known = self.snapshot.machines.get(&id).filter(|known| known.name != target.name)?;
        let old = |other: &Candidate| other.target.name == known.name && is_there(known, &other.target);
        (!is_there(known, target) || others.iter().any(old)).then_some(known)
    }
}

/// Says whether a host is where a machine is reached.
fn is_there(machine: &Machine, target: &Target) -> bool {
    let place = |address: &Address| (address.host.clone(), address.port.unwrap_or(SSH));
    place(&machine.address) == place(&target.address) && machine.jump == target.jump
}

/// Decides which of the hosts that have not joined yet may be machines.
fn decide<'a>(
    roll: &MembershipView,
    candidates: &[Candidate],
    answers: &[Result<Facts, Failure>],
    joined: &'a mut [Option<Joined>],
) -> Vec<(&'a mut Option<Joined>, Joined)> {
    let mut seen: BTreeMap<MachineId, String> = BTreeMap::new();
    let mut open = Vec::new();
    for ((candidate, answer), joined) in candidates.iter().zip(answers).zip(joined) {
        let name = &candidate.target.name;
        let admitted = match answer {
            Err(failure) => Joined::Refused(failure.clone().into()),
            Ok(facts) => match seen.get(&facts.machine) {
                Some(other) => Joined::Refused(JoinError::duplicate(name, other, facts.machine, false)),
                None => admit(roll, candidate, candidates, facts.clone()),
            },
        };
        if let (Ok(facts), Joined::New(_) | Joined::Changed(_) | Joined::Known(_)) = (answer, &admitted) {
            seen.insert(facts.machine, name.clone());
        }
        if joined.is_none() {
            open.push((joined, admitted));
        }
    }
    open
}

/// Decides whether a host may be a machine.
fn admit(roll: &MembershipView, candidate: &Candidate, others: &[Candidate], facts: Facts) -> Joined {
    let Facts { machine: id, os, systemd } = facts;
    let name = candidate.target.name.clone();
    if let Some(original) = roll.original(id, &candidate.target, others) {
        return Joined::Refused(JoinError::duplicate(&name, &original.name, id, true));
    }
    if let Some(record) = roll.snapshot.unreadable.values().find(|record| record.about == About::Machine(id)) {
        return Joined::Refused(JoinError::Unreadable { name, id, why: record.why.clone() });
    }
    let known = roll.snapshot.machines.get(&id);
    let Target { address, identity_files, jump, .. } = candidate.target.clone();
    let ip = address.host.parse::<IpAddr>().map_or_else(|_| name.clone(), |ip| ip.to_string());
    let (metadata, fence_command) = (candidate.metadata.clone(), candidate.fence_command.clone());
    let before = known.cloned().unwrap_or_default();
    let machine =
        Machine { id, name, address, identity_files, jump, ip, metadata, fence_command, os, systemd, ..before };
    match known {
        None => Joined::New(machine),
        Some(known) if *known == machine => Joined::Known(machine),
        Some(_) => Joined::Changed(machine),
    }
}

/// Writes the new and the changed machines down, if nobody has written their records since they were read: a machine may
/// have been cordoned meanwhile. Those that somebody has stay open.
async fn register(
    context: &ClusterContext,
    roll: &MembershipView,
    mut decided: Vec<(&mut Option<Joined>, Joined)>,
) -> Result<(), StoreError> {
    // Each is up to two checks and two changes.
    while !decided.is_empty() {
        let portion: Vec<_> = decided.drain(..decided.len().min(COMMIT_LIMIT / 2)).collect();
        let mut checks = Vec::new();
        let mut changes = Vec::new();
        for (_, decided) in &portion {
            let (Joined::New(machine) | Joined::Changed(machine)) = decided else { continue };
            let (record, member) = (Slot::Machine(machine.id), Slot::Member(machine.id));
            let (key, registered) = (context.keys.key(&record), context.keys.key(&member));
            match roll.revisions.get(&machine.id) {
                Some(revision) => checks.push(Check::Modified(key, *revision)),
                None => checks.extend([key, registered.clone()].map(Check::Absent)),
            }
            changes.push(context.keys.put(&record, machine));
            changes.push(Change::put(registered, format!("{}={}", machine.name, machine.address)));
        }
        if changes.is_empty() || context.store.commit(checks, changes).await?.is_some() {
            for (joined, decided) in portion {
                *joined = Some(decided);
            }
        }
    }
    Ok(())
}

/// Finds a machine by its name, its whole machine-id or the beginning of it.
pub fn find<'a>(snapshot: &'a Snapshot, text: &str) -> Option<&'a Machine> {
    let by_name = snapshot.machines.values().find(|machine| machine.name == text || machine.ip == text);
    let digits = text.strip_suffix("...").unwrap_or(text);
    let mut by_id = snapshot.machines.values().filter(|machine| machine.id.to_string().starts_with(digits));
    by_name.or_else(|| match (by_id.next(), by_id.next()) {
        (Some(machine), None) if digits.len() >= 4 => Some(machine),
        _ => None,
    })
}

/// What a machine is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchedulingMode {
    /// It takes units.
    Open,
    /// It keeps those it has and takes no new ones.
    Cordoned,
    /// What it has goes elsewhere; what still is there by then stops.
    Drained(Option<Timestamp>),
}

/// Says what a machine is there for.
pub async fn set_duty(context: &ClusterContext, name: &str, mode: SchedulingMode) -> Result<Machine, MembershipError> {
    let (cordoned, draining, drain_by) = match mode {
        SchedulingMode::Open => (false, false, None),
        SchedulingMode::Cordoned => (true, false, None),
        SchedulingMode::Drained(by) => (true, true, by),
    };
    loop {
        let snapshot = layout::read(&*context.store, &context.keys).await?;
        let machine = find(&snapshot, name).ok_or_else(|| MembershipError::UnknownMachine(name.to_owned()))?;
        let wanted = Machine { cordoned, draining, drain_by, ..machine.clone() };
        let slot = Slot::Machine(machine.id);
        let key = context.keys.key(&slot);
        let Some(entry) = context.store.get(&key).await? else { continue };
        // Only if nobody has written the record since: a join may be changing how the machine is reached.
        let same = layout::decode::<Machine>(&entry.value).is_ok_and(|stored| stored == *machine);
        let change = vec![context.keys.put(&slot, &wanted)];
        if same && context.store.commit(vec![Check::Modified(key, entry.modified)], change).await?.is_some() {
            return Ok(wanted);
        }
    }
}

/// Cordons a machine and moves everything off it; returns what could not be moved. After `deadline` what still is there
/// is stopped, even if it has nowhere to go.
pub async fn drain(
    context: &ClusterContext,
    name: &str,
    deadline: Option<Duration>,
    timeouts: Timeouts,
    on_progress: &mut OnProgress<'_>,
) -> Result<(Machine, Vec<Problem>), MembershipError> {
    let by = deadline.map(|time| context.clock.now() + time);
    let machine = set_duty(context, name, SchedulingMode::Drained(by)).await?;
    if !timeouts.block {
        return Ok((machine, Vec::new()));
    }
    let snapshot = layout::read(&*context.store, &context.keys).await?;
    let found = empty(context, &snapshot, machine.id, timeouts, on_progress).await?;
    Ok((machine, found))
}

/// Takes a machine out of the cluster, once what runs there runs elsewhere. With `force` a machine that does not answer
/// is taken out all the same, and what runs there goes on until somebody stops it.
pub async fn leave(
    context: &ClusterContext,
    name: &str,
    force: bool,
    timeouts: Timeouts,
    on_progress: &mut OnProgress<'_>,
) -> Result<(Machine, Vec<Problem>), MembershipError> {
    let timeouts = Timeouts { block: true, ..timeouts };
    let (machine, found) = drain(context, name, None, timeouts, on_progress).await?;
    if found.is_empty() || force {
        let slots = [Slot::Machine(machine.id), Slot::Member(machine.id), Slot::Health(machine.id)];
        let changes = slots.iter().map(|slot| context.keys.delete(slot)).collect();
        context.store.commit(Vec::new(), changes).await?;
    }
    Ok((machine, found))
}

/// Moves everything off a machine that is being drained and returns what could not be.
async fn empty(
    context: &ClusterContext,
    snapshot: &Snapshot,
    machine: MachineId,
    timeouts: Timeouts,
    on_progress: &mut OnProgress<'_>,
) -> Result<Vec<Problem>, VerbError> {
    let placed = snapshot.placements.iter().filter(|(_, at)| at.machine == machine).map(|(unit, _)| unit);
    let stated = snapshot.states.iter().filter(|(_, states)| states.contains_key(&machine)).map(|(unit, _)| unit);
    let units: BTreeSet<UnitName> = placed.chain(stated).cloned().collect();
    if units.is_empty() {
        return Ok(Vec::new());
    }
    UnitOperation { context, goal: Goal::AwayFrom(machine), units: &units, timeouts }.run(on_progress).await
}

#[cfg(test)]
mod tests;
