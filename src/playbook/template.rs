//! Templates and expressions: Jinja2, strict about undefined variables, with a limit on the computation.

mod arguments;
mod attributes;
mod capture;
#[allow(clippy::unnecessary_wraps, reason = "all functions in a table have one type")]
mod checks;
mod comparison;
mod cycles;
mod environment;
pub mod file_variables;
#[allow(clippy::unnecessary_wraps, reason = "all functions in a table have one type")]
mod filters;
mod hosts;
#[allow(clippy::unnecessary_wraps, reason = "all functions in a table have one type")]
mod lookups;
mod method;
mod method_names;
mod methods;
mod names;
pub mod python_regex;
mod random;
mod source;
mod time;
mod value;
mod version;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use minijinja::Environment;
use minijinja::Error;
use minijinja::ErrorKind;
use minijinja::value::Enumerator;
use minijinja::value::Object;
use serde_json::Value;
use serde_json::json;

use crate::inventory::Vars;
use crate::playbook::local_files::LocalFiles;
use crate::vault::ClosedValue;
use crate::vault::Keyring;
use environment::FUEL;
pub use environment::Syntax;
use file_variables::file_variables;
use hosts::HostVars;
pub use hosts::Hosts;
pub use lookups::Surroundings;
pub use lookups::named as lookup_named;
use source::Backslashes;
use source::Prepared;
pub use value::parse_bool;

/// Returns a value as Python's `str` writes it.
pub fn python_text(value: &Value) -> String {
    value::text(&value::from_json(value))
}

/// The deepest nesting of variables that refer to variables.
const DEPTH: usize = 16;

/// The variable through which a function finds the scope.
const SCOPE: &str = "__scope";

/// The most steps that a template may take together with all variables that it refers to.
const SHARED_FUEL: u64 = 4 * FUEL;

/// How many bytes of text count as one step.
const BYTES_PER_STEP: u64 = 64;

static ENVIRONMENT: LazyLock<Environment<'static>> =
    // The default syntax is always valid.
    LazyLock::new(|| environment::environment(&Syntax::default()).unwrap_or_default());

/// Variables from one source.
#[derive(Clone)]
pub struct Layer {
    vars: Arc<Vars>,
    /// Set if text in the variables may be a template.
    written: bool,
    /// Set if the variables are the same for a host to which a task is delegated.
    of_play: bool,
}

impl Layer {
    /// Makes a layer of variables from a playbook, an inventory or the command line. Text in them may be a template.
    pub const fn written(vars: Arc<Vars>) -> Self {
        Self { vars, written: true, of_play: false }
    }

    /// Makes a layer of variables of a play, a task or the command line. They override those of any host.
    pub const fn of_play(vars: Arc<Vars>) -> Self {
        Self { vars, written: true, of_play: true }
    }

    /// Makes a layer of plain data, such as the output of a host. Text in it is never a template: otherwise a host could
    /// read any variable.
    pub const fn data(vars: Arc<Vars>) -> Self {
        Self { vars, written: false, of_play: false }
    }
}

/// The state that the evaluation of a template shares with those of the variables that it refers to.
#[derive(Clone, Default)]
struct Evaluation {
    /// The values of the variables so far: a variable that many others refer to is evaluated once.
    values: Arc<Mutex<HashMap<String, minijinja::Value>>>,
    /// The steps so far, with those for the variables of other hosts.
    steps: Arc<Mutex<u64>>,
}

impl Evaluation {
    /// Counts steps, and refuses those beyond the limit.
    fn spend(&self, more: u64) -> Result<(), String> {
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        *steps = steps.saturating_add(more);
        if *steps > SHARED_FUEL {
            return Err(format!("the template takes more than {SHARED_FUEL} steps with its variables"));
        }
        Ok(())
    }

    fn values(&self) -> MutexGuard<'_, HashMap<String, minijinja::Value>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The variables that a host's templates can read: layers, the strongest last.
#[derive(Clone)]
pub struct Scope {
    layers: Vec<Layer>,
    depth: usize,
    evaluation: Evaluation,
    surroundings: Option<Arc<Surroundings>>,
    hosts: Option<Arc<dyn Hosts>>,
    vault: Arc<Keyring>,
    local_files: Arc<LocalFiles>,
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Variables may hold secrets.
        f.debug_struct("Scope").field("layers", &self.layers.len()).finish_non_exhaustive()
    }
}

