//! `sweep`: one sweep of the cluster for all hosts of the task.

use super::Arguments;
use super::Module;
use super::RunsIn;
use super::spec::Spec;
use crate::playbook::action::Action;

/// Sweeps the cluster.
pub(super) struct Sweep;

static SPEC: Spec = Spec::new(
    "sweep",
    &[],
    "Observes every machine of the cluster once and repairs what it can. The task fails if a problem remains; its result has \
     all of them as `problems`, one text each. A check only looks.",
    &[],
);

impl Module for Sweep {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn action(&self, _: &Arguments<'_>) -> Result<Action, String> {
        Ok(Action::Sweep)
    }

    fn runs_in(&self) -> RunsIn {
        RunsIn::Cluster
    }

    fn runs_once(&self) -> bool {
        true
    }
}
