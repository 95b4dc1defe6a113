//! What a task comes to on a host, before it is carried out and after: its loop, its conditions, its arguments, its
//! own word on how it ended. It reaches nobody.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::action::Action;
use super::outcome::Outcome;
use super::outcome::Status;
use super::play::Task;
use super::template::Layer;
use super::template::Scope;
use crate::inventory::Vars;

/// An item of a loop (or the one time that a task without a loop runs), ready or ended already.
pub(super) struct Turn {
    /// The item.
    pub(super) item: Option<Value>,
    /// What to do, or how it ended without being tried.
    pub(super) state: Result<Action, Outcome>,
    scope: Scope,
}

/// How a turn ended.
pub(super) struct Ended {
    /// The item.
    pub(super) item: Option<Value>,
    /// How.
    pub(super) outcome: Outcome,
    /// The handlers to run at the end because of it.
    pub(super) notify: Vec<String>,
}

impl Turn {
    /// Ends it: what came of it, seen as the task wants it to be seen, and whom of the play's handlers it notifies.
    pub(super) fn end(self, task: &Task, handlers: &[Task], outcome: Outcome) -> Ended {
        let outcome = assess(task, &self.scope, outcome);
        let mut ended = Ended { item: self.item, outcome, notify: Vec::new() };
        if ended.outcome.status == Status::Changed {
            match notified(task, handlers, &self.scope) {
                Ok(names) => ended.notify = names,
                Err(why) => ended.outcome = Outcome::failed(format!("`notify`: {why}")),
            }
        }
        ended
    }
}

fn notified(task: &Task, handlers: &[Task], scope: &Scope) -> Result<Vec<String>, String> {
    let known = |name: &str| handlers.iter().any(|handler| handler.name == name);
    let one = |name: &String| {
        let name = scope.text(name)?;
        if known(&name) { Ok(name) } else { Err(format!("the play has no handler called `{name}`")) }
    };
    task.notify.iter().map(one).collect()
}

/// Works out what a task comes to on a host.
pub(super) fn turns(task: &Task, scope: &Scope, folder: &Path) -> Vec<Turn> {
    let items = match &task.items {
        None => return vec![turn(task, None, scope.clone(), folder)],
        // Items may be anything; a condition that spares this host must not be hidden by a list it does not have.
        Some(items) => match scope.fill(items) {
            Ok(Value::Array(items)) => items,
            other => {
                let why = other.map_or_else(|why| why, |_| "`loop` is not a list".to_owned());
                let spared = task.when.iter().any(|condition| scope.holds(condition) == Ok(false));
                let outcome = if spared { Outcome::skipped() } else { Outcome::failed(why) };
                return vec![Turn { item: None, scope: scope.clone(), state: Err(outcome) }];
            }
        },
    };
    let with = |item: Value| scope.with(one("item", item));
    items.into_iter().map(|item| turn(task, Some(item.clone()), with(item), folder)).collect()
}

/// Returns a layer of one variable that is filled in already, or that a host made.
fn one(name: &str, value: Value) -> Layer {
    Layer::data(Arc::new(Vars::from_iter([(name.to_owned(), value)])))
}

fn turn(task: &Task, item: Option<Value>, scope: Scope, folder: &Path) -> Turn {
    let state = match all(&task.when, &scope) {
        Ok(true) => scope
            .arguments(&task.args)
            .and_then(|args| Action::new(task.kind, &args, &scope, folder))
            .map_err(Outcome::failed),
        Ok(false) => Err(Outcome::skipped()),
        Err(why) => Err(Outcome::failed(format!("`when`: {why}"))),
    };
    Turn { item, state, scope }
}

/// Says whether all conditions hold, stopping at the first that does not.
fn all(conditions: &[String], scope: &Scope) -> Result<bool, String> {
    for condition in conditions {
        if !scope.holds(condition)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Applies the task's own word on what counts as changed and as failed.
fn assess(task: &Task, scope: &Scope, mut outcome: Outcome) -> Outcome {
    if matches!(outcome.status, Status::Skipped | Status::Unreachable)
        || (task.changed_when.is_none() && task.failed_when.is_none())
    {
        return outcome;
    }
    let name = task.register.as_deref().unwrap_or("result");
    let seen = |outcome: &Outcome| scope.with(one(name, Value::Object(outcome.to_vars())));
    let mut failed = outcome.status == Status::Failed;
    if let Some(conditions) = &task.changed_when {
        match all(conditions, &seen(&outcome)) {
            Ok(changed) => outcome.changed = changed,
            Err(why) => return Outcome::failed(format!("`changed_when`: {why}")),
        }
    }
    if let Some(conditions) = &task.failed_when {
        match all(conditions, &seen(&outcome)) {
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
