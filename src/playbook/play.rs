//! The typed form of a playbook: plays and tasks, each with its place in the file.

use std::collections::BTreeSet;
use std::hash::DefaultHasher;
use std::hash::Hash as _;
use std::hash::Hasher as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::loops::LoopKind;
use super::modules::ModuleRef;
use super::modules::RunsIn;
use super::settings::Flag;
use super::settings::Settings;
use super::template;
use super::template::Scope;
use crate::inventory::Vars;
use crate::inventory::diagnostic::Position;

/// A playbook.
#[derive(Debug, Clone, PartialEq)]
pub struct Playbook {
    /// The playbook's file. The files that tasks copy are found beside it.
    pub file: PathBuf,
    /// The plays, in order.
    pub plays: Vec<Play>,
}

impl Playbook {
    /// Returns the folder of the playbook's file.
    pub fn folder(&self) -> &Path {
        folder_of(&self.file)
    }

    /// Reports whether a task runs on the cluster.
    pub fn needs_cluster(&self) -> bool {
        self.plays.iter().flat_map(Play::all_tasks).any(|task| task.module.runs_in() == RunsIn::Cluster)
    }
}

fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Tasks for the hosts of a pattern.
#[derive(Debug, Clone, PartialEq)]
pub struct Play {
    /// The file in which it stands: the playbook's, or one that the playbook imports.
    pub file: Arc<Path>,
    /// The play's name. The default is the pattern of its hosts.
    pub name: String,
    /// The pattern that selects the hosts.
    pub hosts: String,
    /// The place in the file where the play begins.
    pub at: Position,
    /// The place of the pattern in the file.
    pub hosts_at: Position,
    /// The sizes of the batches. The last one repeats. Empty means one batch of all hosts.
    pub serial: Vec<BatchSize>,
    /// The order of the hosts.
    pub order: Order,
    /// Whether the hosts wait for each other.
    pub strategy: Strategy,
    /// How many hosts of a batch may fail, in percent, before the play ends on all of them.
    pub max_fail_percentage: Option<f64>,
    /// Whether the facts of the hosts are gathered first; `None` for the default.
    pub gather_facts: Option<Flag>,
    /// Which facts are gathered.
    pub gather_subset: Option<Value>,
    /// What is asked before the play begins.
    pub prompts: Vec<Prompt>,
    /// The play's variables.
    pub vars: Arc<Vars>,
    /// The play's tags, which its tasks have too.
    pub tags: Vec<String>,
    /// The names of its roles.
    pub roles: RoleNames,
    /// What every task can use.
    pub shared: Shared,
    /// The tasks, in order, with the places at which notified handlers run.
    pub tasks: Arc<[Node]>,
}

/// The names of the roles of a play.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoleNames {
    /// Those that the play lists.
    pub listed: Vec<String>,
    /// Those on which they depend.
    pub dependencies: Vec<String>,
}

/// What every task of a play can use. A role that is included while the play runs adds to it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Shared {
    /// The handlers. Those that were notified run in this order.
    pub handlers: Arc<[Node]>,
    /// The defaults of the roles.
    pub defaults: Arc<Vars>,
    /// The variables of the roles.
    pub vars: Arc<Vars>,
}

impl Play {
    /// Returns the folder of the play's file, beside which roles and files of variables and tasks are looked up.
    pub fn folder(&self) -> &Path {
        folder_of(&self.file)
    }

    /// Lets the notified handlers run at the end of each part of the play, although a task before it has failed.
    pub fn force_handlers(&mut self) {
        let (mut parts, mut body) = (Vec::new(), Vec::new());
        for node in &*self.tasks {
            if *node == Node::Flush {
                let (body, always) = (std::mem::take(&mut body).into(), Arc::from([Node::Flush]));
                parts.push(Node::Block(Arc::new(Block { body, rescue: Arc::default(), always })));
            } else {
                body.push(node.clone());
            }
        }
        parts.extend(body);
        self.tasks = parts.into();
    }

    /// Leaves the facts of the hosts out. The task that gathers them only reaches the hosts.
    pub fn leave_out_facts(&mut self) {
        let leave_out = |node: &Node| match node {
            Node::Task(task) if task.gathers_first() => {
                let mut task = Task::clone(task);
                task.args.insert("gather_subset".to_owned(), vec!["!all", "!min"].into());
                Node::Task(task.into())
            }
            _ => node.clone(),
        };
        self.tasks = self.tasks.iter().map(leave_out).collect();
    }

    /// Returns the tasks and the handlers, with those in blocks.
    pub fn all_tasks(&self) -> impl Iterator<Item = &Arc<Task>> {
        self.tasks.iter().chain(self.shared.handlers.iter()).flat_map(Node::tasks)
    }
}

