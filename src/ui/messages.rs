//! Sentences about machines, units and leadership: values in, text out.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::core::model::DesiredState;
use crate::core::model::FilterReason;
use crate::core::model::ForeignUnits;
use crate::core::model::Machine;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;
use crate::core::model::Verb;
use crate::core::unit::UnitName;
use crate::remote::visit::prefetch::Prefetched;
use crate::store::StoreError;
use crate::store::leader_election::LeaderRecord;

/// A machine has an image that was to be pulled.
pub fn pulled(machine: &str, image: &str, ended: &Prefetched) -> String {
    match ended {
        Prefetched::Pulled(time) => format!("{machine}: {image}: pulled in {} s\n", time.as_secs()),
        _ => format!("{machine}: {image}: already there\n"),
    }
}

/// The file of a unit of an application is changed, and its folder still has another one.
pub fn taken_back(unit: &UnitName, application: &str) -> String {
    format!(
        "unit {unit} belongs to the application {application}: the next `muster apply` of its folder takes the change back"
    )
}

/// A container goes back to an earlier file, and its image may be another one.
pub fn doubtful_image(unit: &UnitName, image: &str) -> String {
    format!("Unit {unit}: no host has said with which image it ran: {image} may be another one by now")
}

/// A machine has not pulled an image.
pub fn not_pulled(machine: &str, image: &str, why: &str) -> String {
    format!("{machine}: cannot pull {image}: {why}")
}

/// A unit needs no image, or one that muster does not pull.
pub fn no_image(unit: &UnitName) -> String {
    format!("Unit {unit} has no image that muster pulls")
}

/// A command has stored a desired state and waits for nothing.
pub const NO_LEADER: &str = "no process leads: the next `muster sweep` or a controller carries this out";

/// A controller has lost leadership, to this process if that is known.
pub fn deposed(leader: Option<&LeaderRecord>) -> String {
    match leader {
        Some(leader) => format!("no longer leads: {leader} leads now"),
        None => "no longer leads: its record in the store was removed, or was not renewed in time".to_owned(),
    }
}

/// A controller leads.
pub fn leads(epoch: u64) -> String {
    format!("leads (epoch {epoch})")
}

/// The page is served on this host.
pub const PAGE_IS_SERVED: &str = "serves the page at this address, which works once; Ctrl-C ends it";

/// A controller serves the API.
pub fn serves(place: &str) -> String {
    format!("serves the API on {place}")
}

/// Another controller of this host serves the API.
pub fn place_in_use(place: &str) -> String {
    format!("another process has {place}: this controller serves the API there when that one ends")
}

/// A controller waits because another process leads.
pub fn stands_by(holder: &LeaderRecord) -> String {
    format!("stands by: {holder} leads")
}

/// The same as a state, which lasts longer than the age in it would be true.
pub fn stands_by_for(holder: &LeaderRecord) -> String {
    format!("stands by: {} on {} leads", holder.kind, holder.host)
}

/// The size and the health of a cluster, after the role of its controller.
pub fn cluster_summary(machines: usize, alive: usize, units: usize) -> String {
    let s = |number| if number == 1 { "" } else { "s" };
    format!("; {alive} of {machines} machine{} alive, {units} unit{}", s(machines), s(units))
}

/// A controller has read its settings again.
pub const RELOADED: &str = "settings, inventory, SSH configuration and the identity of secrets are read again";

/// A controller could not read its settings again.
pub const NOT_RELOADED: &str = "nothing is read again: the earlier settings stay in force";

/// A setting has changed that a controller reads only when it starts.
pub fn needs_restart(setting: &str) -> String {
    format!("`{setting}` has changed: a restart of the controller puts that into force")
}

/// A command cannot act because another process leads.
pub fn busy(holder: &LeaderRecord) -> String {
    format!("{holder} leads this cluster")
}

/// The cluster has no machines. The text of the store is shown only if it cannot hold a password.
pub fn no_machines(token: &str, store: &str) -> String {
    let store = if store.starts_with("sqlite:") { store } else { "the store" };
    format!("no machine has joined the cluster {token} in {store}")
}

/// A controller ends while machines hold leases of this length.
pub fn strict_units_stop(machines: usize, lease: Duration) -> String {
    let s = if machines == 1 { "" } else { "s" };
    let within = lease.as_secs();
    format!("strict units on {machines} machine{s} stop within {within} s unless another controller takes over")
}

/// A controller cannot reach the store.
pub fn store_away(error: &StoreError) -> String {
    format!("{error}; units are left as they are")
}

/// A unit has reached a state.
pub fn reached(unit: &UnitName, state: DesiredState, machine: Option<&Machine>) -> String {
    let at = machine.map(|machine| format!(" on {}", machine.legend(false))).unwrap_or_default();
    format!("Unit {unit} {state}{at}\n")
}

/// A unit was removed from the cluster.
pub fn destroyed(unit: &UnitName) -> String {
    format!("Destroyed {unit}\n")
}

