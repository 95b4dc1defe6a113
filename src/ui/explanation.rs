//! A unit or a machine explained, as text and as JSON.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use super::event;
use super::event::repeats;
use super::event::repeats::Repeated;
use super::lists::state_cells;
use super::table;
use super::table::Cell;
use super::terminal::Tone;
use super::time;
use crate::core::explain;
use crate::core::explain::Explanation;
use crate::core::explain::NotRunning;
use crate::core::lease;
use crate::core::model::Event;
use crate::core::model::FailedLoad;
use crate::core::model::FilterReason;
use crate::core::model::Grant;
use crate::core::model::Health;
use crate::core::model::HealthEvidence;
use crate::core::model::HealthRecord;
use crate::core::model::Machine;
use crate::core::model::MachineId;
use crate::core::model::Placement;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;
use crate::core::model::UnitState;
use crate::core::schedule::RequirementsIndex;
use crate::core::unit::Class;
use crate::core::unit::UnitName;

/// How old evidence may be without a word about its age.
const EVIDENCE_IS_NEW: Duration = Duration::from_secs(15);

/// Writes why a unit is as it is, and its latest events.
pub fn unit(snapshot: &Snapshot, name: &UnitName, why: &Explanation, events: &[Event], now: Timestamp) -> String {
    let mut rows = vec![
        ("Unit", name.to_string()),
        ("Wanted", format!("{}{}", why.desired, if why.global { ", on every machine that fits" } else { "" })),
        ("File", why.hash.short()),
    ];
    rows.extend(why.class.map(|class| ("Class", class.to_string())));
    if let Some(placement) = &why.placement {
        rows.push(("Place", snapshot.name_of(placement.machine)));
        rows.push(("Since", time(placement.since)));
        rows.push(("Because", event::placement(snapshot, &placement.reason)));
    }
    rows.extend(drain(snapshot, why, now).map(|text| ("Drain", text)));
    rows.extend(failed_loads(snapshot, why, now).map(|text| ("Load failed", text)));
    let told = causes_of_failed_loads(why);
    let untold = |text: String| told.iter().fold(text, |text, said| text.replace(&format!(": {said}"), ""));
    rows.extend(why.placement_error.iter().map(|error| ("No place", untold(error.to_string()))));
    for (machine, state) in &why.states {
        let seen = last_seen(snapshot, *machine, now);
        rows.push(("State", format!("{state} on {}{seen}", snapshot.name_of(*machine))));
    }
    let unknown = unknown(snapshot, why);
    let is_told = |reason: &&NotRunning| matches!(reason, NotRunning::MachineUnavailable { .. }) && !unknown.is_empty();
    let reasons = why.not_running.iter().filter(|reason| !is_told(reason));
    rows.extend(reasons.map(|reason| (label(reason), untold(not_running(reason, now)))));
    rows.extend(unknown.into_iter().map(|text| ("Unknown", text)));
    rows.extend(explain::slow_leases(snapshot, name).map(|(id, grant)| ("Slow host", slow_host(snapshot, id, grant))));
    let mut text = lay_out(rows, false);
    let header = [["MACHINE", "IN THE WAY"].map(str::to_owned)].into_iter();
    let filter_reasons = why.filter_reasons.iter().map(|(machine, reasons)| {
        let reasons: Vec<String> =
            reasons.iter().map(|it| untold(filter_reason(snapshot, *machine, it, now))).collect();
        let text = if reasons.is_empty() { "nothing".to_owned() } else { reasons.join("; ") };
        [snapshot.name_of(*machine), text]
    });
    if !why.filter_reasons.is_empty() {
        let rows: Vec<Vec<String>> = header.chain(filter_reasons).map(Vec::from).collect();
        text.push_str(&format!("\n{}", table::lay_out(&rows, false)));
    }
    text + &happened(snapshot, events)
}

/// Writes why the filter rules a machine out.
fn filter_reason(snapshot: &Snapshot, machine: MachineId, reason: &FilterReason, now: Timestamp) -> String {
    match reason {
        FilterReason::Flapping(_) | FilterReason::Full => {
            let exclusion = explain::exclusions(snapshot, now)(machine).filter(|(why, _)| why == reason);
            let until = exclusion.map(|(_, until)| format!(", and takes no unit until {}", super::clock(until, now)));
            format!("{reason}{}", until.unwrap_or_default())
        }
        FilterReason::NotPinned(pin) => match snapshot.machines.range(pin.machines()).next() {
            Some((_, pinned)) => format!("MachineID= names {}", pinned.name),
            None => reason.to_string(),
        },
        FilterReason::DataElsewhere(home) => format!("its data are on {}", snapshot.full_name_of(*home)),
        _ => reason.to_string(),
    }
}

