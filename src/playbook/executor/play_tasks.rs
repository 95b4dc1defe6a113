//! The tasks that act on the play: `include_tasks`, `include_role` and `meta`. They say what runs next.

use std::sync::Arc;

use serde_json::json;

use super::Executor;
use super::state::RunState;
use crate::inventory::Host;
use crate::inventory::Inventory;
use crate::inventory::Vars;
use crate::inventory::diagnostic::Diagnostic;
use crate::playbook::action::Action;
use crate::playbook::action::Addition;
use crate::playbook::action::MetaAction;
use crate::playbook::callback::Begun;
use crate::playbook::callback::Event;
use crate::playbook::cursor::Inclusion;
use crate::playbook::include::Include;
use crate::playbook::loop_item::ItemResult;
use crate::playbook::loop_item::all_items;
use crate::playbook::magic_variables;
use crate::playbook::outcome::Outcome;
use crate::playbook::outcome::Status;
use crate::playbook::parse;
use crate::playbook::parse::Included;
use crate::playbook::play::Task;
use crate::playbook::tags::Selection;
use crate::playbook::template::Scope;

/// What a task includes on some hosts: the same file or role with the same item.
struct Group {
    what: Include,
    vars: Arc<Vars>,
    label: Option<String>,
    hosts: Vec<String>,
}

/// How a task that includes others ended on a host.
struct HostResult {
    host: String,
    results: Vec<ItemResult>,
    /// The groups of what it includes.
    groups: Vec<usize>,
}

impl Executor<'_> {
    /// Runs a task that adds hosts or groups. The plays after this one see them.
    pub(super) fn run_addition(&self, state: &mut RunState<'_, '_>, task: &Task, hosts: Vec<(&Host, Scope)>) {
        for (host, scope) in hosts {
            let mut results = Vec::new();
            for item in all_items(task, &scope) {
                let inventory = Arc::make_mut(&mut state.inventory);
                let outcome = match &item.state {
                    Ok(Action::Add(addition)) => added(inventory, &host.name, addition),
                    Ok(_) => Outcome::failed("the module adds nothing to the inventory"),
                    Err(outcome) => (**outcome).clone(),
                };
                let outcome = item.judge(task, outcome);
                results.push(item.finish(state.iterator.shared(), task, outcome));
            }
            state.record_result(&host.name, task, results);
        }
        let inventory = &state.inventory;
        Arc::make_mut(&mut state.batch_vars).extend(magic_variables::of_all(inventory));
        state.iterator.choose_again(&|play| (self.choose)(inventory, play));
    }

    /// Runs a task that includes others. The hosts go on with what it includes for each of them.
    pub(super) async fn run_include(&self, state: &mut RunState<'_, '_>, task: &Task, hosts: Vec<(&Host, Scope)>) {
        let (mut groups, mut ended) = (Vec::new(), Vec::new());
        for (host, scope) in hosts {
            // Templates may take their time: between two hosts an interrupt is noticed.
            tokio::task::yield_now().await;
            ended.push(host_result(state, task, &mut groups, (host, &scope)));
        }
        let read = |group: &Group| parse::include((state.folder, self.options), task, &group.what, &parse::read_file);
        let included: Vec<_> = groups.iter().map(read).collect();
        let mut going_on = Vec::new();
        for HostResult { host, results, groups } in ended {
            let failure = groups.iter().find_map(|group| included.get(*group)?.as_ref().err());
            let is_failed = results.iter().any(|result| result.outcome.status == Status::Failed);
            if let Some(why) = failure {
                // As with Ansible, `ignore_errors` is about the task, and not about what it includes.
                let outcome = Outcome::failed(why.to_string());
                let results = vec![ItemResult { item: None, outcome, notify: Vec::new(), facts_of: None }];
                state.record_result(&host, task, results);
            } else if is_failed || groups.is_empty() {
                state.record_result(&host, task, results);
            } else {
                let not_run = results.iter().filter(|result| result.outcome.status == Status::Skipped);
                not_run.for_each(|result| state.show_item(&host, result));
                going_on.push((host, groups));
            }
        }
        go_on(&self.selection, state, task, (&groups, included), going_on);
    }
}

