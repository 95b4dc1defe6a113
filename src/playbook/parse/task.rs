//! Tasks and blocks, and the settings that they inherit.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::Parser;
use crate::inventory::Vars;
use crate::inventory::diagnostic::Diagnostic;
use crate::inventory::document::Content;
use crate::inventory::document::Key;
use crate::inventory::document::Node;
use crate::playbook::background;
use crate::playbook::free_form::comma_words;
use crate::playbook::loops::LoopKind;
use crate::playbook::modules::ModuleRef;
use crate::playbook::modules::RunsIn;
use crate::playbook::play::Background;
use crate::playbook::play::Block;
use crate::playbook::play::Including;
use crate::playbook::play::Loop;
use crate::playbook::play::Node as PlayNode;
use crate::playbook::play::Retry;
use crate::playbook::play::Task;
use crate::playbook::run_as;
use crate::playbook::settings::Flag;
use crate::playbook::settings::Settings;
use crate::playbook::template;

/// The keys of a task in Ansible that muster does not implement.
const ANSIBLE_TASK_KEYS: [&str; 4] = ["become_exe", "become_flags", "debugger", "port"];

/// The keys of a task beside its module and its settings.
const TASK_KEYS: [&str; 14] = [
    "name",
    "args",
    "register",
    "notify",
    "listen",
    "loop",
    "changed_when",
    "failed_when",
    "loop_control",
    "until",
    "retries",
    "delay",
    "async",
    "poll",
];

/// The keys that an import may have without effect.
const OF_ONE_TASK: [&str; 10] =
    ["name", "register", "notify", "changed_when", "failed_when", "until", "retries", "delay", "async", "poll"];

/// The keys of the settings that tasks inherit.
pub(super) const SETTINGS: [&str; 22] = [
    "vars",
    "when",
    "tags",
    "become",
    "become_user",
    "become_method",
    "check_mode",
    "diff",
    "ignore_errors",
    "ignore_unreachable",
    "any_errors_fatal",
    "run_once",
    "no_log",
    "environment",
    "delegate_to",
    "delegate_facts",
    "connection",
    "remote_user",
    "timeout",
    "throttle",
    "module_defaults",
    "collections",
];

/// The keys that name the module in their value.
const ACTIONS: [&str; 2] = ["action", "local_action"];

/// The keys of a block beside its settings.
const BLOCK_KEYS: [&str; 5] = ["name", "block", "rescue", "always", "notify"];

/// The settings that a task may have which includes others. What the others get stands under `apply`.
const INCLUDE_SETTINGS: [&str; 6] = ["vars", "when", "ignore_errors", "run_once", "no_log", "tags"];

/// The keys of `loop_control`.
const LOOP_CONTROL: [&str; 7] =
    ["loop_var", "index_var", "label", "pause", "break_when", "extended", "extended_allitems"];

/// Reports whether a key of a task is not its module.
pub(super) fn is_task_key(key: &str) -> bool {
    TASK_KEYS.contains(&key) || ACTIONS.contains(&key) || SETTINGS.contains(&key) || LoopKind::of(key).is_some()
}

