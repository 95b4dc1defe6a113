//! Templates and expressions: Jinja2, strict about what is undefined, and bounded in what they may compute.

use std::fmt;
use std::sync::Arc;
use std::sync::LazyLock;

use minijinja::Environment;
use minijinja::Error;
use minijinja::ErrorKind;
use minijinja::UndefinedBehavior;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Object;
use minijinja::value::Serde;
use serde_json::Value;

use crate::inventory::Vars;

/// How many steps one template may take.
const FUEL: u64 = 500_000;

/// How deeply variables may refer to variables.
const DEPTH: usize = 16;

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    let syntax = SyntaxConfig::builder().keep_trailing_newline(true).trim_blocks(true).build();
    // Delimiters that are not changed cannot be refused; without a syntax templates merely keep more blank lines.
    environment.set_syntax(syntax.unwrap_or_default());
    // Text goes into configuration files and commands, never into HTML.
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    for (name, key) in [("failed", "failed"), ("changed", "changed"), ("skipped", "skipped")] {
        environment.add_test(name, move |result: minijinja::Value| says(&result, key));
    }
    environment.add_test("succeeded", |result: minijinja::Value| !says(&result, "failed"));
    environment
});

/// Says whether a task's registered result has a flag set.
fn says(result: &minijinja::Value, key: &str) -> bool {
    result.get_attr(key).is_ok_and(|flag| flag.is_true())
}

/// Everything a host's templates can see: layers of variables, the strongest last.
#[derive(Clone)]
pub struct Scope {
    layers: Vec<Arc<Vars>>,
    depth: usize,
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Variables may hold secrets.
        f.debug_struct("Scope").field("layers", &self.layers.len()).finish_non_exhaustive()
    }
}

impl Scope {
    /// Makes a scope of layers, the strongest last.
    pub const fn new(layers: Vec<Arc<Vars>>) -> Self {
        Self { layers, depth: 0 }
    }

    /// Returns the scope with one more layer over the others.
    #[must_use]
    pub fn with(&self, layer: Arc<Vars>) -> Self {
        let mut scope = self.clone();
        scope.layers.push(layer);
        scope
    }

    fn raw(&self, name: &str) -> Option<&Value> {
        self.layers.iter().rev().find_map(|layer| layer.get(name))
    }

