//! Modules that are one script: the arguments become its variables, and its records become the result.
//!
//! A text or a number is a variable of the parameter's name. A flag is `yes`, `no`, or empty if it is not given. A list is
//! quoted words, of which `eval "set -- $NAME"` makes arguments.

use std::sync::Arc;

use serde_json::Value;

use super::Arguments;
use super::Module;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use crate::inventory::Vars;
use crate::playbook::action::Action;
use crate::playbook::action::HostAction;
use crate::playbook::host_connection::HostConnection;
use crate::playbook::host_script::Attributes;
use crate::playbook::host_script::HostReport;
use crate::playbook::host_script::HostScript;
use crate::playbook::outcome::Outcome;
use crate::playbook::shell_expand::quote_expanding;

/// A module that is one script.
pub(super) struct ScriptModule {
    /// What the module takes.
    pub(super) spec: &'static Spec,
    /// The script.
    pub(super) text: &'static str,
    /// Checks the arguments and sets further variables.
    pub(super) prepare: fn(&Arguments<'_>, ScriptRun) -> Result<ScriptRun, String>,
}

/// What runs on the host.
pub(super) struct ScriptRun {
    script: HostScript,
    results: Vars,
    read: fn(&HostReport, &mut Outcome),
}

/// Prepares nothing.
#[expect(clippy::unnecessary_wraps, reason = "other modules refuse arguments")]
pub(super) fn as_given(_: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    Ok(run)
}

impl Module for ScriptModule {
    fn spec(&self) -> &'static Spec {
        self.spec
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        let mut script = HostScript::on_system(self.text);
        for parameter in self.spec.parameters() {
            script = bind(script, parameter, arguments)?;
        }
        let run = ScriptRun { script, results: Vars::new(), read: |_, _| {} };
        Ok(Action::on_host((self.prepare)(arguments, run)?))
    }
}

/// Sets the variable of a parameter.
fn bind(script: HostScript, parameter: &Parameter, arguments: &Arguments<'_>) -> Result<HostScript, String> {
    let name = parameter.name;
    Ok(match parameter.kind {
        Kind::Flag => {
            let word = arguments.flag(name)?.map_or("", |flag| if flag { "yes" } else { "no" });
            script.set(name, word)
        }
        Kind::List | Kind::Words => {
            let mut items = arguments.list(name)?.unwrap_or_default();
            items.retain(|item| !item.is_empty());
            script.words(name, &items)
        }
        // The attributes of a file are set by `ScriptRun::attributes`, and other values by `prepare`.
        Kind::Mode | Kind::ModeOrPreserve | Kind::Any => script,
        Kind::Number => script.set(name, &arguments.number(name)?.map_or_else(String::new, |it| it.to_string())),
        Kind::Choice(words) => {
            let word = arguments.text(name)?.unwrap_or_default();
            if !word.is_empty() && !words.contains(&word.as_str()) {
                return Err(format!("`{name}` must be {}, not `{word}`", parameter.kind.expected()));
            }
            script.set(name, &word)
        }
        Kind::Text => script.set(name, &arguments.text(name)?.unwrap_or_default()),
    })
}

impl ScriptRun {
    /// Sets a variable.
    pub(super) fn set(self, name: &str, value: &str) -> Self {
        Self { script: self.script.set(name, value), ..self }
    }

    /// Sets a variable to `1` or to nothing.
    pub(super) fn flag(self, name: &str, flag: bool) -> Self {
        Self { script: self.script.flag(name, flag), ..self }
    }

    /// Sets a variable to quoted words.
    pub(super) fn words(self, name: &str, words: &[String]) -> Self {
        Self { script: self.script.words(name, words), ..self }
    }

    /// Sets the variables of paths, in which `~` and variables are expanded on the host.
    pub(super) fn paths(mut self, names: &[&str], arguments: &Arguments<'_>) -> Result<Self, String> {
        for name in names {
            self.script = self.script.path(name, &arguments.text(name)?.unwrap_or_default());
        }
        Ok(self)
    }

    /// Sets a function that runs its arguments with these paths after them, in which `~` and variables are expanded on the host.
    pub(super) fn with_paths(self, function: &str, paths: &[String]) -> Self {
        let words: Result<Vec<String>, _> = paths.iter().map(|path| quote_expanding(path)).collect();
        let line = words.map(|words| format!("\"$@\" {}", words.join(" ")));
        Self { script: self.script.function(function, line), ..self }
    }

    /// Sets the variables of owner, group and mode.
    pub(super) fn attributes(self, arguments: &Arguments<'_>) -> Result<Self, String> {
        Ok(self.with_attributes(&arguments.attributes()?))
    }

    /// Sets the variables of this owner, group and mode.
    pub(super) fn with_attributes(self, attributes: &Attributes) -> Self {
        Self { script: self.script.attributes(attributes), ..self }
    }

    /// Gives the script its stdin.
    pub(super) fn stdin(self, stdin: Vec<u8>) -> Self {
        Self { script: self.script.stdin(stdin), ..self }
    }

    /// Adds a value that the result has, unless the script reports another.
    pub(super) fn result(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.results.insert(name.to_owned(), value.into());
        self
    }

    /// Adds arguments that the result has as they are given.
    pub(super) fn echo(mut self, names: &[&str], arguments: &Arguments<'_>) -> Self {
        for name in names {
            if let Some(value) = arguments.value(name) {
                self.results.insert((*name).to_owned(), value.clone());
            }
        }
        self
    }

    /// Reads the report further.
    pub(super) fn read(self, read: fn(&HostReport, &mut Outcome)) -> Self {
        Self { read, ..self }
    }
}

#[async_trait::async_trait]
impl HostAction for ScriptRun {
    fn is_one_script(&self) -> bool {
        true
    }

    async fn run(&self, connection: &HostConnection<'_>) -> Result<Outcome, Outcome> {
        let report = self.script.clone().run(connection).await.map_err(|failure| {
            let mut detail = self.results.clone();
            detail.extend(failure.detail.clone());
            Outcome { detail, ..failure }
        })?;
        let mut vars = self.results.clone();
        vars.extend(report.results());
        if vars.remove("skipped").is_some() {
            return Ok(Outcome::not_checked(vars));
        }
        let mut outcome = Outcome::done(report.is("changed"), vars);
        outcome.diff = report.diff();
        (self.read)(&report, &mut outcome);
        if let Some(Value::Object(facts)) = outcome.detail.get("ansible_facts") {
            outcome.set.facts = Arc::new(facts.clone());
        }
        Ok(outcome)
    }
}