impl Parser<'_> {
    /// Reads a list of tasks and blocks.
    pub(super) fn nodes(&self, node: &Node, what: &str, inherited: &Settings) -> Result<Vec<PlayNode>, Diagnostic> {
        let mut nodes = Vec::new();
        for node in self.list(node, what)? {
            match self.import(node, inherited)? {
                Some(imported) => nodes.extend(imported),
                None => nodes.push(self.node(node, inherited)?),
            }
        }
        Ok(nodes)
    }

    fn node(&self, node: &Node, inherited: &Settings) -> Result<PlayNode, Diagnostic> {
        let entries = self.map(node, "a task")?;
        if entries.iter().any(|(key, _)| key.text == "block") {
            self.block(entries, inherited.clone()).map(|block| PlayNode::Block(Arc::new(block)))
        } else {
            self.task(node, entries, inherited).map(|task| PlayNode::Task(Arc::new(task)))
        }
    }

    /// Returns the settings of imported tasks. As in Ansible, what only a task can have has no effect on them.
    pub(super) fn inherit_all(
        &self,
        entries: &[(Key, Node)],
        import: &str,
        inherited: &Settings,
    ) -> Result<Settings, Diagnostic> {
        let mut inherited = inherited.clone();
        let is_ignored = |key: &Key| key.text == import || OF_ONE_TASK.contains(&key.text.as_str());
        for (key, node) in entries.iter().filter(|(key, _)| !is_ignored(key)) {
            if !self.inherit(key, node, &mut inherited)? {
                return Err(self.error(key.at, format!("`{import}` takes no `{}`", key.text)));
            }
        }
        Ok(inherited)
    }

    pub(super) fn block(&self, entries: &[(Key, Node)], mut inherited: Settings) -> Result<Block, Diagnostic> {
        for (key, node) in entries {
            match key.text.as_str() {
                "name" => drop(self.text(key, node)?),
                "notify" => inherited.notify = self.texts(key, node)?,
                "block" | "rescue" | "always" => {}
                _ if self.inherit(key, node, &mut inherited)? => {}
                text if ANSIBLE_TASK_KEYS.contains(&text) => return Err(self.unsupported("a block", key)),
                _ => return Err(self.unknown("a block", key, &[&BLOCK_KEYS[..], &SETTINGS].concat())),
            }
        }
        let section = |name: &str| match entries.iter().find(|(key, _)| key.text == name) {
            Some((_, node)) => self.nodes(node, &format!("`{name}`"), &inherited).map(Arc::from),
            None => Ok(Arc::default()),
        };
        Ok(Block { body: section("block")?, rescue: section("rescue")?, always: section("always")? })
    }

    /// Reads a setting that tasks inherit, and reports whether the key is one. A task's own conditions come after those of
    /// its block.
    pub(super) fn inherit(&self, key: &Key, node: &Node, inherited: &mut Settings) -> Result<bool, Diagnostic> {
        if SETTINGS.contains(&key.text.as_str()) {
            self.check_templates(key, node)?;
        }
        match key.text.as_str() {
            "vars" => Arc::make_mut(&mut inherited.vars).extend(self.vars(node)?),
            "when" => inherited.when.extend(self.conditions(key, node)?),
            "become" => inherited.r#become.on = self.setting(key, node)?,
            "become_user" => inherited.r#become.user = Some(self.text(key, node)?),
            "become_method" => inherited.r#become.method = Some(self.become_method(key, node)?),
            "check_mode" => inherited.check = Some(self.setting(key, node)?),
            "ignore_errors" => inherited.ignore_errors = self.setting(key, node)?,
            "ignore_unreachable" => inherited.ignore_unreachable = self.setting(key, node)?,
            "any_errors_fatal" => inherited.any_errors_fatal = self.setting(key, node)?,
            "run_once" => inherited.run_once = self.setting(key, node)?,
            "no_log" => inherited.no_log = self.setting(key, node)?,
            "environment" => inherited.environment.extend(self.environment(node)?),
            "delegate_to" => inherited.delegate_to = Some(self.text(key, node)?),
            "delegate_facts" => inherited.delegate_facts = self.setting(key, node)?,
            "connection" => inherited.connection = Some(self.connection(key, node)?),
            "remote_user" => inherited.remote_user = Some(self.text(key, node)?),
            "timeout" => inherited.timeout = Some(self.number(key, node)?),
            "throttle" => inherited.throttle = Some(self.number(key, node)?),
            "module_defaults" => self.module_defaults(node, inherited)?,
            "diff" => inherited.diff = Some(self.setting(key, node)?),
            // muster has its modules in itself.
            "collections" => {}
            "tags" => inherited.tags.extend(self.tags(key, node)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Reads something that is so or not, or a template of that.
    pub(super) fn setting(&self, key: &Key, node: &Node) -> Result<Flag, Diagnostic> {
        match &node.content {
            Content::Scalar(Value::String(text)) if template::is_template(text) => Ok(Flag::Template(text.clone())),
            Content::Scalar(Value::String(text)) if template::parse_bool(text).is_some() => {
                Ok(template::parse_bool(text).unwrap_or_default().into())
            }
            _ => self.flag(key, node).map(Flag::from),
        }
    }

    /// Reads the variables of the environment: a map, a template of one, or a list of both.
    fn environment(&self, node: &Node) -> Result<Vec<Value>, Diagnostic> {
        match &node.content {
            Content::List(items) => {
                Ok(items.iter().map(|item| self.environment(item)).collect::<Result<Vec<_>, _>>()?.concat())
            }
            Content::Map(_) => Ok(vec![node.value()]),
            Content::Scalar(Value::String(text)) if template::is_template(text) => Ok(vec![node.value()]),
            _ if node.is_null() => Ok(Vec::new()),
            Content::Scalar(_) => Err(self.error(node.at, format!("`environment` must be a map, not {}", node.kind()))),
        }
    }

    fn become_method(&self, key: &Key, node: &Node) -> Result<String, Diagnostic> {
        let method = self.text(key, node)?;
        if run_as::is_known(&method) || template::is_template(&method) {
            return Ok(method);
        }
        let error = self.error(node.at, format!("muster cannot become a user with `{method}`"));
        Err(error.hint("It becomes users with sudo, or with su as root."))
    }

    fn connection(&self, key: &Key, node: &Node) -> Result<String, Diagnostic> {
        let connection = self.text(key, node)?;
        match connection.as_str() {
            "ssh" | "smart" | "paramiko" | "local" | "ansible.builtin.ssh" | "ansible.builtin.local" => Ok(connection),
            text if template::is_template(text) => Ok(connection),
            _ => {
                let error = self.error(node.at, format!("muster has no connection `{connection}`"));
                Err(error.hint("It reaches hosts by ssh, and its own machine by local."))
            }
        }
    }

    /// Reads the arguments that modules have unless a task gives others.
    fn module_defaults(&self, node: &Node, inherited: &mut Settings) -> Result<(), Diagnostic> {
        for (key, node) in self.map(node, "`module_defaults`")? {
            let Some(module) = ModuleRef::named(&key.text) else {
                return Err(self.error(key.at, format!("muster has no module `{}`", key.text)));
            };
            let args = self.named(module, node)?;
            let entry = inherited.module_defaults.entry(module.name()).or_insert_with(|| Value::Object(Vars::new()));
            if let Some(entry) = entry.as_object_mut() {
                entry.extend(args);
            }
        }
        Ok(())
    }

    pub(super) fn task(&self, node: &Node, entries: &[(Key, Node)], inherited: &Settings) -> Result<Task, Diagnostic> {
        let (module, action, args) = self.module(node, entries)?;
        let args = &*args;
        let mut settings = inherited.clone();
        for (key, node) in entries {
            if !self.inherit(key, node, &mut settings)? {
                self.check_templates(key, node)?;
            }
        }
        if entries.iter().any(|(key, _)| key.text == "local_action") {
            settings.delegate_to = Some("localhost".to_owned());
        }
        let more = entries.iter().find(|(key, _)| key.text == "args").map(|(_, more)| more);
        let mut task = Task {
            file: Arc::clone(&self.file),
            at: node.at,
            origin: Arc::clone(&self.origin),
            name: action.to_owned(),
            action: action.to_owned(),
            module,
            args: self.args(module, args, (more, settings.module_defaults.get(module.name())))?,
            settings,
            register: None,
            listen: Vec::new(),
            looping: self.looping(entries)?,
            retry: self.retry(entries)?,
            background: self.background(module, entries)?,
            changed_when: None,
            failed_when: None,
            including: None,
        };
        for (key, node) in entries {
            match key.text.as_str() {
                "name" => task.name = self.text(key, node)?,
                "register" => task.register = Some(self.variable(key, node)?),
                "notify" => task.settings.notify = self.texts(key, node)?,
                "listen" => task.listen = self.texts(key, node)?,
                "changed_when" => task.changed_when = Some(self.conditions(key, node)?),
                "failed_when" => task.failed_when = Some(self.conditions(key, node)?),
                _ => {}
            }
        }
        if module.runs_in() == RunsIn::Tasks {
            self.including(&mut task, entries, args, inherited)?;
        }
        Ok(task)
    }

    /// Reads what the tasks begin with that a task includes, and checks the file if its name is no template.
    fn including(
        &self,
        task: &mut Task,
        entries: &[(Key, Node)],
        args: &Node,
        inherited: &Settings,
    ) -> Result<(), Diagnostic> {
        let (name, mut settings) = (task.module.name(), inherited.clone());
        for (key, _) in entries {
            let is_setting = SETTINGS.contains(&key.text.as_str());
            if is_setting && !INCLUDE_SETTINGS.contains(&key.text.as_str()) {
                let error = self.error(key.at, format!("`{name}` takes no `{}`", key.text));
                return Err(error.hint("Write it under `apply` in its arguments, for the tasks that it includes."));
            }
        }
        if let Some(role) = task.args.get("name").and_then(Value::as_str).filter(|_| task.name == task.action) {
            task.name = format!("{} : {role}", task.action);
        }
        settings.vars.clone_from(&task.settings.vars);
        if let Some((_, node)) = entries.iter().find(|(key, _)| key.text == "vars") {
            Arc::make_mut(&mut settings.include_vars).extend(self.vars(node)?);
        }
        let apply = args.entry("apply").map_or(Ok(&[][..]), |node| self.map(node, "`apply`"))?;
        for (key, node) in apply {
            if !self.inherit(key, node, &mut settings)? {
                return Err(self.unknown("`apply`", key, &SETTINGS));
            }
        }
        task.args.shift_remove("apply");
        task.including = Some(Arc::new(Including { settings, depth: self.depth }));
        self.check_include(task)
    }

    /// Reads `async` and `poll`.
    fn background(&self, module: ModuleRef, entries: &[(Key, Node)]) -> Result<Option<Background>, Diagnostic> {
        let entry = |name: &str| entries.iter().find(|(key, _)| key.text == name);
        let Some((key, node)) = entry("async") else { return Ok(None) };
        let fault = match module.runs_in() {
            // As in Ansible, it has no effect there.
            RunsIn::Play => return Ok(None),
            RunsIn::Host => background::fault(module.name()),
            _ => Some(format!("`{}` does not run in the background", module.name())),
        };
        let limit = self.number(key, node)?;
        // A template may be 0, which is no background.
        if let Some(fault) =
            fault.filter(|_| !template::has_template(&limit) && template::text_of(&limit).parse() != Ok(0.0))
        {
            return Err(self
                .error(key.at, fault)
                .hint("Leave out `async`, which Ansible refuses for this module too."));
        }
        let poll = entry("poll").map(|(key, node)| self.number(key, node)).transpose()?;
        Ok(Some(Background { limit, poll }))
    }

    /// Returns the module of a task, its name as it is written, and its arguments. Any key that is neither is an error.
    fn module<'n>(
        &self,
        node: &Node,
        entries: &'n [(Key, Node)],
    ) -> Result<(ModuleRef, &'n str, Cow<'n, Node>), Diagnostic> {
        if let Some((_, node)) = entries.iter().find(|(key, _)| ACTIONS.contains(&key.text.as_str())) {
            return self.action(node).map(|(module, name, args)| (module, name, Cow::Owned(args)));
        }
        let modules: Vec<_> =
            entries.iter().filter_map(|(key, args)| Some((ModuleRef::named(&key.text)?, key, args))).collect();
        let stray = entries.iter().find(|(key, _)| !is_task_key(&key.text) && ModuleRef::named(&key.text).is_none());
        if let Some((key, _)) = stray {
            if ANSIBLE_TASK_KEYS.contains(&key.text.as_str()) || key.text.starts_with("with_") {
                return Err(self.unsupported("a task", key));
            }
            let known: Vec<&str> = ModuleRef::all().map(ModuleRef::name).chain(TASK_KEYS).chain(SETTINGS).collect();
            return Err(self.unknown("a task", key, &known));
        }
        match modules[..] {
            [(module, key, args)] => Ok((module, key.text.as_str(), Cow::Borrowed(args))),
            [] => {
                let mut names: Vec<&str> = ModuleRef::all().map(ModuleRef::name).collect();
                names.sort_unstable();
                Err(self.error(node.at, "the task names no module").hint(format!("One of: {}.", names.join(", "))))
            }
            [(first, ..), (second, key, _), ..] => {
                let what = format!("a task is for one module, not for `{}` and `{}`", first.name(), second.name());
                Err(self.error(key.at, what))
            }
        }
    }

    /// Reads the module of `action` or `local_action`: before its arguments on one line, or as `module` among them.
    fn action<'n>(&self, node: &'n Node) -> Result<(ModuleRef, &'n str, Node), Diagnostic> {
        let line = node.text().unwrap_or_default().trim();
        let (mut name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let mut args = Content::Scalar(if rest.trim().is_empty() { Value::Null } else { rest.trim().into() });
        if let Content::Map(entries) = &node.content {
            name = node.entry("module").and_then(Node::text).unwrap_or_default();
            args = Content::Map(entries.iter().filter(|(key, _)| key.text != "module").cloned().collect());
        }
        let module = ModuleRef::named(name);
        let module = module.ok_or_else(|| self.error(node.at, format!("muster has no module `{name}`")))?;
        Ok((module, name, node.with(args)))
    }

    /// Reads the loop of a task: `loop` or one of `with_*`, and `loop_control`.
    fn looping(&self, entries: &[(Key, Node)]) -> Result<Option<Loop>, Diagnostic> {
        let loops: Vec<_> =
            entries.iter().filter_map(|(key, node)| Some((LoopKind::of(&key.text)?, key, node))).collect();
        let (kind, node) = match loops[..] {
            [] => return Ok(None),
            [(kind, _, node)] => (kind, node),
            [(_, first, _), (_, second, _), ..] => {
                let what = format!("a task has one loop, not `{}` and `{}`", first.text, second.text);
                return Err(self.error(second.at, what));
            }
        };
        if node.is_null() {
            return Err(self.error(node.at, "a loop needs a value".to_owned()));
        }
        let template = node.text().is_some_and(|text| text.contains("{{"));
        if kind == LoopKind::Loop && !template && !matches!(node.content, Content::List(_)) {
            return Err(self.error(node.at, format!("`loop` must be a list, not {}", node.kind())));
        }
        let (var, pause) = ("item".to_owned(), Duration::ZERO);
        let (value, break_when) = (node.value(), Vec::new());
        let mut looping = Loop { kind, value, var, index_var: None, label: None, break_when, pause, extended: false };
        let control = entries.iter().find(|(key, _)| key.text == "loop_control").map(|(_, node)| node);
        for (key, node) in control.map_or(Ok(&[][..]), |node| self.map(node, "`loop_control`"))? {
            match key.text.as_str() {
                "loop_var" => looping.var = self.variable(key, node)?,
                "index_var" => looping.index_var = Some(self.variable(key, node)?),
                "label" => looping.label = Some(self.text(key, node)?),
                "break_when" => looping.break_when = self.conditions(key, node)?,
                "pause" => looping.pause = self.seconds(key, node)?,
                "extended" => looping.extended = self.flag(key, node)?,
                "extended_allitems" => drop(self.flag(key, node)?),
                _ => return Err(self.unknown("`loop_control`", key, &LOOP_CONTROL)),
            }
        }
        Ok(Some(looping))
    }

    /// Reads `until`, `retries` and `delay`.
    fn retry(&self, entries: &[(Key, Node)]) -> Result<Option<Retry>, Diagnostic> {
        let mut retry = Retry { until: Vec::new(), retries: None, delay: None };
        for (key, node) in entries {
            match key.text.as_str() {
                "until" => retry.until = self.conditions(key, node)?,
                "retries" => retry.retries = Some(self.number(key, node)?),
                "delay" => retry.delay = Some(self.number(key, node)?),
                _ => {}
            }
        }
        Ok((!retry.until.is_empty() || retry.retries.is_some()).then_some(retry))
    }

    /// Reads a number that is not negative, or a template of one.
    fn number(&self, key: &Key, node: &Node) -> Result<Value, Diagnostic> {
        let value = node.value();
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if template::has_template(&value) || text.parse::<f64>().is_ok_and(|number| number >= 0.0) {
            return Ok(value);
        }
        Err(self.error(node.at, format!("`{}` must be a number, not {}", key.text, node.kind())))
    }

    fn seconds(&self, key: &Key, node: &Node) -> Result<Duration, Diagnostic> {
        let seconds = node.value().as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        seconds.ok_or_else(|| self.error(node.at, format!("`{}` must be a number of seconds", key.text)))
    }

    /// Reads tags: a list, or words between commas.
    fn tags(&self, key: &Key, node: &Node) -> Result<Vec<String>, Diagnostic> {
        Ok(self.texts(key, node)?.iter().flat_map(|text| comma_words(text)).collect())
    }

    pub(super) fn variable(&self, key: &Key, node: &Node) -> Result<String, Diagnostic> {
        let name = self.text(key, node)?;
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !name.chars().all(word) || name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(self.error(node.at, format!("`{name}` cannot be a variable's name")));
        }
        Ok(name)
    }
}