    fn context(&self) -> minijinja::Value {
        minijinja::Value::from_object(self.clone())
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

    /// Fills in a text that may be all one expression, which then keeps its type: `{{ ports }}` is a list.
    fn fill_text(&self, text: &str) -> Result<Value, String> {
        let inner = text.trim().strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
        match inner.filter(|inner| !is_template(inner) && !inner.contains("}}")) {
            Some(expression) => {
                let value = self.evaluate(expression)?;
                serde_json::to_value(&value).map_err(|error| format!("`{}`: {error}", text.trim()))
            }
            None => self.render(text).map(Value::String),
        }
    }

    /// Renders a whole template.
    pub fn render(&self, text: &str) -> Result<String, String> {
        let template = ENVIRONMENT.template_from_str(text).map_err(|error| explain(&error, []))?;
        template
            .render(self.context())
            .map_err(|error| explain(&error, self.missing(template.undeclared_variables(false))))
    }

    fn evaluate(&self, expression: &str) -> Result<minijinja::Value, String> {
        let compiled = ENVIRONMENT.compile_expression(expression).map_err(|error| explain(&error, []))?;
        let missing = || self.missing(compiled.undeclared_variables(false));
        let value = compiled.eval(self.context()).map_err(|error| explain(&error, missing()))?;
        if value.is_undefined() {
            let names: Vec<String> = missing().into_iter().collect();
            let what = if names.is_empty() { expression.trim().to_owned() } else { names.join("`, `") };
            return Err(format!("`{what}` is undefined"));
        }
        Ok(value)
    }

    /// Says whether an expression holds. It must be true or false: text that looks true is a trap.
    pub fn holds(&self, expression: &str) -> Result<bool, String> {
        let value = self.evaluate(expression)?;
        match serde_json::to_value(&value) {
            Ok(Value::Bool(holds)) => Ok(holds),
            _ => {
                Err(format!("`{expression}` is neither true nor false but {}; compare it with something", value.kind()))
            }
        }
    }

    fn missing(&self, names: impl IntoIterator<Item = String>) -> Vec<String> {
        let mut names: Vec<String> = names.into_iter().filter(|name| self.raw(name).is_none()).collect();
        names.sort();
        names
    }
}

impl Object for Scope {
    fn get_value(self: &Arc<Self>, key: &minijinja::Value) -> Option<minijinja::Value> {
        let raw = self.raw(key.as_str()?)?;
        if self.depth == DEPTH {
            return Some(Error::new(ErrorKind::InvalidOperation, "variables refer to each other in a circle").into());
        }
        let deeper = Self { layers: self.layers.clone(), depth: self.depth + 1 };
        Some(match deeper.fill(raw) {
            Ok(value) => minijinja::Value::from(Serde(value)),
            Err(detail) => Error::new(ErrorKind::InvalidOperation, detail).into(),
        })
    }
}

/// Says whether a text has anything to fill in.
pub fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// Says whether a text is an expression at all.
pub fn check(expression: &str) -> Result<(), String> {
    ENVIRONMENT.compile_expression(expression).map(drop).map_err(|error| explain(&error, []))
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use serde_json::json;

    use super::Scope;

    fn scope() -> Scope {
        let weak = json!({"port": 80, "name": "weak", "url": "http://{{ name }}:{{ port }}", "round": "{{ round }}",
            "ports": [80, 443], "nested": {"deep": ["{{ port }}"]}, "result": {"rc": 0, "failed": false, "changed": true}});
        let strong = json!({"name": "web1"});
        Scope::new([weak, strong].map(|layer| Arc::new(layer.as_object().unwrap().clone())).to_vec())
    }

    #[test]
    fn a_template_is_filled_in_and_one_expression_keeps_its_type() {
        for (template, expected) in [
            (json!("plain"), json!("plain")),
            (json!("on {{ name }}"), json!("on web1")),
            (json!("{{ port }}"), json!(80)),
            (json!("{{ ports }}"), json!([80, 443])),
            (json!("{{ port + 1 }}"), json!(81)),
            (json!("{{ port }}{{ port }}"), json!("8080")),
            (json!("{{ url }}/x"), json!("http://web1:80/x")),
            (json!("{{ nested.deep[0] }}"), json!(80)),
            (json!({"a": ["{{ name }}", 5]}), json!({"a": ["web1", 5]})),
            (json!("{{ missing | default('x') }}"), json!("x")),
            (json!("{% if port == 80 %}yes{% endif %}"), json!("yes")),
            (json!("<{{ name }}>"), json!("<web1>")),
        ] {
            assert_eq!(scope().fill(&template).unwrap(), expected, "{template}");
        }
    }

    #[test]
    fn what_is_undefined_is_named() {
        for (template, expected) in [
            ("{{ missing }}", "`missing` is undefined"),
            ("a {{ missing }} b", "`missing` is undefined"),
            ("a {{ name }}\n{{ missing }}", "`missing` is undefined (line 2)"),
            ("{{ round }}", "variables refer to each other in a circle"),
            ("{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}", "engine ran out of fuel"),
        ] {
            let error = scope().fill(&json!(template)).unwrap_err();
            assert!(error.contains(expected), "{template}: {error}");
        }
    }

    #[test]
    fn a_condition_is_true_or_false_and_nothing_else() {
        for (expression, expected) in [
            ("port == 80", true),
            ("name == 'weak'", false),
            ("443 in ports and result.rc == 0", true),
            ("missing is defined", false),
            ("result is changed", true),
            ("result is failed", false),
            ("result is succeeded and not result is skipped", true),
            ("true", true),
        ] {
            assert_eq!(scope().holds(expression), Ok(expected), "{expression}");
        }
        assert!(scope().holds("name").unwrap_err().contains("neither true nor false"));
        assert!(scope().holds("missing").unwrap_err().contains("`missing` is undefined"));
    }

    proptest! {
        #[test]
        fn no_template_makes_it_panic(text in r"[a-z0-9{}%#|.() '=\n-]{0,32}") {
            let _ = scope().fill(&json!(text));
            let _ = scope().holds(&text);
        }
    }
}
