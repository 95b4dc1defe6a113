//! The cluster for playbooks: the same verbs and the same join as on the command line.

mod applications;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::cluster::ApplicationRequest;
use super::cluster::Applied;
use super::cluster::AppliedApplications;
use super::cluster::Cluster;
use super::cluster::JoinRequest;
use super::cluster::MachineGoal;
use super::cluster::RequestError;
use super::cluster::Swept;
use super::cluster::UnitGoal;
use super::cluster::UnitRequest;
use crate::control::look;
use crate::control::membership;
use crate::control::membership::Candidate;
use crate::control::membership::Foreign;
use crate::control::membership::Join;
use crate::control::membership::JoinError;
use crate::control::membership::Joined;
use crate::control::membership::MembershipError;
use crate::control::membership::SchedulingMode;
use crate::control::problems::Problem;
use crate::control::problems::folding;
use crate::control::problems::stored_problems;
use crate::control::progress::OperationError;
use crate::control::progress::Progress;
use crate::control::progress::Timeouts;
use crate::control::sweep;
use crate::control::sweep::SweepOptions;
use crate::control::sweep::SweepResult;
use crate::control::verb;
use crate::core::command;
use crate::core::command::DesiredChange;
use crate::core::command::LocalFile;
use crate::core::command::UnitCommand;
use crate::core::health::failover::FailoverPolicy;
use crate::core::machine_lookup::find_machine;
use crate::core::model::DesiredState;
use crate::core::model::Event;
use crate::core::model::EventKind;
use crate::core::model::FailureKind;
use crate::core::model::ForeignUnits;
use crate::core::model::Machine;
use crate::core::model::MachineId;
use crate::core::model::Snapshot;
use crate::core::model::Verb;
use crate::core::unit::Contents;
use crate::core::unit::UnitName;
use crate::runner::ClusterContext;
use crate::store::StoreError;
use crate::store::layout;

/// How long a task waits for units to start or to stop, and for a controller to do what the task requested.
const WAIT: Duration = Duration::from_mins(2);

/// The client that applies a playbook's requests to the cluster.
#[derive(Debug, Clone)]
pub struct ClusterClient {
    /// The handles to the store and the hosts.
    pub cluster: ClusterContext,
    /// How long to wait for leadership while another command or a sweep holds it.
    pub lock: Duration,
    /// For how long a unit that was started must run before a task calls it launched.
    pub settle: Duration,
    /// How a sweep works.
    pub sweep: SweepOptions,
    /// What a sweep may move.
    pub failover_policy: FailoverPolicy,
}

type Answer = Result<Applied, RequestError>;

/// Returns the verbs, in order, that bring a unit to the requested state.
fn verbs(snapshot: &Snapshot, request: &UnitRequest) -> Vec<Verb> {
    let known = snapshot.units.get(&request.name);
    let launched = known.is_some_and(|unit| unit.desired == DesiredState::Launched);
    let differs = known.zip(request.file.as_ref()).is_some_and(|(unit, file)| unit.hash != file.hash());
    match request.goal {
        UnitGoal::Submitted => vec![Verb::Submit],
        // The file of a running unit is replaced only after a stop, unless the unit keeps running.
        UnitGoal::Loaded | UnitGoal::Stopped if launched && differs => vec![Verb::Stop, Verb::Load],
        UnitGoal::Loaded | UnitGoal::Stopped if launched => vec![Verb::Stop],
        UnitGoal::Loaded | UnitGoal::Stopped => vec![Verb::Load],
        UnitGoal::Restarted if launched && !differs => vec![Verb::Restart],
        UnitGoal::Started | UnitGoal::Restarted => vec![Verb::Start],
        UnitGoal::Absent if known.is_some() => vec![Verb::Destroy],
        UnitGoal::Absent => Vec::new(),
    }
}

fn command_for(request: &UnitRequest, verb: Verb) -> UnitCommand {
    let file = request.file.clone().map(|file| LocalFile {
        file: Arc::new(file),
        path: "of the playbook".to_owned(),
        template: false,
        contents: Contents::new(),
    });
    let file = file.filter(|_| verb.creates());
    UnitCommand { verb, unit: request.name.clone(), replace: file.is_some(), file, edits: None }
}