impl Scope {
    /// Makes a scope of layers, the strongest last.
    pub fn new(layers: Vec<Layer>) -> Self {
        Self {
            layers,
            depth: 0,
            evaluation: Evaluation::default(),
            surroundings: None,
            hosts: None,
            vault: Arc::default(),
            local_files: Arc::default(),
        }
    }

    /// Returns the scope with the passwords of closed values. Only values of playbooks, inventories and the command line are opened.
    #[must_use]
    pub fn with_vault(self, vault: &Arc<Keyring>) -> Self {
        Self { vault: Arc::clone(vault), ..self }
    }

    /// Returns the passwords of closed values.
    pub const fn vault(&self) -> &Arc<Keyring> {
        &self.vault
    }

    /// Returns the files of the playbook that are in use.
    pub(super) fn local_files(&self) -> &LocalFiles {
        &self.local_files
    }

    /// Returns the scope with the files of the playbook that are in use.
    #[must_use]
    pub(super) fn with_local_files(self, local_files: &Arc<LocalFiles>) -> Self {
        Self { local_files: Arc::clone(local_files), ..self }
    }

    /// Returns the scope with the machine that its lookups read.
    #[must_use]
    pub fn with_surroundings(self, surroundings: Arc<Surroundings>) -> Self {
        Self { surroundings: Some(surroundings), ..self }
    }

    /// Returns the scope with the variables of all hosts as `hostvars`.
    #[must_use]
    pub fn with_hosts(self, hosts: Arc<dyn Hosts>) -> Self {
        Self { hosts: Some(hosts), ..self }
    }

    /// Returns the scope as another one reads it, within the limits of that one.
    fn read_by(self, reader: &Self) -> Self {
        let evaluation = Evaluation { steps: Arc::clone(&reader.evaluation.steps), ..Evaluation::default() };
        Self { depth: reader.depth + 1, evaluation, ..self }
    }

    fn surroundings(&self) -> Result<&Surroundings, Error> {
        self.surroundings.as_deref().ok_or_else(|| value::wrong("a lookup is not possible here"))
    }

    /// Returns what a lookup finds for these terms. `kind` is the folder of the files that it looks for: `files`,
    /// `templates` or `vars`.
    pub fn look_up_terms(&self, lookup: &str, terms: &[Value], kind: &str) -> Result<Vec<Value>, String> {
        let terms: Vec<_> = terms.iter().map(value::from_json).collect();
        let found = lookups::run(self, lookup, &terms, kind).map_err(|error| explain(&error, []))?;
        found.iter().map(finished).collect()
    }

    /// Returns the names of the hosts of a pattern; none if the pattern is invalid, as in Ansible.
    fn hosts_matching(&self, pattern: &str) -> Vec<String> {
        self.hosts.as_ref().map(|hosts| hosts.matching(pattern)).unwrap_or_default()
    }

    /// Returns the names of all variables.
    fn names(&self) -> Vec<String> {
        let names = self.layers.iter().flat_map(|layer| layer.vars.keys());
        let names: indexmap::IndexSet<&String> = names.collect();
        names.into_iter().cloned().collect()
    }

    /// Returns the scope with one more layer over the others.
    #[must_use]
    pub fn with(&self, layer: Layer) -> Self {
        let layers = self.layers.iter().cloned().chain([layer]);
        Self { layers: layers.collect(), evaluation: Evaluation::default(), ..self.clone() }
    }

    /// Returns a variable without templating, and whether text in it may be a template.
    fn raw(&self, name: &str) -> Option<(&Value, bool)> {
        self.layers.iter().rev().find_map(|layer| Some((layer.vars.get(name)?, layer.written)))
    }

    /// Returns a variable of the play, the task or the command line without templating.
    pub fn play_variable(&self, name: &str) -> Option<&Value> {
        self.layers.iter().rev().filter(|layer| layer.of_play).find_map(|layer| layer.vars.get(name))
    }