/// Adds a host or a group to the inventory of the run.
fn added(inventory: &mut Inventory, host: &str, addition: &Addition) -> Outcome {
    let (changed, detail) = match addition {
        Addition::Host { name, groups, vars } => {
            let changed = inventory.add_host(name, groups, vars.clone());
            let detail = json!({"add_host": {"host_name": name, "groups": groups, "host_vars": vars}});
            (changed, detail)
        }
        Addition::Group { group, parents } => {
            let changed = inventory.add_to_group(host, group, parents);
            let parents = if parents.is_empty() { vec!["all".to_owned()] } else { parents.clone() };
            (changed, json!({"add_group": group, "parent_groups": parents}))
        }
    };
    Outcome::done(changed, detail.as_object().cloned().unwrap_or_default())
}

/// Evaluates a task that includes others on one host.
fn host_result(
    state: &RunState<'_, '_>,
    task: &Task,
    groups: &mut Vec<Group>,
    (host, scope): (&Host, &Scope),
) -> HostResult {
    let mut ended = HostResult { host: host.name.clone(), results: Vec::new(), groups: Vec::new() };
    for item in all_items(task, scope) {
        let (outcome, what) = match &item.state {
            Ok(Action::Include(what)) => (Outcome::default(), Some(what.clone())),
            Ok(_) => (Outcome::failed("the module includes nothing"), None),
            Err(outcome) => ((**outcome).clone(), None),
        };
        let vars = Arc::clone(&item.vars);
        let result = item.finish(state.iterator.shared(), task, outcome);
        if let Some(what) = what {
            let label = result.item.as_ref().map(|(_, label)| label.clone());
            ended.groups.push(join(groups, Group { what, vars, label, hosts: vec![host.name.clone()] }));
        }
        ended.results.push(result);
    }
    ended
}

/// Adds a host to the group that includes the same, and returns the group's index.
fn join(groups: &mut Vec<Group>, new: Group) -> usize {
    let same = groups.iter().position(|group| group.what == new.what && group.vars == new.vars);
    if let Some((index, group)) = same.and_then(|index| Some((index, groups.get_mut(index)?))) {
        group.hosts.extend(new.hosts);
        return index;
    }
    groups.push(new);
    groups.len() - 1
}

/// Runs a task that acts on the play. It has a heading for each host that it is about, and no result. With the strategy
/// `free` there is no title.
pub(super) fn run_meta(state: &mut RunState<'_, '_>, (task, title): (&Task, Option<&str>), hosts: &[(&Host, Scope)]) {
    let action = MetaAction::of(&task.args).unwrap_or(MetaAction::Noop);
    let all: Vec<&str> = hosts.iter().map(|(host, _)| host.name.as_str()).collect();
    for (host, scope) in hosts {
        if let Some(title) = title {
            (state.callback)(&Event::Task(Begun::task(title, task)));
        }
        let about = if action.is_for_all() { &all[..] } else { &[host.name.as_str()] };
        match all_items(task, scope).into_iter().next().map(|item| item.state) {
            Some(Err(outcome)) => {
                (state.callback)(&Event::Host { host: &host.name, outcome: &outcome, looped: false });
                if outcome.status == Status::Failed {
                    state.iterator.record_result(&host.name, task, &outcome, &[]);
                } else {
                    state.iterator.act(about, MetaAction::Noop);
                }
            }
            _ => state.iterator.act(about, action),
        }
        if action.is_for_all() {
            break;
        }
    }
}

/// Lets hosts go on with what they include.
fn go_on(
    selection: &Selection,
    state: &mut RunState<'_, '_>,
    task: &Task,
    (groups, included): (&[Group], Vec<Result<Included, Diagnostic>>),
    hosts: Vec<(String, Vec<usize>)>,
) {
    let mut nodes = Vec::new();
    for (group, included) in groups.iter().zip(included) {
        let goes_on = |name: &&str| hosts.iter().any(|(host, _)| host == name);
        let going_on: Vec<&str> = group.hosts.iter().map(String::as_str).filter(goes_on).collect();
        let Some(included) = included.ok().filter(|_| !going_on.is_empty()) else {
            nodes.push(Arc::default());
            continue;
        };
        let Group { what, vars, label, .. } = group;
        let (title, item) = (&included.title, label.as_deref());
        (state.callback)(&Event::Included { title, what, vars, hosts: &going_on, item });
        state.iterator.add_shared(included.shared);
        nodes.push(selection.selected(&included.nodes));
    }
    for (host, order) in hosts {
        let inclusion = |order: usize| {
            let (nodes, vars) = (nodes.get(order)?, &groups.get(order)?.vars);
            Some(Inclusion { order, nodes: Arc::clone(nodes), vars: Arc::clone(vars) })
        };
        let list = order.into_iter().filter_map(inclusion).collect();
        state.iterator.record_inclusions(&host, task, &Outcome::default(), list);
    }
}
