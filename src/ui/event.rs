//! The text of events and of the reasons in them. Nothing reads this text back.

pub mod repeats;

use serde_json::Value;
use serde_json::json;

use crate::core::model::Action;
use crate::core::model::ActiveState;
use crate::core::model::Event;
use crate::core::model::EventKind;
use crate::core::model::Failure;
use crate::core::model::Health;
use crate::core::model::HealthEvidence;
use crate::core::model::HealthReason;
use crate::core::model::MachineId;
use crate::core::model::Outcome;
use crate::core::model::PlacementReason;
use crate::core::model::Reason;
use crate::core::model::RemovalReason;
use crate::core::model::Snapshot;
use crate::core::model::StepEnd;
use crate::core::reconcile::restored::RESTORED;
use crate::core::sanitize;
use crate::core::simulation::MoveReason;
use crate::core::unit::ImagePull;

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
        EventKind::HealthChanged { from, to, reason } => health(*from, *to, reason),
        EventKind::UnitPlaced(reason) => format!("placed: {}", placement(snapshot, reason)),
        EventKind::UnitRemoved(reason) => format!("taken off: {}", removal(snapshot, reason)),
        EventKind::UnitRequested(verb) => format!("{verb} asked for by {}", by()),
        EventKind::MachineRequested(verb) => format!("{verb} asked for by {}", by()),
        EventKind::UnitFailed { active: ActiveState::Failed, .. } => "failed".to_owned(),
        EventKind::UnitFailed { active, sub, lease_ended: false } => format!("does not run: {active} ({sub})"),
        EventKind::UnitFailed { lease_ended: true, .. } => "stopped, because its lease had ended".to_owned(),
        EventKind::UnitRestarted => "ended, and systemd starts it again".to_owned(),
        EventKind::UnitRecovered => "runs again".to_owned(),
        EventKind::UnitUnschedulable(error) => error.message(),
        EventKind::StepEnded(step) => match image(snapshot, event) {
            Some(image) => format!("pulls {image}, and loads the unit after that"),
            None => step_end(snapshot, step),
        },
        EventKind::UnknownUnitsUnloaded(unloaded) => unloaded.to_string(),
        EventKind::ForeignUnitsFound(foreign) => foreign.notice(),
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
            format!("{RESTORED}, so strict units wait for the machines that do not answer")
        }
        EventKind::FailoverOverridden => {
            format!("failover forced by {}: its units move unless it is alive, whatever the failover policy says", by())
        }
        EventKind::LeadershipTaken { from, why } => format!("leadership was taken from {from} by {}: {why}", by()),
        EventKind::SecretSet(name) => format!("secret {name} set by {}", by()),
        EventKind::SecretRemoved(name) => format!("secret {name} removed by {}", by()),
        EventKind::RecipientAdded { name, key } => format!("recipient {name} ({key}) added by {}", by()),
        EventKind::RecipientRemoved { name, key } => format!("recipient {name} ({key}) removed by {}", by()),
        EventKind::Unreadable { why } => format!("an event that cannot be parsed: {why}"),
    }
}

/// Says which health a machine has now, and why.
fn health(from: Option<Health>, to: Health, reason: &HealthReason) -> String {
    match from {
        Some(_) if to == Health::Alive && *reason == HealthEvidence::Answers.into() => "alive again".to_owned(),
        None if to == Health::Alive && *reason == HealthEvidence::Answers.into() => "alive".to_owned(),
        _ => format!("{to}: {reason}"),
    }
}

/// Returns the image that a machine pulls before it loads a unit, if the event says so.
fn image(snapshot: &Snapshot, event: &Event) -> Option<String> {
    let EventKind::StepEnded(StepEnd { action: Action::Load { hash, .. }, outcome: Outcome::Begun, .. }) = event.kind
    else {
        return None;
    };
    let file = snapshot.files.get(&hash)?;
    Some(ImagePull::of(event.subject.unit.as_ref()?, file)?.image)
}

/// Says how a step ended.
fn step_end(snapshot: &Snapshot, step: &StepEnd) -> String {
    let StepEnd { action, reason, outcome, overlap } = step;
    let done = match action {
        Action::Unload => "unloaded".to_owned(),
        Action::Load { hash, .. } if *reason == Reason::HashDiffers => {
            format!("loaded with its new file {}", hash.short())
        }
        Action::Load { .. } => "loaded".to_owned(),
        Action::Adopt { .. } => "adopted".to_owned(),
        Action::Stop => "stopped".to_owned(),
        Action::Start { .. } => "started".to_owned(),
        Action::Restart { .. } => "restarted".to_owned(),
        Action::Reload { .. } => "reloaded".to_owned(),
    };
    let is_plain = matches!(
        (action, reason),
        (Action::Start { .. }, Reason::WantedLaunched) | (Action::Load { .. }, Reason::HashDiffers)
    );
    let why = if is_plain { String::new() } else { format!(" ({})", step_reason(snapshot, *reason)) };
    let end = match outcome {
        Outcome::Done => format!("{done}{why}"),
        Outcome::Begun => format!("is being {done}{why}"),
        Outcome::Failed(said) => format!("{action} failed: {said}"),
        Outcome::Lost(Failure { phase, detail, .. }) => {
            format!("{action} has an unknown outcome, and the machine is observed again: {phase}: {detail}")
        }
    };
    let overlap = overlap.map(|time| format!("; two copies ran for at most {} s", time.as_millis().div_ceil(1000)));
    end + &overlap.unwrap_or_default()
}

/// Says why a step is taken.
pub fn step_reason(snapshot: &Snapshot, reason: Reason) -> String {
    match reason {
        Reason::PlacedElsewhere(machine) => format!("placed on {}", snapshot.name_of(machine)),
        _ => reason.to_string(),
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
        RemovalReason::Unhealthy { machine, health, forced_by } => {
            let by = forced_by.as_ref().map(|by| format!(", and {by} forced its failover"));
            format!("{} is {health}{}", name(machine), by.unwrap_or_default())
        }
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