    /// Returns the value of a variable, if it is defined.
    pub fn variable(&self, name: &str) -> Option<Result<Value, String>> {
        let (value, written) = self.raw(name)?;
        Some(if written { self.fill_named(value, Some(name)) } else { Ok(value.clone()) })
    }

    /// Returns the variables for the engine. Outside a variable, a new evaluation begins.
    fn context(&self) -> minijinja::Value {
        let mut scope = self.clone();
        if scope.depth == 0 {
            scope.evaluation = Evaluation::default();
        }
        minijinja::Value::from_object(scope)
    }

    fn spend(&self, steps: u64) -> Result<(), String> {
        self.evaluation.spend(steps)
    }

    /// Returns a value with every template in it filled in, and every closed value opened.
    pub fn fill(&self, value: &Value) -> Result<Value, String> {
        self.fill_named(value, None)
    }

    /// Fills in a value. The name is that of its variable, for errors.
    fn fill_named(&self, value: &Value, name: Option<&str>) -> Result<Value, String> {
        if let Some(closed) = ClosedValue::of(value) {
            return self.vault.open_value(closed, name).map(Value::String);
        }
        match value {
            Value::String(text) if is_template(text) => self.fill_text(text),
            Value::Array(items) => items.iter().map(|item| self.fill_named(item, name)).collect(),
            Value::Object(entries) => {
                let entries = entries.iter().map(|(key, value)| Ok((key.clone(), self.fill_named(value, name)?)));
                entries.collect::<Result<Vars, String>>().map(Value::Object)
            }
            _ => Ok(value.clone()),
        }
    }

    /// Returns the value of a variable for the engine, filled in. A closed value in a list or map is opened only when the
    /// template reads it.
    fn fill_for_engine(&self, value: &Value, name: &str) -> Result<minijinja::Value, String> {
        match value {
            _ if ClosedValue::of(value).is_some() => {
                // The values of the evaluation would hold the late value, which would hold them.
                let (scope, value, name) = (self.clone().read_by(self), value.clone(), name.to_owned());
                Ok(value::late(move || scope.counted(scope.fill_named(&value, Some(&name))).unwrap_or_else(invalid)))
            }
            Value::Array(items) => {
                self.spend(1)?;
                let items = items.iter().map(|item| self.fill_for_engine(item, name));
                items.collect::<Result<_, _>>().map(value::list)
            }
            Value::Object(entries) => {
                self.spend(1)?;
                let entry = |(key, value): (&String, _)| Ok((key.as_str().into(), self.fill_for_engine(value, name)?));
                entries.iter().map(entry).collect::<Result<Vec<_>, String>>().map(value::map)
            }
            _ => self.counted(self.fill_named(value, Some(name))),
        }
    }

    /// Returns a value for the engine, and counts its steps.
    fn counted(&self, value: Result<Value, String>) -> Result<minijinja::Value, String> {
        let value = value?;
        self.spend(size(&value))?;
        Ok(value::from_json(&value))
    }

    /// Returns a text with every template in it filled in. Another value than text is written as Python writes it.
    pub fn text(&self, text: &str) -> Result<String, String> {
        match self.fill(&text.into())? {
            Value::String(text) => Ok(text),
            // Also a statement that prints nothing.
            Value::Null => Ok(String::new()),
            value if value == omit() => Ok(String::new()),
            value => Ok(text_of(&value)),
        }
    }

    /// Returns a task's arguments with every template in them filled in; omitted arguments are removed.
    pub fn arguments(&self, args: &Vars) -> Result<Vars, String> {
        let mut filled = args.clone();
        for value in filled.values_mut() {
            *value = self.fill(value)?;
        }
        filled.retain(|_, value| *value != omit());
        Ok(filled)
    }