impl Shared {
    /// Adds what a role brings. Its handlers come last, and its variables win.
    pub fn extend(&mut self, more: Self) {
        self.handlers = self.handlers.iter().chain(more.handlers.iter()).cloned().collect();
        for (vars, more) in [(&mut self.defaults, more.defaults), (&mut self.vars, more.vars)] {
            Arc::make_mut(vars).extend(more.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
    }

    /// Returns the indices of the handlers with a name, or that listen to it. Of several with the same name, one counts: the
    /// first one in the list of handlers that was loaded last, as in Ansible.
    pub fn notified_by(&self, name: &str) -> BTreeSet<usize> {
        let handlers = self.latest_first();
        let named = handlers.iter().find(|(_, handler)| handler.is_called(name)).map(|(index, _)| *index);
        let mut seen = BTreeSet::new();
        let listening = handlers.iter().filter(|(_, handler)| handler.listens_to(name));
        let listening = listening.filter(|(_, handler)| !handler.has_own_name() || seen.insert(&handler.name));
        named.into_iter().chain(listening.map(|(index, _)| *index)).collect()
    }

    /// Returns the handlers with their indices. Of the lists that were loaded, the last one comes first.
    fn latest_first(&self) -> Vec<(usize, &Arc<Task>)> {
        let handlers: Vec<_> =
            self.handlers.iter().enumerate().filter_map(|(index, node)| Some((index, node.task()?))).collect();
        let lists = handlers.chunk_by(|(_, one), (_, other)| Arc::ptr_eq(&one.origin, &other.origin));
        lists.rev().flatten().copied().collect()
    }
}

/// A part of a list of tasks.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// A task.
    Task(Arc<Task>),
    /// Tasks that are handled together when one of them fails.
    Block(Arc<Block>),
    /// The handlers that were notified run.
    Flush,
}

/// Tasks that are handled together when one of them fails.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// The tasks (`block`).
    pub body: Arc<[Node]>,
    /// The tasks that run where one of the body has failed (`rescue`). Then the block has not failed.
    pub rescue: Arc<[Node]>,
    /// The tasks that run in any case (`always`).
    pub always: Arc<[Node]>,
}

impl Node {
    /// Returns the task, unless the node is something else.
    pub const fn task(&self) -> Option<&Arc<Task>> {
        match self {
            Self::Task(task) => Some(task),
            Self::Block(_) | Self::Flush => None,
        }
    }

    /// Returns the task, or the tasks of the block.
    pub fn tasks(&self) -> Vec<&Arc<Task>> {
        match self {
            Self::Task(task) => vec![task],
            Self::Block(block) => [&block.body, &block.rescue, &block.always]
                .into_iter()
                .flat_map(|nodes| nodes.iter())
                .flat_map(Self::tasks)
                .collect(),
            Self::Flush => Vec::new(),
        }
    }
}

/// Whether the hosts of a play wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// A task begins when the one before has ended on all hosts.
    #[default]
    Linear,
    /// Each host goes on as soon as it can.
    Free,
}

/// The order of a play's hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// As in the inventory.
    #[default]
    Inventory,
    /// The other way round.
    ReverseInventory,
    /// By name.
    Sorted,
    /// By name, the last one first.
    ReverseSorted,
    /// By chance.
    Shuffle,
}

impl Order {
    /// Puts hosts in this order. `seed` chooses the order by chance.
    pub fn apply(self, hosts: &mut [String], seed: u64) {
        match self {
            Self::Inventory => {}
            Self::ReverseInventory => hosts.reverse(),
            Self::Sorted => hosts.sort(),
            Self::ReverseSorted => hosts.sort_by(|a, b| b.cmp(a)),
            Self::Shuffle => hosts.sort_by_key(|host| {
                let mut hasher = DefaultHasher::new();
                (seed, host).hash(&mut hasher);
                hasher.finish()
            }),
        }
    }
}

/// A variable for which the operator is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    /// The variable.
    pub name: String,
    /// The question.
    pub question: String,
    /// The answer if the operator gives none.
    pub default: Option<Value>,
    /// Set if the answer is not shown.
    pub private: bool,
    /// Set if it is asked twice.
    pub confirm: bool,
    /// The kind of hash that stands for the answer, as the filter `password_hash` takes it.
    pub encrypt: Option<String>,
    /// The salt of the hash, or null for one by chance.
    pub salt: Value,
    /// The size of a salt by chance, or null.
    pub salt_size: Value,
    /// Set if the answer is never a template (`unsafe`).
    pub is_data: bool,
}

