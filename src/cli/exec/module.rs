//! `muster exec -m`: one task on many hosts.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use super::Exec;
use crate::cli::Context;
use crate::cli::error::CommandError;
use crate::cli::error::CommandResult;
use crate::cli::inventory;
use crate::cli::settings;
use crate::cli::task_warnings::TaskWarnings;
use crate::inventory::Inventory;
use crate::inventory::Vars;
use crate::playbook::callback::Event;
use crate::playbook::callback::adhoc;
use crate::playbook::executor::Executor;
use crate::playbook::modules::ModuleRef;
use crate::playbook::modules::RunsIn;
use crate::playbook::parse;
use crate::playbook::parse::Options;
use crate::playbook::play::Playbook;
use crate::playbook::running::Running;
use crate::playbook::settings::Settings;
use crate::playbook::tags::Selection;
use crate::ui;

/// The module that runs if only its arguments are given.
const DEFAULT: &str = "command";

/// Runs the task and prints its results as they come, or all of them at the end as JSON.
pub(super) async fn run(
    context: &Context,
    exec: &Exec,
    (inventory, extra): (Inventory, Vars),
    forks: usize,
) -> CommandResult {
    let module = exec.module.as_deref().unwrap_or(DEFAULT);
    let options = options(exec);
    let playbook = playbook(exec, module, &options)?;
    let hosts = inventory.select(&exec.pattern)?;
    inventory::print_notes(hosts.iter().copied());
    for host in &hosts {
        host.target()?;
    }
    let names: Vec<String> = hosts.into_iter().map(|host| host.name.clone()).collect();
    let remote = context.remote()?;
    let executor = Executor {
        inventory: Arc::new(inventory),
        remote: &*remote,
        cluster: None,
        extra: Arc::new(extra),
        choose: &|_, _| Vec::new(),
        check: exec.check,
        diff: exec.diff,
        password: exec.user.password()?,
        environment: settings::environment(),
        options: &options,
        step: None,
        selection: Selection::new(&[], &[]),
        forks,
        limit: None,
        verbosity: 0,
        running: Running::default(),
    };
    executor.check_become(&playbook, std::slice::from_ref(&names)).map_err(CommandError::usage)?;
    let mut results = Vars::new();
    let short = ModuleRef::named(module).map_or(module, |module| module.name());
    let mut warnings = TaskWarnings::default();
    let mut tell = |event: &Event<'_>| {
        warnings.show(event);
        match event {
            Event::Host { host, outcome, .. } if exec.output.is_some() => {
                results.insert((*host).to_owned(), outcome.to_vars().into());
            }
            _ if exec.output.is_some() => {}
            event => ui::result(&ui::clean(&adhoc::render(event, short))),
        }
    };
    let status = context.play(&executor.running, executor.play(&playbook, vec![names], &mut tell)).await;
    if exec.output.is_some() {
        results.sort_keys();
        ui::json(&json!({ "hosts": results }));
    }
    remote.close(Duration::from_secs(2)).await;
    Ok(status)
}

/// Returns what holds for the task.
fn options(exec: &Exec) -> Options {
    let timeout = exec.timeout.map(|limit| limit.as_secs_f64().into());
    Options { settings: Settings { timeout, ..exec.user.settings() }, ..Options::default() }
}

/// Returns a play with the task.
fn playbook(exec: &Exec, module: &str, options: &Options) -> Result<Playbook, CommandError> {
    if ModuleRef::named(module).is_some_and(|module| module.runs_in() != RunsIn::Host) {
        return Err(CommandError::usage(format!("module `{module}` works in playbooks only")));
    }
    let line = exec.args.as_deref().unwrap_or_default();
    let action = match serde_json::from_str::<Vars>(line) {
        Ok(mut args) => {
            args.insert("module".to_owned(), module.into());
            Value::Object(args)
        }
        Err(_) => format!("{module} {line}").into(),
    };
    let play = json!([{"hosts": "all", "gather_facts": false, "tasks": [{"name": module, "action": action}]}]);
    let file = std::path::absolute("exec").unwrap_or_default();
    let playbook = parse::read(&file, &play.to_string(), &parse::read_file, options);
    playbook.map_err(|fault| CommandError::usage(fault.what).maybe_hint(fault.hint))
}