    /// Fills in a text. A text that prints one value and nothing else keeps the type of the value: `{{ ports }}` is a list.
    fn fill_text(&self, text: &str) -> Result<Value, String> {
        let line = text.strip_suffix('\n').unwrap_or(text);
        let inner = line.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
        let expression = inner.filter(|inner| !is_template(inner) && !inner.contains("}}") && !inner.starts_with('-'));
        let (rendered, only) = if let Some(expression) = expression {
            let value = self.evaluate(expression.trim_end_matches('-'), Backslashes::Literal)?;
            (value.as_str().unwrap_or_default().to_owned(), Some(value))
        } else {
            let render = || self.render_in(&ENVIRONMENT, &Syntax::default(), text, Backslashes::Literal);
            let (rendered, only) = capture::only(render);
            let rendered = rendered?;
            let only = only.filter(|value| environment::printed(value) == rendered);
            (rendered, only)
        };
        match only.filter(|value| value.as_str().is_none()) {
            Some(value) => finished(&value).map_err(|error| format!("`{}`: {error}", text.trim())),
            None if rendered.is_empty() && !text.contains("{{") => Ok(Value::Null),
            None => Ok(Value::String(with_line_breaks(rendered, text))),
        }
    }

    /// Renders a whole template.
    pub fn render(&self, text: &str) -> Result<String, String> {
        let rendered = self.render_in(&ENVIRONMENT, &Syntax::default(), text, Backslashes::Escape)?;
        Ok(with_line_breaks(rendered, text))
    }

    /// Renders a file. Its first line may change the syntax (`#jinja2: …`). Templates that it includes, imports or extends are searched in its folder, then as lookups do.
    pub fn render_file_in(&self, text: &str, folder: Option<&Path>, syntax: Syntax) -> Result<String, String> {
        let (syntax, text) = Syntax::split(syntax, text)?;
        let mut environment = if syntax == Syntax::default() {
            ENVIRONMENT.clone()
        } else {
            environment::environment(&syntax).map_err(|error| explain(&error, []))?
        };
        let folder = folder.map(PathBuf::from);
        let (surroundings, delimiters) = (self.surroundings.clone(), syntax.delimiters.clone());
        environment.set_loader(move |name| {
            let beside = folder.iter().map(|folder| folder.join(name)).find(|path| path.is_file());
            let path = beside.or_else(|| surroundings.as_deref()?.find("templates", name));
            let Some(path) = path else { return Ok(None) };
            let text = fs::read_to_string(&path)
                .map_err(|error| value::wrong(format!("cannot read {}: {error}", path.display())))?;
            let prepared = source::template(&text.replace("\r\n", "\n"), &delimiters, Backslashes::Escape);
            prepared.map(|prepared| Some(prepared.text)).map_err(value::wrong)
        });
        let rendered = self.render_in(&environment, &syntax, text, Backslashes::Escape)?;
        let rendered = if syntax.keep_trailing_newline { with_line_breaks(rendered, text) } else { rendered };
        Ok(if syntax.newline == "\n" { rendered } else { rendered.replace('\n', &syntax.newline) })
    }

    /// Renders a file for a lookup, with more variables.
    fn render_looked_up(&self, text: &str, (path, given): (&Path, &str), extra: Vars) -> Result<String, String> {
        if self.depth == DEPTH {
            return Err("templates look each other up in a circle".to_owned());
        }
        let mut scope =
            self.with(Layer::data(Arc::new(file_variables(path, given)))).with(Layer::data(Arc::new(extra)));
        scope.evaluation = Evaluation { steps: Arc::clone(&self.evaluation.steps), ..Evaluation::default() };
        scope.depth = self.depth + 1;
        scope.render_file_in(text, path.parent(), Syntax::default())
    }

    fn render_in(
        &self,
        environment: &Environment<'_>,
        syntax: &Syntax,
        text: &str,
        backslashes: Backslashes,
    ) -> Result<String, String> {
        let text = source::template(&text.replace("\r\n", "\n"), &syntax.delimiters, backslashes)?.text;
        let template = environment.template_from_str(&text).map_err(|error| explain(&error, []))?;
        let rendered = template
            .render_captured(self.context())
            .map_err(|error| self.explain(&error, template.undeclared_variables(false)))?;
        self.spend(rendered.state().fuel_levels().map_or(0, |(consumed, _)| consumed))?;
        Ok(rendered.into_output())
    }

