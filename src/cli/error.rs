//! The errors of the other layers as errors of a command: which exit code each has, and what to do about it.
//!
//! This is the only place where they are converted.

use crate::application::BadApplication;
use crate::control::apply::ApplyError;
use crate::control::membership::JoinError;
use crate::control::membership::MembershipError;
use crate::control::membership::OwnershipError;
use crate::control::problems::Problem;
use crate::control::progress::OperationError;
use crate::control::secrets::SecretError;
use crate::core::command::InvalidCommand;
use crate::core::lease::TooShort;
use crate::core::machine_lookup::FindMachineError;
use crate::core::model::Failure;
use crate::core::model::FailureKind;
use crate::core::model::Phase;
use crate::core::model::Snapshot;
use crate::core::model::Verb;
use crate::core::unit::UnitName;
use crate::discovery::registry::NewTokenError;
use crate::inventory::InventoryError;
use crate::inventory::diagnostic::Diagnostic;
use crate::lab::LabError;
use crate::secret::FetchError;
use crate::secret::OpenError;
use crate::secret::SealError;
use crate::store::StoreError;
pub use crate::ui::error::CommandError;
pub use crate::ui::error::ExitStatus;
use crate::ui::lists::BadFields;
use crate::ui::messages;

/// Ansible's exit code for a playbook that cannot be parsed.
const UNPARSABLE: u8 = 4;

/// How a command ends.
pub(super) type CommandResult = Result<ExitStatus, CommandError>;

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable { .. } => Self::new(ExitStatus::Unreachable, error)
                .hint("Check `--store`, or wait until the store is back. Without it muster decides nothing."),
            StoreError::Missing(_) => Self::new(ExitStatus::Usage, error)
                .hint("`muster join` makes the store of a new cluster. If hosts have joined, name their store with `--store`."),
            StoreError::Refused { .. } | StoreError::BadLocation(_) => Self::new(ExitStatus::Usage, error),
            StoreError::EpochAhead { .. } => Self::new(ExitStatus::Failed, error)
                .hint("Check the clock of this host. If it is right: `muster lock take --reset-epoch --reason TEXT`."),
            StoreError::Compacted(_) | StoreError::LeaseExpired(_) => Self::new(ExitStatus::Failed, error),
        }
    }
}

impl From<TooShort> for CommandError {
    fn from(error: TooShort) -> Self {
        Self::new(ExitStatus::Usage, error)
    }
}

impl From<Failure> for CommandError {
    fn from(failure: Failure) -> Self {
        let status = match failure.kind {
            _ if failure.phase == Phase::Configure => ExitStatus::Usage,
            FailureKind::Sick => ExitStatus::Failed,
            _ => ExitStatus::Unreachable,
        };
        let hint = failure.hint.clone();
        Self::new(status, failure).maybe_hint(hint)
    }
}

impl From<InventoryError> for CommandError {
    fn from(error: InventoryError) -> Self {
        let hint = error.hint();
        Self::new(ExitStatus::Usage, error).maybe_hint(hint)
    }
}

impl From<Diagnostic> for CommandError {
    fn from(diagnostic: Diagnostic) -> Self {
        let hint = diagnostic.hint.clone();
        Self::new(ExitStatus::External(UNPARSABLE), diagnostic).maybe_hint(hint)
    }
}

impl From<BadFields> for CommandError {
    fn from(error: BadFields) -> Self {
        Self::new(ExitStatus::Usage, error).hint("`--help` names the columns.")
    }
}

impl From<BadApplication> for CommandError {
    fn from(error: BadApplication) -> Self {
        Self::new(ExitStatus::Usage, error)
    }
}

impl From<ApplyError> for CommandError {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Folder(error) => error.into(),
            ApplyError::Invalid(error) => error.into(),
            ApplyError::Twice { .. } | ApplyError::Shared { .. } => Self::new(ExitStatus::Usage, error),
            ApplyError::Other(error) => {
                let unit = error.unit.clone();
                Self::new(ExitStatus::Usage, error)
                    .hint(format!("Name the folders of both in one `muster apply`, or `muster destroy {unit}` first."))
            }
        }
    }
}

