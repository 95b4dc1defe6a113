//! Templates and expressions: Jinja2, strict about undefined variables, with a limit on the computation.

mod environment;
pub mod python_regex;
mod source;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::Mutex;
use std::sync::PoisonError;

use minijinja::Environment;
use minijinja::Error;
use minijinja::ErrorKind;
use minijinja::value::Object;
use minijinja::value::Serde;
use serde_json::Value;
use serde_json::json;

use crate::inventory::Vars;
use environment::FUEL;
use environment::Syntax;
pub use environment::parse_bool;
use source::Backslashes;

/// The deepest nesting of variables that refer to variables.
const DEPTH: usize = 16;

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
}

impl Layer {
    /// Makes a layer of variables from a playbook, an inventory or the command line. Text in them may be a template.
    pub const fn written(vars: Arc<Vars>) -> Self {
        Self { vars, written: true }
    }

    /// Makes a layer of plain data, such as the output of a host. Text in it is never a template: otherwise a host could
    /// read any variable.
    pub const fn data(vars: Arc<Vars>) -> Self {
        Self { vars, written: false }
    }
}

/// The state that the evaluation of a template shares with those of the variables that it refers to.
#[derive(Default)]
struct Evaluation {
    /// The values of the variables so far: a variable that many others refer to is evaluated once.
    values: HashMap<String, minijinja::Value>,
    /// The steps so far.
    steps: u64,
}

impl Evaluation {
    /// Counts steps, and refuses those beyond the limit.
    fn spend(&mut self, steps: u64) -> Result<(), String> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > SHARED_FUEL {
            return Err(format!("the template takes more than {SHARED_FUEL} steps with its variables"));
        }
        Ok(())
    }
}