/// The desired state of a unit is stored, and the command does not wait for it.
pub fn triggered(unit: &UnitName, verb: Verb, is_global: bool) -> String {
    let kind = if is_global { "global unit" } else { "unit" };
    format!("Triggered {kind} {unit} {verb}\n")
}

/// A host has become a machine.
pub fn joined(machine: &Machine) -> String {
    format!("{} joined as {}\n", machine.name, machine.legend(false))
}

/// A second join changed this of the record of a machine.
pub fn updated(machine: &Machine, changes: &[String]) -> String {
    let changes = if changes.is_empty() { String::new() } else { format!(": {}", changes.join(", ")) };
    format!("{} updated{changes}\n", machine.name)
}

/// A host that has joined has units that this cluster does not know.
pub fn unknown_units(machine: &Machine, units: &BTreeSet<UnitName>) -> String {
    let (count, name) = (units.len(), &machine.name);
    let first: Vec<&str> = units.iter().take(3).map(UnitName::as_str).collect();
    let (noun, them) = if count == 1 { ("unit", "it") } else { ("units", "them") };
    let more = if count > first.len() { ", …" } else { "" };
    format!(
        "{name} has {count} {noun} that this cluster does not know: {}{more}; the controller or the next sweep stops and \
         removes {them}",
        first.join(", ")
    )
}

/// A host was taken from another cluster.
pub fn taken_over(machine: &Machine, cluster: &str) -> String {
    let name = &machine.name;
    format!("{name} was taken from the cluster {cluster}, which does not manage {name} any more")
}

/// A host was a machine already.
pub fn has_joined(machine: &Machine) -> String {
    format!("{} has joined already", machine.name)
}

/// A command has made a store.
pub fn new_store(store: &str) -> String {
    format!("made the store {store}: it is that of a new cluster, which no machine has joined")
}

/// The keys of machines have changed while a controller on another host leads.
pub fn keys_of_controller(names: &[String], host: &str) -> String {
    format!(
        "the controller on {host} logs in to {} with the keys that the inventory names now, and reads these files on {host}",
        names.join(", ")
    )
}

/// A host that has joined has unit files of another program.
pub fn foreign_units(machine: &Machine, foreign: &ForeignUnits) -> String {
    let (name, notice) = (&machine.name, foreign.notice());
    format!("{name}: {notice} (`muster join --adopt {name}` takes the units over)")
}

/// A machine has left the cluster.
pub fn left(machine: &Machine) -> String {
    format!("{} left\n", machine.name)
}

/// A machine is drained and still in the cluster, because `leave` does not wait.
pub fn leaves_later(machine: &Machine) -> String {
    let name = &machine.name;
    format!("{name} is drained: `muster leave {name}` removes it once its units run elsewhere")
}

/// A machine was cordoned or uncordoned.
pub fn cordoned(machine: &Machine, is_cordoned: bool) -> String {
    let word = if is_cordoned { "cordoned: takes no new units" } else { "uncordoned" };
    format!("{} {word}\n", machine.name)
}

/// `top` was left while changes were being carried out.
pub fn unfinished(count: usize) -> String {
    let what = if count == 1 { "1 change was".to_owned() } else { format!("{count} changes were") };
    format!("{what} not finished: the desired state is stored, and a controller or the next sweep carries it out")
}

/// A machine was drained, or its units are going to move if the command does not wait for that.
pub fn drained(machine: &Machine, is_done: bool, now: Timestamp) -> String {
    let word = if is_done { "drained" } else { "cordoned: its units move to other machines" };
    let deadline = machine.drain_by.filter(|_| !is_done).map(|by| {
        let at = super::clock(by, now);
        format!("; those that are still there at {at} stop, also if they fit on no other machine")
    });
    format!("{} {word}{}\n", machine.name, deadline.unwrap_or_default())
}

/// The failover of a machine was allowed although the failover policy blocks it.
pub fn failover_forced(machine: &Machine) -> String {
    let name = &machine.name;
    format!("{name}: the controller, or a sweep within the next hour, moves its units unless it answers before\n")
}

/// No process leads, and a controller did until this long ago.
pub fn no_controller(age: Duration) -> String {
    format!("no process leads: the controller that led until {} does not run any more", super::ago(age))
}

/// A machine is alive and takes no new units until this time, for this reason.
pub fn takes_no_units(machine: &Machine, reason: &FilterReason, until: Timestamp, now: Timestamp) -> String {
    format!("{} takes no new units until {}: {reason}", machine.name, super::clock(until, now))
}

/// A list leaves out the machines that are down or unreachable.
pub fn hidden_machines(count: usize) -> String {
    let (machines, them) = if count == 1 { ("machine is", "it") } else { ("machines are", "them") };
    format!("{count} {machines} down or unreachable: `muster list-machines --all` lists {them} too")
}

/// A machine that joins again keeps its mark: it is cordoned or drained.
pub fn stays_cordoned(machine: &Machine) -> String {
    let (name, mark) = (&machine.name, if machine.draining { "drained" } else { "cordoned" });
    format!("{name} is {mark} and takes no new units: `muster uncordon {name}` ends that")
}

