//! The problems that remain after a run, as text.

pub mod folding;

use std::collections::BTreeSet;

use crate::core::explain;
use crate::core::explain::NotRunning;
use crate::core::explain::TroubleKind;
use crate::core::model::DesiredState;
use crate::core::model::Event;
use crate::core::model::FailoverBlock;
use crate::core::model::FilterReason;
use crate::core::model::Health;
use crate::core::model::HealthRecord;
use crate::core::model::Machine;
use crate::core::model::MachineId;
use crate::core::model::Phase;
use crate::core::model::PlacementError;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;
use crate::core::model::UnitState;
use crate::core::reconcile::Reconciler;
use crate::core::reconcile::assignments::Scope;
use crate::core::reconcile::machine_view::MachineView;
use crate::core::reconcile::restored::RESTORED;
use crate::core::unit::Class;
use crate::core::unit::UnitName;

/// What a leader without leases adds for a store that was restored.
const SPARED: &str = ": units that the store does not know go on running until a controller, or a sweep with --sweep-every, \
                      leads; `muster start` keeps one that you want, where it runs";

/// A machine or a unit that is not as desired.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// The kind of the problem.
    pub kind: TroubleKind,
    /// The machine that has the problem, or that the unit is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<MachineId>,
    /// The unit that has the problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitName>,
    /// The unit that has failed, if the problem is that of the timer which starts it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<UnitName>,
    /// The problem and its cause.
    pub what: String,
    /// Set if the cause is a host that could not be reached.
    pub unreachable: bool,
    /// The name of a machine, and its trouble or that of a unit there: machines with the same trouble are reported
    /// together.
    #[serde(skip)]
    pub(super) trouble: Option<(String, String)>,
    /// The advice at the end of the trouble of a machine.
    #[serde(skip)]
    pub(super) advice: String,
    /// The health of the machine, if the problem is the machine's own.
    #[serde(skip)]
    pub(super) health: Option<Health>,
    /// What the host says about a unit that failed: how its process ended, and the last lines of its journal.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
}

impl Problem {
    /// Makes a problem that is about no unit and no machine.
    pub(super) const fn general(kind: TroubleKind, what: String) -> Self {
        Self {
            kind,
            machine: None,
            unit: None,
            job: None,
            what,
            unreachable: false,
            trouble: None,
            advice: String::new(),
            health: None,
            details: Vec::new(),
        }
    }

    /// Makes the problem of a machine.
    pub(super) fn of_machine(machine: MachineId, what: String) -> Self {
        let general = Self::general(TroubleKind::MachineUnavailable, what);
        Self { machine: Some(machine), unreachable: true, ..general }
    }

    /// Makes the problem of a machine that has a trouble. Other machines may have the same trouble at their addresses.
    fn of_troubled(machine: &Machine, health: Option<Health>, trouble: &str) -> Self {
        let what = format!("{} is {trouble}", machine.name);
        let trouble = without_address(trouble, &machine.address.host);
        Self { trouble: Some((machine.name.clone(), trouble)), health, ..Self::of_machine(machine.id, what) }
    }

    /// Makes the problem of a unit, on this machine if it is on one.
    pub(super) fn of_unit(kind: TroubleKind, unit: &UnitName, machine: Option<MachineId>, what: String) -> Self {
        Self { machine, unit: Some(unit.clone()), ..Self::general(kind, what) }
    }
}

impl Problem {
    /// Returns the name of the machine that has the problem, if it is the problem of a machine.
    pub fn machine_name(&self) -> Option<&str> {
        self.trouble.as_ref().filter(|_| self.unit.is_none()).map(|(name, _)| name.as_str())
    }

    /// Reports whether it is no trouble: the unit runs, and its machine cannot be drained.
    pub fn is_drain(&self) -> bool {
        self.kind == TroubleKind::Draining
    }

    /// Returns the unit whose journal says more: the one that has failed.
    pub fn failed_unit(&self) -> Option<&UnitName> {
        self.job.as_ref().or(self.unit.as_ref())
    }

