//! Tasks and blocks, and the settings that they inherit.

use std::sync::Arc;

use serde_json::Value;

use super::Parser;
use crate::inventory::Vars;
use crate::inventory::diagnostic::Diagnostic;
use crate::inventory::document::Content;
use crate::inventory::document::Key;
use crate::inventory::document::Node;
use crate::playbook::modules::ModuleRef;
use crate::playbook::play::Block;
use crate::playbook::play::Node as PlayNode;
use crate::playbook::play::Task;

/// The keys of a task in Ansible that muster does not implement.
const ANSIBLE_TASK_KEYS: [&str; 21] = [
    "action",
    "any_errors_fatal",
    "async",
    "become_method",
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
    "retries",
    "run_once",
    "tags",
    "throttle",
    "until",
];

/// The keys of a task beside its module.
const TASK_KEYS: [&str; 14] = [
    "name",
    "args",
    "vars",
    "when",
    "register",
    "notify",
    "listen",
    "loop",
    "ignore_errors",
    "changed_when",
    "failed_when",
    "become",
    "become_user",
    "check_mode",
];

/// The keys of a block.
const BLOCK_KEYS: [&str; 10] =
    ["name", "block", "rescue", "always", "vars", "when", "become", "become_user", "check_mode", "ignore_errors"];

/// The settings that tasks inherit from their block and their play.
#[derive(Debug, Clone, Default)]
pub(super) struct Inherited {
    vars: Vars,
    when: Vec<String>,
    root: bool,
    check: Option<bool>,
    ignore_errors: bool,
}

impl Parser<'_> {
    /// Reads a list of tasks and blocks.
    pub(super) fn nodes(&self, node: &Node, what: &str, inherited: &Inherited) -> Result<Vec<PlayNode>, Diagnostic> {
        self.list(node, what)?.iter().map(|node| self.node(node, inherited)).collect()
    }

    fn node(&self, node: &Node, inherited: &Inherited) -> Result<PlayNode, Diagnostic> {
        let entries = self.map(node, "a task")?;
        if entries.iter().any(|(key, _)| key.text == "block") {
            self.block(entries, inherited.clone()).map(|block| PlayNode::Block(Arc::new(block)))
        } else {
            self.task(node, entries, inherited.clone()).map(|task| PlayNode::Task(Arc::new(task)))
        }
    }

    fn block(&self, entries: &[(Key, Node)], mut inherited: Inherited) -> Result<Block, Diagnostic> {
        for (key, node) in entries {
            match key.text.as_str() {
                "name" => drop(self.text(key, node)?),
                "block" | "rescue" | "always" => {}
                text if BLOCK_KEYS.contains(&text) => self.inherit(key, node, &mut inherited)?,
                text if ANSIBLE_TASK_KEYS.contains(&text) => return Err(self.unsupported("a block", key)),
                _ => return Err(self.unknown("a block", key, &BLOCK_KEYS)),
            }
        }
        let section = |name: &str| match entries.iter().find(|(key, _)| key.text == name) {
            Some((_, node)) => self.nodes(node, &format!("`{name}`"), &inherited).map(Arc::from),
            None => Ok(Arc::default()),
        };
        Ok(Block { body: section("block")?, rescue: section("rescue")?, always: section("always")? })
    }

    /// Reads a setting that tasks inherit. A task's own conditions come after those of its block.
    pub(super) fn inherit(&self, key: &Key, node: &Node, inherited: &mut Inherited) -> Result<(), Diagnostic> {
        match key.text.as_str() {
            "vars" => inherited.vars.extend(self.vars(node)?),
            "when" => inherited.when.extend(self.conditions(key, node)?),
            "become" => inherited.root = self.flag(key, node)?,
            "become_user" => self.become_user(key, node)?,
            "check_mode" => inherited.check = Some(self.flag(key, node)?),
            "ignore_errors" => inherited.ignore_errors = self.flag(key, node)?,
            _ => {}
        }
        Ok(())
    }

    fn task(&self, node: &Node, entries: &[(Key, Node)], mut inherited: Inherited) -> Result<Task, Diagnostic> {
        let (module, args) = self.module(node, entries)?;
        for (key, node) in entries {
            self.inherit(key, node, &mut inherited)?;
        }
        let Inherited { vars, when, root, check, ignore_errors } = inherited;
        let mut task = Task {
            at: node.at,
            name: module.name().to_owned(),
            module,
            args: self.args(module, args, entries.iter().find(|(key, _)| key.text == "args").map(|(_, more)| more))?,
            vars,
            when,
            register: None,
            notify: Vec::new(),
            listen: Vec::new(),
            items: None,
            ignore_errors,
            changed_when: None,
            failed_when: None,
            root,
            check,
        };
        for (key, node) in entries {
            match key.text.as_str() {
                "name" => task.name = self.text(key, node)?,
                "register" => task.register = Some(self.variable(key, node)?),
                "notify" => task.notify = self.texts(key, node)?,
                "listen" => task.listen = self.texts(key, node)?,
                "loop" => task.items = Some(self.items(node)?),
                "changed_when" => task.changed_when = Some(self.conditions(key, node)?),
                "failed_when" => task.failed_when = Some(self.conditions(key, node)?),
                _ => {}
            }
        }
        Ok(task)
    }

    /// Returns the module of a task and its arguments. Any key that is neither is an error.
    fn module<'n>(&self, node: &Node, entries: &'n [(Key, Node)]) -> Result<(ModuleRef, &'n Node), Diagnostic> {
        let modules: Vec<_> =
            entries.iter().filter_map(|(key, args)| Some((ModuleRef::named(&key.text)?, key, args))).collect();
        let stray = entries
            .iter()
            .find(|(key, _)| !TASK_KEYS.contains(&key.text.as_str()) && ModuleRef::named(&key.text).is_none());
        if let Some((key, _)) = stray {
            if ANSIBLE_TASK_KEYS.contains(&key.text.as_str()) || key.text.starts_with("with_") {
                return Err(self.unsupported("a task", key));
            }
            let known: Vec<&str> = ModuleRef::all().map(ModuleRef::name).chain(TASK_KEYS).collect();
            return Err(self.unknown("a task", key, &known));
        }
        match modules[..] {
            [(module, _, args)] => Ok((module, args)),
            [] => {
                let names = ModuleRef::all().map(ModuleRef::name).collect::<Vec<_>>().join(", ");
                Err(self.error(node.at, "the task names no module").hint(format!("One of: {names}.")))
            }
            [(first, ..), (second, key, _), ..] => {
                let what = format!("a task is for one module, not for `{}` and `{}`", first.name(), second.name());
                Err(self.error(key.at, what))
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
}