    fn evaluate(&self, expression: &str, backslashes: Backslashes) -> Result<minijinja::Value, String> {
        let prepared = source::expression(expression, backslashes)?.text;
        let compiled = ENVIRONMENT.compile_expression(&prepared).map_err(|error| explain(&error, []))?;
        let names = || compiled.undeclared_variables(false);
        let value = compiled.eval(self.context()).map_err(|error| self.explain(&error, names()))?;
        if value.is_undefined() {
            let names = self.missing(names());
            let what = if names.is_empty() { expression.trim().to_owned() } else { names.join("`, `") };
            return Err(format!("`{what}` is undefined{}", self.left_out()));
        }
        Ok(value)
    }

    /// Returns the value of an expression.
    pub fn expression(&self, expression: &str) -> Result<Value, String> {
        let value = self.evaluate(expression, Backslashes::Escape)?;
        finished(&value).map_err(|error| format!("`{expression}`: {error}"))
    }

    /// Reports whether an expression holds. The value must be a boolean: text such as `false` would count as true.
    pub fn holds(&self, expression: &str) -> Result<bool, String> {
        let value = self.evaluate(expression, Backslashes::Escape)?;
        match finished(&value) {
            Ok(Value::Bool(holds)) => Ok(holds),
            _ => {
                Err(format!("`{expression}` is neither true nor false but {}; compare it with something", value.kind()))
            }
        }
    }

    /// Explains an error of a template that reads these variables.
    fn explain(&self, error: &Error, names: impl IntoIterator<Item = String>) -> String {
        let left_out = if error.kind() == ErrorKind::UndefinedError { self.left_out() } else { String::new() };
        explain(error, self.missing(names)) + &left_out
    }

    /// Returns where a variable may stand that is not defined: in the files that were left out.
    fn left_out(&self) -> String {
        self.vault.left_out().map(|files| format!("; {files}")).unwrap_or_default()
    }

    fn missing(&self, names: impl IntoIterator<Item = String>) -> Vec<String> {
        let unknown = |name: &String| self.raw(name).is_none() && !FUNCTIONS.contains(&name.as_str());
        let mut names: Vec<String> = names.into_iter().filter(unknown).collect();
        names.sort();
        names
    }
}

impl Object for Scope {
    fn get_value(self: &Arc<Self>, key: &minijinja::Value) -> Option<minijinja::Value> {
        let name = key.as_str()?;
        let known = self.evaluation.values().get(name).cloned();
        known.or_else(|| {
            let value = self.look_up(name)?.unwrap_or_else(invalid);
            self.evaluation.values().insert(name.to_owned(), value.clone());
            Some(value)
        })
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.names().into_iter().map(minijinja::Value::from).collect())
    }
}

impl Scope {
    /// Evaluates a variable for the engine.
    fn look_up(&self, name: &str) -> Option<Result<minijinja::Value, String>> {
        if self.depth >= DEPTH {
            return Some(Err("variables refer to each other in a circle".to_owned()));
        }
        let deeper = Self { depth: self.depth + 1, ..self.clone() };
        let Some((value, written)) = deeper.raw(name) else { return deeper.own_variable(name).map(Ok) };
        Some(match value {
            Value::Array(_) | Value::Object(_) if written && ClosedValue::of(value).is_none() => {
                deeper.fill_for_engine(value, name)
            }
            _ if written => deeper.counted(deeper.fill_named(value, Some(name))),
            _ => deeper.counted(Ok(value.clone())),
        })
    }

    /// Returns a variable that no layer has.
    fn own_variable(self, name: &str) -> Option<minijinja::Value> {
        match name {
            SCOPE | "vars" => Some(minijinja::Value::from_object(self)),
            "hostvars" => {
                let hosts = self.hosts.clone()?;
                Some(minijinja::Value::from_object(HostVars { hosts, reader: self }))
            }
            _ => None,
        }
    }
}

/// Returns the value that stands for an error. A template that reads it fails.
fn invalid(why: String) -> minijinja::Value {
    Error::new(ErrorKind::InvalidOperation, why).into()
}

/// Returns the value of a template as data. An undefined value in a list or map is an error.
fn finished(value: &minijinja::Value) -> Result<Value, String> {
    value::to_json(value).map_err(|error| explain(&error, []))
}