fn store_error(error: &StoreError) -> RequestError {
    match error {
        StoreError::Unavailable { .. } => RequestError::Unreachable(error.to_string()),
        _ => RequestError::Failed(error.to_string()),
    }
}

fn verb_error(error: &OperationError) -> RequestError {
    match error {
        OperationError::Store(error) => store_error(error),
        OperationError::Busy(_) => RequestError::Failed(format!(
            "{error}; the desired state was stored: wait longer with `--lock-wait`, or leave it to the next sweep"
        )),
        error => RequestError::Failed(error.to_string()),
    }
}

/// Predicts the answer to a request.
fn predict(snapshot: &Snapshot, request: &UnitRequest, verbs: &[Verb]) -> Answer {
    let Some(first) = verbs.first() else {
        return Ok(Applied { changed: false, message: format!("{} is not known", request.name) });
    };
    let decision = command::decide(snapshot, &command_for(request, *first));
    let decision = decision.map_err(|error| RequestError::Failed(error.to_string()))?;
    let message = decision.warnings.first().cloned().unwrap_or_else(|| format!("{first} {}", request.name));
    Ok(Applied { changed: decision.change != DesiredChange::Nothing || verbs.len() > 1, message })
}

#[async_trait::async_trait]
impl Cluster for ClusterClient {
    async fn units(&self, requests: &[UnitRequest], check: bool) -> Vec<Answer> {
        let snapshot = match layout::read(&*self.cluster.store, &self.cluster.keys).await {
            Ok(snapshot) => snapshot,
            Err(error) => return requests.iter().map(|_| Err(store_error(&error))).collect(),
        };
        let paths: Vec<Vec<Verb>> = requests.iter().map(|request| verbs(&snapshot, request)).collect();
        let mut answers: Vec<Answer> =
            requests.iter().zip(&paths).map(|(request, path)| predict(&snapshot, request, path)).collect();
        if check {
            return answers;
        }
        // Each verb runs once for all units that need it: one run of the reconciler instead of one for each unit.
        for step in 0..2 {
            for verb in [Verb::Stop, Verb::Submit, Verb::Load, Verb::Start, Verb::Restart, Verb::Destroy] {
                let chosen: Vec<usize> = (0..requests.len())
                    .filter(|index| answers.get(*index).is_some_and(Result::is_ok))
                    .filter(|index| paths.get(*index).and_then(|path| path.get(step)) == Some(&verb))
                    .collect();
                if !chosen.is_empty() {
                    self.execute(verb, requests, &chosen, &mut answers).await;
                }
            }
        }
        answers
    }

    async fn applications(
        &self,
        request: &ApplicationRequest,
        check: bool,
    ) -> Result<AppliedApplications, RequestError> {
        self.apply_applications(request, check).await
    }

    async fn machines(&self, requests: &[(String, MachineGoal)], check: bool) -> Vec<Answer> {
        let mut answers = Vec::new();
        for (name, goal) in requests {
            answers.push(self.machine(name, *goal, check).await);
        }
        answers
    }

    async fn sweep(&self, check: bool) -> Result<Swept, RequestError> {
        if check {
            let looked = look::look(&self.cluster).await.map_err(|error| store_error(&error))?;
            let events = layout::read_events(&*self.cluster.store, &self.cluster.keys).await;
            let events = events.map_err(|error| store_error(&error))?;
            let elsewhere = looked.observed_from.as_deref();
            let problems = stored_problems(&looked.snapshot, &events, elsewhere, self.cluster.clock.now());
            return Ok(Swept { changed: false, problems: folding::lines(&problems) });
        }
        let mut changed = false;
        let mut note = |_: &Snapshot, event: &Event| changed |= matches!(event.kind, EventKind::StepEnded(_));
        let swept = sweep::sweep(&self.cluster, self.sweep, self.failover_policy.clone(), &mut note).await;
        let failed = |why: &str| Err(RequestError::Failed(why.to_owned()));
        let problems = match swept.map_err(|error| store_error(&error))? {
            SweepResult::Found(swept) | SweepResult::NothingReachable(swept) => swept.problems,
            SweepResult::NoMachines => return failed("no machine has joined the cluster"),
            SweepResult::Busy(holder) => return failed(&format!("{holder} is at work on this cluster")),
            SweepResult::Deposed => return failed("another process took leadership, and does the rest"),
            SweepResult::Stopped => return failed("interrupted: the next sweep continues"),
        };
        Ok(Swept { changed, problems: folding::lines(&problems) })
    }

