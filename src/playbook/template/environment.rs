//! The template engine with Ansible's filters, tests and texts.

use minijinja::Environment;
use minijinja::Error;
use minijinja::ErrorKind;
use minijinja::State;
use minijinja::UndefinedBehavior;
use minijinja::filters;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Kwargs;
use minijinja::value::Rest;
use minijinja::value::ValueKind;
use serde_json::Value;

use super::source::Delimiters;
use super::source::LOOKUP;

/// The most steps that one template may take.
pub(super) const FUEL: u64 = 500_000;

/// The syntax of a template, which its first line may change (`#jinja2: lstrip_blocks: True`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Syntax {
    pub(super) delimiters: Delimiters,
    pub(super) newline: String,
    trim_blocks: bool,
    lstrip_blocks: bool,
    keep_trailing_newline: bool,
}

impl Default for Syntax {
    fn default() -> Self {
        Self {
            delimiters: Delimiters::default(),
            newline: "\n".to_owned(),
            trim_blocks: true,
            lstrip_blocks: false,
            keep_trailing_newline: true,
        }
    }
}

/// How the first line of a file begins that changes the syntax.
const HEADER: &str = "#jinja2:";

impl Syntax {
    /// Splits off the first line of a template if it changes the syntax, and returns the syntax and the rest.
    pub(super) fn split(text: &str) -> Result<(Self, &str), String> {
        let mut syntax = Self::default();
        let Some(header) = text.strip_prefix(HEADER) else { return Ok((syntax, text)) };
        let (line, rest) = header.split_once('\n').unwrap_or((header, ""));
        for pair in line.split(',') {
            let (name, value) = pair.split_once(':').ok_or_else(|| {
                format!("invalid `{}` in the first line: expected `{HEADER} NAME: VALUE, …`", pair.trim())
            })?;
            syntax.set(name.trim(), value.trim())?;
        }
        Ok((syntax, rest))
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let wrong = |expected: &str| format!("invalid `{name}` {value} in the first line: expected {expected}");
        let flag = match value {
            "True" | "true" => Some(true),
            "False" | "false" => Some(false),
            _ => None,
        };
        let flag = |slot: &mut bool| flag.map(|flag| *slot = flag).ok_or_else(|| wrong("True or False"));
        let text = |slot: &mut String| {
            let within = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
            let text = within('\'').or_else(|| within('"')).filter(|text| !text.is_empty());
            *slot = text.ok_or_else(|| wrong("a text in quotes"))?.replace("\\r", "\r").replace("\\n", "\n");
            Ok(())
        };
        let Delimiters { block, variable, comment } = &mut self.delimiters;
        match name {
            "trim_blocks" => flag(&mut self.trim_blocks),
            "lstrip_blocks" => flag(&mut self.lstrip_blocks),
            "keep_trailing_newline" => flag(&mut self.keep_trailing_newline),
            "newline_sequence" => text(&mut self.newline),
            "block_start_string" => text(&mut block[0]),
            "block_end_string" => text(&mut block[1]),
            "variable_start_string" => text(&mut variable[0]),
            "variable_end_string" => text(&mut variable[1]),
            "comment_start_string" => text(&mut comment[0]),
            "comment_end_string" => text(&mut comment[1]),
            _ => Err(format!("muster knows no `{name}` in the first line of a template")),
        }
    }

    fn config(&self) -> Result<SyntaxConfig, Error> {
        let Delimiters { block, variable, comment } = self.delimiters.clone();
        let ([block, block_end], [variable, variable_end], [comment, comment_end]) = (block, variable, comment);
        SyntaxConfig::builder()
            .block_delimiters(block, block_end)
            .variable_delimiters(variable, variable_end)
            .comment_delimiters(comment, comment_end)
            .trim_blocks(self.trim_blocks)
            .lstrip_blocks(self.lstrip_blocks)
            .keep_trailing_newline(self.keep_trailing_newline)
            .build()
    }
}