    /// Returns which commands show more about a unit; `None` if the problem is about none. A unit that is on no machine has no
    /// journal.
    pub fn commands(&self) -> Option<String> {
        let (unit, failed) = self.unit.as_ref().zip(self.failed_unit())?;
        if self.machine.is_none() {
            return Some(format!("`muster why {unit}` shows more."));
        }
        Some(format!("`muster why {unit}` and `muster journal {failed}` show more."))
    }

    /// Makes the problem of a unit that may still run on a machine that it has left or is to leave. `state` says why
    /// the unit cannot be stopped there.
    pub(super) fn of_copy(snapshot: &Snapshot, unit: &UnitName, machine: MachineId, state: &str) -> Self {
        let target = snapshot.placements.get(unit).map(|placement| placement.machine).filter(|at| *at != machine);
        let place = target.map(|target| format!("; it is placed on {} now", snapshot.full_name_of(target)));
        let name = snapshot.full_name_of(machine);
        let what = format!("it may still run on {name}, which {state}{}", place.unwrap_or_default());
        Self::of_unit_out_of_reach(unit, machine, what)
    }

    /// Makes the problem of a unit whose machine does not answer.
    pub(super) fn of_unit_out_of_reach(unit: &UnitName, machine: MachineId, what: String) -> Self {
        let problem = Self::of_unit(TroubleKind::MachineUnavailable, unit, Some(machine), what);
        Self { unreachable: true, ..problem }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.unit {
            Some(unit) => write!(f, "Unit {unit}: {}", self.what)?,
            None => f.write_str(&self.what)?,
        }
        self.details.iter().try_for_each(|detail| write!(f, "\n  {detail}"))
    }
}

/// Returns the problems of the machines and units that a reconciler was responsible for.
pub fn problems(reconciler: &Reconciler, scope: &Scope) -> Vec<Problem> {
    let mut problems: Vec<Problem> =
        reconciler.views().filter_map(|(machine, _)| machine_problem(reconciler, machine)).collect();
    problems.extend(restored(reconciler).filter(|_| *scope == Scope::All));
    let refused = reconciler.refused().iter();
    problems.extend(refused.map(|(unit, why)| {
        stays_on_drained(reconciler, unit, why)
            .unwrap_or_else(|| Problem::of_unit(TroubleKind::Unschedulable, unit, None, why.message()))
    }));
    problems.extend(reconciler.backoffs().map(|(machine, backoff)| {
        let host = reconciler.snapshot().full_name_of(machine);
        let what = format!("{} failed on {host}: {}", backoff.step.action, backoff.said);
        Problem::of_unit(TroubleKind::of_step(backoff.step.action), &backoff.step.unit, Some(machine), what)
    }));
    let backoffs: BTreeSet<(MachineId, &UnitName)> =
        reconciler.backoffs().map(|(machine, backoff)| (machine, &backoff.step.unit)).collect();
    let launched = launched(reconciler, scope).filter(|at| !backoffs.contains(at));
    problems.extend(launched.filter_map(|(machine, unit)| unit_problem(reconciler, unit, machine)));
    problems
}

/// Returns the problem of a unit that runs on a machine which is drained, because no other machine takes the unit.
fn stays_on_drained(reconciler: &Reconciler, unit: &UnitName, why: &PlacementError) -> Option<Problem> {
    let snapshot = reconciler.snapshot();
    let machine = snapshot.machines.get(&snapshot.placements.get(unit)?.machine).filter(|machine| machine.draining)?;
    reconciler.view(machine.id).filter(|view| view.answers())?;
    let oneshot = snapshot.file(unit).is_some_and(|file| file.is_oneshot());
    snapshot.states.get(unit)?.get(&machine.id).filter(|state| state.is_well(oneshot))?;
    let what = format!("still on {}, which is drained: {}", machine.name, why.message_without(&FilterReason::Cordoned));
    Some(Problem::of_unit(TroubleKind::Draining, unit, Some(machine.id), what))
}

