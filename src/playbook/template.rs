//! Templates and expressions: Jinja2, strict about undefined variables, with a limit on the computation.

mod environment;
mod source;

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
                let value = self.evaluate(expression)?;
                serde_json::to_value(&value).map_err(|error| format!("`{}`: {error}", text.trim()))
            }
            None => self.render(text).map(Value::String),
        }
    }

    /// Renders a whole template.
    pub fn render(&self, text: &str) -> Result<String, String> {
        self.render_in(&ENVIRONMENT, &Syntax::default(), text)
    }

    /// Renders a file. Its first line may change the syntax (`#jinja2: …`).
    pub fn render_file(&self, text: &str) -> Result<String, String> {
        let (syntax, text) = Syntax::split(text)?;
        if syntax == Syntax::default() {
            return self.render(text);
        }
        let environment = environment::environment(&syntax).map_err(|error| explain(&error, []))?;
        let rendered = self.render_in(&environment, &syntax, text)?;
        Ok(if syntax.newline == "\n" { rendered } else { rendered.replace('\n', &syntax.newline) })
    }

    fn render_in(&self, environment: &Environment<'_>, syntax: &Syntax, text: &str) -> Result<String, String> {
        let text = source::template(text, &syntax.delimiters)?;
        let template = environment.template_from_str(&text).map_err(|error| explain(&error, []))?;
        let rendered = template
            .render_captured(self.context())
            .map_err(|error| explain(&error, self.missing(template.undeclared_variables(false))))?;
        self.spend(rendered.state().fuel_levels().map_or(0, |(consumed, _)| consumed))?;
        Ok(rendered.into_output())
    }

    fn evaluate(&self, expression: &str) -> Result<minijinja::Value, String> {
        let prepared = source::expression(expression)?;
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

/// Reports whether a text contains template syntax.
pub fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// Checks the syntax of an expression.
pub fn check(expression: &str) -> Result<(), String> {
    let prepared = source::expression(expression)?;
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use serde_json::json;

    use super::Layer;
    use super::Scope;
    use super::to_json;
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
            ("{{ 'maybe' | bool }} {{ '' | bool }} {{ nil | bool }}", "False False False"),
            (
                "{{ 'x' | int }} {{ '' | int }} {{ '7' | int }} {{ 'x' | int(default=3) }} {{ 'x' | float }}",
                "0 0 7 3 0.0",
            ),
        ] {
            assert_eq!(scope.fill(&json!(template)).unwrap(), json!(expected), "{template}");
        }
        assert_eq!(scope.holds("word | bool"), Ok(false));
    }

    #[test]
    fn maps_keep_their_order_and_are_printed_as_by_python() {
        let d = json!({"zeta": 1, "alpha": [true, null, "it's", "a'\"b", "x\\\n"], "mid": {"b": "é", "a": 1.5}});
        let scope = Scope::new(vec![Layer::written(vars(&json!({"d": d})))]);
        for (template, expected) in [
            ("{% for k in d %}{{ k }} {% endfor %}", "zeta alpha mid "),
            ("{{ d | join(',') }} {{ d.mid | list }}", "zeta,alpha,mid ['b', 'a']"),
            (
                "<{{ d }}>",
                r#"<{'zeta': 1, 'alpha': [True, None, "it's", 'a\'"b', 'x\\\n'], 'mid': {'b': 'é', 'a': 1.5}}>"#,
            ),
        ] {
            assert_eq!(scope.fill(&json!(template)).unwrap(), json!(expected), "{template}");
        }
        assert_eq!(to_json(&json!({"b": [1, "é😀"], "a": {}})), r#"{"b": [1, "\u00e9\ud83d\ude00"], "a": {}}"#);
    }

    #[test]
    fn a_lookup_in_an_undefined_value_may_have_a_default() {
        for (template, expected) in [
            ("{{ a.b.c | default('z') }}", json!("z")),
            ("{{ nested.b.c | default(nested.deep[0]) }}", json!(80)),
            ("{{ nested['deep'][0] | default(1) }}", json!(80)),
            ("{{ (a.b | d({})).c | d(2) }}", json!(2)),
            ("x{% for e in a.b.c | default([1]) %}{{ e }}{% endfor %}", json!("x1")),
            ("x{% if a.b.c is defined or result.rc is undefined %}y{% endif %}", json!("x")),
        ] {
            assert_eq!(scope().fill(&json!(template)).unwrap(), expected, "{template}");
        }
        assert_eq!(scope().holds("a.b.c is not defined and result.rc is defined"), Ok(true));
        for template in ["{{ a.b.c }}", "{{ a.b.c ~ 'x' }}", "{{ a.b | trim | default(1) }}"] {
            assert!(scope().fill(&json!(template)).unwrap_err().contains("`a` is undefined"), "{template}");
        }
        assert!(scope().fill(&json!("{{ round.x | default(1) }}")).unwrap_err().contains("circle"));
    }

    #[test]
    fn the_first_line_of_a_file_may_change_the_syntax() {
        let text = "  {% if true %}\na\n  {% endif %}\n{{ name }}\n";
        for (header, expected) in [
            ("", Ok("  a\n  web1\n")),
            ("#jinja2: trim_blocks: False\n", Ok("  \na\n  \nweb1\n")),
            ("#jinja2:lstrip_blocks: True, trim_blocks: True\n", Ok("a\nweb1\n")),
            ("#jinja2: newline_sequence: '\\r\\n'\n", Ok("  a\r\n  web1\r\n")),
            ("#jinja2: variable_start_string: '[%', variable_end_string: '%]'\n", Ok("  a\n  {{ name }}\n")),
            ("#jinja2: trim_blocks: perhaps\n", Err("expected True or False")),
            ("#jinja2: trim_blocks\n", Err("expected `#jinja2: NAME: VALUE, …`")),
            ("#jinja2: line_statement_prefix: '%'\n", Err("no `line_statement_prefix`")),
        ] {
            match (scope().render_file(&format!("{header}{text}")), expected) {
                (Ok(rendered), Ok(expected)) => assert_eq!(rendered, expected, "{header}"),
                (Err(why), Err(expected)) => assert!(why.contains(expected), "{header}: {why}"),
                (rendered, _) => panic!("{header}: {rendered:?}"),
            }
        }
    }

    /// Returns variables of which each refers to the one before four times.
    fn fan(count: usize, refer: impl Fn(&str) -> serde_json::Value) -> Scope {
        let mut all = Vars::new();
        all.insert("v0".to_owned(), json!("{{ 1 }}x"));
        for number in 1..=count {
            all.insert(format!("v{number}"), refer(&format!("{{{{ v{} }}}}", number - 1)));
        }
        Scope::new(vec![Layer::written(Arc::new(all))])
    }

    #[test]
    fn variables_that_refer_to_each_other_many_times_are_bounded() {
        let name = |v: &str| v.trim_matches(['{', '}', ' ']).to_owned();
        let once = fan(14, |v| json!(format!("{{{{ {0} if {0} == {0} else {0} }}}}", name(v))));
        assert_eq!(once.fill(&json!("{{ v14 }}")).unwrap(), json!("1x"));
        for scope in [fan(15, |v| json!(v.repeat(4))), fan(15, |v| json!([v, v, v, v]))] {
            let why = scope.fill(&json!("{{ v15 }}")).unwrap_err();
            assert!(why.contains("steps") || why.contains("fuel"), "{why}");
        }
    }

    #[test]
    fn no_template_overflows_the_stack() {
        let tests = [
            "-".repeat(60_000) + "1",
            "not ".repeat(60_000) + "a",
            "a".to_owned() + &".a".repeat(60_000),
            "1".to_owned() + &"~1".repeat(60_000),
            "a".to_owned() + &"()".repeat(30_000),
            "(".repeat(30_000) + &")".repeat(30_000),
            "1".to_owned() + &" and 1".repeat(30_000),
            "1".to_owned() + &"**1".repeat(30_000),
            "a".to_owned() + &"[0]".repeat(30_000),
            "a".to_owned() + &"|d".repeat(30_000),
            "1".to_owned() + &" if 1 else 1".repeat(30_000),
            // The most that is allowed.
            "-".repeat(1000) + "1",
            "not ".repeat(1000) + "a",
            "a".to_owned() + &".a".repeat(1000),
            "1".to_owned() + &"~1".repeat(1000),
            "1".to_owned() + &"**1".repeat(1000),
            "a".to_owned() + &"()".repeat(1000),
            "(".repeat(100) + &")".repeat(100),
        ];
        for expression in tests {
            let _ = scope().holds(&expression);
            let _ = scope().render(&format!("{{{{ {expression} }}}}"));
        }
        for (start, end) in [("{% if true %}", "{% endif %}"), ("{% for a in [1] %}", "{% endfor %}")] {
            let _ = scope().render(&(start.repeat(30_000) + &end.repeat(30_000)));
        }
        let _ = scope().render(&format!("{{% if a %}}{}{{% endif %}}", "{% elif false %}".repeat(30_000)));
        let _ = scope().render(&format!("{{% if false %}}{}{{% endif %}}", "{% elif false %}".repeat(200)));
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