/// Returns the engine for templates of this syntax.
pub(super) fn environment(syntax: &Syntax) -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_syntax(syntax.config()?);
    // Text goes into configuration files and commands, never into HTML.
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_formatter(|out, state, value| match value.kind() {
        // As Ansible writes them, so that rendered files have the same text.
        ValueKind::Bool => out.write_str(if value.is_true() { "True" } else { "False" }).map_err(Error::from),
        ValueKind::None => Ok(()),
        ValueKind::Map | ValueKind::Seq => out.write_str(&repr(&to_json(value)?)).map_err(Error::from),
        _ => minijinja::escape_formatter(out, state, value),
    });
    environment.add_filter("bool", |value: minijinja::Value| bool_filter(&value));
    environment.add_filter("basename", |path: &str| split_path(path).1.to_owned());
    environment.add_filter("dirname", |path: &str| split_path(path).0.to_owned());
    environment.add_filter("int", int_filter);
    environment.add_filter("float", float_filter);
    environment.add_function(LOOKUP, |value: minijinja::Value, keys: Rest<minijinja::Value>| look_up(value, &keys));
    for (key, names) in RESULT_TESTS {
        for name in names {
            environment.add_test(*name, move |result: minijinja::Value| has_flag(&result, key));
        }
    }
    for name in ["succeeded", "success", "successful"] {
        environment.add_test(name, |result: minijinja::Value| !has_flag(&result, "failed"));
    }
    Ok(environment)
}

fn to_json(value: &minijinja::Value) -> Result<Value, Error> {
    serde_json::to_value(value).map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))
}

/// Looks up keys one after the other. The lookup in an undefined value is undefined.
fn look_up(value: minijinja::Value, keys: &[minijinja::Value]) -> Result<minijinja::Value, Error> {
    keys.iter().try_fold(value, |value, key| if value.is_undefined() { Ok(value) } else { value.get_item(key) })
}

/// Returns a value as Python's `repr` writes it, which is the text of a list or a map in Ansible's templates.
pub(super) fn repr(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(flag) => if *flag { "True" } else { "False" }.to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => repr_text(text),
        Value::Array(items) => format!("[{}]", items.iter().map(repr).collect::<Vec<_>>().join(", ")),
        Value::Object(entries) => {
            let entries = entries.iter().map(|(key, value)| format!("{}: {}", repr_text(key), repr(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

fn repr_text(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut quoted = String::from(quote);
    for c in text.chars() {
        match c {
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\\' => quoted.push_str("\\\\"),
            c if c == quote => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push(quote);
    quoted
}

/// Converts to a whole number. As in Ansible, text that is no number is 0 unless there is a default.
fn int_filter(
    state: &State<'_, '_>,
    value: &minijinja::Value,
    default: Option<minijinja::Value>,
    base: Option<u32>,
    kwargs: Kwargs,
) -> Result<minijinja::Value, Error> {
    let default = default.or_else(|| (!kwargs.has("default")).then(|| 0.into()));
    filters::int(state, value, default, base, kwargs)
}

/// Converts to a float. As in Ansible, text that is no number is 0.0 unless there is a default.
fn float_filter(
    state: &State<'_, '_>,
    value: &minijinja::Value,
    default: Option<minijinja::Value>,
    kwargs: Kwargs,
) -> Result<minijinja::Value, Error> {
    let default = default.or_else(|| (!kwargs.has("default")).then(|| 0.0.into()));
    filters::float(state, value, default, kwargs)
}

/// The flags of a task's result that tests look at, with Ansible's names for each test.
const RESULT_TESTS: [(&str, &[&str]); 4] = [
    ("failed", &["failed", "failure"]),
    ("changed", &["changed", "change"]),
    ("skipped", &["skipped", "skip"]),
    ("unreachable", &["unreachable"]),
];

/// Converts a value to a boolean. As in Ansible, any other text than a word for true is false.
fn bool_filter(value: &minijinja::Value) -> Result<bool, Error> {
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    Ok(parse_bool(&value.to_string()).unwrap_or(false))
}

/// Splits a path into the folder and the rest after the last slash, as Python's `os.path.split` does.
fn split_path(path: &str) -> (&str, &str) {
    let (head, tail) = path.split_at(path.rfind('/').map_or(0, |slash| slash + 1));
    let folder = head.trim_end_matches('/');
    (if folder.is_empty() { head } else { folder }, tail)
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
