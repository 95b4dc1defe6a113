//! The outcome of a task on a host.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;
use serde_json::json;

use super::diff::Diffs;
use super::template::Layer;
use crate::core::model::Failure;
use crate::core::model::FailureKind;
use crate::core::model::Phase;
use crate::inventory::Vars;

/// The status of a task on a host, in Ansible's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Status {
    /// The task succeeded without a change.
    #[default]
    Ok,
    /// The task succeeded and changed something.
    Changed,
    /// The task did not run.
    Skipped,
    /// The task failed.
    Failed,
    /// The connection to the host failed. Whether the task ran there is not known.
    Unreachable,
}

/// When the detail of an outcome is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shown {
    /// If the task failed.
    #[default]
    IfFailed,
    /// Always, on several lines.
    Always,
    /// Always, on several lines, without whether something changed.
    Message,
}

/// The variables that tasks set for a host, the weakest first.
#[derive(Clone, PartialEq, Default)]
pub struct SetVars {
    /// What the host is (`setup`).
    pub facts: Arc<Vars>,
    /// The variables of files (`include_vars`).
    pub included: Arc<Vars>,
    /// Those of `set_fact`, and the results that `register` keeps.
    pub own: Arc<Vars>,
}

impl fmt::Debug for SetVars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Variables may hold secrets.
        f.debug_struct("SetVars").finish_non_exhaustive()
    }
}

impl SetVars {
    /// Reports whether no variable is set.
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty() && self.included.is_empty() && self.own.is_empty()
    }

    /// Returns the variables as layers. Files are written by the playbook's author; the rest is data.
    pub fn layers(&self) -> [Layer; 3] {
        let [facts, included, own] = [&self.facts, &self.included, &self.own].map(Arc::clone);
        [Layer::data(facts), Layer::written(included), Layer::data(own)]
    }

    /// Sets the variables of a later task, which win. Facts of one task are added to those of others.
    pub fn extend(&mut self, later: &Self) {
        let known = later.facts.get(FACTS).and(self.facts.get(FACTS)).and_then(Value::as_object).cloned();
        let pairs =
            [(&mut self.facts, &later.facts), (&mut self.included, &later.included), (&mut self.own, &later.own)];
        for (vars, later) in pairs.into_iter().filter(|(_, later)| !later.is_empty()) {
            Arc::make_mut(vars).extend(later.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        if let (Some(mut all), Some(more)) = (known, later.facts.get(FACTS).and_then(Value::as_object)) {
            all.extend(more.iter().map(|(name, value)| (name.clone(), value.clone())));
            Arc::make_mut(&mut self.facts).insert(FACTS.to_owned(), Value::Object(all));
        }
    }
}

/// The key of the warnings in a result.
pub const WARNINGS: &str = "warnings";

/// The variable that has all facts in it.
const FACTS: &str = "ansible_facts";

/// The outcome of a task on a host, as `register` keeps it.
#[derive(Clone, PartialEq, Default)]
pub struct Outcome {
    /// The status.
    pub status: Status,
    /// Set if something changed. A task that failed may have changed something before.
    pub changed: bool,
    /// The module's result: `rc`, `stdout`, `msg` …
    pub detail: Vars,
    /// The variables that the task sets for the host.
    pub set: SetVars,
    /// When the detail is printed.
    pub shown: Shown,
    /// Set if the host goes on although the task failed, or could not reach the host.
    pub ignored: bool,
    /// Set if the detail is not printed (`no_log`).
    pub censored: bool,
    /// The other host on which it ran (`delegate_to`).
    pub delegate: Option<String>,
    /// The address of that host, if it is another text than its name.
    pub delegate_address: Option<String>,
    /// What it changed, if the run shows differences.
    pub diff: Diffs,
    /// Set if it combines those of a loop's items.
    pub is_loop: bool,
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The output of a command may be secret.
        f.debug_struct("Outcome").field("status", &self.status).finish_non_exhaustive()
    }
}

impl Outcome {
    /// Makes the outcome of a task that succeeded, having changed something or not.
    pub fn done(changed: bool, detail: Vars) -> Self {
        Self { status: if changed { Status::Changed } else { Status::Ok }, changed, detail, ..Self::default() }
    }

    /// Makes the outcome of a task that did not run.
    pub fn skipped() -> Self {
        Self { status: Status::Skipped, ..Self::default() }
    }

    /// Makes the outcome of a task that did not run because a condition does not hold.
    pub fn skipped_by(condition: &str) -> Self {
        let condition = if condition == "false" { Value::Bool(false) } else { condition.into() };
        let detail = Vars::from_iter([
            ("false_condition".to_owned(), condition),
            ("skip_reason".to_owned(), "Conditional result was False".into()),
        ]);
        Self { detail, ..Self::skipped() }
    }

    /// Makes the outcome of a task whose loop has no items.
    pub fn without_items() -> Self {
        let detail = Vars::from_iter([
            ("results".to_owned(), Value::Array(Vec::new())),
            ("skipped_reason".to_owned(), "No items in the list".into()),
        ]);
        Self { detail, ..Self::skipped() }
    }

    /// Makes the outcome of a task whose result a check cannot predict. The result has the keys that are known.
    pub fn not_checked(mut detail: Vars) -> Self {
        detail.insert("failed".to_owned(), false.into());
        Self { detail, ..Self::skipped() }
    }

