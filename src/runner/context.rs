//! The handles that a command works with, before and after it has taken leadership.

use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use super::fence::FenceCommands;
use super::secret_source::SecretSource;
use super::supervision::Supervision;
use crate::remote::SharedRemote;
use crate::store::SharedStore;
use crate::store::layout::Keyspace;
use crate::store::leader_election::Leadership;

/// The handles of one cluster.
#[derive(Debug, Clone)]
pub struct ClusterContext {
    /// The cluster's name for messages: its token and the location of its store.
    pub name: String,
    /// The store.
    pub store: SharedStore,
    /// The cluster's keys in the store.
    pub keys: Keyspace,
    /// The connections to the hosts.
    pub remote: SharedRemote,
    /// The clock.
    pub clock: Clock,
    /// The fence commands of this process.
    pub fence_commands: Arc<FenceCommands>,
    /// Where the values of secrets come from.
    pub secrets: SecretSource,
    /// The operator of this process, for the event log: `user@host`.
    pub operator: String,
    /// Cancelled when the operator interrupts the command.
    pub stop: CancellationToken,
}

/// The handles of one run, which leads.
#[derive(Debug, Clone)]
pub struct RunContext {
    /// The leadership. Every commit carries its revision, every visit its epoch.
    pub leadership: Arc<Leadership>,
    /// The cluster's keys in the store.
    pub keys: Keyspace,
    /// The connections to the hosts.
    pub remote: SharedRemote,
    /// The clock.
    pub clock: Clock,
    /// The fence commands of this process.
    pub fence_commands: Arc<FenceCommands>,
    /// Where the values of secrets come from.
    pub secrets: SecretSource,
    /// When the run ends at the latest; `None` for a run without a limit. It then waits for the commit in flight only. Hosts
    /// finish the steps that they have received.
    pub deadline: Option<Instant>,
    /// Cancelled when the run should end early: it waits for the visits and the commit in flight and begins no others.
    pub stop: CancellationToken,
    /// The ties of a controller to its process; `None` for other runs.
    pub supervision: Option<Supervision>,
}

impl RunContext {
    /// Adds the leadership that was taken to the handles of a cluster.
    pub fn new(context: &ClusterContext, leadership: Leadership) -> Self {
        tracing::debug!(epoch = leadership.epoch(), "leadership taken");
        let ClusterContext { keys, remote, clock, fence_commands, secrets, stop, .. } = context.clone();
        let (deadline, supervision) = (None, None);
        let leadership = Arc::new(leadership);
        Self { leadership, keys, remote, clock, fence_commands, secrets, deadline, stop, supervision }
    }
}
