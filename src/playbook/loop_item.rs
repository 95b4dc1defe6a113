//! The items of a task's loop on one host: conditions and arguments before the item runs, `changed_when` and
//! `failed_when` afterwards. No host is reached here.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::action::Action;
use super::outcome::Outcome;
use super::outcome::Status;
use super::play::Play;
use super::play::Task;
use super::template::Layer;
use super::template::Scope;
use crate::inventory::Vars;

/// One item of a loop. A task without a loop has one of these, without an item.
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

impl LoopItem {
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

fn notified(play: &Play, task: &Task, scope: &Scope) -> Result<Vec<String>, String> {
    let known = |name: &str| play.handlers_called(name).next().is_some();
    let handler = |name: &String| {
        let name = scope.text(name)?;
        if known(&name) { Ok(name) } else { Err(format!("the play has no handler called `{name}`")) }
    };
    task.notify.iter().map(handler).collect()
}

/// Returns the items of a task on a host.
pub(super) fn loop_items(task: &Task, scope: &Scope, folder: &Path) -> Vec<LoopItem> {
    let items = match &task.items {
        None => return vec![loop_item(task, None, scope.clone(), folder)],
        // A false condition skips the task even if this host lacks the variables of the list.
        Some(items) => match scope.fill(items) {
            Ok(Value::Array(items)) => items,
            other => {
                let why = other.map_or_else(|why| why, |_| "`loop` is not a list".to_owned());
                let skipped = task.when.iter().any(|condition| scope.holds(condition) == Ok(false));
                let outcome = if skipped { Outcome::skipped() } else { Outcome::failed(why) };
                return vec![LoopItem { item: None, scope: scope.clone(), state: Err(outcome) }];
            }
        },
    };
    let with = |item: Value| scope.with(variable("item", item));
    items.into_iter().map(|item| loop_item(task, Some(item.clone()), with(item), folder)).collect()
}

/// Returns a layer of one variable in which nothing is a template: it is filled in already, or a host made it.
fn variable(name: &str, value: Value) -> Layer {
    Layer::data(Arc::new(Vars::from_iter([(name.to_owned(), value)])))
}

fn loop_item(task: &Task, item: Option<Value>, scope: Scope, folder: &Path) -> LoopItem {
    let state = match all_hold(&task.when, &scope) {
        Ok(true) => scope
            .arguments(&task.args)
            .and_then(|args| Action::new(task.module, &args, &scope, folder))
            .map_err(Outcome::failed),
        Ok(false) => Err(Outcome::skipped()),
        Err(why) => Err(Outcome::failed(format!("`when`: {why}"))),
    };
    LoopItem { item, state, scope }
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
