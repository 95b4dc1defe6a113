//! The cluster of a run. It is opened before the run if a task of the playbooks needs it, so that a wrong store is refused
//! before anything is done. A task of a file or a role that is included later opens it when it needs it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;

use super::super::Context;
use super::super::error::CommandError;
use super::super::failover_args::FailoverPolicyArgs;
use super::super::failover_args::SweepSchedule;
use super::super::sweep;
use crate::control::sweep::SweepOptions;
use crate::playbook::cluster::ApplicationRequest;
use crate::playbook::cluster::Applied;
use crate::playbook::cluster::AppliedApplications;
use crate::playbook::cluster::Cluster;
use crate::playbook::cluster::JoinRequest;
use crate::playbook::cluster::MachineGoal;
use crate::playbook::cluster::RequestError;
use crate::playbook::cluster::Swept;
use crate::playbook::cluster::UnitRequest;
use crate::playbook::cluster_client::ClusterClient;
use crate::runner::ClusterContext;

/// The cluster, which is opened at most once.
#[derive(Debug)]
pub(super) struct RunCluster<'a> {
    context: &'a Context,
    lock: Duration,
    settle: Duration,
    client: OnceCell<ClusterClient>,
}

type Answers = Vec<Result<Applied, RequestError>>;

impl<'a> RunCluster<'a> {
    /// Makes the cluster of a run, and opens nothing. `lock` is how long a task waits for leadership, and `settle` for how long
    /// a unit that was started must run.
    pub(super) fn new(context: &'a Context, lock: Duration, settle: Duration) -> Self {
        Self { context, lock, settle, client: OnceCell::new() }
    }

    /// Opens the cluster.
    pub(super) async fn open(&self) -> Result<&ClusterClient, CommandError> {
        self.client.get_or_try_init(|| self.connect()).await
    }

    async fn connect(&self) -> Result<ClusterClient, CommandError> {
        let (lock, settle) = (self.lock, self.settle);
        let (timing, failover_policy) =
            sweep::policy(&self.context.settings, &FailoverPolicyArgs::default(), SweepSchedule::default())?;
        let sweep = SweepOptions { timing, settle: sweep::SETTLE, lock_wait: lock };
        Ok(ClusterClient { cluster: self.context.new_cluster().await?, lock, settle, sweep, failover_policy })
    }

    async fn client(&self) -> Result<&ClusterClient, RequestError> {
        self.open().await.map_err(|error| refused(&error))
    }
}

fn refused(error: &CommandError) -> RequestError {
    RequestError::Failed(error.source.to_string())
}

#[async_trait::async_trait]
impl Cluster for RunCluster<'_> {
    async fn units(&self, requests: &[UnitRequest], check: bool) -> Answers {
        match self.client().await {
            Ok(client) => client.units(requests, check).await,
            Err(error) => vec![Err(error); requests.len()],
        }
    }

    async fn applications(
        &self,
        request: &ApplicationRequest,
        check: bool,
    ) -> Result<AppliedApplications, RequestError> {
        self.client().await?.applications(request, check).await
    }

    async fn machines(&self, requests: &[(String, MachineGoal)], check: bool) -> Answers {
        match self.client().await {
            Ok(client) => client.machines(requests, check).await,
            Err(error) => vec![Err(error); requests.len()],
        }
    }

    /// Sweeps with the fence commands of the inventory. No other task needs them.
    async fn sweep(&self, check: bool) -> Result<Swept, RequestError> {
        let client = self.client().await?;
        let fence_commands = Arc::new(self.context.fence_commands().map_err(|error| refused(&error))?);
        let cluster = ClusterContext { fence_commands, ..client.cluster.clone() };
        ClusterClient { cluster, ..client.clone() }.sweep(check).await
    }

    async fn join(&self, requests: &[JoinRequest], check: bool) -> Answers {
        match self.client().await {
            Ok(client) => client.join(requests, check).await,
            Err(error) => vec![Err(error); requests.len()],
        }
    }
}