/// The variables that a host's templates can read: layers, the strongest last.
#[derive(Clone)]
pub struct Scope {
    layers: Vec<Layer>,
    depth: usize,
    evaluation: Arc<Mutex<Evaluation>>,
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
        Self { layers, depth: 0, evaluation: Arc::default() }
    }

    /// Returns the scope with one more layer over the others.
    #[must_use]
    pub fn with(&self, layer: Layer) -> Self {
        let layers = self.layers.iter().cloned().chain([layer]);
        Self { layers: layers.collect(), depth: self.depth, evaluation: Arc::default() }
    }

    /// Returns a variable without templating, and whether text in it may be a template.
    fn raw(&self, name: &str) -> Option<(&Value, bool)> {
        self.layers.iter().rev().find_map(|layer| Some((layer.vars.get(name)?, layer.written)))
    }

    /// Returns the value of a variable, if it is defined.
    pub fn variable(&self, name: &str) -> Option<Result<Value, String>> {
        let (value, written) = self.raw(name)?;
        Some(if written { self.fill(value) } else { Ok(value.clone()) })
    }

    /// Returns the variables for the engine. Outside a variable, a new evaluation begins.
    fn context(&self) -> minijinja::Value {
        let mut scope = self.clone();
        if scope.depth == 0 {
            scope.evaluation = Arc::default();
        }
        minijinja::Value::from_object(scope)
    }

    fn spend(&self, steps: u64) -> Result<(), String> {
        self.evaluation.lock().unwrap_or_else(PoisonError::into_inner).spend(steps)
    }

    /// Returns a value with every template in it filled in.
    pub fn fill(&self, value: &Value) -> Result<Value, String> {
        match value {
            Value::String(text) if is_template(text) => self.fill_text(text),
            Value::Array(items) => items.iter().map(|item| self.fill(item)).collect(),
            Value::Object(entries) => {
                let entries = entries.iter().map(|(key, value)| Ok((key.clone(), self.fill(value)?)));
                entries.collect::<Result<Vars, String>>().map(Value::Object)
            }
            _ => Ok(value.clone()),
        }
    }

    /// Returns a text with every template in it filled in.
    pub fn text(&self, text: &str) -> Result<String, String> {
        match self.fill(&text.into())? {
            Value::String(text) => Ok(text),
            value => Ok(value.to_string()),
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

    /// Fills in a text. A text that is one expression keeps the expression's type: `{{ ports }}` is a list.
    fn fill_text(&self, text: &str) -> Result<Value, String> {
        let inner = text.trim().strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
        match inner.filter(|inner| !is_template(inner) && !inner.contains("}}")) {
            Some(expression) => {
                let value = self.evaluate(expression, Backslashes::Literal)?;
                serde_json::to_value(&value).map_err(|error| format!("`{}`: {error}", text.trim()))
            }
            None => self.render_in(&ENVIRONMENT, &Syntax::default(), text, Backslashes::Literal).map(Value::String),
        }
    }

    /// Renders a whole template.
    pub fn render(&self, text: &str) -> Result<String, String> {
        self.render_in(&ENVIRONMENT, &Syntax::default(), text, Backslashes::Escape)
    }

    /// Renders a file. Its first line may change the syntax (`#jinja2: …`).
    pub fn render_file(&self, text: &str) -> Result<String, String> {
        let (syntax, text) = Syntax::split(text)?;
        if syntax == Syntax::default() {
            return self.render(text);
        }
        let environment = environment::environment(&syntax).map_err(|error| explain(&error, []))?;
        let rendered = self.render_in(&environment, &syntax, text, Backslashes::Escape)?;
        Ok(if syntax.newline == "\n" { rendered } else { rendered.replace('\n', &syntax.newline) })
    }

    fn render_in(
        &self,
        environment: &Environment<'_>,
        syntax: &Syntax,
        text: &str,
        backslashes: Backslashes,
    ) -> Result<String, String> {
        let text = source::template(text, &syntax.delimiters, backslashes)?;
        let template = environment.template_from_str(&text).map_err(|error| explain(&error, []))?;
        let rendered = template
            .render_captured(self.context())
            .map_err(|error| explain(&error, self.missing(template.undeclared_variables(false))))?;
        self.spend(rendered.state().fuel_levels().map_or(0, |(consumed, _)| consumed))?;
        Ok(rendered.into_output())
    }

    fn evaluate(&self, expression: &str, backslashes: Backslashes) -> Result<minijinja::Value, String> {
        let prepared = source::expression(expression, backslashes)?;
        let compiled = ENVIRONMENT.compile_expression(&prepared).map_err(|error| explain(&error, []))?;
        let missing = || self.missing(compiled.undeclared_variables(false));
        let value = compiled.eval(self.context()).map_err(|error| explain(&error, missing()))?;
        if value.is_undefined() {
            let names: Vec<String> = missing().into_iter().collect();
            let what = if names.is_empty() { expression.trim().to_owned() } else { names.join("`, `") };
            return Err(format!("`{what}` is undefined"));
        }
        Ok(value)
    }

    /// Returns the value of an expression.
    pub fn expression(&self, expression: &str) -> Result<Value, String> {
        let value = self.evaluate(expression, Backslashes::Escape)?;
        serde_json::to_value(&value).map_err(|error| format!("`{expression}`: {error}"))
    }

    /// Reports whether an expression holds. The value must be a boolean: text such as `false` would count as true.
    pub fn holds(&self, expression: &str) -> Result<bool, String> {
        let value = self.evaluate(expression, Backslashes::Escape)?;
        match serde_json::to_value(&value) {
            Ok(Value::Bool(holds)) => Ok(holds),
            _ => {
                Err(format!("`{expression}` is neither true nor false but {}; compare it with something", value.kind()))
            }
        }
    }

    fn missing(&self, names: impl IntoIterator<Item = String>) -> Vec<String> {
        let unknown = |name: &String| self.raw(name).is_none() && *name != source::LOOKUP;
        let mut names: Vec<String> = names.into_iter().filter(unknown).collect();
        names.sort();
        names
    }
}

impl Object for Scope {
    fn get_value(self: &Arc<Self>, key: &minijinja::Value) -> Option<minijinja::Value> {
        let name = key.as_str()?;
        let known = self.evaluation.lock().unwrap_or_else(PoisonError::into_inner).values.get(name).cloned();
        known.or_else(|| {
            let value = self.look_up(name)?.unwrap_or_else(|why| Error::new(ErrorKind::InvalidOperation, why).into());
            let mut evaluation = self.evaluation.lock().unwrap_or_else(PoisonError::into_inner);
            evaluation.values.insert(name.to_owned(), value.clone());
            Some(value)
        })
    }
}

impl Scope {
    /// Evaluates a variable for the engine.
    fn look_up(&self, name: &str) -> Option<Result<minijinja::Value, String>> {
        if self.depth == DEPTH {
            return Some(Err("variables refer to each other in a circle".to_owned()));
        }
        let deeper = Self { depth: self.depth + 1, ..self.clone() };
        let value = deeper.variable(name)?;
        Some(value.and_then(|value| {
            self.spend(size(&value))?;
            Ok(minijinja::Value::from(Serde(value)))
        }))
    }
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
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(to_json).collect::<Vec<_>>().join(", ")),
        Value::Object(entries) => {
            let entry = |(key, value): (&String, &Value)| format!("{}: {}", ascii(key), to_json(value));
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        Value::String(text) => ascii(text),
        other => other.to_string(),
    }
}

/// Returns a text as a JSON string in ASCII.
fn ascii(text: &str) -> String {
    let mut escaped = String::new();
    for c in Value::from(text).to_string().chars() {
        if c.is_ascii() {
            escaped.push(c);
        } else {
            escaped.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    escaped
}

/// Returns a value as text, as Ansible prints it: a list or a map as Python writes it.
pub fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => environment::repr(other),
    }
}

/// Reports whether a text contains template syntax.
pub fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// Reports whether a template is anywhere in a value.
pub fn has_template(value: &Value) -> bool {
    match value {
        Value::String(text) => is_template(text),
        Value::Array(items) => items.iter().any(has_template),
        Value::Object(entries) => entries.values().any(has_template),
        _ => false,
    }
}

/// Checks the syntax of an expression.
pub fn check(expression: &str) -> Result<(), String> {
    let prepared = source::expression(expression, Backslashes::Escape)?;
    ENVIRONMENT.compile_expression(&prepared).map(drop).map_err(|error| explain(&error, []))
}

fn explain(error: &Error, missing: impl IntoIterator<Item = String>) -> String {
    let names: Vec<String> = missing.into_iter().collect();
    let line = error.line().filter(|line| *line > 1).map_or_else(String::new, |line| format!(" (line {line})"));
    if error.kind() == ErrorKind::UndefinedError && !names.is_empty() {
        return format!("`{}` is undefined{line}", names.join("`, `"));
    }
    let what = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    format!("{what}{line}")
}