/// The number of hosts in a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchSize {
    /// A number of hosts; 0 means all.
    Count(usize),
    /// A share of the play's hosts in percent, at least one host.
    Percent(usize),
    /// A template of a size, or of a list of them. It is filled in before the play begins.
    Template(String),
}

impl BatchSize {
    /// Reads a size.
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Number(number) => number.as_u64().and_then(|n| n.try_into().ok()).map(Self::Count),
            Value::String(text) if template::is_template(text) => Some(Self::Template(text.clone())),
            Value::String(text) => match text.strip_suffix('%') {
                Some(share) => share.trim().parse().ok().filter(|share| (1..=100).contains(share)).map(Self::Percent),
                None => text.parse().ok().map(Self::Count),
            },
            _ => None,
        }
    }

    /// Returns the sizes with the templates in them filled in.
    pub(super) fn filled(sizes: &[Self], scope: &Scope) -> Result<Vec<Self>, String> {
        let mut filled = Vec::new();
        for size in sizes {
            let Self::Template(text) = size else {
                filled.push(size.clone());
                continue;
            };
            let value = scope.fill(&text.as_str().into()).map_err(|why| format!("`serial`: {why}"))?;
            let values = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
            let sizes = values.iter().map(Self::of).collect::<Option<Vec<_>>>();
            let sizes = sizes.filter(|sizes| !sizes.iter().any(|size| matches!(size, Self::Template(_))));
            filled.extend(sizes.ok_or_else(|| format!("`serial` must be a number of hosts or a share, not {value}"))?);
        }
        Ok(filled)
    }
}

/// A role that a play or a task names.
#[derive(Debug, Clone, PartialEq)]
pub struct Role {
    /// The name.
    pub name: String,
    /// The folder.
    pub path: PathBuf,
    /// The defaults, the weakest of all variables.
    pub defaults: Arc<Vars>,
    /// The variables.
    pub vars: Arc<Vars>,
    /// The parameters that the play gives to it.
    pub params: Arc<Vars>,
    /// The roles whose task includes or imports it, the nearest first.
    pub parents: Vec<String>,
}

/// Where a task comes from.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Origin {
    /// The role whose task it is.
    pub role: Option<Arc<Role>>,
    /// The folders in which the files of the task are looked up, the first one first.
    pub folders: Vec<PathBuf>,
}

/// A task: one module with its arguments.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// The file in which it stands. Files that it includes are looked up beside it.
    pub file: Arc<Path>,
    /// Where it comes from.
    pub origin: Arc<Origin>,
    /// The place in the file where the task begins.
    pub at: Position,
    /// The task's name, which may be a template. The default is the module's name as the playbook has it.
    pub name: String,
    /// The module's name as the playbook has it, maybe with a collection.
    pub action: String,
    /// The module.
    pub module: ModuleRef,
    /// The module's arguments. Text in them may be a template.
    pub args: Vars,
    /// What it has in common with the other tasks of its block, or has itself.
    pub settings: Settings,
    /// The variable that keeps the result.
    pub register: Option<String>,
    /// The topics whose notifications run this handler, beside its name.
    pub listen: Vec<String>,
    /// The loop, if the task runs once for each of several items.
    pub looping: Option<Loop>,
    /// How often a run that did not succeed is repeated.
    pub retry: Option<Retry>,
    /// The time that it may take in the background (`async`), if it runs there.
    pub background: Option<Background>,
    /// The task counts as changed where all of these conditions hold.
    pub changed_when: Option<Vec<String>>,
    /// The task counts as failed where all of these conditions hold.
    pub failed_when: Option<Vec<String>>,
    /// What the tasks begin with that this task includes.
    pub including: Option<Arc<Including>>,
}

/// What the tasks begin with that a task includes.
#[derive(Debug, Clone, PartialEq)]
pub struct Including {
    /// What the included tasks inherit.
    pub settings: Settings,
    /// How many files include each other around the task.
    pub depth: usize,
}

