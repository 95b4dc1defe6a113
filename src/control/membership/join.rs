//! Joining: hosts become machines of the cluster.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio_util::sync::CancellationToken;

use super::MembershipError;
use super::ownership;
use super::ownership::Claimed;
use super::ownership::Foreign;
use super::ownership::HOSTS_AT_ONCE;
use super::ownership::OwnershipError;
use super::request;
use crate::control::retry::Attempts;
use crate::control::retry::Contended;
use crate::core::model::About;
use crate::core::model::Address;
use crate::core::model::Failure;
use crate::core::model::Machine;
use crate::core::model::MachineId;
use crate::core::model::MachineVerb;
use crate::core::model::Snapshot;
use crate::core::unit::UnitName;
use crate::discovery::registry;
use crate::remote::Facts;
use crate::remote::SharedRemote;
use crate::remote::Target;
use crate::runner::ClusterContext;
use crate::store::COMMIT_LIMIT;
use crate::store::Op;
use crate::store::Precondition;
use crate::store::Revision;
use crate::store::StoreError;
use crate::store::layout;
use crate::store::layout::Key;

/// The port of an address that names none.
const SSH_PORT: u16 = 22;

/// A host that is to join.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// How SSH reaches it.
    pub target: Target,
    /// The metadata that units select it by.
    pub metadata: BTreeMap<String, String>,
}

/// The outcome of joining for one host.
#[derive(Debug)]
pub enum Joined {
    /// The host is a machine now.
    New(Machine),
    /// The host was a machine, and this of its record has changed.
    Changed(Machine, Vec<String>),
    /// The host was a machine; nothing has changed.
    Known(Machine),
    /// The host did not join.
    Refused(JoinError),
}

/// A host did not join. The other hosts did.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The host could not be reached, or cannot be managed.
    #[error(transparent)]
    Host(#[from] Failure),
    /// The host does not accept that it belongs to the cluster.
    #[error(transparent)]
    Ownership(OwnershipError),
    /// Two hosts have one machine-id: one is a clone, or both names mean one host.
    #[error("{name}: its machine-id {id} is that of {other}: one is a clone of the other")]
    Duplicate {
        /// The host that is refused.
        name: String,
        /// The other host with the machine-id.
        other: String,
        /// The machine-id of both.
        id: MachineId,
        /// Set if the other host has joined before.
        joined: bool,
    },
    /// Another machine of the cluster has the address of the host. The host was installed anew, or replaced by another.
    #[error("{name}: its machine-id is {id}, and {other} with the machine-id {before} has joined at its address")]
    Replaced {
        /// The host that is refused.
        name: String,
        /// Its machine-id.
        id: MachineId,
        /// The machine that has joined at the address.
        other: String,
        /// The machine-id of that machine.
        before: MachineId,
    },
    /// The record of its machine was written by a newer muster, or by hand.
    #[error("{name}: the record of machine {id} cannot be read: {why}")]
    Unreadable {
        /// The host.
        name: String,
        /// Its machine-id.
        id: MachineId,
        /// The error of the parser.
        why: String,
    },
    /// Other processes kept changing the record of its machine.
    #[error("{name}: {error}")]
    Contended {
        /// The host.
        name: String,
        /// How often it was tried.
        error: Contended,
    },
}

impl Joined {
    /// Returns the machine that the host is, unless the host did not join.
    pub(super) const fn machine(&self) -> Option<&Machine> {
        match self {
            Self::New(machine) | Self::Changed(machine, _) | Self::Known(machine) => Some(machine),
            Self::Refused(_) => None,
        }
    }
}

impl From<OwnershipError> for JoinError {
    fn from(error: OwnershipError) -> Self {
        match error {
            OwnershipError::Host(failure) => Self::Host(failure),
            error => Self::Ownership(error),
        }
    }
}

