//! The lines above a list: the size and the health of the cluster, and which process leads.

use super::App;
use super::Cluster;
use super::Scope;
use super::View;
use crate::core::model::Health;
use crate::core::model::RECENT;
use crate::core::model::Timestamp;
use crate::core::sanitize;
use crate::store::leader_election::LeaderKind;
use crate::store::leader_election::LeaderRecord;
use crate::ui;
use crate::ui::messages;
use crate::ui::terminal::Tone;

impl App {
    /// Returns the line about the cluster.
    pub(in crate::ui::top) fn summary(&self) -> String {
        let Some(cluster) = &self.cluster else { return "reading the store…".to_owned() };
        let snapshot = &cluster.snapshot;
        let is_alive = |id| snapshot.health.get(id).is_some_and(|record| record.health == Health::Alive);
        let alive = snapshot.machines.keys().filter(|id| is_alive(id)).count();
        let size = messages::cluster_summary(snapshot.machines.len(), alive, snapshot.units.len());
        let problems = match cluster.troubles.len() {
            0 => "no problems".to_owned(),
            1 => "1 problem".to_owned(),
            count => format!("{count} problems"),
        };
        format!("{}, {problems}", size.trim_start_matches("; "))
    }

    /// Returns the line about the process that leads and the age of the observations, and its colour.
    pub(in crate::ui::top) fn leadership(&self) -> (String, Option<Tone>) {
        let Some(cluster) = &self.cluster else { return (String::new(), None) };
        if let Some((since, why)) = &cluster.stale {
            let text = format!("STALE: the store does not answer since {}: {why}", ui::clock(*since, self.now));
            return (sanitize::line(&text), Some(Tone::Error));
        }
        let age = observed_before(cluster, self.now);
        let observed = match age {
            _ if cluster.snapshot.machines.is_empty() => ", and no machine has joined".to_owned(),
            Some(age) if age.is_empty() => String::new(),
            Some(age) => format!("; the machines were observed {age}: r observes them now"),
            None => "; the machines were never observed: r observes them now".to_owned(),
        };
        let leads = match &cluster.leader {
            Some(LeaderRecord { kind: LeaderKind::Controller, host, epoch, .. }) => {
                return (
                    sanitize::line(&format!("a controller on {host} leads with epoch {epoch}{observed}")),
                    (!observed.is_empty()).then_some(Tone::Warning),
                );
            }
            Some(LeaderRecord { kind, host, epoch, .. }) => format!("{kind} on {host} leads with epoch {epoch}"),
            None => "no process leads".to_owned(),
        };
        (sanitize::line(&format!("{leads}{observed}")), Some(Tone::Warning))
    }

    /// Returns what is shown of how much.
    pub(in crate::ui::top) fn shown(&self) -> String {
        let (all, shown) = (self.listing.rows.len(), self.place().map_or(0, |place| place.shown.len()));
        let scope = match (&self.scope, &self.cluster) {
            (Some(Scope::Machine(machine)), Some(cluster)) => format!(" on {}", cluster.snapshot.name_of(*machine)),
            (Some(Scope::Application(name)), _) => format!(" of {name}"),
            _ => String::new(),
        };
        let count = if shown == all { all.to_string() } else { format!("{shown} of {all}") };
        sanitize::line(&format!("{count}{scope}"))
    }

    /// Returns what an empty list says.
    pub(in crate::ui::top) fn nothing(&self) -> &'static str {
        match (self.listing.rows.is_empty(), self.view) {
            _ if self.cluster.is_none() => "",
            (false, _) => "no row has the text of the filter",
            (true, View::Machines) => "no machine has joined: `muster join` adds hosts of the inventory",
            (true, View::Units) => "no units",
            (true, View::Applications) => "no applications: `muster apply FOLDER` makes one",
            (true, View::Events) => "no events",
            (true, View::Problems) => "no problems: every machine is alive, and every launched unit runs",
        }
    }
}

/// Returns how long ago the machines were observed last; empty if that was just now, `None` if it was never.
fn observed_before(cluster: &Cluster, now: Timestamp) -> Option<String> {
    let snapshot = &cluster.snapshot;
    let last = snapshot.machines.keys().filter_map(|machine| snapshot.observed_at(*machine)).max()?;
    let age = now.since(last);
    Some(if age <= RECENT { String::new() } else { ui::ago(age) })
}