impl From<InvalidCommand> for CommandError {
    fn from(error: InvalidCommand) -> Self {
        OperationError::Invalid(error).into()
    }
}

impl From<SealError> for CommandError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::TooLong(_) | SealError::Key(..) => Self::new(ExitStatus::Usage, error),
            SealError::Age(_) => Self::new(ExitStatus::Failed, error),
        }
    }
}

impl From<FetchError> for CommandError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Store(error) => error.into(),
            FetchError::Sealed { why: OpenError::NoKey, .. } => Self::new(ExitStatus::Failed, error)
                .hint("`muster secret recipients list` shows which keys can read it."),
            FetchError::NotSet(_) | FetchError::Sealed { .. } => Self::new(ExitStatus::Failed, error),
        }
    }
}

impl From<SecretError> for CommandError {
    fn from(error: SecretError) -> Self {
        let hint = match &error {
            SecretError::NoRecipients => Some("`muster secret init` makes a key and its first recipient."),
            SecretError::NotAccepted(_) => Some(
                "Compare the keys with what their owners tell you, then run `muster secret recipients accept KEY`. A key \
                 that no operator knows is an attack: `muster secret recipients rm KEY`.",
            ),
            SecretError::InUse(_) => Some("Nothing was changed. `--force` removes a secret although units name it."),
            SecretError::NoKey(_) => Some("Nothing was changed. A recipient that can read them must do this."),
            SecretError::Unreadable { .. } => Some("A newer muster may have written the record."),
            SecretError::Contended(_) => Some("Try again."),
            SecretError::Open(..) | SecretError::NoValue(_) => {
                Some("Set this secret again or remove it, then repeat the command: the other secrets are next.")
            }
            _ => None,
        };
        match error {
            SecretError::Store(error) => error.into(),
            SecretError::Seal(error) => error.into(),
            error => Self::new(ExitStatus::Failed, error).maybe_hint(hint),
        }
    }
}

impl From<NewTokenError> for CommandError {
    fn from(error: NewTokenError) -> Self {
        match error {
            NewTokenError::Store(error) => error.into(),
            NewTokenError::Size(_) => Self::new(ExitStatus::Usage, error),
            NewTokenError::Randomness(_) => Self::new(ExitStatus::Failed, error),
        }
    }
}

impl From<OperationError> for CommandError {
    fn from(error: OperationError) -> Self {
        match error {
            OperationError::Store(error) => error.into(),
            // The unit file is wrong: a line that cannot be parsed is such a mistake, too.
            OperationError::Invalid(
                error @ (InvalidCommand::Requirements(..) | InvalidCommand::Class(..) | InvalidCommand::NotStrict(..)),
            ) => Self::new(ExitStatus::Usage, error),
            OperationError::Invalid(error @ (InvalidCommand::Install(..) | InvalidCommand::OfSystemd(_))) => {
                Self::new(ExitStatus::Usage, error)
            }
            OperationError::Invalid(error @ InvalidCommand::WrongState { verb: Verb::Submit | Verb::Load, .. }) => {
                Self::new(ExitStatus::Failed, error).hint(
                    "`muster start --replace` replaces a unit that is started, `load --replace` one that is loaded.",
                )
            }
            OperationError::Invalid(error) => {
                let hint = match &error {
                    InvalidCommand::Unknown(_, similar) | InvalidCommand::NoFile(_, similar) => did_you_mean(similar),
                    _ => None,
                };
                Self::new(ExitStatus::Failed, error).maybe_hint(hint)
            }
            OperationError::Busy(_) => Self::new(ExitStatus::Failed, error).hint(
                "The desired state is stored. Wait longer with `--lock-wait`, or leave the work to the next sweep.",
            ),
            OperationError::NoController => Self::new(ExitStatus::Failed, error).hint(
                "Start `muster controller`, or use `--store` in place of `--api` on a host that reaches the machines.",
            ),
            OperationError::Contended(_) => Self::new(ExitStatus::Failed, error).hint("Try again."),
            OperationError::Stopped => Self::interrupted("interrupted")
                .hint("The desired state is stored. A controller applies it, or the next `muster sweep` if none runs."),
        }
    }
}

