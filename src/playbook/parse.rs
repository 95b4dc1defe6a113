//! Reading a playbook: YAML in, typed plays out. A key that is not known is refused, never passed over.

use std::path::Path;

use serde_json::Value;

use super::free_form;
use super::module::Kind;
use super::play::Batch;
use super::play::Play;
use super::play::Playbook;
use super::play::Task;
use crate::inventory::Vars;
use crate::inventory::document;
use crate::inventory::document::Content;
use crate::inventory::document::Key;
use crate::inventory::document::Node;
use crate::inventory::fault::Fault;
use crate::inventory::fault::Place;
use crate::inventory::fault::did_you_mean;

/// What a play may say.
const PLAY: [&str; 9] =
    ["name", "hosts", "serial", "vars", "become", "become_user", "gather_facts", "tasks", "handlers"];

/// What a task may say beside its module.
const TASK: [&str; 13] = [
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
pub fn read(file: &Path, text: &str) -> Result<Playbook, Fault> {
    let reader = Reader { file };
    let document = document::read(file, text)?;
    let plays = match &document.content {
        Content::List(plays) => plays.iter().map(|play| reader.play(play)).collect::<Result<_, _>>()?,
        _ if document.is_null() => Vec::new(),
        _ => {
            return Err(reader
                .fault(document.at, format!("a playbook must be a list of plays, not {}", document.kind()))
                .hint("Begin each play with `- hosts: PATTERN`."));
        }
    };
    Ok(Playbook { file: file.to_owned(), plays })
}

struct Reader<'a> {
    file: &'a Path,
}