/// A machine is reached through another one.
pub fn relayed(machine: &Machine, relay: &Machine) -> String {
    format!("{} has a path fault: going through {}", machine.name, relay.name)
}

/// Machines could not be observed, for this reason, and are shown as they were last observed, at most `age` ago. `from` is
/// the host of the controller that tried, if that is another host.
pub fn not_observed(machines: &[&str], why: &str, age: Option<Duration>, from: Option<&str>) -> String {
    let from = from.map(|host| format!(" from {host}")).unwrap_or_default();
    let note = match (age.map(super::ago), machines) {
        (Some(ago), [_]) => format!("not observed now{from} ({why}): shown as of {ago}"),
        (Some(ago), _) => format!("not observed now{from} ({why}): shown as of at most {ago}"),
        (None, _) => format!("not observed now{from} ({why}), and never before"),
    };
    note_about_hosts(machines, &note)
}

/// Advice that was given on another host, where a controller runs.
pub fn hint_for_host(host: &str, hint: &str) -> String {
    format!("On {host}, where the controller runs: {hint}")
}

/// Returns the last observed state of a unit on a machine that cannot be asked now.
pub fn last_observed(snapshot: &Snapshot, unit: &UnitName, machine: &Machine, now: Timestamp) -> Option<String> {
    let state = snapshot.states.get(unit)?.get(&machine.id)?;
    let ago = super::ago(now.since(snapshot.observed_at(machine.id)?));
    Some(format!("{unit} was {state} when {} was last observed, {ago}.", machine.name))
}

/// A command waits. Only the first few waits are named.
pub fn waiting(waits: &[&str], named: usize) -> String {
    let more = waits.len().saturating_sub(named);
    let first = waits.get(..named).unwrap_or(waits).join(", ");
    if more == 0 { format!("waiting for {first}") } else { format!("waiting for {first} and {more} more") }
}

/// An epoch that was far ahead of the clock was reset.
pub fn epoch_reset(old: u64) -> String {
    format!(
        "the epoch was {old} and is now the time of day: a host that has seen the old one obeys again after `muster join \
         --take-over`\n"
    )
}

/// The holder of leadership, if there is one.
pub fn leadership(holder: Option<&LeaderRecord>) -> String {
    match holder {
        Some(holder) => format!("{holder} leads with epoch {}\n", holder.epoch),
        None => "no process leads\n".to_owned(),
    }
}

/// Leadership was taken from a process.
pub fn leadership_taken(holder: &LeaderRecord) -> String {
    format!("taken from {holder}\n")
}

/// The command ended on a host with an exit code other than 0.
pub fn exit_code(host: &str, code: impl std::fmt::Display) -> String {
    format!("{host}: exit code {code}")
}

/// A signal ended the command on a host.
pub fn killed(host: &str, signal: impl std::fmt::Display) -> String {
    format!("{host}: killed by signal {signal}")
}

/// The output of a host was longer than what is kept.
pub fn output_dropped(host: &str, dropped: usize, kept: usize) -> String {
    format!("{host}: {dropped} bytes of its output were dropped, all after the first {kept}")
}

/// The number of hosts on which a command succeeded, failed or could not run.
pub fn host_counts(ok: usize, failed: usize, unreachable: usize) -> String {
    let all = ok + failed + unreachable;
    let hosts = if all == 1 { "host" } else { "hosts" };
    format!("{all} {hosts}: {ok} ok, {failed} failed, {unreachable} unreachable")
}

/// The cluster has no such unit.
pub fn no_such_unit(unit: &UnitName) -> String {
    format!("Unit {unit} does not exist")
}

/// A global unit has no single journal.
pub fn journal_of_global_unit(unit: &UnitName) -> String {
    format!("Unable to retrieve journal of global unit {unit}.")
}

/// A unit is on no machine, so it is not in the state that a command needs: `loaded` or `running`. The text is fleet's.
pub fn not_on_a_machine(unit: &UnitName, need: &str) -> String {
    format!("Unit {unit} does not appear to be {need}.")
}

/// A unit is on no machine, and this is its desired state.
pub fn on_no_machine(unit: &UnitName, desired: DesiredState) -> String {
    format!("Unit {unit} is on no machine: its desired state is {desired}")
}

/// Returns the warning about a task or command that was under way when its run was interrupted.
pub fn interrupted(what: &str, hosts: &[String]) -> String {
    format!("{what} was under way on {} and may go on there", hosts.join(", "))
}

/// Returns the warning about the hosts on which an interrupted run had not started a command.
pub fn not_started(hosts: usize) -> String {
    format!("the command was not started on {hosts} other {}", if hosts == 1 { "host" } else { "hosts" })
}

/// Returns a note about hosts. Only the first few are named.
pub fn note_about_hosts(hosts: &[&str], note: &str) -> String {
    match hosts {
        [first, second, third, _, ..] => format!("{} hosts ({first}, {second}, {third}, …): {note}", hosts.len()),
        hosts => format!("{}: {note}", hosts.join(", ")),
    }
}