impl JoinError {
    fn duplicate(name: &str, other: &str, id: MachineId, joined: bool) -> Self {
        Self::Duplicate { name: name.to_owned(), other: other.to_owned(), id, joined }
    }
}

/// The outcome of joining.
#[derive(Debug, Default)]
pub struct Join {
    /// The outcome of each candidate, in the order given.
    pub joined: Vec<Joined>,
    /// The unit files on hosts that have joined that muster did not write.
    pub foreign: BTreeMap<MachineId, Foreign>,
    /// The units on hosts that have joined that muster wrote and that this cluster does not know. A leader unloads them.
    pub unknown: BTreeMap<MachineId, BTreeSet<UnitName>>,
    /// The name and the id of the cluster from which each host was taken.
    pub taken_from: BTreeMap<MachineId, String>,
}

impl Join {
    /// Notes what a host has said when it accepted that it belongs to the cluster.
    fn note(&mut self, machine: MachineId, claimed: &Claimed, snapshot: &Snapshot) {
        let Claimed { foreign, own, taken_from } = claimed;
        self.foreign.extend(Some((machine, foreign.clone())).filter(|(_, units)| !units.is_empty()));
        let own: BTreeSet<_> = own.iter().filter(|unit| !snapshot.units.contains_key(*unit)).cloned().collect();
        self.unknown.extend(Some((machine, own)).filter(|(_, units)| !units.is_empty()));
        self.taken_from.extend(taken_from.clone().map(|cluster| (machine, cluster)));
    }
}

/// Makes machines of hosts. With `take_over` a host that belongs to another cluster joins this one, and the unit files that
/// muster wrote there are this cluster's.
pub async fn join(
    context: &ClusterContext,
    candidates: &[Candidate],
    take_over: bool,
) -> Result<Join, MembershipError> {
    let token = context.keys.token();
    if layout::read(&*context.store, &context.keys).await?.size == 0 && token != "default" {
        return Err(MembershipError::UnknownToken(token.to_owned()));
    }
    let answers = ask(&context.remote, &context.stop, candidates).await?;
    // An interrupt is ignored from here on: the rest takes a moment, and the hosts that have answered all join.
    let mut joined: Vec<Option<Joined>> = candidates.iter().map(|_| None).collect();
    let mut join = Join::default();
    let mut attempts = Attempts::at("its record");
    loop {
        if let Err(error) = attempts.next() {
            return Ok(Join { joined: outcomes(joined, candidates, &error), ..join });
        }
        let view = MembershipView::read(context).await?;
        let Some(cluster) = ownership::identity(context, &view.snapshot).await? else { continue };
        let decided = decide(&view, candidates, &answers, &mut joined);
        let machines = decided.iter().map(|(_, decided)| decided.machine().cloned());
        let answers = ownership::claim(context, &cluster, machines, take_over).await?;
        let machines = decided.iter().map(|(_, decided)| decided.machine().map(|machine| machine.id));
        for (machine, claimed) in machines.zip(&answers).filter_map(claimed_by) {
            join.note(machine, claimed, &view.snapshot);
        }
        register(context, &view, without_refusals(decided, answers)).await?;
        if joined.iter().all(Option::is_some) {
            return Ok(Join { joined: joined.into_iter().flatten().collect(), ..join });
        }
    }
}

/// Asks hosts before there is a store. Returns the outcome if no host answers, so that no store is made for them.
pub async fn refused_by_all(
    remote: &SharedRemote,
    stop: &CancellationToken,
    candidates: &[Candidate],
) -> Result<Option<Join>, MembershipError> {
    let answers = ask(remote, stop, candidates).await?;
    let refused = |failure: Failure| Joined::Refused(failure.into());
    let joined: Option<Vec<Joined>> = answers.into_iter().map(|answer| answer.err().map(refused)).collect();
    Ok(joined.map(|joined| Join { joined, ..Join::default() }))
}