impl Task {
    /// Returns a title of the task as Ansible prints it of a retry: without the role, if the task has a name.
    pub fn bare<'a>(&self, title: &'a str) -> &'a str {
        let role = self.origin.role.as_ref().filter(|_| self.name != self.action);
        role.and_then(|role| title.strip_prefix(role.name.as_str())?.strip_prefix(" : ")).unwrap_or(title)
    }

    /// Returns what is printed of the task's name: a template, with its role before it.
    pub fn title(&self) -> String {
        self.title_of(&self.name)
    }

    /// Returns what is printed of a name of the task. A task without a name is called like its module.
    fn title_of(&self, name: &str) -> String {
        let name = if name.is_empty() { &self.action } else { name };
        match &self.origin.role {
            Some(role) => format!("{} : {name}", role.name),
            None => name.to_owned(),
        }
    }

    /// Returns what is printed of the task's name on a host. A template that cannot be filled in stays as it is.
    pub fn title_in(&self, scope: &Scope) -> String {
        let name = scope.text(&self.name);
        self.title_of(name.as_deref().unwrap_or(&self.name)).trim().to_owned()
    }

    /// Reports whether its name or a topic of it is a template.
    pub(super) fn has_template_name(&self) -> bool {
        [&self.name].into_iter().chain(&self.listen).any(|text| template::is_template(text))
    }

    /// Reports whether it gathers facts before the tasks of a play, without standing in a file.
    fn gathers_first(&self) -> bool {
        self.action == "gather_facts" && self.at == Position::default()
    }

    /// Reports whether a handler has this name. It may be written with its role.
    fn is_called(&self, name: &str) -> bool {
        self.name == name || self.origin.role.is_some() && self.title() == name
    }

    /// Reports whether a handler listens to a topic. It may be written with the handler's role.
    fn listens_to(&self, name: &str) -> bool {
        let of_role = || self.origin.role.as_ref().and_then(|role| name.strip_prefix(&role.name)?.strip_prefix(" : "));
        self.listen.iter().any(|topic| topic == name || of_role() == Some(topic))
    }

    /// Reports whether it has a name of its own, and not that of its module.
    fn has_own_name(&self) -> bool {
        self.name != self.action
    }
}

/// The loop of a task.
#[derive(Debug, Clone, PartialEq)]
pub struct Loop {
    /// How the value becomes the items.
    pub kind: LoopKind,
    /// The value, in which text may be a template.
    pub value: Value,
    /// The variable that has the item (`loop_var`).
    pub var: String,
    /// The variable that has the index of the item, from 0.
    pub index_var: Option<String>,
    /// The text that is printed instead of the item, a template.
    pub label: Option<String>,
    /// The loop ends after an item for which all of these conditions hold.
    pub break_when: Vec<String>,
    /// How long to wait between two items.
    pub pause: Duration,
    /// Set if the variable `ansible_loop` describes the place of the item.
    pub extended: bool,
}

/// How a task runs in the background.
#[derive(Debug, Clone, PartialEq)]
pub struct Background {
    /// How many seconds it may take, or a template of them (`async`). With 0 it does not run in the background.
    pub limit: Value,
    /// How many seconds pass between two looks, or a template of them (`poll`); `None` for 15. With 0 no task waits for it.
    pub poll: Option<Value>,
}

/// How often a run that did not succeed is repeated.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// The run has succeeded when all of these conditions hold; without any, when it has not failed.
    pub until: Vec<String>,
    /// The number of further runs, or a template of it; `None` for 3.
    pub retries: Option<Value>,
    /// The seconds between two runs, or a template of them; `None` for 5.
    pub delay: Option<Value>,
}

/// Returns the number of hosts in each batch of a play.
pub fn batch_sizes(serial: &[BatchSize], hosts: usize) -> Vec<usize> {
    let mut sizes = Vec::new();
    let mut left = hosts;
    let mut serial = serial.iter().cloned();
    let mut current = serial.next().unwrap_or(BatchSize::Count(0));
    while left > 0 {
        let size = match &current {
            BatchSize::Count(0) | BatchSize::Template(_) => left,
            BatchSize::Count(count) => *count,
            BatchSize::Percent(share) => (hosts.saturating_mul(*share) / 100).max(1),
        };
        sizes.push(size.min(left));
        left = left.saturating_sub(size);
        current = serial.next().unwrap_or(current);
    }
    sizes
}

#[cfg(test)]
mod tests {
    use super::BatchSize::Count;
    use super::BatchSize::Percent;
    use super::batch_sizes;

    #[test]
    fn the_last_batch_size_repeats_until_no_host_is_left() {
        for (serial, hosts, expected) in [
            (vec![], 5, vec![5]),
            (vec![Count(0)], 5, vec![5]),
            (vec![Count(2)], 5, vec![2, 2, 1]),
            (vec![Count(1), Count(3)], 8, vec![1, 3, 3, 1]),
            (vec![Percent(30)], 10, vec![3, 3, 3, 1]),
            (vec![Percent(1)], 3, vec![1, 1, 1]),
            (vec![Count(1), Percent(100)], 4, vec![1, 3]),
            (vec![Count(9)], 0, vec![]),
        ] {
            assert_eq!(batch_sizes(&serial, hosts), expected, "{serial:?} of {hosts}");
        }
    }
}
