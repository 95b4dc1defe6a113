//! Plays: their keys, and the order of their tasks.

use std::sync::Arc;

use super::Gathering;
use super::Parser;
use super::task::SETTINGS;
use crate::inventory::Vars;
use crate::inventory::diagnostic::Diagnostic;
use crate::inventory::diagnostic::Position;
use crate::inventory::diagnostic::did_you_mean;
use crate::inventory::document::Content;
use crate::inventory::document::Key;
use crate::inventory::document::Node;
use crate::playbook::modules::ModuleRef;
use crate::playbook::modules::spec::scalar_text;
use crate::playbook::play::BatchSize;
use crate::playbook::play::Node as PlayNode;
use crate::playbook::play::Order;
use crate::playbook::play::Play;
use crate::playbook::play::Prompt;
use crate::playbook::play::RoleNames;
use crate::playbook::play::Shared;
use crate::playbook::play::Strategy;
use crate::playbook::play::Task;
use crate::playbook::settings::Flag;
use crate::playbook::settings::Settings;
use crate::playbook::template;

/// The keys of a play beside the settings of its tasks.
const PLAY_KEYS: [&str; 17] = [
    "name",
    "hosts",
    "serial",
    "order",
    "strategy",
    "max_fail_percentage",
    "gather_facts",
    "gather_subset",
    "vars_prompt",
    "user",
    "force_handlers",
    "vars_files",
    "pre_tasks",
    "roles",
    "tasks",
    "post_tasks",
    "handlers",
];

/// The keys of a play in Ansible that muster does not implement.
const ANSIBLE_PLAY_KEYS: [&str; 7] =
    ["become_exe", "become_flags", "debugger", "fact_path", "gather_timeout", "port", "validate_argspec"];

/// The keys of an entry of `vars_prompt`.
const PROMPT_KEYS: [&str; 9] =
    ["name", "prompt", "default", "private", "confirm", "encrypt", "salt", "salt_size", "unsafe"];