/// Returns a problem for each launched unit of a machine that does not answer, unless it has another problem. Its last
/// report may say that it runs, and no process knows whether it still does.
pub(super) fn out_of_reach(reconciler: &Reconciler, found: &[Problem]) -> Vec<Problem> {
    let snapshot = reconciler.snapshot();
    let problem = |(unit, machine): (&UnitName, MachineId)| {
        let health = reconciler.view(machine).filter(|view| !view.answers())?.health?;
        let what = format!("placed on {}, which is {health}", snapshot.full_name_of(machine));
        Some(Problem::of_unit_out_of_reach(unit, machine, what))
    };
    let told: BTreeSet<&UnitName> = found.iter().filter_map(|problem| problem.unit.as_ref()).collect();
    let launched = launched(reconciler, &Scope::All).filter(|(_, unit)| !told.contains(unit));
    launched.filter_map(|(machine, unit)| problem((unit, machine))).collect()
}

/// Returns the problem of a store that was restored from a backup.
fn restored(reconciler: &Reconciler) -> Option<Problem> {
    let machine = reconciler.snapshot().machines.get(&reconciler.restoration_witness()?.machine)?;
    let spared = if reconciler.spares_unknown() { SPARED } else { "" };
    let what = format!("{} {RESTORED}{spared}", machine.name);
    Some(Problem { machine: Some(machine.id), ..Problem::general(TroubleKind::StoreRestored, what) })
}

/// Returns the launched units in scope with the machines that they belong on. A global unit belongs on several. A machine
/// that does not answer is left out for global units: its own problem says enough.
fn launched<'a>(reconciler: &'a Reconciler, scope: &'a Scope) -> impl Iterator<Item = (MachineId, &'a UnitName)> {
    let snapshot = reconciler.snapshot();
    let is_launched = |unit: &UnitName| {
        scope.has(unit) && snapshot.units.get(unit).is_some_and(|record| record.desired == DesiredState::Launched)
    };
    let placed = snapshot.placements.iter().map(|(unit, placement)| (placement.machine, unit));
    let globals =
        reconciler.globals().filter(|(machine, _)| reconciler.view(*machine).is_some_and(MachineView::answers));
    placed.chain(globals).filter(move |(_, unit)| is_launched(unit))
}

/// Returns the problems that the records of the leader show. The events say more about some of them. `elsewhere` is the host of
/// the leader if that is another one than this: its advice is about that host.
pub fn stored_problems(snapshot: &Snapshot, events: &[Event], elsewhere: Option<&str>, now: Timestamp) -> Vec<Problem> {
    let machines = snapshot.machines.iter().filter_map(|(machine, record)| {
        let assessed = snapshot.health.get(machine);
        let trouble = match assessed {
            Some(health) if health.health == Health::Alive => return None,
            Some(health) => blocked(health, elsewhere).unwrap_or_else(|| {
                format!("{}: {}{}", health.health, health.reason.cause(), advice(health.reason.hint(), elsewhere))
            }),
            None => "not observed yet".to_owned(),
        };
        let advice = advice(assessed.and_then(|record| record.reason.hint()), elsewhere);
        Some(Problem { advice, ..Problem::of_troubled(record, assessed.map(|record| record.health), &trouble) })
    });
    let units = explain::units_not_running(snapshot, now).into_iter().map(|(unit, machine, cause)| {
        let cause = cause.with_events(snapshot, unit, events);
        let unreachable = matches!(cause, NotRunning::MachineUnavailable { .. });
        let what = if let NotRunning::Unschedulable(refusal) = &cause { refusal.message() } else { cause.to_string() };
        let job = if let NotRunning::JobFailed { job, .. } = cause.clone() { Some(job) } else { None };
        let machine = machine.filter(|_| !matches!(cause, NotRunning::Unschedulable(_)));
        Problem { job, unreachable, ..Problem::of_unit(cause.kind(), unit, machine, what) }
    });
    machines.chain(units).collect()
}