/// Asks each host what it is.
async fn ask(
    remote: &SharedRemote,
    stop: &CancellationToken,
    candidates: &[Candidate],
) -> Result<Vec<Result<Facts, Failure>>, MembershipError> {
    let asked: Vec<_> = candidates.iter().map(|candidate| remote.facts(&candidate.target)).collect();
    tokio::select! {
        answers = stream::iter(asked).buffered(HOSTS_AT_ONCE).collect() => Ok(answers),
        () = stop.cancelled() => Err(MembershipError::Stopped),
    }
}

/// Returns the units of a host that has accepted that it belongs to the cluster.
fn claimed_by(
    (machine, answer): (Option<MachineId>, &Result<Claimed, OwnershipError>),
) -> Option<(MachineId, &Claimed)> {
    Some((machine?, answer.as_ref().ok()?))
}

/// Replaces the outcome of each host that does not accept that it belongs to the cluster.
fn without_refusals(
    decided: Vec<(&mut Option<Joined>, Joined)>,
    answers: Vec<Result<Claimed, OwnershipError>>,
) -> Vec<(&mut Option<Joined>, Joined)> {
    let refused = |error: OwnershipError| Joined::Refused(error.into());
    let accepted = |decided, answer: Result<_, _>| answer.map_or_else(refused, |_| decided);
    let both = decided.into_iter().zip(answers);
    both.map(|((slot, decided), answer)| (slot, accepted(decided, answer))).collect()
}

/// Returns the outcome of each candidate; the error for those that have none.
fn outcomes(joined: Vec<Option<Joined>>, candidates: &[Candidate], error: &Contended) -> Vec<Joined> {
    let refused = |candidate: &Candidate| {
        let name = candidate.target.name.clone();
        Joined::Refused(JoinError::Contended { name, error: error.clone() })
    };
    let both = joined.into_iter().zip(candidates);
    both.map(|(joined, candidate)| joined.unwrap_or_else(|| refused(candidate))).collect()
}

/// The machines of the cluster, and the revision of each record.
pub(super) struct MembershipView {
    snapshot: Snapshot,
    revisions: BTreeMap<MachineId, Revision>,
}

impl MembershipView {
    pub(super) async fn read(context: &ClusterContext) -> Result<Self, StoreError> {
        let machine = |slot| if let Key::Machine(id) = slot { Some(id) } else { None };
        let (snapshot, revisions) = layout::read_with_revisions(&*context.store, &context.keys, machine).await?;
        Ok(Self { snapshot, revisions })
    }

    /// Returns the machine that has joined at the address of a host with another machine-id, unless that machine is at
    /// another address now.
    fn predecessor(&self, id: MachineId, target: &Target, others: &[Candidate]) -> Option<&Machine> {
        let elsewhere = |machine: &Machine| {
            others.iter().any(|other| other.target.name == machine.name && !is_at(machine, &other.target))
        };
        let mut machines = self.snapshot.machines.values();
        machines.find(|machine| machine.id != id && is_at(machine, target) && !elsewhere(machine))
    }

    /// Returns the machine that has a host's machine-id and is another host: one of the two is a clone. A host with a new
    /// name at the address of the machine has only been renamed.
    fn original(&self, id: MachineId, target: &Target, others: &[Candidate]) -> Option<&Machine> {
        let known = self.snapshot.machines.get(&id).filter(|known| known.name != target.name)?;
        let old = |other: &Candidate| other.target.name == known.name && is_at(known, &other.target);
        (!is_at(known, target) || others.iter().any(old)).then_some(known)
    }
}

/// Reports whether a host has the address of a machine.
fn is_at(machine: &Machine, target: &Target) -> bool {
    let place = |address: &Address| (address.host.clone(), address.port.unwrap_or(SSH_PORT));
    place(&machine.address) == place(&target.address) && machine.jump == target.jump
}

