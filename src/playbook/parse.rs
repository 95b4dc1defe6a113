//! The playbook parser: YAML in, typed plays out. An unknown key is an error and is never ignored.

use std::path::Path;

use serde_json::Value;

use super::free_form;
use super::module::Module;
use super::play::BatchSize;
use super::play::Play;
use super::play::Playbook;
use super::play::Task;
use crate::inventory::Vars;
use crate::inventory::diagnostic::Diagnostic;
use crate::inventory::diagnostic::Position;
use crate::inventory::diagnostic::did_you_mean;
use crate::inventory::document;
use crate::inventory::document::Content;
use crate::inventory::document::Key;
use crate::inventory::document::Node;

/// The keys of a play.
const PLAY_KEYS: [&str; 9] =
    ["name", "hosts", "serial", "vars", "become", "become_user", "gather_facts", "tasks", "handlers"];

/// The keys of a play in Ansible that muster does not implement.
const ANSIBLE_PLAY_KEYS: [&str; 25] = [
    "any_errors_fatal",
    "become_exe",
    "become_flags",
    "become_method",
    "check_mode",
    "connection",
    "diff",
    "environment",
    "force_handlers",
    "gather_subset",
    "ignore_errors",
    "ignore_unreachable",
    "import_playbook",
    "max_fail_percentage",
    "module_defaults",
    "no_log",
    "order",
    "port",
    "post_tasks",
    "pre_tasks",
    "remote_user",
    "roles",
    "strategy",
    "tags",
    "vars_files",
];

/// The keys of a task in Ansible that muster does not implement.
const ANSIBLE_TASK_KEYS: [&str; 24] = [
    "action",
    "always",
    "any_errors_fatal",
    "async",
    "become_method",
    "block",
    "connection",
    "delay",
    "delegate_facts",
    "delegate_to",
    "diff",
    "environment",
    "ignore_unreachable",
    "local_action",
    "loop_control",
    "module_defaults",
    "no_log",
    "poll",
    "rescue",
    "retries",
    "run_once",
    "tags",
    "throttle",
    "until",
];

/// The keys of a task beside its module.
const TASK_KEYS: [&str; 13] = [
    "name",
    "args",
    "vars",
    "when",
    "register",
    "notify",
    "loop",
    "ignore_errors",
    "changed_when",
    "failed_when",
    "become",
    "become_user",
    "check_mode",
];

/// Reads a playbook.
pub fn read(file: &Path, text: &str) -> Result<Playbook, Diagnostic> {
    let parser = Parser { file };
    let document = document::read(file, text)?;
    let plays = match &document.content {
        Content::List(plays) => plays.iter().map(|play| parser.play(play)).collect::<Result<_, _>>()?,
        _ if document.is_null() => Vec::new(),
        _ => {
            return Err(parser
                .error(document.at, format!("a playbook must be a list of plays, not {}", document.kind()))
                .hint("Begin each play with `- hosts: PATTERN`."));
        }
    };
    Ok(Playbook { file: file.to_owned(), plays })
}

struct Parser<'a> {
    file: &'a Path,
}

