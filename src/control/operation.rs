//! An errand: units that are to get somewhere, by a pass of our own or by following whoever leads.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::Office;
use super::keeps_leases;
use super::make_way;
use super::problems::Finding;
use super::problems::findings;
use super::problems::name;
use super::verb::Notice;
use super::verb::Notify;
use super::verb::VerbError;
use super::verb::Waits;
use crate::core::command::Verb;
use crate::core::health::BRAKE;
use crate::core::health::Patience;
use crate::core::model::DesiredState;
use crate::core::model::Event;
use crate::core::model::MachineId;
use crate::core::model::Snapshot;
use crate::core::reconcile::Pass;
use crate::core::reconcile::assignments::Scope;
use crate::core::schedule::Asks;
use crate::core::unit::UnitName;
use crate::runner;
use crate::runner::Ended;
use crate::runner::Ending;
use crate::runner::Means;
use crate::store::follow::Follower;
use crate::store::follow::Update;
use crate::store::layout;
use crate::store::leader_election;
use crate::store::leader_election::Kind;

/// How long a drain without a deadline waits for systemd to start elsewhere what runs here.
const HANDOVER: Duration = Duration::from_mins(1);

/// How often somebody who follows a controller looks whether it still leads.
const LOOK: Duration = Duration::from_secs(5);

/// How long a drain waits after its deadline for what it stops.
const AFTER_DEADLINE: Duration = Duration::from_secs(15);

/// Where units are to get to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// Where a verb wants them.
    Verb(Verb),
    /// Away from a machine.
    AwayFrom(MachineId),
}

/// What is to be made so.
#[derive(Debug, Clone, Copy)]
pub struct Errand<'a> {
    /// What to work with.
    pub office: &'a Office,
    /// Where the units are to get to.
    pub aim: Aim,
    /// Which units.
    pub units: &'a BTreeSet<UnitName>,
    /// How long to wait for what.
    pub waits: Waits,
}

