//! Filters for JSON and YAML.

use std::path::Path;

use minijinja::Error;
use minijinja::State;
use minijinja::Value;
use serde_json::Value as Json;

use super::Table;
use super::yaml;
use crate::inventory::document;
use crate::playbook::template::arguments::Arguments;
use crate::playbook::template::value;
use crate::playbook::template::value::float_text;
use crate::playbook::template::value::text;
use crate::playbook::template::value::wrong;

pub(super) const FILTERS: Table = &[
    ("from_json", from_json),
    ("from_yaml", from_yaml),
    ("from_yaml_all", from_yaml_all),
    ("to_json", |_, value, arguments| to_json(value, &Style::default(), arguments)),
    ("to_nice_json", |_, value, arguments| to_json(value, &Style::nice(), arguments)),
    ("to_nice_yaml", |_, value, arguments| to_yaml(value, false, 4, arguments)),
    ("to_yaml", |_, value, arguments| to_yaml(value, true, 2, arguments)),
    ("tojson", tojson),
];

/// How JSON is written.
#[derive(Debug, Clone)]
pub(in crate::playbook::template) struct Style {
    indent: Option<usize>,
    sort_keys: bool,
    ascii: bool,
    separators: [String; 2],
}

impl Default for Style {
    fn default() -> Self {
        Self { indent: None, sort_keys: false, ascii: true, separators: [", ", ": "].map(str::to_owned) }
    }
}

impl Style {
    /// Returns the style of `to_nice_json`.
    pub(in crate::playbook::template) fn nice() -> Self {
        Self { indent: Some(4), sort_keys: true, ..Self::default() }
    }

    /// Returns the style without blanks.
    pub(in crate::playbook::template) fn compact() -> Self {
        Self { separators: [",", ":"].map(str::to_owned), ..Self::default() }
    }

    /// Writes a value.
    pub(in crate::playbook::template) fn write(&self, value: &Json) -> String {
        let mut out = String::new();
        self.value(value, 0, &mut out);
        out
    }

    fn value(&self, value: &Json, depth: usize, out: &mut String) {
        match value {
            Json::Array(items) => {
                self.items(['[', ']'], items.iter(), depth, out, |item, out| self.value(item, depth + 1, out));
            }
            Json::Object(entries) => {
                let mut entries: Vec<_> = entries.iter().collect();
                if self.sort_keys {
                    entries.sort_by_key(|(key, _)| *key);
                }
                self.items(['{', '}'], entries.into_iter(), depth, out, |(key, value), out| {
                    out.push_str(&self.text(key));
                    out.push_str(&self.separators[1]);
                    self.value(value, depth + 1, out);
                });
            }
            Json::String(text) => out.push_str(&self.text(text)),
            Json::Number(number) => out.push_str(&number_text(number)),
            other => out.push_str(&other.to_string()),
        }
    }

    fn items<T>(
        &self,
        [open, close]: [char; 2],
        items: impl ExactSizeIterator<Item = T>,
        depth: usize,
        out: &mut String,
        write: impl Fn(T, &mut String),
    ) {
        out.push(open);
        let line =
            |depth: usize| self.indent.map_or_else(String::new, |indent| format!("\n{}", " ".repeat(indent * depth)));
        let is_empty = items.len() == 0;
        for (number, item) in items.enumerate() {
            if number > 0 {
                out.push_str(if self.indent.is_some() { self.separators[0].trim_end() } else { &self.separators[0] });
            }
            out.push_str(&line(depth + 1));
            write(item, out);
        }
        if !is_empty {
            out.push_str(&line(depth));
        }
        out.push(close);
    }

    /// Returns a text as a string of JSON.
    fn text(&self, text: &str) -> String {
        let quoted = Json::from(text).to_string();
        if !self.ascii || quoted.is_ascii() {
            return quoted;
        }
        quoted.chars().fold(String::new(), |mut escaped, c| {
            if c.is_ascii() {
                escaped.push(c);
            } else {
                escaped.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
            }
            escaped
        })
    }
}

