//! The cluster for playbooks: the same verbs and the same joining as on the command line.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::cluster::Cluster;
use super::cluster::Fulfilled;
use super::cluster::JoinOrder;
use super::cluster::Unfulfilled;
use super::cluster::UnitGoal;
use super::cluster::UnitOrder;
use crate::control::ClusterContext;
use crate::control::membership;
use crate::control::membership::Candidate;
use crate::control::membership::JoinError;
use crate::control::membership::Joined;
use crate::control::membership::MembershipError;
use crate::control::problems::Problem;
use crate::control::verb;
use crate::control::verb::Progress;
use crate::control::verb::Timeouts;
use crate::control::verb::VerbError;
use crate::core::command;
use crate::core::command::Change;
use crate::core::command::LocalFile;
use crate::core::command::UnitCommand;
use crate::core::command::Verb;
use crate::core::model::DesiredState;
use crate::core::model::FailureKind;
use crate::core::model::Snapshot;
use crate::core::unit::UnitName;
use crate::store::StoreError;
use crate::store::layout;

/// How long a task timeouts for a controller to do what it asked for.
const FOLLOW: Duration = Duration::from_mins(2);

/// How long a task timeouts for what was started to settle.
const SETTLE: Duration = Duration::from_secs(10);

/// Who carries out what playbooks ask of the cluster.
#[derive(Debug)]
pub struct ClusterClient {
    /// What there is to work with.
    pub cluster: ClusterContext,
    /// How long to wait for the lead while another command or a sweep has it.
    pub lock: Duration,
}

type Answer = Result<Fulfilled, Unfulfilled>;

/// Returns the verbs, in order, that bring a unit from where it is to where it is wanted.
fn verbs(snapshot: &Snapshot, order: &UnitOrder) -> Vec<Verb> {
    let known = snapshot.units.get(&order.name);
    let launched = known.is_some_and(|unit| unit.desired == DesiredState::Launched);
    let differs = known.zip(order.file.as_ref()).is_some_and(|(unit, file)| unit.hash != file.hash());
    match order.goal {
        UnitGoal::Submitted => vec![Verb::Submit],
        // The file of a unit that runs is not replaced under it unless it is to run on.
        UnitGoal::Loaded | UnitGoal::Stopped if launched && differs => vec![Verb::Stop, Verb::Load],
        UnitGoal::Loaded | UnitGoal::Stopped if launched => vec![Verb::Stop],
        UnitGoal::Loaded | UnitGoal::Stopped => vec![Verb::Load],
        UnitGoal::Restarted if launched && !differs => vec![Verb::Restart],
        UnitGoal::Started | UnitGoal::Restarted => vec![Verb::Start],
        UnitGoal::Absent if known.is_some() => vec![Verb::Destroy],
        UnitGoal::Absent => Vec::new(),
    }
}

fn order_of(order: &UnitOrder, verb: Verb) -> UnitCommand {
    let file = order.file.clone().map(|file| LocalFile {
        file: Arc::new(file),
        path: "of the playbook".to_owned(),
        template: false,
    });
    let file = file.filter(|_| verb.creates());
    UnitCommand { verb, unit: order.name.clone(), replace: file.is_some(), file }
}

fn store_answer(error: &StoreError) -> Unfulfilled {
    match error {
        StoreError::Away { .. } => Unfulfilled::Unreachable(error.to_string()),
        _ => Unfulfilled::Failed(error.to_string()),
    }
}

fn verb_answer(error: &VerbError) -> Unfulfilled {
    match error {
        VerbError::Store(error) => store_answer(error),
        VerbError::Busy(_) => Unfulfilled::Failed(format!(
            "{error}; what is wanted was written down: wait longer with `--lock-wait`, or leave it to the next sweep"
        )),
        error => Unfulfilled::Failed(error.to_string()),
    }
}

/// Says what an order would change, or why it cannot be.
fn predict(snapshot: &Snapshot, order: &UnitOrder, verbs: &[Verb]) -> Answer {
    let Some(first) = verbs.first() else {
        return Ok(Fulfilled { changed: false, what: format!("{} is not known", order.name) });
    };
    let decision = command::decide(snapshot, &order_of(order, *first));
    let decision = decision.map_err(|error| Unfulfilled::Failed(error.to_string()))?;
    let what = decision.warnings.first().cloned().unwrap_or_else(|| format!("{first} {}", order.name));
    Ok(Fulfilled { changed: decision.change != Change::Nothing || verbs.len() > 1, what })
}

