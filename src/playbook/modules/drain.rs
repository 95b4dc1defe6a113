//! `drain`: moves the units of the host's machine to other machines.

use std::time::Duration;

use super::Arguments;
use super::Module;
use super::RunsIn;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use crate::playbook::action::Action;
use crate::playbook::cluster::MachineGoal;

/// Drains the machine.
pub(super) struct Drain;

static SPEC: Spec = Spec::new(
    "drain",
    &[],
    "Moves the units of the host's machine to other machines. The machine takes no new ones until `uncordon`.",
    &[Parameter::new(
        "deadline",
        Kind::Number,
        "After so many seconds, stop the units that fit on no other machine (default: they stay, and the task fails).",
    )],
);

impl Module for Drain {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        let deadline = arguments.number("deadline")?.map(Duration::from_secs);
        Ok(Action::Machine(MachineGoal::Drained(deadline)))
    }

    fn runs_in(&self) -> RunsIn {
        RunsIn::Cluster
    }
}