    /// Makes the outcome of a task that failed.
    pub fn failed(why: impl Into<String>) -> Self {
        let detail = Vars::from_iter([("msg".to_owned(), Value::String(why.into()))]);
        Self { status: Status::Failed, detail, ..Self::default() }
    }

    /// Makes the outcome for a failure of the connection. The task failed if the host is sick, if sudo refused, or if the
    /// fault is in the configuration of the controller. Otherwise the host is unreachable.
    pub fn of_failure(failure: &Failure) -> Self {
        let mut why = failure.to_string();
        if let Some(hint) = &failure.hint {
            why.push_str(&format!(" ({hint})"));
        }
        let sudo_refused = failure.kind == FailureKind::Denied && failure.phase == Phase::Shell;
        let failed = failure.kind == FailureKind::Sick || sudo_refused || failure.phase == Phase::Configure;
        Self { status: if failed { Status::Failed } else { Status::Unreachable }, ..Self::failed(why) }
    }

    /// Returns the outcome as variables, for `register` and for printing.
    pub fn to_vars(&self) -> Vars {
        let mut vars = self.detail.clone();
        vars.insert("changed".to_owned(), self.changed.into());
        vars.extend(self.diff.to_value().map(|diff| ("diff".to_owned(), diff)));
        match self.status {
            Status::Failed => vars.insert("failed".to_owned(), true.into()),
            Status::Unreachable => vars.insert("unreachable".to_owned(), true.into()),
            Status::Skipped => vars.insert("skipped".to_owned(), true.into()),
            // As in Ansible, a loop says only of its items that they did not fail.
            Status::Ok | Status::Changed if self.is_loop => None,
            Status::Ok | Status::Changed => vars.insert("failed".to_owned(), false.into()),
        };
        vars
    }

    /// Returns the warnings in its result.
    pub fn warnings(&self) -> impl Iterator<Item = &str> {
        self.detail.get(WARNINGS).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }

    /// Adds a warning to the result.
    #[must_use]
    pub fn with_warning(mut self, warning: &str) -> Self {
        let warnings: Vec<&str> = self.warnings().chain([warning]).collect();
        let warnings = warnings.into();
        self.detail.insert(WARNINGS.to_owned(), warnings);
        self
    }

    /// Returns the outcome of a task that has run, and of which a condition cannot be evaluated.
    #[must_use]
    pub fn failed_later(mut self, why: String) -> Self {
        self.detail.insert("msg".to_owned(), why.into());
        Self { status: Status::Failed, ..self }
    }

    /// Returns what is printed of the outcome: nothing but its status if it is censored.
    #[must_use]
    pub fn printed(&self) -> Self {
        if !self.censored {
            return self.clone();
        }
        let why = "the output has been hidden due to the fact that 'no_log: true' was specified for this result";
        let mut detail = Vars::from_iter([("censored".to_owned(), why.into())]);
        if let Some(Value::Array(items)) = self.detail.get("results") {
            let hidden = |item: &Value| json!({"censored": why, "changed": item.get("changed")});
            detail.insert("results".to_owned(), items.iter().map(hidden).collect());
        }
        let (set, shown, diff) = (SetVars::default(), Shown::default(), Diffs::None);
        Self { detail, set, shown, diff, ..self.clone() }
    }

    /// Adds what it changed, which is shown if the run shows differences.
    #[must_use]
    pub fn with_diff(self, diff: Diffs) -> Self {
        Self { diff, ..self }
    }

    /// Combines the outcomes of a loop's items. Each item comes with its variables, which are results too.
    pub fn of_items(items: &[(Arc<Vars>, Self)]) -> Self {
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
        let results = items.iter().map(|(of_item, outcome)| {
            let mut vars = outcome.to_vars();
            vars.shift_remove(WARNINGS);
            vars.extend(of_item.iter().map(|(name, value)| (name.clone(), value.clone())));
            Value::Object(vars)
        });
        let message = match status {
            Status::Skipped => "All items skipped",
            Status::Failed => "One or more items failed",
            Status::Ok | Status::Changed | Status::Unreachable => "All items completed",
        };
        let mut detail =
            Vars::from_iter([("results".to_owned(), results.collect()), ("msg".to_owned(), message.into())]);
        if status != Status::Skipped {
            detail.insert("skipped".to_owned(), false.into());
        }
        // As in Ansible, those of the items become those of the task.
        let warnings: Vec<&str> = items.iter().flat_map(|(_, outcome)| outcome.warnings()).collect();
        if !warnings.is_empty() {
            detail.insert(WARNINGS.to_owned(), warnings.into());
        }
        let bad = |outcome: &Self| matches!(outcome.status, Status::Failed | Status::Unreachable);
        let ignored =
            items.iter().all(|(_, outcome)| !bad(outcome) || outcome.ignored) && items.iter().any(|(_, it)| bad(it));
        let censored = items.iter().any(|(_, outcome)| outcome.censored);
        let mut set = SetVars::default();
        for (_, outcome) in items {
            set.extend(&outcome.set);
        }
        Self { status, changed, detail, set, ignored, censored, is_loop: true, ..Self::default() }
    }
}