    async fn join(&self, requests: &[JoinRequest], check: bool) -> Vec<Answer> {
        let candidate = |request: &JoinRequest| {
            let JoinRequest { target, metadata } = request.clone();
            Candidate { target, metadata }
        };
        if check {
            let predictions = requests.iter().map(|request| self.predict_join(request));
            return futures_util::future::join_all(predictions).await;
        }
        let candidates: Vec<Candidate> = requests.iter().map(candidate).collect();
        match membership::join(&self.cluster, &candidates, false).await {
            Ok(Join { joined, foreign, .. }) => {
                joined.into_iter().map(|joined| join_answer(joined, &foreign)).collect()
            }
            Err(error) => requests.iter().map(|_| Err(membership_error(&error))).collect(),
        }
    }
}

impl ClusterClient {
    /// Runs a verb for the requests with these indices and records the answer of each.
    async fn execute(&self, verb: Verb, requests: &[UnitRequest], chosen: &[usize], answers: &mut [Answer]) {
        let chosen_requests = chosen.iter().filter_map(|index| requests.get(*index));
        let commands: Vec<UnitCommand> = chosen_requests.map(|request| command_for(request, verb)).collect();
        let mut reached: BTreeMap<UnitName, String> = BTreeMap::new();
        let mut notify = |notice: Progress<'_>| {
            if let Progress::Reached(unit, state, machine) = notice {
                let place = machine.map(|machine| format!(" on {}", machine.legend(false))).unwrap_or_default();
                reached.insert(unit.clone(), format!("Unit {unit} {state}{place}"));
            }
        };
        let ended = verb::execute(&self.cluster, verb, &commands, self.timeouts(), &mut notify).await;
        for index in chosen {
            let (Some(request), Some(answer)) = (requests.get(*index), answers.get_mut(*index)) else { continue };
            match &ended {
                Err(error) => *answer = Err(verb_error(error)),
                Ok(found) => {
                    let own =
                        found.iter().find(|problem| problem.unit.as_ref().is_none_or(|unit| *unit == request.name));
                    if let Some(Problem { what, unreachable, details, .. }) = own {
                        let text = [what].into_iter().chain(details).cloned().collect::<Vec<_>>().join("; ");
                        let error = if *unreachable { RequestError::Unreachable } else { RequestError::Failed };
                        *answer = Err(error(text));
                    } else if let (Ok(applied), Some(message)) = (answer, reached.get(&request.name)) {
                        applied.message.clone_from(message);
                    }
                }
            }
        }
    }

    const fn timeouts(&self) -> Timeouts {
        Timeouts { lock_wait: self.lock, wait: Some(WAIT), settle: self.settle, block: true }
    }

    /// Brings a machine to a goal.
    async fn machine(&self, name: &str, goal: MachineGoal, check: bool) -> Answer {
        let snapshot =
            layout::read(&*self.cluster.store, &self.cluster.keys).await.map_err(|error| store_error(&error))?;
        let machine = find_machine(&snapshot, name).map_err(|error| RequestError::Failed(error.to_string()))?;
        if machine_is(&snapshot, machine, goal) {
            return Ok(Applied { changed: false, message: format!("{name} is {}", word(goal)) });
        }
        if check {
            return Ok(Applied { changed: true, message: format!("{name} would be {}", word(goal)) });
        }
        let mode = match goal {
            MachineGoal::Open => SchedulingMode::Open,
            MachineGoal::Cordoned => SchedulingMode::Cordoned,
            MachineGoal::Drained(deadline) => return self.drain(name, deadline).await,
        };
        membership::set_scheduling_mode(&self.cluster, name, mode).await.map_err(|error| membership_error(&error))?;
        Ok(Applied { changed: true, message: format!("{name} is {}", word(goal)) })
    }

    /// Drains a machine. A unit that was stopped at the deadline is no failure of the task.
    async fn drain(&self, name: &str, deadline: Option<Duration>) -> Answer {
        let wait = WAIT + deadline.unwrap_or_default();
        let timeouts = Timeouts { wait: Some(wait), ..self.timeouts() };
        let drained = membership::drain(&self.cluster, name, deadline, timeouts, &mut |_| ()).await;
        let drained = drained.map_err(|error| membership_error(&error))?;
        let problems: Vec<String> = drained.problems.iter().map(ToString::to_string).collect();
        if !drained.is_empty {
            return Err(RequestError::Failed(format!("{name} still has units: {}", problems.join("; "))));
        }
        let message = [format!("{name} is drained")].into_iter().chain(problems).collect::<Vec<_>>().join("; ");
        Ok(Applied { changed: true, message })
    }

    async fn predict_join(&self, request: &JoinRequest) -> Answer {
        let facts = self.cluster.remote.facts(&request.target).await;
        let facts = facts.map_err(|failure| join_error(&JoinError::Host(failure)))?;
        let snapshot =
            layout::read(&*self.cluster.store, &self.cluster.keys).await.map_err(|error| store_error(&error))?;
        let known = snapshot.machines.contains_key(&facts.machine);
        let prediction = if known { "has joined already" } else { "would join" };
        Ok(Applied { changed: !known, message: format!("{} {prediction}", request.target.name) })
    }
}