/// Says what a drain of its machine does to a unit.
fn drain(snapshot: &Snapshot, why: &Explanation, now: Timestamp) -> Option<String> {
    let machine = snapshot.machines.get(&why.placement.as_ref()?.machine).filter(|machine| machine.draining)?;
    let end = match machine.drain_by {
        Some(by) => format!("stops there at {}, even if it fits on no other machine", super::clock(by, now)),
        None => "leaves as soon as another machine takes it".to_owned(),
    };
    Some(format!("{} is drained: the unit {end}", machine.name))
}

/// Says of which machines that do not answer the present state of a unit is not known. The bound of a lease tells when a
/// strict unit has stopped there.
fn unknown(snapshot: &Snapshot, why: &Explanation) -> Vec<String> {
    let is_bounded = |machine| {
        let grant = snapshot.leases.get(&machine);
        why.class == Some(Class::Strict) && grant.is_some_and(|grant| grant.stopped_for_sure_at.is_some())
    };
    let silent = why.states.iter().filter_map(|(machine, _)| {
        let record = snapshot.health.get(machine).filter(|_| !is_bounded(*machine))?;
        let answers = matches!(record.health, Health::Alive | Health::PathFault);
        let what = format!("{} is {}: {}", snapshot.name_of(*machine), record.health, record.reason);
        (!answers).then(|| format!("{what}; the present state there is not known"))
    });
    silent.collect()
}

/// Returns the age of the last report of a machine that was not observed just now: its units may have changed since.
fn last_seen(snapshot: &Snapshot, machine: MachineId, now: Timestamp) -> String {
    match snapshot.observed_at(machine) {
        _ if snapshot.is_current(machine, now) => String::new(),
        Some(at) => format!(", as of {}", super::ago(now.since(at))),
        None => ", not observed since".to_owned(),
    }
}

/// Says that the systemd of a machine is slow, what follows for a strict unit there, and what helps.
fn slow_host(snapshot: &Snapshot, machine: MachineId, grant: &Grant) -> String {
    let name = snapshot.full_name_of(machine);
    let (renewal, slack) = (lease::renewal_of(grant.slack).as_secs_f32(), grant.slack.as_secs());
    let bound = lease::bound(grant).as_secs();
    format!(
        "systemd on {name} took at least {renewal} s to renew the lease, so {slack} s are added to the bound: if {name} falls \
         silent, this unit starts elsewhere after {bound} s; more processor time for {name} or a fence command helps"
    )
}

/// Returns what hosts said when they could not load the unit's file. It is written once, however many machines said it.
fn causes_of_failed_loads(why: &Explanation) -> BTreeSet<&str> {
    let loads = why.placement.iter().flat_map(|placement| &placement.failed_loads);
    loads.filter(|load| load.hash == why.hash && !load.said.is_empty()).map(|load| load.said.as_str()).collect()
}

/// Returns where the unit's file could not be loaded, what the host said and when, one text for each cause; nothing once its
/// machine has loaded it.
fn failed_loads(snapshot: &Snapshot, why: &Explanation, now: Timestamp) -> impl Iterator<Item = String> {
    let is_loaded = |placement: &&Placement| {
        let mut states = why.states.iter().filter(|(machine, _)| *machine == placement.machine);
        states.any(|(_, state)| state.has_loaded(why.hash))
    };
    let placement = why.placement.iter().filter(|placement| !is_loaded(placement));
    let loads = placement.flat_map(|placement| &placement.failed_loads);
    let mut causes: Vec<(&str, Vec<String>)> = Vec::new();
    for FailedLoad { machine, said, at, .. } in loads.filter(|it| it.hash == why.hash) {
        let place = format!("on {}, {}", snapshot.full_name_of(*machine), super::ago(now.since(*at)));
        match causes.iter_mut().find(|(cause, _)| cause == said) {
            Some((_, places)) => places.push(place),
            None => causes.push((said, vec![place])),
        }
    }
    causes.into_iter().map(|(said, places)| format!("{said}, {}", places.join(", ")))
}

/// Returns the title of a reason: some units with trouble run.
fn label(reason: &NotRunning) -> &'static str {
    match reason {
        NotRunning::JobFailed { .. }
        | NotRunning::AwaitsUnit { .. }
        | NotRunning::OutdatedFile(_)
        | NotRunning::RunsElsewhere { .. }
        | NotRunning::Pulling { runs: Some(_), .. }
        | NotRunning::LoadFailed { runs_earlier: true, .. } => "Trouble",
        NotRunning::NotActive { state, .. } if state.runs() => "Trouble",
        _ => "Not running",
    }
}