/// Returns the problem of a machine that is not alive.
fn machine_problem(reconciler: &Reconciler, machine: MachineId) -> Option<Problem> {
    let view = reconciler.view(machine)?;
    let health = view.health.filter(|health| *health != Health::Alive)?;
    let failure = view.evidence.latest_failure()?;
    let hint = advice(failure.hint.as_deref(), None);
    let snapshot = reconciler.snapshot();
    let recorded = snapshot.health.get(&machine).filter(|record| record.health == health);
    let order = recorded.map(|record| record.reason.order()).unwrap_or_default();
    let trouble = recorded.and_then(|record| blocked(record, None));
    let trouble = trouble.unwrap_or_else(|| format!("{health}: {}: {}{hint}{order}", failure.phase, failure.detail));
    Some(Problem { advice: hint, ..Problem::of_troubled(snapshot.machines.get(&machine)?, Some(health), &trouble) })
}

/// Returns a hint in brackets, with the host that it is about if that is another one than this.
fn advice(hint: Option<&str>, elsewhere: Option<&str>) -> String {
    match (hint, elsewhere) {
        (None, _) => String::new(),
        (Some(hint), None) => format!(" ({hint})"),
        (Some(hint), Some(host)) => format!(" (on {host}, where the controller runs: {hint})"),
    }
}

/// Removes `HOST:PORT: ` from a trouble.
pub fn without_address(trouble: &str, host: &str) -> String {
    let Some((before, after)) = trouble.split_once(host).filter(|_| !host.is_empty()) else {
        return trouble.to_owned();
    };
    let rest = after
        .trim_start_matches(']')
        .strip_prefix(':')
        .map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
    match rest.and_then(|rest| rest.strip_prefix(": ")) {
        Some(rest) => format!("{}{rest}", before.trim_end_matches('[')),
        None => trouble.to_owned(),
    }
}

/// Returns the trouble of a machine whose failover is blocked: the evidence, the block and the remedy. A brake says itself that
/// machines are silent, so its trouble is the same for all machines that have nothing else to say.
fn blocked(record: &HealthRecord, elsewhere: Option<&str>) -> Option<String> {
    let block = record.reason.block.as_ref()?;
    let is_limit = matches!(block, FailoverBlock::Limit { .. });
    let attempt = record.reason.attempt();
    let attempt = attempt.filter(|attempt| is_limit || attempt.phase > Phase::Connect || attempt.hint.is_some());
    let hint = advice(record.reason.hint(), elsewhere);
    let cause = attempt.map(|attempt| format!("{attempt}{hint}; ")).unwrap_or_default();
    Some(format!("{}: {cause}{block} (`muster failover --force` moves the units all the same)", record.health))
}

/// Returns the problem of a launched unit on a machine that it belongs on.
fn unit_problem(reconciler: &Reconciler, unit: &UnitName, machine: MachineId) -> Option<Problem> {
    let snapshot = reconciler.snapshot();
    let image = reconciler.pulled_image(unit, machine);
    if let Some(problem) = strict_problem(reconciler, unit, machine).filter(|_| image.is_none()) {
        return Some(problem);
    }
    let reachable = reconciler.view(machine).is_some_and(MachineView::answers);
    let oneshot = snapshot.file(unit).is_some_and(|file| file.is_oneshot());
    let state = snapshot.states.get(unit).and_then(|states| states.get(&machine));
    let mut failed = None;
    let (kind, trouble) = match state {
        Some(state) if state.is_well(oneshot) => {
            let (job, state) = explain::failed_job(snapshot, unit, machine)?;
            let trouble = format!("{job}, which it starts, is {state}");
            failed = Some(job);
            (TroubleKind::JobFailed, trouble)
        }
        _ if image.is_some() => (TroubleKind::Pulling, format!("pulls {}", image.unwrap_or_default())),
        Some(state) => (TroubleKind::of_state(state), state.to_string()),
        None => (TroubleKind::NotOnMachine, "not there yet".to_owned()),
    };
    let host = snapshot.full_name_of(machine);
    let problem = Problem::of_unit(kind, unit, Some(machine), format!("{trouble} on {host}"));
    Some(Problem {
        unreachable: !reachable,
        job: failed,
        trouble: Some((host, format!("Unit {unit}: {trouble}"))),
        ..problem
    })
}

