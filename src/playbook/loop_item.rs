//! The items of a task's loop on one host: conditions and arguments before the item runs, `changed_when` and
//! `failed_when` afterwards. No host is reached here.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use super::action::Action;
use super::modules::Arguments;
use super::outcome::Outcome;
use super::outcome::SetVars;
use super::outcome::Shown;
use super::outcome::Status;
use super::play::Loop;
use super::play::Retry;
use super::play::Shared;
use super::play::Task;
use super::template;
use super::template::Layer;
use super::template::Scope;
use crate::inventory::Vars;

/// An item of a loop, with its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Item {
    value: Value,
    index: usize,
}

/// One run of a task on a host: for an item of its loop, or without an item.
pub(super) struct LoopItem {
    /// The item.
    item: Option<Value>,
    /// The action to run, or the outcome of an item that does not run.
    pub(super) state: Result<Action, Box<Outcome>>,
    /// The variables of the item.
    pub(super) vars: Arc<Vars>,
    scope: Scope,
}

/// The result of one item.
#[derive(Clone)]
pub(super) struct ItemResult {
    /// The variables of the item, with the text that stands for it.
    pub(super) item: Option<(Arc<Vars>, String)>,
    /// How it ended.
    pub(super) outcome: Outcome,
    /// The handlers that it notifies.
    pub(super) notify: Vec<String>,
    /// The other host to which the facts belong that it has set (`delegate_facts`).
    pub(super) facts_of: Option<String>,
}

/// Returns what a task runs for on a host: its items, or once without an item. If the list cannot be made, or if the task
/// is skipped, returns the outcome.
pub(super) fn items_of(task: &Task, scope: &Scope) -> Result<Vec<Option<Item>>, Box<Outcome>> {
    let Some(looping) = &task.looping else { return Ok(vec![None]) };
    let items = looping.kind.items_in(&looping.value, scope, task.module.kind_of_files());
    match items {
        // As in Ansible, a task without items is skipped.
        Ok(items) if items.is_empty() => Err(Box::new(Outcome::without_items())),
        Ok(items) => Ok((0..).zip(items).map(|(index, value)| Some(Item { value, index })).collect()),
        // A false condition skips the task even if this host lacks the variables of the list.
        Err(why) => {
            let is_false = |condition: &&String| scope.holds(condition) == Ok(false);
            let skipped = task.settings.when.iter().find(is_false).map(|condition| Outcome::skipped_by(condition));
            Err(Box::new(skipped.unwrap_or_else(|| Outcome::failed(why))))
        }
    }
}

/// Returns the runs of a task on a host, one for each item.
pub(super) fn all_items(task: &Task, scope: &Scope) -> Vec<LoopItem> {
    match items_of(task, scope) {
        Ok(items) => {
            let item = |item: &Option<_>| LoopItem::new(task, (item.as_ref(), &items), (scope, &SetVars::default()));
            items.iter().map(item).collect()
        }
        Err(outcome) => vec![LoopItem::not_run(scope, *outcome)],
    }
}

impl LoopItem {
    /// Makes the run of a task for an item. Conditions and arguments are evaluated now. `set` are the variables that the
    /// items before it have set, `all` are all items.
    pub(super) fn new(
        task: &Task,
        (item, all): (Option<&Item>, &[Option<Item>]),
        (scope, set): (&Scope, &SetVars),
    ) -> Self {
        let mut scope = scope.clone();
        if !set.is_empty() {
            for layer in set.layers() {
                scope = scope.with(layer);
            }
        }
        let mut vars = Arc::default();
        if let Some((looping, item)) = task.looping.as_ref().zip(item) {
            vars = Arc::new(loop_vars(looping, item, all));
            scope = scope.with(Layer::data(Arc::clone(&vars)));
        }
        if let Some(vars) = delegated_vars(task, &scope) {
            scope = scope.with(Layer::written(Arc::new(vars)));
        }
        // As in Ansible, the other host is known before the conditions.
        let holds = || first_false(&task.settings.when, &scope).map_err(|why| format!("`when`: {why}"));
        let state = match delegate(task, &scope).and_then(|_| holds()) {
            Ok(None) => action(task, &scope).map_err(|why| Box::new(Outcome::failed(why))),
            Ok(Some(condition)) => Err(Box::new(Outcome::skipped_by(condition))),
            Err(why) => Err(Box::new(Outcome::failed(why))),
        };
        Self { item: item.map(|item| item.value.clone()), state, vars, scope }
    }

    /// Makes the run of a task that does not run at all.
    pub(super) fn not_run(scope: &Scope, outcome: Outcome) -> Self {
        Self { item: None, state: Err(Box::new(outcome)), vars: Arc::default(), scope: scope.clone() }
    }

