//! How a task ended on a host.

use std::fmt;

use serde_json::Value;

use crate::core::model::Failure;
use crate::core::model::FailureKind;
use crate::core::model::Phase;
use crate::inventory::Vars;

/// How a task ended on a host, in Ansible's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// It was true already.
    Ok,
    /// It was made true.
    Changed,
    /// It was not tried.
    Skipped,
    /// It was tried and did not work.
    Failed,
    /// The host could not be reached; what was under way there is not known.
    Unreachable,
}

/// A task's result on a host: what `register` keeps.
#[derive(Clone, PartialEq)]
pub struct Outcome {
    /// How it ended.
    pub status: Status,
    /// Whether something changed, even though it may have failed then.
    pub changed: bool,
    /// What the module said: `rc`, `stdout`, `msg` …
    pub detail: Vars,
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What a command printed may be secret.
        f.debug_struct("Outcome").field("status", &self.status).finish_non_exhaustive()
    }
}

impl Outcome {
    /// Ended well, having changed something or not.
    pub fn done(changed: bool, detail: Vars) -> Self {
        Self { status: if changed { Status::Changed } else { Status::Ok }, changed, detail }
    }

    /// Was not tried.
    pub fn skipped() -> Self {
        Self { status: Status::Skipped, changed: false, detail: Vars::new() }
    }

    /// Was not tried because a check cannot tell what would come of it; what it would hold is there, as far as it is known.
    pub fn not_looked_at(mut detail: Vars) -> Self {
        detail.insert("failed".to_owned(), false.into());
        Self { detail, ..Self::skipped() }
    }

    /// Did not work.
    pub fn failed(why: impl Into<String>) -> Self {
        let detail = Vars::from_iter([("msg".to_owned(), Value::String(why.into()))]);
        Self { status: Status::Failed, changed: false, detail }
    }

    /// Says what a trip that did not come back means: a host that cannot do its work failed, any other is unreachable. What
    /// is wrong with our own configuration is no host's fault.
    pub fn of_failure(failure: &Failure) -> Self {
        let mut why = failure.to_string();
        if let Some(hint) = &failure.hint {
            why.push_str(&format!(" ({hint})"));
        }
        let reached = failure.kind == FailureKind::Sick || failure.phase == Phase::Configure;
        Self { status: if reached { Status::Failed } else { Status::Unreachable }, ..Self::failed(why) }
    }

    /// Returns the result as `register` keeps it and as it is printed.
    pub fn to_vars(&self) -> Vars {
        let mut vars = self.detail.clone();
        vars.insert("changed".to_owned(), self.changed.into());
        match self.status {
            Status::Failed => vars.insert("failed".to_owned(), true.into()),
            Status::Unreachable => vars.insert("unreachable".to_owned(), true.into()),
            Status::Skipped => vars.insert("skipped".to_owned(), true.into()),
            Status::Ok | Status::Changed => vars.insert("failed".to_owned(), false.into()),
        };
        vars
    }

    /// Puts the results of a loop's items together.
    pub fn of_items(items: &[(Value, Self)]) -> Self {
        let any = |status: Status| items.iter().any(|(_, outcome)| outcome.status == status);
        let changed = items.iter().any(|(_, outcome)| outcome.changed);
        let status = if any(Status::Unreachable) {
            Status::Unreachable
        } else if any(Status::Failed) {
            Status::Failed
        } else if items.iter().all(|(_, outcome)| outcome.status == Status::Skipped) {
            Status::Skipped
        } else if changed {
            Status::Changed
        } else {
            Status::Ok
        };
        let results = items.iter().map(|(item, outcome)| {
            let mut vars = outcome.to_vars();
            vars.insert("item".to_owned(), item.clone());
            Value::Object(vars)
        });
        let detail = Vars::from_iter([("results".to_owned(), results.collect())]);
        Self { status, changed, detail }
    }
}