/// Writes why a unit does not run, with the time if it waits for one.
fn not_running(reason: &NotRunning, now: Timestamp) -> String {
    match reason {
        NotRunning::MayStillRun { until, .. } if now < *until => {
            format!("{reason} until {}", super::clock(*until, now))
        }
        NotRunning::MayStillRun { is_strict: true, name, until } => {
            let at = super::clock(*until, now);
            format!("strict unit, stopped on {name} by {at}: the next controller or sweep that keeps leases starts it")
        }
        NotRunning::MayStillRun { name, until, .. } => {
            let at = super::clock(*until, now);
            format!("a strict copy of it had stopped on {name} by {at}: the next controller or sweep starts it")
        }
        reason => reason.to_string(),
    }
}

/// Writes the same as JSON.
pub fn unit_json(snapshot: &Snapshot, name: &UnitName, why: &Explanation, events: &[Event], now: Timestamp) -> Value {
    let state = |(machine, state): &(MachineId, UnitState)| {
        let health = snapshot.health.get(machine).map(|record| record.health);
        json!({
            "machine": machine,
            "name": snapshot.full_name_of(*machine),
            "health": health,
            "state": state,
            "is_current": snapshot.is_current(*machine, now),
            "observed_at": snapshot.observed_at(*machine),
        })
    };
    let until = why
        .not_running
        .iter()
        .find_map(|reason| if let NotRunning::MayStillRun { until, .. } = reason { Some(until) } else { None });
    let filter_reasons = why.filter_reasons.iter().map(|(machine, reasons)| {
        let reasons: Vec<String> = reasons.iter().map(|it| filter_reason(snapshot, *machine, it, now)).collect();
        json!({"machine": machine, "name": snapshot.full_name_of(*machine), "reasons": reasons})
    });
    let slow = |(machine, grant): (MachineId, &Grant)| {
        let (bound, added) = (lease::bound(grant).as_secs(), grant.slack.as_secs());
        json!({"machine": machine, "name": snapshot.full_name_of(machine), "bound": bound, "added": added})
    };
    let trouble = |reason: &NotRunning| json!({"kind": reason.kind(), "text": reason.to_string()});
    json!({
        "unit": name,
        "desired": why.desired,
        "hash": why.hash,
        "class": why.class.map(|class| class.to_string()),
        "global": why.global,
        "placement": why.placement,
        "placement_reason": why.placement.as_ref().map(|it| event::placement(snapshot, &it.reason)),
        "states": why.states.iter().map(state).collect::<Vec<_>>(),
        "refusal": why.placement_error.as_ref().map(ToString::to_string),
        "filter_reasons": filter_reasons.collect::<Vec<_>>(),
        "not_running": why.not_running.iter().map(trouble).collect::<Vec<_>>(),
        "may_run_until": until,
        "slow_hosts": explain::slow_leases(snapshot, name).map(slow).collect::<Vec<_>>(),
        "events": repeats::fold(events).iter().map(|it| event::json(snapshot, it.event)).collect::<Vec<_>>(),
    })
}

/// Writes the facts, the health, the units and the latest events of a machine, the health in its colour.
///
/// `has_controller` says that a controller leads, which renews leases.
pub fn machine(
    snapshot: &Snapshot,
    machine: &Machine,
    events: &[Event],
    now: Timestamp,
    has_controller: bool,
    has_color: bool,
) -> String {
    let facts = facts(snapshot, machine, now).into_iter().map(|(key, value)| (key, value.into()));
    let rows: Vec<(&str, Cell)> = facts.chain(observations(snapshot, machine, now, has_controller)).collect();
    let units = units_table(snapshot, machine, now);
    lay_out(rows, has_color)
        + &units.map(|table| format!("\n{table}")).unwrap_or_default()
        + &happened(snapshot, events)
}

/// Returns whether a machine takes units, and why not.
fn scheduling(snapshot: &Snapshot, machine: &Machine, now: Timestamp) -> String {
    let health = snapshot.health.get(&machine.id).map(|record| record.health).filter(|it| *it != Health::Alive);
    let excluded = explain::exclusions(snapshot, now)(machine.id)
        .map(|(reason, until)| format!("takes no new units until {}: {reason}", super::clock(until, now)));
    let excluded = excluded.or_else(|| health.map(|health| format!("takes no new units: its health is {health}")));
    let mode = match (machine.cordoned, machine.draining, machine.drain_by) {
        (_, true, Some(by)) => format!("drained: the remaining units stop at {}", time(by)),
        (_, true, None) => "drained: its units move to other machines".to_owned(),
        (true, false, _) => "cordoned: takes no new units".to_owned(),
        (false, false, _) => return excluded.unwrap_or_else(|| "takes units".to_owned()),
    };
    excluded.map_or_else(|| mode.clone(), |excluded| format!("{mode}; uncordoned, it {excluded}"))
}

