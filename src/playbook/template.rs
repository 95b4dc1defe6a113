//! Templates and expressions: Jinja2, strict about undefined variables, with a limit on the computation.

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
use minijinja::value::ValueKind;
use serde_json::Value;
use serde_json::json;

use crate::inventory::Vars;

/// The most steps that one template may take.
const FUEL: u64 = 500_000;

/// The deepest nesting of variables that refer to variables.
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
    environment.set_formatter(|out, state, value| match value.kind() {
        // As Ansible writes them, so that rendered files have the same text.
        ValueKind::Bool => out.write_str(if value.is_true() { "True" } else { "False" }).map_err(Error::from),
        ValueKind::None => Ok(()),
        _ => minijinja::escape_formatter(out, state, value),
    });
    environment.add_filter("bool", |value: minijinja::Value| bool_filter(&value));
    for (key, names) in RESULT_TESTS {
        for name in names {
            environment.add_test(*name, move |result: minijinja::Value| has_flag(&result, key));
        }
    }
    for name in ["succeeded", "success", "successful"] {
        environment.add_test(name, |result: minijinja::Value| !has_flag(&result, "failed"));
    }
    environment
});

/// The flags of a task's result that tests look at, with Ansible's names for each test.
const RESULT_TESTS: [(&str, &[&str]); 4] = [
    ("failed", &["failed", "failure"]),
    ("changed", &["changed", "change"]),
    ("skipped", &["skipped", "skip"]),
    ("unreachable", &["unreachable"]),
];

/// Converts a value to a boolean. Text must be one of a few words, so that `false` on the command line is not true.
fn bool_filter(value: &minijinja::Value) -> Result<bool, Error> {
    let detail = || format!("`{value}` is neither true nor false: expected a word such as yes or no");
    parse_bool(&value.to_string()).ok_or_else(|| Error::new(ErrorKind::InvalidOperation, detail()))
}

/// Returns the boolean that a word stands for, if it stands for one.
pub fn parse_bool(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// Reports whether a task's registered result has a flag set.
fn has_flag(result: &minijinja::Value, key: &str) -> bool {
    result.get_attr(key).is_ok_and(|flag| flag.is_true())
}

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

/// The variables that a host's templates can read: layers, the strongest last.
#[derive(Clone)]
pub struct Scope {
    layers: Vec<Layer>,
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
    pub const fn new(layers: Vec<Layer>) -> Self {
        Self { layers, depth: 0 }
    }

    /// Returns the scope with one more layer over the others.
    #[must_use]
    pub fn with(&self, layer: Layer) -> Self {
        let mut scope = self.clone();
        scope.layers.push(layer);
        scope
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

    /// Reports whether an expression holds. The value must be a boolean: text such as `false` would count as true.
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
        let name = key.as_str()?;
        if self.depth == DEPTH {
            return Some(Error::new(ErrorKind::InvalidOperation, "variables refer to each other in a circle").into());
        }
        let deeper = Self { layers: self.layers.clone(), depth: self.depth + 1 };
        Some(match deeper.variable(name)? {
            Ok(value) => minijinja::Value::from(Serde(value)),
            Err(detail) => Error::new(ErrorKind::InvalidOperation, detail).into(),
        })
    }
}

/// Returns the value of the variable `omit`, which removes an argument: `{{ mode | default(omit) }}`. It is a map, which
/// no host can print.
pub fn omit() -> Value {
    json!({ "omit": null })
}

/// Reports whether a text contains template syntax.
pub fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// Checks the syntax of an expression.
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

    use super::Layer;
    use super::Scope;
    use crate::inventory::Vars;

    fn vars(value: &serde_json::Value) -> Arc<Vars> {
        Arc::new(value.as_object().unwrap().clone())
    }

    fn scope() -> Scope {
        let weak = json!({"port": 80, "name": "weak", "url": "http://{{ name }}:{{ port }}", "round": "{{ round }}",
            "ports": [80, 443], "nested": {"deep": ["{{ port }}"]}, "result": {"rc": 0, "failed": false, "changed": true}});
        let strong = json!({"name": "web1"});
        Scope::new([weak, strong].map(|layer| Layer::written(vars(&layer))).to_vec())
    }

    #[test]
    fn the_output_of_a_host_is_never_a_template() {
        let evil = "{{ secret }}{% set a = 1 %}{#";
        let written = json!({"secret": "s3cret", "direct": "{{ r.stdout }}", "indirect": "{{ direct }}", "list": ["{{ indirect }}"],
            "map": {"a": {"b": "<{{ list[0] }}>"}}, "weak": "{{ secret }}"});
        let result = json!({"rc": 0, "stdout": evil, "stdout_lines": [evil], "results": [{"stdout": evil}]});
        let results = json!({"r": result, "weak": evil});
        let scope = Scope::new(vec![Layer::written(vars(&written)), Layer::data(vars(&results))]);
        for (template, expected) in [
            ("{{ r.stdout }}", json!(evil)),
            ("<{{ r.stdout }}>", json!(format!("<{evil}>"))),
            ("{{ direct }}", json!(evil)),
            ("{{ indirect }}|", json!(format!("{evil}|"))),
            ("{{ list }}", json!([evil])),
            ("{{ map.a.b }}", json!(format!("<{evil}>"))),
            ("{{ map['a'] }}", json!({"b": format!("<{evil}>")})),
            ("{{ r.stdout_lines | join(' ') }}", json!(evil)),
            ("{{ r.results | map(attribute='stdout') | list }}", json!([evil])),
            ("{% for line in r.stdout_lines %}{{ line }}{% endfor %}", json!(evil)),
            ("{% set x = r.stdout %}{{ x }}{{ x ~ '' }}", json!(format!("{evil}{evil}"))),
            ("{{ r.stdout | default('x') | trim }}", json!(evil)),
            ("{{ weak }}", json!(evil)),
            ("{{ r.rc }}", json!(0)),
        ] {
            assert_eq!(scope.fill(&json!(template)).unwrap(), expected, "{template}");
        }
        assert_eq!(scope.holds("'s3cret' in r.stdout or 's3cret' in indirect or r.rc != 0"), Ok(false));
        // An item of a loop is filled in once and is plain data afterwards.
        let item = scope.fill(&json!("{{ r.stdout_lines }}")).unwrap()[0].clone();
        let scope = scope.with(Layer::data(vars(&json!({"item": item}))));
        assert_eq!(scope.fill(&json!("{{ item }}")).unwrap(), json!(evil));
    }

    #[test]
    fn values_become_text_as_in_ansible() {
        let scope =
            Scope::new(vec![Layer::written(vars(&json!({"yes": true, "no": false, "nil": null, "word": "no"})))]);
        for (template, expected) in [
            ("{{ yes }} {{ no }} {{ nil }}.", "True False ."),
            ("{{ yes | lower }} {{ 1 == 2 }}", "true False"),
            ("{{ 'x' if no }}{{ 1.0 }}", "1.0"),
            ("{{ word | bool }} {{ 'On' | bool }} {{ 0 | bool }} {{ yes | bool }}", "False True False True"),
        ] {
            assert_eq!(scope.fill(&json!(template)).unwrap(), json!(expected), "{template}");
        }
        assert_eq!(scope.holds("word | bool"), Ok(false));
        assert!(scope.holds("'maybe' | bool").unwrap_err().contains("`maybe` is neither true nor false"));
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
            ("result is success and result is change and not result is unreachable", true),
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
