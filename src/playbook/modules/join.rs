//! `join`: joins the host into the cluster.

use super::Arguments;
use super::Module;
use super::RunsIn;
use super::spec::Spec;
use crate::playbook::action::Action;

/// Joins the host.
pub(super) struct Join;

static SPEC: Spec = Spec::new("join", &[], "Joins the host into the cluster.", &[]);

impl Module for Join {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn action(&self, _: &Arguments<'_>) -> Result<Action, String> {
        Ok(Action::Join)
    }

    fn runs_in(&self) -> RunsIn {
        RunsIn::Cluster
    }
}
