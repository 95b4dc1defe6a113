//! The text of events and of the reasons in them. Nothing reads this text back.

use serde_json::Value;
use serde_json::json;

use crate::core::model::Event;
use crate::core::model::EventKind;
use crate::core::model::MachineId;
use crate::core::model::PlacementReason;
use crate::core::model::RemovalReason;
use crate::core::model::Snapshot;
use crate::core::sanitize;
use crate::core::simulation::MoveReason;

/// Writes an event as one line: the machine, the unit, what was done and how it ended.
pub fn line(snapshot: &Snapshot, event: &Event) -> String {
    let machine = event.subject.machine.map(|id| snapshot.name_of(id));
    let unit = event.subject.unit.as_ref().map(ToString::to_string);
    let mut words = machine.into_iter().chain(unit).collect::<Vec<_>>().join(" ");
    if !words.is_empty() {
        words.push_str(": ");
    }
    format!("{}\n", sanitize::line(&format!("{words}{}", text(snapshot, event))))
}

/// Returns an event as JSON: its time, its subject, its actor, its kind and its cause, whether it is trouble, and its text.
pub fn json(snapshot: &Snapshot, event: &Event) -> Value {
    let mut value = json!(event);
    if let Value::Object(fields) = &mut value {
        fields.insert("actor".to_owned(), json!(event.actor()));
        fields.insert("trouble".to_owned(), event.kind.is_trouble().into());
        fields.insert("text".to_owned(), text(snapshot, event).into());
    }
    value
}

/// Returns what was done and how it ended, without the machine and the unit of the event.
pub fn text(snapshot: &Snapshot, event: &Event) -> String {
    let by = || event.subject.actor.as_deref().unwrap_or("an unknown operator");
    match &event.kind {
        EventKind::HealthChanged { to, reason, .. } => format!("{to}: {reason}"),
        EventKind::UnitPlaced(reason) => format!("placed: {}", placement(snapshot, reason)),
        EventKind::UnitRemoved(reason) => format!("taken off: {}", removal(snapshot, reason)),
        EventKind::UnitRequested(verb) => format!("{verb} asked for by {}", by()),
        EventKind::UnitFailed { active, sub } => format!("does not run: {active} ({sub})"),
        EventKind::UnitRestarted => "ended, and systemd starts it again".to_owned(),
        EventKind::UnitRecovered => "runs again".to_owned(),
        EventKind::UnitUnschedulable(error) => error.message(),
        EventKind::StepEnded(step) => step.to_string(),
        EventKind::UnknownUnitsUnloaded(unloaded) => unloaded.to_string(),
        EventKind::ForeignUnitsFound(foreign) => format!("/run/fleet/units has {foreign}; they are left alone"),
        EventKind::LeaseEnded => "its lease has ended: no strict unit runs there".to_owned(),
        EventKind::LeaseRegained => "its lease had ended, and it has one again".to_owned(),
        EventKind::LeaseRefused(why) => format!("would not hold a lease: {why}"),
        EventKind::FenceBegun => "runs its fence command: it may still run strict units".to_owned(),
        EventKind::FenceCancelled => "answers again: its fence command is not run".to_owned(),
        EventKind::FenceSucceeded => "its fence command succeeded: nothing runs there".to_owned(),
        EventKind::FenceVoid => {
            "its fence command succeeded, but it has answered since: that proves nothing".to_owned()
        }
        EventKind::FenceFailed { why } => format!("its fence command failed: {why}"),
        EventKind::StoreRestored => {
            "has seen later records than those in the store: the store was restored from a backup, so strict units wait \
             for the machines that do not answer"
                .to_owned()
        }
        EventKind::FailoverOverridden => {
            format!("failover forced by {}: its units move unless it is alive, whatever the failover policy says", by())
        }
        EventKind::LeadershipTaken { from, why } => format!("leadership was taken from {from} by {}: {why}", by()),
        EventKind::Unreadable { why } => format!("an event that cannot be parsed: {why}"),
    }
}

/// Says why a unit is on its machine.
pub fn placement(snapshot: &Snapshot, reason: &PlacementReason) -> String {
    match &reason.moved {
        Some(moved) => format!("{}; {}", removal(snapshot, moved), reason.choice),
        None => reason.choice.to_string(),
    }
}

/// Says why a unit is taken off its machine.
pub fn removal(snapshot: &Snapshot, reason: &RemovalReason) -> String {
    let name = |machine: &MachineId| snapshot.name_of(*machine);
    match reason {
        RemovalReason::NotSubmitted => "not submitted".to_owned(),
        RemovalReason::WantedInactive => "wanted inactive".to_owned(),
        RemovalReason::Global => "global".to_owned(),
        RemovalReason::MachineLeft(machine) => format!("machine {}... left", machine.short()),
        RemovalReason::Drained(machine) => format!("{} is drained", name(machine)),
        RemovalReason::Unhealthy { machine, health } => format!("{} is {health}", name(machine)),
        RemovalReason::Misfit { machine, filter_reason } => format!("{}: {filter_reason}", name(machine)),
    }
}

/// Says why a unit would change its place.
pub fn movement(snapshot: &Snapshot, reason: &MoveReason) -> String {
    match reason {
        MoveReason::Placed(reason) => placement(snapshot, reason),
        MoveReason::Removed(reason) => removal(snapshot, reason),
    }
}

#[cfg(test)]
mod tests;