impl Parser<'_> {
    pub(super) fn play(&self, node: &Node, inherited: &Settings) -> Result<Play, Diagnostic> {
        let mut play = Play {
            file: Arc::clone(&self.file),
            name: String::new(),
            hosts: String::new(),
            at: node.at,
            hosts_at: node.at,
            serial: Vec::new(),
            order: Order::default(),
            strategy: Strategy::default(),
            max_fail_percentage: None,
            gather_facts: None,
            gather_subset: None,
            prompts: Vec::new(),
            vars: Arc::default(),
            tags: Vec::new(),
            roles: RoleNames::default(),
            shared: Shared::default(),
            tasks: Arc::default(),
        };
        let entries = self.map(node, "a play")?;
        let (mut inherited, imported) = (inherited.clone(), Arc::clone(&inherited.vars));
        self.found.take();
        let mut vars = Vars::new();
        for (key, node) in entries {
            match key.text.as_str() {
                "vars" => {
                    self.check_templates(key, node)?;
                    vars = self.vars(node)?;
                }
                _ => self.play_key(key, node, &mut play, &mut inherited)?,
            }
        }
        if play.hosts.is_empty() {
            return Err(self.error(node.at, "the play does not say for which `hosts` it is"));
        }
        if play.name.is_empty() {
            play.name.clone_from(&play.hosts);
        }
        vars.extend(self.vars_files(entries)?);
        vars.extend(imported.iter().map(|(name, value)| (name.clone(), value.clone())));
        play.vars = Arc::new(vars);
        play.tags.clone_from(&inherited.tags);
        let mut tasks = self.sections(entries, &inherited)?;
        tasks.splice(0..0, self.gathering(&play, &inherited)?);
        play.tasks = tasks.into();
        if entries
            .iter()
            .find(|(key, _)| key.text == "force_handlers")
            .map_or(Ok(false), |(key, node)| self.flag(key, node))?
        {
            play.force_handlers();
        }
        let handlers = entries.iter().find(|(key, _)| key.text == "handlers");
        let handlers = handlers.map_or(Ok(Vec::new()), |(_, node)| self.handlers(node, &inherited))?;
        let found = self.found.take();
        play.roles = found.names;
        // As in Ansible: of the handlers with one name, those of the list that comes last win.
        let handlers = found.handlers.into_iter().chain(handlers).chain(found.imported).collect();
        play.shared = Shared { handlers, defaults: found.defaults.into(), vars: found.vars.into() };
        if !found.is_open {
            self.check_notified(node.at, &play, found.later)?;
        }
        Ok(play)
    }

    /// Reads a key of a play.
    fn play_key(&self, key: &Key, node: &Node, play: &mut Play, inherited: &mut Settings) -> Result<(), Diagnostic> {
        match key.text.as_str() {
            "name" => play.name = self.text(key, node)?,
            "hosts" => (play.hosts, play.hosts_at) = (self.texts(key, node)?.join(","), node.at),
            "serial" => play.serial = self.serial(node)?,
            "order" => play.order = self.order(key, node)?,
            "strategy" => play.strategy = self.strategy(key, node)?,
            "max_fail_percentage" => play.max_fail_percentage = Some(self.percentage(node)?),
            "gather_facts" => play.gather_facts = Some(self.setting(key, node)?),
            "gather_subset" => play.gather_subset = Some(node.value()),
            "vars_prompt" => play.prompts = self.prompts(node)?,
            "user" => inherited.remote_user = Some(self.text(key, node)?),
            "force_handlers" | "pre_tasks" | "roles" | "tasks" | "post_tasks" | "handlers" | "vars_files" => {}
            "when" => return Err(self.unknown("a play", key, &PLAY_KEYS)),
            _ if self.inherit(key, node, inherited)? => {}
            text if ANSIBLE_PLAY_KEYS.contains(&text) => return Err(self.unsupported("a play", key)),
            _ => return Err(self.unknown("a play", key, &[&PLAY_KEYS[..], &SETTINGS].concat())),
        }
        Ok(())
    }

    /// Returns the task that gathers facts, if the play does.
    fn gathering(&self, play: &Play, inherited: &Settings) -> Result<Option<PlayNode>, Diagnostic> {
        let mut settings = inherited.clone();
        settings.tags.push("always".to_owned());
        match &play.gather_facts {
            Some(Flag::Off) => return Ok(None),
            None if self.options.gathering == Gathering::Explicit => return Ok(None),
            None | Some(Flag::On) => {}
            Some(Flag::Template(template)) => {
                let expression = template.trim().trim_start_matches("{{").trim_end_matches("}}").trim();
                template::check(expression)
                    .map_err(|why| self.error(play.hosts_at, format!("`gather_facts`: {why}")))?;
                settings.when.push(expression.to_owned());
            }
        }
        let Some(module) = ModuleRef::named("setup") else { return Ok(None) };
        let subset = play.gather_subset.clone().map(|subset| ("gather_subset".to_owned(), subset));
        let task = Task {
            file: Arc::clone(&self.file),
            origin: Arc::clone(&self.origin),
            at: Position::default(),
            name: "Gathering Facts".to_owned(),
            action: "gather_facts".to_owned(),
            module,
            args: subset.into_iter().collect(),
            settings,
            register: None,
            listen: Vec::new(),
            looping: None,
            retry: None,
            background: None,
            changed_when: None,
            failed_when: None,
            including: None,
        };
        Ok(Some(PlayNode::Task(Arc::new(task))))
    }

    /// Reads the tasks of a play. After each of its three lists, the handlers run that were notified.
    fn sections(&self, entries: &[(Key, Node)], inherited: &Settings) -> Result<Vec<PlayNode>, Diagnostic> {
        let entry = |name: &str| entries.iter().find(|(key, _)| key.text == name);
        let mut all = Vec::new();
        for (roles, name) in [(None, "pre_tasks"), (entry("roles"), "tasks"), (None, "post_tasks")] {
            let list = entry(name);
            if list.is_none() && roles.is_none() {
                continue;
            }
            let mut tasks = roles.map_or(Ok(Vec::new()), |(_, node)| Ok(self.roles(node, inherited)?.nodes))?;
            if let Some((_, node)) = list {
                tasks.extend(self.nodes(node, &format!("`{name}`"), inherited)?);
            }
            all.extend(tasks);
            all.push(PlayNode::Flush);
        }
        Ok(all)
    }

    /// Reads the handlers of a play, which cannot be blocks.
    pub(super) fn handlers(&self, node: &Node, inherited: &Settings) -> Result<Vec<PlayNode>, Diagnostic> {
        for handler in self.list(node, "`handlers`")? {
            let entries = self.map(handler, "a handler")?;
            if let Some((key, _)) = entries.iter().find(|(key, _)| key.text == "block") {
                return Err(self.error(key.at, "a handler cannot be a block").hint("Make each task a handler."));
            }
        }
        self.nodes(node, "`handlers`", inherited)
    }

    /// Checks that every handler exists that a task notifies. `later` are those that included roles bring.
    fn check_notified(&self, at: Position, play: &Play, later: Vec<PlayNode>) -> Result<(), Diagnostic> {
        let mut shared = play.shared.clone();
        shared.extend(Shared { handlers: later.into(), ..Shared::default() });
        if shared.handlers.iter().filter_map(PlayNode::task).any(|handler| handler.has_template_name()) {
            return Ok(());
        }
        for task in play.all_tasks() {
            let unknown = |name: &&String| !name.contains("{{") && shared.notified_by(name).is_empty();
            if let Some(name) = task.settings.notify.iter().find(unknown) {
                let at = if task.at == Position::default() { at } else { task.at };
                let mut error = self.error(at, format!("the play has no handler called `{name}`"));
                let handlers = shared.handlers.iter().filter_map(PlayNode::task);
                error.hint = did_you_mean(name, handlers.map(|handler| handler.name.as_str()));
                return Err(error);
            }
        }
        Ok(())
    }

    fn serial(&self, node: &Node) -> Result<Vec<BatchSize>, Diagnostic> {
        let size = |node: &Node| {
            let size = Some(node).filter(|node| matches!(node.content, Content::Scalar(_)));
            size.and_then(|node| BatchSize::of(&node.value()))
                .ok_or_else(|| self.error(node.at, "`serial` must be a number of hosts or a share such as \"30%\""))
        };
        match &node.content {
            Content::List(items) => items.iter().map(size).collect(),
            _ => Ok(vec![size(node)?]),
        }
    }

    fn order(&self, key: &Key, node: &Node) -> Result<Order, Diagnostic> {
        Ok(match self.text(key, node)?.as_str() {
            "inventory" | "default" => Order::Inventory,
            "reverse_inventory" => Order::ReverseInventory,
            "sorted" => Order::Sorted,
            "reverse_sorted" => Order::ReverseSorted,
            "shuffle" => Order::Shuffle,
            other => return Err(self.error(node.at, format!("there is no `order` {other}"))),
        })
    }

    /// Reads the strategy. With `host_pinned` a host that has begun goes on before another one begins, which `free` allows.
    fn strategy(&self, key: &Key, node: &Node) -> Result<Strategy, Diagnostic> {
        match self.text(key, node)?.trim_start_matches("ansible.builtin.") {
            "linear" => Ok(Strategy::Linear),
            "free" | "host_pinned" => Ok(Strategy::Free),
            other => {
                Err(self.error(node.at, format!("muster has no `strategy` {other}")).hint("It has linear and free."))
            }
        }
    }

    fn percentage(&self, node: &Node) -> Result<f64, Diagnostic> {
        let text = scalar_text(&node.value()).unwrap_or_default();
        let percentage = text.trim_end_matches('%').parse().ok().filter(|share| (0.0..=100.0).contains(share));
        percentage.ok_or_else(|| self.error(node.at, "`max_fail_percentage` must be a number from 0 to 100"))
    }

    fn prompts(&self, node: &Node) -> Result<Vec<Prompt>, Diagnostic> {
        self.list(node, "`vars_prompt`")?.iter().map(|node| self.prompt(node)).collect()
    }

    fn prompt(&self, node: &Node) -> Result<Prompt, Diagnostic> {
        let (name, question) = (String::new(), String::new());
        let (encrypt, salt, salt_size) = Default::default();
        let (default, private, confirm, is_data) = (None, true, false, false);
        let mut prompt = Prompt { name, question, default, private, confirm, encrypt, salt, salt_size, is_data };
        let mut has_question = false;
        for (key, node) in self.map(node, "an entry of `vars_prompt`")? {
            match key.text.as_str() {
                "name" => prompt.name = self.variable(key, node)?,
                "prompt" => {
                    prompt.question = self.text(key, node)?;
                    has_question = true;
                }
                "default" => prompt.default = Some(node.value()),
                "private" => prompt.private = self.flag(key, node)?,
                "confirm" => prompt.confirm = self.flag(key, node)?,
                "encrypt" => prompt.encrypt = Some(self.text(key, node)?).filter(|kind| !kind.is_empty()),
                "salt" => prompt.salt = node.value(),
                "salt_size" => prompt.salt_size = node.value(),
                "unsafe" => prompt.is_data = self.flag(key, node)?,
                _ => return Err(self.unknown("an entry of `vars_prompt`", key, &PROMPT_KEYS)),
            }
        }
        if prompt.name.is_empty() {
            return Err(self.error(node.at, "the entry of `vars_prompt` has no `name`"));
        }
        if !has_question {
            prompt.question.clone_from(&prompt.name);
        }
        Ok(prompt)
    }
}