/// Returns what the record of a machine says.
fn facts(snapshot: &Snapshot, machine: &Machine, now: Timestamp) -> Vec<(&'static str, String)> {
    let metadata: Vec<String> = machine.metadata.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let mut rows = vec![
        ("Name", machine.name.clone()),
        ("Machine", machine.id.to_string()),
        ("Address", machine.address.to_string()),
    ];
    rows.extend(machine.jump.iter().map(|jump| ("Through", jump.clone())));
    rows.extend([
        ("IP", machine.ip.clone()),
        ("System", format!("{}, systemd {}", machine.os, machine.systemd)),
        ("Podman", machine.podman.to_string()),
        ("Metadata", if metadata.is_empty() { "-".to_owned() } else { metadata.join(",") }),
        ("Scheduling", scheduling(snapshot, machine, now)),
    ]);
    rows
}

/// Returns what leaders have observed of a machine and granted to it.
fn observations(
    snapshot: &Snapshot,
    machine: &Machine,
    now: Timestamp,
    has_controller: bool,
) -> Vec<(&'static str, Cell)> {
    let mut rows: Vec<(&str, Cell)> = Vec::new();
    match snapshot.health.get(&machine.id) {
        Some(health) => {
            let last_seen = match seen(snapshot, machine.id, health) {
                _ if snapshot.is_current(machine.id, now) => "now".to_owned(),
                Some(seen) => time(seen),
                None => "never".to_owned(),
            };
            rows.extend([
                ("Health", Cell::colored(health.health.to_string(), Some(Tone::of(health.health)))),
                ("Evidence", evidence(health, now).into()),
                ("Since", time(health.since).into()),
                ("Last seen", last_seen.into()),
            ]);
        }
        None => rows.push(("Health", "not observed yet".to_owned().into())),
    }
    if let Some(order) = snapshot.failover_overrides.get(&machine.id).filter(|order| now < order.until) {
        let what = format!("its units move unless it answers, by order of {}, until {}", order.by, time(order.until));
        rows.push(("Failover", what.into()));
    }
    if let Some(grant) = snapshot.leases.get(&machine.id) {
        rows.extend([("Lease", lease(grant, now, has_controller).into()), ("Bound", bound(grant).into())]);
    }
    rows.extend(snapshot.foreign.get(&machine.id).map(|foreign| ("Left alone", foreign.to_string().into())));
    rows
}

/// Returns the evidence for a health, with its age: a leader records it when the health changes.
pub(super) fn evidence(record: &HealthRecord, now: Timestamp) -> String {
    let age = now.since(record.since);
    if record.reason.evidence == HealthEvidence::Answers || age < EVIDENCE_IS_NEW {
        return record.reason.to_string();
    }
    format!("{}, as of {}", record.reason, super::ago(age))
}

/// Returns the table of a machine's units, if it has any.
fn units_table(snapshot: &Snapshot, machine: &Machine, now: Timestamp) -> Option<String> {
    let requirements = RequirementsIndex::of(snapshot);
    let row = |(unit, state, placed): (&UnitName, Option<&UnitState>, bool)| {
        let state = state.filter(|_| snapshot.is_current(machine.id, now));
        let [active, sub] = state.map_or_else(|| ["-", "-"].map(str::to_owned), state_cells);
        let place = match placed {
            _ if requirements.is_global(unit) => "global",
            true => "yes",
            false => "no",
        };
        vec![unit.to_string(), active, sub, place.to_owned()]
    };
    let header = ["UNIT", "ACTIVE", "SUB", "PLACED HERE"].map(str::to_owned).to_vec();
    let units: Vec<Vec<String>> = units(snapshot, machine).map(row).collect();
    let rows: Vec<Vec<String>> = std::iter::once(header).chain(units).collect();
    (rows.len() > 1).then(|| table::lay_out(&rows, false))
}

/// Returns when a machine was last seen. Its record has the time only as of the last change of its health.
fn seen(snapshot: &Snapshot, machine: MachineId, health: &HealthRecord) -> Option<Timestamp> {
    snapshot.observed_at(machine).max(health.last_seen)
}