#[async_trait::async_trait]
impl Cluster for ClusterClient {
    async fn units(&self, orders: &[UnitOrder], check: bool) -> Vec<Answer> {
        let snapshot = match layout::read(&*self.cluster.store, &self.cluster.keys).await {
            Ok(snapshot) => snapshot,
            Err(error) => return orders.iter().map(|_| Err(store_answer(&error))).collect(),
        };
        let paths: Vec<Vec<Verb>> = orders.iter().map(|order| verbs(&snapshot, order)).collect();
        let mut answers: Vec<Answer> =
            orders.iter().zip(&paths).map(|(order, path)| predict(&snapshot, order, path)).collect();
        if check {
            return answers;
        }
        // Every verb once for all units that need it: one reconciler instead of one for each.
        for step in 0..2 {
            for verb in [Verb::Stop, Verb::Submit, Verb::Load, Verb::Start, Verb::Restart, Verb::Destroy] {
                let chosen: Vec<usize> = (0..orders.len())
                    .filter(|index| answers.get(*index).is_some_and(Result::is_ok))
                    .filter(|index| paths.get(*index).and_then(|path| path.get(step)) == Some(&verb))
                    .collect();
                if !chosen.is_empty() {
                    self.execute(verb, orders, &chosen, &mut answers).await;
                }
            }
        }
        answers
    }

    async fn join(&self, orders: &[JoinOrder], check: bool) -> Vec<Answer> {
        let candidate = |order: &JoinOrder| {
            let JoinOrder { target, metadata, fence_command } = order.clone();
            Candidate { target, metadata, fence_command }
        };
        if check {
            let looked = orders.iter().map(|order| self.would_join(order));
            return futures_util::future::join_all(looked).await;
        }
        let candidates: Vec<Candidate> = orders.iter().map(candidate).collect();
        match membership::join(&self.cluster, &candidates).await {
            Ok(joined) => joined.into_iter().map(join_answer).collect(),
            Err(error) => orders.iter().map(|_| Err(membership_answer(&error))).collect(),
        }
    }
}

impl ClusterClient {
    /// Carries out a verb for the orders of these numbers and puts down how it ended for each.
    async fn execute(&self, verb: Verb, orders: &[UnitOrder], chosen: &[usize], answers: &mut [Answer]) {
        let picked = chosen.iter().filter_map(|index| orders.get(*index));
        let wanted: Vec<UnitCommand> = picked.map(|order| order_of(order, verb)).collect();
        let mut reached: BTreeMap<UnitName, String> = BTreeMap::new();
        let mut notify = |notice: Progress<'_>| {
            if let Progress::Reached(unit, state, machine) = notice {
                let place = machine.map(|machine| format!(" on {}", machine.legend(false))).unwrap_or_default();
                reached.insert(unit.clone(), format!("Unit {unit} {state}{place}"));
            }
        };
        let timeouts = Timeouts { lock: self.lock, follow: Some(FOLLOW), settle: SETTLE, block: true };
        let ended = verb::execute(&self.cluster, verb, &wanted, timeouts, &mut notify).await;
        for index in chosen {
            let (Some(order), Some(answer)) = (orders.get(*index), answers.get_mut(*index)) else { continue };
            match &ended {
                Err(error) => *answer = Err(verb_answer(error)),
                Ok(found) => {
                    let own = found.iter().find(|finding| finding.unit.as_ref() == Some(&order.name));
                    if let Some(Problem { what, unreachable, .. }) = own {
                        *answer = Err(if *unreachable {
                            Unfulfilled::Unreachable(what.clone())
                        } else {
                            Unfulfilled::Failed(what.clone())
                        });
                    } else if let (Ok(fulfilled), Some(what)) = (answer, reached.get(&order.name)) {
                        fulfilled.what.clone_from(what);
                    }
                }
            }
        }
    }

    async fn would_join(&self, order: &JoinOrder) -> Answer {
        let facts = self.cluster.remote.facts(&order.target).await;
        let facts = facts.map_err(|failure| join_failure(&JoinError::Host(failure)))?;
        let snapshot =
            layout::read(&*self.cluster.store, &self.cluster.keys).await.map_err(|error| store_answer(&error))?;
        let known = snapshot.machines.contains_key(&facts.machine);
        let what = if known { "has joined already" } else { "would join" };
        Ok(Fulfilled { changed: !known, what: format!("{} {what}", order.target.name) })
    }
}

fn join_answer(joined: Joined) -> Answer {
    match joined {
        Joined::New(machine) => {
            Ok(Fulfilled { changed: true, what: format!("{} joined as {}", machine.name, machine.legend(false)) })
        }
        Joined::Changed(machine) => Ok(Fulfilled { changed: true, what: format!("{} updated", machine.name) }),
        Joined::Known(machine) => {
            Ok(Fulfilled { changed: false, what: format!("{} has joined already", machine.name) })
        }
        Joined::Refused(error) => Err(join_failure(&error)),
    }
}

fn join_failure(error: &JoinError) -> Unfulfilled {
    match error {
        JoinError::Host(failure) if failure.kind != FailureKind::Sick => Unfulfilled::Unreachable(error.to_string()),
        _ => Unfulfilled::Failed(error.to_string()),
    }
}

fn membership_answer(error: &MembershipError) -> Unfulfilled {
    match error {
        MembershipError::Store(error) => store_answer(error),
        error => Unfulfilled::Failed(error.to_string()),
    }
}