/// Returns why a unit is not started or restarted on the machine where it is placed: it or a copy of it is strict.
fn strict_problem(reconciler: &Reconciler, unit: &UnitName, machine: MachineId) -> Option<Problem> {
    let snapshot = reconciler.snapshot();
    let state = snapshot.states.get(unit).and_then(|states| states.get(&machine));
    let restarts = snapshot.units.get(unit).map_or(0, |record| record.restarts);
    let is_current = |state: &UnitState| state.runs() && state.restarts >= restarts;
    let runs = state.is_some_and(is_current) && reconciler.view(machine).is_some_and(MachineView::answers);
    let hold = reconciler.strict_hold(unit, machine).filter(|_| !runs)?;
    let is_strict = snapshot.file(unit).is_some_and(|file| Class::binding(file) == Class::Strict);
    let what = hold.tell(is_strict, |machine| snapshot.full_name_of(machine));
    Some(Problem::of_unit(TroubleKind::Lease, unit, Some(machine), what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::FailedAttempt;
    use crate::core::model::HealthEvidence;
    use crate::core::model::HealthReason;
    use crate::core::model::PeerReports;

    #[test]
    fn a_machine_whose_failover_is_blocked_has_the_evidence_the_block_and_the_remedy() {
        let told = |phase, detail: &str, hint: Option<&str>, block| {
            let attempt = FailedAttempt { phase, detail: detail.to_owned(), hint: hint.map(str::to_owned) };
            let evidence =
                HealthEvidence::NoAnswer { seconds: 9, attempt, peers: PeerReports::default(), asked: false };
            let reason = HealthReason { block: Some(block), ..evidence.into() };
            let (health, since) = (Health::Unreachable, Timestamp::ZERO);
            blocked(&HealthRecord { health, since, last_seen: None, reason, outages: Vec::new() }, None).unwrap()
        };
        assert_eq!(
            advice(Some("Remove the old key."), Some("ctl")),
            " (on ctl, where the controller runs: Remove the old key.)"
        );
        let (limit, brake) =
            (FailoverBlock::Limit { moved: 3, minutes: 10 }, FailoverBlock::Brake { silent: 2, all: 3 });
        let end = "(`muster failover --force` moves the units all the same)";
        assert_eq!(
            told(Phase::KeyExchange, "the host key has changed", Some("Remove the old key."), limit.clone()),
            format!("unreachable: key exchange: the host key has changed (Remove the old key.); {limit} {end}")
        );
        assert_eq!(
            told(Phase::Connect, "no answer", None, limit.clone()),
            format!("unreachable: connect: no answer; {limit} {end}")
        );
        assert_eq!(told(Phase::Connect, "no answer", None, brake.clone()), format!("unreachable: {brake} {end}"));
        assert_eq!(
            told(Phase::KeyExchange, "the host key has changed", None, brake.clone()),
            format!("unreachable: key exchange: the host key has changed; {brake} {end}")
        );
    }

    #[test]
    fn a_unit_on_no_machine_has_no_journal() {
        let unit: UnitName = "a.service".parse().unwrap();
        let commands = |machine| {
            Problem::of_unit(TroubleKind::Unschedulable, &unit, machine, String::new()).commands().unwrap_or_default()
        };
        assert_eq!(commands(None), "`muster why a.service` shows more.");
        let on = commands(Some(MachineId::from_bits(1)));
        assert_eq!(on, "`muster why a.service` and `muster journal a.service` show more.");
    }
}