impl Errand<'_> {
    /// Makes it so, by a pass of our own or by following whoever leads, and returns what is wrong afterwards.
    pub async fn run(self, notify: &mut Notify<'_>) -> Result<Vec<Finding>, VerbError> {
        let office = self.office;
        let deadline = Instant::now() + self.waits.lock;
        let mut waited = false;
        loop {
            match leader_election::take(&office.store, &office.keys, Kind::Verb).await? {
                Ok(lead) => {
                    let snapshot = layout::read(&*office.store, &office.keys).await?;
                    if keeps_leases(&snapshot) && !std::mem::replace(&mut waited, true) {
                        notify(Notice::Warning(
                            "strict units run here: waiting for a controller, which renews their leases",
                        ));
                        make_way(office, lead).await?;
                        continue;
                    }
                    let means = Means::new(office, lead);
                    let done = self.act(&means, snapshot, notify).await;
                    means.lead.release().await;
                    match done? {
                        Some(found) => return Ok(found),
                        // Somebody else took over: see who.
                        None => continue,
                    }
                }
                Err(holder) if holder.kind == Kind::Controller => match self.follow(notify).await? {
                    Some(found) => return Ok(found),
                    None => continue,
                },
                Err(holder) if Instant::now() >= deadline => return Err(VerbError::Busy(holder)),
                Err(_) => tokio::time::sleep(leader_election::LOOK).await,
            }
            if office.stop.is_cancelled() {
                return Err(VerbError::Stopped);
            }
        }
    }

    /// Runs a pass over the units; `None` if the lead was lost on the way.
    async fn act(
        self,
        means: &Means,
        snapshot: Snapshot,
        notify: &mut Notify<'_>,
    ) -> Result<Option<Vec<Finding>>, VerbError> {
        let scope = Scope::Units(self.units.clone());
        // A verb does not wait for machines: who does not answer at once is left to the sweep or the controller.
        let tempo = super::tempo(Patience { down_after: Duration::ZERO, brake: BRAKE });
        let mut pass = Pass::new(means.lead.epoch(), scope.clone(), tempo, snapshot);
        let mut tell = |snapshot: &Snapshot, event: &Event| notify(Notice::Event(snapshot, event));
        let ending = self.ending(pass.snapshot());
        let ended = runner::run(&mut pass, means, None, ending, &mut tell).await?;
        let left = self.tell_reached(pass.snapshot(), pass.asks(), self.units, notify);
        match ended {
            Ended::Finished => {
                let mut found = findings(&pass, &scope);
                found.extend(self.stragglers(pass.snapshot(), &left, &found));
                Ok(Some(found))
            }
            Ended::Stopped => Err(VerbError::Stopped),
            Ended::Deposed => Ok(None),
        }
    }

    /// Says when a pass of our own has done enough.
    fn ending(self, snapshot: &Snapshot) -> Ending {
        let Aim::AwayFrom(machine) = self.aim else { return Ending::Settled(self.waits.settle) };
        // What moves may take its time to start: it goes on here meanwhile.
        match snapshot.machines.get(&machine).and_then(|machine| machine.drain_by) {
            Some(by) => Ending::Emptied(machine, by.since(self.office.clock.now()) + AFTER_DEADLINE),
            None => Ending::Settled(self.waits.settle.max(HANDOVER)),
        }
    }

    /// Returns the units that are still where they should not be and of which nothing else was found.
    fn stragglers(self, snapshot: &Snapshot, left: &BTreeSet<UnitName>, found: &[Finding]) -> Vec<Finding> {
        let Aim::AwayFrom(machine) = self.aim else { return Vec::new() };
        let told = |unit: &UnitName| found.iter().any(|finding| finding.unit.as_ref() == Some(unit));
        let straggler = |unit: &UnitName| {
            let to = snapshot.placements.get(unit).map(|at| at.machine).filter(|to| *to != machine);
            let why = to.map(|to| format!(" until it runs on {}", name(snapshot, to))).unwrap_or_default();
            let what = format!("still on {}{why}", name(snapshot, machine));
            Finding { machine: Some(machine), unit: Some(unit.clone()), what, unreachable: false }
        };
        left.iter().filter(|unit| !told(unit)).map(straggler).collect()
    }

    /// Follows the controller that leads until all units are where they are wanted, or trouble is told of them; `None` if
    /// none leads any more.
    async fn follow(self, notify: &mut Notify<'_>) -> Result<Option<Vec<Finding>>, VerbError> {
        let keys = &self.office.keys;
        let mut prefixes = keys.prefixes();
        prefixes.push(keys.events());
        let mut follower = Follower::new(self.office.store.clone(), prefixes);
        let (mut snapshot, mut asks) = (Snapshot::default(), Asks::default());
        let mut left = self.units.clone();
        let mut found = Vec::new();
        let deadline = self.waits.follow.map(|wait| Instant::now() + wait);
        let mut look = tokio::time::interval(LOOK);
        while self.is_open(&left, &found, &asks) {
            let update = tokio::select! {
                update = follower.next() => update,
                () = self.office.stop.cancelled() => return Err(VerbError::Stopped),
                () = runner::sleep_until(deadline) => {
                    found.extend(left.iter().map(|unit| self.overdue(unit)));
                    return Ok(Some(found));
                }
                _ = look.tick() => {
                    let holder = leader_election::holder(&self.office.store, keys).await?;
                    if holder.is_none_or(|holder| holder.kind != Kind::Controller) {
                        return Ok(None);
                    }
                    continue;
                }
            };
            match update {
                Update::Reset(listing) => snapshot = layout::snapshot(keys, &listing),
                Update::Changes(changes) => {
                    layout::apply(&mut snapshot, keys, &changes);
                    for event in changes.iter().filter_map(|changed| layout::event(keys, changed)) {
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
            asks.renew(&snapshot);
            left = self.tell_reached(&snapshot, &asks, &left, notify);
        }
        Ok(Some(found))
    }

    /// Says whether something may still come of following: what is everywhere leaves a machine last, and not at all if
    /// others stay.
    fn is_open(self, left: &BTreeSet<UnitName>, found: &[Finding], asks: &Asks) -> bool {
        let last = matches!(self.aim, Aim::AwayFrom(_)) && left.iter().all(|unit| asks.is_global(unit));
        !left.is_empty() && (!last || found.is_empty())
    }

    /// Tells which units have reached what was wanted, and returns the others.
    fn tell_reached(
        self,
        snapshot: &Snapshot,
        asks: &Asks,
        units: &BTreeSet<UnitName>,
        notify: &mut Notify<'_>,
    ) -> BTreeSet<UnitName> {
        let (reached, left): (Vec<_>, Vec<_>) =
            units.iter().partition(|unit| is_reached(snapshot, asks, unit, self.aim));
        for unit in reached {
            if asks.is_global(unit) {
                // It never reaches one state; and away from one machine it is where it was.
                if let Aim::Verb(verb) = self.aim {
                    notify(Notice::Triggered(unit, verb, true));
                }
                continue;
            }
            let machine = snapshot.placements.get(unit).and_then(|at| snapshot.machines.get(&at.machine));
            let wanted = snapshot.units.get(unit).map(|unit| unit.desired);
            let goal = if let Aim::Verb(verb) = self.aim { verb.goal() } else { wanted };
            match goal {
                Some(state) => notify(Notice::Reached(unit, state, machine)),
                None => notify(Notice::Destroyed(unit)),
            }
        }
        left.into_iter().cloned().collect()
    }

    fn overdue(self, unit: &UnitName) -> Finding {
        let state = match self.aim {
            Aim::Verb(verb) => verb.goal().map_or_else(|| "destroyed".to_owned(), |state| state.to_string()),
            Aim::AwayFrom(machine) => format!("away from {}...", machine.short()),
        };
        let what = format!("timed out waiting for unit {unit} to report state {state}");
        Finding { machine: None, unit: Some(unit.clone()), what, unreachable: false }
    }
}

/// Says whether a unit is where it is wanted.
pub(super) fn is_reached(snapshot: &Snapshot, asks: &Asks, name: &UnitName, aim: Aim) -> bool {
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
    if asks.is_global(name) {
        return unit.desired == goal;
    }
    let here = snapshot.placements.get(name).and_then(|at| snapshot.states.get(name)?.get(&at.machine));
    here.is_some_and(|state| {
        let same = state.hash == unit.hash && state.reached() == goal;
        same && if goal == DesiredState::Loaded { !state.runs() } else { state.restarts >= unit.restarts }
    })
}
