//! The kinds of problems by which receivers select: the words of a settings file.

use crate::core::explain::TroubleKind;
use crate::core::model::Health;

/// Every kind of problem about which alerts are sent.
pub const KINDS: [&str; 27] = [
    "job failed",
    "lease",
    "load failed",
    "machine down",
    "machine left",
    "machine not observed",
    "machine path fault",
    "machine sick",
    "machine sshd down",
    "machine suspect",
    "machine throttled",
    "machine unavailable",
    "machine unreachable",
    "not active",
    "not on machine",
    "not placed",
    "outdated file",
    "pulling",
    "restarting",
    "started by another",
    "step failed",
    "still changing",
    "still elsewhere",
    "store restored",
    "unreadable record",
    "unschedulable",
    "unsettled",
];

/// Returns the kind of a problem; `None` if no alert is sent about it. `health` is that of the machine if the problem is the
/// machine's own, and `is_unit` says that the problem is that of a unit.
pub const fn kind_of(kind: TroubleKind, health: Option<Health>, is_unit: bool) -> Option<&'static str> {
    Some(match kind {
        TroubleKind::MachineUnavailable => match health {
            Some(health) => return of_health(health),
            None if is_unit => "machine unavailable",
            None => "machine not observed",
        },
        TroubleKind::UnreadableRecord => "unreadable record",
        TroubleKind::Unschedulable => "unschedulable",
        TroubleKind::NotPlaced => "not placed",
        TroubleKind::MachineLeft => "machine left",
        TroubleKind::Lease => "lease",
        TroubleKind::StillElsewhere => "still elsewhere",
        TroubleKind::NotOnMachine => "not on machine",
        TroubleKind::Pulling => "pulling",
        TroubleKind::OutdatedFile => "outdated file",
        TroubleKind::LoadFailed => "load failed",
        TroubleKind::StepFailed => "step failed",
        TroubleKind::NotActive => "not active",
        TroubleKind::Restarting => "restarting",
        TroubleKind::JobFailed => "job failed",
        TroubleKind::StillChanging => "still changing",
        TroubleKind::StartedByAnother => "started by another",
        TroubleKind::Unsettled => "unsettled",
        TroubleKind::StoreRestored => "store restored",
        // The unit runs, or a command says it to its operator.
        TroubleKind::NotDesired
        | TroubleKind::Draining
        | TroubleKind::TimedOut
        | TroubleKind::Overruled
        | TroubleKind::UnknownUnit
        | TroubleKind::NotAdopted => return None,
    })
}

const fn of_health(health: Health) -> Option<&'static str> {
    Some(match health {
        Health::Alive => return None,
        Health::Suspect => "machine suspect",
        Health::PathFault => "machine path fault",
        Health::SshdDown => "machine sshd down",
        Health::Sick => "machine sick",
        Health::Throttled => "machine throttled",
        Health::Unreachable => "machine unreachable",
        Health::Down => "machine down",
    })
}
