//! The ties between the run of a controller and the process around it. The run shows that its loop turns and how the
//! cluster is, and takes new settings while it leads.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::fence::FenceCommands;
use crate::core::health::failover::FailoverPolicy;
use crate::core::model::Health;
use crate::core::model::Snapshot;
use crate::core::reconcile::Reconciler;
use crate::core::reconcile::Timing;
use crate::metrics::Instruments;
use crate::notify::Receivers;

/// How long a summary of the cluster is shown before it is computed again.
const SUMMARY_INTERVAL: Duration = Duration::from_secs(1);

/// The settings of a leader that may change while it leads.
#[derive(Debug, Clone)]
pub struct LeaderSettings {
    /// How long machines may be silent, and which leases are granted.
    pub timing: Timing,
    /// The failover policy.
    pub failover_policy: FailoverPolicy,
    /// The fence commands.
    pub fence_commands: Arc<FenceCommands>,
    /// The receivers of alerts.
    pub receivers: Receivers,
}

impl LeaderSettings {
    /// Makes a reconciler decide by these settings from now on.
    pub fn apply(&self, reconciler: &mut Reconciler) {
        reconciler.configure(self.timing, self.failover_policy.clone(), self.fence_commands.machines());
    }
}

/// The ties between a controller and the process around it.
#[derive(Debug, Clone)]
pub struct Supervision {
    /// The settings, which may change.
    pub settings: watch::Receiver<LeaderSettings>,
    /// The pulse of the controller.
    pub pulse: Arc<Pulse>,
}

/// How many machines and units a cluster has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClusterSummary {
    /// All machines.
    pub machines: usize,
    /// The machines that are alive.
    pub alive: usize,
    /// All units.
    pub units: usize,
}

impl Supervision {
    /// Makes the ties of a controller whose settings do not change.
    pub fn fixed(settings: LeaderSettings) -> Self {
        Self { settings: watch::channel(settings).1, pulse: Arc::default() }
    }
}

impl ClusterSummary {
    fn of(snapshot: &Snapshot) -> Self {
        let machines = snapshot.machines.keys();
        let is_alive = |machine: &&_| snapshot.health.get(machine).is_some_and(|record| record.health == Health::Alive);
        Self {
            machines: snapshot.machines.len(),
            alive: machines.filter(is_alive).count(),
            units: snapshot.units.len(),
        }
    }
}

/// Shows whether the loop of a controller turns, and the cluster as its last turn saw it.
#[derive(Debug, Default)]
pub struct Pulse {
    turns: AtomicU64,
    summary: Mutex<Option<(Instant, ClusterSummary)>>,
    instruments: Instruments,
}

impl Pulse {
    /// Counts a turn of the loop.
    pub fn beat(&self) {
        self.turns.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns how often the loop has turned. The number grows at least once a second while the loop turns.
    pub fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    /// Returns what the controller measures of itself.
    pub const fn instruments(&self) -> &Instruments {
        &self.instruments
    }

    /// Returns the cluster as the last turns of a leader saw it.
    pub fn summary(&self) -> ClusterSummary {
        let summary = self.summary.lock().unwrap_or_else(PoisonError::into_inner);
        summary.map(|(_, summary)| summary).unwrap_or_default()
    }

    /// Looks at the cluster, at most once a second.
    pub(super) fn observe(&self, snapshot: &Snapshot) {
        let mut summary = self.summary.lock().unwrap_or_else(PoisonError::into_inner);
        if summary.is_none_or(|(at, _)| at.elapsed() >= SUMMARY_INTERVAL) {
            *summary = Some((Instant::now(), ClusterSummary::of(snapshot)));
        }
    }
}

/// Waits for new settings; forever if there can be none.
pub(super) async fn next_settings(supervision: Option<&mut Supervision>) -> LeaderSettings {
    if let Some(Supervision { settings, .. }) = supervision
        && settings.changed().await.is_ok()
    {
        return settings.borrow_and_update().clone();
    }
    std::future::pending().await
}