/// Decides the outcome of each host that has none yet.
pub(super) fn decide<'a>(
    view: &MembershipView,
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
                None => admit(view, candidate, candidates, facts.clone()),
            },
        };
        if let (Ok(facts), Joined::New(_) | Joined::Changed(..) | Joined::Known(_)) = (answer, &admitted) {
            seen.insert(facts.machine, name.clone());
        }
        if joined.is_none() {
            open.push((joined, admitted));
        }
    }
    open
}

/// Decides whether a host may be a machine.
fn admit(view: &MembershipView, candidate: &Candidate, others: &[Candidate], facts: Facts) -> Joined {
    let Facts { machine: id, os, systemd, podman } = facts;
    let name = candidate.target.name.clone();
    if let Some(original) = view.original(id, &candidate.target, others) {
        return Joined::Refused(JoinError::duplicate(&name, &original.name, id, true));
    }
    if let Some(record) = view.snapshot.unreadable.values().find(|record| record.about == About::Machine(id)) {
        return Joined::Refused(JoinError::Unreadable { name, id, why: record.why.clone() });
    }
    let known = view.snapshot.machines.get(&id);
    let predecessor = view.predecessor(id, &candidate.target, others).filter(|_| known.is_none());
    if let Some(Machine { id: before, name: other, .. }) = predecessor {
        return Joined::Refused(JoinError::Replaced { name, id, other: other.clone(), before: *before });
    }
    let Target { address, identity_files, jump, options: ssh_options, .. } = candidate.target.clone();
    let ip = address.host.parse::<IpAddr>().map_or_else(|_| name.clone(), |ip| ip.to_string());
    let metadata = candidate.metadata.clone();
    let before = known.cloned().unwrap_or_default();
    let machine =
        Machine { id, name, address, identity_files, jump, ssh_options, ip, metadata, os, systemd, podman, ..before };
    match known {
        None => Joined::New(machine),
        Some(known) if *known == machine => Joined::Known(machine),
        Some(known) => {
            let changes = machine.changes_since(known);
            Joined::Changed(machine, changes)
        }
    }
}

/// Stores the new and the changed machines. A machine whose record was written since it was read, perhaps by a cordon,
/// keeps no outcome.
pub(super) async fn register(
    context: &ClusterContext,
    view: &MembershipView,
    mut decided: Vec<(&mut Option<Joined>, Joined)>,
) -> Result<(), StoreError> {
    // Each machine takes up to two checks and three changes, and the size of the token another change.
    while !decided.is_empty() {
        let portion: Vec<_> = decided.drain(..decided.len().min(COMMIT_LIMIT / 3 - 1)).collect();
        let mut checks = Vec::new();
        let mut changes = Vec::new();
        let mut requests = Vec::new();
        for (_, decided) in &portion {
            let (Joined::New(machine) | Joined::Changed(machine, _)) = decided else { continue };
            let (record, member) = (Key::Machine(machine.id), Key::Member(machine.id));
            let (key, registered) = (context.keys.key(&record), context.keys.key(&member));
            match view.revisions.get(&machine.id) {
                Some(revision) => checks.push(Precondition::Modified(key, *revision)),
                None => checks.extend([key, registered.clone()].map(Precondition::Absent)),
            }
            changes.push(context.keys.put(&record, machine));
            changes.push(Op::put(registered, format!("{}={}", machine.name, machine.address)));
            requests.push(request(context, machine.id, MachineVerb::Join));
        }
        changes.extend(context.keys.ops(&requests));
        let size = view.snapshot.size;
        if !changes.is_empty() && view.snapshot.machines.is_empty() && (1..u32::MAX).contains(&size) {
            // A token that the discovery service created lasts now that it has a member.
            changes.push(registry::lasting(&context.keys, size.to_string()));
        }
        if changes.is_empty() || context.store.commit(checks, changes).await?.is_some() {
            for (joined, decided) in portion {
                *joined = Some(decided);
            }
        }
    }
    Ok(())
}
