//! The items of a task's loop on one host: conditions and arguments before the item runs, `changed_when` and
//! `failed_when` afterwards. No host is reached here.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::action::Action;
use super::modules::Arguments;
use super::outcome::Outcome;
use super::outcome::Status;
use super::play::Play;
use super::play::Task;
use super::template::Layer;
use super::template::Scope;
use crate::inventory::Vars;

/// What a task runs for on a host.
pub(super) enum Items {
    /// Once, without an item: the task has no loop.
    One,
    /// Once for each of these items.
    Each(Vec<Value>),
    /// Not at all: the list of the items could not be made, or the task is skipped.
    None(Box<Outcome>),
}

/// One run of a task on a host: for an item of its loop, or without an item.
pub(super) struct LoopItem {
    /// The item.
    pub(super) item: Option<Value>,
    /// The action to run, or the outcome of an item that does not run.
    pub(super) state: Result<Action, Outcome>,
    scope: Scope,
}

/// The result of one item.
pub(super) struct ItemResult {
    /// The item.
    pub(super) item: Option<Value>,
    /// How it ended.
    pub(super) outcome: Outcome,
    /// The handlers that it notifies.
    pub(super) notify: Vec<String>,
}

impl Items {
    /// Returns what a task runs for on a host.
    pub(super) fn of(task: &Task, scope: &Scope) -> Self {
        let Some(items) = &task.items else { return Self::One };
        match scope.fill(items) {
            Ok(Value::Array(items)) => Self::Each(items),
            // A false condition skips the task even if this host lacks the variables of the list.
            other => {
                let why = other.map_or_else(|why| why, |_| "`loop` is not a list".to_owned());
                let skipped = task.when.iter().any(|condition| scope.holds(condition) == Ok(false));
                Self::None(Box::new(if skipped { Outcome::skipped() } else { Outcome::failed(why) }))
            }
        }
    }

    /// Returns the items.
    pub(super) fn into_vec(self) -> Result<Vec<Option<Value>>, Box<Outcome>> {
        match self {
            Self::One => Ok(vec![None]),
            Self::Each(items) => Ok(items.into_iter().map(Some).collect()),
            Self::None(outcome) => Err(outcome),
        }
    }
}

impl LoopItem {
    /// Makes the run of a task for an item. Conditions and arguments are evaluated now. `facts` are the variables that
    /// the items before it have set.
    pub(super) fn new(task: &Task, item: Option<Value>, (scope, facts): (&Scope, &Vars), folder: &Path) -> Self {
        let mut scope = scope.clone();
        if !facts.is_empty() {
            scope = scope.with(Layer::data(Arc::new(facts.clone())));
        }
        if let Some(item) = &item {
            scope = scope.with(variable("item", item.clone()));
        }
        let state = match all_hold(&task.when, &scope) {
            Ok(true) => action(task, &scope, folder).map_err(Outcome::failed),
            Ok(false) => Err(Outcome::skipped()),
            Err(why) => Err(Outcome::failed(format!("`when`: {why}"))),
        };
        Self { item, state, scope }
    }

    /// Makes the run of a task that does not run at all.
    pub(super) const fn none(scope: Scope, outcome: Outcome) -> Self {
        Self { item: None, state: Err(outcome), scope }
    }

    /// Returns the item's result: its outcome under `changed_when` and `failed_when`, and the handlers to notify.
    pub(super) fn finish(self, play: &Play, task: &Task, outcome: Outcome) -> ItemResult {
        let outcome = evaluate(task, &self.scope, outcome);
        let mut result = ItemResult { item: self.item, outcome, notify: Vec::new() };
        if result.outcome.status == Status::Changed {
            match notified(play, task, &self.scope) {
                Ok(names) => result.notify = names,
                Err(why) => result.outcome = Outcome::failed(format!("`notify`: {why}")),
            }
        }
        result
    }
}

/// Makes the action of a task.
fn action(task: &Task, scope: &Scope, folder: &Path) -> Result<Action, String> {
    let args = scope.arguments(&task.args)?;
    task.module.action(&Arguments { args: &args, scope, folder })
}

fn notified(play: &Play, task: &Task, scope: &Scope) -> Result<Vec<String>, String> {
    let known = |name: &str| play.handlers_called(name).next().is_some();
    let handler = |name: &String| {
        let name = scope.text(name)?;
        if known(&name) { Ok(name) } else { Err(format!("the play has no handler called `{name}`")) }
    };
    task.notify.iter().map(handler).collect()
}

/// Returns a layer of one variable in which nothing is a template: it is filled in already, or a host made it.
fn variable(name: &str, value: Value) -> Layer {
    Layer::data(Arc::new(Vars::from_iter([(name.to_owned(), value)])))
}

/// Reports whether all conditions hold. Conditions after the first false one are not evaluated.
fn all_hold(conditions: &[String], scope: &Scope) -> Result<bool, String> {
    for condition in conditions {
        if !scope.holds(condition)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Applies the task's `changed_when` and `failed_when` to an outcome.
fn evaluate(task: &Task, scope: &Scope, mut outcome: Outcome) -> Outcome {
    if matches!(outcome.status, Status::Skipped | Status::Unreachable)
        || (task.changed_when.is_none() && task.failed_when.is_none())
    {
        return outcome;
    }
    let name = task.register.as_deref().unwrap_or("result");
    let with_result = |outcome: &Outcome| scope.with(variable(name, Value::Object(outcome.to_vars())));
    let mut failed = outcome.status == Status::Failed;
    if let Some(conditions) = &task.changed_when {
        match all_hold(conditions, &with_result(&outcome)) {
            Ok(changed) => outcome.changed = changed,
            Err(why) => return Outcome::failed(format!("`changed_when`: {why}")),
        }
    }
    if let Some(conditions) = &task.failed_when {
        match all_hold(conditions, &with_result(&outcome)) {
            Ok(fails) => failed = fails,
            Err(why) => return Outcome::failed(format!("`failed_when`: {why}")),
        }
    }
    outcome.status = match (failed, outcome.changed) {
        (true, _) => Status::Failed,
        (false, true) => Status::Changed,
        (false, false) => Status::Ok,
    };
    outcome
}
