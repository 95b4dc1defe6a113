//! `cordon` and `uncordon`: the machine of the host takes no new units, or takes them again.

use super::Arguments;
use super::Module;
use super::RunsIn;
use super::spec::Spec;
use crate::playbook::action::Action;
use crate::playbook::cluster::MachineGoal;

/// Cordons the machine.
pub(super) struct Cordon;

/// Lets the machine take units again.
pub(super) struct Uncordon;

static CORDON: Spec = Spec::new("cordon", &[], "Lets the machine of the host take no new units.", &[]);

static UNCORDON: Spec =
    Spec::new("uncordon", &[], "Lets the machine of the host take units again, and ends its drain.", &[]);

impl Module for Cordon {
    fn spec(&self) -> &'static Spec {
        &CORDON
    }

    fn action(&self, _: &Arguments<'_>) -> Result<Action, String> {
        Ok(Action::Machine(MachineGoal::Cordoned))
    }

    fn runs_in(&self) -> RunsIn {
        RunsIn::Cluster
    }
}

impl Module for Uncordon {
    fn spec(&self) -> &'static Spec {
        &UNCORDON
    }

    fn action(&self, _: &Arguments<'_>) -> Result<Action, String> {
        Ok(Action::Machine(MachineGoal::Open))
    }

    fn runs_in(&self) -> RunsIn {
        RunsIn::Cluster
    }
}
