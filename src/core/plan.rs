//! The plan: what should be done on a machine, and why.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::core::model::Action;
use crate::core::model::DesiredState;
use crate::core::model::LoadState;
use crate::core::model::Reason;
use crate::core::model::Step;
use crate::core::model::Unit;
use crate::core::model::UnitState;
use crate::core::unit::UnitName;

/// What is wanted of one unit on one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// The unit's file, its desired state and how many restarts were asked for.
    pub unit: Unit,
    /// Set when the file has an `[Install]` section.
    pub install: bool,
    /// How long it may take to stop, if it may only run while the machine holds a lease.
    pub strict: Option<Duration>,
}

/// Returns the steps that make a machine's units what they should be, in the order in which a visit takes them.
///
/// `wanted` is what belongs on the machine, `observed` what is there, and `removal_reason` says why a unit that is there and
/// does not belong has to go, if it has to. A machine that is as it should be gets no steps.
pub fn steps(
    wanted: &BTreeMap<UnitName, Wanted>,
    observed: &BTreeMap<UnitName, UnitState>,
    removal_reason: impl Fn(&UnitName) -> Option<Reason>,
) -> Vec<Step> {
    let mut steps = Vec::new();
    for unit in observed.keys().filter(|unit| !wanted.contains_key(*unit)) {
        let unload = |reason| Step { unit: unit.clone(), action: Action::Unload, reason };
        steps.extend(removal_reason(unit).map(unload));
    }
    for (unit, wanted) in wanted {
        for (action, reason) in one_unit(*wanted, observed.get(unit)) {
            steps.push(Step { unit: unit.clone(), action, reason });
        }
    }
    steps.sort_by(|a, b| a.action.rank().cmp(&b.action.rank()).then_with(|| a.unit.cmp(&b.unit)));
    steps
}

/// Returns what has to be done to one unit that belongs on a machine.
fn one_unit(wanted: Wanted, there: Option<&UnitState>) -> Vec<(Action, Reason)> {
    let Unit { hash, desired, restarts } = wanted.unit;
    let load = Action::Load { hash, install: wanted.install, strict: wanted.strict.is_some() };
    let start = (Action::Start { count: restarts }, Reason::WantedLaunched);
    let launch = desired == DesiredState::Launched;
    let mut steps = Vec::new();
    match there {
        None => steps.push((load, Reason::NotThere)),
        Some(state) if state.hash != hash => {
            steps.push((Action::Unload, Reason::HashDiffers));
            steps.push((load, Reason::HashDiffers));
        }
        Some(state) if state.load == LoadState::NotFound => steps.push((load, Reason::NotThere)),
        Some(state) if launch && state.launched => {
            if state.restarts < restarts {
                steps.push((Action::Restart { count: restarts }, Reason::RestartAsked));
            }
            return steps;
        }
        Some(state) => {
            // What runs without having been started here was started by another unit (a timer, a socket, `Wants=`).
            if !launch && state.launched {
                steps.push((Action::Stop, Reason::WantedLoaded));
            }
        }
    }
    if launch {
        steps.push(start);
    }
    steps
}