/// Returns the error about a unit that the cluster does not have.
pub(super) fn no_such_unit(snapshot: &Snapshot, unit: &UnitName) -> CommandError {
    CommandError::failed(messages::no_such_unit(unit)).maybe_hint(did_you_mean(&snapshot.similar_units(unit)))
}

/// Returns a hint that names units with similar names, if there are any.
fn did_you_mean(similar: &[UnitName]) -> Option<String> {
    let names: Vec<String> = similar.iter().map(|unit| format!("`{unit}`")).collect();
    (!names.is_empty()).then(|| format!("Did you mean {}?", names.join(" or ")))
}

impl From<JoinError> for CommandError {
    fn from(error: JoinError) -> Self {
        match error {
            JoinError::Host(failure) => failure.into(),
            JoinError::Duplicate { ref other, joined, .. } => {
                let same = if joined {
                    format!("If {other} was renumbered and is this host: run `muster leave {other}`, then join again.")
                } else {
                    "If both names are of one host: join it under one of them.".to_owned()
                };
                Self::new(ExitStatus::Failed, error)
                    .hint(
                        "Give the clone a new machine-id: `rm /etc/machine-id && systemd-machine-id-setup`. Reboot it.",
                    )
                    .hint(same)
            }
            JoinError::Replaced { before, .. } => Self::new(ExitStatus::Failed, error).hint(format!(
                "If the host was installed anew, take the old machine out with `muster leave --force {}`, then join again.",
                before.short()
            )),
            JoinError::Ownership(error) => error.into(),
            JoinError::Unreadable { .. } => {
                Self::new(ExitStatus::Failed, error).hint("A newer muster may have written the record.")
            }
            JoinError::Contended { .. } => Self::new(ExitStatus::Failed, error).hint("Join again."),
        }
    }
}

impl From<OwnershipError> for CommandError {
    fn from(error: OwnershipError) -> Self {
        match error {
            OwnershipError::Host(failure) => failure.into(),
            OwnershipError::OtherCluster { .. } => Self::new(ExitStatus::Failed, error).hint(
                "Take the host out of that cluster with `muster leave`. If that cluster is gone, `muster join \
                 --take-over` takes the host.",
            ),
            OwnershipError::LaterLeader { .. } => Self::new(ExitStatus::Failed, error).hint(
                "Check the clocks of both hosts, and that `--store` names the newest store. If they are right: `muster join \
                 --take-over`.",
            ),
        }
    }
}

impl From<MembershipError> for CommandError {
    fn from(error: MembershipError) -> Self {
        match error {
            MembershipError::Store(error) => error.into(),
            MembershipError::Operation(error) => error.into(),
            MembershipError::Stopped => Self::new(ExitStatus::Interrupted, error),
            MembershipError::UnknownToken(_) => Self::new(ExitStatus::Usage, error).hint(
                "Make a token with `muster discovery new --size N`, or leave `--token` out for the cluster `default`.",
            ),
            MembershipError::Machine(error) => error.into(),
            MembershipError::Contended(_) => Self::new(ExitStatus::Failed, error).hint("Try again."),
            MembershipError::NoIdentity { .. } => Self::new(ExitStatus::Failed, error)
                .hint("A newer muster may have written the record: use that one. Delete the record only if no host has joined."),
            MembershipError::Alive(_) => Self::new(ExitStatus::Failed, error).hint(
                "Nothing was changed. The health is that of the last observation: `muster sweep` observes all machines.",
            ),
            MembershipError::DrainCancelled(_) | MembershipError::NoRandomness(_) => Self::new(ExitStatus::Failed, error),
        }
    }
}