/// Writes the same as JSON.
pub fn machine_json(snapshot: &Snapshot, machine: &Machine, events: &[Event], now: Timestamp) -> Value {
    let requirements = RequirementsIndex::of(snapshot);
    let is_current = snapshot.is_current(machine.id, now);
    let units = units(snapshot, machine).map(|(unit, state, placed)| {
        let global = requirements.is_global(unit);
        let last = state.filter(|_| !is_current).map(|state| json!({"active": state.active, "sub": state.sub}));
        let state = state.filter(|_| is_current);
        let (active, sub) = (state.map(|state| state.active), state.map(|state| &state.sub));
        let job = state.and_then(UnitState::queued_job);
        json!({"unit": unit, "active": active, "sub": sub, "job": job, "last": last, "placed": placed, "global": global})
    });
    json!({
        "machine": machine,
        "health": snapshot.health.get(&machine.id).map(|record| HealthRecord {
            last_seen: seen(snapshot, machine.id, record),
            ..record.clone()
        }),
        "is_current": is_current,
        "observed_at": snapshot.observed_at(machine.id),
        "lease": snapshot.leases.get(&machine.id),
        "foreign": snapshot.foreign.get(&machine.id),
        "units": units.collect::<Vec<_>>(),
        "events": events.iter().map(|event| event::json(snapshot, event)).collect::<Vec<_>>(),
    })
}

/// Writes which leader granted a lease, and until when the machine may run strict units.
fn lease(grant: &Grant, now: Timestamp, has_controller: bool) -> String {
    let (epoch, length) = (grant.epoch, grant.length.as_secs());
    let grant_text = format!("granted by the leader with epoch {epoch}, {length} s long");
    let clock = |at| super::clock(at, now);
    match (grant.stopped_for_sure_at, grant.until) {
        (Some(gone), _) if gone <= now => format!("{grant_text}; its strict units had stopped by {}", clock(gone)),
        (Some(gone), _) => format!("{grant_text}; its strict units may run until {}", clock(gone)),
        (None, Some(until)) if until <= now => {
            format!("{grant_text}; it was not renewed, and ended at {}", clock(until))
        }
        (None, Some(until)) => format!("{grant_text}, until {} unless it is renewed", clock(until)),
        (None, None) if has_controller => format!("{grant_text}, renewed as long as the machine answers"),
        (None, None) => format!("{grant_text}; no controller leads, so no process renews it"),
    }
}

/// Writes after how long the strict units of a machine that falls silent have certainly stopped, and the sum.
fn bound(grant: &Grant) -> String {
    let [bound, length, stop, margin] =
        [lease::bound(grant), grant.length, grant.stop, lease::MARGIN].map(|it| it.as_secs());
    let slow = match grant.slack.as_secs() {
        0 => String::new(),
        slack => format!(", {slack} s because its systemd is slow"),
    };
    format!("{bound} s: {length} s of the lease, {stop} s to stop the units, {margin} s of margin{slow}")
}

/// Returns the units that are on a machine or are to be, each with its state there and whether it is placed there.
fn units<'a>(
    snapshot: &'a Snapshot,
    machine: &Machine,
) -> impl Iterator<Item = (&'a UnitName, Option<&'a UnitState>, bool)> {
    let id = machine.id;
    let unknown = snapshot.states.keys().filter(|unit| !snapshot.units.contains_key(*unit));
    snapshot.units.keys().chain(unknown).filter_map(move |unit| {
        let placed = snapshot.placements.get(unit).is_some_and(|at| at.machine == id);
        let state = snapshot.states.get(unit).and_then(|states| states.get(&id));
        (placed || state.is_some()).then_some((unit, state, placed))
    })
}

fn lay_out<C: Into<Cell>>(rows: Vec<(&str, C)>, has_color: bool) -> String {
    let rows: Vec<Vec<Cell>> =
        rows.into_iter().map(|(key, value)| vec![format!("{key}:").into(), value.into()]).collect();
    table::lay_out(&rows, has_color)
}

fn happened(snapshot: &Snapshot, events: &[Event]) -> String {
    if events.is_empty() {
        return String::new();
    }
    let lines = repeats::fold(events).into_iter().map(|Repeated { event, times, since }| {
        let line = event::line(snapshot, event);
        let again = if times > 1 { format!(" ({times} times since {})", time(since)) } else { String::new() };
        format!("{} {}{again}\n", time(event.at), line.trim_end_matches('\n'))
    });
    format!("\n{}", lines.collect::<String>())
}