impl Parser<'_> {
    fn error(&self, at: Position, what: impl Into<String>) -> Diagnostic {
        Diagnostic::new(self.file, at, what)
    }

    fn map<'n>(&self, node: &'n Node, what: &str) -> Result<&'n [(Key, Node)], Diagnostic> {
        match &node.content {
            Content::Map(entries) => Ok(entries),
            _ => Err(self.error(node.at, format!("{what} must be a map, not {}", node.kind()))),
        }
    }

    fn list<'n>(&self, node: &'n Node, what: &str) -> Result<&'n [Node], Diagnostic> {
        match &node.content {
            Content::List(items) => Ok(items),
            _ if node.is_null() => Ok(&[]),
            _ => Err(self.error(node.at, format!("{what} must be a list, not {}", node.kind()))),
        }
    }

    fn text(&self, key: &Key, node: &Node) -> Result<String, Diagnostic> {
        match &node.content {
            Content::Scalar(Value::String(text)) => Ok(text.clone()),
            Content::Scalar(value @ Value::Number(_)) => Ok(value.to_string()),
            _ => Err(self.error(node.at, format!("`{}` must be text, not {}", key.text, node.kind()))),
        }
    }

    /// Reads one text or a list of them.
    fn texts(&self, key: &Key, node: &Node) -> Result<Vec<String>, Diagnostic> {
        match &node.content {
            Content::List(items) => items.iter().map(|item| self.text(key, item)).collect(),
            _ => Ok(vec![self.text(key, node)?]),
        }
    }

    fn flag(&self, key: &Key, node: &Node) -> Result<bool, Diagnostic> {
        match &node.content {
            Content::Scalar(Value::Bool(flag)) => Ok(*flag),
            _ => Err(self.error(node.at, format!("`{}` must be true or false, not {}", key.text, node.kind()))),
        }
    }

    /// Reads an expression, or a list of expressions that must all hold.
    fn conditions(&self, key: &Key, node: &Node) -> Result<Vec<String>, Diagnostic> {
        let condition = |node: &Node| {
            if let Content::Scalar(Value::Bool(flag)) = &node.content {
                return Ok(flag.to_string());
            }
            let text = self.text(key, node)?;
            if text.contains("{{") {
                let error = self.error(node.at, format!("`{}` is an expression already", key.text));
                return Err(error.hint("Write it without `{{ }}`."));
            }
            super::template::check(&text).map_err(|detail| self.error(node.at, format!("`{}`: {detail}", key.text)))?;
            Ok(text)
        };
        match &node.content {
            Content::List(items) => items.iter().map(condition).collect(),
            _ => Ok(vec![condition(node)?]),
        }
    }

    /// Makes a diagnostic of a key of Ansible's that muster does not implement.
    fn unsupported(&self, what: &str, key: &Key) -> Diagnostic {
        let error = self.error(key.at, format!("muster does not implement `{}` of {what}", key.text));
        error.hint("Remove it, or run this playbook with ansible-playbook.")
    }

    fn unknown(&self, what: &str, key: &Key, known: &[&str]) -> Diagnostic {
        let mut error = self.error(key.at, format!("{what} has no `{}`", key.text));
        error.hint = did_you_mean(&key.text, known.iter().copied())
            .or_else(|| Some(format!("The known keys are {}.", known.join(", "))));
        error
    }

    fn play(&self, node: &Node) -> Result<Play, Diagnostic> {
        let mut play = Play {
            name: String::new(),
            hosts: String::new(),
            hosts_at: node.at,
            serial: Vec::new(),
            vars: Vars::new(),
            root: false,
            tasks: Vec::new(),
            handlers: Vec::new(),
        };
        for (key, node) in self.map(node, "a play")? {
            match key.text.as_str() {
                "name" => play.name = self.text(key, node)?,
                "hosts" => (play.hosts, play.hosts_at) = (self.texts(key, node)?.join(","), node.at),
                "serial" => play.serial = self.serial(node)?,
                "vars" => play.vars = self.vars(node)?,
                "become" => play.root = self.flag(key, node)?,
                "become_user" => self.become_user(key, node)?,
                "gather_facts" => {
                    if self.flag(key, node)? {
                        return Err(self.error(node.at, "muster gathers no facts").hint("Say `gather_facts: false`."));
                    }
                }
                "tasks" => play.tasks = self.tasks(node, "`tasks`")?,
                "handlers" => play.handlers = self.tasks(node, "`handlers`")?,
                // It says where Ansible finds modules. muster has its modules in itself.
                "collections" => {}
                text if ANSIBLE_PLAY_KEYS.contains(&text) => return Err(self.unsupported("a play", key)),
                _ => return Err(self.unknown("a play", key, &PLAY_KEYS)),
            }
        }
        if play.hosts.is_empty() {
            return Err(self.error(node.at, "the play does not say for which `hosts` it is"));
        }
        if play.name.is_empty() {
            play.name.clone_from(&play.hosts);
        }
        self.check_notified(node.at, &play)?;
        Ok(play)
    }

    fn check_notified(&self, at: Position, play: &Play) -> Result<(), Diagnostic> {
        for task in play.tasks.iter().chain(&play.handlers) {
            let unknown =
                |name: &&String| !name.contains("{{") && !play.handlers.iter().any(|task| task.name == **name);
            if let Some(name) = task.notify.iter().find(unknown) {
                let at = if task.at == Position::default() { at } else { task.at };
                let mut error = self.error(at, format!("the play has no handler called `{name}`"));
                error.hint = did_you_mean(name, play.handlers.iter().map(|handler| handler.name.as_str()));
                return Err(error);
            }
        }
        Ok(())
    }

    fn vars(&self, node: &Node) -> Result<Vars, Diagnostic> {
        if node.is_null() {
            return Ok(Vars::new());
        }
        let entries = self.map(node, "`vars`")?;
        Ok(entries.iter().map(|(key, value)| (key.text.clone(), value.value())).collect())
    }

    fn serial(&self, node: &Node) -> Result<Vec<BatchSize>, Diagnostic> {
        let size = |node: &Node| {
            let size = match &node.content {
                Content::Scalar(Value::Number(number)) => {
                    number.as_u64().and_then(|n| n.try_into().ok()).map(BatchSize::Count)
                }
                Content::Scalar(Value::String(text)) => match text.strip_suffix('%') {
                    Some(share) => {
                        share.trim().parse().ok().filter(|share| (1..=100).contains(share)).map(BatchSize::Percent)
                    }
                    None => text.parse().ok().map(BatchSize::Count),
                },
                _ => None,
            };
            size.ok_or_else(|| self.error(node.at, "`serial` must be a number of hosts or a share such as \"30%\""))
        };
        match &node.content {
            Content::List(items) => items.iter().map(size).collect(),
            _ => Ok(vec![size(node)?]),
        }
    }

    fn tasks(&self, node: &Node, what: &str) -> Result<Vec<Task>, Diagnostic> {
        self.list(node, what)?.iter().map(|task| self.task(task)).collect()
    }

    fn task(&self, node: &Node) -> Result<Task, Diagnostic> {
        let entries = self.map(node, "a task")?;
        let modules: Vec<_> =
            entries.iter().filter_map(|(key, args)| Some((Module::named(&key.text)?, key, args))).collect();
        let stray = entries
            .iter()
            .find(|(key, _)| !TASK_KEYS.contains(&key.text.as_str()) && Module::named(&key.text).is_none());
        if let Some((key, _)) = stray {
            if ANSIBLE_TASK_KEYS.contains(&key.text.as_str()) || key.text.starts_with("with_") {
                return Err(self.unsupported("a task", key));
            }
            let known: Vec<&str> = Module::ALL.iter().map(|module| module.name()).chain(TASK_KEYS).collect();
            return Err(self.unknown("a task", key, &known));
        }
        let (module, args) = match modules[..] {
            [(module, _, args)] => (module, args),
            [] => {
                let names = Module::ALL.map(Module::name).join(", ");
                return Err(self.error(node.at, "the task names no module").hint(format!("One of: {names}.")));
            }
            [(first, ..), (second, key, _), ..] => {
                let what = format!("a task is for one module, not for `{}` and `{}`", first.name(), second.name());
                return Err(self.error(key.at, what));
            }
        };
        let mut task = Task {
            at: node.at,
            name: module.name().to_owned(),
            module,
            args: self.args(module, args, entries.iter().find(|(key, _)| key.text == "args").map(|(_, more)| more))?,
            vars: Vars::new(),
            when: Vec::new(),
            register: None,
            notify: Vec::new(),
            items: None,
            ignore_errors: false,
            changed_when: None,
            failed_when: None,
            root: None,
            check: None,
        };
        for (key, node) in entries {
            match key.text.as_str() {
                "name" => task.name = self.text(key, node)?,
                "when" => task.when = self.conditions(key, node)?,
                "register" => task.register = Some(self.variable(key, node)?),
                "notify" => task.notify = self.texts(key, node)?,
                "loop" => task.items = Some(self.items(node)?),
                "ignore_errors" => task.ignore_errors = self.flag(key, node)?,
                "changed_when" => task.changed_when = Some(self.conditions(key, node)?),
                "failed_when" => task.failed_when = Some(self.conditions(key, node)?),
                "become" => task.root = Some(self.flag(key, node)?),
                "become_user" => self.become_user(key, node)?,
                "check_mode" => task.check = Some(self.flag(key, node)?),
                "vars" => task.vars = self.vars(node)?,
                _ => {}
            }
        }
        Ok(task)
    }

    /// Checks `become_user`, which can only be root.
    fn become_user(&self, key: &Key, node: &Node) -> Result<(), Diagnostic> {
        match self.text(key, node)?.as_str() {
            "root" => Ok(()),
            user => {
                let error = self.error(node.at, format!("muster can become only root, not {user}"));
                Err(error.hint("Log in as that user, or use `sudo -u` (or `runuser -u`) in the command."))
            }
        }
    }

    fn items(&self, node: &Node) -> Result<Value, Diagnostic> {
        let template = node.text().is_some_and(|text| text.contains("{{"));
        if !template && !matches!(node.content, Content::List(_)) {
            return Err(self.error(node.at, format!("`loop` must be a list, not {}", node.kind())));
        }
        Ok(node.value())
    }

    fn variable(&self, key: &Key, node: &Node) -> Result<String, Diagnostic> {
        let name = self.text(key, node)?;
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !name.chars().all(word) || name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(self.error(node.at, format!("`{name}` cannot be a variable's name")));
        }
        Ok(name)
    }

    /// Reads a module's arguments. The module's own override those under `args`.
    fn args(&self, module: Module, node: &Node, more: Option<&Node>) -> Result<Vars, Diagnostic> {
        let what = format!("module `{}`", module.name());
        let mut args = match more {
            Some(more) => self.named(module, more)?,
            None => Vars::new(),
        };
        match &node.content {
            Content::Scalar(Value::String(line)) if module == Module::Command => {
                args.extend(self.free_form(node, line)?);
            }
            _ if node.is_null() => {}
            _ => args.extend(self.named(module, node)?),
        }
        for choice in module.required() {
            let given = choice.iter().filter(|name| args.contains_key(**name)).count();
            if given != 1 {
                let names: Vec<String> = choice.iter().map(|name| format!("`{name}`")).collect();
                let either = if choice.len() > 1 { "either " } else { "" };
                return Err(self.error(node.at, format!("{what} needs {either}{}", names.join(" or "))));
            }
        }
        for choice in module.exclusive() {
            if choice.iter().filter(|name| args.contains_key(**name)).count() > 1 {
                return Err(self.error(node.at, format!("{what} takes only one of {}", choice.join(", "))));
            }
        }
        Ok(args)
    }

    fn named(&self, module: Module, node: &Node) -> Result<Vars, Diagnostic> {
        let what = format!("module `{}`", module.name());
        let mut args = Vars::new();
        for (key, value) in self.map(node, &what)? {
            if !module.parameters().contains(&key.text.as_str()) {
                return Err(self.unknown(&what, key, module.parameters()));
            }
            args.insert(key.text.clone(), value.value());
        }
        Ok(args)
    }

    /// Reads a command that is written on one line with its options.
    fn free_form(&self, node: &Node, line: &str) -> Result<Vars, Diagnostic> {
        let form = free_form::read(line);
        let form = form.ok_or_else(|| self.error(node.at, "the quotes or the `{{ }}` in the command do not match"))?;
        let mut args = Vars::new();
        for (name, value) in form.options {
            if !Module::Command.parameters().contains(&name.as_str()) {
                let error = self.error(node.at, format!("module `command` has no `{name}`"));
                return Err(
                    error.hint(format!("If it is a word for the program, write it in quotes: \"{name}={value}\"."))
                );
            }
            args.insert(name, value.into());
        }
        if !form.command.is_empty() {
            args.insert("cmd".to_owned(), form.command.into());
        }
        Ok(args)
    }
}
