//! Where a task runs: the host, or another one in its stead, as which user and in which environment.

use std::sync::Arc;

use serde_json::Value;

use super::Executor;
use super::HostTask;
use crate::inventory::Host;
use crate::inventory::Vars;
use crate::playbook::host_connection::HostConnection;
use crate::playbook::loop_item::LoopItem;
use crate::playbook::play::Task;
use crate::playbook::run_as;
use crate::playbook::template;
use crate::playbook::template::Layer;
use crate::playbook::template::Scope;
use crate::remote::Connection;
use crate::remote::Target;

impl Executor<'_> {
    /// Returns the connection on which a task runs for an item.
    pub(super) fn connection(
        &self,
        task: &Task,
        host_task: &HostTask<'_, '_>,
        item: &LoopItem,
    ) -> Result<HostConnection<'_>, String> {
        let delegate = item.delegate(task)?.map(|name| host_task.inventory.host(&name));
        // The variables of the other host say how it is reached.
        let scope = match &delegate {
            Some(delegate) => item.scope().with(Layer::written(Arc::new(connection_vars(delegate, item.scope())))),
            None => item.scope().clone(),
        };
        let host = delegate.as_ref().unwrap_or(host_task.host);
        let target = target(task, host, &scope)?;
        let run_as = run_as::run_as(&scope, &task.settings.r#become, self.password.as_ref())?;
        let environment = environment(task, item.scope())?;
        Ok(HostConnection {
            remote: self.remote,
            target,
            run_as,
            environment,
            check: self.is_check(task, item.scope())?,
            diff: self.shows_diff(task, item.scope())?,
            detached: None,
        })
    }

    /// Reports whether a task only predicts its changes.
    pub(super) fn is_check(&self, task: &Task, scope: &Scope) -> Result<bool, String> {
        task.settings.check.as_ref().map_or(Ok(self.check), |check| check.holds(scope))
    }

    /// Reports whether a task shows what it changes. A task whose results are secret does not.
    pub(super) fn shows_diff(&self, task: &Task, scope: &Scope) -> Result<bool, String> {
        let is_wanted = task.settings.diff.as_ref().map_or(Ok(self.diff), |diff| diff.holds(scope))?;
        Ok(is_wanted && !task.settings.no_log.may_hold(scope))
    }
}

/// Returns the variables that say how the host of a delegated task is reached, and null for those that it does not have.
/// Those of the play, the task and the command line override those of the inventory.
fn connection_vars(host: &Host, scope: &Scope) -> Vars {
    let value = |name: &str| scope.play_variable(name).or_else(|| host.vars.get(name)).cloned().unwrap_or_default();
    reaching().chain(run_as::VARIABLES).map(|name| (name.to_owned(), value(name))).collect()
}

/// Returns the names of the variables that say how a host is reached.
fn reaching() -> impl Iterator<Item = &'static str> {
    Host::connection_variables().filter(|name| name.starts_with("ansible_"))
}

/// Returns how a host is reached. A variable of the play may override one of the inventory.
fn target(task: &Task, host: &Host, scope: &Scope) -> Result<Target, String> {
    let mut changed = None;
    for name in reaching() {
        let value = scope.variable(name).transpose()?.filter(|value| !value.is_null());
        if value.as_ref() != host.vars.get(name).filter(|value| !value.is_null()) {
            let host = changed.get_or_insert_with(|| host.clone());
            Arc::make_mut(&mut host.vars).insert(name.to_owned(), value.unwrap_or_default());
        }
    }
    let host = changed.as_ref().unwrap_or(host);
    let mut target = host.target().map_err(|error| error.to_string())?;
    let is_set = |names: [&str; 2]| names.iter().any(|name| host.vars.get(*name).is_some_and(|value| !value.is_null()));
    if let Some(connection) = task.settings.connection.as_ref().filter(|_| !is_set(["ansible_connection"; 2])) {
        target.connection = match scope.text(connection)?.trim_start_matches("ansible.builtin.") {
            "ssh" | "smart" | "paramiko" => Connection::Ssh,
            "local" => Connection::Local,
            // It was omitted.
            "" => target.connection,
            other => Connection::Unsupported(other.to_owned()),
        };
    }
    if let Some(user) = task.settings.remote_user.as_ref().filter(|_| !is_set(["ansible_user", "ansible_ssh_user"])) {
        target.address.user = Some(scope.text(user)?).filter(|user| !user.is_empty());
    }
    Ok(target)
}

/// Returns the lines of shell that set the variables of the environment.
fn environment(task: &Task, scope: &Scope) -> Result<String, String> {
    let mut vars = Vars::new();
    for entry in &task.settings.environment {
        match scope.fill(entry).map_err(|why| format!("`environment`: {why}"))? {
            Value::Object(entries) => vars.extend(entries),
            Value::Null => {}
            Value::String(text) if text.is_empty() => {}
            other => return Err(format!("`environment` must be a map, not {other}")),
        }
    }
    let mut lines = String::new();
    for (name, value) in vars.iter().filter(|(_, value)| **value != template::omit()) {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(is_word) || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(format!("`environment`: `{name}` cannot be the name of a variable"));
        }
        let text = template::text_of(value);
        let text = shlex::try_quote(&text).map_err(|error| format!("`environment`: `{name}`: {error}"))?;
        lines.push_str(&format!("export {name}={text}\n"));
    }
    Ok(lines)
}