impl Reader<'_> {
    fn fault(&self, at: Place, what: impl Into<String>) -> Fault {
        Fault::new(self.file, at, what)
    }

    fn map<'n>(&self, node: &'n Node, what: &str) -> Result<&'n [(Key, Node)], Fault> {
        match &node.content {
            Content::Map(entries) => Ok(entries),
            _ => Err(self.fault(node.at, format!("{what} must be a map, not {}", node.kind()))),
        }
    }

    fn list<'n>(&self, node: &'n Node, what: &str) -> Result<&'n [Node], Fault> {
        match &node.content {
            Content::List(items) => Ok(items),
            _ if node.is_null() => Ok(&[]),
            _ => Err(self.fault(node.at, format!("{what} must be a list, not {}", node.kind()))),
        }
    }

    fn text(&self, key: &Key, node: &Node) -> Result<String, Fault> {
        match &node.content {
            Content::Scalar(Value::String(text)) => Ok(text.clone()),
            Content::Scalar(value @ Value::Number(_)) => Ok(value.to_string()),
            _ => Err(self.fault(node.at, format!("`{}` must be text, not {}", key.text, node.kind()))),
        }
    }

    /// Reads one text or a list of them.
    fn texts(&self, key: &Key, node: &Node) -> Result<Vec<String>, Fault> {
        match &node.content {
            Content::List(items) => items.iter().map(|item| self.text(key, item)).collect(),
            _ => Ok(vec![self.text(key, node)?]),
        }
    }

    fn flag(&self, key: &Key, node: &Node) -> Result<bool, Fault> {
        match &node.content {
            Content::Scalar(Value::Bool(flag)) => Ok(*flag),
            _ => Err(self.fault(node.at, format!("`{}` must be true or false, not {}", key.text, node.kind()))),
        }
    }

    /// Reads an expression, or a list of expressions that must all hold.
    fn conditions(&self, key: &Key, node: &Node) -> Result<Vec<String>, Fault> {
        let one = |node: &Node| {
            if let Content::Scalar(Value::Bool(flag)) = &node.content {
                return Ok(flag.to_string());
            }
            let text = self.text(key, node)?;
            if text.contains("{{") {
                let fault = self.fault(node.at, format!("`{}` is an expression already", key.text));
                return Err(fault.hint("Write it without `{{ }}`."));
            }
            super::template::check(&text).map_err(|detail| self.fault(node.at, format!("`{}`: {detail}", key.text)))?;
            Ok(text)
        };
        match &node.content {
            Content::List(items) => items.iter().map(one).collect(),
            _ => Ok(vec![one(node)?]),
        }
    }

    fn unknown(&self, what: &str, key: &Key, known: &[&str]) -> Fault {
        let mut fault = self.fault(key.at, format!("{what} has no `{}`", key.text));
        fault.hint = did_you_mean(&key.text, known.iter().copied())
            .or_else(|| Some(format!("What muster reads here: {}.", known.join(", "))));
        fault
    }

    fn play(&self, node: &Node) -> Result<Play, Fault> {
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
                "become_user" => self.root(key, node)?,
                "gather_facts" => {
                    if self.flag(key, node)? {
                        return Err(self.fault(node.at, "muster gathers no facts").hint("Say `gather_facts: false`."));
                    }
                }
                "tasks" => play.tasks = self.tasks(node, "`tasks`")?,
                "handlers" => play.handlers = self.tasks(node, "`handlers`")?,
                _ => return Err(self.unknown("a play", key, &PLAY)),
            }
        }
        if play.hosts.is_empty() {
            return Err(self.fault(node.at, "the play does not say for which `hosts` it is"));
        }
        if play.name.is_empty() {
            play.name.clone_from(&play.hosts);
        }
        self.check_notified(node.at, &play)?;
        Ok(play)
    }

    fn check_notified(&self, at: Place, play: &Play) -> Result<(), Fault> {
        for task in play.tasks.iter().chain(&play.handlers) {
            let known = |name: &&String| !name.contains("{{") && !play.handlers.iter().any(|task| task.name == **name);
            if let Some(name) = task.notify.iter().find(known) {
                let at = if task.at == Place::default() { at } else { task.at };
                let mut fault = self.fault(at, format!("the play has no handler called `{name}`"));
                fault.hint = did_you_mean(name, play.handlers.iter().map(|handler| handler.name.as_str()));
                return Err(fault);
            }
        }
        Ok(())
    }

    fn vars(&self, node: &Node) -> Result<Vars, Fault> {
        if node.is_null() {
            return Ok(Vars::new());
        }
        let entries = self.map(node, "`vars`")?;
        Ok(entries.iter().map(|(key, value)| (key.text.clone(), value.value())).collect())
    }

    fn serial(&self, node: &Node) -> Result<Vec<Batch>, Fault> {
        let one = |node: &Node| {
            let batch = match &node.content {
                Content::Scalar(Value::Number(number)) => {
                    number.as_u64().and_then(|n| n.try_into().ok()).map(Batch::Count)
                }
                Content::Scalar(Value::String(text)) => match text.strip_suffix('%') {
                    Some(share) => {
                        share.trim().parse().ok().filter(|share| (1..=100).contains(share)).map(Batch::Percent)
                    }
                    None => text.parse().ok().map(Batch::Count),
                },
                _ => None,
            };
            batch.ok_or_else(|| self.fault(node.at, "`serial` must be a number of hosts or a share such as \"30%\""))
        };
        match &node.content {
            Content::List(items) => items.iter().map(one).collect(),
            _ => Ok(vec![one(node)?]),
        }
    }

    fn tasks(&self, node: &Node, what: &str) -> Result<Vec<Task>, Fault> {
        self.list(node, what)?.iter().map(|task| self.task(task)).collect()
    }

    fn task(&self, node: &Node) -> Result<Task, Fault> {
        let entries = self.map(node, "a task")?;
        let modules: Vec<_> =
            entries.iter().filter_map(|(key, args)| Some((Kind::of(&key.text)?, key, args))).collect();
        let stray = entries.iter().find(|(key, _)| !TASK.contains(&key.text.as_str()) && Kind::of(&key.text).is_none());
        if let Some((key, _)) = stray {
            let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).chain(TASK).collect();
            return Err(self.unknown("a task", key, &known));
        }
        let (kind, args) = match modules[..] {
            [(kind, _, args)] => (kind, args),
            [] => {
                let names = Kind::ALL.map(Kind::name).join(", ");
                return Err(self.fault(node.at, "the task names no module").hint(format!("One of: {names}.")));
            }
            [(one, ..), (two, key, _), ..] => {
                let what = format!("a task is for one module, not for `{}` and `{}`", one.name(), two.name());
                return Err(self.fault(key.at, what));
            }
        };
        let mut task = Task {
            at: node.at,
            name: kind.name().to_owned(),
            kind,
            args: self.args(kind, args, entries.iter().find(|(key, _)| key.text == "args").map(|(_, more)| more))?,
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
                "become_user" => self.root(key, node)?,
                "check_mode" => task.check = Some(self.flag(key, node)?),
                "vars" => task.vars = self.vars(node)?,
                _ => {}
            }
        }
        Ok(task)
    }

    /// Reads the name of who is to be become: it can only be root.
    fn root(&self, key: &Key, node: &Node) -> Result<(), Fault> {
        match self.text(key, node)?.as_str() {
            "root" => Ok(()),
            user => {
                let fault = self.fault(node.at, format!("muster can become root and nobody else, not {user}"));
                Err(fault.hint("Log in as that user, or use `sudo -u` (or `runuser -u`) in the command."))
            }
        }
    }

    fn items(&self, node: &Node) -> Result<Value, Fault> {
        let template = node.text().is_some_and(|text| text.contains("{{"));
        if !template && !matches!(node.content, Content::List(_)) {
            return Err(self.fault(node.at, format!("`loop` must be a list, not {}", node.kind())));
        }
        Ok(node.value())
    }

    fn variable(&self, key: &Key, node: &Node) -> Result<String, Fault> {
        let name = self.text(key, node)?;
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !name.chars().all(word) || name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(self.fault(node.at, format!("`{name}` cannot be a variable's name")));
        }
        Ok(name)
    }

    /// Reads a module's arguments. What else the task says of them, under `args`, counts where the module itself says nothing.
    fn args(&self, kind: Kind, node: &Node, more: Option<&Node>) -> Result<Vars, Fault> {
        let what = format!("module `{}`", kind.name());
        let mut args = match more {
            Some(more) => self.named(kind, more)?,
            None => Vars::new(),
        };
        match &node.content {
            Content::Scalar(Value::String(line)) if kind == Kind::Command => args.extend(self.free_form(node, line)?),
            _ if node.is_null() => {}
            _ => args.extend(self.named(kind, node)?),
        }
        for choice in kind.required() {
            let given = choice.iter().filter(|name| args.contains_key(**name)).count();
            if given != 1 {
                let names: Vec<String> = choice.iter().map(|name| format!("`{name}`")).collect();
                let either = if choice.len() > 1 { "either " } else { "" };
                return Err(self.fault(node.at, format!("{what} needs {either}{}", names.join(" or "))));
            }
        }
        for choice in kind.exclusive() {
            if choice.iter().filter(|name| args.contains_key(**name)).count() > 1 {
                return Err(self.fault(node.at, format!("{what} takes only one of {}", choice.join(", "))));
            }
        }
        Ok(args)
    }

    fn named(&self, kind: Kind, node: &Node) -> Result<Vars, Fault> {
        let what = format!("module `{}`", kind.name());
        let mut args = Vars::new();
        for (key, value) in self.map(node, &what)? {
            if !kind.parameters().contains(&key.text.as_str()) {
                return Err(self.unknown(&what, key, kind.parameters()));
            }
            args.insert(key.text.clone(), value.value());
        }
        Ok(args)
    }

    /// Reads a command that stands on one line with its options.
    fn free_form(&self, node: &Node, line: &str) -> Result<Vars, Fault> {
        let form = free_form::read(line);
        let form = form.ok_or_else(|| self.fault(node.at, "the quotes or the `{{ }}` in the command do not match"))?;
        let mut args = Vars::new();
        for (name, value) in form.options {
            if !Kind::Command.parameters().contains(&name.as_str()) {
                let fault = self.fault(node.at, format!("module `command` has no `{name}`"));
                return Err(
                    fault.hint(format!("If it is a word for the program, write it in quotes: \"{name}={value}\"."))
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
