//! The read model as the screen shows it.

use std::sync::Arc;

use crate::control::problems::Problem;
use crate::control::problems::stored_problems;
use crate::control::read_model::Published;
use crate::control::sweep;
use crate::core::model::Event;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;
use crate::store::leader_election::LeaderRecord;
use crate::ui::top::Cluster;
use crate::ui::top::Trouble;

/// The latest events, which are copied only when there are new ones.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// The place after the last of them.
    end: u64,
    events: Arc<[Event]>,
}

impl Events {
    fn of(&mut self, published: &Published) -> Arc<[Event]> {
        let end = published.events.end();
        if end != self.end {
            *self = Self { end, events: published.events.events().cloned().collect() };
        }
        Arc::clone(&self.events)
    }
}

/// Returns the cluster of this moment. The snapshot may be one after a look at the machines.
pub(super) fn cluster(published: Published, snapshot: Arc<Snapshot>, events: &mut Events, now: Timestamp) -> Cluster {
    let events = events.of(&published);
    let leader = published.leader;
    let problems = match &leader {
        Some(leader) => sweep::recorded_problems(&snapshot, &events, leader.elsewhere(), now),
        // No process observes the machines, and none is to blame for that.
        None => stored_problems(&snapshot, &events, leader.as_ref().and_then(LeaderRecord::elsewhere), now),
    };
    let troubles = problems.iter().map(trouble).collect();
    let stale = published.stale.map(|stale| (stale.since, stale.why));
    Cluster { snapshot, leader, events, troubles, stale }
}

fn trouble(problem: &Problem) -> Trouble {
    let (machine, unit) = (problem.machine, problem.unit.clone());
    let text = problem.details.iter().fold(problem.what.clone(), |text, detail| format!("{text}; {detail}"));
    Trouble { machine, unit, text }
}