/// Reports whether a machine is as a task requests.
fn machine_is(snapshot: &Snapshot, machine: &Machine, goal: MachineGoal) -> bool {
    match goal {
        MachineGoal::Open => !machine.cordoned && !machine.draining,
        MachineGoal::Cordoned => machine.cordoned && !machine.draining,
        MachineGoal::Drained(_) => machine.draining && membership::units_on(snapshot, machine.id).is_empty(),
    }
}

const fn word(goal: MachineGoal) -> &'static str {
    match goal {
        MachineGoal::Open => "uncordoned",
        MachineGoal::Cordoned => "cordoned",
        MachineGoal::Drained(_) => "drained",
    }
}

/// Returns the answer to a join, and warns of the unit files on the host that muster did not write.
fn join_answer(joined: Joined, foreign: &BTreeMap<MachineId, Foreign>) -> Answer {
    let (machine, changed, what) = match joined {
        Joined::New(machine) => {
            let what = format!("joined as {}", machine.legend(false));
            (machine, true, what)
        }
        Joined::Changed(machine, changes) => (machine, true, format!("updated: {}", changes.join(", "))),
        Joined::Known(machine) => (machine, false, "has joined already".to_owned()),
        Joined::Refused(error) => return Err(join_error(&error)),
    };
    let mut message = format!("{} {what}", machine.name);
    if let Some(units) = foreign.get(&machine.id) {
        let notice = ForeignUnits::new(units.keys()).notice();
        tracing::warn!("{}: {notice}", machine.name);
        message = format!("{message}; {notice}");
    }
    Ok(Applied { changed, message })
}

fn join_error(error: &JoinError) -> RequestError {
    match error {
        JoinError::Host(failure) if failure.kind != FailureKind::Sick => RequestError::Unreachable(error.to_string()),
        _ => RequestError::Failed(error.to_string()),
    }
}

fn membership_error(error: &MembershipError) -> RequestError {
    match error {
        MembershipError::Store(error) => store_error(error),
        error => RequestError::Failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::ActiveState;
    use crate::core::model::LoadState;
    use crate::core::model::SubState;
    use crate::core::model::UnitState;
    use crate::core::unit::Hash;

    #[test]
    fn the_answer_to_a_join_names_the_unit_files_that_muster_did_not_write() {
        let machine = Machine { id: MachineId::from_bits(1), name: "web1".to_owned(), ..Machine::default() };
        let message = |foreign| join_answer(Joined::Known(machine.clone()), &foreign).unwrap().message;
        assert_eq!(message(BTreeMap::new()), "web1 has joined already");
        let (load, active, sub) = (LoadState::Loaded, ActiveState::Active, SubState::RUNNING);
        let hash = Hash::of(b"");
        let state = UnitState { load, active, sub, job: None, hash, launched: true, restarts: 0, restarted: false };
        let foreign: Foreign = [("db.service".parse().unwrap(), state)].into();
        let notice = "/run/fleet/units has 1 unit file that muster did not write: db.service; muster leaves it alone";
        assert_eq!(message([(machine.id, foreign)].into()), format!("web1 has joined already; {notice}"));
    }
}