impl From<FindMachineError> for CommandError {
    fn from(error: FindMachineError) -> Self {
        let hint = match &error {
            FindMachineError::Ambiguous { .. } => {
                "Name the machine by its name, its machine-id or its address with the port.".to_owned()
            }
            FindMachineError::Unknown { similar, .. } if !similar.is_empty() => {
                let similar: Vec<String> = similar.iter().map(|name| format!("`{name}`")).collect();
                format!("Did you mean {}? `muster list-machines --all` lists the machines.", similar.join(" or "))
            }
            FindMachineError::Unknown { .. } => "`muster list-machines --all` lists the machines.".to_owned(),
        };
        // A machine that does not exist is an error of the kind of a unit that does not exist.
        let is_unknown = matches!(error, FindMachineError::Unknown { .. });
        Self::new(if is_unknown { ExitStatus::Failed } else { ExitStatus::Usage }, error).hint(hint)
    }
}

impl From<&Problem> for CommandError {
    fn from(problem: &Problem) -> Self {
        let text = problem.to_string();
        if problem.unreachable { Self::unreachable(text) } else { Self::failed(text) }
    }
}

impl From<LabError> for CommandError {
    fn from(error: LabError) -> Self {
        let (status, hint) = lab(&error);
        Self::new(status, error).maybe_hint(hint)
    }
}

/// Returns how the process ends with an error of the lab, and what to do about it.
fn lab(error: &LabError) -> (ExitStatus, Option<String>) {
    let (status, hint) = match error {
        LabError::NotRoot => (ExitStatus::Usage, "Run it with sudo."),
        LabError::Missing { package, .. } => return (ExitStatus::Usage, Some(format!("apt-get install {package}"))),
        LabError::NoLab(_) => (ExitStatus::Usage, "Make a lab with `muster lab up`."),
        LabError::Gone(_) => {
            (ExitStatus::Usage, "`muster lab up` makes the lab again. `muster lab destroy` removes what remains of it.")
        }
        LabError::Left { .. } => (ExitStatus::Failed, "`muster lab destroy` tries again."),
        LabError::BadRecord { .. } | LabError::NoImage { .. } | LabError::Stuck { .. } => {
            (ExitStatus::Failed, "`muster lab destroy` removes the lab.")
        }
        LabError::Differs { .. } => {
            (ExitStatus::Usage, "Destroy the lab first with `muster lab destroy`, or make a second one with `--dir`.")
        }
        LabError::Overlap { .. } | LabError::NoSubnet => {
            (ExitStatus::Usage, "Choose another subnet with `--subnet`. `ip -4 route` shows those in use.")
        }
        LabError::BadDirectory { .. } => (ExitStatus::Usage, "Choose another directory with `--dir`."),
        LabError::NoHost { .. } => (ExitStatus::Usage, "`muster lab status` lists the hosts."),
        LabError::BadSubnet { .. } | LabError::BadCount { .. } | LabError::WrongState { .. } => {
            return (ExitStatus::Usage, None);
        }
        LabError::Interrupted => return (ExitStatus::Interrupted, None),
        LabError::Command { .. }
        | LabError::File { .. }
        | LabError::Cgroups(_)
        | LabError::Boot { .. }
        | LabError::Discovery(_) => return (ExitStatus::Failed, None),
    };
    (status, Some(hint.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hint_of_an_interrupted_command_is_true_beside_a_controller_and_without_one() {
        let error = CommandError::from(OperationError::Stopped);
        let hints: Vec<String> = error.hints.iter().map(ToString::to_string).collect();
        let hint = "The desired state is stored. A controller applies it, or the next `muster sweep` if none runs.";
        assert_eq!(hints, [hint]);
    }

    #[test]
    fn only_a_failure_in_the_configuration_is_a_usage_error() {
        for (phase, kind, expected) in [
            (Phase::Configure, FailureKind::Local, ExitStatus::Usage),
            (Phase::Resolve, FailureKind::Local, ExitStatus::Unreachable),
            (Phase::Connect, FailureKind::Local, ExitStatus::Unreachable),
            (Phase::KeyExchange, FailureKind::HostKey, ExitStatus::Unreachable),
            (Phase::Run, FailureKind::Sick, ExitStatus::Failed),
        ] {
            let failure = Failure { host: String::new(), phase, kind, detail: String::new(), hint: None };
            assert_eq!(CommandError::from(failure).status, expected, "{phase} {kind:?}");
        }
    }
}
