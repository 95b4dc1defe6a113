//! The progress of a command: what it reports while it works, how long it waits, and why it ends early.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use super::goal::Goal;
use super::goal::Records;
use super::goal::UnitProgress;
use super::retry::Contended;
use crate::core::command::InvalidCommand;
use crate::core::model::DesiredState;
use crate::core::model::Event;
use crate::core::model::Machine;
use crate::core::model::Snapshot;
use crate::core::model::Verb;
use crate::core::unit::UnitName;
use crate::store::StoreError;
use crate::store::leader_election::LeaderRecord;

/// How long a command waits.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For leadership, while another command or a sweep leads.
    pub lock_wait: Duration,
    /// For units that take long to start or to stop, and for a controller to reach the goal; `None` for the default.
    pub wait: Option<Duration>,
    /// For how long a unit that was started must run before the command calls it launched.
    pub settle: Duration,
    /// Whether the command waits at all (`--no-block` clears it).
    pub block: bool,
}

/// One report of a command while it works.
#[derive(Debug)]
pub enum Progress<'a> {
    /// A warning for the operator.
    Warning(&'a str),
    /// A unit has reached a state, on this machine if it is on one.
    Reached(&'a UnitName, DesiredState, Option<&'a Machine>),
    /// A unit and its records are gone.
    Destroyed(&'a UnitName),
    /// The desired state was stored, and the command does not wait for it. The flag is set for a global unit, which never
    /// reaches one state.
    Triggered(&'a UnitName, Verb, bool),
    /// An event was logged; the snapshot is of that moment.
    Event(&'a Snapshot, &'a Event),
}

impl Progress<'_> {
    /// Returns what the report says of a unit, as JSON; `None` for other reports.
    pub fn record(&self) -> Option<Value> {
        match self {
            Self::Triggered(unit, verb, global) => {
                Some(json!({ "unit": unit, "triggered": verb.to_string(), "global": global }))
            }
            Self::Reached(unit, state, machine) => {
                Some(json!({ "unit": unit, "state": state, "machine": machine.map(|machine| machine.id) }))
            }
            Self::Destroyed(unit) => Some(json!({ "unit": unit, "state": null, "machine": null })),
            Self::Warning(_) | Self::Event(..) => None,
        }
    }
}

/// Receives the reports of a command.
pub type OnProgress<'a> = dyn FnMut(Progress<'_>) + Send + 'a;

/// A command that ended early.
#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    /// One of the unit commands is invalid. Nothing was changed.
    #[error(transparent)]
    Invalid(#[from] InvalidCommand),
    /// The store failed. The next reconcile carries out the desired state that was stored before.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another process leads. The desired state was stored; the next reconcile carries it out.
    #[error("{0} is at work on this cluster")]
    Busy(LeaderRecord),
    /// Other processes kept changing the same units. The desired state of some units may have been stored.
    #[error(transparent)]
    Contended(#[from] Contended),
    /// No process leads, and this one may not. The desired state was stored; the next controller carries it out.
    #[error("no controller leads this cluster: the desired state is stored, and the next controller carries it out")]
    NoController,
    /// The operator interrupted the command. The desired state was stored; the next reconcile carries it out.
    #[error("stopped")]
    Stopped,
}

/// Reports the units that have reached the goal, and returns the others.
pub(super) fn report_reached(
    goal: Goal,
    records: &Records<'_>,
    units: &BTreeSet<UnitName>,
    on_progress: &mut OnProgress<'_>,
) -> BTreeSet<UnitName> {
    let (snapshot, requirements) = (records.snapshot, records.requirements);
    let is_reached = |unit: &&UnitName| goal.progress_of(records, unit) == UnitProgress::Reached;
    let (reached, left): (Vec<_>, Vec<_>) = units.iter().partition(is_reached);
    for unit in reached {
        if requirements.is_global(unit) {
            // A global unit never reaches one state. Off one machine, it stays on the others as it was.
            if let Goal::Verb(verb) = goal {
                match goal.untriggered(records, unit) {
                    Some(why) => on_progress(Progress::Warning(&format!("Unit {unit}: {why}"))),
                    None => on_progress(Progress::Triggered(unit, verb, true)),
                }
            }
            continue;
        }
        let machine = snapshot.placements.get(unit).and_then(|at| snapshot.machines.get(&at.machine));
        match goal.state(snapshot, unit) {
            Some(DesiredState::Loaded) if machine.is_none() => {
                on_progress(Progress::Reached(unit, DesiredState::Inactive, None));
            }
            Some(state) => on_progress(Progress::Reached(unit, state, machine)),
            None => on_progress(Progress::Destroyed(unit)),
        }
    }
    left.into_iter().cloned().collect()
}