    /// Returns the result of a task that does not run at all.
    pub(super) fn none(shared: &Shared, task: &Task, scope: &Scope, outcome: Outcome) -> ItemResult {
        let item = Self::not_run(scope, outcome.clone());
        let outcome = item.judge(task, outcome);
        item.finish(shared, task, outcome)
    }

    /// Returns the variables of the item's templates.
    pub(super) const fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Returns the host on which the task runs instead, if it names one.
    pub(super) fn delegate(&self, task: &Task) -> Result<Option<String>, String> {
        delegate(task, &self.scope)
    }

    /// Applies `changed_when` and `failed_when` to the outcome of the item.
    pub(super) fn judge(&self, task: &Task, outcome: Outcome) -> Outcome {
        evaluate(task, &self.scope, outcome)
    }

    /// Returns how many runs the task has at most for the item, and the time between two.
    pub(super) fn attempts(&self, task: &Task) -> Result<(u64, Duration), String> {
        let Some(Retry { retries, delay, .. }) = &task.retry else { return Ok((1, Duration::ZERO)) };
        let text = |value: &Value| Ok::<_, String>(template::text_of(&self.scope.fill(value)?));
        let retries = match retries {
            Some(retries) => {
                let text = text(retries)?;
                text.parse().map_err(|_| format!("`retries` must be a whole number, not {text}"))?
            }
            None => 3_u64,
        };
        let delay = match delay {
            Some(delay) => {
                let text = text(delay)?;
                let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
                seconds.ok_or_else(|| format!("`delay` must be a number of seconds, not {text}"))?
            }
            None => Duration::from_secs(5),
        };
        Ok((retries.saturating_add(1), delay))
    }

    /// Reports whether an outcome needs no further run.
    pub(super) fn is_done(&self, task: &Task, outcome: &Outcome) -> Result<bool, String> {
        match &task.retry {
            Some(Retry { until, .. }) if !until.is_empty() => {
                let name = task.register.as_deref().unwrap_or("result");
                let scope = self.scope.with(variable(name, Value::Object(outcome.to_vars())));
                all_hold(until, &scope).map_err(|why| format!("`until`: {why}"))
            }
            _ => Ok(outcome.status != Status::Failed),
        }
    }

    /// Reports whether the loop ends after this item.
    pub(super) fn breaks(&self, task: &Task, outcome: &Outcome) -> Result<bool, String> {
        let Some(looping) = task.looping.as_ref().filter(|looping| !looping.break_when.is_empty()) else {
            return Ok(false);
        };
        let name = task.register.as_deref().unwrap_or("result");
        let scope = self.scope.with(variable(name, Value::Object(outcome.to_vars())));
        all_hold(&looping.break_when, &scope).map_err(|why| format!("`break_when`: {why}"))
    }

    /// Returns the item's result with the handlers to notify.
    pub(super) fn finish(self, shared: &Shared, task: &Task, outcome: Outcome) -> ItemResult {
        let label = task.looping.as_ref().and_then(|looping| looping.label.as_ref());
        let label = |item: &Value| match label {
            Some(label) => {
                let label = Value::from(label.as_str());
                template::text_of(&self.scope.fill(&label).unwrap_or(label))
            }
            None => template::text_of(item),
        };
        let item = self.item.as_ref().map(|item| (Arc::clone(&self.vars), label(item)));
        let mut outcome = outcome;
        let settings = &task.settings;
        outcome.ignored = match outcome.status {
            Status::Failed => settings.ignore_errors.holds(&self.scope) == Ok(true),
            Status::Unreachable => settings.ignore_unreachable.holds(&self.scope) == Ok(true),
            _ => false,
        };
        outcome.censored = settings.no_log.may_hold(&self.scope);
        // As in Ansible, a template that names no host is shown as it is.
        outcome.delegate = self.delegate(task).unwrap_or_else(|_| settings.delegate_to.clone());
        let is_delegated = outcome.delegate.is_some() && settings.delegate_facts.holds(&self.scope) == Ok(true);
        let facts_of = outcome.delegate.clone().filter(|_| is_delegated);
        let mut result = ItemResult { item, outcome, notify: Vec::new(), facts_of };
        if result.outcome.status == Status::Changed {
            match notified(shared, task, &self.scope) {
                Ok(names) => result.notify = names,
                Err(why) => result.outcome = Outcome::failed(format!("`notify`: {why}")),
            }
        }
        result
    }
}

/// Returns the host on which the task runs instead, if it names one. A template must name one, unless it omits it.
fn delegate(task: &Task, scope: &Scope) -> Result<Option<String>, String> {
    let Some(text) = task.settings.delegate_to.as_ref().filter(|text| !text.is_empty()) else { return Ok(None) };
    match scope.fill(&text.as_str().into()).map_err(|why| format!("`delegate_to`: {why}"))? {
        value if value == template::omit() => Ok(None),
        Value::String(name) if !name.is_empty() => Ok(Some(name)),
        _ => Err(format!("Empty hostname produced from delegate_to: \"{text}\"")),
    }
}

