//! The plan: the steps that bring the units of one machine to their desired states, with reasons. It does not choose
//! machines and does not decide when a step is sent.

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

/// The assignment of a unit to a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// The unit's file, its desired state and the number of requested restarts.
    pub unit: Unit,
    /// Set when the file has an `[Install]` section.
    pub install: bool,
    /// How long the unit may take to stop if it is strict; `None` if it is not.
    pub strict: Option<Duration>,
}

/// Returns the steps that bring a machine's units to their desired states, in the order in which a visit takes them.
///
/// `wanted` has the units that belong on the machine, `observed` those that are on it. `is_foreign` reports whether another
/// program wrote the file of an observed unit: such a unit is adopted or left alone. `removal_reason` returns why a unit
/// that does not belong on the machine must leave it, or `None` if it stays. A machine whose units are as desired gets no
/// steps.
pub fn steps(
    wanted: &BTreeMap<UnitName, Wanted>,
    observed: &BTreeMap<UnitName, UnitState>,
    is_foreign: impl Fn(&UnitName) -> bool,
    removal_reason: impl Fn(&UnitName) -> Option<Reason>,
) -> Vec<Step> {
    let mut steps = Vec::new();
    for unit in observed.keys().filter(|unit| !wanted.contains_key(*unit) && !is_foreign(unit)) {
        let unload = |reason| Step { unit: unit.clone(), action: Action::Unload, reason };
        steps.extend(removal_reason(unit).map(unload));
    }
    for (unit, wanted) in wanted {
        let (there, foreign) = (observed.get(unit), is_foreign(unit));
        let regrouped = there.filter(|state| is_outdated(wanted, state) && !foreign && unit.kind().is_group());
        let actions = match regrouped {
            Some(state) => one_group(*wanted, state),
            None => one_unit(*wanted, there, foreign),
        };
        for (action, reason) in actions {
            steps.push(Step { unit: unit.clone(), action, reason });
        }
    }
    steps.sort_by(|a, b| a.action.rank().cmp(&b.action.rank()).then_with(|| a.unit.cmp(&b.unit)));
    steps
}

/// Reports whether a unit on a machine has another file than the one that was submitted.
fn is_outdated(wanted: &Wanted, there: &UnitState) -> bool {
    there.has_file() && there.hash != wanted.unit.hash
}

/// Returns the actions for a target or a slice with an earlier file. Its stop would stop the units in it, so systemd reads the new
/// file while it is active. A start then starts the units that a target newly wants.
fn one_group(wanted: Wanted, there: &UnitState) -> Vec<(Action, Reason)> {
    let Unit { hash, desired, restarts, .. } = wanted.unit;
    let load = Action::Load { hash, install: wanted.install, strict: wanted.strict.is_some() };
    let next = match desired {
        DesiredState::Launched => Some((Action::Start { count: restarts }, Reason::WantedLaunched)),
        _ => there.launched.then_some((Action::Stop, Reason::WantedLoaded)),
    };
    std::iter::once((load, Reason::HashDiffers)).chain(next).collect()
}

/// Returns the actions for one unit that belongs on a machine.
fn one_unit(wanted: Wanted, there: Option<&UnitState>, foreign: bool) -> Vec<(Action, Reason)> {
    let Unit { hash, desired, restarts, revive, reload } = wanted.unit;
    let load = Action::Load { hash, install: wanted.install, strict: wanted.strict.is_some() };
    let adopt = Action::Adopt { hash, strict: wanted.strict.is_some() };
    let start = (Action::Start { count: restarts }, Reason::WantedLaunched);
    let launch = desired == DesiredState::Launched;
    let mut steps = Vec::new();
    match there {
        None => steps.push((load, Reason::NotThere)),
        // Its process goes on.
        Some(state) if !state.has_file() => steps.push((load, Reason::FileGone)),
        Some(state) if foreign && state.hash == hash => steps.push((adopt, Reason::FoundHere)),
        Some(state) if state.hash != hash && reload == Some(state.hash) && !foreign => {
            steps.push((load, Reason::CompanionsDiffer));
            if launch && state.launched {
                steps.push((Action::Reload { count: restarts }, Reason::CompanionsDiffer));
                return steps;
            }
        }
        Some(state) if state.hash != hash => {
            steps.push((Action::Unload, Reason::HashDiffers));
            steps.push((load, Reason::HashDiffers));
        }
        Some(state) if state.load == LoadState::NotFound => steps.push((load, Reason::NotThere)),
        Some(state) if launch && state.launched => {
            if state.restarts < restarts {
                steps.push(match reload {
                    _ if revive => (Action::Start { count: restarts }, Reason::StartAsked),
                    Some(_) => (Action::Reload { count: restarts }, Reason::CompanionsDiffer),
                    None => (Action::Restart { count: restarts }, Reason::RestartAsked),
                });
            }
            return steps;
        }
        Some(state) => {
            // A unit that runs and was not started by muster was started by another unit (a timer, a socket, `Wants=`).
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
