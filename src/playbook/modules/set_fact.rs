//! `set_fact`: sets variables of the host for the rest of the run.

use std::sync::Arc;

use serde_json::Value;

use super::Arguments;
use super::Module;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use crate::inventory::Vars;
use crate::playbook::action::Action;
use crate::playbook::outcome::Outcome;
use crate::playbook::outcome::SetVars;

/// Sets variables.
pub(super) struct SetFact;

static SPEC: Spec = Spec::new(
    "set_fact",
    &["ansible.builtin"],
    "Sets variables of the host for the rest of the run.",
    &[Parameter::new(
        "cacheable",
        Kind::Flag,
        "Whether the variables are also facts, in `ansible_facts` (default: false). muster keeps no facts between runs.",
    )],
);

/// Reports whether a text can be the name of a variable.
fn is_name(text: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    text.chars().all(is_word) && text.chars().next().is_some_and(|first| !first.is_numeric())
}

impl Module for SetFact {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn takes_any_name(&self) -> bool {
        true
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        let facts: Vars = arguments
            .args
            .iter()
            .filter(|(name, _)| *name != "cacheable")
            .map(|(name, value)| Ok((arguments.scope.text(name)?, value.clone())))
            .collect::<Result<_, String>>()?;
        if let Some(name) = facts.keys().find(|name| !is_name(name)) {
            return Err(format!("invalid variable name `{name}`"));
        }
        if facts.is_empty() {
            return Err("there is no variable to set".to_owned());
        }
        let detail = Vars::from_iter([("ansible_facts".to_owned(), facts.clone().into())]);
        let as_facts = if arguments.flag("cacheable")? == Some(true) { facts_of(&facts) } else { Vars::new() };
        let set = SetVars { facts: Arc::new(as_facts), own: Arc::new(facts), ..SetVars::default() };
        Ok(Action::done(Outcome { set, ..Outcome::done(false, detail) }))
    }
}

/// Returns variables as facts. Their names in `ansible_facts` have no prefix.
fn facts_of(vars: &Vars) -> Vars {
    let short = |name: &str| name.strip_prefix("ansible_").unwrap_or(name).to_owned();
    let all: Vars = vars.iter().map(|(name, value)| (short(name), value.clone())).collect();
    Vars::from_iter([("ansible_facts".to_owned(), Value::Object(all))])
}
