//! The actions: what a task does on one host, made by its module of the task's arguments.

use std::sync::Arc;

use super::cluster::UnitRequest;
use super::host_connection::HostConnection;
use super::outcome::Outcome;

/// One thing that a task does.
#[derive(Clone)]
pub enum Action {
    /// Nothing on the host: this is the outcome.
    Done(Box<Outcome>),
    /// Something on the host.
    Host(Arc<dyn HostAction>),
    /// Request a unit from the cluster.
    Unit(UnitRequest),
    /// Join the host into the cluster.
    Join,
}

/// What a task does on a host.
#[async_trait::async_trait]
pub trait HostAction: Send + Sync {
    /// Does it, or predicts it if the connection is for a check.
    async fn run(&self, connection: &HostConnection<'_>) -> Outcome;
}

impl Action {
    /// Makes an action on the host.
    pub fn on_host(action: impl HostAction + 'static) -> Self {
        Self::Host(Arc::new(action))
    }

    /// Makes an action that is its outcome.
    pub fn done(outcome: Outcome) -> Self {
        Self::Done(Box::new(outcome))
    }
}
