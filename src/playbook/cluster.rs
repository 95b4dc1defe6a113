//! The cluster as playbooks see it: the same path to a host's units as the commands take.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::core::unit::UnitFile;
use crate::core::unit::UnitName;
use crate::inventory::Vars;
use crate::remote::Target;

/// The `state` that a task requests for a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum UnitGoal {
    /// Known to the cluster. Whether it is on a machine does not matter.
    Submitted,
    /// On a machine, known to its systemd.
    Loaded,
    /// Started.
    Started,
    /// On a machine, not running.
    Stopped,
    /// Not known to the cluster.
    Absent,
    /// Started, or restarted if it was started before.
    Restarted,
}

/// A request for one unit of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitRequest {
    /// The unit.
    pub name: UnitName,
    /// The requested state.
    pub goal: UnitGoal,
    /// The unit's file, if the playbook brings it; the cluster's own otherwise.
    pub file: Option<UnitFile>,
}

/// A request for applications of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApplicationRequest {
    /// The cluster is as these folders say.
    Present {
        /// The folders. Each is an application of its name.
        folders: Vec<PathBuf>,
        /// Whether the units are destroyed that the folders no longer have.
        prune: bool,
        /// The variables of templates in the folders. They win over those of the folders.
        vars: Arc<Vars>,
    },
    /// The cluster knows no unit of these applications.
    Absent {
        /// Their names.
        names: Vec<String>,
    },
}

impl ApplicationRequest {
    /// Returns the names of the applications.
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Present { folders, .. } => folders.iter().map(|folder| application_of(folder)).collect(),
            Self::Absent { names } => names.clone(),
        }
    }
}

/// Returns the name of the application of a folder.
pub fn application_of(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A request that a host joins the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinRequest {
    /// How SSH reaches the host.
    pub target: Target,
    /// The metadata that units select the machine by.
    pub metadata: BTreeMap<String, String>,
}

/// What a task requests for the machine of its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MachineGoal {
    /// It takes units.
    Open,
    /// It takes no new units.
    Cordoned,
    /// It has no units, and takes none. Units that fit on no other machine stop after this time, if there is one.
    Drained(Option<Duration>),
}

/// The answer to a request that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Whether the request changed something.
    pub changed: bool,
    /// The state after the request, a sentence without a full stop.
    pub message: String,
}

/// The answer to a request for applications that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedApplications {
    /// Whether the request changed something.
    pub changed: bool,
    /// What was done to each application, a sentence without a full stop.
    pub message: String,
    /// The units by what was done to them.
    pub units: BTreeMap<&'static str, Vec<String>>,
    /// The difference between the cluster and the folders, as `muster diff` shows it.
    pub difference: String,
}

/// The answer to a request for a sweep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swept {
    /// Whether the sweep changed something.
    pub changed: bool,
    /// The problems that remain, one text each.
    pub problems: Vec<String>,
}

/// Why a request did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestError {
    /// The cluster refused the request, or tried it without success.
    Failed(String),
    /// The store, or the host that the request is about, cannot be reached.
    Unreachable(String),
}

/// The cluster, as playbooks see it.
#[async_trait::async_trait]
pub trait Cluster: Send + Sync {
    /// Applies all requests together and returns the answers in order. With `check` the answers are predictions.
    async fn units(&self, requests: &[UnitRequest], check: bool) -> Vec<Result<Applied, RequestError>>;

    /// Applies applications. With `check` the answer is a prediction.
    async fn applications(
        &self,
        request: &ApplicationRequest,
        check: bool,
    ) -> Result<AppliedApplications, RequestError>;

    /// Brings the machines with these names to the goals, one after another, and returns the answers in order. With
    /// `check` the answers are predictions.
    async fn machines(&self, requests: &[(String, MachineGoal)], check: bool) -> Vec<Result<Applied, RequestError>>;

    /// Observes every machine and repairs what can be repaired. With `check` nothing is repaired.
    async fn sweep(&self, check: bool) -> Result<Swept, RequestError>;

    /// Joins hosts into the cluster and returns the answers in order. With `check` the answers are predictions.
    async fn join(&self, requests: &[JoinRequest], check: bool) -> Vec<Result<Applied, RequestError>>;
}
