//! What a command is given: its settings, and from them the store and the way to the hosts when it asks for them.

use std::sync::Arc;
use std::sync::OnceLock;

use tokio_util::sync::CancellationToken;

use super::error::CommandError;
use super::error::ExitStatus;
use super::settings::Settings;
use crate::control::ClusterContext;
use crate::core::model::Snapshot;
use crate::remote::SharedRemote;
use crate::remote::ssh::Ssh;
use crate::runner::Clock;
use crate::store;
use crate::store::SharedStore;
use crate::store::layout;
use crate::store::layout::Keys;

/// What a command works with.
#[derive(Debug)]
pub struct Context {
    /// The settings.
    pub settings: Settings,
    /// Set when the operator wants it to end.
    pub stop: CancellationToken,
    remote: OnceLock<SharedRemote>,
}

impl Context {
    /// Begins with settings; nothing is opened yet.
    pub fn new(settings: Settings, stop: CancellationToken) -> Self {
        Self { settings, stop, remote: OnceLock::new() }
    }

    /// Returns the cluster's keys.
    pub fn keys(&self) -> Result<Keys, CommandError> {
        Keys::new(&self.settings.token).map_err(|error| CommandError::usage(format!("--token: {error}")))
    }

    /// Opens the store.
    pub async fn store(&self) -> Result<SharedStore, CommandError> {
        Ok(store::open(&self.settings.store, &self.settings.credentials).await?)
    }

    /// Reads what the store knows of the cluster.
    pub async fn snapshot(&self) -> Result<Snapshot, CommandError> {
        Ok(layout::read(&*self.store().await?, &self.keys()?).await?)
    }

    /// Returns the way to the hosts; the same one every time.
    pub fn remote(&self) -> Result<SharedRemote, CommandError> {
        if let Some(remote) = self.remote.get() {
            return Ok(remote.clone());
        }
        let ssh = Ssh::new(self.settings.ssh_options()?);
        ssh.read_config().map_err(|error| CommandError::new(ExitStatus::Usage, error))?;
        let remote: SharedRemote = Arc::new(ssh);
        Ok(self.remote.get_or_init(|| remote).clone())
    }

    /// Returns all that is needed to act.
    pub async fn cluster(&self) -> Result<ClusterContext, CommandError> {
        Ok(ClusterContext {
            store: self.store().await?,
            keys: self.keys()?,
            remote: self.remote()?,
            clock: Clock::start(),
            stop: self.stop.clone(),
        })
    }
}