/// The functions that the prepared text of a template calls.
const FUNCTIONS: [&str; 6] =
    [source::ATTRIBUTE, source::LIST, source::LOOKUP, source::MAP, source::OWN, source::PERCENT];

/// Adds the line breaks at the end of a template that its rendering lacks, as Ansible does.
fn with_line_breaks(mut rendered: String, template: &str) -> String {
    let count = |text: &str| text.len() - text.trim_end_matches('\n').len();
    let missing = count(template).saturating_sub(count(&rendered));
    rendered.push_str(&"\n".repeat(missing));
    rendered
}

/// Returns the size of a value in steps.
fn size(value: &Value) -> u64 {
    match value {
        Value::String(text) => 1 + text.len() as u64 / BYTES_PER_STEP,
        Value::Array(items) => 1 + items.iter().map(size).sum::<u64>(),
        Value::Object(entries) => 1 + entries.values().map(size).sum::<u64>(),
        _ => 1,
    }
}

/// Returns the value of the variable `omit`, which removes an argument: `{{ mode | default(omit) }}`. It is a map, which
/// no host can print.
pub fn omit() -> Value {
    json!({ "omit": null })
}

/// Returns a value as text for a file: a list or a map as the JSON that Ansible writes, which has blanks and only ASCII.
pub fn to_json(value: &Value) -> String {
    filters::JsonStyle::default().write(value)
}

/// Returns a value as JSON on several lines, sorted, as Ansible writes it.
pub fn to_nice_json(value: &Value) -> String {
    filters::JsonStyle::nice().write(value)
}

/// Returns a value as text, as Ansible prints it: a list or a map as Python writes it.
pub fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => value::repr(&value::from_json(other), value::Tuples::Kept),
    }
}

/// Reports whether a text contains template syntax.
pub fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// Reports whether a template or a closed value is anywhere in a value: it is known only when the value is filled in.
pub fn has_template(value: &Value) -> bool {
    match value {
        Value::String(text) => is_template(text),
        Value::Array(items) => items.iter().any(has_template),
        Value::Object(entries) => ClosedValue::of(value).is_some() || entries.values().any(has_template),
        _ => false,
    }
}

/// Checks the syntax of an expression, and the names of filters, tests, methods and lookups in it.
pub fn check(expression: &str) -> Result<(), String> {
    let Prepared { text, names } = source::expression(expression, Backslashes::Escape)?;
    names::check(&names, false)?;
    ENVIRONMENT.compile_expression(&text).map(drop).map_err(|error| explain(&error, []))
}

/// Checks the templates in a text of a playbook, and the names of filters, tests, methods and lookups in them.
pub fn check_text(text: &str) -> Result<(), String> {
    if !is_template(text) {
        return Ok(());
    }
    let prepared = source::template(text, &Syntax::default().delimiters, Backslashes::Literal)?;
    names::check(&prepared.names, text.contains("import"))?;
    ENVIRONMENT.template_from_str(&prepared.text).map(drop).map_err(|error| explain(&error, []))
}

/// Checks a template file as [`check_text`] does. Its first line may change the syntax.
pub fn check_file(text: &str) -> Result<(), String> {
    let (syntax, text) = Syntax::split(Syntax::default(), text)?;
    let prepared = source::template(&text.replace("\r\n", "\n"), &syntax.delimiters, Backslashes::Escape)?;
    names::check(&prepared.names, text.contains("import"))?;
    let environment = environment::environment(&syntax).map_err(|error| explain(&error, []))?;
    environment.template_from_str(&prepared.text).map(drop).map_err(|error| explain(&error, []))
}

fn explain(error: &Error, missing: impl IntoIterator<Item = String>) -> String {
    let names: Vec<String> = missing.into_iter().collect();
    let line = error.line().filter(|line| *line > 1).map_or_else(String::new, |line| format!(" (line {line})"));
    if error.kind() == ErrorKind::UndefinedError && !names.is_empty() {
        return format!("`{}` is undefined{line}", names.join("`, `"));
    }
    if error.kind() == ErrorKind::OutOfFuel {
        return format!("the template takes more than {FUEL} steps{line}");
    }
    let what = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    format!("{what}{line}")
}
