//! The actions: what a task does on one host, made by its module of the task's arguments.

use std::sync::Arc;

use super::cluster::ApplicationRequest;
use super::cluster::MachineGoal;
use super::cluster::UnitRequest;
use super::host_connection::HostConnection;
use super::include::Include;
use super::outcome::Outcome;
use crate::inventory::Vars;

/// One thing that a task does.
#[derive(Clone)]
pub enum Action {
    /// Nothing on the host: this is the outcome.
    Done(Box<Outcome>),
    /// Something on the host.
    Host(Arc<dyn HostAction>),
    /// Look at a task in the background, or forget it.
    Job {
        /// The id of the job.
        id: String,
        /// Set to forget it.
        is_over: bool,
    },
    /// Request a unit from the cluster.
    Unit(UnitRequest),
    /// Request applications from the cluster.
    Application(ApplicationRequest),
    /// Join the host into the cluster.
    Join,
    /// Request something for the host's machine from the cluster.
    Machine(MachineGoal),
    /// Sweep the cluster.
    Sweep,
    /// Go on with other tasks.
    Include(Include),
    /// Add to the inventory of the run.
    Add(Addition),
    /// Act on the play.
    Meta(MetaAction),
}

/// What a task adds to the inventory of the run.
#[derive(Debug, Clone, PartialEq)]
pub enum Addition {
    /// A host.
    Host {
        /// The name.
        name: String,
        /// Its groups.
        groups: Vec<String>,
        /// Its variables.
        vars: Vars,
    },
    /// A group, which has the task's host.
    Group {
        /// The name.
        group: String,
        /// The groups in which it is.
        parents: Vec<String>,
    },
}

/// What a task does on a host.
#[async_trait::async_trait]
pub trait HostAction: Send + Sync {
    /// Does it, or predicts it if the connection is for a check. A step that fails ends it: its outcome is the error.
    async fn run(&self, connection: &HostConnection<'_>) -> Result<Outcome, Outcome>;

    /// Returns the line that is printed before it begins, if there is one.
    fn notice(&self) -> Option<String> {
        None
    }

    /// Reports whether one script does everything. In the background, the host then needs muster no more.
    fn is_one_script(&self) -> bool {
        false
    }
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

/// What a `meta` task does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetaAction {
    /// The handlers run that were notified.
    FlushHandlers,
    /// The host does no more of the play.
    EndHost,
    /// The hosts of the batch do no more of the play.
    EndBatch,
    /// No host does more of the play.
    EndPlay,
    /// The facts of the host are forgotten.
    ClearFacts,
    /// Hosts that failed or could not be reached take part again.
    ClearHostErrors,
    /// The connection to the host is made anew.
    ResetConnection,
    /// Nothing.
    Noop,
}

const WORDS: [(&str, MetaAction); 8] = [
    ("flush_handlers", MetaAction::FlushHandlers),
    ("end_host", MetaAction::EndHost),
    ("end_batch", MetaAction::EndBatch),
    ("end_play", MetaAction::EndPlay),
    ("clear_facts", MetaAction::ClearFacts),
    ("clear_host_errors", MetaAction::ClearHostErrors),
    ("reset_connection", MetaAction::ResetConnection),
    ("noop", MetaAction::Noop),
];

impl MetaAction {
    /// Returns what the arguments of a task say.
    pub fn of(args: &Vars) -> Option<Self> {
        let word = args.get("do")?.as_str()?;
        WORDS.iter().find(|(name, _)| *name == word).map(|(_, action)| *action)
    }

    /// Reports whether it is done once for all hosts.
    pub const fn is_for_all(self) -> bool {
        matches!(self, Self::EndBatch | Self::EndPlay | Self::ClearFacts | Self::ClearHostErrors)
    }
}
