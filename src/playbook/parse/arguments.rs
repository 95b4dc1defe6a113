//! The arguments of a task's module: by name, or on one line.

use serde_json::Value;

use super::Parser;
use crate::inventory::Vars;
use crate::inventory::diagnostic::Diagnostic;
use crate::inventory::document::Content;
use crate::inventory::document::Node;
use crate::playbook::free_form;
use crate::playbook::modules::ModuleRef;
use crate::playbook::modules::spec::Line;
use crate::playbook::template;

impl Parser<'_> {
    /// Reads a module's arguments. The module's own override those under `args`, and these override the defaults.
    pub(super) fn args(
        &self,
        module: ModuleRef,
        node: &Node,
        (more, defaults): (Option<&Node>, Option<&Value>),
    ) -> Result<Vars, Diagnostic> {
        let spec = module.spec();
        let mut args = defaults.and_then(Value::as_object).cloned().unwrap_or_default();
        if let Some(more) = more {
            args.extend(self.named(module, more)?);
        }
        match &node.content {
            Content::Scalar(Value::String(line)) => args.extend(self.line(module, node, line)?),
            _ if node.is_null() => {}
            _ => args.extend(self.named(module, node)?),
        }
        // A template may omit its argument.
        let fixed = args.iter().filter(|(_, value)| !template::has_template(value)).map(|(name, _)| name.as_str());
        spec.check_choices(fixed, args.keys().map(String::as_str)).map_err(|why| self.error(node.at, why))?;
        Ok(args)
    }

    pub(super) fn named(&self, module: ModuleRef, node: &Node) -> Result<Vars, Diagnostic> {
        let (what, spec) = (format!("module `{}`", module.name()), module.spec());
        let mut args = Vars::new();
        for (key, node) in self.map(node, &what)? {
            let value = node.value();
            match spec.parameter(&key.text) {
                Some(parameter) => {
                    if let Some(fault) = parameter.fault(&value) {
                        return Err(self.error(node.at, fault));
                    }
                    args.insert(parameter.name.to_owned(), value);
                }
                None if module.takes_any_name() => drop(args.insert(key.text.clone(), value)),
                None => return Err(self.unknown(&what, key, &spec.names())),
            }
        }
        Ok(args)
    }

    /// Reads arguments that stand on one line.
    fn line(&self, module: ModuleRef, node: &Node, line: &str) -> Result<Vars, Diagnostic> {
        let form = match module.spec().line {
            Line::Command(_) => free_form::read(line),
            Line::Pairs | Line::Word(_) => free_form::read_pairs(line),
        };
        let what = "the quotes or the `{{ }}` in the arguments do not match";
        let form = form.ok_or_else(|| self.error(node.at, what))?;
        let mut args = Vars::new();
        for (name, value) in form.options {
            let parameter = module.spec().parameter(&name);
            let fault = parameter.and_then(|parameter| parameter.fault(&value.clone().into()));
            if let Some(fault) = fault {
                return Err(self.error(node.at, fault));
            }
            if parameter.is_none() && !module.takes_any_name() {
                let mut error = self.error(node.at, format!("module `{}` has no `{name}`", module.name()));
                error.is_unimplemented = true;
                return Err(match module.spec().line {
                    Line::Command(_) => {
                        error.hint(format!("If it is a word for the program, write it in quotes: \"{name}={value}\"."))
                    }
                    Line::Pairs | Line::Word(_) => error.hint(format!("It has {}.", module.spec().names().join(", "))),
                });
            }
            args.insert(parameter.map_or(name, |parameter| parameter.name.to_owned()), value.into());
        }
        match module.spec().line {
            _ if form.command.is_empty() => {}
            Line::Command(name) | Line::Word(name) => {
                let value = Value::from(form.command);
                if let Some(fault) = module.spec().parameter(name).and_then(|parameter| parameter.fault(&value)) {
                    return Err(self.error(node.at, fault));
                }
                args.insert(name.to_owned(), value);
            }
            Line::Pairs => {
                let error = self.error(node.at, format!("`{}` is no argument: NAME=VALUE is expected", form.command));
                return Err(error);
            }
        }
        Ok(args)
    }
}
