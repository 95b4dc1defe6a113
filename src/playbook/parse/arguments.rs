//! The arguments of a task's module.

use serde_json::Value;

use super::Parser;
use crate::inventory::Vars;
use crate::inventory::diagnostic::Diagnostic;
use crate::inventory::document::Content;
use crate::inventory::document::Node;
use crate::playbook::free_form;
use crate::playbook::module::Module;

impl Parser<'_> {
    /// Reads a module's arguments. The module's own override those under `args`.
    pub(super) fn args(&self, module: Module, node: &Node, more: Option<&Node>) -> Result<Vars, Diagnostic> {
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