/// Returns a number as Python writes it.
fn number_text(number: &serde_json::Number) -> String {
    let float = number.as_f64().filter(|_| number.is_f64());
    float.map_or_else(|| number.to_string(), float_text)
}

fn indent(arguments: &Arguments, default: Option<usize>) -> Result<Option<usize>, Error> {
    if arguments.get(0, "indent").is_none_or(|indent| indent.is_none()) {
        return Ok(default);
    }
    let indent = usize::try_from(arguments.integer(0, "indent", 0)?).ok().filter(|indent| *indent <= 64);
    indent.map(Some).ok_or_else(|| wrong("`indent` must be from 0 to 64"))
}

fn to_json(value: &Value, style: &Style, arguments: &Arguments) -> Result<Value, Error> {
    let mut style = style.clone();
    style.indent = indent(arguments, style.indent)?;
    style.sort_keys = arguments.by_name("sort_keys").map_or(style.sort_keys, |flag| flag.is_true());
    style.ascii = arguments.by_name("ensure_ascii").map_or(style.ascii, |flag| flag.is_true());
    if let Some(separators) = arguments.by_name("separators") {
        let separators: Vec<String> = value::items(&separators)?.iter().map(text).collect();
        style.separators = separators.try_into().map_err(|_| wrong("`separators` must be two texts"))?;
    }
    Ok(Value::from(style.write(&value::to_json(value)?)))
}

/// Writes JSON that is safe in HTML, as Jinja2 does.
fn tojson(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let style = Style { indent: indent(arguments, None)?, sort_keys: true, ..Style::default() };
    let json = style.write(&value::to_json(value)?);
    let escapes = [('<', "\\u003c"), ('>', "\\u003e"), ('&', "\\u0026"), ('\'', "\\u0027")];
    Ok(Value::from(escapes.iter().fold(json, |json, (c, escape)| json.replace(*c, escape))))
}

fn to_yaml(value: &Value, flow: bool, default: usize, arguments: &Arguments) -> Result<Value, Error> {
    let flow =
        arguments.by_name("default_flow_style").filter(|style| !style.is_none()).map_or(flow, |style| style.is_true());
    let style = yaml::Style {
        indent: indent(arguments, Some(default))?.filter(|indent| (2..10).contains(indent)).unwrap_or(2),
        sort_keys: arguments.by_name("sort_keys").is_none_or(|flag| flag.is_true()),
        width: usize::try_from(arguments.by_name("width").and_then(|width| width.as_i64()).unwrap_or(80)).unwrap_or(80),
        flow,
    };
    Ok(Value::from(style.write(&value::to_json(value)?)))
}

fn from_json(_: &State<'_, '_>, value: &Value, _: &Arguments) -> Result<Value, Error> {
    let json: Json = serde_json::from_str(&text(value)).map_err(|error| wrong(format!("invalid JSON: {error}")))?;
    Ok(value::from_json(&json))
}

fn read(text: &str) -> Result<Value, Error> {
    let node = document::read(Path::new("YAML"), text).map_err(|error| wrong(error.to_string()))?;
    Ok(value::from_json(&node.value()))
}

fn from_yaml(_: &State<'_, '_>, value: &Value, _: &Arguments) -> Result<Value, Error> {
    if value.as_str().is_none() { Ok(value.clone()) } else { read(&text(value)) }
}

fn from_yaml_all(_: &State<'_, '_>, value: &Value, _: &Arguments) -> Result<Value, Error> {
    let text = text(value);
    let mut documents = vec![String::new()];
    for line in text.lines() {
        if line == "---" || line.starts_with("--- ") {
            documents.push(String::new());
        } else if let Some(last) = documents.last_mut() {
            last.push_str(line);
            last.push('\n');
        }
    }
    if documents.first().is_some_and(|first| first.trim().is_empty()) && documents.len() > 1 {
        documents.remove(0);
    }
    Ok(value::list(documents.iter().map(|document| read(document)).collect::<Result<_, _>>()?))
}