/// Returns the variable with those of the host on which the task runs instead.
fn delegated_vars(task: &Task, scope: &Scope) -> Option<Vars> {
    // The name becomes a part of a template, and a host may have printed it. These characters cannot end the text there.
    let is_plain = |c: char| c.is_alphanumeric() || ".-_:@[]".contains(c);
    let name = delegate(task, scope).ok()?.filter(|name| name.chars().all(is_plain))?;
    // They are looked up when a template reads them.
    let vars =
        json!({"ansible_delegated_vars": {&name: format!("{{{{ hostvars[{}] }}}}", Value::from(name.as_str()))}});
    vars.as_object().cloned()
}

/// Returns the variables of an item.
fn loop_vars(looping: &Loop, item: &Item, all: &[Option<Item>]) -> Vars {
    let mut vars = Vars::from_iter([
        (looping.var.clone(), item.value.clone()),
        ("ansible_loop_var".to_owned(), looping.var.clone().into()),
    ]);
    if let Some(name) = &looping.index_var {
        vars.insert(name.clone(), item.index.into());
        vars.insert("ansible_index_var".to_owned(), name.clone().into());
    }
    if looping.extended {
        let (index, length) = (item.index, all.len());
        let value = |index: usize| all.get(index).and_then(Option::as_ref).map(|item| item.value.clone());
        let mut place = json!({
            "index": index + 1, "index0": index, "revindex": length - index, "revindex0": length - index - 1,
            "first": index == 0, "last": index + 1 == length, "length": length,
            "allitems": all.iter().flatten().map(|item| item.value.clone()).collect::<Vec<_>>(),
        });
        let beside = [("previtem", index.checked_sub(1).and_then(value)), ("nextitem", value(index + 1))];
        for (name, value) in beside {
            place.as_object_mut().zip(value).map(|(place, value)| place.insert(name.to_owned(), value));
        }
        vars.insert("ansible_loop".to_owned(), place);
    }
    vars
}

/// Makes the action of a task.
fn action(task: &Task, scope: &Scope) -> Result<Action, String> {
    let args = scope.arguments(&task.args)?;
    let given = || args.iter().filter(|(_, value)| !value.is_null()).map(|(name, _)| name.as_str());
    task.module.spec().check_choices(given(), given())?;
    let role = task.origin.role.as_ref().map(|role| role.path.as_path());
    task.module.action(&Arguments { args: &args, scope, folders: &task.origin.folders, file: &task.file, role })
}

fn notified(shared: &Shared, task: &Task, scope: &Scope) -> Result<Vec<String>, String> {
    let known = |name: &str| !shared.notified_by(name).is_empty();
    let mut names = Vec::new();
    for name in &task.settings.notify {
        match scope.fill(&name.as_str().into())? {
            Value::Array(more) => names.extend(more.iter().map(template::text_of)),
            name => names.push(template::text_of(&name)),
        }
    }
    match names.iter().find(|name| !known(name)) {
        Some(name) => Err(format!("the play has no handler called `{name}`")),
        None => Ok(names),
    }
}

/// Returns a layer of one variable in which nothing is a template: it is filled in already, or a host made it.
fn variable(name: &str, value: Value) -> Layer {
    Layer::data(Arc::new(Vars::from_iter([(name.to_owned(), value)])))
}

/// Reports whether all conditions hold. Conditions after the first false one are not evaluated.
fn all_hold(conditions: &[String], scope: &Scope) -> Result<bool, String> {
    Ok(first_false(conditions, scope)?.is_none())
}

/// Returns the first condition that does not hold. The conditions after it are not evaluated.
fn first_false<'c>(conditions: &'c [String], scope: &Scope) -> Result<Option<&'c str>, String> {
    for condition in conditions {
        if !scope.holds(condition)? {
            return Ok(Some(condition));
        }
    }
    Ok(None)
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
            Err(why) => return outcome.failed_later(format!("`changed_when`: {why}")),
        }
    }
    if let Some(conditions) = &task.failed_when {
        match all_hold(conditions, &with_result(&outcome)) {
            Ok(fails) => failed = fails,
            Err(why) => return outcome.failed_later(format!("`failed_when`: {why}")),
        }
    }
    // What `debug` shows has nothing else in it.
    if task.failed_when.is_some() && outcome.shown == Shown::IfFailed {
        outcome.detail.insert("failed_when_result".to_owned(), failed.into());
    }
    outcome.status = match (failed, outcome.changed) {
        (true, _) => Status::Failed,
        (false, true) => Status::Changed,
        (false, false) => Status::Ok,
    };
    outcome
}
